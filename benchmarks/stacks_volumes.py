"""How often a volume's 90 % interval holds the truth, over made stacks (`stacks_cases`).

    python benchmarks/stacks_volumes.py [--cases 200] [--folds 60]
    python benchmarks/stacks_volumes.py --fit

The first checks lumps and bodies with folds from number 0 on; --fit prints the weights that
`measures` has, from lumps 1000 to 1249 and folds 1000 to 1099, which the check never sees. Both
kinds count the same; the whole is scaled so that 92 % of those lumps lie within.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

import machine
from kosmoscope.stacks.fractions import fractions
from kosmoscope.stacks.measures import doubt, measure
from kosmoscope.stacks.segmenters.walker import Walker
from stacks_cases import Case, case, folded

FIT_LUMPS, FIT_FOLDS = range(1000, 1250), range(1000, 1100)
_WITHIN = 0.92


def check(kind: str, make: Callable[[int], Case], cases: int) -> None:
    within, errors, widths, labels, between = 0, [], [], [], []
    for number in range(cases):
        one = make(number)
        found = Walker().segment(one.volume, one.seeds.on(one.volume))
        (figures,) = measure(found)
        low, high = figures.interval_ml
        true = one.true_mm3 / 1000
        within += low <= true <= high
        errors.append(figures.volume_ml / true - 1)
        labels.append(figures.label_ml / true - 1)
        widths.append((high - low) / 2 / true)
        between.append(one.between)
    size, alone = np.abs(errors), np.abs(labels)
    print(f"{cases} {kind}: the truth lies in the interval in {100 * within / cases:.1f} %")
    print(
        f"half its width: {_quantiles(np.array(widths))}\n"
        f"error of the volume: {_quantiles(size)}, on average {100 * np.mean(errors):+.2f} %\n"
        f"of whole voxels: {_quantiles(alone)}, on average {100 * np.mean(labels):+.2f} %"
    )
    alike = np.array(between)
    if alike.any() and not alike.all():
        print(
            f"of whole voxels, beside a tissue halfway between: "
            f"{100 * np.mean(np.array(labels)[alike]):+.1f} % on average, beside others "
            f"{100 * np.mean(np.array(labels)[~alike]):+.1f} %"
        )


def _quantiles(parts: NDArray[np.float64]) -> str:
    half, most = 100 * np.quantile(parts, [0.5, 0.9])
    return f"{half:.2f} % in the middle, {most:.2f} % in nine of ten"


def fit() -> None:
    lumps, folds = _rows(case, FIT_LUMPS), _rows(folded, FIT_FOLDS)
    error, *parts = np.concatenate([lumps, folds]).T
    share = np.concatenate([np.full(len(rows), 0.5 / len(rows)) for rows in (lumps, folds)])

    def deviation(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sqrt(sum((np.exp(w) * p) ** 2 for w, p in zip(weights, parts, strict=True)))

    def loss(weights: NDArray[np.float64]) -> float:
        # Student's t with four degrees of freedom: a few segmentations are plainly wrong.
        spread = deviation(weights)
        return float(share @ (np.log(spread) + 2.5 * np.log1p((error / spread) ** 2 / 4)))

    tries = [
        minimize(loss, np.full(4, begin), method="Nelder-Mead", options={"maxiter": 8000})
        for begin in (-1.0, -3.0)
    ]
    best = min(tries, key=lambda found: float(found.fun))
    off = np.abs(error) / deviation(best.x)
    scale = np.quantile(off[: len(lumps)], _WITHIN) / 1.645
    names = ("noise", "border", "gap", "blind")
    for name, weight in zip(names, np.exp(best.x) * scale, strict=True):
        print(f"{name:8} {weight:.4f}")
    held = float(np.mean(off[len(lumps) :] <= scale * 1.645))
    print(f"of these folds {100 * held:.0f} % lie within")


def _rows(make: Callable[[int], Case], numbers: range) -> NDArray[np.float64]:
    """Return the error in voxels and the interval's parts, a row for each case."""
    rows = []
    for number in numbers:
        one = make(number)
        found = Walker().segment(one.volume, one.seeds.on(one.volume))
        filled = variance = band = blind = doubted = core = around = 0.0
        for slab in fractions(one.volume, found.labels, 1):
            filled += float(slab.fraction.sum(dtype=np.float64))
            variance += float(slab.variance.sum(dtype=np.float64))
            band += slab.band.sum()
            blind += slab.blind.sum()
            doubted += doubt(found, slab)
            core += slab.core.sum()
            around += slab.around.sum()
        true = one.true_mm3 / one.volume.voxel_mm3
        means = 1 + band / (3 * max(core, 1)) + band / (3 * max(around, 1))
        gap = abs(filled - found.voxels()[1]) * doubted / filled
        rows.append((filled - true, np.sqrt(variance * means), band, gap, blind))
    return np.array(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--folds", type=int, default=60)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    print(machine.describe())
    if arguments.fit:
        fit()
    else:
        check("lumps", case, arguments.cases)
        check("bodies with folds", folded, arguments.folds)
