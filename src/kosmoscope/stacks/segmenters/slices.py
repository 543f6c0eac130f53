"""Slice after slice: a segmenter of pictures, led by where the thing was on the slice before.

For stacks of ordinary pictures (time lapses, serial sections), and for whatever looks alike from
slice to slice. From a marked slice it goes both ways. On each next slice the thing's place is
looked for near the last one; three kinds of evidence are then added up for every pixel: what the
segmenter of pictures says in a box there, how much its colour is the thing's and not its
surroundings' on the slice before, and how far it lies inside the shape of before.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kosmoscope.errors import InputError, OptionError
from kosmoscope.optional import optional
from kosmoscope.segment.protocol import BoxPrompt, Segmenter
from kosmoscope.segment.run import load_segmenter
from kosmoscope.stacks.seeds import Marked, box_window
from kosmoscope.stacks.segmented import Segmented
from kosmoscope.stacks.segmenters.pictures import grey_window, slice_picture
from kosmoscope.stacks.volume import Floats, Volume

_BINS = 8
"""Of each colour channel."""
_RING = 0.6
"""Of the surroundings that a thing's colours are compared with, in parts of its size."""
_ROOM = 0.2
"""Around the thing's last box, for the next one."""
_GROWS = 1.2
"""By this factor an area may change from one slice to the next."""
_FLOOR = -1.5
"""Odds that are too low to be the thing's, whatever its area was."""
_GONE_PX = 6


@dataclass(frozen=True, slots=True)
class SlicesOptions:
    """How slices follow each other.

    Raises:
        OptionError: a value is out of its range.
    """

    segmenter: str | Path = "classical"
    """Of pictures: what `kosmoscope.segment.load_segmenter` takes, "sam" among others."""
    reach: float = 0.25
    """How far a thing may move from one slice to the next, in parts of its size."""
    mask_weight: float = 0.3
    colour_weight: float = 1.0
    shape_weight: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.reach <= 2:
            raise OptionError(f"reach is {self.reach:g}; expected 0 to 2")
        for name in ("mask_weight", "colour_weight", "shape_weight"):
            if not 0 <= getattr(self, name) <= 100:
                raise OptionError(f"{name} is {getattr(self, name):g}; expected 0 to 100")


