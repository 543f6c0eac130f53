"""Makes the stacks that the tests read: shapes of known truth, DICOM series sound and broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from kosmoscope.stacks.volume import Volume, affine_of

VOXELS = np.arange(6 * 8 * 10, dtype=np.int16).reshape(6, 8, 10)
"""Each with a value of its own."""

Inside = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], NDArray[np.bool_]]
"""x, y and z in mm from the middle of the grid -> whether the place is in the shape."""


@dataclass(frozen=True)
class Shape:
    """A solid of known size."""

    name: str
    inside: Inside
    volume_mm3: float
    area_mm2: float
    half_mm: tuple[float, float, float]
    """Of its extents along x, y and z."""


def ball(radius: float) -> Shape:
    return Shape(
        "sphere",
        lambda x, y, z: x * x + y * y + z * z < radius * radius,
        4 / 3 * np.pi * radius**3,
        4 * np.pi * radius**2,
        (radius, radius, radius),
    )


def ellipsoid(a: float, b: float, c: float) -> Shape:
    """With its area by numerical integration."""
    t = (np.arange(2000) + 0.5) / 2000 * np.pi
    p = (np.arange(2000) + 0.5) / 2000 * 2 * np.pi
    st, ct = np.sin(t)[:, None], np.cos(t)[:, None]
    cp, sp = np.cos(p)[None], np.sin(p)[None]
    n = np.sqrt((b * c * st * cp) ** 2 + (a * c * st * sp) ** 2 + (a * b * ct) ** 2) * st
    area = float(n.mean() * np.pi * 2 * np.pi)
    return Shape(
        "ellipsoid",
        lambda x, y, z: (x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 < 1,
        4 / 3 * np.pi * a * b * c,
        area,
        (a, b, c),
    )


def torus(ring: float, tube: float) -> Shape:
    return Shape(
        "torus",
        lambda x, y, z: (np.hypot(x, y) - ring) ** 2 + z * z < tube * tube,
        2 * np.pi**2 * ring * tube**2,
        4 * np.pi**2 * ring * tube,
        (ring + tube, ring + tube, tube),
    )


@dataclass(frozen=True, eq=False)
class Made:
    """A stack of a shape, and what is true of it."""

    shape: Shape
    volume: Volume
    fractions: NDArray[np.float32]
    """(K, J, I): how much of each voxel the shape fills."""
    middle_ijk: tuple[float, float, float]

    def near(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """The voxel (i, j, k) nearest to a place in mm from the shape's middle."""
        spacing = self.volume.spacing_mm[::-1]
        i, j, k = (
            float(round(m + v / s))
            for m, v, s in zip(self.middle_ijk, (x, y, z), spacing, strict=True)
        )
        return i, j, k


def made(
    shape: Shape,
    spacing_ijk: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    noise: float = 0.0,
    low: float = 100.0,
    high: float = 200.0,
    seed: int = 0,
    turn: NDArray[np.float64] | None = None,
    kind: type = np.float32,
) -> Made:
    """A shape on a grid: each voxel the mean of what fills it, the middle off the grid's points."""
    rng = np.random.default_rng(seed)
    size = [
        int(np.ceil((2 * h + 16) / s)) + 4 for h, s in zip(shape.half_mm, spacing_ijk, strict=True)
    ]
    shift = rng.uniform(-0.5, 0.5, 3)
    middle = [(n - 1) / 2 + d for n, d in zip(size, shift, strict=True)]
    filled = np.zeros(size[::-1], np.float32)
    parts = [max(3, int(np.ceil(4 * s))) for s in spacing_ijk]
    x, y, z = ((np.arange(n) - m) * s for n, m, s in zip(size, middle, spacing_ijk, strict=True))
    for a in _offsets(parts[0], spacing_ijk[0]):
        for b in _offsets(parts[1], spacing_ijk[1]):
            for c in _offsets(parts[2], spacing_ijk[2]):
                filled += shape.inside(
                    (x + a)[None, None], (y + b)[None, :, None], (z + c)[:, None, None]
                )
    filled /= np.prod(parts)
    values = low + (high - low) * filled + (rng.normal(0, noise, filled.shape) if noise else 0)
    if np.issubdtype(kind, np.integer):
        values = np.rint(values)
    affine = affine_of(spacing_ijk, (-31.0, 12.0, 47.0), turn)
    volume = Volume(values.astype(kind), affine, source=shape.name)
    return Made(shape, volume, filled, (middle[0], middle[1], middle[2]))


