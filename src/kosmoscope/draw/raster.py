"""Plan -> pixels. One copy of the picture is made; after that only what changes is touched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kosmoscope.draw.layout import Placement, Point, Rect
from kosmoscope.draw.palette import RGB
from kosmoscope.draw.plan import DARK, PAPER, Frame, Plan, Plate, make_plan
from kosmoscope.draw.strip import BACKGROUND, Strip
from kosmoscope.draw.style import DrawStyle
from kosmoscope.draw.text import CAP_HEIGHT, font_for
from kosmoscope.errors import EmptyImageError, UnsupportedImageError
from kosmoscope.types import GroundedCaption

Pixels = NDArray[np.uint8]

RIM_OPACITY = 0.55
CORNER = 0.18
"""Radius of a plate's corners, as a part of its height."""
_TILE = 64
"""Pixels of a leader that are drawn at a time: a slanting line's whole rectangle is mostly
picture."""


def annotate(
    rgb: NDArray[np.uint8], description: GroundedCaption, style: DrawStyle = DrawStyle()
) -> NDArray[np.uint8]:
    """Draw a description on its picture.

    Args:
        rgb: (H, W, 3), HWC, uint8, 0..255, sRGB, upright; not modified. Its size may differ
            from the one that was described: the normalised boxes are drawn.
        description: whose `entities` are drawn; those without a box are numbered all the same.
        style: see `DrawStyle`.

    Returns:
        A new array of the same shape; with `style.caption` more rows of the caption's strip.

    Raises:
        UnsupportedImageError: `rgb` is not (H, W, 3) of uint8.
        EmptyImageError: `rgb` has no pixels.
        BoxError: a box is not finite, out of range, inverted or empty.
    """
    check_rgb(rgb)
    height, width, _ = rgb.shape
    plan = make_plan(description, (width, height), style)
    if plan.strip is None:
        out = np.array(rgb, order="C")
    else:
        out = np.empty((height + plan.strip.height, width, 3), np.uint8)
        out[:height] = rgb
        draw_strip(out[height:], plan.strip)
    picture = out[:height]
    for frame in plan.frames:
        _draw_frame(picture, frame)
    for plate, place in plan.labels:
        if place.leader is not None:
            draw_leader(picture, place.leader, plate.colour, plan)
    for plate, place in plan.labels:
        draw_plate(picture, plate, place, style.plate_opacity)
    return out


def check_rgb(rgb: NDArray[np.uint8]) -> None:
    """Check that an array is a picture as `kosmoscope.images.read_image` returns them.

    Raises:
        UnsupportedImageError: not (H, W, 3) of uint8.
        EmptyImageError: no pixels.
    """
    if not isinstance(rgb, np.ndarray):
        raise UnsupportedImageError("<array>", f"a {type(rgb).__name__}; expected a NumPy array")
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise UnsupportedImageError(
            "<array>", f"an array of {rgb.dtype}, shape {rgb.shape}; expected uint8, HxWx3"
        )
    if rgb.size == 0:
        raise EmptyImageError("<array>", f"an array without pixels, of shape {rgb.shape}")