class Slices:
    """Follows each label from its marked slices. Needs OpenCV, or a model of masks.

    Args:
        options: of it.
        segmenter: of pictures, in place of the one that the options name.
    """

    name = "slices"

    def __init__(
        self, options: SlicesOptions | None = None, segmenter: Segmenter | None = None
    ) -> None:
        self.options = options or SlicesOptions()
        self._segmenter = segmenter or load_segmenter(self.options.segmenter)
        self._cv2: Any = optional("cv2", "stacks")

    def segment(self, volume: Volume, marked: Marked) -> Segmented:
        """Return every voxel's label; what none claims is background.

        Raises:
            InputError: no label but the background is marked, or a box is not on a slice along k.
        """
        began = time.perf_counter()
        labels = [n for n in range(1, len(marked.names)) if _starts(marked, n)]
        if not labels:
            raise InputError("seeds: no label is marked on a slice along k")
        window = grey_window(volume)
        odds = np.zeros(volume.shape, np.float32)
        out = np.zeros(volume.shape, np.uint8)
        for label in labels:
            self._follow(volume, marked, label, window, out, odds)
        sure = np.where(out > 0, 1 / (1 + np.exp(-odds)), 1.0)
        return Segmented(
            volume, out, marked.names, self.name, time.perf_counter() - began,
            np.rint(sure * 255).astype(np.uint8),
        )  # fmt: skip

    def _follow(
        self, volume: Volume, marked: Marked, label: int, window: tuple[float, float],
        out: NDArray[np.uint8], odds: Floats,
    ) -> None:  # fmt: skip
        """Write one label's voxels where it is likelier than those before."""
        starts = _starts(marked, label)
        first = {k: self._first(volume, marked, label, k, window) for k in starts}
        for k, mask in first.items():
            _claim(out[k], odds[k], label, np.where(mask, np.float32(4), np.float32(-4)))
        for k in starts:
            for way in (1, -1):
                last, picture = first[k], slice_picture(volume, k, window)
                anchor = _inner_histogram(picture, last)
                at = k + way
                while 0 <= at < volume.shape[0] and at not in starts:
                    if _nearest(starts, at) != k:
                        break
                    shown = slice_picture(volume, at, window)
                    found = self._next(picture, last, shown, anchor)
                    if found is None:
                        break
                    _claim(out[at], odds[at], label, found)
                    last, picture = found > 0, shown
                    at += way

    def _first(
        self, volume: Volume, marked: Marked, label: int, k: int, window: tuple[float, float]
    ) -> NDArray[np.bool_]:
        """Return a label's mask on a marked slice."""
        picture = slice_picture(volume, k, window)
        on = marked.kji[(marked.labels == label) & (marked.kji[:, 0] == k)][:, 1:]
        off = marked.kji[(marked.labels != label) & (marked.kji[:, 0] == k)][:, 1:]
        painted = np.zeros(picture.shape[:2], bool)
        painted[tuple(on.T)] = True
        if not _clicks_only(painted):
            return painted  # drawn as an area: that is it
        points = [(float(i) + 0.5, float(j) + 0.5, True) for j, i in _few(on)]
        points += [(float(i) + 0.5, float(j) + 0.5, False) for j, i in _few(off)]
        size = picture.shape[1], picture.shape[0]
        boxes = [box for n, box in marked.boxes if n == label and box.slice == k]
        if boxes:
            top, left, low, right = box_window(marked.names[label], boxes[0], volume)
            prompt = BoxPrompt(
                (float(left), float(top), float(right), float(low)), "", tuple(points), False
            )
        else:
            prompt = BoxPrompt.at(points, size, stuff=False)
        (proposal,) = self._segmenter.segment(picture, [prompt])
        mask = proposal.mask | painted
        mask[tuple(off.T)] = False
        return mask

    def _next(
        self,
        picture: NDArray[np.uint8],
        mask: NDArray[np.bool_],
        shown: NDArray[np.uint8],
        anchor: NDArray[np.float64],
    ) -> Floats | None:
        """Return (J, I) log-odds on the next slice, or None where the thing is gone.

        Args:
            picture: the slice before.
            mask: the thing on it.
            shown: the next slice.
            anchor: the thing's colours where it was marked: those of the slice before alone would
                take in, step by step, what was once taken by mistake.
        """
        if int(mask.sum()) < _GONE_PX:
            return None
        o = self.options
        moved = self._moved(picture, mask, shown)
        top, left, low, right = _bounds(moved)
        high, wide = low - top, right - left
        room_y, room_x = int(_ROOM * high) + 3, int(_ROOM * wide) + 3
        box = (
            float(max(left - room_x, 0)), float(max(top - room_y, 0)),
            float(min(right + room_x, shown.shape[1])), float(min(low + room_y, shown.shape[0])),
        )  # fmt: skip
        inner = _deepest(moved)
        prompt = BoxPrompt(box, "", ((inner[1] + 0.5, inner[0] + 0.5, True),), False)
        (proposal,) = self._segmenter.segment(shown, [prompt])
        size = float(np.sqrt(moved.sum()))
        shape = _depth(moved, size)
        colour = _colours(picture, mask, shown, anchor, size)
        claim = np.where(proposal.mask, np.float32(1), np.float32(-1)) * (0.5 + proposal.score)
        odds = o.mask_weight * claim + o.colour_weight * colour + o.shape_weight * shape
        odds = ndimage.gaussian_filter(odds.astype(np.float32), max(0.6, 0.01 * size))
        odds -= _level(odds, float(moved.sum()))
        found = _together(odds > 0, moved)
        found = ndimage.binary_fill_holes(found)
        if int(found.sum()) < _GONE_PX or float(colour[found].mean()) < -0.5:
            return None
        told: Floats = np.where(found, np.maximum(odds, 0.01), np.minimum(odds, -0.01))
        return told

    def _moved(
        self, picture: NDArray[np.uint8], mask: NDArray[np.bool_], shown: NDArray[np.uint8]
    ) -> NDArray[np.bool_]:
        """Return the mask shifted to where the thing seems to be on the next slice."""
        top, left, low, right = _bounds(mask)
        reach = int(np.ceil(self.options.reach * max(low - top, right - left)))
        if not reach:
            return mask
        patch = picture[top:low, left:right]
        weight = mask[top:low, left:right].astype(np.float32)
        area = shown[max(top - reach, 0) : low + reach, max(left - reach, 0) : right + reach]
        match = self._cv2.matchTemplate(
            area.astype(np.float32), patch.astype(np.float32), self._cv2.TM_SQDIFF,
            mask=np.repeat(weight[..., None], 3, axis=2),
        )  # fmt: skip
        # Of places that fit about as well the nearest.
        rows, columns = np.indices(match.shape)
        at = np.array([top - max(top - reach, 0), left - max(left - reach, 0)])
        away = (rows - at[0]) ** 2 + (columns - at[1]) ** 2
        cost = match / max(float(weight.sum()), 1) + 40.0 * away / max(reach, 1) ** 2
        j, i = np.unravel_index(int(np.argmin(cost)), cost.shape)
        return _shifted(mask, int(j) - int(at[0]), int(i) - int(at[1]))


