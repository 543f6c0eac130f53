"""DICOM series, by pydicom: told apart, sorted by position, rescaled. A slice is a file or a frame.

Of the header only what places and rescales the voxels is read into the volume: names and other
data of persons go no further than this file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import StackError
from kosmoscope.files.text import one_line, reason, shown_name
from kosmoscope.optional import optional
from kosmoscope.stacks.reading.frames import frame_headers
from kosmoscope.stacks.reading.geometry import Plane, arrange
from kosmoscope.stacks.reading.request import Request, StackFormat, room
from kosmoscope.stacks.volume import Volume

_SHOWN = 6


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    path: Path
    header: Any
    frame: int | None = None
    """Of a file of several, from 0."""

    @property
    def name(self) -> str:
        """For messages."""
        return self.path.name if self.frame is None else f"{self.path.name}, frame {self.frame + 1}"


def is_dicom(path: Path) -> bool:
    """Return whether a file has DICOM's mark."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def has_dicom(folder: Path) -> bool:
    """Return whether a folder, or one in it, has a DICOM file."""
    return any(is_dicom(path) for path in _files(folder))


def read(request: Request) -> Volume:
    """Return a series of slices; one slice is decoded at a time.

    Args:
        request: a folder; or one file, of a single slice or of all as frames (enhanced CT, MR).

    Raises:
        StackError: there are several series of which none was chosen, in colour, of mixed sizes,
            compressed without a decoder at hand, without a place in the patient for each slice
            or frame, or what `arrange` refuses.
    """
    request.without_spacing()
    with _hushed():
        return _volume(request, _series(request))


def _volume(request: Request, files: list[_Slice]) -> Volume:
    for one in files:
        _check(request, one, files[0])
    slices = [one for file in files for one in _frames(request, file)]
    planes = [_plane(request, one) for one in slices]
    volumes, affine = arrange(planes, request.refuse)
    what = "volumes at the same places (time points or echoes)"
    chosen = [slices[n] for n in volumes[request.chosen(len(volumes), what)]]
    scales = {_scale(one.header) for one in chosen}
    shape = (len(chosen), int(files[0].header.Rows), int(files[0].header.Columns))
    stored: NDArray[Any] | None = None
    for k, (one, plane) in enumerate(zip(chosen, _pixels(chosen), strict=True)):
        if plane.shape != shape[1:]:
            raise request.refuse(f"{one.name}: its pixels do not have the size that it says")
        if len(scales) > 1:
            slope, intercept = _scale(one.header)
            plane = plane.astype(np.float32) * np.float32(slope) + np.float32(intercept)
        if stored is None:
            stored = room(shape, plane.dtype)
        if plane.dtype != stored.dtype:
            raise request.refuse(f"{one.name}: {plane.dtype}; the others are {stored.dtype}")
        stored[k] = plane
    assert stored is not None
    slope, intercept = scales.pop() if len(scales) == 1 else (1.0, 0.0)
    return Volume(
        stored, affine, slope, intercept, "HU" if _is_hu(chosen[0].header) else "",
        request.shown, tuple(one.path for one in chosen),
        frames=() if chosen[0].frame is None else tuple(one.frame or 0 for one in chosen),
    )  # fmt: skip


def _files(path: Path) -> Iterable[Path]:
    return (f for f in sorted(path.rglob("*")) if f.is_file()) if path.is_dir() else (path,)


def _series(request: Request) -> list[_Slice]:
    """Return the slices of the one series that is meant."""
    pydicom = optional("pydicom", "stacks")
    found: dict[str, list[_Slice]] = {}
    for path in _files(request.path):
        if request.path.is_dir() and not is_dicom(path):
            continue
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True)
        except (pydicom.errors.InvalidDicomError, OSError, EOFError, ValueError) as e:
            raise StackError(shown_name(path), f"cannot be read: {reason(e)}") from e
        if "Rows" in header:  # not a directory, a report, a plan
            found.setdefault(str(header.get("SeriesInstanceUID", "")), []).append(
                _Slice(path, header)
            )
    if not found:
        raise request.refuse("no DICOM slices")
    by_name = {_named(uid, slices): uid for uid, slices in found.items()}
    if request.series is None:
        if len(found) > 1:
            shown = "; ".join(sorted(by_name)[:_SHOWN]) + ("; ..." if len(found) > _SHOWN else "")
            raise request.refuse(f"{len(found)} series: choose one with series (--series): {shown}")
        return next(iter(found.values()))
    wanted = request.series.strip()
    matching = [
        uid for uid, slices in found.items()
        if wanted and (uid.endswith(wanted) or str(slices[0].header.get("SeriesNumber")) == wanted)
    ]  # fmt: skip
    exact = [uid for uid in matching if str(found[uid][0].header.get("SeriesNumber")) == wanted]
    matching = exact or matching
    if len(matching) != 1:
        shown = "; ".join(sorted(by_name)[:_SHOWN])
        count = "no" if not matching else str(len(matching))
        raise request.refuse(f"{count} series {one_line(wanted)}; there are: {shown}")
    return found[matching[0]]


