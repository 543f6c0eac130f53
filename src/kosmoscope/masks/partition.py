"""Overlapping masks -> one label a pixel; the rest -> coherent regions, if wanted."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from kosmoscope.errors import InputError

MAX_SEGMENTS = 65_534
_REGION_SIDE = 384
_COLOURS = 8
_LEAST_REGION = 0.01
"""Of the picture: smaller patches join a neighbour."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A mask that wants its pixels."""

    bits: NDArray[np.bool_]
    """(H, W)"""
    score: float
    stuff: bool = False


def partition(candidates: Sequence[Candidate], size_wh: tuple[int, int]) -> NDArray[np.uint16]:
    """Give each pixel to one candidate or to none.

    A pixel that several want goes to a thing before stuff, then to the smaller mask (the part
    before the whole), then to the surer one, then to the first. A mask that others cover
    altogether keeps nothing.

    Args:
        candidates: in order; the label of each is its place from 1.
        size_wh: width and height of the picture.

    Returns:
        (H, W) uint16: 0 where nobody wants the pixel.

    Raises:
        InputError: a mask has another size, or there are too many.
    """
    width, height = size_wh
    if len(candidates) > MAX_SEGMENTS:
        raise InputError(f"{len(candidates)} masks; expected at most {MAX_SEGMENTS}")
    labels = np.zeros((height, width), np.uint16)
    for i, candidate in enumerate(candidates):
        if candidate.bits.shape != labels.shape:
            raise InputError(
                f"mask {i} has shape {candidate.bits.shape}; the picture is {width}x{height}"
            )
    areas = [int(np.count_nonzero(c.bits)) for c in candidates]

    def weakest_first(i: int) -> tuple[bool, int, float, int]:
        c = candidates[i]
        return not c.stuff, -areas[i], c.score, -i

    for i in sorted(range(len(candidates)), key=weakest_first):
        labels[candidates[i].bits] = i + 1
    return labels


def rest_regions(rgb: NDArray[np.uint8], rest: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Divide what has no name into connected patches of like colour, the largest first.

    Found on a small copy of the picture; every pixel of `rest` is in exactly one of them.

    Args:
        rgb: (H, W, 3) uint8.
        rest: (H, W).
    """
    if not rest.any():
        return []
    height, width = rest.shape
    scale = min(1.0, _REGION_SIDE / max(height, width))
    small_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Image.fromarray(np.ascontiguousarray(rgb)).resize(small_wh, Image.Resampling.BOX)
    few = np.asarray(small.quantize(_COLOURS, Image.Quantize.MEDIANCUT, kmeans=2))
    colours = np.asarray(Image.fromarray(few).filter(ImageFilter.ModeFilter(9)))
    there = np.asarray(
        Image.fromarray(rest.astype(np.uint8) * 255).resize(small_wh, Image.Resampling.BOX)
    )
    patches = _merged(_connected(colours.astype(np.int64), there > 0), _LEAST_REGION)
    full = np.asarray(
        Image.fromarray(patches.astype(np.int32)).resize((width, height), Image.Resampling.NEAREST)
    )
    ids, counts = np.unique(full[rest], return_counts=True)
    return [(full == i) & rest for i in ids[np.argsort(-counts, kind="stable")]]


def _connected(values: NDArray[np.int64], where: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number the 4-connected patches of equal value; the rest is 0.

    Each cell takes the least number along its runs in rows and columns until nothing changes.
    """
    height, width = values.shape
    key = np.where(where, values + 1, 0)
    labels = np.arange(1, height * width + 1).reshape(height, width)
    runs = []
    for grid in (key, key.T):
        turn = np.ones(grid.shape, bool)
        turn[:, 1:] = grid[:, 1:] != grid[:, :-1]
        runs.append(np.cumsum(turn.ravel()) - 1)
    while True:
        before = labels
        for axis, run in enumerate(runs):
            flat = (labels if axis == 0 else labels.T).ravel()
            least = np.full(run[-1] + 1, height * width + 1)
            np.minimum.at(least, run, flat)
            spread = least[run].reshape(labels.shape if axis == 0 else labels.T.shape)
            labels = spread if axis == 0 else spread.T
        if np.array_equal(labels, before):
            return np.where(where, labels, 0)


def _merged(labels: NDArray[np.int64], least: float) -> NDArray[np.int64]:
    """Let small patches join the neighbour with which they share most; none stays 0."""
    _, flat = np.unique(labels, return_inverse=True)
    ids = flat.reshape(labels.shape) + int(labels.min() > 0)  # from 1, where there is no 0
    sizes = dict(enumerate(np.bincount(ids.ravel()).tolist()))
    contacts: dict[int, dict[int, int]] = {i: {} for i in sizes}
    for a, b in ((ids[:, 1:], ids[:, :-1]), (ids[1:], ids[:-1])):
        pairs, counts = np.unique(np.stack([a[a != b], b[a != b]], 1), axis=0, return_counts=True)
        for (one, other), count in zip(pairs.tolist(), counts.tolist(), strict=True):
            contacts[one][other] = contacts[one].get(other, 0) + count
            contacts[other][one] = contacts[other].get(one, 0) + count
    into = {i: i for i in sizes}
    queue = [(0 if i == 0 else size, i) for i, size in sizes.items() if size]
    heapq.heapify(queue)
    while queue:
        size, small = heapq.heappop(queue)
        if small and (into[small] != small or size != sizes[small]):
            continue  # it has joined another, or has grown meanwhile
        if (small and size >= least * labels.size) or not contacts[small]:
            continue
        large = max(contacts[small], key=lambda i: (contacts[small][i], -i))
        for other, count in contacts.pop(small).items():
            contacts[other].pop(small)
            if other != large:
                contacts[large][other] = contacts[large].get(other, 0) + count
                contacts[other][large] = contacts[other].get(large, 0) + count
        into[small] = large
        sizes[large] += sizes[small]
        heapq.heappush(queue, (sizes[large], large))
    for i in into:
        while into[into[i]] != into[i]:
            into[i] = into[into[i]]
    return np.array([into[i] for i in range(len(into))])[ids]
