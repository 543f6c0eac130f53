"""A stack of slices as one solid: voxels, where they lie in the patient, and what they measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import StackError

Floats = NDArray[np.float32]
Affine = NDArray[np.float64]
KJI = tuple[int, int, int]
"""An index or a shape in the order of the arrays: slice, row, column."""
Window = tuple[slice, slice, slice]

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Patient frames: ours (and NIfTI's) is RAS, x to the right, y to the front, z to the head;
DICOM's, ITK's is LPS. The matrix is its own inverse."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Voxels (K, J, I): slice, row, column; read-only, perhaps mapped from the file.

    Raises:
        StackError: it is not three-dimensional, is empty, holds no real numbers, or the affine is
            not finite or flat.
    """

    stored: NDArray[Any]
    """(K, J, I) as in the file; `values` gives what they mean."""
    affine: Affine
    """(4, 4) float64: index (i, j, k, 1), of the centre of a voxel -> mm in the patient, RAS."""
    slope: float = 1.0
    intercept: float = 0.0
    unit: str = ""
    """Of the values: "HU" for CT, else ""."""
    source: str = "<volume>"
    """Names it in messages."""
    files: tuple[Path, ...] = field(default=())
    """Of each slice, in their order, where each is a file or a frame of one: DICOM, pictures."""
    in_patient: bool = True
    """Whether the frame is a patient's; of pictures and TIFF files it is that of the grid alone."""
    frames: tuple[int, ...] = ()
    """Of each slice, which frame of its file it is, from 0; where the files hold frames."""

    def __post_init__(self) -> None:
        voxels = self.stored
        if voxels.ndim != 3 or not voxels.size:
            raise StackError(self.source, f"voxels of shape {voxels.shape}; expected three axes")
        if voxels.dtype.kind not in "biuf":
            raise StackError(self.source, f"voxels of type {voxels.dtype}; expected real numbers")
        affine = np.array(self.affine, np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise StackError(self.source, "the affine is not a matrix of 4x4 finite numbers")
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if abs(np.linalg.det(affine[:3, :3])) <= 1e-6 * np.prod(lengths):
            raise StackError(self.source, "the affine is flat: voxels without a volume")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        if voxels.flags.writeable:
            view = voxels.view()
            view.setflags(write=False)
            object.__setattr__(self, "stored", view)

    def __repr__(self) -> str:
        size = "x".join(str(n) for n in self.shape[::-1])
        spacing = "x".join(f"{s:.4g}" for s in self.spacing_mm[::-1])
        return f"Volume({self.source} {size}, {spacing} mm{', HU' if self.unit == 'HU' else ''})"

    @property
    def shape(self) -> KJI:
        """(K, J, I)."""
        k, j, i = self.stored.shape
        return k, j, i

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between the centres of neighbours along k, j and i."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(k), float(j), float(i)

    @property
    def voxel_mm3(self) -> float:
        """The volume of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def values(self, window: Window = (slice(None), slice(None), slice(None))) -> Floats:
        """Return what a part of the voxels measures, rescaled; not-a-numbers and infinities are 0.

        Args:
            window: slices along k, j and i; only they are read of a mapped file.
        """
        found = np.asarray(self.stored[window], np.float32)
        if self.stored.dtype.kind == "f" and not np.isfinite(found).all():
            found = np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)
        if self.slope != 1 or self.intercept != 0:
            found = found * np.float32(self.slope) + np.float32(self.intercept)
        return found

    def to_patient(self, ijk: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
        """Return mm (N, 3), RAS, of indices (N, 3) in the order i, j, k; centres are whole."""
        points = np.asarray(ijk, np.float64)
        return points @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_index(self, ras_mm: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
        """Return indices (N, 3) in the order i, j, k of points in the patient, mm, RAS."""
        points = np.asarray(ras_mm, np.float64)
        inverse = np.linalg.inv(self.affine[:3, :3])
        return (points - self.affine[:3, 3]) @ inverse.T


def affine_of(
    spacing_ijk_mm: Sequence[float],
    origin_ras_mm: Sequence[float] = (0.0, 0.0, 0.0),
    axes_ras: NDArray[np.float64] | None = None,
) -> Affine:
    """Return the affine of a grid.

    Args:
        spacing_ijk_mm: along i, j and k.
        origin_ras_mm: the centre of voxel (0, 0, 0).
        axes_ras: (3, 3) whose columns are the directions of i, j and k; those of RAS unless given.
    """
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if axes_ras is None else axes_ras) * np.asarray(spacing_ijk_mm)
    affine[:3, 3] = origin_ras_mm
    return affine
