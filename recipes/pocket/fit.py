"""Train the half behind the frozen networks and write the model in the hub's format.

    python -m recipes.pocket.fit --views FOLDER --data FOLDER --teachers FOLDER \\
        --regions regions.npz --names names.npz --out FOLDER --steps 12000

`--out` holds the run: tokenizer, checkpoint.pt and, under `export/`, the folder to ship. A run that
was stopped goes on from its checkpoint when it is started again.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save as to_safetensors
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from kosmoscope.evaluation.words import CLASS_NAMES
from kosmoscope.files.writing import replacing, write_file, write_text
from recipes.pocket.batches import Batch, Batcher, spread
from recipes.pocket.features import IMAGENET_MEAN, IMAGENET_STD, TOWER, load_views
from recipes.pocket.names import load_names
from recipes.pocket.naming import NAMES
from recipes.pocket.network import Pocket, Sizes
from recipes.pocket.prepare import all_knowledge, prepare_tokenizer
from recipes.pocket.regions import all_regions, region_head
from recipes.pocket.teachers import Float, read_teachers
from recipes.pocket.tokenizer import (
    BOS,
    EOS,
    LOCATION_COUNT,
    PAD,
    save_tokenizer,
    to_json,
)


@dataclass(frozen=True)
class Recipe:
    """Of a run."""

    steps: int = 3000
    batch: int = 16
    warmup: int = 100
    peak_rate: float = 1.6e-3
    weight_decay: float = 0.05
    clip: float = 1.0
    location_weight: float = 1.0
    latents: int = 64
    seed: int = 0
    average: float = 0.999
    """What is exported is a running mean of the weights, over about 1 / (1 - average) steps."""


class Run:
    """A training run; everything that its future depends on is in its checkpoint."""

    def __init__(
        self, batcher: Batcher, tokenizer: Tokenizer, recipe: Recipe, device: str = "cpu"
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.batcher, self.tokenizer = recipe, batcher, tokenizer
        self.device = device
        sizes = Sizes(latents=recipe.latents, vocab_size=tokenizer.get_vocab_size())
        self.model = Pocket(TOWER, sizes)
        self._standardise()
        classes, names = (
            [tokenizer.encode(n, add_special_tokens=False).ids[0] for n in some]
            for some in (CLASS_NAMES, NAMES)
        )
        self.model.spell(classes, names)
        self.model.to(device)
        self.step = 0
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        parameters = list(self.model.parameters())
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.98))

    @torch.no_grad()
    def _standardise(self) -> None:
        views, e = self.batcher.views, self.model.embeddings
        some = np.linspace(0, len(views.records) - 1, min(2000, len(views.records))).astype(int)
        whole = torch.from_numpy(views.whole[some].astype(np.float32))
        e.whole_mean.copy_(whole.mean(0))
        e.whole_std.copy_(whole.std(0) + 0.02)
        grid = torch.from_numpy(views.coarse[some].astype(np.float32)).transpose(0, 1).flatten(1)
        e.grid_mean.copy_(grid.mean(1))
        e.grid_std.copy_(grid.std(1) + 0.02)

    def rate(self, step: int) -> float:
        """A cosine down to a fiftieth of the peak, with a linear warm-up."""
        cosine = 0.02 + 0.98 * (1 + math.cos(math.pi * step / self.recipe.steps)) / 2
        return self.recipe.peak_rate * cosine * min(1.0, (step + 1) / self.recipe.warmup)

    def loss(self, batch: Batch) -> tuple[Tensor, float, float]:
        """The loss, and its two parts a token: words, and locations above their entropy."""
        # Many processors have no instructions for it, and then it is far slower.
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.device != "cpu"):
            images = self.model.look(batch.seen)
            hidden = self.model.read(images, batch.ids, batch.positions, batch.mask)
            wanted = batch.labels != -100
            logits = self.model.text.lm_head(hidden[wanted])
        likelihood = functional.log_softmax(logits.float(), dim=-1)
        targets, corners = batch.labels[wanted], batch.corners[wanted]
        is_cell = targets >= self.batcher.first_cell
        words = -likelihood[~is_cell].gather(1, targets[~is_cell, None])
        shares = spread(corners[is_cell])
        first = self.batcher.first_cell
        cells = -(shares * likelihood[is_cell, first : first + LOCATION_COUNT]).sum(1)
        total = words.sum() + self.recipe.location_weight * cells.sum()
        entropy = -(shares * shares.clamp_min(1e-12).log()).sum(1)
        above = (cells.detach() - entropy).mean() if len(cells) else torch.zeros(())
        return total / targets.numel(), words.mean().item(), above.item()

    def advance(self, batch: Batch) -> tuple[float, float, float]:
        """One step of the optimiser with the step's batch."""
        torch.manual_seed(self.recipe.seed + self.step)  # for dropout: a resumed run has the same
        total, words, cells = self.loss(batch.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(self.step)
        self.optimiser.step()
        self.step += 1
        self._follow()
        return total.item(), words, cells

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)

    def averaged(self) -> Pocket:
        """The model with the running mean of its weights."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average)
        return model.cpu()

    def save(self, path: Path) -> None:
        """Write the checkpoint; a stop in the middle leaves the previous one."""
        state = {"step": self.step, "model": self.model.state_dict(), "average": self.average,
                 "optimiser": self.optimiser.state_dict()}  # fmt: skip
        with replacing(path) as file:
            torch.save(state, file)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])

    def start_from(self, path: Path) -> None:
        """Take another run's mean weights, not its step or its optimiser's state."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["average"])
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}


