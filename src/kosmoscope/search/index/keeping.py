"""Where a model's vectors are: in the index, or in an engine with their rows in the index.

What the index says counts. A row of `vector` without its numbers says that the engine has them; a
row with its numbers has not been handed to the engine yet; what the engine has beyond that is of
pictures that changed or went, and does not count.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import InputError, OptionError
from kosmoscope.files.text import shown_name
from kosmoscope.search.embedding import Embedder, Float
from kosmoscope.search.index.table import TableVectors
from kosmoscope.vectorstore import ENGINES, Found, Numbers, VectorStore, Within

SQLITE = "sqlite"
"""The index itself, in place of an engine."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """Who keeps vectors, and where."""

    engine: str = SQLITE
    place: str = ""
    """A folder or address that the engine knows; "": `vectors.ENGINE` beside the index."""
    collection: str = ""
    """Their name there."""

    @classmethod
    def of(cls, text: str) -> Keeping:
        """Return what "sqlite", "lancedb" or "lancedb:PLACE" says, with a name of its own.

        Raises:
            OptionError: no such engine, or a place for the index itself.
        """
        engine, colon, place = text.partition(":")
        if engine == SQLITE and not colon:
            return cls()
        if engine not in ENGINES or (colon and not place):
            names = ", ".join(f"{name}, {name}:PLACE" for name in ENGINES.names())
            raise OptionError(f"engine {text!r}: expected {SQLITE}, {names}")
        if place and "://" not in place:
            place = str(Path(place).absolute())
        return cls(engine, place, f"pictures-{secrets.token_hex(8)}")

    def same(self, other: Keeping) -> bool:
        """Say whether both mean one place."""
        return (self.engine, self.place) == (other.engine, other.place)

    def address(self, folder: Path) -> str:
        """Return the place, of an index in a folder."""
        return self.place or str(own_place(folder, self.engine))

    def open(self, folder: Path, width: int) -> VectorStore:
        """Open the engine; makes nothing. Raises `KosmoscopeError` where it is not installed."""
        return ENGINES.get(self.engine).open(self.address(folder), self.collection, width)

    def drop(self, folder: Path) -> None:
        """Let the engine forget them."""
        ENGINES.get(self.engine).drop(self.address(folder), self.collection)


def own_place(folder: Path, engine: str) -> Path:
    """Return the folder of an engine that is told no place."""
    return folder / f"vectors.{engine}"


@dataclass(frozen=True, slots=True)
class Kept:
    """A model's vectors, as the index knows them."""

    embedder: int
    """The model's number in the index."""
    width: int
    keeping: Keeping


def embedders(base: sqlite3.Connection) -> dict[str, str]:
    """Return the models of which an index has vectors: key -> name, the latest last."""
    return dict(base.execute("SELECT key, name FROM embedder ORDER BY id"))


def kept(base: sqlite3.Connection, key: str) -> Kept | None:
    """Return where the vectors of the model of that key are; None: there are none."""
    row = base.execute(
        "SELECT id, width, engine, place, collection FROM embedder WHERE key = ?", (key,)
    ).fetchone()
    return None if row is None else Kept(row[0], row[1], Keeping(*row[2:]))


def demanded(base: sqlite3.Connection, path: Path, embedder: Embedder) -> Kept:
    """Return where a model's vectors are.

    Raises:
        InputError: there are none of this model; the message says of which there are.
    """
    found = kept(base, embedder.key)
    if found is None:
        others = " and ".join(f"{n} ({k})" for k, n in embedders(base).items())
        raise InputError(
            f"{shown_name(path)}: has no vectors of {embedder.name} ({embedder.key}); it has "
            f"{others or 'none at all'}; make them with `kosmoscope index --vectors`"
        )
    return found


class KeptVectors:
    """A model's vectors of an open index, wherever they are.

    Args:
        base: the database; a transaction is under way when it is asked.
        path: of it.
        its: what the index knows of them.

    Raises:
        KosmoscopeError: they are in an engine that is not installed.
    """

    def __init__(self, base: sqlite3.Connection, path: Path, its: Kept) -> None:
        self._base, self._embedder = base, its.embedder
        self._live: Within | None = None
        self._store: VectorStore
        if its.keeping.engine == SQLITE:
            self._store = TableVectors(base, path, its.embedder, its.width)
        else:
            self._store, self._live = its.keeping.open(path.parent, its.width), self._handed_over

    def nearest(
        self, wanted: Float, many: int, *, centred: bool = False, among: Numbers | None = None
    ) -> Found:
        """Return the pictures whose vectors are nearest to one, by their numbers in the database.

        Args:
            wanted: (D,).
            many: how many at most.
            centred: less the mean of all.
            among: ascending: which pictures count; None: all.
        """
        return self._store.nearest(wanted, many, centred=centred, within=self._within(among))

    def likeness(self, wanted: Float, numbers: Numbers) -> Float:
        """Return the cosine of some pictures' vectors, (n,); -inf where there is none."""
        found = self._store.likeness(wanted, numbers)
        if self._live is not None:
            found[~self._live(numbers)] = -np.inf
        return found

    def _within(self, among: Numbers | None) -> Within | None:
        live = self._live
        if among is None:
            return live

        def within(numbers: Numbers) -> NDArray[np.bool_]:
            counting = np.isin(numbers, among)
            if live is not None:
                counting[counting] = live(numbers[counting])
            return counting

        return within

    def _handed_over(self, numbers: Numbers) -> NDArray[np.bool_]:
        rows = self._base.execute(
            "SELECT picture FROM vector WHERE embedder = ? AND data = x'' AND picture IN"
            " (SELECT value FROM json_each(?))", (self._embedder, json.dumps(numbers.tolist())),
        ).fetchall()  # fmt: skip
        return np.isin(numbers, np.array([n for (n,) in rows], np.int64))
