"""What a person marks on a few slices: points, boxes, scribbles and masks, each with a name.

Frames of reference
    Indices are (i, j, k), column, row and slice, as the affine takes them; the centre of a voxel is
    whole. Marks on a slice have the slice's number along an axis, "k" unless given, and the two
    other indices in their order: (i, j) on "k", (i, k) on "j", (j, k) on "i". With the space "ras"
    or "lps" points are millimetres in the patient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kosmoscope.errors import InputError
from kosmoscope.files.checked import checked, read_object
from kosmoscope.files.text import one_space, shown_name
from kosmoscope.stacks.segmented import REST
from kosmoscope.stacks.volume import Volume

Axis = Literal["i", "j", "k"]
Space = Literal["voxel", "ras", "lps"]
MAX_LABELS = 100
_ARRAY_AXIS = {"k": 0, "j": 1, "i": 2}


@dataclass(frozen=True, slots=True)
class Box:
    """On one slice the thing lies within these bounds; what is outside them is not it."""

    slice: int
    xyxy: tuple[float, float, float, float]
    """The two other indices, least and greatest, of voxels that are inside."""
    axis: Axis = "k"


@dataclass(frozen=True, slots=True)
class Scribble:
    """A line drawn on one slice."""

    slice: int
    line: tuple[tuple[float, float], ...]
    width: float = 1.0
    """In voxels."""
    axis: Axis = "k"


@dataclass(frozen=True, slots=True)
class MaskOn:
    """One slice painted."""

    slice: int
    file: str
    """A picture of the slice's size, as it is shown: rows are the second index; not 0 is marked."""
    axis: Axis = "k"