def _starts(marked: Marked, label: int) -> list[int]:
    """Slices along k on which a label is marked, by voxels or boxes."""
    boxes = [box for n, box in marked.boxes if n == label]
    if any(box.axis != "k" for box in boxes):
        raise InputError(f"seeds: boxes of {marked.names[label]!r}: expected slices along k")
    found = {int(k) for k in marked.kji[marked.labels == label, 0]}
    return sorted(found | {box.slice for box in boxes})


def _nearest(starts: list[int], k: int) -> int:
    return min(starts, key=lambda s: (abs(s - k), s))


def _claim(labels: NDArray[np.uint8], odds: Floats, label: int, new: Floats) -> None:
    better = (new > 0) & ((labels == 0) | (new > odds))
    labels[better] = label
    odds[better] = new[better]


def _clicks_only(painted: NDArray[np.bool_]) -> bool:
    """Whether what is marked are spots and lines, not the thing's whole area."""
    inside = ndimage.binary_erosion(painted, np.ones((5, 5), bool))
    return not bool(inside.any())


def _few(at: NDArray[np.int64], most: int = 8) -> NDArray[np.int64]:
    return at[:: max(1, -(-len(at) // most))]


def _bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _deepest(mask: NDArray[np.bool_]) -> tuple[int, int]:
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    j, i = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(j), int(i)


def _depth(mask: NDArray[np.bool_], size: float) -> Floats:
    """Return (J, I): how far inside (or, negative, outside) a shape, in tenths of its size."""
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    depth: Floats = ((inside - outside) / (0.1 * size)).clip(-4, 2).astype(np.float32)
    return depth


def _level(odds: Floats, area: float) -> float:
    """Return the odds above which the area is within `_GROWS` of the last one's; 0 if it can be."""
    ranked = np.sort(odds, axis=None)[::-1]
    most, least = int(area * _GROWS), int(area / _GROWS)
    above = int((odds > 0).sum())
    if above > most:
        return float(ranked[min(most, ranked.size - 1)])
    if above < least:
        return max(float(ranked[min(least, ranked.size - 1)]), _FLOOR)
    return 0.0


def _colours(
    picture: NDArray[np.uint8], mask: NDArray[np.bool_], shown: NDArray[np.uint8],
    anchor: NDArray[np.float64], size: float,
) -> Floats:  # fmt: skip
    """Return (J, I) the log-odds of each pixel's colour, thing against surroundings."""
    away = ndimage.distance_transform_edt(~mask)
    inside = (anchor + _inner_histogram(picture, mask)) / 2
    outside = _histogram(picture, (away > 2) & (away <= max(_RING * size, 6)))
    ratio = np.log((inside + 1e-4) / (outside + 1e-4)).clip(-3, 3)
    found: Floats = ratio[_bins(shown)].astype(np.float32)
    return found


def _inner_histogram(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the colours of a mask away from its border, where there is such a place."""
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return _histogram(picture, inside > min(2.0, 0.4 * float(inside.max())))


def _histogram(picture: NDArray[np.uint8], of: NDArray[np.bool_]) -> NDArray[np.float64]:
    counts = np.bincount(_bins(picture)[of], minlength=_BINS**3).astype(np.float64)
    cube = ndimage.gaussian_filter(counts.reshape(_BINS, _BINS, _BINS), 0.7, mode="nearest")
    flat: NDArray[np.float64] = cube.ravel() / max(cube.sum(), 1e-9)
    return flat


def _bins(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    q = (picture // (256 // _BINS)).astype(np.int64)
    found: NDArray[np.int64] = (q[..., 0] * _BINS + q[..., 1]) * _BINS + q[..., 2]
    return found


def _together(found: NDArray[np.bool_], with_: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the parts that meet another mask."""
    parts, count = ndimage.label(found)
    kept = np.zeros(count + 1, bool)
    kept[parts[with_]] = True
    kept[0] = False
    out: NDArray[np.bool_] = kept[parts]
    return out


def _shifted(mask: NDArray[np.bool_], down: int, right: int) -> NDArray[np.bool_]:
    out = np.zeros_like(mask)
    h, w = mask.shape
    to = (slice(max(down, 0), h + min(down, 0)), slice(max(right, 0), w + min(right, 0)))
    of = (slice(max(-down, 0), h + min(-down, 0)), slice(max(-right, 0), w + min(-right, 0)))
    out[to] = mask[of]
    return out if out.any() else mask
