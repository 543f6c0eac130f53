"""Tables with a column of paths: any of the usual separators and headings, or none."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from kosmoscope.batch.walk import FoundPath, is_picture_name
from kosmoscope.files.places import is_there
from kosmoscope.files.text import one_line

NAMES = (
    "path", "image", "file_name", "filename", "file", "image_path", "file_path", "filepath",
    "image_file", "img", "img_path", "picture", "photo", "url", "source",
)  # fmt: skip
"""Headings (and keys of JSON lines) of the column with the paths, the surest first."""
_DELIMITERS = ",;\t|"
_LOOKED_AT = 20
"""So many rows are read to find out which column has the paths."""


def paths_in(lines: Iterable[str], name: str, folder: str) -> Iterator[FoundPath]:
    """Yield the paths in a table.

    Args:
        lines: without their ends.
        name: of the list, for messages.
        folder: where the list is.
    """
    lines = iter(lines)
    sample = list(islice(lines, _LOOKED_AT))
    if sample and sample[0][:4].lower() == "sep=":  # Excel's own first line
        delimiter: str | None = sample.pop(0)[4:5] or None
    else:
        delimiter = delimiter_of([line for line in sample if line.strip()])
    # The reader wants the ends: a cell may hold one.
    reader = csv.reader((f"{line}\n" for line in chain(sample, lines)), delimiter=delimiter or ",")
    rows = _numbered(reader, name)
    first = list(islice(rows, _LOOKED_AT))
    cells = [row for row in first if not isinstance(row, FoundPath)]
    column = path_column([row.cells for row in cells], heading=True) if cells else None
    if cells and column is None:
        column = path_column([row.cells for row in cells], heading=False, folder=folder)
        if column is None:
            columns = ", ".join(one_line(cell, limit=30) for cell in cells[0].cells[:8])
            expected = f"expected a heading such as {', '.join(NAMES[:4])}"
            yield FoundPath(name, f"none of the columns ({columns}) holds pictures; {expected}")
            return
        headed = not _is_path(cells[0].cells[column : column + 1], folder)
        heading = cells[0] if headed and len(cells) > 1 else None  # one of another name
    else:
        heading = cells[0] if cells else None
    for row in chain(first, rows):
        if isinstance(row, FoundPath):
            yield row
        elif row is not heading:
            yield _path(row, column or 0, name)


class _Row(NamedTuple):
    cells: list[str]
    line: int


def _numbered(reader: Any, name: str) -> Iterator[_Row | FoundPath]:
    try:
        for row in reader:
            if any(row):
                yield _Row(row, reader.line_num)
    except csv.Error as e:
        yield FoundPath(f"{name}:{reader.line_num}", f"not CSV: {e}")


def _path(row: _Row, column: int, name: str) -> FoundPath:
    if column < len(row.cells) and row.cells[column]:
        return FoundPath(row.cells[column])
    return FoundPath(f"{name}:{row.line}", f"column {column + 1} is empty")


def delimiter_of(lines: Sequence[str]) -> str | None:
    """Return what separates the columns of a table; None if there is one column."""
    if not lines:
        return None
    rows = {d: _cells(lines[0], d) for d in _DELIMITERS if d in lines[0]}
    for delimiter, row in rows.items():
        if path_column([row], heading=True) is not None:
            return delimiter
    if not rows:
        return None
    # As many columns in every line; of several such, the most.
    return max(rows, key=lambda d: (_steady(lines, d), len(rows[d])))


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # a cell without an end
        return line.split(delimiter)


def _steady(lines: Sequence[str], delimiter: str) -> bool:
    return len({line.count(delimiter) for line in lines}) == 1


def path_column(rows: Sequence[Sequence[str]], *, heading: bool, folder: str = "") -> int | None:
    """Return which column has the paths, by its heading or by what is in it."""
    if heading:
        names = [cell.strip().lower().replace(" ", "_").replace("-", "_") for cell in rows[0]]
        return next((names.index(n) for n in NAMES if n in names), None)
    width = max(len(row) for row in rows)
    if width == 1:
        return 0
    counts = [sum(_is_path(row[i : i + 1], folder) for row in rows) for i in range(width)]
    best = max(counts)
    return counts.index(best) if best else None


def _is_path(cells: Sequence[str], folder: str) -> bool:
    """Return whether a cell, if there is one, names a picture or a file that is there."""
    if not cells or not cells[0]:
        return False
    path = cells[0]
    return is_picture_name(path) or is_there(os.path.join(folder, path)) or is_there(path)  # noqa: PTH118
