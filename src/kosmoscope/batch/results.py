"""Reading results back: a batch's folder, its results.jsonl, or bare descriptions, one a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from kosmoscope.batch.names import path_in
from kosmoscope.batch.origins import Origins
from kosmoscope.errors import InputError
from kosmoscope.files.checked import json_object, read_object
from kosmoscope.files.text import shown_name
from kosmoscope.results import Description

RUN, RESULTS = "run.json", "results.jsonl"


@dataclass(frozen=True, slots=True)
class Result:
    """One description, and what it answers."""

    description: Description
    """`image.path` is a path by which the picture can be opened from here."""
    task: str = ""
    """The task's key ("brief", "ground-a-dog-1f2e3d4c"); empty for a bare description."""
    source: str = ""
    """The picture's path as it was written, exactly: the same wherever it is read from."""


def read_results(
    source: str | Path | BinaryIO, images: str | Path | None = None
) -> Iterator[Result]:
    """Yield results in their order.

    Of two records of one picture and task, which a changed picture leaves behind, the later one
    counts. A last line without its newline, which a kill leaves behind, is passed over in a
    batch's file and read in others.

    A picture's path stays as it was written where it leads to the picture from here. Otherwise it
    is looked for below the folder where `describe` ran, also when that was moved together with the
    results; of bare descriptions, beside their file.

    Args:
        source: a batch's folder, a file of records or of bare descriptions (as `describe --format
            json` prints them), or a binary stream of one of them.
        images: the folder that the pictures are in now; they are found by the ends of their paths.

    Raises:
        InputError: it cannot be read, or a line is neither; the message names the line.
    """
    path, origins = Path("<stdin>"), Origins(None)
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir():
            if not (path / RESULTS).is_file():
                raise InputError(
                    f"{shown_name(path)}: no {RESULTS} in it; expected a folder of `describe -o`"
                )
            path = path / RESULTS
        origins = Origins(path.parent, _run_of(path))
    shown, root = shown_name(path), None if images is None else Path(images)
    try:
        with path.open("rb") if isinstance(source, str | Path) else BytesIO(source.read()) as file:
            # The last line's number of each picture and task.
            latest = {_key(record, n, origins): n for n, record in _lines(file, shown)}
            file.seek(0)
            for number, record in _lines(file, shown):
                if latest.get(_key(record, number, origins)) == number:
                    yield _result(record, f"{shown}: line {number}", origins, root)
    except OSError as e:
        raise InputError(f"{shown}: cannot be read: {e.strerror or e}") from e


def _run_of(results: Path) -> dict[str, Any]:
    try:
        return read_object(results.with_name(RUN))
    except InputError:  # none, as beside bare descriptions
        return {}


def _lines(lines: BinaryIO, shown: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json_object(line)
        except InputError as e:
            if not line.endswith(b"\n") and number > 1:
                return  # torn by a kill; a batch that goes on repairs it
            raise InputError(f"{shown}: line {number}: {e}") from e
        yield number, record


def _key(record: dict[str, Any], number: int, origins: Origins) -> Any:
    if "description" not in record:
        return number  # a bare description: there may be several of one picture
    try:
        return origins.key(record), record.get("task")
    except (LookupError, TypeError, ValueError):
        return number


def _result(record: dict[str, Any], where: str, origins: Origins, images: Path | None) -> Result:
    bare = "description" not in record
    try:
        description = Description.from_dict(record if bare else record["description"])
        # A record of an early version, or of somebody else, may name the picture only here.
        fields = record if not bare and "source" in record else {"source": description.image.path}
        written, path = path_in(fields), origins.open_path(fields, images)
    except (InputError, TypeError, AttributeError, ValueError) as e:
        raise InputError(f"{where}: {e}") from e
    if path != description.image.path:
        description = replace(description, image=replace(description.image, path=path))
    return Result(description, "" if bare else str(record.get("task", "")), written)
