"""Photographs with masks as a sample of boxes and their true segments.

A data folder holds `coco.jsonl`, `coco.tar`, `coco-masks.tar` and `coco-classes.json`: records
with boxes (normalised) and 8-bit masks whose value is the class of each pixel. Instances of one
class share a value, so a thing's segment is the pixels of its class inside its box, and boxes that
share more than 3 % of such pixels with another box of that class are left out: nobody could say
whose they are. Stuff is all pixels of the class. Segments under 2 % of the picture are left out.
Each box is tightened to its segment.

A quarter of the records, chosen by the hash of the name, is kept aside: nothing was tuned or fitted
on it.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.segment import BoxPrompt

SMALLEST = 0.02
SHARED = 0.03


@dataclass(frozen=True, eq=False)
class Segment:
    """A box and what is truly in it."""

    label: str
    stuff: bool
    truth: NDArray[np.bool_]
    box: tuple[int, int, int, int]

    def prompt(self) -> BoxPrompt:
        """Return the prompt that a segmenter gets."""
        return BoxPrompt(tuple(float(v) for v in self.box), self.label, (), self.stuff)


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture and its segments."""

    file: str
    rgb: NDArray[np.uint8]
    segments: tuple[Segment, ...]
    aside: bool


def kept_aside(file: str) -> bool:
    """Tell whether a record is for the final table only."""
    return hashlib.sha256(f"coco/{file}".encode()).digest()[0] < 64


def photos(folder: Path) -> Iterator[Photo]:
    """Yield the photos that have a segment."""
    names = json.loads((folder / "coco-classes.json").read_text())
    number = {name: int(key) for key, name in names.items()}
    with tarfile.open(folder / "coco.tar") as tar, tarfile.open(folder / "coco-masks.tar") as masks:
        have = set(masks.getnames())
        for line in (folder / "coco.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            mask_name = record["file"].rsplit(".", 1)[0] + ".png"
            if mask_name not in have:
                continue
            rgb = np.array(_open(tar, record["file"]).convert("RGB"))
            classes = np.array(_open(masks, mask_name))
            segments = tuple(_segments(record["boxes"], classes, number))
            if segments:
                yield Photo(record["file"], rgb, segments, kept_aside(record["file"]))


def _open(tar: tarfile.TarFile, name: str) -> Image.Image:
    file = tar.extractfile(name)
    assert file is not None
    return Image.open(io.BytesIO(file.read()))


def _segments(
    boxes: list[dict], classes: NDArray[np.uint8], number: dict[str, int]
) -> Iterator[Segment]:
    h, w = classes.shape
    for i, box in enumerate(boxes):
        of_class = classes == number[box["label"]]
        truth = of_class
        if not box["stuff"]:
            truth = of_class & _inside(box, (w, h), 0.25)
            shared = np.zeros_like(truth)
            for j, other in enumerate(boxes):
                if j != i and other["label"] == box["label"]:
                    shared |= _inside(other, (w, h), 0.0)
            if (truth & shared).sum() > SHARED * truth.sum():
                continue
        if not truth.any() or truth.sum() < SMALLEST * w * h:
            continue
        ys, xs = np.nonzero(truth)
        tight = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
        yield Segment(box["label"], box["stuff"], truth, tight)


def _inside(box: dict, size_wh: tuple[int, int], slack: float) -> NDArray[np.bool_]:
    w, h = size_wh
    x1, y1 = (max(int(np.floor(v + slack)), 0) for v in np.multiply(box["xyxy"][:2], (w, h)))
    x2, y2 = (int(np.ceil(v - slack)) for v in np.multiply(box["xyxy"][2:], (w, h)))
    inside = np.zeros((h, w), np.bool_)
    inside[y1:y2, x1:x2] = True
    return inside
