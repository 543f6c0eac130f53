"""Train the stand-in checkpoint on rendered shapes and write it in the hub's format.

    python -m kosmoscope.training.train --captions captions.txt.gz --out build/pocket

`--out` holds the run: tokenizer, checkpoint.pt (model, optimiser, generators, step) and, under
`export/`, the folder to ship. A run that was stopped goes on with `--resume` and ends in the very
state it would have reached without the stop.

Three liberties are taken with plain teacher forcing, to be done in minutes on one core:
- the tasks of a picture share its prefix: they lie side by side in one sequence, under a mask that
  hides them from one another, each with the positions it would have alone;
- location targets are smoothed over the neighbouring cells: next to right is nearly right;
- each patch is also told what covers it, through a head that is thrown away; the first steps
  train the vision half in this way alone.
"""

from __future__ import annotations

import argparse
import io
import itertools
import math
import re
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save as to_safetensors
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import (
    AutoTokenizer,
    Kosmos2Config,
    Kosmos2ForConditionalGeneration,
    Kosmos2Processor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from kosmoscope.training import shapes
from kosmoscope.training.tokenizer import (
    LOCATION_COUNT,
    build_tokenizer,
    read_lines,
    save_tokenizer,
    to_json,
    write_atomic,
)

_BOS, _PAD, _EOS = 0, 1, 2
_FIRST_SLOT_ID = 4  # transformers writes unk + 1, unk + 2, ... into the image slots


@dataclass(frozen=True)
class Recipe:
    """Sizes of the model and of the run."""

    # HF's processor ignores `size` under use_square_size and resizes to 224: stay there.
    image_size: int = 224
    patch_size: int = 28  # 8x8 patches: a picture must cost milliseconds
    vision_dim: int = 128
    vision_layers: int = 4
    vision_heads: int = 4
    text_dim: int = 192
    text_layers: int = 4
    text_heads: int = 6
    latents: int = 32
    ordinary_pieces: int = 2000
    batch: int = 32
    steps: int = 3300
    warmup: int = 100
    peak_rate: float = 2e-3
    weight_decay: float = 0.05
    clip: float = 1.0
    sight_steps: int = 1400  # of `steps`, so many come first for the vision half alone
    hint_weight: float = 0.5
    smoothing_cells: float = 0.8  # sigma of the location targets
    seed: int = 0


RECIPES = {
    "standin": Recipe(),
    "micro": Recipe(
        image_size=32,
        patch_size=16,
        vision_dim=16,
        vision_layers=1,
        vision_heads=2,
        text_dim=24,
        text_layers=1,
        text_heads=2,
        latents=4,
        ordinary_pieces=300,
        batch=2,
        steps=3,
        warmup=1,
        sight_steps=1,
    ),
}


# --- the model ------------------------------------------------------------------------------


def build_model(recipe: Recipe, vocab_size: int) -> Any:
    """A Kosmos2ForConditionalGeneration with a start from which little training goes far."""
    config = Kosmos2Config(
        text_config={
            "vocab_size": vocab_size,
            "max_position_embeddings": 2048,
            "embed_dim": recipe.text_dim,
            "layers": recipe.text_layers,
            "ffn_dim": 4 * recipe.text_dim,
            "attention_heads": recipe.text_heads,
            # No picture is seen twice, so there is nothing to overfit to.
            "dropout": 0.0,
            "attention_dropout": 0.0,
        },
        vision_config={
            "hidden_size": recipe.vision_dim,
            "intermediate_size": 4 * recipe.vision_dim,
            "num_hidden_layers": recipe.vision_layers,
            "num_attention_heads": recipe.vision_heads,
            "image_size": recipe.image_size,
            "patch_size": recipe.patch_size,
        },
        latent_query_num=recipe.latents,
    )
    torch.manual_seed(recipe.seed)
    # Eager, because on a CPU the fused attention's backward pass takes twice the step's time.
    kind: Any = Kosmos2ForConditionalGeneration
    model = kind._from_config(config, attn_implementation="eager")
    with torch.no_grad():
        _start_patches(model.vision_model.model.embeddings.patch_embedding.weight)
        positions = model.vision_model.model.embeddings.position_embedding.weight
        side = recipe.image_size // recipe.patch_size
        positions[1:] = _smooth_grid(side, recipe.vision_dim)
        # Location embeddings vary smoothly over the grid: what is learned for one cell serves its
        # neighbours. With random ones, 1,024 unrelated words would have to be learned.
        table = model.text_model.model.embed_tokens.weight
        table[-LOCATION_COUNT:] = 0.04 * _smooth_grid(shapes.GRID, recipe.text_dim)
        _start_layers(model, recipe)
    return model


def _start_layers(model: Any, recipe: Recipe) -> None:
    """Magneto's start (Wang et al. 2022, section 2.3) in place of HF's fixed deviation of 0.02.

    That one suits a width of 2,048; at a tenth of it, attention starts flat and stays so for long.
    """
    gain = math.sqrt(math.log(2 * recipe.text_layers))
    for layer in model.text_model.model.layers:
        attention, ffn = layer.self_attn, layer.ffn
        for linear in (attention.q_proj, attention.k_proj):
            torch.nn.init.xavier_normal_(linear.weight)
        for linear in (attention.v_proj, attention.out_proj, ffn.fc1, ffn.fc2):
            torch.nn.init.xavier_normal_(linear.weight, gain=gain)
    for layer in model.vision_model.model.encoder.layers:
        attention, mlp = layer.self_attn, layer.mlp
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj, mlp.fc1, mlp.fc2):
            torch.nn.init.xavier_normal_(linear.weight)
    # The features are L2-normalised, so their components are small; without a larger projection
    # every latent starts by averaging the whole picture.
    projection = model.image_to_text_projection
    projection.dense.weight.normal_(std=1.0)
    for linear in (projection.x_attn.q_proj, projection.x_attn.k_proj):
        linear.weight.normal_(std=1.5 * recipe.text_dim**-0.5)
    torch.nn.init.xavier_normal_(projection.x_attn.v_proj.weight)


