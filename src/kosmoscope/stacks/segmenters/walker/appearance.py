"""What values each label has, told by its seeds: a value -> how likely each label is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.stacks.volume import Floats

_STEPS = 512
_WIDTH = 0.22
"""Of a seed's kernel, in parts of the least difference between two labels."""
_INSIST = 4.0
_LEFT = 1e-4
"""What every value has in every label, beside kernels of height 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """A table over the range of values."""

    low: float
    high: float
    table: Floats
    """(S, N) likelihoods of S labels over N steps of the range; each step adds up to 1."""
    contrast: float
    """The least difference between values that are seeds of different labels."""

    def likely(self, values: Floats) -> Floats:
        """Return (S, ...) likelihoods of values (...)."""
        scale = (self.table.shape[1] - 1) / (self.high - self.low)
        steps = ((values - np.float32(self.low)) * np.float32(scale)).clip(
            0, self.table.shape[1] - 1
        )
        found: Floats = self.table[:, steps.astype(np.int32)]
        return found


def learn(
    samples: Sequence[Floats],
    noise: float,
    span: tuple[float, float],
    insisted: Sequence[Floats] = (),
) -> Appearance:
    """Make the table from the values at each label's seeds.

    A label may look like many things (a background is air, bone and muscle): each distinct value
    of its seeds is a kernel, so that what counts is the nearest seed in value. Where seeds of two
    labels look alike the table is undecided, and place alone decides.

    Args:
        samples: of each label, at least one value.
        noise: standard deviation of the values where nothing changes.
        span: the least and the largest value of the volume.
        insisted: of each label, values that count `_INSIST` times as much, for corrections.
    """
    low, high = span
    if high <= low:
        high = low + 1.0
    centres = [_spread(s) for s in samples]
    contrast = _contrast(centres, noise)
    width = max(_WIDTH * contrast, noise, 1e-6 * (high - low))
    at = np.linspace(low, high, _STEPS)
    table = np.stack([_highest(at, c, width) + _LEFT for c in centres])
    for row, more in zip(table, insisted, strict=False):
        if len(more):
            np.maximum(row, _INSIST * _highest(at, _spread(more), width), out=row)
    table /= table.sum(axis=0)
    return Appearance(low, high, table.astype(np.float32), contrast)


def _spread(samples: Floats) -> NDArray[np.float64]:
    """Return what the samples are like, without the few that are like no other."""
    return np.unique(np.quantile(samples, np.linspace(0.05, 0.95, 19)))


def _highest(at: NDArray[np.float64], centres: NDArray[np.float64], width: float) -> Floats:
    nearest = np.abs(at[:, None] - centres[None]).min(axis=1)
    kernel: Floats = np.exp(-0.5 * (nearest / width) ** 2)
    return kernel


def _contrast(centres: Sequence[NDArray[np.float64]], noise: float) -> float:
    """The least difference between labels that noise does not explain; 0 if there is none."""
    found = []
    for a in range(len(centres)):
        for b in range(a):
            apart = np.abs(centres[a][:, None] - centres[b][None])
            clear = apart[apart > noise]
            if clear.size:
                found.append(float(clear.min()))
    return min(found, default=4 * noise)


def noise_of(values: Floats) -> float:
    """Return the standard deviation of a grid's noise, from second differences along rows.

    The median of their size is that of the flat parts, which are most of a picture (0.6745 sigma of
    a normal distribution); air that is exactly constant is left out.
    """
    if values.shape[2] < 3:
        return 0.0
    step = max(1, values.shape[0] // 48)
    rows = values[::step]
    curve = rows[..., 2:] - 2 * rows[..., 1:-1] + rows[..., :-2]
    curve = curve[curve != 0]
    if not curve.size:
        return 0.0
    return float(np.median(np.abs(curve)) / 0.6745 / np.sqrt(6.0))
