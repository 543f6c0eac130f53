"""Probabilities of independent events: none of them, some, so many."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def none_of(probabilities: Iterable[float]) -> float:
    """Return the probability that no event happens."""
    return math.prod(1 - p for p in probabilities)


def between(
    probabilities: Sequence[float], numbers: Sequence[int], low: int, high: int | None
) -> float:
    """Return the probability that from `low` to `high` things are there.

    The number of things has a Poisson binomial distribution, here with weights, summed up event by
    event (Hong, "On computing the distribution function for the Poisson binomial distribution",
    2013, section 2.5).

    Args:
        probabilities: of each event.
        numbers: how many things each brings, at least 1.
        low, high: both ends in; `high` None: any more.
    """
    if high is None:
        return 1.0 if low <= 0 else 1 - between(probabilities, numbers, 0, low - 1)
    if high < low:
        return 0.0
    # exactly[k]: so far k things are there; what is more than `high` is no longer counted.
    exactly = [1.0] + [0.0] * high
    for p, number in zip(probabilities, numbers, strict=True):
        for k in range(high, -1, -1):
            came = exactly[k - number] * p if k >= number else 0.0
            exactly[k] = exactly[k] * (1 - p) + came
    return math.fsum(exactly[low:])