class Steps(Dataset[Batch]):
    """The batches from a step on."""

    def __init__(self, batcher: Batcher, first: int, end: int) -> None:
        self.batcher, self.first, self.end = batcher, first, end

    def __len__(self) -> int:
        return max(self.end - self.first, 0)

    def __getitem__(self, index: int) -> Batch:
        if index >= len(self):
            raise IndexError(index)
        return self.batcher.at(self.first + index)

    def made_by(self, processes: int) -> Iterable[Batch]:
        """In order, made ahead by other processes."""
        return DataLoader(self, batch_size=None, num_workers=processes)


def export(model: Pocket, tokenizer: Tokenizer, frozen: dict[str, Float], folder: Path) -> None:
    """Write the hub's files, each atomically: weights in half precision, one copy of ties."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer, folder)
    size = TOWER.image_size
    preprocessor = {
        "do_center_crop": False, "do_convert_rgb": True, "do_normalize": True,
        "do_rescale": True, "do_resize": True,
        "image_mean": list(IMAGENET_MEAN), "image_processor_type": "CLIPImageProcessor",
        "image_std": list(IMAGENET_STD), "processor_class": "Kosmos2Processor", "resample": 3,
        "rescale_factor": 1 / 255, "size": {"longest_edge": size}, "size_divisor": TOWER.divisor,
    }  # fmt: skip
    write_text(folder / "preprocessor_config.json", to_json(preprocessor))
    write_text(folder / "config.json", to_json(model.config_json()))
    ends = {"bos_token_id": BOS, "pad_token_id": PAD, "eos_token_id": EOS}
    write_text(folder / "generation_config.json", to_json(ends))
    tensors = {"vision_model.model." + k: torch.from_numpy(v) for k, v in frozen.items()}
    tensors |= model.tensors()
    half = {k: v.detach().to(torch.float16).contiguous().clone() for k, v in tensors.items()}
    content = to_safetensors(half, metadata={"format": "pt"})
    write_file(folder / "model.safetensors", content)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.pocket.fit")
    parser.add_argument("--views", type=Path, required=True, help="folder of the features step")
    parser.add_argument("--data", type=Path, required=True, help="folder with captions.txt.gz")
    parser.add_argument("--teachers", type=Path, required=True, help="folder of the two networks")
    parser.add_argument("--regions", type=Path, required=True, help="file of the regions step")
    parser.add_argument("--names", type=Path, required=True, help="file of the names step")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument(
        "--start", type=Path, help="checkpoint.pt of another run, to begin with its weights"
    )
    parser.add_argument("--peak-rate", type=float, default=Recipe.peak_rate)
    parser.add_argument("--batch", type=int, default=Recipe.batch)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--makers", type=int, default=1, help="processes that make batches")
    parser.add_argument("--save-every", type=int, default=250)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)

    views = load_views(options.views)
    with np.load(options.regions) as stored:
        regions_weights = dict(stored)
    regions = all_regions(region_head(regions_weights), views)
    names = load_names(options.names)
    known = all_knowledge(views, regions, names)
    recipe = Recipe(steps=options.steps, peak_rate=options.peak_rate, batch=options.batch)
    captions = options.data / "captions.txt.gz"
    tokenizer = prepare_tokenizer(captions, known, options.out, recipe.latents)
    batcher = Batcher(views, known, regions, names, tokenizer, recipe.latents, recipe.batch)
    run = Run(batcher, tokenizer, recipe, options.device)
    frozen = {**read_teachers(options.teachers), **regions_weights, **names.layer}
    checkpoint = options.out / "checkpoint.pt"
    if checkpoint.exists():
        run.load(checkpoint)
    elif options.start is not None:
        run.start_from(options.start)
    count = sum(p.numel() for p in run.model.parameters())
    print(f"{count / 1e6:.2f} M parameters, {recipe.steps - run.step} steps to go", flush=True)
    begun, first = time.perf_counter(), run.step
    for batch in Steps(batcher, run.step, recipe.steps).made_by(options.makers):
        total, words, cells = run.advance(batch)
        if run.step % 25 == 0 or run.step == recipe.steps:
            pace = (time.perf_counter() - begun) / (run.step - first)
            print(f"step {run.step}/{recipe.steps}  loss {total:.3f}  words {words:.3f}  "
                  f"cells {cells:.3f}  {pace:.2f} s/step", flush=True)  # fmt: skip
        if run.step % options.save_every == 0 or run.step == recipe.steps:
            run.save(checkpoint)
            export(run.averaged(), tokenizer, frozen, options.out / "export")


if __name__ == "__main__":
    main()