def _named(uid: str, slices: list[_Slice]) -> str:
    header = slices[0].header
    number = header.get("SeriesNumber")
    count = sum(int(one.header.get("NumberOfFrames") or 1) for one in slices)
    return (
        f"{'without number' if number is None else number} "
        f"({header.get('Modality', '?')}, {count} slices, UID ...{uid[-8:]})"
    )


def _check(request: Request, one: _Slice, first: _Slice) -> None:
    header, name = one.header, one.name
    if int(header.get("SamplesPerPixel", 1)) != 1 or "PALETTE" in str(
        header.get("PhotometricInterpretation", "")
    ):
        raise request.refuse(f"{name}: a colour picture; expected grey values")
    if "ModalityLUTSequence" in header:
        raise request.refuse(f"{name}: values by a table (Modality LUT)")
    size = int(header.Rows), int(header.Columns)
    if size != (int(first.header.Rows), int(first.header.Columns)):
        raise request.refuse(
            f"mixed sizes: {name} has {size[1]}x{size[0]} pixels, {first.path.name} "
            f"{first.header.Columns}x{first.header.Rows}"
        )
    _check_decoder(request, one)


def _frames(request: Request, file: _Slice) -> list[_Slice]:
    """Return a file's slices: itself, or its frames."""
    count = int(file.header.get("NumberOfFrames") or 1)
    headers = frame_headers(file.header)
    if headers is None:
        if count > 1:
            raise request.refuse(
                f"{file.name}: {count} frames in a file, and nothing says where each lies in the "
                "patient (functional groups)"
            )
        return [file]
    if len(headers) != count:
        raise request.refuse(f"{file.name}: {count} frames, of which {len(headers)} are described")
    return [_Slice(file.path, header, n) for n, header in enumerate(headers)]


def _check_decoder(request: Request, one: _Slice) -> None:
    syntax = one.header.file_meta.get("TransferSyntaxUID")
    if syntax is None or not syntax.is_compressed:
        return
    pixels = optional("pydicom.pixels", "stacks")
    try:
        able = pixels.get_decoder(syntax).is_available
    except NotImplementedError:
        able = False
    if not able:
        raise request.refuse(
            f"{one.path.name}: compressed as {syntax.name}, without a decoder for it at hand; "
            "pylibjpeg with pylibjpeg-libjpeg and pylibjpeg-openjpeg brings those of JPEG"
        )


def _plane(request: Request, one: _Slice) -> Plane:
    header = one.header
    try:
        position = tuple(float(v) for v in header.ImagePositionPatient)
        turn = [float(v) for v in header.ImageOrientationPatient]
        spacing = [float(v) for v in header.PixelSpacing]
        thickness = header.get("SpacingBetweenSlices") or header.get("SliceThickness")
        x, y, z = position
        row, column = turn[:3], turn[3:]
        plane = Plane(
            (x, y, z),
            (row[0], row[1], row[2]),
            (column[0], column[1], column[2]),
            (spacing[0], spacing[1]),
            None if thickness is None else abs(float(thickness)),
            one.name,
        )
    except (AttributeError, TypeError, ValueError, IndexError) as e:
        raise request.refuse(
            f"{one.name}: does not say where it lies in the patient (position, orientation, "
            "spacing)"
        ) from e
    if min(plane.spacing) <= 0 or not np.isfinite([*position, *turn, *spacing]).all():
        raise request.refuse(f"{one.name}: its position or spacing is no number of mm")
    return plane


def _scale(header: Any) -> tuple[float, float]:
    slope = header.get("RescaleSlope")
    intercept = header.get("RescaleIntercept")
    return (
        1.0 if slope is None else float(slope),
        0.0 if intercept is None else float(intercept),
    )


def _is_hu(header: Any) -> bool:
    return (
        header.get("Modality") == "CT"
        and "RescaleSlope" in header
        and str(header.get("RescaleType") or "HU") == "HU"
    )


def _pixels(slices: Sequence[_Slice]) -> Iterator[NDArray[Any]]:
    """Yield the values of slices as they are stored, those of one file in one pass."""
    pixels = optional("pydicom.pixels", "stacks")
    for path, group in groupby(slices, key=lambda one: one.path):
        frames = [one.frame or 0 for one in group]
        try:
            yield from pixels.iter_pixels(path, indices=frames)
        except (AttributeError, ValueError, TypeError, RuntimeError, OSError, EOFError) as e:
            raise StackError(shown_name(path), f"its pixels cannot be read: {reason(e)}") from e


@contextmanager
def _hushed() -> Iterator[None]:
    """pydicom warns of what headers of real scanners have at every turn."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
        yield


DICOM = StackFormat("DICOM", (".dcm", ".dicom", ".ima"), read)