@dataclass(frozen=True, slots=True)
class Label:
    """A name and the marks of it."""

    name: str
    points: tuple[tuple[float, float, float], ...] = ()
    boxes: tuple[Box, ...] = ()
    scribbles: tuple[Scribble, ...] = ()
    masks: tuple[MaskOn, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """Marks as voxels."""

    names: tuple[str, ...]
    """Of the labels, from 0, which is the background."""
    kji: NDArray[np.int64]
    """(N, 3) marked voxels, each once."""
    labels: NDArray[np.int8]
    """(N,) of each."""
    boxes: tuple[tuple[int, Box], ...] = ()
    """Labels and their boxes, which mark no voxel for themselves."""

    def has(self, label: int) -> bool:
        """Return whether a label has a marked voxel."""
        return bool((self.labels == label).any())

    def and_more(self, more: Marked) -> Marked:
        """Return both; where both mark a voxel the later one counts, labels go by their names."""
        names = (*self.names, *(n for n in more.names if n not in self.names))
        renumber = np.array([names.index(n) for n in more.names], np.int8)
        kji = np.concatenate([more.kji, self.kji])
        labels = np.concatenate([renumber[more.labels], self.labels])
        _, first = np.unique(kji, axis=0, return_index=True)
        boxes = (*self.boxes, *((int(renumber[n]), box) for n, box in more.boxes))
        return Marked(names, kji[first], labels[first], boxes)


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the JSON form says."""

    labels: tuple[Label, ...]
    space: Space = "voxel"
    radius_mm: float = 0.0


@dataclass(frozen=True, slots=True)
class Seeds:
    """Labels and where they were marked.

    Raises:
        InputError: no label, two of one name, or one without a name.
    """

    labels: tuple[Label, ...]
    space: Space = "voxel"
    """Of the points; marks on slices are always in voxels."""
    radius_mm: float = 0.0
    """Points are balls of this radius; 0: one voxel."""
    folder: Path = field(default=Path())
    """What the files of masks are relative to."""

    def __post_init__(self) -> None:
        names = [label.name for label in self.labels]
        if not names or any(not name.strip() for name in names):
            raise InputError("seeds: expected labels, each with a name")
        if len(set(names)) < len(names):
            raise InputError(f"seeds: {max(names, key=names.count)!r} is there twice")
        for one in self.labels:
            if not (one.points or one.boxes or one.scribbles or one.masks):
                raise InputError(
                    f"seeds: {one.name!r} has no mark; expected points, boxes, scribbles or masks"
                )
        if len(names) > MAX_LABELS:
            raise InputError(f"seeds: {len(names)} labels; expected {MAX_LABELS} at most")
        if not 0 <= self.radius_mm <= 1000:
            raise InputError(f"seeds: radius_mm is {self.radius_mm:g}; expected 0 to 1000")

    @classmethod
    def of(cls, points: Mapping[str, Sequence[Sequence[float]]], **more: Any) -> Self:
        """Make seeds of points alone: a name -> indices (i, j, k)."""
        labels = tuple(
            Label(one_space(name), tuple((float(i), float(j), float(k)) for i, j, k in at))
            for name, at in points.items()
        )
        return cls(labels, **more)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read the JSON form, see docs/stacks.md.

        Raises:
            InputError: it cannot be read or says something else; the message names the file.
        """
        file = Path(path)
        data = read_object(file)
        if unknown := data.keys() - {"labels", "space", "radius_mm"}:
            raise InputError(f"{shown_name(file)}: unknown field {min(unknown)!r} of seeds")
        try:
            stored = checked(data, _Stored)
            return cls(stored.labels, stored.space, stored.radius_mm, file.parent)
        except InputError as e:
            raise InputError(f"{shown_name(file)}: {e}") from e

    def on(self, volume: Volume) -> Marked:
        """Return the marked voxels of a volume.

        Raises:
            InputError: a mark lies outside, a mask cannot be read or has another size, or a voxel
                has two names.
        """
        names = (REST, *(label.name for label in self.labels if label.name != REST))
        places, labels = [np.empty((0, 3), np.int64)], [np.empty(0, np.int8)]
        boxes: list[tuple[int, Box]] = []
        for label in self.labels:
            number = names.index(label.name)
            found = [self._points(label, volume)]
            found += [_scribble(label.name, one, volume) for one in label.scribbles]
            found += [self._mask(label.name, one, volume) for one in label.masks]
            at = np.unique(np.concatenate(found), axis=0)
            places.append(at)
            labels.append(np.full(len(at), number, np.int8))
            for box in label.boxes:
                box_window(label.name, box, volume)
                boxes.append((number, box))
        kji, numbers = np.concatenate(places), np.concatenate(labels)
        unique, first, times = np.unique(kji, axis=0, return_index=True, return_counts=True)
        if (times > 1).any():
            k, j, i = unique[np.argmax(times > 1)].tolist()
            both = [names[n] for n in numbers[(kji == (k, j, i)).all(axis=1)]]
            raise InputError(f"seeds: voxel ({i}, {j}, {k}) is marked both {' and '.join(both)}")
        return Marked(names, unique, numbers[first], tuple(boxes))

    def _points(self, label: Label, volume: Volume) -> NDArray[np.int64]:
        if not label.points:
            return np.empty((0, 3), np.int64)
        at = np.array(label.points, np.float64)
        if self.space != "voxel":
            at = volume.to_index(at * (-1, -1, 1) if self.space == "lps" else at)
        limits = np.array(volume.shape[::-1])
        if not np.isfinite(at).all() or (at < -0.5).any() or (at > limits - 0.5).any():
            outside = ~((at >= -0.5) & (at <= limits - 0.5)).all(axis=1)
            i, j, k = np.array(label.points)[np.argmax(outside)].tolist()
            size = "x".join(str(n) for n in limits)
            raise InputError(
                f"seeds: point ({i:g}, {j:g}, {k:g}) of {label.name!r} lies outside the volume "
                f"of {size} voxels"
            )
        centres = np.rint(at).astype(np.int64).clip(0, limits - 1)[:, ::-1]
        if self.radius_mm == 0:
            return centres
        reach = [int(self.radius_mm / s) for s in volume.spacing_mm]
        offsets = np.stack(
            np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1
        ).reshape(-1, 3)
        near = ((offsets * np.array(volume.spacing_mm)) ** 2).sum(axis=1) <= self.radius_mm**2
        ball: NDArray[np.int64] = (centres[:, None] + offsets[near][None]).reshape(-1, 3)
        inside = ((ball >= 0) & (ball < np.array(volume.shape))).all(axis=1)
        return ball[inside]

    def _mask(self, name: str, mask: MaskOn, volume: Volume) -> NDArray[np.int64]:
        path = self.folder / mask.file
        try:
            with Image.open(path) as image:
                bits = np.asarray(image.convert("L")) > 0
        except (OSError, ValueError, SyntaxError) as e:
            raise InputError(f"{shown_name(path)}: the mask of {name!r} cannot be read: {e}") from e
        rows, columns = _plane(mask.axis, volume)
        if bits.shape != (rows, columns):
            raise InputError(
                f"{shown_name(path)}: {bits.shape[1]}x{bits.shape[0]} pixels; slices along "
                f"{mask.axis} have {columns}x{rows}"
            )
        return _on_slice(name, bits, mask.slice, mask.axis, volume)


def box_window(name: str, box: Box, volume: Volume) -> tuple[int, int, int, int]:
    """Return a box's first row and column on its slice, and one past the last ones.

    Raises:
        InputError: it leaves the slice, is empty, or there is no such slice.
    """
    rows, columns = _plane(box.axis, volume)
    x1, y1, x2, y2 = box.xyxy
    _check_slice(name, box.slice, box.axis, volume)
    if not np.isfinite(box.xyxy).all() or x2 < x1 or y2 < y1:
        raise InputError(f"seeds: box {box.xyxy} of {name!r}: expected x1,y1,x2,y2 in that order")
    top, left, low, right = (round(v) for v in (y1, x1, y2, x2))
    if top < 0 or left < 0 or low >= rows or right >= columns:
        raise InputError(
            f"seeds: box {box.xyxy} of {name!r} leaves the slice of {columns}x{rows} voxels"
        )
    return top, left, low + 1, right + 1


def slice_of(array: NDArray[Any], axis: Axis, at: int) -> NDArray[Any]:
    """Return (rows, columns) of one slice: rows are the later of the two other indices."""
    plane: NDArray[Any] = np.take(array, at, axis=_ARRAY_AXIS[axis])
    return plane


def _plane(axis: Axis, volume: Volume) -> tuple[int, int]:
    rows, columns = (n for a, n in enumerate(volume.shape) if a != _ARRAY_AXIS[axis])
    return rows, columns


def _check_slice(name: str, at: int, axis: Axis, volume: Volume) -> None:
    slices = volume.shape[_ARRAY_AXIS[axis]]
    if not 0 <= at < slices:
        raise InputError(f"seeds: slice {at} of {name!r}: expected 0 to {slices - 1} along {axis}")


def _on_slice(
    name: str, bits: NDArray[np.bool_], at: int, axis: Axis, volume: Volume
) -> NDArray[np.int64]:
    """Return (N, 3) voxels of what is marked on a slice (rows, columns)."""
    _check_slice(name, at, axis, volume)
    return np.insert(np.argwhere(bits), _ARRAY_AXIS[axis], at, axis=1)


def _scribble(name: str, scribble: Scribble, volume: Volume) -> NDArray[np.int64]:
    rows, columns = _plane(scribble.axis, volume)
    line = np.array(scribble.line, np.float64)
    if not len(line) or not np.isfinite(line).all():
        raise InputError(f"seeds: a scribble of {name!r} has no line of finite numbers")
    if (line < -0.5).any() or (line > (columns - 0.5, rows - 0.5)).any():
        raise InputError(
            f"seeds: a scribble of {name!r} leaves the slice of {columns}x{rows} voxels"
        )
    page = Image.new("1", (columns, rows))
    draw = ImageDraw.Draw(page)
    corners = [(float(x), float(y)) for x, y in line]
    width = max(round(scribble.width), 1)
    if len(corners) > 1:
        draw.line(corners, fill=1, width=width, joint="curve")
    for x, y in corners:  # round ends, and a line of one corner
        half = (width - 1) / 2
        draw.ellipse((x - half, y - half, x + half, y + half), fill=1)
    return _on_slice(name, np.asarray(page), scribble.slice, scribble.axis, volume)
