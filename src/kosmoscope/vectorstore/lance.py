"""Vectors in a table of LanceDB, with an approximate index once they are many.

A table has a row for each vector: its number, and float16. Below `MANY` all are looked at, read a
block at a time. From there on RaBitQ codes (1 bit a dimension; Gao and Long, SIGMOD 2024) in an
inverted file name candidates, whose likeness is then reckoned from the vectors themselves: what is
approximate is which ones are looked at, never how alike they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

import numpy as np

from kosmoscope.errors import IndexDamagedError, OutputError
from kosmoscope.files.text import reason, shown_name
from kosmoscope.optional import optional
from kosmoscope.vectorstore import exact
from kosmoscope.vectorstore.protocol import Float, Found, Half, Numbers, Within

EXTRA = "lancedb"
MANY = 100_000
"""From how many vectors on there is an approximate index: to look at so many takes about as long
as a person notices."""
PART = 8192
"""Vectors in a part of the inverted file: LanceDB's own choice."""
PROBES, SHARE = 64, 4
"""How many parts are looked into: all up to the first number, and at least one of the second. Of
300,000 vectors 4 of 37 parts have 81 % of the ten nearest, 8 have 92 %, 16 have 99 %
(benchmarks/search_engine.py --probes)."""
SPARE = 500
"""Candidates beyond those that are asked for: codes of 1 bit, and vectors less their mean, have
another order than the likeness has."""
KEPT = timedelta(minutes=10)
"""For how long a state of the table that is no longer the latest stays, for who reads it."""


