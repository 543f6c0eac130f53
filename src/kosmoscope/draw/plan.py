"""Caption and size -> everything that is drawn, in whole pixels. Raster and SVG share it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kosmoscope.draw.layout import Placement, Rect, place_labels, whole_boxes
from kosmoscope.draw.palette import RGB, picture_colours
from kosmoscope.draw.strip import Strip, make_strip
from kosmoscope.draw.style import DrawStyle
from kosmoscope.draw.text import clean, measure, shorten
from kosmoscope.geometry import area, check_xyxy_norm, norm_to_px
from kosmoscope.types import GroundedCaption

DARK: RGB = (8, 9, 11)
"""Of plates and of the rim around lines."""
PAPER: RGB = (250, 250, 250)
"""Of phrases on plates."""

_TEXT_FLOOR_PX, _NUMBER_FLOOR_PX = 10, 8
_LABELS_FROM_PX = 32
"""Pictures with a shorter side than this get boxes only: no digit on them would be legible."""
_LEVELS = (
    (1.0, 1.0),
    (1.0, 0.6),
    (0.8, 0.6),
    (0.8, 0.35),
    (0.8, 0.0),
    (0.6, 0.0),
    (0.0, 0.0),
)
"""Size of the text, and share of `DrawStyle.label_share`: tried until the labels fit."""
_PLATES_AT_MOST = 0.2
"""The part of the picture that all plates together may hide."""
_LEADERS_AT_MOST = 0.2
"""The part of the labels that may stand away from their box before smaller ones are tried."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The line around one box."""

    entity: int
    rect: Rect
    """The line's outer edge."""
    line: int
    """Width of the line; it lies inside `rect`."""
    rim_out: int
    """Width of the dark rim outside the line."""
    rim_in: int
    """Width of the dark rim inside it; 0 in boxes too small for it."""
    colour: RGB


