"""One row a box: CSV, Arrow, Parquet, pandas. Nothing that was said is left out.

An entity without a box and a description without an entity have one row each, with the columns
that do not apply empty.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from kosmoscope.export.format import FORMATS, Format, Job, text_format
from kosmoscope.export.labelled import (
    NORM_DIGITS,
    PX_DIGITS,
    SCORE_DIGITS,
    LabelledEntity,
    Report,
    labelled,
    number,
)
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.files.text import markup, utf8
from kosmoscope.optional import optional
from kosmoscope.types import XYXY, Box, GroundedCaption

COLUMNS: Final[dict[str, str]] = {
    "description": "int",  # counts descriptions from 0
    "picture": "text",
    "width": "int",
    "height": "int",
    "model": "text",
    "precision": "text",
    "prompt": "text",
    "caption": "text",
    "finish_reason": "text",
    "entity": "int",  # counts a description's entities from 0
    "phrase": "text",
    "label": "text",  # by the vocabulary; empty: it leaves this phrase out
    "span_start": "int",
    "span_end": "int",
    "entity_score": "float",
    "complete": "bool",
    "box": "int",  # counts an entity's boxes from 0
    "x1_px": "float",  # pixels of the upright picture, clipped to it
    "y1_px": "float",
    "x2_px": "float",
    "y2_px": "float",
    "x1_norm": "float",  # 0..1, as the model said it
    "y1_norm": "float",
    "x2_norm": "float",
    "y2_norm": "float",
    "x1_refined": "float",  # 0..1, finer than the grid
    "y1_refined": "float",
    "x2_refined": "float",
    "y2_refined": "float",
    "box_score": "float",
    "box_confidence": "float",  # how often such boxes are right; empty where nobody measured it
}
"""The columns and their kinds, in order."""

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_BATCH_ROWS = 10_000


def rows(
    descriptions: Iterable[GroundedCaption],
    vocabulary: Vocabulary = Vocabulary.phrases(),
    report: Report | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield one row a box, as a dict with all `COLUMNS`; None where a column does not apply."""
    empty = dict.fromkeys(COLUMNS)
    for index, found in enumerate(labelled(descriptions, vocabulary, report, drop=False)):
        description, image = found.description, found.description.image
        told = {
            **empty,
            "description": index,
            "picture": utf8(image.path),
            "width": image.width,
            "height": image.height,
            "model": utf8(description.model),
            "precision": utf8(description.precision),
            "prompt": utf8(description.prompt),
            "caption": utf8(description.caption),
            "finish_reason": description.finish_reason,
        }
        if not found.entities:
            yield told
        for number_, entity in enumerate(found.entities):
            for row in _entity_rows(entity):
                yield {**told, "entity": number_, **row}


def _entity_rows(found: LabelledEntity) -> Iterator[dict[str, Any]]:
    entity = found.entity
    told = {
        "phrase": found.phrase,
        "label": found.label,
        "span_start": entity.span[0],
        "span_end": entity.span[1],
        "entity_score": number(entity.score, SCORE_DIGITS),
        "complete": entity.complete,
    }
    if not entity.boxes:
        yield told
    for i, (box, xyxy_px) in enumerate(zip(entity.boxes, found.corners_px, strict=True)):
        yield {**told, "box": i, **_box_columns(box, xyxy_px)}


def _box_columns(box: Box, xyxy_px: XYXY | None) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "box_score": number(box.score, SCORE_DIGITS),
        "box_confidence": number(box.confidence, SCORE_DIGITS),
    }
    for name, corners, digits in (
        ("px", xyxy_px, PX_DIGITS),
        ("norm", box.xyxy, NORM_DIGITS),
        ("refined", box.refined, NORM_DIGITS),
    ):
        for i, corner in enumerate(("x1", "y1", "x2", "y2")):
            columns[f"{corner}_{name}"] = number(corners[i], digits) if corners else None
    return columns


def csv_cell(value: object) -> str:
    """Return a value as a CSV cell's text, before quoting.

    A spreadsheet runs cells that begin like a formula, and file names are anybody's: such text
    gets an apostrophe in front. To undo it, take one apostrophe off cells that match
    ``'+[=+\\-@\\t\\r\\n＝＋－＠]``: no other cell does.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    value = markup(value)
    return f"'{value}" if _FORMULA.match(value) else value


def csv_line(values: Iterable[object]) -> str:
    """Return one record of CSV (RFC 4180)."""
    line = io.StringIO(newline="")
    csv.writer(line).writerow([csv_cell(value) for value in values])
    return line.getvalue()


def to_csv(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary = Vocabulary.phrases()
) -> str:
    """Return a CSV table (UTF-8, comma, RFC 4180 quoting, formulas disarmed: see `csv_cell`)."""
    return "".join(_csv_lines(Job(descriptions, vocabulary)))


def _csv_lines(job: Job) -> Iterator[str]:
    yield csv_line(COLUMNS)
    for row in _rows(job):
        yield csv_line(row.values())


def to_arrow(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary = Vocabulary.phrases()
) -> Any:
    """Return a `pyarrow.Table` with `COLUMNS`.

    Raises:
        KosmoscopeError: pyarrow is not installed.
    """
    return _arrow(Job(descriptions, vocabulary))


def _arrow(job: Job) -> Any:
    pa = optional("pyarrow", "parquet")
    return pa.Table.from_pylist(list(_rows(job)), schema=_schema(pa))


def _write_parquet(job: Job) -> None:
    """Write the table, some thousand rows at a time."""
    pa = optional("pyarrow", "parquet")  # before any file is made
    parquet = optional("pyarrow.parquet", "parquet")
    schema = _schema(pa)
    with job.new_file() as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        rest = _rows(job)
        while True:
            batch = list(islice(rest, _BATCH_ROWS))
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            if len(batch) < _BATCH_ROWS:
                break


def to_pandas(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary = Vocabulary.phrases()
) -> Any:
    """Return a `pandas.DataFrame` with `COLUMNS`, in nullable types.

    Raises:
        KosmoscopeError: pandas is not installed.
    """
    pd = optional("pandas", "pandas")
    kinds = {"int": "Int64", "text": "string", "float": "Float64", "bool": "boolean"}
    table = list(rows(descriptions, vocabulary))
    return pd.DataFrame(
        {
            name: pd.array([row[name] for row in table], dtype=kinds[kind])
            for name, kind in COLUMNS.items()
        }
    )


def _schema(pa: Any) -> Any:
    kinds = {"int": pa.int64(), "text": pa.string(), "float": pa.float64(), "bool": pa.bool_()}
    return pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])


def _rows(job: Job) -> Iterator[dict[str, Any]]:
    return rows(job.found, job.vocabulary, job.report)


_SUMMARY = "one row a box: everything but tokens and timings"
CSV = FORMATS.add(text_format("csv", _SUMMARY, ".csv", _csv_lines))
PARQUET = FORMATS.add(Format("parquet", _SUMMARY, ".parquet", _arrow, _write_parquet))
