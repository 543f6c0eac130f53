"""A segmentation on its picture: translucent fills, contours, plates and a legend."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kosmoscope.draw.palette import RGB, picture_colours
from kosmoscope.draw.plan import Plan, make_plan
from kosmoscope.draw.raster import check_rgb, draw_leader, draw_plate, draw_strip
from kosmoscope.draw.style import DrawStyle
from kosmoscope.errors import InputError
from kosmoscope.geometry import px_to_norm
from kosmoscope.masks import LabelMap
from kosmoscope.types import Box, Entity, GroundedCaption

REST_COLOUR: RGB = (40, 42, 46)
_FILL, _REGION_FILL = 0.4, 0.22
"""Opacity of the fill: of what has a name, and of unnamed regions."""
_BAND = 1 << 22
"""Pixels that are blended at a time."""


def draw_segmentation(
    rgb: NDArray[np.uint8],
    segmentation: LabelMap,
    style: DrawStyle = DrawStyle(),
    *,
    fill: float = _FILL,
) -> NDArray[np.uint8]:
    """Draw segments on their picture.

    Args:
        rgb: (H, W, 3) uint8 sRGB, upright, of the segmentation's size; not modified.
        segmentation: whose segments are filled in their phrases' colours, with a contour just
            inside each.
        style: `labels` puts a numbered plate on each named segment, `caption` a legend with the
            part of the picture that each one has below it, `scores` their scores.
        fill: 0..1, opacity of the fill; unnamed regions have about half of it.

    Returns:
        A new array of the same shape; with `style.caption` more rows.

    Raises:
        InputError: the picture has another size.
    """
    check_rgb(rgb)
    labels = segmentation.labels
    if rgb.shape[:2] != labels.shape:
        raise InputError(
            f"a segmentation of {labels.shape[1]}x{labels.shape[0]} pixels for a picture of "
            f"{rgb.shape[1]}x{rgb.shape[0]}"
        )
    described, ids = _described(segmentation)
    plan = make_plan(described, (rgb.shape[1], rgb.shape[0]), style)
    strip = plan.strip.height if plan.strip else 0
    out = np.empty((rgb.shape[0] + strip, *rgb.shape[1:]), np.uint8)
    if plan.strip is not None:
        draw_strip(out[rgb.shape[0] :], plan.strip)
    picture = out[: rgb.shape[0]]
    colours = segment_colours(segmentation)
    _blend(picture, rgb, segmentation, colours, fill)
    _outline(picture, labels, colours, plan)
    for plate, place in plan.labels:
        if place.leader is not None:
            draw_leader(picture, place.leader, plate.colour, plan)
    for plate, place in plan.labels:
        numbered = replace(plate, number=str(ids[plate.entity]))
        draw_plate(picture, numbered, place, style.plate_opacity)
    return out


def segment_colours(segmentation: LabelMap) -> list[RGB]:
    """The colour of each label, from 0; a phrase has that of its boxes."""
    by_phrase = picture_colours(s.phrase for s in segmentation.segments)
    return [REST_COLOUR, *(by_phrase[s.phrase] for s in segmentation.segments)]


def _described(segmentation: LabelMap) -> tuple[GroundedCaption, list[int]]:
    """The named segments as entities, with their masks' tight boxes, for plates and legend."""
    image = segmentation.image
    percent = segmentation.areas_percent()
    entities, ids, words = [], [], ""
    for segment in segmentation.segments:
        box = segmentation.mask(segment.id).xyxy_px
        if segment.kind == "region" or box is None:
            continue
        words += ", " if words else ""
        span = (len(words), len(words) + len(segment.phrase))
        words += f"{segment.phrase} {percent[segment.id]:.0f} %"
        image_wh = (image.width, image.height)
        boxes = (Box.of(px_to_norm(box, image_wh), image_wh, segment.score),)
        entities.append(Entity(segment.phrase, span, boxes))
        ids.append(segment.id)
    named = sum(percent[i] for i in ids)
    words += f"{', ' if words else ''}rest {100 - named:.0f} %"
    legend = GroundedCaption(
        image=image, model="", precision="", prompt="", caption=words, text=words, tagged="",
        marked="", raw="", entities=tuple(entities), token_ids=(), finish_reason="stop",
    )  # fmt: skip
    return legend, ids


def _blend(
    picture: NDArray[np.uint8],
    rgb: NDArray[np.uint8],
    segmentation: LabelMap,
    colours: list[RGB],
    fill: float,
) -> None:
    kinds = [0.0] + [
        fill * (_REGION_FILL / _FILL if s.kind == "region" else 1.0) for s in segmentation.segments
    ]
    weight = np.array([round(256 * k) for k in kinds], np.uint16)
    paint = np.array(colours, np.uint16) * weight[:, None] + 128
    rows = max(1, _BAND // max(1, rgb.shape[1]))
    for top in range(0, rgb.shape[0], rows):
        part = slice(top, top + rows)
        labels = segmentation.labels[part]
        kept = 256 - weight[labels]
        picture[part] = (rgb[part] * kept[..., None] + paint[labels]) >> 8


def _outline(
    picture: NDArray[np.uint8], labels: NDArray[np.uint16], colours: list[RGB], plan: Plan
) -> None:
    """A line along the inside of each segment; the picture's own edge has none."""
    line = max(1, plan.line // 2)
    edge = np.zeros(labels.shape, bool)
    for step in range(1, line + 1):
        if step < labels.shape[0]:
            apart = labels[step:] != labels[:-step]
            edge[step:] |= apart
            edge[:-step] |= apart
        if step < labels.shape[1]:
            apart = labels[:, step:] != labels[:, :-step]
            edge[:, step:] |= apart
            edge[:, :-step] |= apart
    edge &= labels > 0
    picture[edge] = np.array(colours, np.uint8)[labels[edge]]
