"""Vectors like those of pictures: groups of near ones, and much that all have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def made(many: int, width: int, *, groups: int = 0, seed: int = 0) -> NDArray[np.float16]:
    """Return vectors of length 1, (n, D)."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((groups or max(many // 40, 1), width), np.float32)
    common = 2 * rng.standard_normal(width, np.float32)
    found = middles[rng.integers(0, len(middles), many)]
    found = found + 0.6 * rng.standard_normal((many, width), np.float32) + common
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float16)
