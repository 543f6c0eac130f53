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

from kosmoscope.evaluation.data import Truth, held_out
from kosmoscope.geometry import XYXY, containment, intersection, norm_to_px, px_to_norm

_LEAST_VISIBLE = 0.45  # a box cut to less of itself is not named any more


@dataclass(frozen=True)
class Record:
    """What is known of one picture."""

    set_name: str
    file: str
    boxes: tuple[Truth, ...] = ()
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
        boxes = [[b.label, *b.xyxy, b.stuff] for b in self.boxes]
        return json.dumps({
            "set": self.set_name, "file": self.file, "boxes": boxes, "captions": self.captions,
            "scene": self.scene, "label": self.label, "complete": self.labels_complete,
            "view": self.view,
        })  # fmt: skip

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Read a line of `to_json`."""
        r = json.loads(line)
        boxes = tuple(Truth(b[0], (b[1], b[2], b[3], b[4]), b[5]) for b in r["boxes"])
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
                tuple(Truth(b["label"], tuple(b["xyxy"]), b["stuff"]) for b in r["boxes"]),
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
    record: Record, picture: Image.Image, mask: NDArray[np.uint8] | None, window: XYXY, name: str
) -> tuple[Record, Image.Image, NDArray[np.uint8] | None]:
    """Cut a normalised window out of a picture and its labels."""
    x1, y1, x2, y2 = (round(edge) for edge in norm_to_px(window, picture.size))
    boxes = []
    for box in record.boxes:
        xyxy_px = norm_to_px(box.xyxy, picture.size)
        left = intersection(xyxy_px, (x1, y1, x2, y2))
        if left is not None and containment(xyxy_px, left) >= _LEAST_VISIBLE:
            moved = (left[0] - x1, left[1] - y1, left[2] - x1, left[3] - y1)
            a, b, c, d = (round(edge, 4) for edge in px_to_norm(moved, (x2 - x1, y2 - y1)))
            boxes.append(Truth(box.label, (a, b, c, d), box.stuff))
    cut = None if mask is None else mask[y1:y2, x1:x2]
    return replace(record, boxes=tuple(boxes), view=name), picture.crop((x1, y1, x2, y2)), cut
