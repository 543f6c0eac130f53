"""What results do not have and the pictures do: colours, when and where they were taken, a hash."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.images import Limits, read_image
from kosmoscope.images.hashing import picture_hash
from kosmoscope.images.quiet import quiet
from kosmoscope.images.reader import PILLOW_RAISES
from kosmoscope.images.sources import contents
from kosmoscope.masks import LabelMap
from kosmoscope.questions.colours import colour_map
from kosmoscope.questions.shapes import Shapes, shapes_of

SIDE = 192
"""Colours are counted on a picture whose longer side is about this."""
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_TAKEN, _CHANGED = 0x9003, 0x0132


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What a look at a picture's file found."""

    colours: NDArray[np.uint8]
    """As of `colour_map`."""
    taken: str | None = None
    """The day, an ISO date, as the camera's clock had it."""
    place: tuple[float, float] | None = None
    """Latitude and longitude in degrees, north and east positive."""
    hash: int = 0
    """As of `picture_hash`."""
    shapes: tuple[Shapes, ...] = ()
    """The masks of its things, of `colours`' size, where it was segmented."""


def look(path: str, segmentations: Iterable[LabelMap] = ()) -> Looked:
    """Read a picture's file.

    Args:
        path: of the file.
        segmentations: of the picture, of any descriptions.

    Raises:
        ImageError: it cannot be read.
    """
    limits = Limits()
    name, data = contents(path, None, limits)
    picture = read_image(data, name=name, limits=limits, at_least_wh=(SIDE, SIDE))
    factor = max(max(picture.rgb.shape[:2]) // SIDE, 1)
    rgb = np.asarray(Image.fromarray(picture.rgb).reduce(factor)) if factor > 1 else picture.rgb
    colours = colour_map(rgb)
    shapes = tuple(shapes_of(one, (rgb.shape[0], rgb.shape[1])) for one in segmentations)
    return Looked(colours, *_taken_at(data), picture_hash(picture.rgb), shapes)


def _taken_at(data: bytes) -> tuple[str | None, tuple[float, float] | None]:
    """Return what the EXIF block says; what is damaged says nothing."""
    try:
        with quiet(), Image.open(io.BytesIO(data)) as image:
            exif = image.getexif()
            details: Mapping[int, Any] = exif.get_ifd(_EXIF_IFD) if _EXIF_IFD in exif else {}
            gps: Mapping[int, Any] = exif.get_ifd(_GPS_IFD) if _GPS_IFD in exif else {}
            return day_of(details.get(_TAKEN) or exif.get(_CHANGED)), place_of(gps)
    except (*PILLOW_RAISES, Image.DecompressionBombError, MemoryError):
        return None, None


def day_of(value: object) -> str | None:
    """Return the ISO date of EXIF's "2024:06:15 12:30:00"; None where it is none."""
    try:
        return datetime.datetime.strptime(str(value)[:10], "%Y:%m:%d").date().isoformat()
    except ValueError:
        return None


def place_of(gps: Mapping[int, Any]) -> tuple[float, float] | None:
    """Return latitude and longitude of EXIF's GPS block; None where it has none, or no place."""
    try:
        found = []
        for direction, angle, negative in ((1, 2, "S"), (3, 4, "W")):
            degrees, minutes, seconds = (float(part) for part in gps[angle])
            value = degrees + minutes / 60 + seconds / 3600
            found.append(-value if str(gps[direction]).startswith(negative) else value)
    except (LookupError, TypeError, ValueError, ArithmeticError):
        return None
    latitude, longitude = found
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return None
    return round(latitude, 6), round(longitude, 6)
