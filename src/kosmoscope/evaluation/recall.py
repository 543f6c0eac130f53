"""How much is found at a precision: the threshold of the score that finds most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kosmoscope.evaluation.judging import LARGE, PictureFacts

SMALL = 0.04
"""Share of the picture below which an object is small."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A box, and which labelled thing it is right for."""

    score: float
    found: int | None
    """Index among the picture's labelled things."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture: its labelled things, and the judged boxes."""

    areas: tuple[float, ...]
    """Of the things, as shares of the picture."""
    boxes: tuple[Judged, ...]

    @classmethod
    def of(cls, facts: PictureFacts) -> Seen:
        """Return what a description said of things; the score is what people are shown."""
        index = [i for i, t in enumerate(facts.truths) if not t.stuff]
        boxes = (
            Judged(
                (b.score if b.confidence is None else b.confidence) or 0.0,
                index.index(b.found) if b.found in index else None,
            )
            for b in facts.boxes
            if b.thing
        )
        return cls(tuple(facts.truths[i].area for i in index), tuple(boxes))

    @property
    def largest(self) -> int | None:
        """Index of the largest thing, if it covers `LARGE` of the picture or more."""
        best = max(range(len(self.areas)), key=self.areas.__getitem__, default=None)
        return best if best is not None and self.areas[best] >= LARGE else None


@dataclass(frozen=True, slots=True)
class Recall:
    """What is found at a threshold."""

    things: int
    """So many of the labelled things."""
    small: int
    """So many of those below `SMALL`."""
    largest: int
    """So many of the pictures' largest things, where those are `LARGE` or larger."""
    boxes: int
    """With the threshold's score or more."""
    threshold: float

    @property
    def precision(self) -> float:
        """Share of the boxes that are right, 0..1."""
        return self.things / self.boxes if self.boxes else 0.0


def recall_at(precision: float, pictures: Sequence[Seen]) -> Recall:
    """Return the most that is found by a threshold of the score with at least a precision.

    Boxes of one score are taken together or not at all. Where no threshold has the precision,
    nothing is found.
    """
    rows = sorted(((b.score, b.found, p) for p in pictures for b in p.boxes), key=lambda r: -r[0])
    best = Recall(0, 0, 0, 0, 1.0)
    things = small = largest = 0
    for n, (score, found, picture) in enumerate(rows, 1):
        if found is not None:
            things += 1
            small += picture.areas[found] < SMALL
            largest += found == picture.largest
        tied = n < len(rows) and rows[n][0] == score
        if not tied and things >= precision * n and things > best.things:
            best = Recall(things, small, largest, n, score)
    return best