@dataclass(frozen=True, slots=True)
class Plate:
    """What stands on one label."""

    entity: int
    number: str
    text: str
    """Phrase (possibly cut) and score; empty: the number alone."""
    title: str
    """The phrase in full."""
    colour: RGB
    text_px: int
    badge: int
    """Width of the number's field."""
    size_wh: tuple[int, int]

    @property
    def pad(self) -> float:
        """Room on each side of a text."""
        return 0.38 * self.text_px


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is drawn on a picture of `image_wh` pixels."""

    image_wh: tuple[int, int]
    frames: tuple[Frame, ...]
    """In the order of drawing: the largest first, so that none hides a smaller one."""
    labels: tuple[tuple[Plate, Placement], ...]
    """In the order of drawing: those without room first, so that the others stay legible."""
    strip: Strip | None
    line: int
    rim: int


def make_plan(description: GroundedCaption, image_wh: tuple[int, int], style: DrawStyle) -> Plan:
    """Lay out a drawing.

    The normalised boxes count, so a picture may be drawn at another size than it was read.

    Raises:
        BoxError: a box is not finite, out of range, inverted or empty.
    """
    w, h = image_wh
    entities = description.entities
    colours = picture_colours(e.phrase for e in entities)
    side = math.sqrt(w * h)
    line = max(0.0021 * side, 2 if min(w, h) >= 160 else 1) * style.scale * style.box_width
    line = min(max(1, round(line)), max(1, min(w, h) // 4))
    # On a thumbnail the rims would be most of what one sees.
    rim = max(1, round(0.3 * line)) if min(w, h) >= _LABELS_FROM_PX else 0
    owners = [(i, j) for i, e in enumerate(entities) for j in range(len(e.boxes))]
    xyxy = [check_xyxy_norm(entities[i].boxes[j].xyxy) for i, j in owners]
    rects = _insets(
        [_rect(row) for row in whole_boxes([norm_to_px(b, image_wh) for b in xyxy], image_wh)],
        line + rim,
    )
    frames = [
        _frame(i, rect, line, rim, colours[entities[i].phrase])
        for (i, _), rect in zip(owners, rects, strict=True)
    ]
    # One phrase's boxes: the largest carries the words, the others its number.
    largest = {
        i: max((k for k, o in enumerate(owners) if o[0] == i), key=lambda k: area(rects[k]))
        for i, _ in owners
    }
    contents = [
        _Content(
            i,
            clean(entities[i].phrase) if largest[i] == k else "",
            clean(entities[i].phrase),
            _score(entities[i].boxes[j].shown_score) if style.scores else "",
            colours[entities[i].phrase],
        )
        for k, (i, j) in enumerate(owners)
    ]
    text_px = min(max(0.0165 * side, 11.0), 0.085 * min(w, h)) * style.scale * style.text_size
    labels = _labels(contents, rects, image_wh, text_px, style) if style.labels else []
    strip = None
    if style.caption:
        size = max(_TEXT_FLOOR_PX, round(1.1 * text_px))
        strip = make_strip(description.caption, entities, colours, w, size)
    order = sorted(range(len(frames)), key=lambda k: (-area(rects[k]), k))
    return Plan(
        image_wh,
        tuple(frames[k] for k in order),
        tuple(sorted(labels, key=lambda label: not label[1].crowded)),
        strip,
        line,
        rim,
    )


@dataclass(frozen=True, slots=True)
class _Content:
    entity: int
    text: str
    title: str
    score: str
    colour: RGB


def _labels(
    contents: Sequence[_Content],
    rects: Sequence[Rect],
    image_wh: tuple[int, int],
    text_px: float,
    style: DrawStyle,
) -> list[tuple[Plate, Placement]]:
    """The largest labels that fit; at the last level they are taken as they come.

    Leaders are a reason to cut words, not to leave them out: a number that points at its box
    says less than a phrase that does.
    """
    w, h = image_wh
    if not contents or min(w, h) < _LABELS_FROM_PX:
        return []
    tried = None
    best: tuple[int, list[tuple[Plate, Placement]]] | None = None
    for size, share in _LEVELS:
        if share and not style.label_share:
            continue
        if not share and best is not None:
            return best[1]
        px = max(round(size * text_px), _TEXT_FLOOR_PX if share else _NUMBER_FLOOR_PX)
        last = (size, share) == _LEVELS[-1]
        plates = [_plate(c, px, share * style.label_share * w) for c in contents]
        sizes = [p.size_wh for p in plates]
        if sizes == tried and not last:
            continue
        tried = sizes
        hidden = sum(a * b for a, b in sizes) / (w * h)
        fits = all(a <= w and b <= h for a, b in sizes)
        if not last and (hidden > _PLATES_AT_MOST or not fits):
            continue
        places = place_labels(rects, sizes, image_wh, gap=max(1, px // 8))
        labels = list(zip(plates, places, strict=True))
        if last:
            return labels
        if not any(p.crowded for p in places):
            away = sum(p.leader is not None for p in places)
            if away <= _LEADERS_AT_MOST * len(places):
                return labels
            if best is None or away < best[0]:
                best = (away, labels)
    raise AssertionError("the last level returns")


def _plate(content: _Content, px: int, room: float) -> Plate:
    number = str(content.entity + 1)
    text = " ".join(t for t in (shorten(content.text, px, room), content.score) if t)
    height = round(1.5 * px)
    pad = 0.38 * px
    badge = max(round(measure(number, px) + 2 * pad), height)
    width = badge + (math.ceil(measure(text, px) + 2 * pad) if text else 0)
    return Plate(
        content.entity, number, text, content.title, content.colour, px, badge, (width, height)
    )


def _frame(entity: int, rect: Rect, line: int, rim: int, colour: RGB) -> Frame:
    side = min(rect[2] - rect[0], rect[3] - rect[1])
    thin = min(line, max(1, side // 4))
    return Frame(entity, rect, thin, rim, rim if side >= 6 * (thin + rim) else 0, colour)


def _insets(rects: Sequence[Rect], step: int) -> list[Rect]:
    """Draw boxes that coincide one inside the other, where they are large enough for it."""
    seen: dict[Rect, int] = {}
    out = []
    for rect in rects:
        inset = seen.get(rect, 0) * step
        seen[rect] = seen.get(rect, 0) + 1
        room = min(rect[2] - rect[0], rect[3] - rect[1]) // 6
        inset = inset if inset <= room else 0
        out.append((rect[0] + inset, rect[1] + inset, rect[2] - inset, rect[3] - inset))
    return out


def _score(score: float | None) -> str:
    return "" if score is None else f"{score:.2f}"


def _rect(row: Sequence[int]) -> Rect:
    x1, y1, x2, y2 = (int(v) for v in row)
    return (x1, y1, x2, y2)
