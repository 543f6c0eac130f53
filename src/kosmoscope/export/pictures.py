"""What was said about each picture: descriptions of one merged, repeated boxes kept once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from kosmoscope.export.labelled import LabelledBox, Report, labelled
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.files.text import utf8
from kosmoscope.types import XYXY, Box, GroundedCaption, ImageInfo


@dataclass(slots=True)
class LabelledPicture:
    """All that was said about one picture."""

    image: ImageInfo
    boxes: list[LabelledBox] = field(default_factory=list)
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


def merge(
    descriptions: Iterable[GroundedCaption],
    vocabulary: Vocabulary = Vocabulary.phrases(),
    report: Report | None = None,
) -> list[LabelledPicture]:
    """Return one `LabelledPicture` for each picture, in the order in which they first came.

    Exactly the same box with the same label is kept once, with the higher score.
    """
    report = report if report is not None else Report()
    pictures: list[LabelledPicture] = []
    places: list[dict[tuple[str, XYXY], int]] = []  # of each picture: box -> its index
    for found in labelled(descriptions, vocabulary, report):
        if found.picture == len(pictures):
            pictures.append(LabelledPicture(found.description.image))
            places.append({})
        picture, place = pictures[found.picture], places[found.picture]
        caption = utf8(found.description.caption)
        if caption and caption not in picture.captions:
            picture.captions.append(caption)
        for box in found.boxes:
            at = place.setdefault((box.label, box.xyxy_px), len(picture.boxes))
            if at == len(picture.boxes):
                picture.boxes.append(box)
                continue
            report.repeated(box.label)
            old = picture.boxes[at]
            if box.score is not None and (old.score is None or box.score > old.score):
                picture.boxes[at] = box
    return pictures


def labels_of(pictures: Iterable[LabelledPicture]) -> set[str]:
    """Return the classes that occur."""
    return {box.label for picture in pictures for box in picture.boxes}
