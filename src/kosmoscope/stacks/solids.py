"""A label's surface as a closed mesh, in millimetres in the patient.

Marching cubes (Lewiner et al. 2003, by scikit-image) run on the fractions of voxels, smoothed by
about half the thickest spacing and brought to cubes: from whole labels alone a surface comes out in
steps, and 8 % too large. Taubin's filter (1995) then smooths the mesh without shrinking it, and it
is moved along its normals until it holds the volume that was measured. A mesh of fewer faces is one
on a coarser grid: closed at any number of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from kosmoscope.errors import OptionError
from kosmoscope.optional import optional
from kosmoscope.stacks.fractions import fractions, part_of
from kosmoscope.stacks.segmented import Segmented
from kosmoscope.stacks.volume import Floats, Volume

FACES = 200_000
_FIELD = 24_000_000
"""Cells of the field at most."""
_SMOOTH = 0.5
"""Of the field, in parts of the thickest spacing."""
_LEAST_SMOOTH = 0.65
"""In voxels along each axis."""
_ROUNDS = 12
_SHRINK, _GROW = 0.5, -0.53
"""Taubin's two factors."""
_SMOOTHED = 100
"""Faces from which on a mesh is smoothed: of a voxel's eight nothing would be left."""
_LOST = 0.2
"""A part of the volume; where smoothing takes more, it was too much for something thin."""


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """A closed surface; the corners of a face go round counterclockwise, seen from outside."""

    name: str
    vertices: NDArray[np.float32]
    """(N, 3) mm, RAS."""
    faces: NDArray[np.int32]
    """(M, 3) indices of vertices."""

    @property
    def volume_mm3(self) -> float:
        """What it encloses."""
        a, b, c = self._corners()
        return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)

    @property
    def area_mm2(self) -> float:
        """Of its surface."""
        a, b, c = self._corners()
        return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)

    def _corners(self) -> tuple[NDArray[np.float64], ...]:
        # From the middle: far from the origin the sum of signed volumes would lose digits.
        at = self.vertices.astype(np.float64)
        at -= at.mean(axis=0) if len(at) else 0
        return tuple(at[self.faces[:, n]] for n in range(3))


def solid(found: Segmented, label: int, *, faces: int = FACES) -> Solid | None:
    """Return the surface of a label; None if it has no voxel.

    Args:
        found: the labels, with the volume that they were found in.
        label: 1 and up.
        faces: at most so many, 100 and up.

    Raises:
        OptionError: `faces` or the label is out of its range.
    """
    return solids(found, label, (faces,))[0]


def solids(found: Segmented, label: int, faces: Sequence[int]) -> list[Solid | None]:
    """Return the surface of a label with as many faces at most as each number says; see `solid`."""
    if min(faces) < 100:
        raise OptionError(f"faces is {min(faces)}; expected 100 or more")
    if not 0 < label < len(found.names):
        raise OptionError(f"label {label}; expected 1 to {len(found.names) - 1}")
    field = _field(found, label)
    if field is None:
        return [None] * len(faces)
    return [_surface(found, label, field, most) for most in faces]


_Field = tuple[Floats, tuple[int, int, int], float]
"""Fractions around a label, their first voxel, and the label's volume in mm3."""


def _surface(found: Segmented, label: int, field: _Field, faces: int) -> Solid | None:
    values, start, wanted = field
    volume = found.volume
    step = max(min(volume.spacing_mm), _coarse_enough(values.shape, volume.spacing_mm))
    smooth = _SMOOTH * max(volume.spacing_mm)
    while True:
        cells, scale = _cubes(values, volume.spacing_mm, step, smooth)
        made = _marched(found.names[label], cells, scale, start, volume)
        lost = made is None or abs(made.volume_mm3 / max(wanted, 1e-12) - 1) > _LOST
        if lost and smooth > 0.05 * min(volume.spacing_mm):
            smooth = smooth / 2 if smooth > 0.2 * min(volume.spacing_mm) else 0.0
            continue
        if made is None:
            return None
        if len(made.faces) <= faces:
            return _settled(made, wanted)
        step *= 1.05 * (len(made.faces) / faces) ** 0.5


def _field(found: Segmented, label: int) -> _Field | None:
    part = part_of(found.labels, label)
    if part is None:
        return None
    shape = tuple(s.stop - s.start for s in part)
    values = np.zeros(shape, np.float32)
    total = 0.0
    for slab in fractions(found.volume, found.labels, label):
        first = slab.window[0].start - part[0].start
        values[first : first + len(slab.fraction)] = slab.fraction.clip(-0.5, 1.5)
        total += float(slab.fraction.sum(dtype=np.float64))
    start = (part[0].start, part[1].start, part[2].start)
    return values, start, total * found.volume.voxel_mm3