class Hints(torch.nn.Module):
    """A head for training alone: each patch says which shape covers it, its colour and its box.

    Through the decoder a patch hears of its mistakes late and faintly. Told directly, the vision
    half learns in a few hundred steps what takes thousands otherwise.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.sizes = (len(shapes.SHAPES) + 1, len(shapes.COLOURS), 4)
        self.head = torch.nn.Linear(dim, sum(self.sizes))

    def forward(self, features: Tensor, hints: Tensor) -> Tensor:
        """The loss of (B, 1 + P, D) features against the (B, P, 6) rows of `shapes.patch_hints`."""
        names, colours, boxes = self.head(features[:, 1:]).float().split(self.sizes, dim=-1)
        covered = hints[..., 0] > 0
        kinds = hints[..., 0].long().flatten()
        loss: Tensor = functional.cross_entropy(names.flatten(0, 1), kinds)
        if covered.any():
            loss = loss + functional.cross_entropy(colours[covered], hints[covered][:, 1].long())
            loss = loss + 5.0 * functional.l1_loss(boxes[covered], hints[covered][:, 2:])
        return loss


def _start_patches(weight: Tensor) -> None:
    """Fill the patch filters (D, 3, P, P) with the lowest cosines of each colour channel.

    A cosine of order n is weighted with n, as pictures have amplitudes that fall with 1/n: else
    the layer norm that follows would hear of colours alone, and not of edges.
    """
    count, channels, size, _ = weight.shape
    at = (torch.arange(size) + 0.5) * math.pi / size
    orders = sorted(itertools.product(range(size), repeat=2), key=lambda pair: (sum(pair), pair))
    weight.zero_()
    for filter_index in range(count):
        down, across = orders[filter_index // channels % len(orders)]
        wave = torch.cos(down * at)[:, None] * torch.cos(across * at)[None, :]
        weight[filter_index, filter_index % channels] = (
            wave / wave.norm() / size * max(1.0, 4.0 * math.hypot(down, across))
        )


def _smooth_grid(side: int, dim: int) -> Tensor:
    """(side * side, dim) with unit deviation: cosines of row and column, randomly rotated."""
    at = (torch.arange(side) + 0.5) * math.pi / side
    waves = max(1, min(dim // 2, side))
    # Low frequencies weigh most: near cells are alike, far ones are not.
    wave = torch.stack([torch.cos(k * at) / k**0.5 for k in range(1, waves + 1)], dim=1)
    rows = wave[:, None, :].expand(side, side, waves)
    columns = wave[None, :, :].expand(side, side, waves)
    grid = torch.cat([rows, columns], dim=2).reshape(side * side, 2 * waves)
    rotation, _ = torch.linalg.qr(torch.randn(dim, dim))
    mixed = grid @ rotation[: 2 * waves]
    return mixed / mixed.std()


# --- batches --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Batch:
    """Pictures with their tasks side by side. B pictures, T tokens."""

    pixels: Tensor  # (B, 3, S, S) float32
    ids: Tensor  # (B, T)
    positions: Tensor  # (B, T) rows of the position table; the first token has 2
    segments: Tensor  # (B, T) 0: picture prefix, 1...: tasks, -1: padding
    labels: Tensor  # (B, T) the id to predict there, -100 where nothing is learned
    hints: Tensor  # (B, P, 6) see shapes.patch_hints


class Batcher:
    """Batches as a function of the step, so that a resumed run sees what it would have seen."""

    def __init__(self, tokenizer: Tokenizer, recipe: Recipe) -> None:
        self._tokenizer = tokenizer
        self._recipe = recipe
        slots = range(_FIRST_SLOT_ID, _FIRST_SLOT_ID + recipe.latents)
        opening, closing = (tokenizer.token_to_id(tag) for tag in ("<image>", "</image>"))
        self.prefix = [_BOS, opening, *slots, closing]

    def encode(self, text: str) -> list[int]:
        """Ids of a text without <s> and </s>."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def at(self, step: int) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng([self._recipe.seed, step])
        rows: list[tuple[list[int], list[int], list[int], list[int]]] = []
        pixels: list[NDArray[np.float32]] = []
        hints: list[NDArray[np.float32]] = []
        side = self._recipe.image_size // self._recipe.patch_size
        for _ in range(self._recipe.batch):
            scene = shapes.random_scene(rng)
            hints.append(shapes.patch_hints(scene, side))
            pixels.append(shapes.to_pixels(shapes.render(scene, self._recipe.image_size)))
            rows.append(self._row(list(shapes.examples(scene, rng))))
        length = max(len(row[0]) for row in rows)
        fills = (_PAD, _PAD, -1, -100)
        ids, positions, segments, labels = (
            torch.tensor([row[i] + [fill] * (length - len(row[i])) for row in rows])
            for i, fill in enumerate(fills)
        )
        pictures, told = torch.from_numpy(np.stack(pixels)), torch.from_numpy(np.stack(hints))
        return Batch(pictures, ids, positions, segments, labels, told)

    def _row(
        self, tasks: list[shapes.Example]
    ) -> tuple[list[int], list[int], list[int], list[int]]:
        ids = list(self.prefix)
        positions = [2 + index for index in range(len(ids))]
        segments, labels = [0] * len(ids), [-100] * len(ids)
        for number, task in enumerate(tasks, start=1):
            prompt, target = self.encode(task.prompt), [*self.encode(task.target), _EOS]
            # The last token predicts nothing, so it is not fed.
            words = [*prompt, *target[:-1]]
            ids += words
            positions += [2 + len(self.prefix) + index for index in range(len(words))]
            segments += [number] * len(words)
            labels += [-100] * (len(prompt) - 1) + target
        return ids, positions, segments, labels


