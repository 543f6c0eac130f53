"""Folders of results for searches, written by hand: no model is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from kosmoscope.batch.names import json_line, named
from kosmoscope.files.text import utf8
from kosmoscope.questions.evaluate import PictureRecord
from kosmoscope.search import Index
from kosmoscope.types import Box, Entity, GroundedCaption, ImageInfo

Thing = tuple[str, float, tuple[float, float, float, float] | None]
"""A phrase, how likely it is right, its box."""

LEFT, MIDDLE, RIGHT = (0.1, 0.4, 0.3, 0.8), (0.4, 0.4, 0.6, 0.6), (0.7, 0.4, 0.9, 0.8)
SIZE = 64, 48


def described(path: str, things: Sequence[Thing], size: tuple[int, int] = SIZE) -> GroundedCaption:
    """Return what a model might have said."""
    text, entities = "", []
    for phrase, score, xyxy in things:
        start = len("An image of ") + len(text) + (5 if text else 0)
        text += (" and " if text else "") + phrase
        boxes = () if xyxy is None else (Box.of(xyxy, size, 0.5, confidence=score),)
        entities.append(Entity(phrase, (start, start + len(phrase)), boxes, score))
    return GroundedCaption(
        ImageInfo(path, *size), "made", "none", "An image of", f"An image of {text}", text,
        "", "", "", tuple(entities), (), "stop",
    )  # fmt: skip


def line(
    path: str,
    things: Sequence[Thing],
    *,
    task: str = "brief",
    content: str | bytes = "",
    base: str = "",
) -> bytes:
    """Return a record of results.jsonl."""
    if not isinstance(content, bytes):
        content = (content or path).encode("utf-8", "surrogateescape")
    sha = hashlib.sha256(content).hexdigest()
    return json_line(
        {
            "id": f"{sha[:16]}-{task}",
            "sha256": sha,
            **named(path, base),
            "task": task,
            "description": described(utf8(path), things).to_dict(),
        }
    )


def write(folder: Path, lines: Iterable[bytes]) -> Path:
    """Write results.jsonl and a run.json that says where the folder is."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.jsonl").write_bytes(b"".join(lines))
    run = {"format": 1, "folder": str(folder.resolve())}
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def append(folder: Path, lines: Iterable[bytes]) -> None:
    """Write more at the end of results.jsonl."""
    with (folder / "results.jsonl").open("ab") as file:
        file.writelines(lines)


def known(folder: Path) -> dict[str, PictureRecord]:
    """Return all that an index knows, by the pictures' paths."""
    with Index.open(folder) as index:
        found = index.search("", limit=len(index))
        records = [index.record(i) for i in range(len(index))]
    assert len(found.hits) == len(records) == found.total
    return dict(zip((hit.source for hit in found.hits), records, strict=True))
