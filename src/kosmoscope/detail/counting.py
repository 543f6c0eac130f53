"""How many there are: from objects that are there with some probability to a number."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kosmoscope.types import Box, ImageInfo

_MOST_UNSEEN = 64


@dataclass(frozen=True, slots=True)
class Count:
    """How many of something there are in a picture."""

    phrase: str
    number: int
    """The likeliest middle: as often there are more as there are fewer."""
    confidence: float | None
    """0..1: how likely it is exactly this number; None where nobody has measured the model."""
    low: int
    high: int
    """Four times in five the number lies between these, both included."""
    boxes: tuple[Box, ...]
    """The surest, at most `number`: the rest is expected, not seen."""
    image: ImageInfo
    model: str
    precision: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return found


def distribution(probabilities: Sequence[float], unseen: float = 0.0) -> list[float]:
    """Return how likely 0, 1, 2, ... are.

    Each object is there or not (a Poisson binomial distribution), and beside them there are some
    that nobody saw (Poisson).

    Args:
        probabilities: of the objects, 0..1.
        unseen: how many nobody saw, on average.
    """
    found = [1.0]
    for p in probabilities:
        found = [
            (found[n] * (1 - p) if n < len(found) else 0.0) + (found[n - 1] * p if n else 0.0)
            for n in range(len(found) + 1)
        ]
    if unseen <= 0:
        return found
    most = min(_MOST_UNSEEN, math.ceil(unseen + 6 * math.sqrt(unseen) + 6))
    more = [math.exp(n * math.log(unseen) - unseen - math.lgamma(n + 1)) for n in range(most + 1)]
    both = [0.0] * (len(found) + most)
    for i, p in enumerate(found):
        for j, q in enumerate(more):
            both[i + j] += p * q
    return both


def quantile(shares: Sequence[float], at: float) -> int:
    """Return the least number that is not exceeded with probability `at`."""
    total, sum_ = 0.0, math.fsum(shares)
    for n, share in enumerate(shares):
        total += share
        if total >= at * sum_ - 1e-12:
            return n
    return len(shares) - 1
