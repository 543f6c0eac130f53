"""Labels as a DICOM Segmentation that refers to the slices, by highdicom.

Of the slices' headers only what places them goes in: UIDs, frame of reference, geometry.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from kosmoscope._version import __version__
from kosmoscope.errors import InputError
from kosmoscope.files.text import one_line
from kosmoscope.optional import optional
from kosmoscope.stacks.out.dicom_source import EMPTY, NAME_CHARACTERS, UTF_8, hushed, source_headers
from kosmoscope.stacks.segmented import Segmented

_KEPT = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID",
    "FrameOfReferenceUID", "Modality", "SeriesNumber", "InstanceNumber", "Rows", "Columns",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "SpacingBetweenSlices", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "ImageType",
    "PatientPosition",
)  # fmt: skip
_GROUPS = ("FrameContentSequence", "PlanePositionSequence", "PlaneOrientationSequence",
           "PixelMeasuresSequence")  # fmt: skip
"""Of a frame."""
_CONTENT = ("StackID", "InStackPositionNumber", "DimensionIndexValues")


def write_dicom_seg(found: Segmented, file: BinaryIO) -> None:
    """Write a binary segmentation, one segment a label.

    Raises:
        InputError: there is no label, or what `source_headers` refuses.
    """
    present = [n for n, count in enumerate(found.voxels()) if n and count]
    if not present:
        raise InputError("no label has a voxel; a DICOM SEG cannot be empty")
    headers = source_headers(found)
    highdicom = optional("highdicom", "stacks")
    pydicom = optional("pydicom", "stacks")
    seg = optional("highdicom.seg", "stacks")
    codes = optional("pydicom.sr.codedict", "stacks").codes
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=f"kosmoscope {found.segmenter}",
        version=__version__,
        family=codes.cid7162.ArtificialIntelligence,
    )
    segments = [
        seg.SegmentDescription(
            segment_number=number,
            segment_label=one_line(found.names[label])[:NAME_CHARACTERS],
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Tissue,
            algorithm_type=seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
            algorithm_identification=algorithm,
        )
        for number, label in enumerate(present, 1)
    ]
    # Numbers of segments count from 1 without a gap.
    numbers = found.labels * 0
    for number, label in enumerate(present, 1):
        numbers[found.labels == label] = number
    with hushed():
        slices = [_placed(pydicom, header) for header in headers]
        made = seg.Segmentation(
            source_images=slices,
            pixel_array=numbers,
            segmentation_type=seg.SegmentationTypeValues.BINARY,
            segment_descriptions=segments,
            series_instance_uid=highdicom.UID(),
            series_number=1000 + int(slices[0].get("SeriesNumber") or 0),
            sop_instance_uid=highdicom.UID(),
            instance_number=1,
            manufacturer="kosmoscope",
            manufacturer_model_name="kosmoscope stack",
            software_versions=__version__,
            device_serial_number="none",
            plane_positions=_positions(found) if "NumberOfFrames" in slices[0] else None,
            content_description="Not a medical device",
            content_label="LABELS",
        )
        made.SpecificCharacterSet = UTF_8
        made.save_as(file)


def _placed(pydicom: Any, whole: Any) -> Any:
    """Return a file's header with what places it, and nothing of persons."""
    kept = pydicom.Dataset()
    kept.file_meta = whole.file_meta
    for name in _KEPT:
        if name in whole:
            kept[name] = whole[name]
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if name in whole:
            setattr(kept, name, [_of(pydicom, groups) for groups in whole[name].value])
    for name in EMPTY:
        setattr(kept, name, "")
    return kept


def _of(pydicom: Any, groups: Any) -> Any:
    """Return what of a frame's functional groups places it."""
    out = pydicom.Dataset()
    for name in _GROUPS:
        if name in groups:
            out[name] = groups[name]
    if "FrameContentSequence" in out:
        content = pydicom.Dataset()
        for name in _CONTENT:
            if name in groups.FrameContentSequence[0]:
                content[name] = groups.FrameContentSequence[0][name]
        out.FrameContentSequence = [content]
    return out


def _positions(found: Segmented) -> list[Any]:
    """Return where our slices lie: frames of one file may come in any order, or be more."""
    content = optional("highdicom.content", "stacks")
    corners = np.array([(0, 0, k) for k in range(found.volume.shape[0])])
    lps = found.volume.to_patient(corners) * (-1, -1, 1)
    return [content.PlanePositionSequence("PATIENT", tuple(at)) for at in lps.tolist()]
