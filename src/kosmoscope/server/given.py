"""Results that a client sends back, to be drawn, segmented or exported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kosmoscope.errors import InputError
from kosmoscope.geometry import check_xyxy_norm
from kosmoscope.results import Description
from kosmoscope.types import Box, Entity, ImageInfo


def given(data: Mapping[str, Any], info: ImageInfo, name: str = "") -> Description:
    """Return a description that a verb answered, checked as nobody's word is trusted.

    Args:
        data: as it was answered; `picture_id` and `colours` are passed over.
        info: of the picture that came with it.
        name: what the picture is called from now on; it is never opened by it.

    Raises:
        InputError: it is none, or one of a picture of another size.
        BoxError: a box that cannot be.
    """
    found = Description.from_dict(data)
    image_wh = (info.width, info.height)
    if (found.image.width, found.image.height) != image_wh:
        raise InputError(
            f"a result of a picture of {found.image.width}x{found.image.height} pixels; "
            f"this one has {info.width}x{info.height}"
        )
    entities = tuple(_entity(e, image_wh) for e in found.entities)
    image = replace(info, path=name) if name else info
    return replace(found, image=image, entities=entities)


def _entity(entity: Entity, image_wh: tuple[int, int]) -> Entity:
    _check(entity.score, entity.count_confidence)
    boxes = tuple(_box(box, image_wh) for box in entity.boxes)
    return replace(entity, boxes=boxes)


def _box(box: Box, image_wh: tuple[int, int]) -> Box:
    _check(box.score, box.confidence, box.listed)
    refined = None if box.refined is None else check_xyxy_norm(box.refined)
    made = Box.of(check_xyxy_norm(box.xyxy), image_wh)
    return replace(box, xyxy=made.xyxy, xyxy_px=made.xyxy_px, refined=refined)


def _check(*scores: float | None) -> None:
    for score in scores:
        if score is not None and not (math.isfinite(score) and 0 <= score <= 1):
            raise InputError(f"a score of {score}; expected 0 to 1")
