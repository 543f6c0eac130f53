"""What labels that go back to DICOM take of the slices they are of: UIDs, and nothing of persons.

Fields of persons are there and empty, since the standard wants them; whoever stores an object
knows whose the study is.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kosmoscope.errors import InputError
from kosmoscope.files.text import reason
from kosmoscope.optional import optional
from kosmoscope.stacks.reading.pictures import SUFFIXES
from kosmoscope.stacks.segmented import Segmented

EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator",
)  # fmt: skip
_UIDS = (
    "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPClassUID", "SOPInstanceUID",
)  # fmt: skip
UTF_8 = "ISO_IR 192"
"""What DICOM calls it."""
NAME_CHARACTERS = 64
"""Of a segment's or region's name, DICOM's LO."""


class NoUidError(InputError):
    """The slices are not what DICOM labels could refer to."""


def is_dicom_stack(found: Segmented) -> bool:
    """Return whether the labels are of a DICOM series."""
    files = found.volume.files
    return bool(files) and files[0].suffix.lower() not in SUFFIXES


def source_headers(found: Segmented) -> list[Any]:
    """Return the headers of the files of a stack, each once.

    Raises:
        InputError: the labels are not of a DICOM series, its files are gone, or one has no UID
            that labels must refer to.
    """
    source = found.volume.source
    if not is_dicom_stack(found):
        raise InputError(f"{source}: no DICOM slices that DICOM labels could refer to")
    pydicom = optional("pydicom", "stacks")
    try:
        headers = [
            pydicom.dcmread(path, stop_before_pixels=True)
            for path in dict.fromkeys(found.volume.files)
        ]
    except (OSError, pydicom.errors.InvalidDicomError) as e:
        raise InputError(f"{source}: a slice is gone: {reason(e)}") from e
    for header in headers:
        for name in _UIDS:
            if not header.get(name):
                raise NoUidError(
                    f"{source}: a slice has no {name}, which DICOM labels must refer to"
                )
    return headers


@contextmanager
def hushed() -> Iterator[None]:
    """Both libraries warn of what headers of real scanners have."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(pydicom|highdicom)(\.|$)")
        yield
