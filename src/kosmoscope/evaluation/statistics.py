"""Shares with their uncertainty, and whether confidences mean something."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Z = 1.959963984540054  # the normal distribution's 97.5 % point
_DIGITS = 4
BINS = 10


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return the 95 % interval of a share.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
    (1927): it stays within 0..1 and holds for few cases and for shares near 0 and 1.
    """
    if not 0 <= hits <= of:
        raise ValueError(f"{hits} of {of}")
    if of == 0:
        return 0.0, 1.0
    share, z2 = hits / of, _Z * _Z
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    hits: int
    of: int

    @classmethod
    def among(cls, cases: Iterable[bool]) -> Share:
        """Count."""
        seen = list(cases)
        return cls(sum(seen), len(seen))

    def to_dict(self) -> dict[str, Any]:
        """Return share, count and 95 % interval; the share of nothing is None."""
        low, high = wilson(self.hits, self.of)
        share = round(self.hits / self.of, _DIGITS) if self.of else None
        interval = [round(low, _DIGITS), round(high, _DIGITS)] if self.of else None
        return {"share": share, "hits": self.hits, "of": self.of, "interval95": interval}


def calibration(scored: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """Say how far scores are from the shares that are right.

    The expected calibration error is the mean over ten bins of equal width of |mean score - share
    right|, weighted by their counts (Naeini et al. 2015; Guo et al., "On Calibration of Modern
    Neural Networks", 2017, eq. 3).

    Args:
        scored: (score in 0..1, whether it was right).
    """
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for score, right in scored:
        bins[min(int(score * BINS), BINS - 1)].append((score, right))
    table, error = [], 0.0
    for i, members in enumerate(bins):
        row: dict[str, Any] = {"from": i / BINS, "to": (i + 1) / BINS}
        row["mean_score"] = None
        if members:
            mean = sum(s for s, _ in members) / len(members)
            share = sum(r for _, r in members) / len(members)
            error += abs(mean - share) * len(members) / len(scored)
            row["mean_score"] = round(mean, _DIGITS)
        table.append(row | Share.among(r for _, r in members).to_dict())
    return {
        "boxes": len(scored),
        "expected_calibration_error": round(error, _DIGITS) if scored else None,
        "right_above_0.8": Share.among(r for s, r in scored if s > 0.8).to_dict(),
        "right_below_0.5": Share.among(r for s, r in scored if s < 0.5).to_dict(),
        "bins": table,
    }


def logistic(
    x: NDArray[np.float64], right: NDArray[np.float64], ridge: float
) -> NDArray[np.float64]:
    """Return bias and weights (K + 1,) of a logistic regression.

    Newton's method on the likelihood, penalised by the squared weights (not the bias): where cases
    are few, the weights stay near "it says nothing" (Hastie, Tibshirani, Friedman, "The Elements
    of Statistical Learning", 2009, section 4.4).

    Args:
        x: (N, K), what is known of each case.
        right: (N,), 1 or 0.
        ridge: weight of the squared weights against the sum over cases.
    """
    with_bias = np.column_stack([np.ones(len(x)), x])
    penalty = np.diag([1e-6, *[ridge] * x.shape[1]])
    weights: NDArray[np.float64] = np.zeros(x.shape[1] + 1)
    for _ in range(100):
        p = 1 / (1 + np.exp(-with_bias @ weights))
        gradient = with_bias.T @ (right - p) - penalty @ weights
        curvature = with_bias.T @ (with_bias * (p * (1 - p))[:, None]) + penalty
        step = np.linalg.solve(curvature, gradient)
        weights += step
        if np.abs(step).max() < 1e-9:
            break
    return weights
