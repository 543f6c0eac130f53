"""Label Studio's smart tools: clicks and boxes, and the strokes, outline or box of what they mean.

A call has all clicks and boxes that somebody made for one region so far, each with its place in per
cent of the picture and, of clicks, whether it is on the thing (`is_positive`).
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any, TypeGuard

from kosmoscope.export.labelstudio_regions import (
    brush_value,
    picture_size,
    polygon_values,
    rectangle_value,
    region_id,
)
from kosmoscope.geometry import XYXY, norm_to_px
from kosmoscope.images import Picture, read_image
from kosmoscope.labels import Label
from kosmoscope.scope import Scope
from kosmoscope.segment.protocol import BoxPrompt, LookingOnce, Point
from kosmoscope.segment.run import Wanted, segment_picture, shared_segmenter
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.labelstudio_config import Config, Shape, ShapeControl
from kosmoscope.server.pictures import NAME, Shown

_CLICKS = ("keypointlabels", "keypoint")
_BOXES = ("rectanglelabels", "rectangle")
_FINEST: tuple[Shape, ...] = ("brushlabels", "polygonlabels", "rectanglelabels")
"""Of several controls that could answer, the one that says most."""


@dataclass(frozen=True, slots=True)
class Pointed:
    """What somebody points at: one thing. Numbers are fractions of the picture."""

    to_name: str
    """The picture's tag."""
    names: tuple[str, ...]
    """The labels that were chosen for it."""
    points: tuple[Point, ...]
    box: XYXY | None
    """The latest; None: clicks alone."""


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers, and as what."""

    control: ShapeControl
    names: list[str]
    """The label that results get, or none."""
    phrase: str
    """What it is in words, a hint for the segmenter; "" where nobody says."""


def read_pointed(items: Any) -> Pointed | None:
    """Return what the items of a context point at; None where none of them is a click or a box.

    Raises:
        RefusedError: numbers that are no place in a picture, or clicks on what is not it alone.
    """
    points: list[Point] = []
    box: XYXY | None = None
    latest: dict[str, Any] | None = None
    for item in items if isinstance(items, list) else ():
        kind = item.get("type") if isinstance(item, dict) else None
        if kind not in (*_CLICKS, *_BOXES):
            continue
        latest = item
        if not isinstance(item.get("value"), dict):
            raise _nowhere(kind)
        if kind in _CLICKS:
            x, y = (_share(item["value"], name) for name in ("x", "y"))
            points.append((_within(x), _within(y), item.get("is_positive") not in (False, 0)))
        else:
            box = _box(item)
    if latest is None:
        return None
    if box is None and not any(positive for _, _, positive in points):
        raise RefusedError(422, "params.context: expected a click on the thing, or a box around it")
    value, to_name = latest["value"], latest.get("to_name")
    names = [n for kind in (*_CLICKS, *_BOXES) for n in _strings(value.get(kind))]
    return Pointed(to_name if isinstance(to_name, str) else "", tuple(names), tuple(points), box)


def answering(config: Config, pointed: Pointed) -> Answering:
    """Return the control that answers: one with the chosen label, brush before polygon before box.

    Raises:
        RefusedError: there is none for that picture.
    """
    controls = [c for c in config.shapes if c.to_name == pointed.to_name or not pointed.to_name]
    if not controls:
        raise RefusedError(
            422, "label_config: smart tools need BrushLabels, PolygonLabels or RectangleLabels"
        )

    def label_of(control: ShapeControl) -> Label | None:
        return next((label for label in control.labels if label.name in pointed.names), None)

    control = min(controls, key=lambda c: (label_of(c) is None, _FINEST.index(c.shape)))
    label = label_of(control)
    if label is None:
        return Answering(control, control.only_name, "")
    return Answering(control, [label.name], label.phrases[0])


class Pointing:
    """Clicks to regions, for any thread. The latest picture stays: most clicks are on it again.

    Args:
        segmenter: its name; see `kosmoscope.segment.run.load_segmenter`.
    """

    def __init__(self, segmenter: str) -> None:
        self._segmenter = segmenter
        self._lock = threading.Lock()
        self._latest: tuple[str, Picture, LookingOnce] | None = None

    def items(
        self, to: Answering, pointed: Pointed, shown: Shown, scope: Scope
    ) -> list[dict[str, Any]]:
        """Return the results: one region, or the parts of its outline; none of an empty mask.

        Raises:
            RefusedError: brush strokes of a picture that is too large to be read whole.
            KosmoscopeError: the segmenter's library or model is not there.
        """
        with self._lock:
            picture, segmenter = self._looked(shown, scope)
            info = picture.rgb_info
            shape = to.control.shape
            if picture.reduced and shape == "brushlabels":
                raise RefusedError(
                    422, "the picture is too large for brush strokes; use PolygonLabels"
                )
            wanted = Wanted(_prompt(pointed, (info.width, info.height), to.phrase))
            parts = segment_picture(picture.rgb, info, [wanted], segmenter)
        mask = parts.mask(1)
        if mask.xyxy_px is None:
            return []
        values = [rectangle_value(mask.xyxy_px, info)]
        if shape == "brushlabels":
            values = [brush_value(mask)]
        elif shape == "polygonlabels":
            values = polygon_values(mask, info)
        return [
            {
                "id": region_id(f"{shown.id}\n{to.control.name}\n{pointed}\n{number}"),
                "type": shape, "from_name": to.control.name, "to_name": to.control.to_name,
                **picture_size(info), "value": {**value, shape: to.names},
                "score": parts.segments[0].score,
            }
            for number, value in enumerate(values)
        ]  # fmt: skip

    def _looked(self, shown: Shown, scope: Scope) -> tuple[Picture, LookingOnce]:
        if self._latest is None or self._latest[0] != shown.id:
            picture = read_image(shown.data, name=NAME, limits=scope.limits)
            segmenter = shared_segmenter(self._segmenter, threads=scope.threads)
            self._latest = shown.id, picture, LookingOnce(segmenter, picture.rgb)
        return self._latest[1:]


def _prompt(pointed: Pointed, image_wh: tuple[int, int], phrase: str) -> BoxPrompt:
    w, h = image_wh
    points = [(x * w, y * h, positive) for x, y, positive in pointed.points]
    if pointed.box is None:
        return BoxPrompt.at(points, image_wh, phrase)
    return BoxPrompt(norm_to_px(pointed.box, image_wh), phrase, tuple(points))


def _box(item: dict[str, Any]) -> XYXY:
    """Return the upright box around a rectangle, which turns about its upper left corner."""
    value = item["value"]
    x, y, w, h = (_share(value, name) for name in ("x", "y", "width", "height"))
    turned = value.get("rotation") or 0
    angle = math.radians(turned) if _is_number(turned) else 0.0
    # Turned in pixels: sides in per cent are of different lengths. Without sizes, as a square.
    wide, high = _size(item, "original_width"), _size(item, "original_height")
    cos, sin = math.cos(angle), math.sin(angle)
    corners = [(a, b) for a in (0.0, w * wide) for b in (0.0, h * high)]
    xs = [x + (a * cos - b * sin) / wide for a, b in corners]
    ys = [y + (a * sin + b * cos) / high for a, b in corners]
    box = _within(min(xs)), _within(min(ys)), _within(max(xs)), _within(max(ys))
    if box[0] >= box[2] or box[1] >= box[3]:
        raise _nowhere("rectangle")
    return box


def _size(item: dict[str, Any], name: str) -> float:
    size = item.get(name)
    return float(size) if _is_number(size) and size > 0 else 1.0


def _share(value: dict[str, Any], name: str) -> float:
    number = value.get(name)
    if not _is_number(number):
        raise _nowhere(name)
    return float(number) / 100


def _is_number(value: Any) -> TypeGuard[int | float]:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and abs(value) < 1e9
    )


def _within(share: float) -> float:
    """Return a place in the picture: what somebody drags may leave it."""
    return min(max(share, 0.0), 1.0)


def _nowhere(what: str) -> RefusedError:
    return RefusedError(422, f"params.context: {what}: expected numbers in per cent of the picture")


def _strings(value: Any) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []
