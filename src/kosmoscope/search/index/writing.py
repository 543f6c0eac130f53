"""From results.jsonl to the database, step by step, each of which is there whole or not at all."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kosmoscope.errors import ImageError
from kosmoscope.files.places import is_there
from kosmoscope.files.segments import state_of_segments
from kosmoscope.files.text import utf8
from kosmoscope.questions.evaluate.packing import day_number, pack
from kosmoscope.questions.evaluate.record import Seen
from kosmoscope.questions.known import RULES, record_of
from kosmoscope.questions.looking import Looked, look
from kosmoscope.search.index.chunks import CHUNK, Chunk, joined
from kosmoscope.search.index.reading import Found, Line, Results, digest_of
from kosmoscope.search.index.schema import damaged, transaction
from kosmoscope.types import GroundedCaption

UNSEEN, SEEN, UNREADABLE = 0, 1, 2
"""Of a picture's file: nobody read it, it was read, it could not be."""
_AGAIN = 500
_THREADS = 4


@dataclass(slots=True)
class Counts:
    """What an update did."""

    added: int = 0
    changed: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Pending:
    """What a step changes in one chunk."""

    gone: list[int] = field(default_factory=list)
    new: list[Chunk] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """A picture whose row is to be written."""

    key: str
    source: str
    lines: dict[str, Line]
    id: int | None

    @property
    def content(self) -> str:
        """What the picture's file held; the same of all lines."""
        return next(iter(self.lines.values())).content


