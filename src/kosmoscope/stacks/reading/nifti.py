"""NIfTI and MGH files, by nibabel."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.optional import optional
from kosmoscope.stacks.reading.request import Request, StackFormat, room, told
from kosmoscope.stacks.volume import Volume

_PACKED = (".gz", ".mgz", ".bz2", ".zst")
_UNITS = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}


def read(request: Request) -> Volume:
    """Return a file's volume; one that is not packed is mapped, others are read by the slice.

    Raises:
        StackError: it is damaged, holds several volumes of which none was chosen, or colours.
    """
    request.without_spacing()
    nib = optional("nibabel", "stacks")
    broken = (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, zlib.error)
    with told(request, *broken, KeyError, TypeError):
        image: Any = nib.load(request.path)
        shape = tuple(int(n) for n in image.shape)
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) not in (3, 4) or 0 in shape:
            size = "x".join(str(n) for n in shape)
            raise request.refuse(f"{size} voxels; expected three axes, or four")
        chosen = request.chosen(shape[3] if len(shape) == 4 else 1)
        proxy = image.dataobj
        if np.dtype(proxy.dtype).kind not in "biuf":
            raise request.refuse("colours or complex numbers; expected one real number a voxel")
        file = Path(image.file_map["image"].filename)
        if file.suffix.lower() in _PACKED:
            voxels = _unpacked(request, nib.openers.ImageOpener(file), proxy, shape, chosen)
        else:
            stored = np.asanyarray(proxy.get_unscaled()).reshape(*shape[:3], -1, order="F")
            voxels = stored[..., chosen].T
        units = getattr(image.header, "get_xyzt_units", lambda: ("mm", "sec"))()
        affine = np.diag([_UNITS.get(units[0], 1.0)] * 3 + [1.0]) @ image.affine
        return Volume(voxels, affine, float(proxy.slope), float(proxy.inter), source=request.shown)


def _unpacked(
    request: Request, packed: Any, proxy: Any, shape: tuple[int, ...], chosen: int
) -> NDArray[Any]:
    """Return (K, J, I) of one volume of a packed file, read slice by slice."""
    out = room(shape[2::-1], proxy.dtype)
    with packed as file:
        file.seek(proxy.offset + chosen * out.nbytes)
        for layer in out:
            data = file.read(layer.nbytes)
            if len(data) < layer.nbytes:
                raise request.refuse("cannot be read: it ends before its last voxel")
            layer[...] = np.frombuffer(data, proxy.dtype).reshape(layer.shape)
        if proxy.shape[3:] in ((), (chosen + 1,)):
            file.read(1)  # its end, where the sum that proves it lies
    return out


NIFTI = StackFormat("NIfTI", (".nii", ".nii.gz", ".hdr", ".img", ".mgh", ".mgz"), read)
