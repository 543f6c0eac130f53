"""Makes the stacks that the tests read: shapes of known truth, DICOM series sound and broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from benchmarks.stacks_shapes import Made, Shape, ball, ellipsoid, made, rotation, torus

__all__ = ["Made", "Shape", "ball", "dice", "ellipsoid", "made", "rotation", "series", "torus"]

VOXELS = np.arange(6 * 8 * 10, dtype=np.int16).reshape(6, 8, 10)
"""Each with a value of its own."""


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
