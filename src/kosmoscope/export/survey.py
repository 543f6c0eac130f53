"""What must be known of all segmentations before the first is written: a first pass, counted.

Numbers of classes must be known then, so that they are gone through twice: an iterator is gathered
for that, any other iterable (say one that reads files) is asked again, so that one picture at a
time is in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from kosmoscope.choosing import MERGE_IOU, better, known_score, same_picture
from kosmoscope.errors import OptionError
from kosmoscope.export.format import Job
from kosmoscope.export.names import unique_stems
from kosmoscope.geometry import XYXY, iou

if TYPE_CHECKING:
    from kosmoscope.masks import LabelMap, Segment
    from kosmoscope.types import ImageInfo


@dataclass(frozen=True, slots=True)
class Piece:
    """A segmentation, with what the first pass found about it."""

    segmentation: LabelMap
    picture: int
    """The number of its picture, from 0."""
    stem: str
    """Of the picture's files."""
    named: list[tuple[Segment, str]]
    """The segments that are written, with their classes."""
    last: bool
    """No other segmentation of this picture follows."""


@dataclass(slots=True)
class _Kept:
    """A segment that counts, so far."""

    xyxy_px: XYXY
    score: float | None
    place: tuple[int, int]
    """Its segmentation's number and its id."""
    said_by: set[int]
    """The segmentations that have it."""


class Survey:
    """A first pass over all segmentations; `pieces` is the second."""

    def __init__(self, job: Job) -> None:
        from kosmoscope.masks import LabelMap

        gathered = isinstance(job.found, Iterator)
        self._job = job
        self._all: Iterable[LabelMap] = list(job.found) if gathered else job.found
        self.images: list[ImageInfo] = []
        """Of the pictures, each once."""
        self.stuff: set[str] = set()
        """The classes that are no countable things."""
        self._pictures: list[int] = []
        """Of each segmentation the number of its picture."""
        self._twins: set[tuple[int, int]] = set()
        """Segments that another prompt found too: (segmentation, id)."""
        labels: set[str] = set()
        numbers: dict[object, int] = {}
        kept: dict[tuple[int, str], list[_Kept]] = {}
        for at, one in enumerate(self._all):
            if not isinstance(one, LabelMap):
                raise OptionError(f"expected segmentations, got a {type(one).__name__}")
            key = same_picture(one.image)
            if key not in numbers:
                numbers[key] = len(numbers)
                self.images.append(one.image)
                job.report.pictures += 1
            self._pictures.append(numbers[key])
            job.report.descriptions += 1
            areas_px = one.areas_px()
            for segment in self._wanted(one):
                label = job.report.look_up(segment.phrase, job.vocabulary)
                usable = int(areas_px[segment.id] > 0)
                job.report.count(label, 1, usable)
                if label is None:
                    continue
                labels.add(label)
                self.stuff.update({label} if segment.kind == "stuff" else ())
                if usable and self._is_twin(
                    kept.setdefault((numbers[key], label), []), segment, at
                ):
                    job.report.repeated(label)
        self.ids = job.vocabulary.numbered(labels)

    @cached_property
    def stems(self) -> list[str]:
        """A file stem for each picture."""
        return unique_stems(self.images)

    def pieces(self) -> Iterator[Piece]:
        """Yield the segmentations again, in their order."""
        left = Counter(self._pictures)
        for at, one in enumerate(self._all):
            picture = self._pictures[at]
            left[picture] -= 1
            named = [
                (segment, label)
                for segment in self._wanted(one)
                if (label := self._job.vocabulary.label(segment.phrase)) is not None
                and (at, segment.id) not in self._twins
            ]
            yield Piece(one, picture, self.stems[picture], named, not left[picture])

    def _wanted(self, one: LabelMap) -> Iterator[Segment]:
        """Yield the segments that somebody named, and that are sure enough."""
        least = self._job.min_score or 0.0
        for segment in one.segments:
            score = known_score(segment.score)
            if segment.kind != "region" and (score is None or score >= least):
                yield segment

    def _is_twin(self, kept: list[_Kept], segment: Segment, at: int) -> bool:
        """Keep a segment; True where another prompt's box of the class is (nearly) the same.

        Of the two the one with the higher score is left.
        """
        if segment.xyxy_px is None:
            return False
        least = MERGE_IOU if self._job.merge_iou is None else self._job.merge_iou
        place = (at, segment.id)
        for other in kept:
            overlap = iou(segment.xyxy_px, other.xyxy_px)
            if at in other.said_by or overlap < least or not overlap:
                continue
            other.said_by.add(at)
            if better(segment.score, other.score):
                self._twins.add(other.place)
                other.xyxy_px, other.score, other.place = segment.xyxy_px, segment.score, place
            else:
                self._twins.add(place)
            return True
        kept.append(_Kept(segment.xyxy_px, segment.score, place, {at}))
        return False
