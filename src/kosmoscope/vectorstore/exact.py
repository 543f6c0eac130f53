"""Looking at all vectors, a block at a time, so that any number of them takes little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from kosmoscope.vectorstore.protocol import Float, Found, Half, Numbers, Within

BLOCK = 8192
"""Vectors that are looked at together: 16 MB at 512 numbers each."""

Blocks = Callable[[], Iterator[tuple[Numbers, Half]]]


def cosines(vectors: Half | Float, wanted: Float, centre: Float | None = None) -> Float:
    """Return the cosine of each vector with one, (n,) in -1..1.

    Args:
        vectors: (n, D), of one model.
        wanted: (D,), of the same model.
        centre: (D,): taken away from all first.
    """
    whole = vectors.astype(np.float32)
    if centre is not None:
        whole -= centre
        wanted = wanted - centre
    lengths = np.sqrt(np.einsum("nd,nd->n", whole, whole)) * np.linalg.norm(wanted)
    found: Float = whole @ wanted / np.maximum(lengths, np.finfo(np.float32).tiny)
    return found


def mean(blocks: Iterator[tuple[Numbers, Half]], width: int, within: Within | None = None) -> Float:
    """Return the mean (D,) of all vectors that count; zeros where none does."""
    total, count = np.zeros(width), 0
    for numbers, vectors in blocks:
        kept = vectors if within is None else vectors[within(numbers)]
        total += kept.sum(0, dtype=np.float32)
        count += len(kept)
    return np.asarray(total / max(count, 1), np.float32)


def nearest(
    blocks: Blocks,
    wanted: Float,
    many: int,
    centre: Float | None = None,
    within: Within | None = None,
) -> Found:
    """Return the nearest of all vectors.

    Args:
        blocks: called for all of them, some at a time.
        wanted: (D,).
        many: how many at most.
        centre: (D,): taken away from all first.
        within: those that count.
    """
    best = Found(np.zeros(0, np.int64), np.zeros(0, np.float32))
    for numbers, vectors in blocks():
        likeness = cosines(vectors, wanted, centre)
        if len(best.numbers) == many and many:
            some = likeness >= best.likeness[-1]
            numbers, likeness = numbers[some], likeness[some]
        if within is not None and len(numbers):
            counting = within(numbers)
            numbers, likeness = numbers[counting], likeness[counting]
        best = first(
            np.append(best.numbers, numbers), np.append(best.likeness, likeness), many
        )  # fmt: skip
    return best


def first(numbers: Numbers, likeness: Float, many: int) -> Found:
    """Return the nearest of some, in order."""
    order = np.lexsort((numbers, -likeness))[:many]
    return Found(numbers[order], likeness[order])
