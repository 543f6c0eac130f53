"""How often a volume's 90 % interval holds the truth, over made lumps (`stacks_cases`).

    python benchmarks/stacks_volumes.py [--cases 200]
    python benchmarks/stacks_volumes.py --fit

The first checks cases 0 and up; --fit prints the weights that `measures` has, from cases 1000 to
1599, which the check never sees.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

import machine
from kosmoscope.stacks.fractions import fractions
from kosmoscope.stacks.measures import measure
from kosmoscope.stacks.segmenters.walker import Walker
from stacks_cases import case

FIT = range(1000, 1600)


def check(cases: int) -> None:
    within, errors, widths, labels = 0, [], [], []
    for number in range(cases):
        one = case(number)
        found = Walker().segment(one.volume, one.seeds.on(one.volume))
        (figures,) = measure(found)
        low, high = figures.interval_ml
        true = one.true_mm3 / 1000
        within += low <= true <= high
        errors.append(figures.volume_ml / true - 1)
        labels.append(figures.label_ml / true - 1)
        widths.append((high - low) / 2 / true)
    size, alone = np.abs(errors), np.abs(labels)
    print(f"{cases} cases: the truth lies in the interval in {100 * within / cases:.1f} %")
    print(
        f"half its width: {_quantiles(np.array(widths))}\n"
        f"error of the volume: {_quantiles(size)}, on average {100 * np.mean(errors):+.2f} %\n"
        f"of whole voxels: {_quantiles(alone)}, on average {100 * np.mean(labels):+.2f} %"
    )


def _quantiles(parts: NDArray[np.float64]) -> str:
    half, most = 100 * np.quantile(parts, [0.5, 0.9])
    return f"{half:.2f} % in the middle, {most:.2f} % in nine of ten"


def fit() -> None:
    rows = []
    for number in FIT:
        one = case(number)
        found = Walker().segment(one.volume, one.seeds.on(one.volume))
        filled = variance = band = blind = core = around = 0.0
        for slab in fractions(one.volume, found.labels, 1):
            filled += float(slab.fraction.sum(dtype=np.float64))
            variance += float(slab.variance.sum(dtype=np.float64))
            band += slab.band.sum()
            blind += slab.blind.sum()
            core += slab.core.sum()
            around += slab.around.sum()
        true = one.true_mm3 / one.volume.voxel_mm3
        noise = np.sqrt(variance * (1 + band / (3 * core) + band / (3 * around)))
        gap = abs(filled - found.voxels()[1])
        rows.append((filled - true, noise, band, gap, blind))
    error, *parts = np.array(rows).T

    def deviation(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sqrt(sum((np.exp(w) * p) ** 2 for w, p in zip(weights, parts, strict=True)))

    def loss(weights: NDArray[np.float64]) -> float:
        # Student's t with four degrees of freedom: a few segmentations are plainly wrong.
        spread = deviation(weights)
        return float(np.mean(np.log(spread) + 2.5 * np.log1p((error / spread) ** 2 / 4)))

    best = minimize(loss, np.full(4, -2.0), method="Nelder-Mead", options={"maxiter": 4000})
    scale = np.quantile(np.abs(error) / deviation(best.x), 0.9) / 1.645
    names = ("noise", "border", "gap", "blind")
    for name, weight in zip(names, np.exp(best.x) * scale, strict=True):
        print(f"{name:8} {weight:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    print(machine.describe())
    if arguments.fit:
        fit()
    else:
        check(arguments.cases)