def _bands(outer: Rect, inner: Rect, image_wh: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    """The ring between two rectangles as four bands that do not overlap, cut to the picture."""
    w, h = image_wh
    x1, y1, x2, y2 = max(outer[0], 0), max(outer[1], 0), min(outer[2], w), min(outer[3], h)
    a1, b1, a2, b2 = inner
    if a1 >= a2 or b1 >= b2:
        yield slice(y1, y2), slice(x1, x2)
        return
    yield slice(y1, b1), slice(x1, x2)
    yield slice(b2, y2), slice(x1, x2)
    yield slice(b1, b2), slice(x1, a1)
    yield slice(b1, b2), slice(a2, x2)


def _grown(rect: Rect, by: int) -> Rect:
    return (rect[0] - by, rect[1] - by, rect[2] + by, rect[3] + by)


def _draw_frame(picture: Pixels, frame: Frame) -> None:
    wh = (picture.shape[1], picture.shape[0])
    inner = _grown(frame.rect, -frame.line)
    for rows, columns in _bands(frame.rect, inner, wh):
        picture[rows, columns] = frame.colour
    for rows, columns in _bands(_grown(frame.rect, frame.rim_out), frame.rect, wh):
        _darken(picture[rows, columns])
    if frame.rim_in:
        for rows, columns in _bands(inner, _grown(inner, -frame.rim_in), wh):
            _darken(picture[rows, columns])


def _darken(region: Pixels) -> None:
    alpha = round(RIM_OPACITY * 256)
    dark = np.array(DARK, np.uint16) * alpha + 128
    region[...] = (region.astype(np.uint16) * (256 - alpha) + dark) >> 8


def draw_leader(picture: Pixels, leader: tuple[Point, Point], colour: RGB, plan: Plan) -> None:
    """A line with a dark rim, and a dot where it meets the box."""
    radius = max(plan.line / 2, 0.75)
    _stroke(picture, *leader, radius + plan.rim, DARK, RIM_OPACITY)
    end = leader[1]
    _stroke(picture, end, end, 2.4 * radius + plan.rim, DARK, RIM_OPACITY)
    _stroke(picture, *leader, radius, colour, 1.0)
    _stroke(picture, end, end, 2.4 * radius, colour, 1.0)


def _stroke(
    picture: Pixels, start: Point, end: Point, radius: float, colour: RGB, opacity: float
) -> None:
    """Draw a line with round ends, smooth at the edges, tile by tile along its longer axis."""
    height, width, _ = picture.shape
    p, q = np.array(start, float), np.array(end, float)
    d = q - p
    axis = int(abs(d[1]) > abs(d[0]))
    if d[axis] < 0:
        p, q, d = q, p, -d
    reach = radius + 1
    limits = (width, height)
    low = max(0, int(np.floor(p[axis] - reach)))
    high = min(limits[axis], int(np.ceil(q[axis] + reach)))
    slope = d[1 - axis] / d[axis] if d[axis] else 0.0
    # Across the line a slanting stroke is wider than its radius, by at most sqrt(2).
    margin = reach * 1.5 + 1
    length = max(float(d @ d), 1e-12)
    for a in range(low, high, _TILE):
        b = min(a + _TILE, high)
        at = np.clip(np.array([a, b]), p[axis], q[axis])
        across = p[1 - axis] + slope * (at - p[axis])
        c = max(0, int(np.floor(across.min() - margin)))
        e = min(limits[1 - axis], int(np.ceil(across.max() + margin)))
        if c >= e:
            continue
        (x1, x2), (y1, y2) = ((a, b), (c, e)) if axis == 0 else ((c, e), (a, b))
        dx = np.arange(x1, x2)[None, :] + 0.5 - p[0]
        dy = np.arange(y1, y2)[:, None] + 0.5 - p[1]
        t = np.clip((dx * d[0] + dy * d[1]) / length, 0, 1)
        distance = np.hypot(dx - t * d[0], dy - t * d[1])
        alpha = np.clip(radius + 0.5 - distance, 0, 1)[..., None] * opacity
        region = picture[y1:y2, x1:x2]
        region[...] = np.rint(region * (1 - alpha) + np.array(colour) * alpha)


def draw_plate(picture: Pixels, plate: Plate, place: Placement, opacity: float) -> None:
    x1, y1, x2, y2 = place.plate
    region = picture[y1:y2, x1:x2]
    # Only the plate's own pixels become a Pillow image; text is cut at its edges.
    tile = Image.fromarray(region)
    shape = _rounded(x2 - x1, y2 - y1, CORNER * plate.size_wh[1])
    badge = min(plate.badge, x2 - x1)
    veil = (shape.astype(np.uint16) * round(opacity * 256) >> 8).astype(np.uint8)
    tile.paste(DARK, (0, 0), Image.fromarray(veil))
    tile.paste(plate.colour, (0, 0), Image.fromarray(shape[:, :badge].copy()))
    draw = ImageDraw.Draw(tile)
    baseline = round((plate.size_wh[1] + CAP_HEIGHT * plate.text_px) / 2)
    draw.text(
        (plate.badge / 2, baseline),
        plate.number,
        fill=(0, 0, 0),
        font=font_for(plate.number, plate.text_px),
        anchor="ms",
    )
    if plate.text:
        draw.text(
            (plate.badge + plate.pad, baseline),
            plate.text,
            fill=PAPER,
            font=font_for(plate.text, plate.text_px),
            anchor="ls",
        )
    region[...] = np.asarray(tile)


def _rounded(width: int, height: int, radius: float) -> Pixels:
    """(height, width) 0..255: how much of each pixel a rectangle with round corners covers."""
    mask = np.full((height, width), 255, np.uint8)
    r = min(int(np.ceil(radius)), width // 2, height // 2)
    if r == 0:
        return mask
    away = r - (np.arange(r) + 0.5)
    covered = np.clip(r + 0.5 - np.hypot(away[:, None], away[None, :]), 0, 1)
    corner = np.rint(255 * covered).astype(np.uint8)
    mask[:r, :r], mask[:r, -r:] = corner, corner[:, ::-1]
    mask[-r:, :r], mask[-r:, -r:] = corner[::-1], corner[::-1, ::-1]
    return mask


def draw_strip(region: Pixels, strip: Strip) -> None:
    canvas = Image.new("RGB", (region.shape[1], region.shape[0]), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for run in strip.runs:
        if run.chip:
            x1, y1, x2, y2 = strip.chip_rect(run)
            shape = _rounded(x2 - x1, y2 - y1, CORNER * (y2 - y1))
            canvas.paste(run.colour, (x1, y1), Image.fromarray(shape))
        draw.text(
            (run.x, run.baseline),
            run.text,
            fill=(0, 0, 0) if run.chip else run.colour,
            font=font_for(run.text, strip.text_px),
            anchor="ls",
        )
    region[...] = np.asarray(canvas)
