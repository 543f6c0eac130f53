"""What tools answer: the package's own values, a few lines of words, a picture if one is wanted."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp.types import CallToolResult, ContentBlock, ImageContent, TextContent
from PIL import Image

from kosmoscope.detail import Count
from kosmoscope.masks import LabelMap
from kosmoscope.search import Answer
from kosmoscope.types import XYXY, Box, GroundedCaption, ImageInfo

_DRAWN_PX = 1024
"""Longer side of a picture that is sent: assistants see no more, and take about a megabyte."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a picture with a name; its pixels are not told."""

    phrase: str
    kind: str
    area_percent: float
    xyxy_px: tuple[int, int, int, int] | None
    """The tight box; None of a part that others cover."""
    score: float | None


@dataclass(frozen=True, slots=True)
class Parts:
    """A segmentation: what is where, and how much of the picture it is."""

    image: ImageInfo
    caption: str
    segmenter: str
    parts: tuple[Part, ...]


def parts_of(found: LabelMap) -> Parts:
    """Return a segmentation without its pixels, which would fill an assistant's memory."""
    areas = found.areas_percent()
    parts = [
        Part(s.phrase, s.kind, round(areas[s.id], 2), found.mask(s.id).xyxy_px, s.score)
        for s in found.segments
    ]
    return Parts(found.image, found.caption, found.segmenter, tuple(parts))


def answered(value: Mapping[str, Any], text: str, drawn: Image.Image | None) -> CallToolResult:
    """Return a tool's answer."""
    content: list[ContentBlock] = [TextContent(type="text", text=text)]
    if drawn is not None:
        content.append(_picture(drawn))
    return CallToolResult(content=content, structured_content=dict(value))


def caption_text(found: GroundedCaption) -> str:
    """Return a description in words: the caption, and a line for each phrase with boxes."""
    lines = [
        f"- {entity.phrase or 'something'}: {', '.join(map(_box_text, entity.boxes))}"
        for entity in found.entities
        if entity.boxes
    ]
    return "\n".join([found.caption, *lines])


def count_text(found: Count) -> str:
    """Return a count in words."""
    between = f", {found.low} to {found.high} four times in five"
    sure = "" if found.confidence is None else f"; {found.confidence:.0%} sure of the number"
    return f"{found.phrase}: {found.number}{between}{sure}"


def parts_text(found: Parts) -> str:
    """Return a segmentation in words."""
    lines = [f"- {part.phrase}: {part.area_percent:.1f} % of the picture" for part in found.parts]
    return "\n".join([found.caption, *lines])


def search_text(found: Answer) -> str:
    """Return what a question found in words: a line for each picture."""
    hits = found.hits or found.nearest
    lines = [f"- {hit.source} ({hit.probability:.0%}): {hit.caption}" for hit in hits]
    said = f"{found.total} of {found.pictures} pictures" if found.total else "nothing"
    near = [] if found.total or not lines else ["What came nearest:"]
    return "\n".join([f"{found.read_as}: {said}", *found.notes, *near, *lines])


def _box_text(box: Box) -> str:
    return _corners(box.xyxy) + ("" if box.shown_score is None else f" ({box.shown_score:.2f})")


def _corners(xyxy: XYXY) -> str:
    return f"[{', '.join(f'{v:.3f}' for v in xyxy)}]"


def _picture(drawn: Image.Image) -> ImageContent:
    drawn.thumbnail((_DRAWN_PX, _DRAWN_PX))
    out = io.BytesIO()
    drawn.save(out, "JPEG", quality=85)
    data = base64.b64encode(out.getvalue()).decode()
    return ImageContent(type="image", data=data, mime_type="image/jpeg")
