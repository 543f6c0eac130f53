"""Which things stand to which others of the same picture, for many pictures at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.questions.evaluate.columns import Columns, Standing
from kosmoscope.questions.evaluate.counting import at_least_one
from kosmoscope.questions.evaluate.space import RELATIONS
from kosmoscope.questions.language.tree import Relation

_BLOCK = 32_768
"""Pairs that are looked at together."""

Rows = NDArray[np.intp]
Chances = NDArray[np.float64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Each:
    """Things that may be what is asked for."""

    rows: Rows
    """(R,) into the columns, ascending."""
    chance: Chances
    """(R,)"""


class Corners:
    """Corners of some things, each column fetched when it is asked for."""

    def __init__(self, columns: Columns, rows: Rows) -> None:
        self._columns, self._rows = columns.corners, rows
        self._kept: dict[int, NDArray[np.int32]] = {}

    def __getitem__(self, corner: int) -> NDArray[np.int32]:
        if corner not in self._kept:
            self._kept[corner] = self._columns[corner][self._rows]
        return self._kept[corner]


def located(columns: Columns, rows: Rows | slice) -> Truths:
    """Say which things have a box."""
    return np.asarray(columns.corners[2][rows] > 0)


def pairs(columns: Columns, rows: Rows, others: Rows, relation: Relation) -> tuple[Rows, Rows]:
    """Return what of some things stands to what of others, none to itself.

    Args:
        columns: of the pictures.
        rows, others: into the columns, ascending.
        relation: of the first to the second.

    Returns:
        (P,), (P,): indices into `rows`, ascending, and into `others`.
    """
    mine, theirs = columns.picture[rows], columns.picture[others]
    there = np.bincount(theirs, minlength=columns.pictures)
    many = there[mine]
    first = np.cumsum(there)[mine] - many
    ends = np.cumsum(many)
    holds = _holding(columns, rows, others, relation)
    found, start = [], 0
    while start < len(mine):
        # Some at a time, so that what is computed of them stays in the processor's cache.
        stop = max(int(np.searchsorted(ends, ends[start] + _BLOCK)), start + 1)
        number = many[start:stop]
        one = np.repeat(np.arange(start, stop), number)
        other = spread(first[start:stop], number)
        kept = np.flatnonzero(holds(one, other))
        found.append((one[kept], other[kept]))
        start = stop
    one = np.concatenate([f[0] for f in found] or [np.zeros(0, np.intp)])
    other = np.concatenate([f[1] for f in found] or [np.zeros(0, np.intp)])
    return one, other


def to_anything(columns: Columns, relation: Relation) -> Standing:
    """Return how all things stand to any others that have a box: reckoned once, and kept."""
    if relation not in columns.to_anything:
        rows = np.arange(len(columns.picture))
        others = np.flatnonzero(located(columns, rows))
        one, other = pairs(columns, rows, others, relation)
        chance = at_least_one(columns.chance[others[other]], one, len(rows))
        starts = np.searchsorted(one, np.arange(len(rows) + 1))
        columns.to_anything[relation] = Standing(chance, starts, others[other].astype(np.int32))
    return columns.to_anything[relation]


def spread(first: NDArray[np.intp], number: NDArray[np.intp]) -> Rows:
    """Return so many numbers from each first one on, one stretch after another."""
    before = first - np.cumsum(number) + number
    return np.arange(int(number.sum())) + np.repeat(before, number)


def _holding(
    columns: Columns, rows: Rows, others: Rows, relation: Relation
) -> Callable[[Rows, Rows], Truths]:
    """Return what says of pairs (P,), (P,) whether the relation holds."""
    rule = RELATIONS[relation]
    a_there, b_there = located(columns, rows), located(columns, others)
    boxes = bool(a_there.all() and b_there.all())
    asked = np.zeros(len(columns.picture), np.bool_)
    asked[rows] = True
    apart = not asked[others].any()  # no thing is of both kinds

    def holds(one: Rows, other: Rows) -> Truths:
        mine, theirs = rows[one], others[other]
        found: Truths = rule(Corners(columns, mine), Corners(columns, theirs))
        if not boxes:
            both = a_there[one] & b_there[other]
            # "on a beach", where the beach was named alone.
            found = found | ~both if relation == "touching" else found & both
        return found if apart else found & (mine != theirs)

    return holds
