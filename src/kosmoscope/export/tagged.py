"""Grounded text as text: the model's tags, and the paper's form as Markdown links.

The Kosmos-2 paper (arXiv 2306.14824, section 2.1) calls a grounded phrase a hyperlink in Markdown,
``[text span](bounding boxes)``: here ``[a snowman](<patch_index_0044><patch_index_0863>)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kosmoscope.errors import BoxError
from kosmoscope.export.format import FORMATS, Job, text_format
from kosmoscope.types import Entity, GroundedCaption

DELIMITER = "</delimiter_of_multi_objects/>"
HEADING = "picture\twidth\theight\ttagged"
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_SPECIAL = re.compile(r"[\\\t\n\r\0\x0b\x0c\x1c-\x1e\x85\u2028\u2029\ud800-\udfff]")


def cells(entity: Entity, side: int = 32) -> list[tuple[int, int]]:
    """Return the cells of an entity's boxes; boxes outside of the picture are left out."""

    from kosmoscope.tokens import xyxy_to_cells  # here: the formats are listed without NumPy

    found: list[tuple[int, int]] = []
    for box in entity.boxes:
        try:
            found.append(xyxy_to_cells(box.xyxy, side))
        except BoxError:
            continue
    return found


def to_links(description: GroundedCaption, side: int = 32) -> str:
    """Return the caption with each located phrase as a link to its boxes.

    Brackets and backslashes of the caption itself have a backslash before them. Several boxes are
    joined by the model's delimiter; a box without a phrase is an empty link.

    Args:
        description: of a picture.
        side: cells along each side of the model's grid.
    """
    from kosmoscope.tokens import location_token

    parts: list[str] = []
    for text, entity in description.pieces():
        shown = re.sub(r"([\\\[\]])", r"\\\1", text)
        pairs = cells(entity, side) if entity else []
        boxes = DELIMITER.join(location_token(a) + location_token(b) for a, b in pairs)
        parts.append(f"[{shown}]({boxes})" if pairs else shown)
    return "".join(parts)


def to_tagged(descriptions: Iterable[GroundedCaption]) -> str:
    """Return the model's tagged text, a line a description, after a heading.

    The columns are apart by tabs. Backslash, tab, line breaks and what UTF-8 cannot hold are
    written ``\\\\``, ``\\t``, ``\\n``, ``\\r`` and ``\\u2028``. `kosmoscope.parsing.read_tagged`
    reads it back.
    """
    return "".join(_lines(Job(descriptions)))


def _lines(job: Job) -> Iterator[str]:
    yield HEADING + "\n"
    for d in job.descriptions():
        fields = (d.image.path, str(d.image.width), str(d.image.height), d.tagged)
        yield "\t".join(_SPECIAL.sub(_escaped, f) for f in fields) + "\n"


def _escaped(match: re.Match[str]) -> str:
    return ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04x}"


TAGGED = FORMATS.add(text_format("tagged", "the model's text with its tags", ".txt", _lines))
