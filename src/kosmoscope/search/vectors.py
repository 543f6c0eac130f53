"""The vectors of an index: a model makes one of each picture; the nearest to another are found."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import ImageError, InputError
from kosmoscope.files.text import shown_name, utf8
from kosmoscope.search.embedding import Embedder, Float
from kosmoscope.search.index.reading import Results
from kosmoscope.search.index.schema import damaged, is_there, no_index, transaction
from kosmoscope.search.making import writing

STEP = 16
"""Pictures whose vectors are written together: what a kill can cost."""


@dataclass(frozen=True, slots=True)
class VectorSummary:
    """What became of an index' vectors."""

    pictures: int
    """How many have one of this model now."""
    added: int
    unreadable: int
    """Pictures that could not be read; they are tried again the next time."""
    seconds: float


def update_vectors(
    folder: str | PathLike[str],
    embedder: Embedder,
    *,
    images: str | PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> VectorSummary:
    """Give every picture of an index a vector of a model, unless it has one.

    Each picture is looked at, which takes as long as describing it begins with. Killed at any
    moment, it goes on with the next call. A picture whose file's contents were described anew
    gets a new vector; vectors of other models stay.

    Args:
        folder: of results, with an index that is up to date (`update_index`).
        embedder: the model.
        images: the folder that the pictures are in now, if they moved.
        progress: called after each step with the pictures that were looked at, and all to look at.

    Raises:
        InputError: there is no index, or the results changed since.
        FolderBusyError: another process writes this index.
        IndexDamagedError: the index is damaged.
        OutputError: it cannot be written.
    """
    began = time.perf_counter()
    place, moved = Path(folder), None if images is None else Path(images)
    if not is_there(place):
        raise no_index(place)
    with contextlib.closing(Results(place)) as results, writing(place) as base:
        number = 0
        rows = base.execute(
            "SELECT id, min(start) FROM picture JOIN line ON line.picture = picture.id"
            " WHERE NOT EXISTS (SELECT 1 FROM vector JOIN embedder ON embedder.id = embedder"
            " WHERE key = ? AND vector.picture = picture.id) GROUP BY id ORDER BY id",
            (embedder.key,),
        ).fetchall()
        added = 0
        for at in range(0, len(rows), STEP):
            made = []
            for picture, start in rows[at : at + STEP]:
                line = results.line_at(start)
                try:
                    vector = embedder.picture(results.open_path(line, moved), None)
                except ImageError:
                    continue
                made.append((picture, utf8(line.content), vector.astype(np.float16).tobytes()))
                width = len(vector)
            if made:
                with transaction(base):
                    number = number or _number_of(base, embedder, width)
                    base.executemany(
                        "INSERT INTO vector (embedder, picture, content, data)"
                        f" VALUES ({number}, ?, ?, ?)", made,
                    )  # fmt: skip
            added += len(made)
            if progress is not None:
                progress(min(at + STEP, len(rows)), len(rows))
        (total,) = base.execute(
            "SELECT count(*) FROM vector JOIN embedder ON embedder.id = embedder WHERE key = ?",
            (embedder.key,),
        ).fetchone()
    return VectorSummary(total, added, len(rows) - added, time.perf_counter() - began)


def _number_of(base: sqlite3.Connection, embedder: Embedder, width: int) -> int:
    base.execute(
        "INSERT OR IGNORE INTO embedder (key, name, width) VALUES (?, ?, ?)",
        (embedder.key, utf8(embedder.name), width),
    )
    (number,) = base.execute("SELECT id FROM embedder WHERE key = ?", (embedder.key,)).fetchone()
    return int(number)


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
