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

from kosmoscope.errors import ImageError
from kosmoscope.files.text import utf8
from kosmoscope.search.embedding import Embedder
from kosmoscope.search.index.handing import Handing
from kosmoscope.search.index.keeping import SQLITE, Keeping, kept
from kosmoscope.search.index.reading import Results
from kosmoscope.search.index.schema import INDEX, is_there, no_index, transaction
from kosmoscope.search.making import writing
from kosmoscope.vectorstore.exact import BLOCK

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
    engine: str | None = None,
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
        engine: who keeps the vectors: "sqlite", the index itself; "lancedb", in a folder beside
            the index; "lancedb:PLACE", in a folder or at an address that LanceDB knows. None:
            where those of this model are; of a new one the index. Those that are elsewhere are
            moved, without a look at their pictures.
        images: the folder that the pictures are in now, if they moved.
        progress: called after each step with the pictures that were looked at, and all to look at.

    Raises:
        OptionError: no such engine.
        KosmoscopeError: the engine is not installed; the message says how to do so.
        InputError: there is no index, or the results changed since.
        FolderBusyError: another process writes this index.
        IndexDamagedError: the index is damaged, or what the engine has.
        OutputError: it cannot be written.
    """
    began = time.perf_counter()
    place, moved = Path(folder), None if images is None else Path(images)
    wanted = None if engine is None else Keeping.of(engine)
    if not is_there(place):
        raise no_index(place)
    path = place / INDEX
    with contextlib.closing(Results(place)) as results, writing(place) as base:
        handing = _agreed(base, path, embedder, wanted)
        rows = base.execute(
            "SELECT id, min(start) FROM picture JOIN line ON line.picture = picture.id"
            " WHERE NOT EXISTS (SELECT 1 FROM vector JOIN embedder ON embedder.id = embedder"
            " WHERE key = ? AND vector.picture = picture.id) GROUP BY id ORDER BY id",
            (embedder.key,),
        ).fetchall()
        added = waiting = 0
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
                    number = _number_of(base, embedder, width, wanted or Keeping())
                    base.executemany(
                        "INSERT INTO vector (embedder, picture, content, data)"
                        f" VALUES ({number}, ?, ?, ?)", made,
                    )  # fmt: skip
                handing = handing or _handing(base, path, embedder)
            added, waiting = added + len(made), waiting + len(made)
            if handing is not None and waiting >= BLOCK:
                handing.hand_over()
                waiting = 0
            if progress is not None:
                progress(min(at + STEP, len(rows)), len(rows))
        if handing is not None:
            handing.settle()
        (total,) = base.execute(
            "SELECT count(*) FROM vector JOIN embedder ON embedder.id = embedder WHERE key = ?",
            (embedder.key,),
        ).fetchone()
    return VectorSummary(total, added, len(rows) - added, time.perf_counter() - began)


def _agreed(
    base: sqlite3.Connection, path: Path, embedder: Embedder, wanted: Keeping | None
) -> Handing | None:
    """Return what hands a model's vectors on, all where they are wanted; None: there are none."""
    its = kept(base, embedder.key)
    if its is None:
        if wanted is not None and wanted.engine != SQLITE:
            wanted.open(path.parent, 0)  # what it cannot do is said before pictures are looked at
        return None
    handing = Handing(base, path, its)
    handing.agree()
    if wanted is not None and not wanted.same(its.keeping):
        handing.move(wanted)
    return handing


def _handing(base: sqlite3.Connection, path: Path, embedder: Embedder) -> Handing | None:
    its = kept(base, embedder.key)
    return None if its is None else Handing(base, path, its)


def _number_of(base: sqlite3.Connection, embedder: Embedder, width: int, keeping: Keeping) -> int:
    base.execute(
        "INSERT OR IGNORE INTO embedder (key, name, width, engine, place, collection)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            embedder.key, utf8(embedder.name), width, keeping.engine, utf8(keeping.place),
            keeping.collection,
        ),
    )  # fmt: skip
    (number,) = base.execute("SELECT id FROM embedder WHERE key = ?", (embedder.key,)).fetchone()
    return int(number)
