"""Enhanced CT and MR: many slices in one DICOM file, each described by its functional groups.

What is common to all frames is said once, under the shared groups; what is a frame's own under its
number (DICOM PS3.3 C.7.6.16).
"""

from __future__ import annotations

from typing import Any

from kosmoscope.optional import optional

_GROUPS = (
    ("PlanePositionSequence", ("ImagePositionPatient",)),
    ("PlaneOrientationSequence", ("ImageOrientationPatient",)),
    ("PixelMeasuresSequence", ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices")),
    (
        "PixelValueTransformationSequence",
        ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    ),
)
"""Functional groups, and what of them a slice's own header would say."""


def frame_headers(header: Any) -> list[Any] | None:
    """Return a header for each frame, as single slices have it: place, size and scale.

    Args:
        header: of a file.

    Returns:
        None where the file has no functional groups: it is one slice, or does not say where its
        frames lie.
    """
    each = header.get("PerFrameFunctionalGroupsSequence")
    shared = header.get("SharedFunctionalGroupsSequence")
    if not each:
        return None
    pydicom = optional("pydicom", "stacks")
    common = shared[0] if shared else pydicom.Dataset()
    return [_header(pydicom, header, own, common) for own in each]


def _header(pydicom: Any, whole: Any, own: Any, common: Any) -> Any:
    out = pydicom.Dataset()
    if "Modality" in whole:
        out.Modality = whole.Modality
    for group, names in _GROUPS:
        said = own.get(group) or common.get(group)
        for name in names:
            if said and name in said[0]:
                out[name] = said[0][name]
    return out
