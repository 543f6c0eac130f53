"""Shapes whose size is known, on grids: what the figures and tests of volumes are checked by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.stacks import Seeds
from kosmoscope.stacks.volume import Volume, affine_of

Inside = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[np.bool_]]
"""x, y and z in mm from the middle of the grid -> whether the place is in the shape."""


@dataclass(frozen=True)
class Shape:
    """A solid of known size."""

    name: str
    inside: Inside
    volume_mm3: float
    area_mm2: float
    half_mm: tuple[float, float, float]
    """Of its extents along x, y and z."""


def ball(radius: float) -> Shape:
    return Shape(
        "sphere",
        lambda x, y, z: x * x + y * y + z * z < radius * radius,
        4 / 3 * np.pi * radius**3,
        4 * np.pi * radius**2,
        (radius, radius, radius),
    )


def ellipsoid(a: float, b: float, c: float) -> Shape:
    """With its area by numerical integration."""
    t = (np.arange(2000) + 0.5) / 2000 * np.pi
    p = (np.arange(2000) + 0.5) / 2000 * 2 * np.pi
    st, ct = np.sin(t)[:, None], np.cos(t)[:, None]
    cp, sp = np.cos(p)[None], np.sin(p)[None]
    n = np.sqrt((b * c * st * cp) ** 2 + (a * c * st * sp) ** 2 + (a * b * ct) ** 2) * st
    area = float(n.mean() * np.pi * 2 * np.pi)
    return Shape(
        "ellipsoid",
        lambda x, y, z: (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 < 1,
        4 / 3 * np.pi * a * b * c,
        area,
        (a, b, c),
    )


def torus(ring: float, tube: float) -> Shape:
    return Shape(
        "torus",
        lambda x, y, z: (np.hypot(x, y) - ring) ** 2 + z * z < tube * tube,
        2 * np.pi**2 * ring * tube**2,
        4 * np.pi**2 * ring * tube,
        (ring + tube, ring + tube, tube),
    )


@dataclass(frozen=True, eq=False)
class Made:
    """A stack of a shape, and what is true of it."""

    shape: Shape
    volume: Volume
    fractions: NDArray[np.float32]
    """(K, J, I): how much of each voxel the shape fills."""
    middle_ijk: tuple[float, float, float]

    def near(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """The voxel (i, j, k) nearest to a place in mm from the shape's middle."""
        spacing = self.volume.spacing_mm[::-1]
        i, j, k = (
            float(round(m + v / s))
            for m, v, s in zip(self.middle_ijk, (x, y, z), spacing, strict=True)
        )
        return i, j, k


def made(
    shape: Shape,
    spacing_ijk: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    noise: float = 0.0,
    low: float = 100.0,
    high: float = 200.0,
    seed: int = 0,
    turn: NDArray[np.float64] | None = None,
    kind: type = np.float32,
) -> Made:
    """A shape on a grid: each voxel the mean of what fills it, the middle off the grid's points."""
    rng = np.random.default_rng(seed)
    size = [
        int(np.ceil((2 * h + 16) / s)) + 4 for h, s in zip(shape.half_mm, spacing_ijk, strict=True)
    ]
    shift = rng.uniform(-0.5, 0.5, 3)
    middle = [(n - 1) / 2 + d for n, d in zip(size, shift, strict=True)]
    filled = np.zeros(size[::-1], np.float32)
    parts = [max(3, int(np.ceil(4 * s))) for s in spacing_ijk]
    x, y, z = ((np.arange(n) - m) * s for n, m, s in zip(size, middle, spacing_ijk, strict=True))
    for a in _offsets(parts[0], spacing_ijk[0]):
        for b in _offsets(parts[1], spacing_ijk[1]):
            for c in _offsets(parts[2], spacing_ijk[2]):
                filled += shape.inside(
                    (x + a)[None, None], (y + b)[None, :, None], (z + c)[:, None, None]
                )
    filled /= np.prod(parts)
    values = low + (high - low) * filled + (rng.normal(0, noise, filled.shape) if noise else 0)
    if np.issubdtype(kind, np.integer):
        values = np.rint(values)
    affine = affine_of(spacing_ijk, (-31.0, 12.0, 47.0), turn)
    volume = Volume(values.astype(kind), affine, source=shape.name)
    return Made(shape, volume, filled, (middle[0], middle[1], middle[2]))


def _offsets(parts: int, spacing: float) -> NDArray[np.float64]:
    return ((np.arange(parts) + 0.5) / parts - 0.5) * spacing


def rotation(*degrees: float) -> NDArray[np.float64]:
    """Turns about x, y and z, one after the other."""
    out = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[b, a], turn[a, b] = np.sin(angle), -np.sin(angle)
        out = turn @ out
    return out


SPACINGS = {"1x1x1": (1.0, 1.0, 1.0), "1x1x5": (1.0, 1.0, 5.0), "0.7x0.7x3": (0.7, 0.7, 3.0)}
SHAPES = {
    "sphere": (ball(18), [(0, 0, 0)]),
    "ellipsoid": (ellipsoid(22, 15, 18), [(0, 0, 0)]),
    "torus": (torus(18, 8), [(18, 0, 0), (-18, 0, 0)]),
}
"""By name, with places inside them in mm from their middles."""


def seeds_of(one: Made, places: list[tuple[float, float, float]]) -> Seeds:
    """One or two points in the shape, two in what is around it, all on the middle slice."""
    far = [h + 6 for h in one.shape.half_mm]
    return Seeds.of(
        {
            "background": [one.near(far[0], far[1], 0), one.near(-far[0], -far[1], 0)],
            "solid": [one.near(*place) for place in places],
        },
        radius_mm=2.0,
    )
