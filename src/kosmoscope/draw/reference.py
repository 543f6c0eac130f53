"""How a drawing in vectors refers to its picture: by an address, or with the picture inside."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

from PIL import Image

from kosmoscope.errors import ImageNotFoundError
from kosmoscope.files.addresses import is_url, relative_address
from kosmoscope.files.text import shown_name
from kosmoscope.images import ImageSource, read_image


def picture_address(source: ImageSource, folder: Path) -> str:
    """Return what `annotate_svg` takes as the address of a picture, for a file in a folder.

    A picture's file is referred to, relative to the folder; a URL stays as it is. Bytes, arrays
    and Pillow images are put into the drawing as a PNG, upright and without loss.

    Raises:
        ImageError: there is no such file, or the pixels are none.
    """
    if not isinstance(source, str | os.PathLike):
        encoded = io.BytesIO()
        Image.fromarray(read_image(source).rgb).save(encoded, "PNG")
        return "data:image/png;base64," + base64.b64encode(encoded.getvalue()).decode("ascii")
    path = os.fspath(source)
    if is_url(path):
        return path
    try:
        there = Path(path).is_file()
    except ValueError:  # a NUL character
        there = False
    if not there:
        raise ImageNotFoundError(shown_name(path), "no such file for a drawing to refer to")
    return relative_address(path, folder)
