"""Grounded text as text: the model's tags, and the paper's form as Markdown links.

The Kosmos-2 paper (arXiv 2306.14824, section 2.1) calls a grounded phrase a hyperlink in Markdown,
``[text span](bounding boxes)``: here ``[a snowman](<patch_index_0044><patch_index_0863>)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kosmoscope.errors import BoxError, InputError
from kosmoscope.export.parse import parse_tagged
from kosmoscope.tokens import xyxy_to_cells
from kosmoscope.types import Description, Entity

DELIMITER = "</delimiter_of_multi_objects/>"
HEADING = "picture\twidth\theight\ttagged"
_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escape[1]: character for character, escape in _ESCAPES.items()}
_SPECIAL = re.compile(r"[\\\t\n\r\0\x0b\x0c\x1c-\x1e\x85\u2028\u2029\ud800-\udfff]")


def segments(description: Description) -> Iterator[tuple[str, Entity | None]]:
    """Yield the caption in pieces, each with its entity or None; the texts, joined, are it.

    Entities whose span lies outside of the caption or overlaps an earlier one are left out.
    """
    caption, at = description.caption, 0
    for entity in sorted(description.entities, key=lambda e: e.span):
        start, end = entity.span
        if not at <= start <= end <= len(caption):
            continue
        if start > at:
            yield caption[at:start], None
        yield caption[start:end], entity
        at = end
    if at < len(caption):
        yield caption[at:], None


def cells(entity: Entity, side: int = 32) -> list[tuple[int, int]]:
    """Return the cells of an entity's boxes; boxes outside of the picture are left out."""
    found: list[tuple[int, int]] = []
    for box in entity.boxes:
        try:
            found.append(xyxy_to_cells(box.xyxy, side))
        except BoxError:
            continue
    return found


def to_links(description: Description, side: int = 32) -> str:
    """Return the caption with each located phrase as a link to its boxes.

    Brackets and backslashes of the caption itself have a backslash before them. Several boxes are
    joined by the model's delimiter; a box without a phrase is an empty link.

    Args:
        description: of a picture.
        side: cells along each side of the model's grid.
    """
    parts: list[str] = []
    for text, entity in segments(description):
        shown = re.sub(r"([\\\[\]])", r"\\\1", text)
        pairs = cells(entity, side) if entity else []
        boxes = DELIMITER.join(f"<patch_index_{a:04d}><patch_index_{b:04d}>" for a, b in pairs)
        parts.append(f"[{shown}]({boxes})" if pairs else shown)
    return "".join(parts)


def tagged_chunks(descriptions: Iterable[Description]) -> Iterator[str]:
    """Yield the lines that `read_tagged` reads: picture, width, height and tagged text."""
    yield HEADING + "\n"
    for d in descriptions:
        fields = (d.image.path, str(d.image.width), str(d.image.height), d.tagged)
        yield "\t".join(_SPECIAL.sub(_escaped, f) for f in fields) + "\n"


def to_tagged(descriptions: Iterable[Description]) -> str:
    """Return the model's tagged text, a line a description, after a heading.

    The columns are apart by tabs. Backslash, tab, line breaks and what UTF-8 cannot hold are
    written ``\\\\``, ``\\t``, ``\\n``, ``\\r`` and ``\\u2028``.
    """
    return "".join(tagged_chunks(descriptions))


def read_tagged(text: str, *, model: str = "unknown", side: int = 32) -> Iterator[Description]:
    """Yield the descriptions of a file that `to_tagged` wrote, parsed with `parse_tagged`.

    Raises:
        InputError: the heading is missing, or a line is of another shape; the message has its
            number.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[0].rstrip("\r") != HEADING:
        raise InputError(f"line 1: expected the heading {HEADING!r}")
    for number, line in enumerate(lines[1:], 2):
        fields = line.rstrip("\r").split("\t")
        if fields == [""]:
            continue
        try:
            path, width, height, tagged = map(_unescaped, fields)
            image_wh = int(width), int(height)
        except ValueError as e:
            raise InputError(f"line {number}: expected picture, width, height and text") from e
        try:
            description = parse_tagged(tagged, image_wh, path=path, model=model, side=side)
        except InputError as e:
            raise InputError(f"line {number}: {e}") from e
        yield description


def _escaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04x}"


def _unescaped(field: str) -> str:
    def undo(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return _UNESCAPES.get(match[2], match[0])

    return re.sub(r"\\(?:u([0-9a-f]{4})|(.))", undo, field)
