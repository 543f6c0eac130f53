"""Making an index, and bringing it up to date."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from kosmoscope.errors import FolderBusyError, InputError
from kosmoscope.files.folders import remove_folder
from kosmoscope.files.locks import if_free
from kosmoscope.files.text import shown_name
from kosmoscope.search.index.keeping import own_place
from kosmoscope.search.index.reading import Results
from kosmoscope.search.index.schema import INDEX, open_to_write, told
from kosmoscope.search.index.writing import SEEN, UNREADABLE, Writer
from kosmoscope.vectorstore import ENGINES

LOCK = ".index.lock"


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """What became of an index."""

    pictures: int
    """How many it holds now."""
    added: int
    changed: int
    dropped: int
    looked: int
    """Of how many the file was read too, for colours, days and places."""
    unreadable: int
    """Of how many it could not be."""
    seconds: float


def update_index(
    folder: str | PathLike[str],
    *,
    rebuild: bool = False,
    pictures: bool = False,
    drop_missing: bool = False,
    images: str | PathLike[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> IndexSummary:
    """Bring the index of a folder of results up to date; made if there is none.

    What is there is kept: new results are added, those of changed pictures replaced, pictures
    that have no results any more drop out. Killed at any moment, it goes on with the next call.
    Others may search meanwhile.

    Args:
        folder: of `describe -o`.
        rebuild: forget what is there, also where it is damaged.
        pictures: read the pictures' files too, for the colours of things, and when and where they
            were taken. An index that was made so once goes on so.
        drop_missing: leave out pictures whose files are gone; they come back with `rebuild`.
        images: the folder that the pictures are in now, if they moved.
        progress: called after each step with the bytes of results.jsonl that were read, and all.

    Raises:
        InputError: there are no results, or a record is damaged.
        FolderBusyError: another process makes this index.
        IndexDamagedError: what is there is no index; `rebuild` makes it anew.
        OutputError: it cannot be written.
    """
    began = time.perf_counter()
    place = Path(folder)
    with contextlib.closing(Results(place)) as results, writing(place, rebuild=rebuild) as base:
        row = base.execute("SELECT value FROM meta WHERE name = 'pictures'").fetchone()
        if pictures and row is None:
            base.execute("INSERT INTO meta (name, value) VALUES ('pictures', 'read')")
        looking = pictures or row is not None
        moved = None if images is None else Path(images)
        writer = Writer(base, place / INDEX, results, looking=looking, images=moved)
        writer.update(progress)
        if drop_missing:
            writer.drop_missing()
        states = dict(base.execute("SELECT looked, count(*) FROM picture GROUP BY looked"))
        base.execute("PRAGMA optimize")
    return IndexSummary(
        sum(states.values()),
        writer.counts.added,
        writer.counts.changed,
        writer.counts.dropped,
        states.get(SEEN, 0),
        states.get(UNREADABLE, 0),
        time.perf_counter() - began,
    )


@contextlib.contextmanager
def writing(folder: Path, *, rebuild: bool = False) -> Iterator[sqlite3.Connection]:
    """Open the index of a folder as its one writer; made if there is none.

    Args:
        folder: of results.
        rebuild: forget what is there.

    Raises:
        FolderBusyError, IndexDamagedError, OutputError: as `update_index`.
    """
    path = folder / INDEX
    with if_free(folder / LOCK) as free:
        if not free:
            raise FolderBusyError(
                f"{shown_name(folder)}: its index is being made by another process, or nobody may "
                "write there"
            )
        if rebuild:
            _remove(path)
        with contextlib.closing(open_to_write(path)) as base, told(path):
            yield base


def _remove(path: Path) -> None:
    """Remove a database. Its log goes first: beside another one it would be read as that one's."""
    if path.is_dir():
        raise InputError(f"{shown_name(path)}: is a folder; expected the file of an index")
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    for engine in ENGINES.names():
        if (own := own_place(path.parent, engine)).is_dir():
            remove_folder(own)
