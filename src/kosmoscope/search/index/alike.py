"""What an index has of how pictures look: a model's vectors of them, and hashes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import InputError
from kosmoscope.files.text import shown_name
from kosmoscope.search.embedding import Embedder, Float
from kosmoscope.search.index.schema import damaged


def embedders(base: sqlite3.Connection) -> dict[str, str]:
    """Return the models of which an index has vectors: key -> name, the latest last."""
    return dict(base.execute("SELECT key, name FROM embedder ORDER BY id"))


def stored(
    base: sqlite3.Connection, path: Path, embedder: Embedder
) -> tuple[NDArray[np.int64], Float]:
    """Return the pictures that have a vector of a model, (n,), and the vectors, (n, D).

    Raises:
        InputError: there are none of this model; the message says of which there are.
        IndexDamagedError: one is of another length.
    """
    row = base.execute("SELECT id, width FROM embedder WHERE key = ?", (embedder.key,)).fetchone()
    if row is None:
        others = " and ".join(f"{n} ({k})" for k, n in embedders(base).items())
        raise InputError(
            f"{shown_name(path)}: has no vectors of {embedder.name} ({embedder.key}); it has "
            f"{others or 'none at all'}; make them with `kosmoscope index --vectors`"
        )
    number, width = row
    found = base.execute(
        "SELECT picture, data FROM vector WHERE embedder = ? ORDER BY picture", (number,)
    ).fetchall()
    if any(len(data) != 2 * width for _, data in found):
        raise damaged(path, ValueError("a vector of another length"))
    joined = b"".join(data for _, data in found)
    vectors = np.frombuffer(joined, np.float16).reshape(len(found), width).astype(np.float32)
    return np.array([picture for picture, _ in found], np.int64), vectors


def prints(base: sqlite3.Connection) -> tuple[list[int], NDArray[np.uint64]]:
    """Return the pictures whose files were read, and their hashes."""
    found = base.execute("SELECT picture, hash FROM print ORDER BY picture").fetchall()
    return [picture for picture, _ in found], np.array(
        [value for _, value in found], np.int64
    ).view(np.uint64)
