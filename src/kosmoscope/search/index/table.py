"""The vectors that are in the index itself: a `VectorStore` over its table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kosmoscope.search.index.schema import damaged
from kosmoscope.vectorstore import Found, Half, Numbers, Within, exact
from kosmoscope.vectorstore.protocol import Float


class TableVectors:
    """A model's rows of `vector` that have their numbers.

    They stay in memory, 2 D bytes each, until somebody else has written: to be asked in a
    transaction, so that all is of one state. What changes them is called in one too.

    Args:
        base: the database.
        path: of it, for messages.
        embedder: the model's number in it.
        width: how many numbers a vector has.
    """

    def __init__(self, base: sqlite3.Connection, path: Path, embedder: int, width: int) -> None:
        self._base, self._path, self._embedder, self.width = base, path, embedder, width
        self._read: tuple[int, Numbers, Half] | None = None
        self._mean: Float | None = None

    def numbers(self) -> Numbers:
        return self._all()[0]

    def blocks(self) -> Iterator[tuple[Numbers, Half]]:
        numbers, vectors = self._all()
        for at in range(0, len(numbers), exact.BLOCK):
            yield numbers[at : at + exact.BLOCK], vectors[at : at + exact.BLOCK]

    def add(self, numbers: Numbers, vectors: Half) -> None:
        """Give rows that are there their numbers."""
        self._read = None
        self._base.executemany(
            f"UPDATE vector SET data = ? WHERE embedder = {self._embedder} AND picture = ?",
            [(v.tobytes(), n) for n, v in zip(numbers.tolist(), vectors, strict=True)],
        )

    def remove(self, numbers: Numbers) -> None:
        """Take their numbers from rows; the rows stay."""
        self._read = None
        self._base.executemany(
            f"UPDATE vector SET data = x'' WHERE embedder = {self._embedder} AND picture = ?",
            [(n,) for n in numbers.tolist()],
        )

    def settle(self) -> None:
        """Nothing is to be done."""

    def nearest(
        self, wanted: Float, many: int, *, centred: bool = False, within: Within | None = None
    ) -> Found:
        centre = self._centre(within) if centred else None
        return exact.nearest(self.blocks, wanted, many, centre, within)

    def likeness(self, wanted: Float, numbers: Numbers) -> Float:
        there, vectors = self._all()
        found = np.full(len(numbers), -np.inf, np.float32)
        if len(there):
            at = np.minimum(np.searchsorted(there, numbers), len(there) - 1)
            known = there[at] == numbers
            found[known] = exact.cosines(vectors[at[known]], wanted)
        return found

    def _centre(self, within: Within | None) -> Float:
        if within is not None:
            return exact.mean(self.blocks(), self.width, within)
        self._all()  # forgets the mean where it is another one now
        if self._mean is None:
            self._mean = exact.mean(self.blocks(), self.width)
        return self._mean

    def _all(self) -> tuple[Numbers, Half]:
        """Return the numbers, (n,), ascending, and the vectors, (n, D).

        Raises:
            IndexDamagedError: one is of another length.
        """
        (state,) = self._base.execute("PRAGMA data_version").fetchone()
        if self._read is None or self._read[0] != state:
            found = self._base.execute(
                "SELECT picture, data FROM vector WHERE embedder = ? AND data <> x''"
                " ORDER BY picture", (self._embedder,),
            ).fetchall()  # fmt: skip
            if any(len(data) != 2 * self.width for _, data in found):
                raise damaged(self._path, ValueError("a vector of another length"))
            numbers = np.array([picture for picture, _ in found], np.int64)
            joined = b"".join(data for _, data in found)
            vectors = np.frombuffer(joined, np.float16).reshape(len(found), self.width)
            self._read, self._mean = (state, numbers, vectors), None
        return self._read[1:]
