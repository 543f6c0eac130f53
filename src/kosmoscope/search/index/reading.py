"""results.jsonl for the index: pictures with all of their records, from an offset on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from kosmoscope.batch.names import path_in
from kosmoscope.batch.origins import Origins
from kosmoscope.batch.results import RESULTS, RUN
from kosmoscope.errors import InputError
from kosmoscope.files.checked import json_object, read_object
from kosmoscope.files.segments import find_segments
from kosmoscope.files.text import shown_name
from kosmoscope.masks import LabelMap
from kosmoscope.results import Description

STEP = 1000
"""How many pictures become known together: what a kill can cost."""
_TAIL = 4096


@dataclass(frozen=True, slots=True)
class Line:
    """A record of results.jsonl."""

    start: int
    """Where it begins, in bytes."""
    sha: bytes
    """Of the line itself."""
    record: dict[str, Any]

    @property
    def content(self) -> str:
        """What the picture's file held."""
        return str(self.record.get("sha256", ""))


@dataclass(slots=True)
class Found:
    """The records of one picture that a stretch of the file has."""

    key: str
    """The same for all spellings of its path."""
    source: str
    """Its path as it was written."""
    lines: dict[str, Line] = field(default_factory=dict)
    """By task."""


class Results:
    """The results of a folder, open for reading.

    Raises:
        InputError: the folder has none, or they cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RESULTS
        self._shown = shown_name(self.path)
        if not self.path.is_file():
            raise InputError(
                f"{shown_name(folder)}: no {RESULTS} in it; expected a folder of `describe -o`"
            )
        try:
            run = read_object(folder / RUN)
        except InputError:  # made by another program
            run = {}
        self.origins = Origins(folder, run)
        try:
            self._file: BinaryIO = self.path.open("rb")
        except OSError as e:
            raise InputError(f"{self._shown}: cannot be read: {e.strerror or e}") from e

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def mark(self, end: int) -> str:
        """Return what is different once the file is another one up to an offset."""
        self._file.seek(max(end - _TAIL, 0))
        tail = self._file.read(min(end, _TAIL))
        return f"{end}:{hashlib.sha256(tail).hexdigest()}"

    def is_marked(self, mark: str) -> bool:
        """Say whether the file still is what it was when `mark` was taken."""
        end = int(mark.partition(":")[0])
        return self.mark(end) == mark

    def steps(self, start: int) -> Iterator[tuple[list[Found], int]]:
        """Yield pictures of some stretch of the file, and where the stretch ends.

        A last line without its newline is left for the next time.

        Raises:
            InputError: a line is no record; the message names where it begins.
        """
        found: dict[str, Found] = {}
        at = start
        # A handle of its own: between two steps others read here and there.
        with self.path.open("rb") as file:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                if line.strip():
                    one = self._line(line, at)
                    key, source, task = self._names(one)
                    if key not in found and len(found) == STEP:
                        yield list(found.values()), at
                        found = {}
                    picture = found.setdefault(key, Found(key, source))
                    picture.source = source
                    picture.lines[task] = one
                at += len(line)
        if found or at > start:
            yield list(found.values()), at

    def line_at(self, start: int) -> Line:
        """Return the record that begins at an offset."""
        self._file.seek(start)
        return self._line(self._file.readline(), start)

    def line_of(self, source: str, start: int) -> Line:
        """Return the record that begins at an offset, if it is of that picture.

        Raises:
            InputError: it is not.
        """
        line = self.line_at(start)
        if self._names(line)[1] != source:
            raise InputError(
                f"{self._shown}: changed since the index was made; run `kosmoscope index` again"
            )
        return line

    def description(self, line: Line) -> Description:
        """Return the description of a record.

        Raises:
            InputError: it is none; the message names where it begins.
        """
        try:
            return Description.from_dict(line.record["description"])
        except (InputError, TypeError, AttributeError) as e:
            raise InputError(f"{self._shown}: the line at byte {line.start}: {e}") from e

    def open_path(self, line: Line, images: Path | None = None) -> str:
        """Return a path by which a record's picture can be opened."""
        try:
            return self.origins.open_path(line.record, images)
        except (LookupError, TypeError, ValueError) as e:
            raise self._wrong(line.start) from e

    def segmentations(self, lines: Mapping[str, Line], path: str) -> list[LabelMap]:
        """Return the masks that a picture's descriptions have (`kosmoscope segment`).

        Args:
            lines: its records, by task.
            path: by which the picture was opened now.

        Raises:
            InputError: a file of masks is none; the message names it.
        """
        found = []
        for task, line in lines.items():
            written = path_in(line.record)
            bases = (os.path.join(base, written) for base in self.origins.bases(line.record))  # noqa: PTH118
            file = find_segments(self.path.parent, (written, path, *bases), task)
            if file is not None:
                found.append(_label_map(file))
        return found

    def _names(self, line: Line) -> tuple[str, str, str]:
        record = line.record
        try:
            return self.origins.key(record), path_in(record), str(record["task"])
        except (LookupError, TypeError, ValueError) as e:
            raise self._wrong(line.start) from e

    def _line(self, line: bytes, start: int) -> Line:
        try:
            record = json_object(line)
        except InputError as e:
            raise self._wrong(start) from e
        if not isinstance(record.get("description"), dict):
            raise self._wrong(start)
        return Line(start, hashlib.sha256(line).digest()[:16], record)

    def _wrong(self, start: int) -> InputError:
        return InputError(
            f"{self._shown}: the line at byte {start} is not a record of a batch; remove the line"
        )


def _label_map(file: Path) -> LabelMap:
    data = read_object(file)
    try:
        return LabelMap.from_dict(data)
    except InputError as e:
        raise InputError(f"{shown_name(file)}: not a picture's masks: {e}") from e


def digest_of(lines: Mapping[str, Line]) -> bytes:
    """Return what is different once a picture's records are: 16 bytes."""
    parts = [
        task.encode("utf-8", "surrogatepass") + line.sha for task, line in sorted(lines.items())
    ]
    return hashlib.sha256(b"\n".join(parts)).digest()[:16]
