"""Vectors between the index and an engine, so that a kill at any moment loses none."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np

from kosmoscope.files.folders import remove_folder
from kosmoscope.search.index.keeping import SQLITE, Keeping, Kept, own_place
from kosmoscope.search.index.schema import transaction
from kosmoscope.search.index.table import TableVectors
from kosmoscope.vectorstore import Numbers, VectorStore
from kosmoscope.vectorstore.exact import BLOCK


class Handing:
    """A model's vectors in an index that is being written.

    Args:
        base: the database (`schema.open_to_write`); no transaction is under way.
        path: of it.
        its: what the index knows of them.

    Raises:
        KosmoscopeError: they are in an engine that is not installed.
    """

    def __init__(self, base: sqlite3.Connection, path: Path, its: Kept) -> None:
        self._base, self._folder = base, path.parent
        self._embedder, self._width = its.embedder, its.width
        self._table = TableVectors(base, path, its.embedder, its.width)
        self._keeping = its.keeping
        self._engine = self._opened(its.keeping)

    def agree(self) -> None:
        """Bring engine and index to one state, whatever happened to either since.

        Rows whose numbers the engine does not have are forgotten, so that they are made again.
        """
        if self._engine is None:
            return
        rows = self._base.execute(
            "SELECT picture FROM vector WHERE embedder = ? AND data = x''", (self._embedder,)
        ).fetchall()
        handed, there = np.array([n for (n,) in rows], np.int64), self._engine.numbers()
        self._engine.remove(np.setdiff1d(there, handed))
        lost = np.setdiff1d(handed, there)
        with transaction(self._base):
            self._base.executemany(
                "DELETE FROM vector WHERE embedder = ? AND picture = ?",
                [(self._embedder, n) for n in lost.tolist()],
            )
        self.hand_over()

    def hand_over(self) -> None:
        """Give the engine what is in the index; nothing where there is no engine."""
        if self._engine is None:
            return
        last = -1
        while rows := self._base.execute(
            "SELECT picture, data FROM vector WHERE embedder = ? AND data <> x'' AND picture > ?"
            " ORDER BY picture LIMIT ?", (self._embedder, last, BLOCK),
        ).fetchall():  # fmt: skip
            numbers: Numbers = np.array([n for n, _ in rows], np.int64)
            data = b"".join(data for _, data in rows)
            self._engine.add(numbers, np.frombuffer(data, np.float16).reshape(len(rows), -1))
            with transaction(self._base):
                self._table.remove(numbers)
            last = rows[-1][0]

    def settle(self) -> None:
        """Hand over what is left, and let the engine do what makes it fast."""
        self.hand_over()
        if self._engine is not None:
            self._engine.settle()

    def move(self, keeping: Keeping) -> None:
        """Bring all vectors to another engine, or into the index."""
        if self._engine is not None:
            self._take_back(self._engine)
        if keeping.engine != SQLITE:
            self._engine = self._opened(keeping)
            self._note(keeping)
            self.hand_over()

    def _take_back(self, engine: VectorStore) -> None:
        for numbers, vectors in engine.blocks():
            with transaction(self._base):
                self._table.add(numbers, vectors)
        before = self._keeping
        self._engine = None
        self._note(Keeping())
        before.drop(self._folder)
        own = own_place(self._folder, before.engine)
        if not before.place and own.is_dir() and not any(own.iterdir()):
            remove_folder(own)

    def _note(self, keeping: Keeping) -> None:
        self._keeping = keeping
        self._base.execute(
            "UPDATE embedder SET engine = ?, place = ?, collection = ? WHERE id = ?",
            (keeping.engine, keeping.place, keeping.collection, self._embedder),
        )

    def _opened(self, keeping: Keeping) -> VectorStore | None:
        if keeping.engine == SQLITE:
            return None
        return keeping.open(self._folder, self._width)
