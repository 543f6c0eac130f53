"""Every object of a picture: what a detail pass found, held against complete labels.

Judged are boxes of countable things on pictures whose labels list every one. Frame of reference:
boxes are normalised to the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kosmoscope.calibration import DetailCalibration
from kosmoscope.detail.counting import distribution, quantile
from kosmoscope.detail.merging import Thing, features
from kosmoscope.evaluation.data import Truth
from kosmoscope.evaluation.matching import Guess, match
from kosmoscope.evaluation.phrases import Classes
from kosmoscope.evaluation.recall import Judged, Seen
from kosmoscope.evaluation.statistics import logistic

RIDGE = 3.0
"""Weight of the squared weights in the fit, against the sum over objects: pictures are few."""

_SEVERAL = 9


def judged(guesses: Sequence[Guess], truths: Sequence[Truth], classes: Classes) -> Seen:
    """Hold boxes against a picture's labels; those that name no class of the set do not count.

    Args:
        guesses: of any phrases; `Guess.classes` is taken from `classes`.
        truths: of the picture; stuff is left out.
        classes: of the set's things.
    """
    things = tuple(t for t in truths if not t.stuff)
    known = [
        Guess(g.phrase, found, g.xyxy, g.score) for g in guesses if (found := classes.of(g.phrase))
    ]
    pairs = zip(known, match(known, things), strict=True)
    return Seen(tuple(t.area for t in things), tuple(Judged(g.score or 0.0, i) for g, i in pairs))


def guesses_of(things: Iterable[Thing]) -> list[Guess]:
    """Return the objects of a detail pass as boxes to be judged."""
    return [Guess(t.kind, frozenset(), t.xyxy, t.score) for t in things if t.kind]


@dataclass(frozen=True, slots=True)
class Example:
    """An object for the fit: what is known of it, and whether it is right."""

    picture: int
    known: dict[str, float]
    right: bool


def examples_of(
    picture: int,
    things: Sequence[Thing],
    named: frozenset[str],
    truths: Sequence[Truth],
    classes: Classes,
) -> list[Example]:
    """Return the objects of a picture that name a class of the set, each right or wrong.

    Several boxes of one object are not told apart here but by their order: only the surest is
    right, as `match` has it.
    """
    mine = [t for t in things if classes.of(t.kind)]
    seen = judged(guesses_of(mine), truths, classes)
    found = []
    for t, b in zip(mine, seen.boxes, strict=True):
        # What a detector knows is all that is labelled. As if it did not, for what it does not:
        alone = [replace(t, known=False)] if t.known and t.told else []
        right = b.found is not None
        found += [Example(picture, features(x, t.kind in named), right) for x in (t, *alone)]
    return found


def fit(examples: Sequence[Example], *, pictures: str = "") -> DetailCalibration:
    """Return the calibration that explains the examples best (`statistics.logistic`)."""
    names = sorted({n for e in examples for n in e.known})
    x = np.array([[e.known.get(n, 0.0) for n in names] for e in examples])
    x = x.reshape(len(examples), -1)
    y = np.array([float(e.right) for e in examples])
    weights = logistic(x, y, RIDGE)
    bias, *rest = weights.round(4).tolist()
    return DetailCalibration(
        bias, dict(zip(names, rest, strict=True)), things=len(examples), pictures=pictures
    )


def number_of(probabilities: Sequence[float], unseen: float) -> int:
    """Return the number that `Count` would give."""
    return quantile(distribution(probabilities, unseen * sum(probabilities)), 0.5)


def unseen_share(cases: Sequence[tuple[Sequence[float], int]]) -> float:
    """Return how many there are beside each one expected: what makes the smallest mean error.

    Nobody knows what people will ask for: none, one and several (up to 9) count the same.

    Args:
        cases: the objects' probabilities and the true number, also of kinds that are not there.
    """

    def error(unseen: float) -> float:
        errors: dict[int, list[int]] = {}
        for probabilities, true in cases:
            if true <= _SEVERAL:
                off = abs(number_of(probabilities, unseen) - true)
                errors.setdefault(min(true, 2), []).append(off)
        return sum(sum(some) / len(some) for some in errors.values())

    return min((i / 10 for i in range(31)), key=lambda unseen: (error(unseen), unseen))
