"""From the database to columns in memory, and again only what changed since."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosmoscope.questions.evaluate.columns import Columns, Phrases
from kosmoscope.questions.evaluate.packing import coloured_by, colours_of
from kosmoscope.questions.evaluate.record import SCALE, PictureRecord, Seen
from kosmoscope.search.index.chunks import Chunk, joined
from kosmoscope.search.index.schema import damaged


@dataclass(frozen=True, slots=True)
class Row:
    """A picture's row."""

    source: str
    caption: str
    taken: str | None
    place: tuple[float, float] | None
    lines: tuple[tuple[str, int], ...]
    """Tasks, and where in results.jsonl their records begin."""


class Loaded:
    """The columns of an open database (`schema.open_to_read`), as far as they were read.

    Args:
        base: the database.
        path: of it, for messages.
    """

    def __init__(self, base: sqlite3.Connection, path: Path) -> None:
        self._base, self._path = base, path
        self._version = ""
        self._chunks: dict[int, tuple[int, Chunk]] = {}
        self._phrases = Phrases((), ())
        self._texts: list[tuple[str, str, tuple[str, ...]]] = []
        self._folders: list[str] = []
        self._ids: NDArray[np.uint32] = np.zeros(0, np.uint32)
        self._starts: NDArray[np.int64] = np.zeros(1, np.int64)
        self.columns = self._columns()

    def refresh(self) -> None:
        """Read what changed. To be called in a transaction, so that all is of one state.

        Raises:
            IndexDamagedError: what was read is no index.
        """
        row = self._base.execute("SELECT value FROM meta WHERE name = 'version'").fetchone()
        version = "" if row is None else str(row[0])
        if version == self._version:
            return
        there = dict(self._base.execute("SELECT id, version FROM chunk").fetchall())
        for number in [n for n in self._chunks if n not in there]:
            del self._chunks[number]
        for number, its in there.items():
            if number not in self._chunks or self._chunks[number][0] != its:
                self._chunks[number] = its, self._chunk(number)
        texts = self._base.execute(
            "SELECT phrase, noun, words FROM phrase WHERE id >= ? ORDER BY id", (len(self._texts),)
        ).fetchall()
        self._texts += [(phrase, noun, tuple(words.split(" "))) for phrase, noun, words in texts]
        new = self._texts[len(self._phrases) :]
        self._phrases.add((n for _, n, _ in new), (w for _, _, w in new))
        self._folders += [
            name
            for (name,) in self._base.execute(
                "SELECT name FROM folder WHERE id >= ? ORDER BY id", (len(self._folders),)
            )
        ]
        self.columns = self._columns()
        self._version = version

    def id(self, picture: int) -> int:
        """Return the database's number of a picture of the columns."""
        return int(self._ids[picture])

    def places(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the columns' pictures of numbers of the database; all are there."""
        return np.searchsorted(self._ids, ids).astype(np.int64)

    def commonest(self, most: int) -> list[str]:
        """Return the phrases that most things are called by, the commonest first."""
        counts = np.bincount(self.columns.phrase, minlength=len(self._texts))
        order = np.argsort(-counts, kind="stable")[:most]
        return [self._texts[i][0] for i in order.tolist() if counts[i] and self._texts[i][0]]

    def ids(self, pictures: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the database's numbers of pictures of the columns."""
        return self._ids[pictures].astype(np.int64)

    def row(self, picture: int) -> Row:
        """Return what the database has of a picture of the columns besides its things."""
        id = self.id(picture)
        source, caption, taken, north, east = self._base.execute(
            "SELECT source, caption, taken, latitude, longitude FROM picture WHERE id = ?", (id,)
        ).fetchone()
        lines = self._base.execute(
            "SELECT task, start FROM line WHERE picture = ? ORDER BY task", (id,)
        ).fetchall()
        place = None if north is None or east is None else (north, east)
        return Row(source, caption, taken, place, tuple(lines))

    def record(self, picture: int) -> PictureRecord:
        """Return the record of a picture of the columns, as questions are asked of it."""
        c = self.columns
        rows = range(self._starts[picture], self._starts[picture + 1])
        (words,) = self._base.execute(
            "SELECT words FROM text WHERE rowid = ?", (self.id(picture),)
        ).fetchone()
        day = f"{c.taken[picture]:08d}"
        return PictureRecord(
            tuple(self._seen(row) for row in rows),
            frozenset(words.split(" ")),
            self._folders[int(c.folder[picture])],
            None if not c.taken[picture] else f"{day[:4]}-{day[4:6]}-{day[6:]}",
        )

    def _seen(self, row: int) -> Seen:
        c = self.columns
        phrase, noun, words = self._texts[int(c.phrase[row])]
        x1, y1, x2, y2 = (int(v) / SCALE for v in c.box[row])
        return Seen(
            phrase, noun, int(c.probability[row]) / SCALE, (x1, y1, x2, y2) if x2 > 0 else None,
            words, colours_of(int(c.colours[row])), int(c.number[row]),
            coloured_by(int(c.colours[row])),
        )  # fmt: skip

    def _chunk(self, number: int) -> Chunk:
        (data,) = self._base.execute("SELECT data FROM chunk WHERE id = ?", (number,)).fetchone()
        try:
            return Chunk.from_bytes(data)
        except ValueError as e:
            raise damaged(self._path, e) from e

    def _columns(self) -> Columns:
        whole = joined([chunk for _, (_, chunk) in sorted(self._chunks.items())])
        self._ids = whole.id
        pictures, seen = len(whole.id), whole.seen
        self._starts = np.append(0, np.cumsum(whole.things, dtype=np.int64))
        return Columns(
            pictures,
            np.repeat(np.arange(pictures, dtype=np.int32), whole.things),
            seen.phrase,
            seen.box,
            seen.probability,
            seen.colours,
            seen.number,
            self._phrases,
            whole.folder.astype(np.int32),
            self._folders,
            whole.taken,
            self._with_word,
        )

    def _with_word(self, word: str) -> NDArray[np.intp]:
        """Return the pictures whose texts have a word."""
        # A word of ours has no quotation mark, so that FTS5 reads it as a text and nothing else.
        row = self._base.execute(
            "SELECT group_concat(rowid, ' ') FROM text WHERE text MATCH ?", (f'"{word}"',)
        ).fetchone()
        ids = np.fromstring(row[0] or "", np.int64, sep=" ")
        return np.searchsorted(self._ids, ids)
