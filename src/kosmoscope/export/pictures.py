"""Descriptions merged per picture, as the formats of object detection want them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from kosmoscope.export.names import is_placeholder, utf8
from kosmoscope.export.vocabulary import Report, Vocabulary
from kosmoscope.geometry import XYXY, clip
from kosmoscope.types import Box, GroundedCaption, ImageInfo

PX_DIGITS = 3
"""A thousandth of a pixel: far below the grid's cell, and enough for pictures one pixel wide."""
NORM_DIGITS = 6
SCORE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Labelled:
    """A box with its class."""

    label: str
    phrase: str
    xyxy_px: XYXY
    """Corners in pixels of the upright picture, inside it and never empty."""
    score: float | None


@dataclass(slots=True)
class Picture:
    """All that was said about one picture."""

    image: ImageInfo
    boxes: list[Labelled] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    """Without repetition, in the order in which they came."""


def refine(description: GroundedCaption) -> GroundedCaption:
    """Return the description with each box's corners replaced by its refined ones, if it has any.

    For exports whose boxes should be finer than the model's 32 x 32 grid.
    """
    image_wh = (description.image.width, description.image.height)

    def fine(box: Box) -> Box:
        if box.refined is None:
            return box
        return Box.of(box.refined, image_wh, box.score, box.refined)

    entities = tuple(replace(e, boxes=tuple(map(fine, e.boxes))) for e in description.entities)
    return replace(description, entities=entities)


def number(value: float | None, digits: int) -> float | None:
    """Return a rounded float; None for None, NaN and infinities."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), digits) + 0.0  # + 0.0: no negative zero


def inside(xyxy_px: XYXY, image: ImageInfo) -> XYXY | None:
    """Return a box in pixels rounded and clipped to the picture; None where nothing is left."""
    if not all(math.isfinite(v) for v in xyxy_px):
        return None
    x1, y1, x2, y2 = (round(float(v), PX_DIGITS) for v in xyxy_px)
    return clip((x1, y1, x2, y2), (image.width, image.height))


def merge(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary, report: Report | None = None
) -> list[Picture]:
    """Return one `Picture` for each picture, in the order in which they first came.

    Descriptions are of one picture if path and size are equal; of a picture that has no path
    (``<bytes>`` and the like) if they share its `ImageInfo`, as those of one encoded picture do.
    Exactly the same box with the same label is kept once, with the higher score.
    """
    report = report if report is not None else Report()
    pictures: dict[object, Picture] = {}
    seen: dict[object, dict[tuple[str, XYXY], int]] = {}
    for description in descriptions:
        image = description.image
        key: object = (image.path, image.width, image.height)
        if is_placeholder(image.path):
            key = id(image)  # the picture holds on to it: no other object can get this id
        if key not in pictures:
            pictures[key], seen[key] = Picture(image), {}
        report.descriptions += 1
        picture = pictures[key]
        caption = utf8(description.caption)
        if caption and caption not in picture.captions:
            picture.captions.append(caption)
        _add(picture, seen[key], description, vocabulary, report)
    report.pictures += len(pictures)
    return list(pictures.values())


def _add(
    picture: Picture,
    seen: dict[tuple[str, XYXY], int],
    description: GroundedCaption,
    vocabulary: Vocabulary,
    report: Report,
) -> None:
    for entity in description.entities:
        label, known = vocabulary.look_up(entity.phrase)
        if not known:
            report.unmapped[utf8(entity.phrase)] += 1
        if label is None:
            report.dropped += len(entity.boxes)
            continue
        for box in entity.boxes:
            xyxy_px = inside(box.xyxy_px, picture.image)
            if xyxy_px is None:
                report.unusable += 1
                continue
            new = Labelled(label, utf8(entity.phrase), xyxy_px, number(box.score, SCORE_DIGITS))
            at = seen.setdefault((label, xyxy_px), len(picture.boxes))
            if at == len(picture.boxes):
                picture.boxes.append(new)
                report.boxes += 1
                report.labels[label] += 1
                continue
            report.duplicates += 1
            old = picture.boxes[at]
            if new.score is not None and (old.score is None or new.score > old.score):
                picture.boxes[at] = new


def labels_of(pictures: Iterable[Picture]) -> set[str]:
    """Return the classes that occur."""
    return {box.label for picture in pictures for box in picture.boxes}
