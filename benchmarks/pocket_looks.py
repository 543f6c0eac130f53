"""What keeping the aspect, and looking at several sizes, bring pocket's detector.

    python benchmarks/pocket_looks.py --data FOLDER --teachers FOLDER [--limit 100]

On the COCO pictures of FOLDER whose labels are complete. Nothing here is trained, so none is held
out. For each way of looking: the share of things that are found, and of largest objects (15 % of
the picture or more), at the lowest score at which four of five boxes are right (IoU 0.5); and the
time of the frozen networks' PyTorch form, which is not that of the product.

Needs the training group (`pip install --group training`), as `recipes/pocket` does.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import machine
from kosmoscope.evaluation.data import Truth
from kosmoscope.evaluation.judging import LARGE
from kosmoscope.evaluation.matching import Guess, match
from kosmoscope.evaluation.words import CLASS_NAMES
from kosmoscope.images import pixel_tensor
from recipes.pocket.features import PIXELS, TOWER
from recipes.pocket.records import read_set
from recipes.pocket.teachers import read_teachers
from recipes.pocket.vision import Frozen, vote

PRECISION = 0.8
WAYS: dict[str, tuple[bool, tuple[int, ...]]] = {
    "squashed to 416 x 416": (True, (416,)),
    "416, aspect kept": (False, (416,)),
    "544, aspect kept": (False, (544,)),
    "416 and 544": (False, (544, 416)),
    "320, 416 and 544": (False, (544, 416, 320)),
}


@dataclass(frozen=True)
class Seen:
    """A picture's labels and what was found."""

    truths: tuple[Truth, ...]
    guesses: list[Guess]


def look(frozen: Frozen, picture: Image.Image, squash: bool, sides: tuple[int, ...]) -> list[Guess]:
    """The candidates of one picture."""
    if squash:
        picture = picture.resize((sides[0], sides[0]), Image.Resampling.BICUBIC)
    spec = replace(PIXELS, size_wh=(sides[0], sides[0]))
    pixels = torch.from_numpy(pixel_tensor(np.asarray(picture), spec))[None]
    frozen.v = replace(TOWER, image_size=sides[0], looks=sides)
    with torch.no_grad():
        looks = [frozen.detector(frozen.sized(pixels, side)) for side in sides]
        rows: NDArray[np.float32] = vote(looks, frozen.v)[0].numpy()
    return [
        Guess(name := CLASS_NAMES[int(r[:80].argmax())], frozenset({name}),
              (float(r[81]), float(r[82]), float(r[83]), float(r[84])), float(r[:80].max()))
        for r in rows if r[:80].max() > 0
    ]  # fmt: skip


def figures(seen: list[Seen]) -> tuple[float, float, float]:
    """Lowest score with the precision, share of things found, share of largest objects found."""
    scored, large = [], []
    for s in seen:
        pairs = match(s.guesses, s.truths)
        scored += [(g.score or 0.0, p is not None) for g, p in zip(s.guesses, pairs, strict=True)]
        areas = [t.area for t in s.truths]
        if areas and max(areas) >= LARGE:
            best = int(np.argmax(areas))
            mine = [g.score or 0.0 for g, p in zip(s.guesses, pairs, strict=True) if p == best]
            large.append(max(mine, default=0.0))
    scored.sort(reverse=True)
    right = np.cumsum([r for _, r in scored])
    kept = np.flatnonzero(right / np.arange(1, len(right) + 1) >= PRECISION)
    last = int(kept[-1]) if len(kept) else 0
    least = scored[last][0]
    total = sum(len(s.truths) for s in seen)
    return least, float(right[last]) / total, float(np.mean([s >= least for s in large]))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the packed sets")
    parser.add_argument("--teachers", type=Path, required=True, help="folder of the two networks")
    parser.add_argument("--limit", type=int, help="pictures at most")
    options = parser.parse_args()
    print(machine.describe())
    frozen = Frozen(TOWER, read_teachers(options.teachers))
    pictures = [
        (tuple(b for b in record.boxes if not b.stuff), picture.convert("RGB"))
        for record, picture, _ in read_set(options.data, "coco")
        if record.labels_complete
    ][: options.limit]
    print(f"{len(pictures)} pictures, {sum(len(t) for t, _ in pictures)} things")
    print("| seen | score | things found | largest found | seconds |\n|---|---|---|---|---|")
    for name, (squash, sides) in WAYS.items():
        began = time.perf_counter()
        seen = [Seen(t, look(frozen, p, squash, sides)) for t, p in pictures]
        pace = (time.perf_counter() - began) / len(pictures)
        least, things, large = figures(seen)
        print(f"| {name} | {least:.2f} | {things:.1%} | {large:.1%} | {pace:.2f} |", flush=True)


if __name__ == "__main__":
    main()
