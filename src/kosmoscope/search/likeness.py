"""Copies of one picture, by `kosmoscope.images.hashing`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SAME_BITS = 8
"""Copies differ in at most so many of the 64 bits: 99.9 % of those with JPEG quality 30, half the
size or 20 % more light do, 96 % with 2 % cut off all around, 36 % with 5 %; of 1.2 million pairs of
different photographs none (benchmarks/search_copies.py)."""

Hashes = NDArray[np.uint64]


def copies(hashes: Hashes) -> list[list[int]]:
    """Return groups of pictures that are copies of one another, two or more each.

    Whatever is joined by a chain of copies is one group.

    Args:
        hashes: (n,), of `kosmoscope.images.hashing.picture_hash`.

    Returns:
        the pictures' indices, ascending in each group; groups by their first.
    """
    leader = np.arange(len(hashes))
    for first, second in _close(hashes):
        a, b = _root(leader, first), _root(leader, second)
        leader[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for i in range(len(hashes)):
        groups.setdefault(_root(leader, i), []).append(i)
    return [group for group in groups.values() if len(group) > 1]


def _close(hashes: Hashes) -> list[tuple[int, int]]:
    """Return all pairs that differ in at most `SAME_BITS` bits.

    Of nine parts of 7 bits, such a pair shares at least one: only those that do are compared.
    """
    parts = SAME_BITS + 1
    width = 64 // parts
    pairs: set[tuple[int, int]] = set()
    for part in range(parts):
        bits = (hashes >> np.uint64(part * width)) & np.uint64(2**width - 1)
        order = np.argsort(bits, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(bits[order])) + 1):
            pairs.update(_within(hashes, rows))
    return sorted(pairs)


def _within(hashes: Hashes, rows: NDArray[np.intp]) -> Sequence[tuple[int, int]]:
    found = []
    mine = hashes[rows]
    for at in range(len(rows) - 1):
        near = np.flatnonzero(_ones(mine[at + 1 :] ^ mine[at]) <= SAME_BITS)
        first = int(rows[at])
        found += [(min(first, int(j)), max(first, int(j))) for j in rows[at + 1 + near]]
    return found


def _ones(values: Hashes) -> NDArray[np.uint8]:
    """Count the bits; NumPy has `bitwise_count` from 2.0 on alone."""
    octets = values.view(np.uint8).reshape(-1, 8)
    counted: NDArray[np.uint8] = _COUNTS[octets].sum(1, dtype=np.uint8)
    return counted


_COUNTS = np.array([i.bit_count() for i in range(256)], np.uint8)


def _root(leader: NDArray[np.intp], i: int) -> int:
    while leader[i] != i:
        leader[i] = leader[leader[i]]
        i = int(leader[i])
    return i
