"""What is to be described: files, folders, patterns, lists and standard input, as one stream."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from kosmoscope.batch.lists import LIST_EXTENSIONS, check_list, read_list, read_stream
from kosmoscope.batch.passed import PassedOver
from kosmoscope.batch.walk import (
    FoundPath,
    Identity,
    glob,
    identity,
    is_pattern,
    is_picture_name,
    walk,
)
from kosmoscope.errors import InputError, OptionError
from kosmoscope.files.places import is_there, place
from kosmoscope.files.text import shown_name, utf8

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """A picture to describe, or a place where one was expected."""

    path: str
    """As given, or the given folder joined with the names below it. Bytes that are not UTF-8 are
    lone surrogates, as in `os.fsdecode`."""
    problem: str = ""
    """What is wrong, where that is known without opening it."""
    stream: BinaryIO | None = None
    """Read instead of the path, which is then only a name."""
    key: str = field(default="", compare=False, repr=False)
    """What tells it from other sources in the output's records, the same for all spellings of one
    file (`kosmoscope.files.places.place`)."""

    def __post_init__(self) -> None:
        if not self.key:
            object.__setattr__(self, "key", place(self.path))

    @property
    def name(self) -> str:
        """The path as text that is safe in JSON."""
        return utf8(self.path)


def find_pictures(
    sources: Sequence[str | Path],
    *,
    exclude: Sequence[Path] = (),
    stdin: BinaryIO | None = None,
    passed: PassedOver | None = None,
) -> Iterator[Source]:
    """Yield what is to be described, each file once, in an order that only the input decides.

    A source is a file (any name), a folder (recursive; pictures by their extension; hidden ones
    skipped, and what kosmoscope wrote; loops of links end), a pattern (``*``, ``?``, ``[...]``,
    ``**``) unless a file has that very name, a list (``@file``, or a .csv, .tsv, .jsonl or .ndjson
    file), or ``-``: paths on standard input. A file whose name begins with ``@`` is given as
    ``./@name``. One that stands for nothing is a source with a problem. Nothing is opened but
    lists; memory is a set of paths.

    Args:
        sources: in order.
        exclude: folders that are not entered, unless they are sources.
        stdin: read for ``-``; the process's own if None.
        passed: told what is passed over: files of other kinds, what kosmoscope wrote.

    Raises:
        InputError: a list cannot be opened (at once, not when it is reached).
        OptionError: there are no sources, or ``-`` is given twice.
    """
    given = [os.fspath(source) for source in sources]
    if not given:
        raise OptionError("nothing to describe: expected files, folders, patterns or lists")
    if given.count(STDIN) > 1:
        raise OptionError("- stands for paths on standard input; it is given twice")
    for text in given:
        path = _list_path(text)
        if path is not None:
            check_list(path)
    return _find(given, exclude, stdin, PassedOver() if passed is None else passed)


def _find(
    given: Sequence[str], exclude: Sequence[Path], stdin: BinaryIO | None, passed: PassedOver
) -> Iterator[Source]:
    # Asked now, not when the call was made: the output's folder may have come in between.
    hidden = {own for own in map(identity, exclude) if own is not None}
    search = _Search(hidden, stdin, passed)
    seen: set[str] = set()
    real: dict[str, str] = {}
    for text in given:
        for found in search.expand(text):
            key = place(found.path, real=real)
            if key not in seen:
                seen.add(key)
                yield Source(found.path, found.problem, key=key)


def watch_pictures(
    sources: Sequence[str | Path],
    *,
    exclude: Sequence[Path] = (),
    poll: float = 2.0,
    stop: threading.Event | None = None,
) -> Iterator[Source | None]:
    """Yield what is there, then what comes, until `stop` is set.

    A file is taken once it has not changed for `poll` seconds, and again when it changes (so that
    one that failed gets another chance). None says that nothing more is known for now.
    """
    if any(os.fspath(source) == STDIN for source in sources):
        raise OptionError("standard input cannot be watched")
    stop = stop or threading.Event()
    taken: dict[str, tuple[int, int]] = {}
    before: dict[str, tuple[int, int]] = {}
    while not stop.is_set():
        fresh: dict[str, tuple[int, int]] = {}
        for source in find_pictures(sources, exclude=exclude):
            try:
                status = os.stat(source.path)  # noqa: PTH116 (a str)
            except (OSError, ValueError):
                continue  # not there yet, or no more
            stamp = (status.st_mtime_ns, status.st_size)
            if source.problem or taken.get(source.key) == stamp:
                continue
            old = 0 <= status.st_mtime <= time.time() - poll
            if old or before.get(source.key) == stamp:
                taken[source.key] = stamp
                yield source
            else:
                fresh[source.key] = stamp
        before = fresh
        yield None
        stop.wait(poll)


def _list_path(text: str) -> str | None:
    """Return the path of a list, or None if this is no list."""
    if text.startswith("@"):
        if text == "@":
            raise InputError("@ needs the name of a list: @file")
        return text[1:]
    if text.lower().endswith(LIST_EXTENSIONS) and _is(text, stat.S_ISREG):
        return text
    return None


@dataclass(frozen=True, slots=True)
class _Search:
    """What sources stand for."""

    exclude: set[Identity]
    stdin: BinaryIO | None
    passed: PassedOver

    def expand(self, text: str) -> Iterator[FoundPath]:
        if text == STDIN:
            stream = self.stdin or (sys.stdin.buffer if sys.stdin is not None else None)
            if stream is None:
                yield FoundPath("<stdin>", "standard input is closed; expected paths, one a line")
                return
            yield from self.listed("<stdin>", read_stream(stream))
            return
        path = _list_path(text)
        if path is not None:
            yield from self.listed(path, read_list(path))
        elif is_pattern(text) and not is_there(text):
            yield from self.glob(text)
        else:
            yield from self.place(text)

    def listed(self, name: str, items: Iterable[FoundPath]) -> Iterator[FoundPath]:
        empty = True
        for item in items:
            empty = False
            yield from [item] if item.problem else self.place(item.path)
        if empty:
            yield FoundPath(name, "no paths in it")

    def place(self, path: str) -> Iterator[FoundPath]:
        """A file or a folder. What is neither is found out by who reads it."""
        if not _is(path, stat.S_ISDIR):
            yield FoundPath(path)
            return
        passed, empty = PassedOver(), True
        for found in walk(path, self.exclude, passed=passed):
            if found.problem or is_picture_name(found.path):
                empty = False
                yield found
            else:
                passed.other(found.path)
        self.passed.add(passed)
        if empty:
            yield FoundPath(path, f"no pictures in it{f'; {passed}' if passed else ''}")

    def glob(self, pattern: str) -> Iterator[FoundPath]:
        passed, empty = PassedOver(), True
        for found in glob(pattern, self.exclude, passed):
            if found.problem or is_picture_name(found.path):
                empty = False
                yield found
            else:
                passed.other(found.path)
        self.passed.add(passed)
        if empty:
            yield FoundPath(pattern, f"no pictures match; {passed}" if passed else "no match")


def _is(path: str, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(os.stat(path).st_mode)  # noqa: PTH116 (a str)
    except (OSError, ValueError):
        return False


def problem_text(source: Source) -> str:
    """Return one line for a source whose problem is known."""
    return f"{shown_name(source.path)}: {source.problem}"
