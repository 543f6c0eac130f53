"""Lists of paths: one a line, tables, JSON lines, standard input; in UTF-8, UTF-16 or as bytes."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from kosmoscope.batch.encodings import as_utf8
from kosmoscope.batch.tables import NAMES, delimiter_of, path_column, paths_in
from kosmoscope.batch.walk import FoundPath
from kosmoscope.errors import InputError
from kosmoscope.files.places import is_there
from kosmoscope.files.text import shown_name
from kosmoscope.images.kinds import HEAD_BYTES, identify

LIST_EXTENSIONS = (".csv", ".tsv", ".jsonl", ".ndjson")
_TABLES = (".csv", ".tsv")
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
    """Yield the paths of a list: a table or JSON lines by its name, otherwise one a line.

    A relative path is looked for beside the list first, then in the working folder.
    """
    folder = os.path.dirname(path)  # noqa: PTH120 (a str)
    try:
        with Path(path).open("rb") as file:
            for item in _read(file, path, folder):
                yield item if item.problem else FoundPath(_beside(folder, item.path))
    except OSError as e:
        yield FoundPath(path, f"the list cannot be read to its end: {e.strerror or e}")


def read_stream(stream: BinaryIO, name: str = "<stdin>") -> Iterator[FoundPath]:
    """Yield the paths of a stream, one a line, or ended by NUL (as `find -print0` writes)."""
    yield from _read(stream, name, "")


class _UnreadableError(Exception):
    """No list; the message says what it is."""


def _read(stream: BinaryIO, name: str, folder: str) -> Iterator[FoundPath]:
    extension = os.path.splitext(name)[1].lower()  # noqa: PTH122 (a str)
    try:
        lines = _lines(_parts(stream), table=extension in LIST_EXTENSIONS)
        first = next(lines, None)
        if first is None:
            return
        lines = chain([first], lines)
        if extension in _TABLES:
            yield from paths_in(lines, name, folder)
        elif extension in LIST_EXTENSIONS:
            yield from _json_lines(lines, name)
        elif _is_table(first, folder):
            yield from paths_in(lines, name, folder)
        else:
            yield from (FoundPath(line) for line in lines if line)
    except UnicodeDecodeError as e:
        yield FoundPath(name, f"not {e.encoding.upper()} to its end: {e.reason}")
    except _UnreadableError as e:
        yield FoundPath(name, str(e))


def _parts(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes as they come, UTF-16 turned into UTF-8."""
    read = getattr(stream, "read1", stream.read)
    head = b""
    while len(head) < HEAD_BYTES and (part := read(2**16)):
        head += part
        if b"\n" in part or b"\0" in part:
            break  # a person may be typing: one line tells enough
    kind = identify(head[:HEAD_BYTES])
    # A name may begin as some picture does: BMW.jpg. Text has no other control characters.
    binary = any((byte < 9 and byte > 0) or 13 < byte < 32 for byte in head[:HEAD_BYTES])
    if kind is not None and (binary or head.startswith(b"\xff\xd8\xff")):
        raise _UnreadableError(f"this is {kind.label}; expected paths, one a line")
    return as_utf8(head, iter(lambda: read(2**16), b""))


def _lines(parts: Iterable[bytes], *, table: bool) -> Iterator[str]:
    """Yield lines as paths have them, without their ends; of a table, with them."""
    rest, separator = b"", b""
    for part in parts:
        separator = separator or (b"\0" if b"\0" in part and not table else b"\n")
        *lines, rest = (rest + part).split(separator)
        if len(rest) > _MAX_LINE:
            raise _UnreadableError(
                f"a line of more than {_MAX_LINE} bytes; expected paths, one a line"
            )
        for line in lines:
            yield _text(line, separator)
    if rest:
        yield _text(rest, separator)


def _text(line: bytes, separator: bytes) -> str:
    return os.fsdecode(line.removesuffix(b"\r") if separator == b"\n" else line)


def _is_table(line: str, folder: str) -> bool:
    """Return whether a list of another name begins as a table with columns does."""
    if not line or is_there(_beside(folder, line)):
        return False
    delimiter = delimiter_of([line])
    cells = line.split(delimiter) if delimiter else []
    if not delimiter or len(cells) < 2:
        return False
    named = path_column([cells], heading=True) is not None
    return named or any(cell and is_there(_beside(folder, cell)) for cell in cells)


def _json_lines(lines: Iterable[str], name: str) -> Iterator[FoundPath]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            yield FoundPath(where, "not JSON")
            continue
        if isinstance(value, dict):
            keys = {str(key).strip().lower(): key for key in value}
            value = next((value[keys[c]] for c in NAMES if c in keys), None)
        if isinstance(value, str) and value:
            yield FoundPath(value)
        else:
            yield FoundPath(where, f"no path; expected one of the keys {', '.join(NAMES)}")


def _beside(folder: str, path: str) -> str:
    joined = os.path.join(folder, path)  # noqa: PTH118 (a str)
    if not folder or joined == path:
        return path
    return joined if is_there(joined) else path
