"""Annotated pictures, and the colours that they have, as answers."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from PIL import Image

from kosmoscope.draw import DrawStyle, annotate_svg, picture_address, picture_colours
from kosmoscope.draw.palette import RGB
from kosmoscope.images import read_image
from kosmoscope.results import Description
from kosmoscope.scope import Scope
from kosmoscope.server.pictures import NAME, Shown

Drawn = Literal["png", "jpeg", "svg"]
MEDIA_TYPES: dict[Drawn, str] = {
    "png": "image/png", "jpeg": "image/jpeg", "svg": "image/svg+xml",
}  # fmt: skip


def drawn(description: Description, shown: Shown, format: Drawn, scope: Scope) -> bytes:
    """Return the picture with what was said about it, as a file. Raises `ImageError`."""
    picture = read_image(shown.data, name=NAME, limits=scope.limits)
    if format == "svg":
        href = picture_address(picture.rgb, Path())
        return annotate_svg(description, image_href=href, style=DrawStyle()).encode()
    return encoded(description.draw(picture.rgb), format)


def encoded(image: Image.Image, format: Drawn) -> bytes:
    """Return pixels as a file."""
    out = io.BytesIO()
    image.save(out, format.upper(), **({"quality": 90} if format == "jpeg" else {}))
    return out.getvalue()


def colours(phrases: Iterable[str]) -> dict[str, str]:
    """Return the colour that each phrase of a picture is drawn in, as "#rrggbb"."""
    return {phrase: hexadecimal(rgb) for phrase, rgb in picture_colours(phrases).items()}


def hexadecimal(rgb: RGB) -> str:
    """Return a colour as "#rrggbb"."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)
