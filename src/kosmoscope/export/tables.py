"""One row a box: CSV, Arrow, Parquet, pandas. Nothing that was said is left out.

An entity without a box and a description without an entity have one row each, with the columns
that do not apply empty.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final

from kosmoscope.export.names import printable, utf8
from kosmoscope.export.pictures import NORM_DIGITS, PX_DIGITS, SCORE_DIGITS, inside, number
from kosmoscope.export.vocabulary import Report, Vocabulary
from kosmoscope.optional import optional
from kosmoscope.types import XYXY, Box, Entity, GroundedCaption

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
    report = report if report is not None else Report()
    pictures: set[tuple[str, int, int]] = set()
    empty = dict.fromkeys(COLUMNS)
    for index, description in enumerate(descriptions):
        image = description.image
        pictures.add((image.path, image.width, image.height))
        report.descriptions, report.pictures = index + 1, len(pictures)
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
        if not description.entities:
            yield told
        for number_, entity in enumerate(description.entities):
            for row in _entity_rows(entity, description, vocabulary, report):
                yield {**told, "entity": number_, **row}


def _entity_rows(
    entity: Entity, description: GroundedCaption, vocabulary: Vocabulary, report: Report
) -> Iterator[dict[str, Any]]:
    label, known = vocabulary.look_up(entity.phrase)
    if not known:
        report.unmapped[utf8(entity.phrase)] += 1
    told = {
        "phrase": utf8(entity.phrase),
        "label": label,
        "span_start": entity.span[0],
        "span_end": entity.span[1],
        "entity_score": number(entity.score, SCORE_DIGITS),
        "complete": entity.complete,
    }
    if not entity.boxes:
        yield told
    for i, box in enumerate(entity.boxes):
        xyxy_px = inside(box.xyxy_px, description.image)
        if xyxy_px is None:
            report.unusable += 1
        else:
            report.boxes += 1
            if label is not None:
                report.labels[label] += 1
        yield {**told, "box": i, **_box_columns(box, xyxy_px)}


def _box_columns(box: Box, xyxy_px: XYXY | None) -> dict[str, Any]:
    columns: dict[str, Any] = {"box_score": number(box.score, SCORE_DIGITS)}
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
    value = printable(value)
    return f"'{value}" if _FORMULA.match(value) else value


def csv_line(values: Iterable[object]) -> str:
    """Return one record of CSV (RFC 4180)."""
    line = io.StringIO(newline="")
    csv.writer(line).writerow([csv_cell(value) for value in values])
    return line.getvalue()


def csv_chunks(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary, report: Report | None = None
) -> Iterator[str]:
    """Yield CSV, record by record, the heading first."""
    yield csv_line(COLUMNS)
    for row in rows(descriptions, vocabulary, report):
        yield csv_line(row.values())


def to_csv(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary = Vocabulary.phrases()
) -> str:
    """Return a CSV table (UTF-8, comma, RFC 4180 quoting, formulas disarmed: see `csv_cell`)."""
    return "".join(csv_chunks(descriptions, vocabulary))


def to_arrow(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary = Vocabulary.phrases()
) -> Any:
    """Return a `pyarrow.Table` with `COLUMNS`.

    Raises:
        KosmoscopeError: pyarrow is not installed.
    """
    pa = optional("pyarrow", "parquet")
    return pa.Table.from_pylist(list(rows(descriptions, vocabulary)), schema=_schema(pa))


def write_parquet(
    file: BinaryIO,
    descriptions: Iterable[GroundedCaption],
    vocabulary: Vocabulary,
    report: Report | None = None,
) -> None:
    """Write the table to an open file, some thousand rows at a time."""
    pa = optional("pyarrow", "parquet")
    parquet = optional("pyarrow.parquet", "parquet")
    schema = _schema(pa)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        batch: list[dict[str, Any]] = []
        for row in rows(descriptions, vocabulary, report):
            batch.append(row)
            if len(batch) == _BATCH_ROWS:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch.clear()
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))


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
