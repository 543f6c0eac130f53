"""NRRD and MetaImage files, by SimpleITK."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.optional import optional
from kosmoscope.stacks.reading.raw import raw_voxels
from kosmoscope.stacks.reading.request import Request, StackFormat, room, told
from kosmoscope.stacks.volume import RAS_TO_LPS, Volume, affine_of


def read(request: Request) -> Volume:
    """Return a file's volume; one that is not packed is mapped, not loaded.

    Raises:
        StackError: it is damaged, flat, in colour, or holds several volumes of which none was
            chosen.
    """
    request.without_spacing()
    itk = optional("SimpleITK", "stacks")
    if not request.path.is_file():  # ITK's own words for it take ten lines
        raise request.refuse("no such file")
    with told(request, RuntimeError):
        reader = itk.ImageFileReader()
        reader.SetFileName(str(request.path))
        reader.ReadImageInformation()
        size = [int(n) for n in reader.GetSize()]
        axes = len(size)
        if reader.GetNumberOfComponents() != 1:
            raise request.refuse("several numbers a voxel (colours, vectors); expected one")
        if axes not in (3, 4):
            raise request.refuse(f"{axes} axes; expected three, or four")
        chosen = request.chosen(size[3] if axes == 4 else 1)
        turn = np.array(reader.GetDirection()).reshape(axes, axes)[:3, :3]
        lps = affine_of(reader.GetSpacing()[:3], reader.GetOrigin()[:3], turn)
        kind = itk.GetArrayFromImage(itk.Image([1, 1, 1], reader.GetPixelID())).dtype
        voxels = _mapped(request.path, size, kind, chosen)
        if voxels is None:
            voxels = _loaded(itk, reader, size, kind, chosen)
    return Volume(voxels, RAS_TO_LPS @ lps, source=request.shown)


def _mapped(
    path: Path, size: Sequence[int], kind: np.dtype[Any], chosen: int
) -> NDArray[Any] | None:
    """Return (K, J, I) of the file itself; None where it does not hold the voxels as they are."""
    raw = raw_voxels(path, int(np.prod(size, dtype=np.int64)) * kind.itemsize)
    if raw is None:
        return None
    shape = tuple(size[2::-1])
    one = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    of_file = kind.newbyteorder(raw.order)
    return np.memmap(raw.path, of_file, "r", raw.offset + chosen * one, shape)


def _loaded(
    itk: Any, reader: Any, size: Sequence[int], kind: np.dtype[Any], chosen: int
) -> NDArray[Any]:
    if len(size) == 4:
        reader.SetExtractIndex([0, 0, 0, chosen])
        reader.SetExtractSize([*size[:3], 0])
    image = reader.Execute()
    out = room(tuple(size[2::-1]), kind)
    out[...] = itk.GetArrayViewFromImage(image)
    return out


ITK = StackFormat("NRRD or MetaImage", (".nrrd", ".nhdr", ".mha", ".mhd"), read)