def _offsets(parts: int, spacing: float) -> NDArray[np.float64]:
    return ((np.arange(parts) + 0.5) / parts - 0.5) * spacing


def rotation(*degrees: float) -> NDArray[np.float64]:
    """Turns about x, y and z, one after the other."""
    out = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[b, a], turn[a, b] = np.sin(angle), -np.sin(angle)
        out = turn @ out
    return out


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def series(
    folder: Path,
    voxels: NDArray[np.int16] = VOXELS,
    *,
    change: Callable[[pydicom.Dataset, int], Any] | None = None,
    step_mm: float = 2.5,
    spacing_mm: tuple[float, float] = (0.8, 0.6),
    uid: str = "",
    number: int = 3,
    name: str = "slice",
) -> list[Path]:
    """Write a CT series, slices named in no order; `change` gets each data set before that."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = uid or generate_uid()
    study, frame = generate_uid(), generate_uid()
    files = []
    for k, plane in enumerate(voxels):
        data = pydicom.Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.file_meta.MediaStorageSOPClassUID = CTImageStorage
        data.SOPClassUID = CTImageStorage
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        data.SeriesInstanceUID, data.StudyInstanceUID, data.FrameOfReferenceUID = uid, study, frame
        data.PatientName, data.PatientID = "Secret^Sally", "SECRET-4711"
        data.PatientBirthDate, data.PatientSex = "19700101", "F"
        data.ReferringPhysicianName, data.AccessionNumber = "Secret^Doctor", "SECRET-ACC"
        data.InstitutionName, data.StudyID = "Secret Hospital", "SECRETSTUDY"
        data.StudyDate, data.StudyTime = "20200102", "030405"
        data.Modality, data.SeriesNumber, data.InstanceNumber = "CT", number, k + 1
        data.Manufacturer = "made"
        data.ImagePositionPatient = [-20.0, -30.0, 100 + k * step_mm]
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.PixelSpacing, data.SliceThickness = list(spacing_mm), step_mm
        data.Rows, data.Columns = plane.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 1
        data.RescaleSlope, data.RescaleIntercept = 2, -1000
        data.PixelData = np.ascontiguousarray(plane).tobytes()
        if change is not None:
            change(data, k)
        # Names that sort in another order than the slices.
        files.append(folder / f"{name}-{(k * 7) % 11:02d}-{k}.dcm")
        data.save_as(files[-1], enforce_file_format=True)
    return files


def enhanced(
    folder: Path,
    voxels: NDArray[np.int16] = VOXELS,
    change: Callable[[pydicom.Dataset], Any] | None = None,
) -> Path:
    """Write the series as one file of frames, as highdicom converts it; the first lies highest."""

    def of_an_image(data: pydicom.Dataset, k: int) -> None:
        data.ImageType, data.Laterality = ["ORIGINAL", "PRIMARY", "AXIAL"], "R"

    files = series(folder / "slices", voxels, change=of_an_image)
    made = LegacyConvertedEnhancedCTImage(
        [pydicom.dcmread(file) for file in files],
        series_instance_uid=generate_uid(), series_number=9, sop_instance_uid=generate_uid(),
        instance_number=1,
    )  # fmt: skip
    if change is not None:
        change(made)
    shutil.rmtree(folder / "slices")
    made.save_as(folder / "frames.dcm")
    return folder / "frames.dcm"
