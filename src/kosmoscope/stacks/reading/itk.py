"""NRRD and MetaImage files, by SimpleITK."""

from __future__ import annotations

import numpy as np

from kosmoscope.optional import optional
from kosmoscope.stacks.reading.request import Request, StackFormat, told
from kosmoscope.stacks.volume import RAS_TO_LPS, Volume, affine_of


def read(request: Request) -> Volume:
    """Return a file's volume.

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
        if axes == 4:
            reader.SetExtractIndex([0, 0, 0, chosen])
            reader.SetExtractSize([*size[:3], 0])
        image = reader.Execute()
        turn = np.array(image.GetDirection()).reshape(3, 3)
        lps = affine_of(image.GetSpacing(), image.GetOrigin(), turn)
        voxels = itk.GetArrayFromImage(image)
    return Volume(voxels, RAS_TO_LPS @ lps, source=request.shown)


ITK = StackFormat("NRRD or MetaImage", (".nrrd", ".nhdr", ".mha", ".mhd"), read)
