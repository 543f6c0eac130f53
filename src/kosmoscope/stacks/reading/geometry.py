"""Where a DICOM series' slices lie: sorted, and whether they make a regular grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import StackError
from kosmoscope.stacks.volume import RAS_TO_LPS, Affine

_SAME_MM = 1e-3
"""Positions nearer than this are one."""
_EVEN = 0.01
"""Gaps may differ by this part of themselves: positions are written with few digits."""
_EVEN_MM = 0.02
_TILT = 0.01
"""Slices may shift sideways by this part of their distance."""


@dataclass(frozen=True, slots=True)
class Plane:
    """Where a slice lies, in DICOM's frame (LPS, mm)."""

    position: tuple[float, float, float]
    """Of the centre of the first voxel."""
    row: tuple[float, float, float]
    """The direction in which columns count up."""
    column: tuple[float, float, float]
    """The direction in which rows count up."""
    spacing: tuple[float, float]
    """Between rows, between columns."""
    thickness: float | None
    """Of a single slice, where nothing else says how deep it is."""
    name: str
    """Of the file, for messages."""


Refuse = Callable[[str], StackError]


def arrange(planes: Sequence[Plane], refuse: Refuse) -> tuple[list[list[int]], Affine]:
    """Return the slices in order, for each volume, and the affine (RAS) of all of them.

    Args:
        planes: of all slices, in any order, of one series.
        refuse: a problem -> the error.

    Returns:
        Indices into `planes`: volumes that lie at the same places (time points, echoes) one by
        one, each from the lowest slice along the normal to the highest.

    Raises:
        StackError: orientations differ or are no right angles, slices are missing, doubled or
            unevenly spaced, or the gantry was tilted.
    """
    first = planes[0]
    row, column = np.array(first.row), np.array(first.column)
    if (
        abs(np.linalg.norm(row) - 1) > 1e-3
        or abs(np.linalg.norm(column) - 1) > 1e-3
        or abs(row @ column) > 1e-3
    ):
        raise refuse(f"{first.name}: rows and columns are not at right angles")
    for plane in planes:
        if not np.allclose([plane.row, plane.column], [row, column], atol=1e-3):
            raise refuse(f"slices of several orientations ({first.name}, {plane.name})")
        if not np.allclose(plane.spacing, first.spacing, rtol=1e-3):
            raise refuse(f"mixed sizes: pixels of {first.name} and {plane.name} differ in mm")
    normal = np.cross(row, column)
    heights = np.array([np.array(p.position) @ normal for p in planes])
    order = np.argsort(heights, kind="stable")
    places = _places(heights, order)
    volumes = _volumes(places, planes, refuse)
    lowest = [place[0] for place in places]
    step = _step([planes[n] for n in lowest], heights[lowest], normal, refuse)
    affine = np.eye(4)
    affine[:3, 0] = row * first.spacing[1]
    affine[:3, 1] = column * first.spacing[0]
    affine[:3, 2] = step
    affine[:3, 3] = planes[lowest[0]].position
    return volumes, RAS_TO_LPS @ affine


def _places(heights: NDArray[np.float64], order: NDArray[np.intp]) -> list[list[int]]:
    places: list[list[int]] = []
    for n in order.tolist():
        if places and heights[n] - heights[places[-1][0]] < _SAME_MM:
            places[-1].append(n)
        else:
            places.append([n])
    return places


def _volumes(places: list[list[int]], planes: Sequence[Plane], refuse: Refuse) -> list[list[int]]:
    counts = {len(place) for place in places}
    if len(counts) > 1:
        double = next(place for place in places if len(place) > min(counts))
        names = " and ".join(planes[n].name for n in double[:2])
        raise refuse(f"doubled slices: {names} lie at the same place")
    return [[place[v] for place in places] for v in range(counts.pop())]


def _step(
    planes: Sequence[Plane], heights: NDArray[np.float64], normal: NDArray[np.float64],
    refuse: Refuse,
) -> NDArray[np.float64]:  # fmt: skip
    """Return the way from one slice to the next, mm, LPS."""
    if len(planes) == 1:
        thickness = planes[0].thickness
        if not thickness:
            raise refuse("one slice, and nothing says how thick it is")
        return normal * thickness
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    wide = int(np.argmax(gaps))
    if gaps[wide] - usual > max(_EVEN * usual, _EVEN_MM) and len(gaps) > 1:
        times = gaps[wide] / usual
        between = f"between {planes[wide].name} and {planes[wide + 1].name}"
        if times > 1.5 and abs(times - round(times)) < 0.1:
            raise refuse(f"missing slices: {round(times) - 1} {between}")
        raise refuse(f"uneven gaps: {gaps[wide]:.2f} mm {between}, {usual:.2f} mm elsewhere")
    thin = int(np.argmin(gaps))
    if usual - gaps[thin] > max(_EVEN * usual, _EVEN_MM):
        between = f"between {planes[thin].name} and {planes[thin + 1].name}"
        raise refuse(f"uneven gaps: {gaps[thin]:.2f} mm {between}, {usual:.2f} mm elsewhere")
    positions = np.array([p.position for p in planes])
    step: NDArray[np.float64] = (positions[-1] - positions[0]) / (len(planes) - 1)
    sideways = step - (step @ normal) * normal
    shift = float(np.linalg.norm(sideways))
    if shift > _TILT * usual + 1e-3:
        angle = np.degrees(np.arctan2(shift, usual))
        raise refuse(
            f"gantry tilt of {angle:.1f} degrees: slices shift by {shift:.2f} mm each; "
            "resample them onto a straight grid first"
        )
    off = positions - (positions[0] + np.arange(len(planes))[:, None] * step)
    worst = int(np.argmax(np.linalg.norm(off, axis=1)))
    if np.linalg.norm(off[worst]) > max(2 * _EVEN * usual, 2 * _EVEN_MM):
        raise refuse(f"{planes[worst].name} lies beside the line of the others")
    return step
