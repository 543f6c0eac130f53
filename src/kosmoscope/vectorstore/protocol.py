"""What a place of vectors can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Float = NDArray[np.float32]
Half = NDArray[np.float16]
Within = Callable[[Numbers], NDArray[np.bool_]]
"""Says of some numbers which of them count."""


class Found(NamedTuple):
    """The nearest vectors, the nearest first, of equal ones that of the lowest number."""

    numbers: Numbers
    """(n,)"""
    likeness: Float
    """(n,), -1..1: the cosine; where it was asked so, less what all vectors have in common."""


class VectorStore(Protocol):
    """The vectors of one model, (D,) each, by number.

    One process writes, any number ask meanwhile; each question sees what is there at its
    beginning. A call is done whole or not at all, also where the process is killed in it.

    All raise `IndexDamagedError` where what is there cannot be read, and those that write
    `OutputError` where it cannot be written.
    """

    @property
    def width(self) -> int:
        """D."""
        ...

    def numbers(self) -> Numbers:
        """Return the numbers of all vectors, ascending."""
        ...

    def blocks(self) -> Iterator[tuple[Numbers, Half]]:
        """Yield all vectors, some thousands at a time: (n,) and (n, D), in any order."""
        ...

    def add(self, numbers: Numbers, vectors: Half) -> None:
        """Keep vectors, (n, D), in the place of those that have their numbers."""
        ...

    def remove(self, numbers: Numbers) -> None:
        """Forget vectors; numbers that are not there are no error."""
        ...

    def settle(self) -> None:
        """Do what makes the next questions fast; called after an update."""
        ...

    def nearest(
        self, wanted: Float, many: int, *, centred: bool = False, within: Within | None = None
    ) -> Found:
        """Return the nearest vectors to one.

        Args:
            wanted: (D,).
            many: how many at most.
            centred: take the mean of those that count away from both first, as vectors of pictures
                have much in common; not where `wanted` is a text's, which lies elsewhere.
            within: those that count; None: all.
        """
        ...

    def likeness(self, wanted: Float, numbers: Numbers) -> Float:
        """Return the cosine of the vectors of some numbers, each once; -inf where there is none."""
        ...
