"""Reading packed photo sets: `<set>.tar` beside `<set>.jsonl`, masks in `<set>-masks.tar`.

Frame of reference: boxes are (x1, y1, x2, y2) in 0..1 of the picture's width and height.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.evaluation.data import held_out

BoxNorm = tuple[float, float, float, float]

_LEAST_VISIBLE = 0.45  # a box cut to less of itself is not named any more


@dataclass(frozen=True)
class Labelled:
    """A box with a name; `stuff` is a region such as sky, as against a countable thing."""

    label: str
    xyxy_norm: BoxNorm
    stuff: bool = False


@dataclass(frozen=True)
class Record:
    """What is known of one picture."""

    set_name: str
    file: str
    boxes: tuple[Labelled, ...] = ()
    captions: tuple[str, ...] = ()
    scene: str | None = None
    label: str | None = None
    labels_complete: bool = False
    view: str = "full"
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def held_out(self) -> bool:
        """True for the share of the pictures on which figures are taken."""
        return held_out(self.set_name, self.file)

    def to_json(self) -> str:
        """One line."""
        boxes = [[b.label, *b.xyxy_norm, b.stuff] for b in self.boxes]
        return json.dumps({
            "set": self.set_name, "file": self.file, "boxes": boxes, "captions": self.captions,
            "scene": self.scene, "label": self.label, "complete": self.labels_complete,
            "view": self.view,
        })  # fmt: skip

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Read a line of `to_json`."""
        r = json.loads(line)
        boxes = tuple(Labelled(b[0], (b[1], b[2], b[3], b[4]), b[5]) for b in r["boxes"])
        return cls(r["set"], r["file"], boxes, tuple(r["captions"]), r["scene"], r["label"],
                   r["complete"], r["view"])  # fmt: skip


def read_set(
    folder: Path, name: str, every: int = 1
) -> Iterator[tuple[Record, Image.Image, NDArray[np.uint8] | None]]:
    """Yield (record, picture, mask or None) of each `every`-th picture of a set."""
    archive = folder / f"{name}-masks.tar"
    lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    with ExitStack() as stack:
        tar = stack.enter_context(tarfile.open(folder / f"{name}.tar"))
        masks = stack.enter_context(tarfile.open(archive)) if archive.exists() else None
        have = set(masks.getnames()) if masks else set()
        for number, line in enumerate(lines):
            if number % every:
                continue
            r = json.loads(line)
            record = Record(
                name,
                r["file"],
                tuple(Labelled(b["label"], tuple(b["xyxy"]), b["stuff"]) for b in r["boxes"]),
                tuple(r["captions"]),
                r["scene"],
                r["label"],
                r["labels_complete"],
            )
            mask_name = r["file"].rsplit(".", 1)[0] + ".png"
            mask = None
            if masks and mask_name in have:
                mask = np.asarray(_open(masks, mask_name), np.uint8)
            yield record, _open(tar, r["file"]), mask


def _open(tar: tarfile.TarFile, name: str) -> Image.Image:
    member = tar.extractfile(name)
    if member is None:
        raise ValueError(f"{name} is not a file in {tar.name!r}")
    return Image.open(io.BytesIO(member.read()))


def crop(
    record: Record, picture: Image.Image, mask: NDArray[np.uint8] | None, window: BoxNorm, name: str
) -> tuple[Record, Image.Image, NDArray[np.uint8] | None]:
    """Cut a window out of a picture and its labels."""
    w, h = picture.size
    x1, y1, x2, y2 = (round(e * s) for e, s in zip(window, (w, h, w, h), strict=True))
    boxes = []
    for box in record.boxes:
        a, b, c, d = box.xyxy_norm
        moved = [(a * w - x1) / (x2 - x1), (b * h - y1) / (y2 - y1),
                 (c * w - x1) / (x2 - x1), (d * h - y1) / (y2 - y1)]  # fmt: skip
        clipped = [min(max(e, 0.0), 1.0) for e in moved]
        area = (moved[2] - moved[0]) * (moved[3] - moved[1])
        left = max(clipped[2] - clipped[0], 0) * max(clipped[3] - clipped[1], 0)
        if area > 0 and left / area >= _LEAST_VISIBLE:
            rounded = tuple(round(e, 4) for e in clipped)
            boxes.append(Labelled(box.label, rounded, box.stuff))  # type: ignore[arg-type]
    cut = None if mask is None else mask[y1:y2, x1:x2]
    return replace(record, boxes=tuple(boxes), view=name), picture.crop((x1, y1, x2, y2)), cut
