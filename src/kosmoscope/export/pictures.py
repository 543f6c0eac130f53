"""What was said about each picture: descriptions of one merged, repeated boxes kept once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from kosmoscope.choosing import MERGE_IOU, better
from kosmoscope.export.labelled import LabelledBox, Report, labelled
from kosmoscope.export.saying import is_caption
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.files.text import utf8
from kosmoscope.geometry import iou
from kosmoscope.types import XYXY, Box, GroundedCaption, ImageInfo


@dataclass(slots=True)
class LabelledPicture:
    """All that was said about one picture."""

    image: ImageInfo
    boxes: list[LabelledBox] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    """Without repetition, in the order in which they came. What was looked for, and answers to
    questions, are none."""
    models: list[str] = field(default_factory=list)
    """Which models said it, with their precision; without repetition."""


def refine(description: GroundedCaption) -> GroundedCaption:
    """Return the description with each box's corners replaced by its refined ones, if it has any.

    For exports whose boxes should be finer than the model's 32 x 32 grid.
    """
    image_wh = (description.image.width, description.image.height)

    def fine(box: Box) -> Box:
        if box.refined is None:
            return box
        return Box.of(box.refined, image_wh, box.score, box.refined, box.confidence)

    entities = tuple(replace(e, boxes=tuple(map(fine, e.boxes))) for e in description.entities)
    return replace(description, entities=entities)


def merge(
    descriptions: Iterable[GroundedCaption],
    vocabulary: Vocabulary = Vocabulary.phrases(),
    report: Report | None = None,
    *,
    merge_iou: float | None = None,
) -> list[LabelledPicture]:
    """Return one `LabelledPicture` for each picture, in the order in which they first came.

    Exactly the same box with the same label is kept once, and so are boxes of several descriptions
    that overlap by `merge_iou` (`MERGE_IOU` unless given): with the higher score.
    """
    report = report if report is not None else Report()
    merge_iou = MERGE_IOU if merge_iou is None else merge_iou
    pictures: list[LabelledPicture] = []
    gathered: list[_Gathered] = []
    for number, found in enumerate(labelled(descriptions, vocabulary, report)):
        description = found.description
        if found.picture == len(pictures):
            pictures.append(LabelledPicture(description.image))
            gathered.append(_Gathered(pictures[-1].boxes, merge_iou))
        picture = pictures[found.picture]
        caption = utf8(description.caption) if is_caption(description) else ""
        if caption and caption not in picture.captions:
            picture.captions.append(caption)
        model = utf8(f"{description.model} {description.precision}".strip())
        if model not in picture.models:
            picture.models.append(model)
        for box in found.boxes:
            if not gathered[found.picture].add(box, number):
                report.repeated(box.label)
    return pictures


class _Gathered:
    """The boxes of a picture while they come, each thing once."""

    def __init__(self, boxes: list[LabelledBox], merge_iou: float) -> None:
        self._boxes, self._least = boxes, merge_iou
        self._places: dict[tuple[str, XYXY], int] = {}
        self._by_label: dict[str, list[int]] = {}
        self._said_by: list[set[int]] = []
        """Of each box, the descriptions that have it."""

    def add(self, box: LabelledBox, description: int) -> bool:
        """Add a box; False where there is one for it, which keeps the higher score."""
        at = self._place(box, description)
        if at is None:
            self._places[box.label, box.xyxy_px] = at = len(self._boxes)
            self._by_label.setdefault(box.label, []).append(at)
            self._boxes.append(box)
            self._said_by.append({description})
            return True
        self._said_by[at].add(description)
        if better(box.score, self._boxes[at].score):
            self._boxes[at] = box
            self._places[box.label, box.xyxy_px] = at
        return False

    def _place(self, box: LabelledBox, description: int) -> int | None:
        """Return where the same box stands: exactly it, or that of another prompt."""
        same = self._places.get((box.label, box.xyxy_px))
        if same is not None:
            return same
        others = (
            i for i in self._by_label.get(box.label, ()) if description not in self._said_by[i]
        )
        overlaps = [(iou(box.xyxy_px, self._boxes[i].xyxy_px), -i) for i in others]
        best, at = max(overlaps, default=(0.0, 0))
        return -at if best > 0 and best >= self._least else None


def labels_of(pictures: Iterable[LabelledPicture]) -> set[str]:
    """Return the classes that occur."""
    return {box.label for picture in pictures for box in picture.boxes}
