"""Fit the classical segmenter's prior on photographs with masks; writes prior.safetensors.

    python benchmarks/segmentation_prior.py --data FOLDER [--save FILE]

Photos kept aside (`segmentation_data`) are never read. Each photo is used as it is, and once more
with boxes moved at random and some of them left out, because a model's boxes are neither exact nor
complete. The second stage sees the first stage's guesses on photos that it was not fitted on (five
parts in turn); the same turn gives the cross-validated overlaps that are printed. Needs PyTorch.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.numpy import save_file
from torch.nn import functional

import kosmoscope.segment.classical.prior as prior_module
from kosmoscope.segment.classical import ClassicalSegmenter
from kosmoscope.segment.classical.cues import Scene, first_cues, scene, second_cues
from kosmoscope.segment.classical.prior import Prior, Weighing
from kosmoscope.segment.classical.regions import Floats, Regions, divide
from segmentation_data import Photo, photos

HIDDEN, FOLDS = 16, 5
EPOCHS, BATCH, RATE, DECAY, DROPOUT = 30, 16, 6e-3, 2e-2, 0.1


def fold_of(file: str) -> int:
    """Return the part that a photo belongs to, by its name."""
    return hashlib.sha256(f"fold/{file}".encode()).digest()[0] % FOLDS


class Example:
    """One photo with one choice of boxes."""

    def __init__(self, photo: Photo, regions: Regions, rng: np.random.Generator | None) -> None:
        h, w = photo.rgb.shape[:2]
        segments = list(photo.segments)
        if rng is not None:
            chosen = [s for s in segments if rng.random() > 0.3]
            segments = chosen or [segments[int(rng.integers(len(segments)))]]
        boxes = np.array([s.box for s in segments], np.float32)
        if rng is not None:
            size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
            boxes += rng.normal(0, 0.03, boxes.shape) * size
            boxes[:, 0::2] = boxes[:, 0::2].clip(0, w)
            boxes[:, 1::2] = boxes[:, 1::2].clip(0, h)
        self.file, self.segments, self.exact = photo.file, segments, rng is None
        stuff = np.array([s.stuff for s in segments], np.float32)
        self.scene: Scene = scene(regions, boxes.astype(np.float32), stuff)
        n, flat = len(regions.area), regions.labels.ravel()
        count = [np.bincount(flat, s.truth.ravel(), minlength=n) for s in segments]
        self.truth = (np.stack(count) / regions.area).astype(np.float32)
        self.cues = first_cues(self.scene)
        self.guess = np.zeros_like(self.truth)

    def fold(self) -> int:
        return fold_of(self.file)


class Net(torch.nn.Module):
    """The network of `Weighing`, to be fitted."""

    def __init__(self, cues: torch.Tensor) -> None:
        super().__init__()
        self.mean, self.spread = cues.mean(0), cues.std(0) + 1e-3
        self.a = torch.nn.Linear(cues.shape[1], HIDDEN)
        self.b = torch.nn.Linear(HIDDEN, HIDDEN)
        self.c = torch.nn.Linear(HIDDEN, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = ((x - self.mean) / self.spread).clamp(-4, 4)
        x = functional.dropout(x, DROPOUT / 2, self.training)
        x = functional.dropout(torch.relu(self.a(x)), DROPOUT, self.training)
        x = functional.dropout(torch.relu(self.b(x)), DROPOUT, self.training)
        return self.c(x)[..., 0]

    def weighing(self) -> Weighing:
        parts = [self.mean, self.spread]
        for layer in (self.a, self.b):
            parts += [layer.weight.T, layer.bias]
        parts += [self.c.weight[0], self.c.bias[0]]
        return Weighing(*(np.ascontiguousarray(p.detach().numpy()) for p in parts))


def fit(examples: list[Example], seed: int = 0) -> Weighing:
    """Fit one stage on the examples' present cues: cross entropy and soft overlap per box."""
    torch.manual_seed(seed)
    rows, truths, areas = [], [], []
    for e in examples:
        for b in range(len(e.truth)):
            use = e.scene.cover[b] > 0
            rows.append(torch.from_numpy(e.cues[b][use]))
            truths.append(torch.from_numpy(e.truth[b][use]))
            area = (e.scene.cover[b] * e.scene.regions.area)[use]
            areas.append(torch.from_numpy(area / area.sum()))
    net = Net(torch.cat(rows))
    steps = EPOCHS * -(-len(rows) // BATCH)
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(rows)).split(BATCH):
            pick = chosen.tolist()
            x, g, w = (torch.cat([part[i] for i in pick]) for part in (rows, truths, areas))
            owner = torch.repeat_interleave(
                torch.arange(len(pick)), torch.tensor([len(areas[i]) for i in pick])
            )
            z = net(x)
            p = torch.sigmoid(z)
            zero = torch.zeros(len(pick))
            entropy = functional.binary_cross_entropy_with_logits(z, g, w, reduction="sum")
            both = zero.index_add(0, owner, p * g * w)
            either = zero.index_add(0, owner, (p + g - p * g) * w)
            loss = entropy / len(pick) + (1 - both / either).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return net.weighing()


