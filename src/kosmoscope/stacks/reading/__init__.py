"""Files and folders -> `Volume`: a file for each kind.

request     what is asked for, and what formats have in common
nifti       NIfTI, MGH
dicom       series of slices; frames: many in a file; geometry: whether they make a grid
tiff        pages
itk         NRRD, MetaImage; raw: where their voxels lie
pictures    numbered pictures in a folder
"""

from __future__ import annotations

from pathlib import Path

from kosmoscope.errors import OptionError, StackError
from kosmoscope.stacks.reading.dicom import DICOM, has_dicom, is_dicom
from kosmoscope.stacks.reading.itk import ITK
from kosmoscope.stacks.reading.nifti import NIFTI
from kosmoscope.stacks.reading.pictures import PICTURES
from kosmoscope.stacks.reading.request import Request, StackFormat
from kosmoscope.stacks.reading.tiff import TIFF
from kosmoscope.stacks.volume import Volume

__all__ = ["read_stack"]

FORMATS = (NIFTI, ITK, TIFF, DICOM, PICTURES)


def read_stack(
    path: str | Path,
    *,
    spacing_mm: tuple[float, float, float] | None = None,
    volume: int | None = None,
    series: str | None = None,
) -> Volume:
    """Return the volume of a file or folder.

    Args:
        path: NIfTI, NRRD, MetaImage or TIFF; a DICOM file or folder; a folder of pictures.
        spacing_mm: along i, j and k, for files that do not say it.
        volume: which of several, from 0.
        series: which DICOM series of several: its number, or the end of its UID.

    Raises:
        StackError: it cannot be used; the message says what would be right.
        OptionError: an option is out of its range, or the file has no use for it.
        KosmoscopeError: the library that reads it is not installed.
    """
    request = Request(Path(path), spacing_mm, volume, series)
    format = _format(request)
    if series is not None and format is not DICOM:
        raise OptionError(
            f"{request.shown}: a series is chosen of DICOM slices; this is another kind"
        )
    return format.read(request)


def _format(request: Request) -> StackFormat:
    path = request.path
    if path.is_dir():
        return DICOM if has_dicom(path) else PICTURES
    if not path.is_file():
        raise request.refuse("no such file or folder")
    if is_dicom(path):
        return DICOM
    for format in FORMATS:
        if path.name.lower().endswith(format.suffixes or "\0"):
            return format
    raise StackError(
        request.shown,
        "not a kind of stack that is read; expected NIfTI, NRRD, MetaImage, TIFF, DICOM, or a "
        "folder of slices",
    )
