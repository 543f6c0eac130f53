"""Reading results back: a batch's folder, its results.jsonl, or bare descriptions, one a line."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from kosmoscope.batch.names import key_of
from kosmoscope.errors import InputError
from kosmoscope.files.checked import json_object
from kosmoscope.results import Description

RESULTS = "results.jsonl"


@dataclass(frozen=True, slots=True)
class Result:
    """One description, and what it answers."""

    description: Description
    """`image.path` is the picture's path, exactly."""
    task: str = ""
    """The task's key ("brief", "ground-a-dog-1f2e3d4c"); empty for a bare description."""


def read_results(source: str | Path | BinaryIO) -> Iterator[Result]:
    """Yield results in their order.

    Of two records of one picture and task, which a changed picture leaves behind, the later one
    counts. A last line without its newline, which a kill leaves behind, is passed over in a
    batch's file and read in others.

    Args:
        source: a batch's folder, a file of records or of bare descriptions (as `describe --format
            json` prints them), or a binary stream of one of them.

    Raises:
        InputError: it cannot be read, or a line is neither; the message names the line.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if path.is_dir():
            if not (path / RESULTS).is_file():
                raise InputError(f"{path}: no {RESULTS} in it; expected a folder of `describe -o`")
            path = path / RESULTS
    else:
        path = Path("<stdin>")
    try:
        with path.open("rb") if isinstance(source, str | Path) else BytesIO(source.read()) as file:
            # The last line's number of each picture and task.
            latest = {_key(record, number): number for number, record in _lines(file, str(path))}
            file.seek(0)
            for number, record in _lines(file, str(path)):
                if latest.get(_key(record, number)) == number:
                    yield _result(record, str(path), number)
    except OSError as e:
        raise InputError(f"{path}: cannot be read: {e.strerror or e}") from e


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


def _key(record: dict[str, Any], number: int) -> Any:
    if "description" not in record:
        return number  # a bare description: there may be several of one picture
    try:
        return key_of(record), record.get("task")
    except KeyError:
        return number


def _result(record: dict[str, Any], shown: str, number: int) -> Result:
    bare = "description" not in record
    try:
        description = Description.from_dict(record if bare else record["description"])
        raw = record.get("source_base64")
        if not bare and raw is not None:
            path = os.fsdecode(base64.b64decode(raw, validate=True))
            description = replace(description, image=replace(description.image, path=path))
    except (InputError, TypeError, AttributeError, binascii.Error) as e:
        raise InputError(f"{shown}: line {number}: {e}") from e
    return Result(description, "" if bare else str(record.get("task", "")))