def in_turn(examples: list[Example]) -> list[Weighing]:
    """Set every example's guess by networks that were fitted on other photos; return them."""
    stages = []
    for fold in range(FOLDS):
        stage = fit([e for e in examples if e.fold() != fold])
        for e in examples:
            if e.fold() == fold:
                e.guess = prior_module.apply(stage, e.scene, e.cues)
        stages.append(stage)
    return stages


def score_line(photo_list: list[Photo], priors: list[Prior]) -> Floats:
    """Fit what foretells a mask's overlap, on photos that their prior was not fitted on."""
    segmenters = [ClassicalSegmenter(prior) for prior in priors]
    rows, overlaps = [], []
    for photo in photo_list:
        answers = segmenters[fold_of(photo.file)].answers(
            photo.rgb, [s.prompt() for s in photo.segments]
        )
        for segment, (mask, cues) in zip(photo.segments, answers, strict=True):
            rows.append(np.append(cues, 1.0))
            both, either = (mask & segment.truth).sum(), (mask | segment.truth).sum()
            overlaps.append((segment.stuff, both / max(either, 1)))
    for stuff in (False, True):
        kind = "stuff" if stuff else "things"
        print(
            f"masks, cross-validated: {kind} {np.mean([o for s, o in overlaps if s == stuff]):.3f}"
        )
    # A little of the identity keeps the line from following chance in a few hundred masks.
    x, y = np.array(rows), np.array([o for _, o in overlaps])
    ridge = np.diag([1e-2 * len(x)] * (x.shape[1] - 1) + [0.0])
    return np.linalg.solve(x.T @ x + ridge, x.T @ y).astype(np.float32)


def overlap(examples: list[Example]) -> str:
    """Return the mean IoU of guesses on exact boxes, region by region."""
    found: dict[bool, list[float]] = {False: [], True: []}
    for e in examples:
        for b, segment in enumerate(e.segments):
            area, cover, truth = e.scene.regions.area, e.scene.cover[b], e.truth[b]
            mask = e.guess[b] > 0.5
            both = (mask * np.minimum(truth, cover) * area).sum()
            either = (np.where(mask, np.maximum(cover, truth), truth) * area).sum()
            if e.exact:
                found[segment.stuff].append(float(both / either))
    return f"things {np.mean(found[False]):.3f}, stuff {np.mean(found[True]):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--save", type=Path, default=Path(prior_module.__file__).parent / prior_module.FILE
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rng = np.random.default_rng(0)
    fitted = [photo for photo in photos(args.data) if not photo.aside]
    examples = []
    for photo in fitted:
        regions = divide(cv2, photo.rgb)
        examples.append(Example(photo, regions, None))
        examples.append(Example(photo, regions, rng))
    print(len(examples), "examples", flush=True)
    first = fit(examples)
    firsts = in_turn(examples)
    print("first stage, cross-validated:", overlap(examples), flush=True)
    for e in examples:
        e.cues = np.concatenate([e.cues, second_cues(e.scene, e.guess)], axis=2)
    second = fit(examples)
    seconds = in_turn(examples)
    print("second stage, cross-validated:", overlap(examples), flush=True)
    no_score = np.zeros(7, np.float32)
    score = score_line(
        fitted, [Prior(a, b, no_score) for a, b in zip(firsts, seconds, strict=True)]
    )
    parts = ("mean", "spread", "a", "a0", "b", "b0", "c", "c0")
    tensors = {
        f"{name}.{part}": np.asarray(getattr(stage, part), np.float32)
        for name, stage in (("first", first), ("second", second))
        for part in parts
    }
    tensors["score"] = score
    save_file(tensors, args.save)


if __name__ == "__main__":
    main()