def _coarse_enough(shape: tuple[int, ...], spacing: tuple[float, float, float]) -> float:
    size = float(np.prod([n * s for n, s in zip(shape, spacing, strict=True)]))
    return float(np.cbrt(size / _FIELD))


def _cubes(
    values: Floats, spacing: tuple[float, float, float], step: float, smooth: float
) -> tuple[Floats, NDArray[np.float64]]:
    """Return a field on cubes of a step in mm, with a margin of 0, and voxels a cell (3,)."""
    width = max(smooth, 0.5 * step if step > min(spacing) else 0.0)
    pads = [int(np.ceil(2 * width / s)) + 2 for s in spacing]
    field = np.pad(values, [(p, p) for p in pads])
    sigmas = [max(width / s, _LEAST_SMOOTH if smooth else 0.0) for s in spacing]
    if max(sigmas) > 0:
        field = ndimage.gaussian_filter(field, sigmas, truncate=3.0)
    scale = np.array([step / s for s in spacing])
    size = [int(np.ceil((n - 1) / f)) + 1 for n, f in zip(field.shape, scale, strict=True)]
    if not np.allclose(scale, 1):
        # Cubic along axes that are stretched: linear pieces would leave the slices visible.
        order = 3 if smooth else 1
        field = ndimage.affine_transform(
            field, scale, output_shape=tuple(size), order=order, mode="constant"
        )
    field[[0, -1]] = field[:, [0, -1]] = field[:, :, [0, -1]] = 0
    near = np.abs(field - 0.5) < 1e-4  # a corner exactly on the level makes faces without area
    field[near] = 0.5001
    return field, np.concatenate([scale, np.array(pads)])


def _marched(
    name: str, cells: Floats, scale: NDArray[np.float64], start: tuple[int, int, int],
    volume: Volume,
) -> Solid | None:  # fmt: skip
    measure = optional("skimage.measure", "stacks")
    if float(cells.max()) <= 0.5:
        return None
    vertices, faces, _, _ = measure.marching_cubes(cells, 0.5)
    kji = vertices.astype(np.float64) * scale[:3] - scale[3:] + np.array(start)
    made = Solid(name, volume.to_patient(kji[:, ::-1]).astype(np.float32), faces.astype(np.int32))
    smoothed = _taubin(made) if len(faces) >= _SMOOTHED else made
    if smoothed.volume_mm3 < 0:
        smoothed = Solid(name, smoothed.vertices, np.ascontiguousarray(smoothed.faces[:, ::-1]))
    return smoothed


def _taubin(made: Solid) -> Solid:
    neighbours = _neighbours(made)
    at = made.vertices.astype(np.float64)
    for _ in range(_ROUNDS):
        for factor in (_SHRINK, _GROW):
            at += factor * (neighbours @ at - at)
    return Solid(made.name, at.astype(np.float32), made.faces)


def _neighbours(made: Solid) -> Any:
    """Return the matrix that takes each vertex to the mean of its neighbours."""
    a = made.faces[:, [0, 1, 2, 1, 2, 0]].ravel()
    b = made.faces[:, [1, 2, 0, 0, 1, 2]].ravel()
    n = len(made.vertices)
    links = sparse.csr_matrix((np.ones(len(a), np.float64), (a, b)), shape=(n, n))
    links.data[:] = 1
    counts = np.maximum(np.asarray(links.sum(axis=1)).ravel(), 1)
    return sparse.diags(1 / counts) @ links


def _settled(made: Solid, wanted: float) -> Solid:
    """Move a surface along its normals until it holds a volume in mm3."""
    if not 0.5 < made.volume_mm3 / max(wanted, 1e-12) < 2:  # a few voxels, whose normals are none
        middle = made.vertices.mean(axis=0, dtype=np.float64)
        larger = np.cbrt(wanted / max(made.volume_mm3, 1e-12))
        at = middle + (made.vertices - middle) * larger
        return Solid(made.name, at.astype(np.float32), made.faces)
    for _ in range(4):
        missing = wanted - made.volume_mm3
        if abs(missing) < 1e-5 * max(wanted, 1e-12):
            break
        at = made.vertices.astype(np.float64)
        a, b, c = (at[made.faces[:, n]] for n in range(3))
        normals = np.zeros_like(at)
        across = np.cross(b - a, c - a)
        for n in range(3):
            np.add.at(normals, made.faces[:, n], across)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        at += normals * (missing / max(made.area_mm2, 1e-12))
        made = Solid(made.name, at.astype(np.float32), made.faces)
    return made
