"""Photographs and pasted pictures of which it is known what they are about.

A data folder holds `coco.*` with masks (see `segmentation_data`), `stamps.*` (cut-out photographs
with alpha) and `intel.*` (scenes).

`photographs`: COCO's panoptic masks have a class for each pixel. What a picture is about is taken
to be the pixels of the class of things that covers most of it, and of every other that covers at
least a quarter as much; pictures where that is less than 3 % or more than 85 % are left out. People
who mark salient objects would often choose fewer of them, so that no method comes near 1.

`pasted`: a stamp on a scene that has nothing to do with it, at a random place and size. Its alpha
is the truth, soft edge and all. The scenes are 100 pixels wide and enlarged, as if out of focus.
Two thirds of the stamps are for choosing the size (`chosen=True`), one third is not; the radius of
the refinement was chosen on 60 of both.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SMALLEST, LARGEST = 0.03, 0.85
ALSO = 0.25
"""Of the largest class: others that cover as much are part of it."""
THINGS = 90
"""COCO's panoptic categories up to this number are things, those above stuff."""


@dataclass(frozen=True, eq=False)
class Marked:
    """A picture and what it is about."""

    file: str
    rgb: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    """(H, W), 0..255; of photographs 0 and 255 only."""

    @property
    def bits(self) -> NDArray[np.bool_]:
        return self.truth >= 128


def photographs(folder: Path) -> Iterator[Marked]:
    """Yield COCO's pictures with masks, in the order of the set."""
    with tarfile.open(folder / "coco.tar") as tar, tarfile.open(folder / "coco-masks.tar") as masks:
        have = set(masks.getnames())
        for line in (folder / "coco.jsonl").read_text(encoding="utf-8").splitlines():
            file = json.loads(line)["file"]
            mask_name = file.rsplit(".", 1)[0] + ".png"
            if mask_name not in have:
                continue
            classes = np.array(_open(masks, mask_name))
            ids, sizes = np.unique(classes[(classes > 0) & (classes <= THINGS)], return_counts=True)
            if not len(ids):
                continue
            about = np.isin(classes, ids[sizes >= ALSO * sizes.max()])
            if SMALLEST <= about.mean() <= LARGEST:
                rgb = np.array(_open(tar, file).convert("RGB"))
                yield Marked(file, rgb, about.astype(np.uint8) * 255)


def pasted(
    folder: Path, size_wh: tuple[int, int] = (400, 300), *, chosen: bool = False, every: int = 1
) -> Iterator[Marked]:
    """Yield stamps on scenes.

    Args:
        folder: of the data.
        size_wh: of the pictures; stamps are enlarged where they must be.
        chosen: the stamps that choices were made on, not the others.
        every: of them, one in so many.
    """
    rng = np.random.default_rng(0)
    width, height = size_wh
    with tarfile.open(folder / "stamps.tar") as tar, tarfile.open(folder / "intel.tar") as scenes:
        names, places = sorted(tar.getnames()), sorted(scenes.getnames())
        kept = [n for i, n in enumerate(names) if (i % 3 != 2) == chosen]
        for name in kept[::every]:
            stamp = _open(tar, name).convert("RGBA")
            scene = _open(scenes, places[int(rng.integers(len(places)))]).convert("RGB")
            scene = scene.resize(size_wh, Image.Resampling.BICUBIC)
            scale = float(rng.uniform(0.4, 0.9)) * min(width / stamp.width, height / stamp.height)
            stamp_wh = (max(int(stamp.width * scale), 8), max(int(stamp.height * scale), 8))
            stamp = stamp.resize(stamp_wh, Image.Resampling.BICUBIC)
            left = int(rng.integers(width - stamp.width + 1))
            top = int(rng.integers(height - stamp.height + 1))
            scene.paste(stamp, (left, top), stamp.getchannel("A"))
            truth = Image.new("L", size_wh)
            truth.paste(stamp.getchannel("A"), (left, top))
            marked = Marked(name, np.array(scene), np.array(truth))
            if marked.bits.mean() >= SMALLEST:
                yield marked


def _open(tar: tarfile.TarFile, name: str) -> Image.Image:
    file = tar.extractfile(name)
    assert file is not None
    return Image.open(io.BytesIO(file.read()))
