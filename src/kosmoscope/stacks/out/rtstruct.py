"""Outlines as a DICOM RT Structure Set that refers to the slices (PS3.3 A.19), by pydicom.

A label is a region of interest, and each of its parts on a slice a closed planar contour; holes are
cut in as keyholes. Written without explicit types: theirs have no room for long contours.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kosmoscope._version import __version__
from kosmoscope.draw.palette import picture_colours
from kosmoscope.errors import InputError
from kosmoscope.files.text import one_line
from kosmoscope.optional import optional
from kosmoscope.stacks.measures import NOTICE
from kosmoscope.stacks.out.contours import in_patient, outlines
from kosmoscope.stacks.out.dicom_source import EMPTY, NAME_CHARACTERS, UTF_8, hushed, source_headers
from kosmoscope.stacks.out.keyhole import keyhole
from kosmoscope.stacks.segmented import Segmented

_DECIMALS = 3
_ENCODING = (True, True)
"""Without explicit types, least byte first."""
_SERIES = 2000
"""Its series number comes so far after that of the slices."""


def write_rtstruct(found: Segmented, file: BinaryIO) -> None:
    """Write the structure set, one region a label that has voxels.

    Raises:
        InputError: there is no label, or what `source_headers` refuses.
    """
    present = [n for n, count in enumerate(found.voxels()) if n and count]
    if not present:
        raise InputError("no label has a voxel; an RT Structure Set cannot be empty")
    with hushed():
        made = _structure_set(found, present, source_headers(found))
        made.save_as(file, enforce_file_format=True)


def _structure_set(found: Segmented, present: Sequence[int], headers: Sequence[Any]) -> Any:
    pydicom = optional("pydicom", "stacks")
    uid = optional("pydicom.uid", "stacks")
    frame, now = headers[0].FrameOfReferenceUID, datetime.now()
    out = pydicom.Dataset()
    out.file_meta = pydicom.dataset.FileMetaDataset()
    out.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian
    out.SpecificCharacterSet = UTF_8
    out.SOPClassUID = out.file_meta.MediaStorageSOPClassUID = uid.RTStructureSetStorage
    out.SOPInstanceUID = out.file_meta.MediaStorageSOPInstanceUID = uid.generate_uid()
    for name in (*EMPTY, "OperatorsName"):
        setattr(out, name, "")
    out.StudyInstanceUID = headers[0].StudyInstanceUID
    out.SeriesInstanceUID = uid.generate_uid()
    out.SeriesNumber = _SERIES + int(headers[0].get("SeriesNumber") or 0)
    out.InstanceNumber = 1
    out.Modality, out.Manufacturer = "RTSTRUCT", "kosmoscope"
    out.ManufacturerModelName, out.SoftwareVersions = "kosmoscope stack", __version__
    out.FrameOfReferenceUID = frame
    out.StructureSetLabel, out.StructureSetDescription = "LABELS", NOTICE
    out.StructureSetDate, out.StructureSetTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    out.ApprovalStatus = "UNAPPROVED"
    images = _images(pydicom, found, headers)
    out.ReferencedFrameOfReferenceSequence = [_frame_of_reference(pydicom, headers, images)]
    colours = picture_colours(found.names[1:])
    out.StructureSetROISequence = [
        _of(
            pydicom, ROINumber=label, ReferencedFrameOfReferenceUID=frame,
            ROIName=one_line(found.names[label])[:NAME_CHARACTERS],
            ROIGenerationAlgorithm="SEMIAUTOMATIC",
        )
        for label in present
    ]  # fmt: skip
    out.ROIContourSequence = [
        _of(
            pydicom, ReferencedROINumber=label, ROIDisplayColor=list(colours[found.names[label]]),
            ContourSequence=_contours(pydicom, found, label, images),
        )
        for label in present
    ]  # fmt: skip
    out.RTROIObservationsSequence = [
        _of(
            pydicom, ObservationNumber=label, ReferencedROINumber=label, RTROIInterpretedType="",
            ROIInterpreter="",
        )
        for label in present
    ]  # fmt: skip
    return out


def _of(pydicom: Any, **fields: Any) -> Any:
    out = pydicom.Dataset()
    for name, value in fields.items():
        setattr(out, name, value)
    return out


def _images(pydicom: Any, found: Segmented, headers: Sequence[Any]) -> list[Any]:
    """Return what refers to each slice."""
    volume = found.volume
    by_file = dict(zip(dict.fromkeys(volume.files), headers, strict=True))
    out = []
    for k, path in enumerate(volume.files):
        header = by_file[path]
        one = _of(
            pydicom,
            ReferencedSOPClassUID=header.SOPClassUID,
            ReferencedSOPInstanceUID=header.SOPInstanceUID,
        )
        if volume.frames:
            one.ReferencedFrameNumber = volume.frames[k] + 1
        out.append(one)
    return out


def _frame_of_reference(pydicom: Any, headers: Sequence[Any], images: list[Any]) -> Any:
    first = headers[0]
    series = _of(
        pydicom, SeriesInstanceUID=first.SeriesInstanceUID, ContourImageSequence=images
    )  # fmt: skip
    study = _of(
        pydicom,
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",  # retired, and still what readers expect
        ReferencedSOPInstanceUID=first.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    return _of(
        pydicom, FrameOfReferenceUID=first.FrameOfReferenceUID, RTReferencedStudySequence=[study]
    )


def _contours(pydicom: Any, found: Segmented, label: int, images: list[Any]) -> list[Any]:
    out: list[Any] = []
    for k, parts in outlines(found, label):
        for part in parts:
            lps = in_patient(found.volume, keyhole(part), k) * (-1, -1, 1)
            one = _of(
                pydicom,
                ContourNumber=len(out) + 1,
                ContourImageSequence=[images[k]],
                ContourGeometricType="CLOSED_PLANAR",
                NumberOfContourPoints=len(lps),
            )
            one[_DATA] = _raw(pydicom, lps)
            # It is encoded as it will be: pydicom writes it as it is.
            one.set_original_encoding(*_ENCODING, pydicom.charset.default_encoding)
            out.append(one)
    return out


_DATA = 0x30060050
"""Contour Data."""


def _raw(pydicom: Any, points: NDArray[np.float64]) -> Any:
    """Return points as they lie in the file: as objects, a number each, they would take minutes."""
    text = "\\".join(f"{v:.{_DECIMALS}f}" for v in points.ravel().tolist())
    data = (text + " " * (len(text) % 2)).encode("ascii")
    return pydicom.dataelem.RawDataElement(
        pydicom.tag.Tag(_DATA), "DS", len(data), data, 0, *_ENCODING
    )
