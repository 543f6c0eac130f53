"""Descriptions with their labels: the one stream that every format with classes is made from.

What an export did is counted here, while the stream runs, and nowhere else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from kosmoscope.choosing import same_picture
from kosmoscope.errors import ImageError, OptionError
from kosmoscope.export.names import is_placeholder
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.files.text import utf8
from kosmoscope.geometry import XYXY, clip
from kosmoscope.types import Entity, GroundedCaption, ImageInfo

PX_DIGITS = 3
"""A thousandth of a pixel: far below the grid's cell, and enough for pictures one pixel wide."""
NORM_DIGITS = 6
SCORE_DIGITS = 6


@dataclass(slots=True)
class Report:
    """What an export did; filled while it runs. Of segmentations a box is a segment."""

    descriptions: int = 0
    pictures: int = 0
    boxes: int = 0
    """Boxes written."""
    duplicates: int = 0
    """Boxes left out as the same box with the same label is there already: exactly it, or, of
    another prompt, one that overlaps by most of it."""
    unusable: int = 0
    """Boxes left out as they are not finite, inverted, or empty inside the picture."""
    dropped: int = 0
    """Boxes left out as the map file says so, or has no class for their phrase."""
    labels: Counter[str] = field(default_factory=Counter)
    """Boxes of each class."""
    unmapped: Counter[str] = field(default_factory=Counter)
    """Phrases for which the map file has no class, with their number of entities."""

    missing: list[ImageError] = field(default_factory=list)
    """Pictures that should have been put into the folder and cannot be read: left out, with their
    boxes, which are not counted."""

    def count(self, label: str | None, boxes: int, usable: int, *, drop: bool = True) -> None:
        """Count the boxes of an entity; without a label they are dropped, if they are."""
        if label is None and drop:
            self.dropped += boxes
            return
        self.boxes += usable
        self.unusable += boxes - usable
        if label is not None and usable:
            self.labels[label] += usable

    def repeated(self, label: str) -> None:
        """Count a box that was counted already as the same as an earlier one."""
        self.boxes -= 1
        self.labels[label] -= 1
        self.duplicates += 1

    def left_out(self, error: ImageError, labels: Iterable[str]) -> None:
        """Take back a picture that is not there, with its boxes."""
        self.missing.append(error)
        self.pictures -= 1
        for label in labels:
            self.boxes -= 1
            self.labels[label] -= 1
        self.labels = +self.labels

    def look_up(self, phrase: str, vocabulary: Vocabulary) -> str | None:
        """Return a phrase's class, None if its boxes are left out; count what is not known."""
        label, known = vocabulary.look_up(phrase)
        if not known:
            self.unmapped[utf8(phrase)] += 1
        return label


@dataclass(frozen=True, slots=True)
class LabelledBox:
    """A box with its class."""

    label: str
    phrase: str
    xyxy_px: XYXY
    """Corners in pixels of the upright picture, inside it and never empty."""
    score: float | None
    """`Box.shown_score`: how often such boxes are right, or without a measurement the score."""


@dataclass(frozen=True, slots=True)
class LabelledEntity:
    """An entity with its class."""

    entity: Entity
    phrase: str
    """The entity's, as UTF-8 can hold it."""
    label: str | None
    """None: the vocabulary leaves it out."""
    corners_px: tuple[XYXY | None, ...]
    """Of each of the entity's boxes: rounded and clipped to the picture; None: nothing is left."""

    @property
    def boxes(self) -> list[LabelledBox]:
        """The boxes that have a label and corners."""
        if self.label is None:
            return []
        return [
            LabelledBox(self.label, self.phrase, xyxy_px, number(box.shown_score, SCORE_DIGITS))
            for box, xyxy_px in zip(self.entity.boxes, self.corners_px, strict=True)
            if xyxy_px is not None
        ]


@dataclass(frozen=True, slots=True)
class LabelledDescription:
    """A description with its labelled entities."""

    description: GroundedCaption
    picture: int
    """The number of its picture, from 0 in the order in which they first came. Descriptions are of
    one picture if path and size are equal; of a picture that has no path (``<bytes>`` and the like)
    if they share its `ImageInfo`, as those of one encoded picture do."""
    entities: tuple[LabelledEntity, ...]

    @property
    def boxes(self) -> list[LabelledBox]:
        """The boxes of all entities that have a label and corners."""
        return [box for entity in self.entities for box in entity.boxes]


def labelled(
    descriptions: Iterable[GroundedCaption],
    vocabulary: Vocabulary = Vocabulary.phrases(),
    report: Report | None = None,
    *,
    drop: bool = True,
) -> Iterator[LabelledDescription]:
    """Yield descriptions with their labels as they come, and count them in the report.

    Args:
        descriptions: any number, of any pictures.
        vocabulary: of the labels.
        report: filled on the way.
        drop: what asks leaves out boxes without a label; otherwise they count as written.
    """
    report = report if report is not None else Report()
    for picture, description in _numbered(descriptions, report):
        entities: list[LabelledEntity] = []
        for entity in description.entities:
            label = report.look_up(entity.phrase, vocabulary)
            corners = tuple(inside(box.xyxy_px, description.image) for box in entity.boxes)
            usable = sum(xyxy_px is not None for xyxy_px in corners)
            report.count(label, len(corners), usable, drop=drop)
            entities.append(LabelledEntity(entity, utf8(entity.phrase), label, corners))
        yield LabelledDescription(description, picture, tuple(entities))


def by_picture(found: Iterable[LabelledDescription]) -> Iterator[list[LabelledDescription]]:
    """Yield what was said about a picture together, where it comes one after the other.

    So the results of a batch come; nothing more than one picture's is held.
    """
    for _, said in groupby(found, key=lambda one: one.picture):
        yield list(said)


def unlabelled(
    descriptions: Iterable[GroundedCaption], report: Report
) -> Iterator[GroundedCaption]:
    """Yield descriptions for formats that write them as they are, with all of their boxes."""
    for _, description in _numbered(descriptions, report):
        report.boxes += sum(len(entity.boxes) for entity in description.entities)
        yield description


def _numbered(
    descriptions: Iterable[GroundedCaption], report: Report
) -> Iterator[tuple[int, GroundedCaption]]:
    numbers: dict[object, int] = {}
    nameless: list[ImageInfo] = []  # held on to, so that no other object gets the id of one
    for description in descriptions:
        if not isinstance(description, GroundedCaption):
            raise OptionError(f"expected descriptions, got a {type(description).__name__}")
        key = same_picture(description.image)
        if is_placeholder(description.image.path):
            nameless.append(description.image)
        report.pictures += key not in numbers
        report.descriptions += 1
        yield numbers.setdefault(key, len(numbers)), description


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
