"""What the detector inside a vision tower saw by itself, beside what the model says.

Kosmos-2's own tower has none. A model whose tower has one reads its candidates as tokens, and puts
some of them into words; all of them are evidence, for and against what it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.export.things import kind_of
from kosmoscope.geometry import SAME_IOU, XYXY, iou


@dataclass(frozen=True, slots=True)
class Candidate:
    """An object that the detector suspects."""

    name: str
    """Of its likeliest class."""
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
                x1, y1, x2, y2 = box.tolist()
                yield Candidate(self.names[best], (x1, y1, x2, y2), float(scores[best]))

    def support(self, phrase: str, xyxy: XYXY) -> float | None:
        """Return how far the detector sees a phrase's thing in a box, 0..1.

        The best score of its class among the candidates that overlap the box; 0 without any. None
        for what is no class of the detector: it has no say in that.
        """
        kind = kind_of(phrase)
        columns = [i for i, name in enumerate(self.names) if kind_of(name) == kind]
        if not columns:
            return None
        near = [
            row
            for row, box in zip(self.scores[:, columns], self.boxes.tolist(), strict=True)
            if iou(tuple(box), xyxy) >= SAME_IOU
        ]
        return max((float(row.max()) for row in near), default=0.0)
