"""In which order pictures are shown: by probability, by likeness, by both."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kosmoscope.questions.evaluate.standing import Chances
from kosmoscope.search.answers import Alike
from kosmoscope.search.embedding import Float
from kosmoscope.search.index.keeping import KeptVectors
from kosmoscope.search.index.loading import Loaded
from kosmoscope.vectorstore import Found

DEEP = 10_000
"""So many are ordered by their vectors too; of more answers those that are nearest."""


def best(chances: Chances | Float, many: int) -> list[int]:
    """Return the likeliest pictures, of equal ones the first."""
    if many <= 0:
        return []
    if many < len(chances):
        # All that are as likely as the last one may be the one that comes first.
        least = np.partition(chances, len(chances) - many)[len(chances) - many]
        some = np.flatnonzero(chances >= least)
    else:
        some = np.arange(len(chances))
    order = np.lexsort((some, -chances[some]))[:many]
    return [int(i) for i in some[order]]


def fused(chances: Chances, likeness: Float, some: NDArray[np.intp]) -> list[int]:
    """Return pictures ordered by both of two measures: by the sum of 1 / (60 + rank).

    Source: Cormack, Clarke and Buettcher, Reciprocal rank fusion (SIGIR 2009).

    Args:
        chances, likeness: of all pictures.
        some: which to order.
    """
    score = np.zeros(len(some))
    for measure in (chances[some], likeness[some]):
        rank = np.searchsorted(np.sort(-measure), -measure)  # how many are better
        score += 1 / (60 + rank)
    return [int(i) for i in some[np.lexsort((some, -score))]]


def by_both(
    loaded: Loaded,
    vectors: KeptVectors,
    wanted: Float,
    chances: Chances,
    some: NDArray[np.intp],
) -> list[int]:
    """Return pictures ordered by how likely they are, and by how near their vectors are.

    Args:
        loaded: the columns.
        vectors: of them.
        wanted: (D,), of the question.
        chances: of all pictures.
        some: which to order, ascending.
    """
    likeness = np.full(len(chances), -np.inf, np.float32)
    numbers = loaded.ids(some)
    if len(some) <= DEEP:
        likeness[some] = vectors.likeness(wanted, numbers)
    else:
        found = vectors.nearest(wanted, DEEP, among=np.sort(numbers))
        likeness[loaded.places(found.numbers)] = found.likeness
    return fused(chances, likeness, some)


def told_alike(loaded: Loaded, found: Found) -> tuple[Alike, ...]:
    """Return the pictures of vectors that were found."""
    places = loaded.places(found.numbers)
    return tuple(
        Alike(row.source, float(likeness), row.caption, row.lines)
        for i, likeness in zip(places, found.likeness, strict=True)
        for row in [loaded.row(int(i))]
    )
