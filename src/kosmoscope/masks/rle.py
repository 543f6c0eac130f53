"""COCO's run-length encoding, in both of its forms.

Pixels go down the columns, first column first; runs of 0 and 1 take turns, 0 first. The compressed
form writes each run as the difference to the one before the last, five bits a character from '0'
on (pycocotools, common/maskApi.c).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import InputError

MAX_PIXELS = 179_000_000
"""Of a mask that is read: the largest picture that Pillow opens. A few bytes can claim more."""


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Return the runs of an (H, W) mask; they add up to H * W."""
    flat = np.asarray(mask, bool).ravel(order="F")
    turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], turns, [flat.size]])).tolist()
    return [0, *runs] if flat.size and flat[0] else runs


def encode_rle(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return ``{"size": [H, W], "counts": "..."}``, compressed."""
    runs, text = run_lengths(mask), bytearray()
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text.append((bits | 32 if more else bits) + 48)
    return {"size": list(mask.shape), "counts": text.decode("ascii")}


def decode_rle(rle: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Return the (H, W) mask of a run-length encoding, compressed or a list of counts.

    Raises:
        InputError: the size is not two whole numbers or too large, the counts are not runs, or they
            do not add up to the size.
    """
    (height, width), runs = checked_runs(rle)
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order="F")


def checked_runs(rle: Mapping[str, Any]) -> tuple[tuple[int, int], list[int]]:
    """Return size (H, W) and runs, without a pixel. Raises as `decode_rle` does."""
    try:
        height, width = _whole(rle["size"])
        counts = rle["counts"]
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        raise InputError("a mask's RLE has a size [height, width] and counts") from e
    if height < 0 or width < 0 or height * width > MAX_PIXELS:
        raise InputError(f"a mask's RLE has size {height}x{width}")
    runs = _runs(counts) if isinstance(counts, str | bytes) else _checked(counts)
    if sum(runs) != height * width:
        raise InputError(
            f"the runs of a mask's RLE add up to {sum(runs)}, not to {height}x{width} pixels"
        )
    return (height, width), runs


def _runs(text: str | bytes) -> list[int]:
    data = text.encode("latin-1", "replace") if isinstance(text, str) else text
    runs: list[int] = []
    at = 0
    while at < len(data):
        value = shift = 0
        more = True
        while more:
            if at == len(data) or not 48 <= data[at] < 112 or shift > 35:
                raise InputError("the counts of a mask's RLE are damaged")
            bits = data[at] - 48
            value |= (bits & 31) << shift
            more = bool(bits & 32)
            shift += 5
            at += 1
            if not more and bits & 16:
                value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return _checked(runs)


def _checked(counts: Sequence[Any]) -> list[int]:
    try:
        runs = _whole(counts)
    except (TypeError, ValueError, OverflowError) as e:
        raise InputError("the counts of a mask's RLE are not whole numbers") from e
    if any(run < 0 for run in runs):
        raise InputError("a run of a mask's RLE is negative")
    return runs


def _whole(values: Sequence[Any]) -> list[int]:
    """Return numbers as Python's; raises `ValueError` and others where one is not whole."""
    if isinstance(values, str | bytes | Mapping):
        raise TypeError("no list")
    found = [int(v) for v in values]
    if any(isinstance(v, bool | str | bytes) or v != n for v, n in zip(values, found, strict=True)):
        raise ValueError("not whole")
    return found
