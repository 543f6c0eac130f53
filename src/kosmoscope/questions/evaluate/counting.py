"""`chance` for many groups of events at a time, with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Chances = NDArray[np.float64]


def at_least_one(chance: Chances, group: NDArray[Any], groups: int) -> Chances:
    """Return (G,) the probability that any event of each group happens.

    Args:
        chance: (E,) of each event.
        group: (E,) which group it is of, ascending.
        groups: G.
    """
    found = np.zeros(groups)
    if len(chance):
        starts = starts_of(group)
        found[group[starts]] = 1 - np.multiply.reduceat(1 - chance, starts)
    return found


def between(
    chance: Chances,
    numbers: NDArray[np.uint8],
    group: NDArray[Any],
    groups: int,
    low: int,
    high: int | None,
) -> Chances:
    """Return (G,) the probability that from `low` to `high` things are there in each group.

    Arguments as of `at_least_one`; `numbers`: (E,) how many things each event brings.
    """
    if low <= 0 and high is None:
        return np.ones(groups)
    found = np.full(groups, float(low <= 0))
    if not len(chance) or (high is not None and high < low):
        return found if high is None or low <= high else np.zeros(groups)
    starts = starts_of(group)
    sizes = np.diff(np.append(starts, len(group)))
    most = np.add.reduceat(numbers.astype(np.int32), starts)
    found[group[starts]] = 0.0
    # Longest groups first, so that those with an event more are a slice from the beginning; where
    # not enough can be there, nothing is to be reckoned.
    able = np.flatnonzero(most >= low)
    able = able[np.argsort(-sizes[able], kind="stable")]
    if len(able):
        top = low - 1 if high is None else min(high, int(most[able].max()))
        exactly = _exactly(chance, numbers, starts[able], sizes[able], top)
        p = 1 - exactly.sum(axis=0) if high is None else exactly[low:].sum(axis=0)
        found[group[starts[able]]] = p
    return found


def _exactly(
    chance: Chances,
    numbers: NDArray[np.uint8],
    starts: NDArray[np.intp],
    sizes: NDArray[np.intp],
    top: int,
) -> Chances:
    """Return (top + 1, G) the probability of exactly so many; groups are given longest first."""
    exactly = np.zeros((top + 1, len(starts)))
    exactly[0] = 1.0
    single = bool((numbers == 1).all())
    for turn in range(int(sizes[0])):
        going = int(np.searchsorted(-sizes, -turn, "left"))
        events = starts[:going] + turn
        p, state = chance[events], exactly[:, :going]
        came = np.zeros_like(state)
        if single:
            came[1:] = state[:-1]
        else:
            brought = numbers[events]
            for number in np.flatnonzero(np.bincount(brought)[: top + 1]):
                some = brought == number
                came[number:, some] = state[: top + 1 - number, some]
        exactly[:, :going] = state * (1 - p) + came * p
    return exactly


def starts_of(group: NDArray[Any]) -> NDArray[np.intp]:
    """Return where each group begins; there is at least one event."""
    changes = np.flatnonzero(group[1:] != group[:-1])
    return np.concatenate([[0], changes + 1])