class Writer:
    """The one that writes into an open database (`schema.open_to_write`).

    Args:
        base: the database; no transaction is under way.
        path: of it, for messages.
        results: what is indexed.
        looking: read the pictures' files too.
        images: the folder that the pictures are in now.
    """

    def __init__(
        self,
        base: sqlite3.Connection,
        path: Path,
        results: Results,
        *,
        looking: bool,
        images: Path | None,
    ) -> None:
        self.counts = Counts()
        self._base, self._path, self._results = base, path, results
        self._looking, self._images = looking, images
        self._phrases = dict(base.execute("SELECT phrase, id FROM phrase"))
        self._folders = dict(base.execute("SELECT name, id FROM folder"))
        self._pending: dict[int, _Pending] = {}

    def update(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Bring the database to what results.jsonl holds now.

        Args:
            progress: called after each step with the bytes that were read, and all of them.
        """
        start, number = self._begin()
        if self._looking:
            self._see_masks()
        size = self._results.path.stat().st_size
        for found, end in self._results.steps(start):
            with transaction(self._base):
                self._take(found, number)
                self._set("mark", self._results.mark(end))
                self._write_chunks()
            if progress is not None:
                progress(end, max(size, end))
        with transaction(self._base):
            gone = self._base.execute("SELECT id FROM picture WHERE pass < ?", (number,)).fetchall()
            for (id,) in gone:
                self._drop(id)
            self._write_chunks()
        if self._looking:
            self._look_again()

    def drop_missing(self) -> None:
        """Drop the pictures whose files are gone.

        Their records in results.jsonl are not read again, until that file is another one.
        """
        last = 0
        while rows := self._base.execute(
            "SELECT id, min(start) FROM picture JOIN line ON picture.id = line.picture"
            " WHERE id > ? GROUP BY id ORDER BY id LIMIT ?", (last, _AGAIN),
        ).fetchall():  # fmt: skip
            with transaction(self._base):
                for id, start in rows:
                    path = self._results.open_path(self._results.line_at(start), self._images)
                    if not is_there(path):
                        self._drop(id)
                self._write_chunks()
            last = rows[-1][0]

    def _begin(self) -> tuple[int, int]:
        """Return where reading goes on, and the number of this pass over the file."""
        mark, number = self._get("mark", "0:"), int(self._get("pass", "0"))
        state = [str(RULES), utf8(str(self._results.path.parent.resolve()))]
        same = [self._get("rules", ""), self._get("folder", "")] == state
        if number and same and self._results.is_marked(mark):
            return int(mark.partition(":")[0]), number
        with transaction(self._base):
            if self._get("rules", str(RULES)) != str(RULES):
                self._base.execute("UPDATE picture SET digest = x''")
            self._set("rules", state[0])
            self._set("folder", state[1])
            self._set("pass", str(number + 1))
            self._set("mark", self._results.mark(0))
        return 0, number + 1

    def _see_masks(self) -> None:
        """Have the pictures looked at again, if masks were made since."""
        state = state_of_segments(self._results.path.parent)
        if state != self._get("masks", ""):
            with transaction(self._base):
                self._base.execute("UPDATE picture SET looked = ?", (UNSEEN,))
                self._set("masks", state)

    def _take(self, found: list[Found], number: int) -> None:
        """Write what is new or changed of some pictures."""
        changed = []
        for one in found:
            row = self._base.execute(
                "SELECT id, digest, pass FROM picture WHERE key = ?", (utf8(one.key),)
            ).fetchone()
            lines = dict(one.lines)
            if row is not None and row[2] == number:
                for task, start in self._lines(row[0]):
                    lines.setdefault(task, self._results.line_at(start))
            lines = _of_one_content(lines)
            if row is not None and row[1] == digest_of(lines):
                self._base.execute("UPDATE picture SET pass = ? WHERE id = ?", (number, row[0]))
                self._write_lines(row[0], lines)
            else:
                id = None if row is None else row[0]
                changed.append(_Picture(one.key, one.source, lines, id))
        self._write(changed, number)

    def _write(self, pictures: list[_Picture], number: int) -> None:
        for picture, (looked, state) in zip(pictures, self._looks(pictures), strict=True):
            descriptions = [
                self._results.description(line) for _, line in sorted(picture.lines.items())
            ]
            self._write_picture(picture, descriptions, looked, state, number)

    def _looks(self, pictures: list[_Picture]) -> Iterable[tuple[Looked | None, int]]:
        if not self._looking:
            return [(None, UNSEEN)] * len(pictures)

        def one(picture: _Picture) -> tuple[Looked | None, int]:
            path = self._results.open_path(next(iter(picture.lines.values())), self._images)
            try:
                return look(path, self._results.segmentations(picture.lines, path)), SEEN
            except ImageError:
                return None, UNREADABLE

        with ThreadPoolExecutor(min(os.cpu_count() or 1, _THREADS)) as pool:
            return list(pool.map(one, pictures))

    def _write_picture(
        self,
        picture: _Picture,
        descriptions: Sequence[GroundedCaption],
        looked: Looked | None,
        state: int,
        number: int,
    ) -> None:
        record = record_of(descriptions, picture.source, looked)
        latitude, longitude = (None, None) if looked is None else looked.place or (None, None)
        values = (
            utf8(picture.key), utf8(picture.source), digest_of(picture.lines), number, state,
            utf8(descriptions[0].caption), record.taken, latitude, longitude,
        )  # fmt: skip
        if picture.id is None:
            self.counts.added += 1
            id = self._base.execute(
                "INSERT INTO picture (key, source, digest, pass, looked, caption, taken, latitude,"
                " longitude) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values,
            ).lastrowid  # fmt: skip
            assert id is not None
        else:
            self.counts.changed += 1
            id = picture.id
            self._base.execute(
                "UPDATE picture SET key = ?, source = ?, digest = ?, pass = ?, looked = ?,"
                " caption = ?, taken = ?, latitude = ?, longitude = ? WHERE id = ?",
                (*values, id),
            )
            self._base.execute("DELETE FROM text WHERE rowid = ?", (id,))
            self._base.execute(
                "DELETE FROM vector WHERE picture = ? AND content <> ?", (id, picture.content)
            )
            self._chunk(id).gone.append(id)
        self._write_print(id, looked)
        self._write_lines(id, picture.lines)
        words = " ".join(sorted(record.words))
        self._base.execute("INSERT INTO text (rowid, words) VALUES (?, ?)", (id, words))
        folder = self._folder(record.folder)
        self._chunk(id).new.append(
            Chunk(
                np.array([id], np.uint32),
                np.array([folder], np.uint32),
                np.array([day_number(record.taken)], np.uint32),
                np.array([len(record.things)], np.uint16),
                pack(record.things, self._phrase),
            )
        )

    def _drop(self, id: int) -> None:
        self.counts.dropped += 1
        self._base.execute("DELETE FROM picture WHERE id = ?", (id,))
        for table in ("line", "print", "vector"):
            self._base.execute(f"DELETE FROM {table} WHERE picture = ?", (id,))
        self._base.execute("DELETE FROM text WHERE rowid = ?", (id,))
        self._chunk(id).gone.append(id)

    def _write_print(self, id: int, looked: Looked | None) -> None:
        self._base.execute("DELETE FROM print WHERE picture = ?", (id,))
        if looked is not None:
            hash = int(np.uint64(looked.hash).astype(np.int64))  # SQLite's integers have a sign
            self._base.execute("INSERT INTO print (picture, hash) VALUES (?, ?)", (id, hash))

    def _look_again(self) -> None:
        """Look at the pictures that were indexed without."""
        number = int(self._get("pass", "0"))
        last = 0
        while rows := self._base.execute(
            "SELECT id, key, source FROM picture WHERE looked <> ? AND id > ? ORDER BY id LIMIT ?",
            (SEEN, last, _AGAIN),
        ).fetchall():
            with transaction(self._base):
                for id, key, source in rows:
                    lines = {task: self._results.line_at(start) for task, start in self._lines(id)}
                    self._write([_Picture(key, source, lines, id)], number)
                self._write_chunks()
            last = rows[-1][0]

    def _lines(self, id: int) -> list[tuple[str, int]]:
        return self._base.execute(
            "SELECT task, start FROM line WHERE picture = ?", (id,)
        ).fetchall()

    def _write_lines(self, id: int, lines: dict[str, Line]) -> None:
        self._base.execute("DELETE FROM line WHERE picture = ?", (id,))
        self._base.executemany(
            "INSERT INTO line (picture, task, start) VALUES (?, ?, ?)",
            [(id, utf8(task), line.start) for task, line in lines.items()],
        )

    def _chunk(self, id: int) -> _Pending:
        return self._pending.setdefault(id // CHUNK, _Pending())

    def _write_chunks(self) -> None:
        """Write the chunks of which pictures changed."""
        if not self._pending:
            return
        version = int(self._get("version", "0")) + 1
        for number, pending in self._pending.items():
            row = self._base.execute("SELECT data FROM chunk WHERE id = ?", (number,)).fetchone()
            try:
                old = Chunk.empty() if row is None else Chunk.from_bytes(row[0])
            except ValueError as e:
                raise damaged(self._path, e) from e
            kept = old.without(np.array(pending.gone, np.uint32))
            self._base.execute(
                "INSERT OR REPLACE INTO chunk (id, version, data) VALUES (?, ?, ?)",
                (number, version, joined([kept, *pending.new]).to_bytes()),
            )
        self._set("version", str(version))
        self._pending.clear()

    def _phrase(self, seen: Seen) -> int:
        phrase = utf8(seen.phrase)
        if phrase not in self._phrases:
            self._phrases[phrase] = len(self._phrases)
            self._base.execute(
                "INSERT INTO phrase (id, phrase, noun, words) VALUES (?, ?, ?, ?)",
                (self._phrases[phrase], phrase, seen.noun, " ".join(seen.words)),
            )
        return int(self._phrases[phrase])

    def _folder(self, name: str) -> int:
        if name not in self._folders:
            self._folders[name] = len(self._folders)
            self._base.execute(
                "INSERT INTO folder (id, name) VALUES (?, ?)", (self._folders[name], name)
            )
        return int(self._folders[name])

    def _get(self, name: str, default: str) -> str:
        row = self._base.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return default if row is None else str(row[0])

    def _set(self, name: str, value: str) -> None:
        self._base.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, value))


def _of_one_content(lines: dict[str, Line]) -> dict[str, Line]:
    """Return the records of what the picture's file held last."""
    latest = max(lines.values(), key=lambda line: line.start)
    return {task: line for task, line in lines.items() if line.content == latest.content}
