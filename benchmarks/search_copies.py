"""Copies of a picture: how many the hash of `kosmoscope.images.hashing` finds, and what else.

    python benchmarks/search_copies.py DATA [--limit 400]

DATA is a folder of labelled sets (docs/evaluation.md). Every picture is changed in some ways; shown
is how many of the changed ones lie within each number of bits of the picture, and how many pairs of
different pictures do. (The sets may contain true copies; nobody has looked for them.)
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from kosmoscope.evaluation.data import PhotoSet
from kosmoscope.images.hashing import picture_hash
from kosmoscope.search.likeness import SAME_BITS

SETS = ("coco", "flickr8k", "caltech", "intel")
DISTANCES = (2, 4, 6, 8, 10)


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file).convert("RGB")


def framed(share: float) -> Callable[[Image.Image], Image.Image]:
    """Return what cuts off so much on every side."""

    def cut(image: Image.Image) -> Image.Image:
        w, h = image.size
        return image.crop((int(w * share), int(h * share), int(w - w * share), int(h - h * share)))

    return cut


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half the size": lambda i: i.resize((max(1, i.width // 2), max(1, i.height // 2))),
    "JPEG quality 30": recompressed,
    "20 % more light": lambda i: ImageEnhance.Brightness(i).enhance(1.2),
    "20 % less contrast": lambda i: ImageEnhance.Contrast(i).enhance(0.8),
    "2 % cut off all around": framed(0.02),
    "5 % cut off all around": framed(0.05),
    "mirrored": lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def hashed(image: Image.Image) -> int:
    return picture_hash(np.asarray(image))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit", type=int, default=400, help="pictures of a set")
    args = parser.parse_args()
    own: list[int] = []
    changed: dict[str, list[int]] = {name: [] for name in CHANGES}
    for name in SETS:
        with PhotoSet(args.data, name) as photos:
            for record in photos.chosen(args.limit):
                image = Image.fromarray(photos.read(record).rgb)
                own.append(hashed(image))
                for how, change in CHANGES.items():
                    changed[how].append(hashed(change(image)))
    print(f"{len(own)} pictures; the limit is {SAME_BITS} bits")
    print(" | ".join(["within bits", *map(str, DISTANCES)]))
    for how, hashes in changed.items():
        apart = np.array([(a ^ b).bit_count() for a, b in zip(own, hashes, strict=True)])
        print(" | ".join([how, *(f"{(apart <= d).mean():.1%}" for d in DISTANCES)]))
    pairs = [(a ^ b).bit_count() for i, a in enumerate(own) for b in own[:i]]
    close = [str(sum(p <= d for p in pairs)) for d in DISTANCES]
    print(" | ".join([f"of {len(pairs)} pairs of different pictures", *close]))


if __name__ == "__main__":
    main()
