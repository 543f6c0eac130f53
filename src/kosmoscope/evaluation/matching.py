"""Which box is right: overlap, and the pairing of boxes with labelled objects.

Boxes are (x1, y1, x2, y2) of one frame, normalised or in pixels.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from kosmoscope.evaluation.data import Truth
from kosmoscope.geometry import XYXY, iou

RIGHT_FROM = 0.5
"""The overlap (IoU) from which a box counts as right, as in PASCAL VOC and its successors."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A box that a model gave, with the classes that its phrase may mean."""

    phrase: str
    classes: frozenset[str]
    xyxy: XYXY
    score: float | None
    phrase_score: float | None = None
    confidence: float | None = None
    support: float | None = None


def match(guesses: Sequence[Guess], truths: Sequence[Truth]) -> list[int | None]:
    """Return, for each guess, the index of the object that it found, or None.

    Greedily, as in COCO's evaluation: the guesses are taken by falling score (without one last,
    else in order), and each takes the free object of one of its classes that it overlaps most, if
    the overlap is at least `RIGHT_FROM`. An object is found once.
    """
    found: list[int | None] = [None] * len(guesses)
    free = set(range(len(truths)))
    for g in by_score([guess.score for guess in guesses]):
        guess = guesses[g]
        best = max(
            (t for t in sorted(free) if truths[t].label in guess.classes),
            key=lambda t: iou(guess.xyxy, truths[t].xyxy),
            default=None,
        )
        if best is not None and iou(guess.xyxy, truths[best].xyxy) >= RIGHT_FROM:
            found[g] = best
            free.remove(best)
    return found


def by_score(scores: Sequence[float | None]) -> list[int]:
    """Return the indices by falling score; those without one come last, in their order."""
    return sorted(range(len(scores)), key=lambda i: (scores[i] is None, -(scores[i] or 0.0)))


def right_at(candidates: Sequence[XYXY], truths: Collection[XYXY], k: int) -> bool:
    """Say whether one of the first `k` candidates overlaps any true box by `RIGHT_FROM` or more.

    The any-box protocol of Flickr30k Entities (Kamath et al. 2021, "MDETR", appendix).
    """
    return any(iou(c, t) >= RIGHT_FROM for c in candidates[:k] for t in truths)
