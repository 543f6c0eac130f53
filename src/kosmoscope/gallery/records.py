"""Caption -> the few numbers and strings that the page needs.

The scripts of the page (`page/data.js`) read these rows; both sides change together. Everything
is an array, since keys would be most of the data:

    picture  [id, name, width, height, thumbnail, href, problem, entries, things, taken]
    entry    [prompt, model, finish, caption, notes, entities]      (indices into the tables)
    entity   [start, end, phrase, colour, score, cut, boxes, mask, own]  (UTF-16 offsets)
    boxes    x1, y1, x2, y2, score, x1, ... flat                    (ten-thousandths, per mille)
    mask     an SVG path, see `outlines`; absent or "" where there is none
    own      so many of the boxes are of one look, the first ones; absent where all are
    things   what questions are asked of, see `seen`
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from kosmoscope.draw import picture_colours
from kosmoscope.errors import BoxError
from kosmoscope.files.text import shown_name
from kosmoscope.gallery.outlines import Outlined, Outlines
from kosmoscope.gallery.seen import Seen
from kosmoscope.geometry import check_xyxy_norm
from kosmoscope.types import Box, Entity, GroundedCaption

_UNMASKED = 7
"""Values of an entity without a mask."""
NORM_STEPS = 10_000
SCORE_STEPS = 1_000


@dataclass(slots=True)
class Table:
    """Strings that many entries share, held once."""

    strings: dict[str, int] = field(default_factory=dict)

    def index(self, text: str) -> int:
        """Return where a string stands, adding it if it is new."""
        return self.strings.setdefault(text, len(self.strings))


@dataclass(slots=True)
class PictureRecord:
    """One card: a picture and everything that was said about it."""

    path: str
    width: int
    height: int
    file: Path | None
    """Where the original should be; None: it never was a file."""
    entries: list[list[Any]] = field(default_factory=list)
    descriptions: list[GroundedCaption] = field(default_factory=list)
    """One for each entry."""
    masks: list[Outlined] = field(default_factory=list)
    """Of the entries that have some."""

    def row(
        self, number: int, name: str, thumbnail: str, href: str, problem: str, seen: Seen
    ) -> list[Any]:
        """Return the compact form; `number` tells pictures of the same path apart."""
        key = f"{self.path}\0{number if _nameless(self.path) else 0}"
        # Not of the contents: a link into the gallery survives an edit of the picture.
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=6)
        size = [max(self.width, 1), max(self.height, 1)]
        card = [digest.hexdigest(), name, *size, thumbnail, href, problem, self.entries]
        return [*card, seen.things, seen.taken]


@dataclass(slots=True)
class Collected:
    """All descriptions, by picture, in the order in which the pictures first came."""

    pictures: list[PictureRecord] = field(default_factory=list)
    prompts: Table = field(default_factory=Table)
    models: Table = field(default_factory=Table)
    masks: bool = False
    """Some entity has one."""
    closer: bool = False
    """Some box is of a detail pass, beyond one look."""


def collect(
    descriptions: Iterable[GroundedCaption], images_root: Path | None, outlines: Outlines
) -> Collected:
    """Group descriptions by picture; equal ones of one picture count once."""
    out = Collected()
    named = _by_name(outlines)
    by_path: dict[str, PictureRecord] = {}
    for d in descriptions:
        path = d.image.path
        file = _file(path, images_root)
        record = by_path.get(path)
        if record is None or _nameless(path):
            record = PictureRecord(path, d.image.width, d.image.height, file)
            by_path[path] = record
            out.pictures.append(record)
        key = (path, d.caption)
        masks = outlines.get(key) or named.get((_name(path), d.caption))
        entry = _entry(d, out, () if masks is None else masks.rows)
        if entry not in record.entries:
            record.entries.append(entry)
            record.descriptions.append(d)
            if masks is not None:
                record.masks.append(masks)
    return out


def _by_name(outlines: Outlines) -> dict[tuple[str, str], Outlined | None]:
    """Return the outlines by the pictures' names, where these tell them apart.

    From another working folder the same picture has another path.
    """
    found: dict[tuple[str, str], Outlined | None] = {}
    for (path, caption), one in outlines.items():
        key = (_name(path), caption)
        found[key] = None if key in found else one
    return found


def _name(path: str) -> str:
    return _parts(path)[-1]


def _file(path: str, images_root: Path | None) -> Path | None:
    if _nameless(path) or "://" in path:
        return None
    return Path(path) if images_root is None else images_root / path


def _nameless(path: str) -> bool:
    """Bytes and arrays are all called alike, so equal names say nothing."""
    return not path or (path.startswith("<") and path.endswith(">"))


def _entry(
    d: GroundedCaption, out: Collected, outlines: Sequence[tuple[int, str, str]]
) -> list[Any]:
    colours = picture_colours(e.phrase for e in d.entities)
    notes = list(d.warnings)
    entities = [
        _entity(e, d.caption, "{:02x}{:02x}{:02x}".format(*colours[e.phrase]), notes)
        for e in d.entities
    ]
    for index, phrase, path in outlines:
        # A segmentation of an older description may have other entities.
        # One whose boxes were all left out has no mask either.
        same = index < len(entities) and d.entities[index].phrase == phrase
        if same and d.entities[index].boxes:
            entities[index].append(path)
            out.masks = True
    for row, entity in zip(entities, d.entities, strict=True):
        own = sum(box.source in (None, "whole") for box in entity.boxes)
        if own < len(entity.boxes):
            row += ["", own] if len(row) == _UNMASKED else [own]
            out.closer = True
    prompt = out.prompts.index(d.prompt)
    model = out.models.index(f"{d.model} {d.precision}".strip())
    return [prompt, model, d.finish_reason, d.caption, notes, entities]


def _entity(entity: Entity, caption: str, colour: str, notes: list[str]) -> list[Any]:
    start, end = entity.span
    phrase = ""
    if 0 <= start < end <= len(caption) and caption[start:end] == entity.phrase:
        start, end = _utf16(caption, start), _utf16(caption, end)
    else:  # not a part of the caption: the page lists it behind
        start, end, phrase = -1, -1, entity.phrase
    boxes = [number for box in entity.boxes for number in _box(box, notes)]
    return [start, end, phrase, colour, _score(entity.score), int(not entity.complete), boxes]


def _utf16(text: str, at: int) -> int:
    """Code points -> the units that JavaScript counts in."""
    return at + sum(c > "\uffff" for c in text[:at])


def _box(box: Box, notes: list[str]) -> list[int | None]:
    try:
        xyxy = check_xyxy_norm(box.xyxy)
    except BoxError as e:
        notes.append(f"left out: {e}")
        return []
    return [*(round(v * NORM_STEPS) for v in xyxy), _score(box.shown_score)]


def _score(score: float | None) -> int | None:
    if score is None or not math.isfinite(score):
        return None
    return round(min(max(score, 0.0), 1.0) * SCORE_STEPS)


def short_names(paths: Sequence[str]) -> list[str]:
    """Return the paths without the folders that they have in common, fit to be shown."""
    parts = [_parts(p) for p in paths]
    common = common_parts([p[:-1] for p in parts])
    return [shown_name("/".join(p[common:])) for p in parts]


def common_parts(paths: Iterable[Sequence[str]]) -> int:
    """Return how many leading parts all paths share."""
    same = (len(set(parts)) == 1 for parts in zip(*paths, strict=False))
    return sum(1 for _ in takewhile(bool, same))


def _parts(path: str) -> list[str]:
    for separator in {os.sep, os.altsep or os.sep}:
        path = path.replace(separator, "/")
    return path.split("/")
