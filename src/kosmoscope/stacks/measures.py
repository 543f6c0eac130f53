"""What a label measures, in millimetres and millilitres, and how sure that is.

The volume is the sum of `fractions`. Its 90 % interval has four parts, added as squares:

    noise    of the values at the border, and of the means that they are compared with
    border   of the border as such: blur, tissue that is not even
    gap      between that volume and the one of the labels alone, as much as the segmenter doubts
    blind    where both sides look alike, and only the labels say where the border is

Their weights were fitted on made lumps and on bodies with folds (`benchmarks/stacks_volumes.py
--fit`) and checked on others; what they were not fitted on, a wrong segmentation above all, the
interval does not cover.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from kosmoscope.errors import InputError
from kosmoscope.stacks.fractions import Slab, fractions
from kosmoscope.stacks.segmented import Segmented
from kosmoscope.stacks.solids import Solid, solid

NOTICE: Final = "Not a medical device: not for diagnosis or treatment."
_NOISE, _BORDER, _GAP, _BLIND = 1.2125, 0.0038, 4.543, 0.1955
_Z90 = 1.645


@dataclass(frozen=True, slots=True)
class Measure:
    """A label's figures."""

    label: int
    name: str
    voxels: int
    volume_ml: float
    """With the parts of voxels that the border runs through."""
    interval_ml: tuple[float, float]
    """In which the true volume lies nine times in ten, if the label is on the right thing."""
    label_ml: float
    """Of the label's whole voxels."""
    surface_mm2: float
    extents_mm: tuple[float, float, float]
    """Along the patient's x, y and z: left-right, back-front, feet-head."""
    centroid_mm: tuple[float, float, float]
    """In the patient, RAS."""
    mean: float
    """Of its voxels' values."""
    spread: float
    """Their standard deviation."""
    unit: str
    """Of mean and spread: "HU", or "" where the file does not say."""
    slice_areas_mm2: tuple[float, ...]
    """On each slice, from 0, with parts of voxels."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        data = asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in data.items()}


@dataclass(slots=True)
class _Sums:
    """Gathered slab by slab, in voxels."""

    filled: float = 0.0
    variance: float = 0.0
    band: int = 0
    blind: int = 0
    doubt: float = 0.0
    core: int = 0
    around: int = 0
    voxels: int = 0
    values: float = 0.0
    squares: float = 0.0


def measure(found: Segmented, solids: Mapping[str, Solid] | None = None) -> list[Measure]:
    """Return the figures of every label that has voxels, but the background.

    Args:
        found: a segmentation.
        solids: by name, those that were made already; the others are made here.
    """
    made = dict(solids or {})
    out = []
    for label, name in enumerate(found.names):
        if label == 0 or not (found.labels == label).any():
            continue
        one = made.get(name) or solid(found, label)
        out.append(_measured(found, label, one))
    return out


def _measured(found: Segmented, label: int, surface: Solid | None) -> Measure:
    volume = found.volume
    sums = _Sums()
    areas = np.zeros(volume.shape[0])
    moment = np.zeros(3)
    for slab in fractions(volume, found.labels, label):
        kk, jj, ii = slab.window
        per_slice = slab.fraction.sum(axis=(1, 2), dtype=np.float64)
        areas[kk] = per_slice
        sums.filled += float(per_slice.sum())
        moment += (
            float(per_slice @ np.arange(kk.start, kk.stop)),
            float(slab.fraction.sum(axis=(0, 2), dtype=np.float64) @ np.arange(jj.start, jj.stop)),
            float(slab.fraction.sum(axis=(0, 1), dtype=np.float64) @ np.arange(ii.start, ii.stop)),
        )
        sums.variance += float(slab.variance.sum(dtype=np.float64))
        sums.band += int(slab.band.sum())
        sums.blind += int(slab.blind.sum())
        sums.doubt += doubt(found, slab)
        sums.core += int(slab.core.sum())
        sums.around += int(slab.around.sum())
        mine = slab.values[slab.mine].astype(np.float64)
        sums.voxels += len(mine)
        sums.values += float(mine.sum())
        sums.squares += float((mine**2).sum())
    filled = max(sums.filled, 0.0)
    half = _Z90 * _deviation(sums, filled)
    each = volume.voxel_mm3 / 1000
    mean = sums.values / sums.voxels
    middle = moment[::-1] / max(sums.filled, 1e-12)
    x, y, z = volume.to_patient([middle])[0].tolist()
    plane = volume.voxel_mm3 / volume.spacing_mm[0]
    return Measure(
        label,
        found.names[label],
        sums.voxels,
        filled * each,
        (max(filled - half, 0.0) * each, (filled + half) * each),
        sums.voxels * each,
        surface.area_mm2 if surface is not None else 0.0,
        _extents(surface),
        (x, y, z),
        mean,
        float(np.sqrt(max(sums.squares / sums.voxels - mean**2, 0.0))),
        volume.unit,
        tuple(float(a) for a in areas * plane),
    )


def doubt(found: Segmented, slab: Slab) -> float:
    """Return how many voxels of a label and its border may be another's.

    By the segmenter's probabilities; where it has none, by the fractions of the border.
    """
    if found.sure is not None:
        mine = slab.mine | slab.band
        return float((255 - found.sure[slab.window][mine]).sum(dtype=np.float64)) / 255
    part = slab.fraction[slab.band].clip(0, 1)
    return float(np.minimum(part, 1 - part).sum(dtype=np.float64))


def _deviation(sums: _Sums, filled: float) -> float:
    """Return the standard deviation of the filled voxels."""
    # The means of both sides are of so many voxels, and stand in every one of the border.
    means = 1 + sums.band / (3 * max(sums.core, 1)) + sums.band / (3 * max(sums.around, 1))
    parts = (
        _NOISE * np.sqrt(sums.variance * means),
        _BORDER * sums.band,
        _GAP * abs(filled - sums.voxels) * sums.doubt / max(filled, 1),
        _BLIND * sums.blind,
    )
    return float(np.sqrt(sum(p * p for p in parts)))


def _extents(surface: Solid | None) -> tuple[float, float, float]:
    if surface is None:
        return 0.0, 0.0, 0.0
    x, y, z = np.ptp(surface.vertices.astype(np.float64), axis=0).tolist()
    return x, y, z


def measures_dict(found: Segmented, measures: Sequence[Measure]) -> dict[str, Any]:
    """Return what `measures.json` says: of the file nothing but its name and its grid."""
    volume = found.volume
    return {
        "schema": 1,
        "notice": NOTICE,
        "source": Path(volume.source).name,
        "segmenter": found.segmenter,
        "voxels_ijk": list(volume.shape[::-1]),
        "spacing_ijk_mm": list(volume.spacing_mm[::-1]),
        "affine_ras": volume.affine.tolist(),
        "seconds": round(found.seconds, 3),
        "labels": [one.to_dict() for one in measures],
    }


def measures_csv(measures: Sequence[Measure]) -> str:
    """Return one line a label; areas of slices are in the JSON form."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        [
            "label", "name", "voxels", "volume_ml", "low_ml", "high_ml", "label_ml",
            "surface_mm2", "extent_x_mm", "extent_y_mm", "extent_z_mm",
            "centroid_x_mm", "centroid_y_mm", "centroid_z_mm", "mean", "spread", "unit",
        ]
    )  # fmt: skip
    for one in measures:
        figures = (
            one.volume_ml, *one.interval_ml, one.label_ml, one.surface_mm2, *one.extents_mm,
            *one.centroid_mm, one.mean, one.spread,
        )  # fmt: skip
        shown = [f"{v:.6g}" for v in figures]
        writer.writerow([one.label, one.name, one.voxels, *shown, one.unit])
    return out.getvalue()


def find_measure(measures: Sequence[Measure], name: str) -> Measure:
    """Return a label's figures by its name. Raises `InputError` if it has none."""
    for one in measures:
        if one.name == name:
            return one
    raise InputError(f"{name!r}: expected one of {', '.join(m.name for m in measures)}")
