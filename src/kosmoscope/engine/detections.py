"""What the detector inside a vision tower saw by itself, beside what the model says.

Kosmos-2's own tower has none. A model whose tower has one reads its candidates as tokens, and puts
some of them into words; all of them are evidence, for and against what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.export.things import kind_of
from kosmoscope.geometry import SAME_IOU, XYXY, iou

_LEAST = 0.05
"""A candidate of which a class has a lower score is not taken for one of its things."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object that the detector suspects."""

    name: str
    """Of a class."""
    xyxy: XYXY
    """Normalised."""
    score: float
    """0..1, the detector's own: no measured share."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Candidates of one picture, the best first."""

    names: tuple[str, ...]
    """Of the C classes."""
    scores: NDArray[np.float32]
    """(K, C), of each candidate and class, 0..1."""
    boxes: NDArray[np.float32]
    """(K, 4), normalised x1, y1, x2, y2."""

    @classmethod
    def of(cls, rows: NDArray[np.float32], names: tuple[str, ...]) -> Detections:
        """Read the graph's output, float32 (K, C + 4); empty rows are left out."""
        scores, boxes = rows[:, : len(names)], rows[:, len(names) :]
        there = (scores.max(axis=1) > 0) & (boxes[:, :2] < boxes[:, 2:]).all(axis=1)
        return cls(names, scores[there], boxes[there])

    @property
    def kinds(self) -> frozenset[str]:
        """What it knows; see `kosmoscope.export.things.kind_of`."""
        return frozenset(map(kind_of, self.names))

    def candidates(self, least: float) -> Iterator[Candidate]:
        """Yield the candidates whose likeliest class scores at least so much."""
        for scores, box in zip(self.scores, self.boxes, strict=True):
            best = int(scores.argmax())
            if scores[best] >= least:
                yield Candidate(self.names[best], _corners(box), float(scores[best]))

    def paired(self, phrase: str, boxes: Sequence[XYXY]) -> list[Candidate | None] | None:
        """Return the candidate that each box of a phrase is about, or None for a box without one.

        Of the candidates that overlap a box, and that the detector may take for the phrase's thing,
        the one that overlaps it most; each goes to one box, the earlier first. Its score is that of
        the phrase's class, however likely another is. None in place of the list for what is no
        class of the detector: it has no say in that.

        Args:
            phrase: names the thing.
            boxes: normalised, in the order of the text.
        """
        kind = kind_of(phrase)
        columns = [i for i, name in enumerate(self.names) if kind_of(name) == kind]
        if not columns:
            return None
        scores = self.scores[:, columns].max(axis=1)
        free = {i: _corners(box) for i, box in enumerate(self.boxes) if scores[i] >= _LEAST}
        found: list[Candidate | None] = []
        for xyxy in boxes:
            best = max(free, key=lambda i: iou(free[i], xyxy), default=None)
            if best is None or iou(free[best], xyxy) < SAME_IOU:
                found.append(None)
                continue
            name = self.names[max(columns, key=lambda c: self.scores[best, c])]
            found.append(Candidate(name, free.pop(best), float(scores[best])))
        return found


def _corners(box: NDArray[np.float32]) -> XYXY:
    x1, y1, x2, y2 = box.tolist()
    return (x1, y1, x2, y2)
