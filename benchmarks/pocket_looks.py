"""What keeping the aspect, and looking at several sizes, bring pocket's detector.

    python benchmarks/pocket_looks.py --data FOLDER --teachers FOLDER [--held-out]

On the COCO pictures of FOLDER whose labels are complete; nothing here is trained. For each way of
looking: the share of things that are found, and of largest objects (15 % of the picture or more),
at the lowest score at which four of five boxes are right (IoU 0.5); and the time of the frozen
networks' PyTorch form, which is not that of the product.

Needs the training group (`pip install --group training`), as `recipes/pocket` does.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import machine

sys.path.insert(0, str(Path(__file__).parent.parent))  # recipes

from kosmoscope.evaluation.figures import PRECISION
from kosmoscope.evaluation.matching import Guess
from kosmoscope.evaluation.objects import judged
from kosmoscope.evaluation.phrases import Classes
from kosmoscope.evaluation.recall import recall_at
from kosmoscope.evaluation.words import CLASS_NAMES
from kosmoscope.images import pixel_tensor
from recipes.pocket.features import PIXELS, TOWER
from recipes.pocket.records import read_set
from recipes.pocket.teachers import read_teachers
from recipes.pocket.vision import Frozen, vote

CLASSES = Classes(CLASS_NAMES)
WAYS: dict[str, tuple[bool, tuple[int, ...]]] = {
    "squashed to 416 x 416": (True, (416,)),
    "416, aspect kept": (False, (416,)),
    "544, aspect kept": (False, (544,)),
    "416 and 544": (False, (544, 416)),
    "320, 416 and 544": (False, (544, 416, 320)),
}


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
        Guess(CLASS_NAMES[int(r[:80].argmax())], frozenset(),
              (float(r[81]), float(r[82]), float(r[83]), float(r[84])), float(r[:80].max()))
        for r in rows if r[:80].max() > 0
    ]  # fmt: skip


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the packed sets")
    parser.add_argument("--teachers", type=Path, required=True, help="folder of the two networks")
    parser.add_argument("--held-out", action="store_true", help="those that training leaves out")
    options = parser.parse_args()
    print(machine.describe())
    frozen = Frozen(TOWER, read_teachers(options.teachers))
    pictures = [
        (record.boxes, picture.convert("RGB"))
        for record, picture, _ in read_set(options.data, "coco")
        if record.labels_complete and (record.held_out or not options.held_out)
    ]
    things = sum(not b.stuff for boxes, _ in pictures for b in boxes)
    print(f"{len(pictures)} pictures, {things} things")
    print("| seen | score | things found | largest found | seconds |\n|---|---|---|---|---|")
    for name, (squash, sides) in WAYS.items():
        began = time.perf_counter()
        seen = [judged(look(frozen, p, squash, sides), t, CLASSES) for t, p in pictures]
        pace = (time.perf_counter() - began) / len(pictures)
        found = recall_at(PRECISION, seen)
        share = found.things / sum(len(s.areas) for s in seen)
        large = found.largest / sum(s.largest is not None for s in seen)
        print(f"| {name} | {found.threshold:.2f} | {share:.1%} | {large:.1%} | {pace:.2f} |",
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
