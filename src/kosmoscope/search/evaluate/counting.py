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
        starts = _starts(group)
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
    if high is None:
        if low <= 0:
            return np.ones(groups)
        return 1 - between(chance, numbers, group, groups, 0, low - 1)
    found = np.full(groups, float(low <= 0 <= high))
    if not len(chance) or high < low:
        return found
    starts = _starts(group)
    sizes = np.diff(np.append(starts, len(group)))
    most = np.add.reduceat(numbers.astype(np.int64), starts)
    # Longest groups first, so that those with an event more are a slice from the beginning.
    order = np.argsort(-sizes, kind="stable")
    starts, sizes = starts[order], sizes[order]
    top = min(high, int(most.max()))
    exactly = np.zeros((len(starts), top + 1))
    exactly[:, 0] = 1.0
    for turn in range(int(sizes[0])):
        going = int(np.searchsorted(-sizes, -turn, "left"))
        events = starts[:going] + turn
        p, state = chance[events][:, None], exactly[:going]
        came = np.zeros_like(state)
        brought = numbers[events]
        for number in np.unique(brought):
            if number <= top:
                rows = np.flatnonzero(brought == number)
                came[rows, number:] = state[rows, : top + 1 - int(number)]
        exactly[:going] = state * (1 - p) + came * p
    found[group[starts]] = exactly[:, low:].sum(axis=1) if low <= top else 0.0
    return found


def _starts(group: NDArray[Any]) -> NDArray[np.intp]:
    """Return where each group begins; there is at least one event."""
    return np.flatnonzero(np.append(True, group[1:] != group[:-1]))
