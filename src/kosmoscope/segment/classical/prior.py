"""The learned weighing of the cues: two small networks of two layers, a few thousand numbers.

They were fitted on photographs with masks by `benchmarks/segmentation_prior.py`; they see no pixel,
only the cues of one region at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from safetensors.numpy import load

from kosmoscope.segment.classical.cues import Scene, first_cues, second_cues
from kosmoscope.segment.classical.regions import Floats

FILE: Final = "prior.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Weighing:
    """One network: cues (..., F) -> 0..1."""

    mean: Floats
    """(F,) and `spread` (F,): cues are centred, scaled and clipped to -4..4."""
    spread: Floats
    a: Floats
    """(F, H) with `a0` (H,), then `b` (H, H) with `b0` (H,), then `c` (H,) with `c0` ()."""
    a0: Floats
    b: Floats
    b0: Floats
    c: Floats
    c0: Floats

    def __call__(self, cues: Floats) -> Floats:
        """Weigh cues (..., F); returns (...)."""
        x = ((cues - self.mean) / self.spread).clip(-4, 4)
        x = np.maximum(x @ self.a + self.a0, 0)
        x = np.maximum(x @ self.b + self.b0, 0)
        out: Floats = 1 / (1 + np.exp(-(x @ self.c + self.c0)))
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Prior:
    """Both stages and the line that turns a mask's statistics into a score."""

    first: Weighing
    second: Weighing
    score: Floats
    """(S + 1,) weights of `score_cues` and, last, the constant."""


@cache
def load_prior() -> Prior:
    """Read the fitted numbers that come with the package."""
    tensors = load((resources.files(__package__) / FILE).read_bytes())

    def stage(name: str) -> Weighing:
        parts = ("mean", "spread", "a", "a0", "b", "b0", "c", "c0")
        return Weighing(*(tensors[f"{name}.{part}"] for part in parts))

    return Prior(stage("first"), stage("second"), tensors["score"])


def weigh(s: Scene, prior: Prior) -> Floats:
    """Return (B, N): how likely each region belongs to each box's thing, 0..1; 0 outside."""
    cues = first_cues(s)
    guess = apply(prior.first, s, cues)
    return apply(prior.second, s, np.concatenate([cues, second_cues(s, guess)], axis=2))


def apply(stage: Weighing, s: Scene, cues: Floats) -> Floats:
    """Return (B, N): one stage's answer to cues (B, N, F); 0 outside the box."""
    guess: Floats = np.where(s.cover > 0, stage(cues), 0).astype(np.float32)
    return guess


def score_cues(guess: Floats, mask: Floats, size: float, filled: float, stuff: bool) -> Floats:
    """Return (S,) statistics of one answer that foretell its overlap with the truth.

    Args:
        guess: (n,) likelihoods of the window's pixels.
        mask: (n,) the final mask there, 0 or 1.
        size: the box's share of the picture.
        filled: the mask's share of the box.
        stuff: stuff or thing.
    """
    inside, outside = mask.sum(), (1 - mask).sum()
    sure_in = float((guess * mask).sum() / max(inside, 1))
    sure_out = float(((1 - guess) * (1 - mask)).sum() / max(outside, 1))
    # The overlap to be expected if the likelihoods were true.
    expected = float((guess * mask).sum() / max((guess * (1 - mask)).sum() + inside, 1e-3))
    return np.array([expected, sure_in, sure_out, size, filled, float(stuff)], np.float32)
