"""Lists of paths: one a line, CSV, JSON lines, standard input."""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from kosmoscope.batch.walk import FoundPath, is_picture_name
from kosmoscope.errors import InputError
from kosmoscope.files.text import shown_name
from kosmoscope.images.kinds import HEAD_BYTES, identify

LIST_EXTENSIONS = (".csv", ".tsv", ".jsonl", ".ndjson")
_COLUMNS = ("path", "image", "file_name")
_MAX_LINE = 2**20
"""A line of a list is a path, or a record with one; beyond this it is neither."""


def check_list(path: str) -> None:
    """Raise `InputError` unless the list can be opened. A pipe is a list, and is not opened yet."""
    shown = shown_name(path)
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (a str)
        if stat.S_ISDIR(mode):
            raise InputError(f"{shown}: is a folder; expected a list of paths")
        if stat.S_ISREG(mode):
            Path(path).open("rb").close()
    except OSError as e:
        raise InputError(f"{shown}: the list cannot be read: {e.strerror or e}") from e
    except InputError:
        raise
    except ValueError as e:
        raise InputError(f"{shown}: the list cannot be read: not a valid path") from e


def read_list(path: str) -> Iterator[FoundPath]:
    """Yield the paths of a list: CSV, TSV or JSON lines by its name, otherwise one a line.

    A relative path is looked for beside the list first, then in the working folder.
    """
    extension = os.path.splitext(path)[1].lower()  # noqa: PTH122 (a str)
    folder = os.path.dirname(path)  # noqa: PTH120 (a str)
    try:
        if extension in (".csv", ".tsv"):
            found = _read_csv(path, "\t" if extension == ".tsv" else ",")
        elif extension in LIST_EXTENSIONS:
            found = _read_json_lines(path)
        else:
            found = _read_lines(path)
        for item in found:
            yield item if item.problem else FoundPath(_beside(folder, item.path))
    except OSError as e:
        yield FoundPath(path, f"the list cannot be read to its end: {e.strerror or e}")


def read_stream(stream: BinaryIO, name: str = "<stdin>") -> Iterator[FoundPath]:
    """Yield the paths of a stream, one a line, or ended by NUL (as `find -print0` writes)."""
    rest, separator, first = b"", b"", True
    read = getattr(stream, "read1", stream.read)
    while part := read(2**16):
        if not separator:
            kind = identify(part[:HEAD_BYTES])
            if kind is not None and kind.pillow is not None:
                problem = f"this is {kind.label}; expected paths, one a line"
                yield FoundPath(name, problem)
                return
            if first and part.startswith(b"\xef\xbb\xbf"):
                part = part[3:]
            separator = b"\0" if b"\0" in part else b"\n"
        first = False
        *lines, rest = (rest + part).split(separator)
        if len(rest) > _MAX_LINE:
            yield FoundPath(
                name, f"a line of more than {_MAX_LINE} bytes; expected paths, one a line"
            )
            return
        yield from _paths(lines, separator)
    yield from _paths([rest], separator)


def _paths(lines: list[bytes], separator: bytes) -> Iterator[FoundPath]:
    for line in lines:
        path = line.removesuffix(b"\r") if separator == b"\n" else line
        if path:
            yield FoundPath(os.fsdecode(path))


def _read_lines(path: str) -> Iterator[FoundPath]:
    with Path(path).open("rb") as file:
        yield from read_stream(file, path)


def _read_csv(path: str, delimiter: str) -> Iterator[FoundPath]:
    with Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter)
        column = -1
        try:
            for row in rows:
                if not any(row):
                    continue
                if column < 0:
                    names = [cell.strip().lower() for cell in row]
                    column = next((names.index(c) for c in _COLUMNS if c in names), 0)
                    # Without a known column the first is taken; a first row that names a picture
                    # is no heading.
                    if names[column] in _COLUMNS or not is_picture_name(row[0]):
                        continue
                if column < len(row) and row[column]:
                    yield FoundPath(row[column])
                else:
                    yield FoundPath(f"{path}:{rows.line_num}", f"column {column + 1} is empty")
        except csv.Error as e:
            yield FoundPath(f"{path}:{rows.line_num}", f"not CSV: {e}")


def _read_json_lines(path: str) -> Iterator[FoundPath]:
    with Path(path).open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_MAX_LINE), b""), 1):
            if not line.strip(b" \t\r\n\xef\xbb\xbf"):
                continue
            where = f"{path}:{number}"
            try:
                value = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except (ValueError, RecursionError):
                yield FoundPath(where, "not JSON")
                continue
            if isinstance(value, dict):
                value = next((value[c] for c in _COLUMNS if c in value), None)
            if isinstance(value, str) and value:
                yield FoundPath(value)
            else:
                yield FoundPath(where, f"no path; expected one of the keys {', '.join(_COLUMNS)}")


def _beside(folder: str, path: str) -> str:
    joined = os.path.join(folder, path)  # noqa: PTH118 (a str)
    if not folder or joined == path:
        return path
    try:
        return joined if os.path.lexists(joined) else path
    except ValueError:  # NUL in it
        return path
