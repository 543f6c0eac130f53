"""Made stacks for the figures of volumes: lumps whose size is known, seen as scanners see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from kosmoscope.stacks import Seeds, Volume
from kosmoscope.stacks.volume import affine_of

SPACINGS = ((1, 1, 1), (0.8, 0.8, 2.5), (1, 1, 5), (1.2, 1.2, 1.2), (0.7, 0.7, 3))
_MARGIN_MM = 9.0


@dataclass(frozen=True, eq=False)
class Case:
    """A stack, the marks on three of its slices at most, and the thing's volume."""

    volume: Volume
    seeds: Seeds
    true_mm3: float
    between: bool
    """The other tissue's value is halfway between the lump's and that of what is around."""


def case(number: int) -> Case:
    """Return a case; the same number gives the same one.

    A lump of 7 to 16 mm radius, uneven, beside a ball of another tissue; contrast 100 with noise of
    2 to 25, tissues mottled by up to 8, light falling off by up to 10 % across, and a blur of up to
    0.8 voxels in the plane of the slices.
    """
    rng = np.random.default_rng((number, 19))
    spacing = np.array(SPACINGS[rng.integers(len(SPACINGS))], float)
    radius = rng.uniform(7, 16)
    waves = [(rng.normal(0, 2, 3), rng.uniform(0, 6.3), rng.uniform(0, 0.09)) for _ in range(4)]
    half = radius * 1.35 + _MARGIN_MM
    size = np.ceil(2 * half / spacing).astype(int) + 1
    middle = (size - 1) / 2 + rng.uniform(-0.5, 0.5, 3)
    axis = _direction(rng)
    other_at, other_radius = axis * (radius * 1.1 + 5), rng.uniform(4, 7)
    x, y, z = ((np.arange(n) - m) * s for n, m, s in zip(size, middle, spacing, strict=True))

    def both(*at: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        mine = _inside(*at, radius, waves)
        away = sum((v - o) ** 2 for v, o in zip(at, other_at, strict=True))
        return mine, ~mine & (away < other_radius**2)

    lump, other = _filled(both, (x, y, z), spacing)
    low, high, third = 100.0, 200.0, rng.choice([40.0, 150.0, 260.0])
    mottle = rng.uniform(0, 8)
    values = low + (high - low) * lump + (third - low) * other
    texture = ndimage.gaussian_filter(rng.normal(size=lump.shape), 2 / spacing[::-1])
    values += mottle * texture / texture.std()
    ramp = _direction(rng)
    slope = rng.uniform(0, 0.1) / (2 * half)
    places = x[None, None] * ramp[0] + y[None, :, None] * ramp[1] + z[:, None, None] * ramp[2]
    values *= 1 + slope * places
    blur = rng.uniform(0, 0.8)
    values = ndimage.gaussian_filter(values, (0, blur, blur))
    values += rng.normal(0, rng.uniform(2, 25), values.shape)

    def near(place: NDArray[np.float64]) -> tuple[float, float, float]:
        i, j, k = np.rint(middle + place / spacing).clip(0, size - 1)
        return float(i), float(j), float(k)

    flat = np.array([1.0, 1.0, 0.0])
    inner = [near(_direction(rng) * flat * radius * 0.4) for _ in range(2)]
    outer = [near(d * (half - 4)) for d in (np.array([1, 0.5, 0]), np.array([-1, -0.5, 0]))]
    seeds = Seeds.of({"background": [*outer, near(other_at)], "lump": inner}, radius_mm=1.5)
    affine = affine_of(spacing, rng.uniform(-100, 100, 3))
    true = float(lump.sum(dtype=np.float64) * np.prod(spacing))
    return Case(
        Volume(values.astype(np.float32), affine, source=f"case {number}"),
        seeds,
        true,
        third == 150,
    )


def folded(number: int) -> Case:
    """Return a case with folds; the same number gives the same one.

    A body of 15 to 20 mm radius with grooves of 1 to 4 mm, a cavity, and a rim of up to 2 mm, all
    of a fluid whose value is between the body's and what is around; blur of up to 1.2 voxels in the
    plane of the slices. A mark in the cavity says that the fluid is background.
    """
    rng = np.random.default_rng((number, 91))
    spacing = np.array(SPACINGS[rng.integers(len(SPACINGS))], float)
    radius, rim, width = rng.uniform(15, 20), rng.uniform(0, 2), rng.uniform(1, 4)
    depth, cavity = rng.uniform(0.5, 0.8), rng.uniform(3.5, 5)
    waves = [
        (_direction(rng) * 2 * np.pi / rng.uniform(12, 20), rng.uniform(0, 6.3)) for _ in range(2)
    ]
    half = radius + _MARGIN_MM
    size = np.ceil(2 * half / spacing).astype(int) + 1
    middle = (size - 1) / 2 + rng.uniform(-0.5, 0.5, 3)
    x, y, z = ((np.arange(n) - m) * s for n, m, s in zip(size, middle, spacing, strict=True))

    def both(*at: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        away = np.sqrt(sum(v * v for v in at))
        grooves = np.zeros(away.shape, bool)
        for way, phase in waves:
            steep = np.linalg.norm(way)
            level = np.sin(at[0] * way[0] + at[1] * way[1] + at[2] * way[2] + phase)
            grooves |= np.abs(level) < steep * width / 2
        grooves &= away > depth * radius
        body = (away < radius) & ~grooves & (away >= cavity)
        return body, ~body & (away < radius + rim)

    body, wet = _filled(both, (x, y, z), spacing, everywhere=True)
    low, high = 100.0, 200.0
    fluid = low + (high - low) * rng.uniform(0.2, 0.5)
    values = low + (high - low) * body + (fluid - low) * wet
    blur = rng.uniform(0, 1.2)
    values = ndimage.gaussian_filter(values, (blur * spacing[0] / spacing[2], blur, blur))
    values += rng.normal(0, rng.uniform(2, 15), values.shape)
    k = round(middle[2])
    inner = ndimage.minimum_filter(body, (1, 3, 3))[k]
    places = np.argwhere(inner >= min(0.99, inner.max()))
    chosen = places[rng.integers(len(places), size=3)]
    corner = (1.0, 1.0, float(k)), (float(size[0] - 2), float(size[1] - 2), float(k))
    heart = (float(round(middle[0])), float(round(middle[1])), float(k))
    seeds = Seeds.of(
        {
            "background": [*corner, heart],
            "lump": [(float(i), float(j), float(k)) for j, i in chosen],
        },
        radius_mm=1.0,
    )
    affine = affine_of(spacing, rng.uniform(-100, 100, 3))
    true = float(body.sum(dtype=np.float64) * np.prod(spacing))
    return Case(
        Volume(values.astype(np.float32), affine, source=f"folds {number}"), seeds, true, True
    )


def lapse(
    frames: int, noise: float = 10, seed: int = 0
) -> tuple[list[NDArray[np.uint8]], NDArray[np.bool_]]:
    """A made time lapse: a thing moves, turns, bends, grows and changes its colour and light."""
    rng = np.random.default_rng(seed)
    ground = ndimage.gaussian_filter(rng.normal(size=(120, 160, 3)), (6, 6, 0))
    ground /= ground.std()
    y, x = np.mgrid[:120, :160]
    pictures, truth = [], []
    for t in range(frames):
        dx, dy = x - (45 + 2.4 * t), y - (60 + 18 * np.sin(t / 5))
        turn = t / 10
        u = (dx * np.cos(turn) + dy * np.sin(turn)) / (18 + 6 * np.sin(t / 6))
        v = (dy * np.cos(turn) - dx * np.sin(turn)) / (14 + 4 * np.cos(t / 4))
        mask = u * u + v * v < (1 + 0.15 * np.sin(3 * np.arctan2(v, u) + t / 3)) ** 2
        soft = ndimage.gaussian_filter(mask.astype(float), 0.7)[..., None]
        thing = np.array([190, 110 + t, 70]) + 8 * np.roll(ground, t, 1)
        picture = (np.array([110, 120, 90]) + 18 * ground) * (1 - soft) + thing * soft
        picture = picture * (1 + 0.15 * np.sin(t / 8)) + rng.normal(0, noise, picture.shape)
        pictures.append(picture.clip(0, 255).astype(np.uint8))
        truth.append(mask)
    return pictures, np.array(truth)


def _filled(
    both: Callable[..., tuple[NDArray[np.bool_], NDArray[np.bool_]]],
    axes: tuple[NDArray[np.float64], ...],
    spacing: NDArray[np.float64],
    *,
    everywhere: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how much of each voxel (K, J, I) two things fill: only at their borders in parts,
    unless there may be something thinner than a voxel."""
    x, y, z = axes
    at = np.broadcast_arrays(x[None, None], y[None, :, None], z[:, None, None])
    centres = both(*at)
    border = np.full(at[0].shape, everywhere)
    cube = np.ones((3, 3, 3), bool)
    for one in centres:
        border |= ndimage.binary_dilation(one, cube) & ~ndimage.binary_erosion(one, cube)
    out = [one.astype(np.float32) for one in centres]
    edge = [v[border] for v in at]
    parts = [max(3, int(np.ceil((2 if everywhere else 3) * s))) for s in spacing]
    sums = [np.zeros(len(edge[0]), np.float32) for _ in out]
    for a in _offsets(parts[0], spacing[0]):
        for b in _offsets(parts[1], spacing[1]):
            for c in _offsets(parts[2], spacing[2]):
                found = both(edge[0] + a, edge[1] + b, edge[2] + c)
                for total, one in zip(sums, found, strict=True):
                    total += one
    for filled, total in zip(out, sums, strict=True):
        filled[border] = total / np.prod(parts)
    return out[0], out[1]


def _inside(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    z: NDArray[np.float64],
    radius: float,
    waves: list[tuple[NDArray[np.float64], float, float]],
) -> NDArray[np.bool_]:
    away = np.sqrt(x * x + y * y + z * z) + 1e-9
    reach = np.ones_like(away)
    for way, phase, height in waves:
        reach += height * np.sin((x * way[0] + y * way[1] + z * way[2]) / away + phase)
    inside: NDArray[np.bool_] = away < radius * reach
    return inside


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    way = rng.normal(size=3)
    return way / np.linalg.norm(way)


def _offsets(parts: int, spacing: float) -> NDArray[np.float64]:
    return ((np.arange(parts) + 0.5) / parts - 0.5) * spacing
