"""A label map as NIfTI, on the grid of what it is of."""

from __future__ import annotations

import gzip
from typing import BinaryIO

import numpy as np

from kosmoscope.optional import optional
from kosmoscope.stacks.segmented import Segmented


def write_labels(found: Segmented, file: BinaryIO) -> None:
    """Write labels as ``.nii.gz``, packed slice by slice."""
    nib = optional("nibabel", "stacks")
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(found.labels.shape[::-1])
    header.set_sform(found.volume.affine, code="scanner")
    header.set_qform(found.volume.affine, code="scanner", strip_shears=True)
    header.set_xyzt_units("mm")
    header.set_intent("label")
    header["descrip"] = b"kosmoscope; not a medical device"
    header["cal_max"] = len(found.names) - 1
    header["vox_offset"] = 352
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["magic"] = b"n+1"
    # Without a time in its head: the same labels are the same bytes.
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=4, mtime=0) as packed:
        packed.write(header.binaryblock + bytes(4))
        for layer in found.labels:
            packed.write(np.ascontiguousarray(layer).tobytes())
