"""Segmentations, run lengths and label maps that somebody made up: read, or an `InputError`."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kosmoscope import ImageInfo
from kosmoscope.errors import InputError
from kosmoscope.masks import Mask, Segment, read_label_map
from kosmoscope.masks.label_png import label_map_png
from kosmoscope.segment import Segmentation

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**64, 10**30, -(10**30), 10**400, 1e308, -0.5,
    float("nan"), float("inf"), "", "x", "\ud800", "\0", "N" * 5000, "0" * 50, [], {}, [[]],
    {"a": 1}, [1.5, 2.5], ["a"], [10**30, 48 - 10**30], [True] * 48, [48.0], ["48"], [24.5, 23.5],
    [float("inf")],
]  # fmt: skip


def made() -> dict[str, Any]:
    labels = np.zeros((6, 8), np.uint16)
    labels[1:3, 2:5], labels[4:, 3:] = 1, 2
    parts = (Segment(1, "a", "thing", 0, (2.0, 1.0, 5.0, 3.0), 0.5), Segment(2, "b", "stuff"))
    found = Segmentation(ImageInfo("x.jpg", 8, 6), "classical", labels, parts, "caption", 0.1)
    return json.loads(found.to_json())


def places(data: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if above:
        yield above
    if isinstance(data, dict | list):
        for key in list(data) if isinstance(data, dict) else range(len(data)):
            yield from places(data[key], (*above, key))


def changed(data: Any, place: tuple[Any, ...], value: Any) -> Any:
    data = copy.deepcopy(data)
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return data


def check(data: Any) -> bool:
    """Say whether it is read; what is can be written, shown and asked again."""
    problem, found = "", None
    try:
        found = Segmentation.from_json(json.dumps(data))
    except InputError as e:
        problem = str(e)
    assert "\n" not in problem
    assert len(problem) < 500
    if found is None:
        return False
    again = Segmentation.from_json(found.to_json())
    assert np.array_equal(again.labels, found.labels)
    assert sum(found.areas_px()) == found.labels.size
    assert repr(found)
    return True


def test_each_field_may_hold_anything() -> None:
    data = made()
    read = sum(check(changed(data, place, value)) for place in places(data) for value in VALUES)
    assert read  # another caption is another caption


def test_several_fields_may() -> None:
    rng = np.random.default_rng(0)
    base = made()
    where = list(places(base))
    for _ in range(500):
        data = base
        for _ in range(3):
            place = where[rng.integers(len(where))]
            try:
                data = changed(data, place, VALUES[rng.integers(len(VALUES))])
            except (LookupError, TypeError):  # that place is gone
                continue
        check(data)


@pytest.mark.parametrize(
    "text", ["", "[", "[" * 100_000, "{}", "null", "nan", "\ud800", "7" * 9999]
)
def test_text_that_is_no_segmentation(text: str) -> None:
    with pytest.raises(InputError):
        Segmentation.from_json(text)


@pytest.mark.parametrize(
    "rle",
    [
        {"size": [10**9, 10**9], "counts": [10**18]},
        {"size": "33", "counts": [9]},
        {"size": [3.9, 3], "counts": [9]},
        {"size": [True, 9], "counts": [9]},
        {"size": {"3": 1, "4": 2}, "counts": [9]},
        {"size": [3, 3], "counts": [4.7, 4.9]},
        {"size": [3, 3], "counts": [float("inf")]},
        {"size": [3, 3], "counts": [float("nan")]},
        {"size": [3, 3], "counts": [10, -1]},
        {"size": [3, 3], "counts": {"9": 1}},
        {"size": [3, 3], "counts": None},
        {"size": [3, 3], "counts": "\ud800"},
        {"size": [3, 3], "counts": "0" * 1_000_000},
    ],
)
def test_run_lengths_that_are_none(rle: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Mask.from_rle(rle)


def test_damaged_label_maps(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "labels.png"
    for labels in (np.eye(40, dtype=np.uint16), np.eye(40, dtype=np.uint16) * 700):
        whole = label_map_png(labels)
        for _ in range(300):
            data = bytearray(whole[: rng.integers(0, len(whole) + 1)])
            for _ in range(rng.integers(0, 4)):
                if data:
                    data[rng.integers(len(data))] = rng.integers(256)
            path.write_bytes(data)
            with suppress(InputError):
                read_label_map(path)