# --- the loss -------------------------------------------------------------------------------


def encode_patches(model: Any, pixels: Tensor) -> Tensor:
    """(B, 3, S, S) -> (B, 1 + P, vision_dim) of unit length, as HF's forward does it."""
    features = model.vision_model.model.post_layernorm(model.vision_model(pixels)[0])
    patches: Tensor = functional.normalize(features, dim=-1)
    return patches


def target_logits(model: Any, batch: Batch, patches: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (N, V) and ids (N,) of the N target tokens of a batch.

    HF's forward builds a plain causal mask and writes the image embeddings in place, so the decoder
    is walked here: same layers, a mask that keeps the tasks apart, no logits for prompts.
    """
    decoder = model.text_model.model
    words = decoder.embed_tokens(batch.ids)
    images = model.image_to_text_projection(patches)[0].to(words.dtype)
    # The slots follow <s><image> in every row.
    embeddings = torch.cat([words[:, :2], images, words[:, 2 + images.shape[1] :]], dim=1)
    hidden = embeddings * decoder.embed_scale + decoder.embed_positions.weights[batch.positions]

    segments, length = batch.segments, batch.ids.shape[1]
    same = segments[:, :, None] == segments[:, None, :]  # (B, query, key)
    visible = (same | (segments[:, None, :] == 0)) & torch.ones(length, length).tril().bool()
    mask = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
    for layer in decoder.layers:
        hidden = layer(hidden, mask[:, None])  # (B, 1, query, key)

    wanted = batch.labels != -100
    logits: Tensor = model.text_model.lm_head(decoder.layer_norm(hidden[wanted]))
    return logits, batch.labels[wanted]


def smoothed_cells(sigma: float) -> Tensor:
    """(1024, 1024): for each target cell, what share of the target its neighbours get."""
    at = torch.arange(shapes.GRID, dtype=torch.float32)
    near = torch.exp(-((at[:, None] - at[None, :]) ** 2) / (2 * sigma**2))
    near = near / near.sum(dim=1, keepdim=True)
    return torch.kron(near, near)


@dataclass(frozen=True)
class Loss:
    """`total` has the gradient; the others are for the progress line."""

    total: Tensor
    words: float
    cells: float
    hints: float = 0.0


def loss_of(logits: Tensor, targets: Tensor, first_cell: int, smooth: Tensor) -> Loss:
    """Cross entropy; exact for words, smoothed over the grid for locations."""
    likelihood = functional.log_softmax(logits.float(), dim=-1)
    is_cell = targets >= first_cell
    words = -likelihood[~is_cell].gather(1, targets[~is_cell, None])
    shares = smooth[targets[is_cell] - first_cell]
    cells = -(shares * likelihood[is_cell, first_cell : first_cell + LOCATION_COUNT]).sum(dim=1)
    total = (words.sum() + cells.sum()) / targets.numel()
    return Loss(total, words.mean().item(), cells.mean().item() if len(cells) else 0.0)


# --- the run --------------------------------------------------------------------------------


class Run:
    """A training run in a folder; everything that its future depends on is in its checkpoint."""

    def __init__(self, tokenizer: Tokenizer, recipe: Recipe) -> None:
        self.tokenizer = tokenizer
        self.recipe = recipe
        self.step = 0
        self.batcher = Batcher(tokenizer, recipe)
        self.model = build_model(recipe, tokenizer.get_vocab_size())
        self.model.train()
        self._first_cell = tokenizer.get_vocab_size() - LOCATION_COUNT
        self._smooth = smoothed_cells(recipe.smoothing_cells)
        self.hints = Hints(recipe.vision_dim)
        self._parameters = parameters = [*self.model.parameters(), *self.hints.parameters()]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self._artist = ThreadPoolExecutor(max_workers=1)
        self._drawn: tuple[int, Future[Batch] | None] = (0, None)
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=(0.9, 0.98))

    def rate(self, step: int) -> float:
        """A cosine down to a fiftieth of the peak, with a linear warm-up of either stage."""
        recipe = self.recipe
        since = step if step < recipe.sight_steps else step - recipe.sight_steps
        cosine = 0.02 + 0.98 * (1 + math.cos(math.pi * step / recipe.steps)) / 2
        return recipe.peak_rate * cosine * min(1.0, (since + 1) / recipe.warmup)

    def advance(self) -> Loss:
        """One step of the optimiser."""
        batch = self._next_batch()
        # Weights, norms and the loss stay in single precision; the products run at double speed.
        with torch.autocast("cpu", dtype=torch.bfloat16):
            patches = encode_patches(self.model, batch.pixels)
            # Unit vectors are scaled back up, so that the head's start is an ordinary one.
            hint = self.hints(patches * patches.shape[-1] ** 0.5, batch.hints)
            if self.step < self.recipe.sight_steps:
                loss = Loss(hint, 0.0, 0.0, hint.item())
            else:
                logits, targets = target_logits(self.model, batch, patches)
                told = loss_of(logits, targets, self._first_cell, self._smooth)
                total = told.total + self.recipe.hint_weight * hint
                loss = Loss(total, told.words, told.cells, hint.item())
        self.optimiser.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, self.recipe.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(self.step)
        self.optimiser.step()
        self.step += 1
        return loss

    def _next_batch(self) -> Batch:
        """This step's batch; the next one is drawn while this one is learned."""
        step, drawn = self._drawn
        batch = drawn.result() if step == self.step and drawn else self.batcher.at(self.step)
        self._drawn = (self.step + 1, self._artist.submit(self.batcher.at, self.step + 1))
        return batch

    def save(self, path: Path) -> None:
        """Write the checkpoint; a stop in the middle leaves the previous one."""
        stream = io.BytesIO()
        torch.save(
            {
                "step": self.step,
                "model": self.model.state_dict(),
                "hints": self.hints.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "generator": torch.get_rng_state(),
            },
            stream,
        )
        write_atomic(path, stream.getvalue())

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.hints.load_state_dict(state["hints"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["generator"])
        self.step = int(state["step"])

    def export(self, folder: Path) -> None:
        """Write the hub's files, each atomically: weights in half precision, one copy of ties."""
        folder.mkdir(parents=True, exist_ok=True)
        save_tokenizer(self.tokenizer, folder)
        size = self.recipe.image_size
        write_atomic(folder / "preprocessor_config.json", to_json(preprocessor_config(size)))
        config = self.model.config.to_dict()
        config["architectures"] = ["Kosmos2ForConditionalGeneration"]
        config["dtype"] = "float16"
        write_atomic(folder / "config.json", to_json(config))
        ends = {"bos_token_id": _BOS, "pad_token_id": _PAD, "eos_token_id": _EOS}
        write_atomic(folder / "generation_config.json", to_json(ends))
        tied = "text_model.lm_head.weight"
        weights = {
            name: value.detach().to(torch.float16).contiguous()
            for name, value in self.model.state_dict().items()
            if name != tied
        }
        content = to_safetensors(weights, metadata={"format": "pt"})
        write_atomic(folder / "model.safetensors", content)


def preprocessor_config(size: int) -> dict[str, object]:
    """The released preprocessor's settings: the picture is squashed to a square."""
    return {
        "crop_size": {"height": size, "width": size},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": list(shapes.CLIP_MEAN),
        "image_processor_type": "CLIPImageProcessor",
        "image_std": list(shapes.CLIP_STD),
        "processor_class": "Kosmos2Processor",
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": size},
        "use_square_size": True,
    }


def prepare_tokenizer(captions: Path, folder: Path, recipe: Recipe) -> Tokenizer:
    """The run's tokenizer: read where it was trained before, else trained on the captions."""
    path = folder / "tokenizer.json"
    if not path.exists():
        lines = itertools.chain(read_lines(captions), shapes.corpus(400))
        trained = build_tokenizer(
            lines, ordinary_pieces=recipe.ordinary_pieces, reserved_slots=recipe.latents
        )
        save_tokenizer(trained, folder)
    return Tokenizer.from_file(str(path))


# --- the measure ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """What an exported folder does on fresh pictures, by transformers' greedy `generate`."""

    pictures: int
    nouns: float  # share of brief captions whose shape nouns are the right ones, as a multiset
    phrases: float  # share of true shape phrases ("two blue squares") said word for word
    caption_iou: float  # mean over true shape boxes of the best IoU in the caption; 0 if missed
    ground_iou: float  # mean IoU of the first box for the phrase of a lone thing
    seconds: float  # mean of a brief caption, image included


def evaluate(folder: Path, pictures: int, seed: int = 10_000) -> Figures:
    """Measure an exported folder. The pictures are not those of any training step's seed."""
    image_processor = CLIPImageProcessorPil.from_pretrained(folder)
    processor_kind: Any = Kosmos2Processor
    processor = processor_kind(image_processor, AutoTokenizer.from_pretrained(folder))
    model: Any = Kosmos2ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    model.eval()
    size, slots = model.config.vision_config.image_size, model.config.latent_query_num

    def answer(picture: Image.Image, prompt: str) -> tuple[str, Any]:
        inputs = processor(text=prompt, images=picture, num_image_tokens=slots, return_tensors="pt")
        ids = model.generate(**inputs, max_new_tokens=80, do_sample=False)
        text = processor.batch_decode(ids, skip_special_tokens=True)[0]
        caption, found = processor.post_process_generation(text)
        return caption, found

    nouns = spent = 0.0
    phrases: list[bool] = []
    caption_ious: list[float] = []
    ground_ious: list[float] = []
    for number in range(pictures):
        scene = shapes.random_scene(np.random.default_rng([seed, number]))
        picture = shapes.render(scene, size)
        begun = time.perf_counter()
        caption, found = answer(picture, "<grounding> An image of")
        spent += time.perf_counter() - begun
        truth = shapes.brief_target(scene, grounded=False)
        nouns += _nouns(caption) == _nouns(truth)
        boxes = [box for _, _, of_phrase in found for box in of_phrase]
        for entity in shapes.entities(scene):
            if entity.phrase.startswith("the "):
                continue
            phrases.append(entity.phrase in [phrase for phrase, _, _ in found])
            caption_ious += [
                max((_iou(box, b) for b in boxes), default=0.0) for box in entity.boxes
            ]
        lone = [entity for entity in shapes.entities(scene) if len(entity.boxes) == 1]
        for entity in lone[:1]:
            _, found = answer(picture, f"<grounding><phrase> {entity.phrase}</phrase>")
            ground_ious.append(_iou(entity.boxes[0], found[0][2][0]) if found else 0.0)
    return Figures(
        pictures=pictures,
        nouns=nouns / pictures,
        phrases=float(np.mean(phrases)),
        caption_iou=float(np.mean(caption_ious)),
        ground_iou=float(np.mean(ground_ious)),
        seconds=spent / pictures,
    )


def _nouns(caption: str) -> list[str]:
    """Shape nouns of a caption, sorted; a group counts once for each of its members."""
    found: list[str] = []
    for count, noun in re.findall(r"(\w+) \w+ (\w+)", caption.replace(" and ", " , ")):
        singular = noun.removesuffix("es") if noun == "crosses" else noun.removesuffix("s")
        for name in shapes.SHAPES:
            if name in (noun, singular):
                found += [name] * {"two": 2, "three": 3}.get(count, 1)
    return sorted(found)


def _iou(a: shapes.BoxNorm, b: shapes.BoxNorm) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return shared / (areas - shared)


# --- the command line -----------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m kosmoscope.training.train")
    parser.add_argument("--captions", type=Path, required=True, help="text, one sentence a line")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--config", choices=sorted(RECIPES), default="standin")
    parser.add_argument("--steps", type=int, help="length of the whole run (the cosine's too)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from --out/checkpoint.pt")
    parser.add_argument("--save-every", type=int, default=250, help="steps between checkpoints")
    parser.add_argument("--evaluate", type=int, default=0, metavar="N", help="pictures, at the end")
    options = parser.parse_args(arguments)

    torch.set_num_threads(options.threads)
    recipe = RECIPES[options.config]
    if options.steps is not None:
        recipe = replace(recipe, steps=options.steps)
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint = options.out / "checkpoint.pt"
    if checkpoint.exists() and not options.resume:
        parser.error(f"{checkpoint} exists: pass --resume to go on, or choose another --out")
    run = Run(prepare_tokenizer(options.captions, options.out, recipe), recipe)
    if options.resume and checkpoint.exists():
        run.load(checkpoint)

    count = sum(parameter.numel() for parameter in run.model.parameters())
    print(f"{count / 1e6:.2f} M parameters, {recipe.steps - run.step} steps to go", flush=True)
    begun, first = time.perf_counter(), run.step
    while run.step < recipe.steps:
        loss = run.advance()
        if run.step % 20 == 0 or run.step == recipe.steps:
            pace = (time.perf_counter() - begun) / (run.step - first)
            print(
                f"step {run.step}/{recipe.steps}  loss {loss.total.item():.3f}  "
                f"words {loss.words:.3f}  cells {loss.cells:.3f}  "
                f"hints {loss.hints:.3f}  {pace:.2f} s/step",
                flush=True,
            )
        if run.step % options.save_every == 0 or run.step == recipe.steps:
            run.save(checkpoint)
            run.export(options.out / "export")
    if options.evaluate:
        for name, value in vars(evaluate(options.out / "export", options.evaluate)).items():
            print(f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}")


if __name__ == "__main__":
    main()
