"""Packed sets of drawn pictures, and descriptions with chosen words and boxes, for the tests."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kosmoscope.results import Description
from kosmoscope.types import XYXY, Box, Entity, ImageInfo

WH = (60, 40)
DOG, CAT = (0.1, 0.1, 0.6, 0.8), (0.7, 0.2, 0.95, 0.6)


def drawn(seed: int) -> bytes:
    """Return a PNG of coloured patches."""
    patches = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    return png(np.kron(patches, np.ones((10, 10, 1), np.uint8)))


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def record(file: str, **fields: Any) -> dict[str, Any]:
    return {"file": file, "width": WH[0], "height": WH[1], **fields}


def labelled(label: str, xyxy: Sequence[float], *, stuff: bool = False) -> dict[str, Any]:
    return {"label": label, "xyxy": list(xyxy), "stuff": stuff}


def pack(
    folder: Path,
    name: str,
    records: Sequence[Any],
    files: Mapping[str, bytes] | None = None,
    masks: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a set; its pictures are drawn unless given."""
    lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if files is None:
        files = {r["file"]: drawn(i) for i, r in enumerate(records)}
    tar(folder / f"{name}.tar", files)
    if masks is not None:
        tar(folder / f"{name}-masks.tar", masks)
    return folder


def tar(path: Path, files: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w:") as archive:
        for file, data in files.items():
            info = tarfile.TarInfo(file)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def said(*entities: tuple[str, Sequence[tuple[XYXY, float | None]]], text: str = "") -> Description:
    """Return a description whose caption lists the phrases, with boxes and their scores."""
    caption, found = "An image of", []
    for phrase, boxes in entities:
        caption += f" {phrase}"
        span = (len(caption) - len(phrase), len(caption))
        found.append(Entity(phrase, span, tuple(Box.of(b, WH, s) for b, s in boxes), 0.5))
    own = text or caption.removeprefix("An image of ")
    caption = f"An image of {own}" if text else caption
    return Description(ImageInfo("<test>", *WH), "test", "fp32", "An image of", caption, own, "",
                       "", "", tuple(found), (), "stop")  # fmt: skip
