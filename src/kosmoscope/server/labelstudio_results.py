"""From what was found to Label Studio's results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kosmoscope.export.labelstudio_regions import (
    brush_value,
    picture_size,
    polygon_values,
    rectangle_value,
    region_id,
)
from kosmoscope.files.text import markup
from kosmoscope.images import read_image
from kosmoscope.results import Description
from kosmoscope.scope import Scope
from kosmoscope.segment.run import segment_description
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.labelstudio_config import Control, ShapeControl
from kosmoscope.server.pictures import NAME, Shown
from kosmoscope.types import Box, ImageInfo


@dataclass(frozen=True, slots=True)
class Found:
    """Where something is, and what a result calls it."""

    names: list[str]
    """The label, or none."""
    answers: tuple[Description, ...]
    """With the boxes that count."""

    def boxes(self) -> Iterator[Box]:
        """Yield them, in the order in which `segment_description` takes them."""
        for answer in self.answers:
            for entity in answer.entities:
                yield from entity.boxes


def shape_items(
    control: ShapeControl, found: Sequence[Found], shown: Shown, scope: Scope, segmenter: str
) -> list[dict[str, Any]]:
    """Return the results of a control.

    Args:
        control: of the configuration.
        found: what was looked for.
        shown: the picture, which is read again where masks are wanted.
        scope: whose picture limits and threads hold.
        segmenter: what makes masks, by name.

    Raises:
        RefusedError: brush strokes of a picture that is too large to be read whole.
        KosmoscopeError: the segmenter's library is not installed.
    """
    answers = [answer for one in found for answer in one.answers]
    boxes = [(one.names, box) for one in found for box in one.boxes()]
    if not boxes:
        return []
    image = answers[0].image
    values = [_rectangle(box, image) for _, box in boxes]
    if control.shape != "rectanglelabels":
        picture = read_image(shown.data, name=NAME, limits=scope.limits)
        if picture.reduced and control.shape == "brushlabels":
            raise RefusedError(422, "the picture is too large for brush strokes; use PolygonLabels")
        image = picture.rgb_info
        parts = segment_description(answers, picture.rgb, image, segmenter, threads=scope.threads)
        masks = [parts.mask(segment.id) for segment in parts.segments]
        values = [
            polygon_values(mask, image)
            if control.shape == "polygonlabels"
            else [brush_value(mask)] if mask.area_px else []
            for mask in masks
        ]  # fmt: skip
    items: list[dict[str, Any]] = []
    for (names, box), parts_of_it in zip(boxes, values, strict=True):
        for value in parts_of_it:
            item: dict[str, Any] = {
                "id": region_id(f"{shown.id}\n{control.name}\n{len(items)}"),
                "type": control.shape, "from_name": control.name, "to_name": control.to_name,
                **picture_size(image), "value": {**value, control.shape: names},
            }  # fmt: skip
            if box.shown_score is not None:
                item["score"] = round(box.shown_score, 4)
            items.append(item)
    return items


def _rectangle(box: Box, image: ImageInfo) -> list[dict[str, Any]]:
    return [rectangle_value(box.xyxy_px, image)]


def caption_item(control: Control, description: Description) -> dict[str, Any]:
    """Return the result of a text area."""
    key = f"{control.name}\n{description.caption}"
    return {
        "id": region_id(key), "type": "textarea", "from_name": control.name,
        "to_name": control.to_name, "value": {"text": [markup(description.caption)]},
    }  # fmt: skip


def prediction(items: list[dict[str, Any]], model: str) -> dict[str, Any]:
    """Return a task's prediction; its score is the mean of the results' own."""
    scores = [item["score"] for item in items if "score" in item]
    mean = round(sum(scores) / len(scores), 4) if scores else 0.0
    return {"model_version": model, "score": mean, "result": items}