class LanceVectors:
    """A `VectorStore`; opening makes nothing, the first vectors make the table.

    Args:
        place: a folder, or an address that LanceDB knows, such as s3://bucket/folder.
        collection: the table's name.
        width: D.

    Raises:
        KosmoscopeError: LanceDB is not installed, or cannot be loaded.
        OutputError: the place cannot be opened.
    """

    def __init__(self, place: str, collection: str, width: int) -> None:
        self._place, self._name, self.width = place, collection, width
        self._base = _connect(place)

    def numbers(self) -> Numbers:
        with self._told():
            table = self._table()
            if table is None:
                return np.zeros(0, np.int64)
            found = table.search().select(["number"]).limit(table.count_rows()).to_arrow()
            return np.sort(_numbers(found))

    def blocks(self) -> Iterator[tuple[Numbers, Half]]:
        with self._told():
            table = self._table()
            if table is None:
                return
            rows = table.search().select(["number", "vector"]).limit(table.count_rows())
            for batch in rows.to_batches(exact.BLOCK):
                yield _numbers(batch), self._vectors(batch)

    def add(self, numbers: Numbers, vectors: Half) -> None:
        arrow = optional("pyarrow", EXTRA)
        schema = arrow.schema(
            [
                arrow.field("number", arrow.int64(), nullable=False),
                arrow.field("vector", arrow.list_(arrow.float16(), self.width), nullable=False),
            ]
        )
        flat = arrow.array(np.ascontiguousarray(vectors).ravel())
        made = arrow.FixedSizeListArray.from_arrays(flat, self.width)
        rows = arrow.Table.from_arrays([arrow.array(numbers), made], schema=schema)
        with self._told(writing=True):
            table = self._table()
            if table is None:
                self._base.create_table(self._name, rows)
                return
            merge = table.merge_insert("number").when_matched_update_all()
            merge.when_not_matched_insert_all().execute(rows)

    def remove(self, numbers: Numbers) -> None:
        with self._told(writing=True):
            table = self._table()
            for some in _parts(numbers) if table is not None else ():
                table.delete(_among(some))

    def settle(self) -> None:
        with self._told(writing=True):
            table = self._table()
            if table is None or table.count_rows() < MANY:
                return
            index = optional("lancedb.index", EXTRA)
            there = {column for made in table.list_indices() for column in made.columns}
            if "number" not in there:
                table.create_index("number", config=index.BTree())
            centre = exact.mean(self.blocks(), self.width)  # before the index, which needs it
            self._base.create_table(
                self._name + _CENTRE, [{"vector": centre.tolist()}], mode="overwrite"
            )
            if "vector" not in there:
                # Where vectors have length 1 a product is the cosine.
                table.create_index("vector", config=index.IvfRq(distance_type="dot"))
            table.optimize(cleanup_older_than=KEPT)

    def nearest(
        self, wanted: Float, many: int, *, centred: bool = False, within: Within | None = None
    ) -> Found:
        with self._told():
            table = self._table()
            if table is not None and _is_indexed(table):
                centre = self._centre() if centred else None
                found = self._candidates(table, wanted, many, centre, within)
                if found is not None:
                    return found
        centre = exact.mean(self.blocks(), self.width, within) if centred else None
        return exact.nearest(self.blocks, wanted, many, centre, within)

    def likeness(self, wanted: Float, numbers: Numbers) -> Float:
        found = np.full(len(numbers), -np.inf, np.float32)
        order = np.argsort(numbers)
        with self._told():
            table = self._table()
            for some in _parts(numbers) if table is not None else ():
                rows = table.search().where(_among(some)).select(["number", "vector"])
                there = rows.limit(len(some)).to_arrow()
                at = order[np.searchsorted(numbers, _numbers(there), sorter=order)]
                found[at] = exact.cosines(self._vectors(there), wanted)
        return found

    def _candidates(
        self, table: Any, wanted: Float, many: int, centre: Float | None, within: Within | None
    ) -> Found | None:
        """Return the nearest by the approximate index; None where too few of them count."""
        # (v - c)(w - c) has the order of v(w - c); only the lengths of v - c are passed over.
        asked = wanted if centre is None else wanted - centre
        fetched, count = many + SPARE, table.count_rows()
        probes = max(PROBES, count // PART // SHARE)
        while fetched * 4 < count:
            query = table.search(asked.astype(np.float32), vector_column_name="vector")
            rows = query.distance_type("dot").nprobes(probes).limit(fetched)
            there = rows.select(["number", "vector"]).to_arrow()
            numbers = _numbers(there)
            counting = np.ones(len(numbers), np.bool_) if within is None else within(numbers)
            if counting.sum() >= min(many + SPARE // 2, len(numbers)):
                likeness = exact.cosines(self._vectors(there)[counting], wanted, centre)
                return exact.first(numbers[counting], likeness, many)
            fetched *= 4
        return None

    def _centre(self) -> Float:
        (row,) = self._base.open_table(self._name + _CENTRE).to_arrow()["vector"].to_pylist()
        return np.array(row, np.float32)

    def _table(self) -> Any:
        """Return the table in its latest state; None where there is none yet."""
        return _opened(self._base, self._name)

    def _vectors(self, rows: Any) -> Half:
        column = rows.column("vector")
        whole = column.combine_chunks() if hasattr(column, "combine_chunks") else column
        values: Half = whole.flatten().to_numpy(zero_copy_only=False).astype(np.float16, copy=False)
        return values.reshape(-1, self.width)

    def _told(self, *, writing: bool = False) -> AbstractContextManager[None]:
        return told(self._place, writing=writing)


def drop(place: str, collection: str) -> None:
    """Forget a table. Raises what `LanceVectors` raises."""
    base = _connect(place)
    with told(place, writing=True):
        for name in (collection, collection + _CENTRE):
            if _opened(base, name) is not None:
                base.drop_table(name)


@contextmanager
def told(place: str, *, writing: bool = False) -> Iterator[None]:
    """Turn what LanceDB says in this block into one line that names the place.

    Raises:
        IndexDamagedError: what is there cannot be read.
        OutputError: where the block writes: it cannot be written.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError, LookupError) as e:
        if writing:
            raise OutputError(f"{shown_name(place)}: LanceDB cannot write: {reason(e)}") from e
        raise IndexDamagedError(
            f"{shown_name(place)}: LanceDB cannot use what is there ({reason(e)}); move it "
            "away and run `kosmoscope index --vectors` again"
        ) from e


_CENTRE = "-centre"
_SOME = 2000


def _connect(place: str) -> Any:
    os.environ.setdefault("LANCEDB_LOG", "error")  # it warns of every table that is made
    lancedb = optional("lancedb", EXTRA)
    try:
        # Every call sees the latest state: another process may have written.
        return lancedb.connect(place, read_consistency_interval=timedelta(0))
    except (OSError, RuntimeError, ValueError) as e:
        raise OutputError(f"{shown_name(place)}: cannot be opened by LanceDB: {reason(e)}") from e


def _opened(base: Any, name: str) -> Any:
    """Return a table; None where there is none."""
    try:
        return base.open_table(name)
    except ValueError as e:
        if "was not found" in str(e):
            return None
        raise


def _is_indexed(table: Any) -> bool:
    return any("vector" in made.columns for made in table.list_indices())


def _numbers(rows: Any) -> Numbers:
    found: Numbers = rows.column("number").to_numpy(zero_copy_only=False)
    return found


def _parts(numbers: Numbers) -> Iterator[Numbers]:
    for at in range(0, len(numbers), _SOME):
        yield numbers[at : at + _SOME]


def _among(numbers: Numbers) -> str:
    return f"number IN ({','.join(map(str, numbers.tolist()))})"
