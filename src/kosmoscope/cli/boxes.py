"""Boxes and points as they are typed: x1,y1,x2,y2 or x,y, in fractions of the picture or in pixels.

Every command with boxes takes both units, and says which it means unless told: `refer` and `ask`
fractions, as the model and its results have them; `segment` pixels, as masks do. Numbers that look
like the other unit are refused with the option that would be right, never guessed at.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated

import typer

from kosmoscope.errors import BoxError, OptionError
from kosmoscope.geometry import XYXY, check_xyxy, check_xyxy_norm, norm_to_px, px_to_norm
from kosmoscope.types import ImageInfo

PixelsOption = Annotated[
    bool,
    typer.Option("--pixels", help="Boxes and points are in pixels of the upright picture."),
]
FractionsOption = Annotated[
    bool,
    typer.Option(
        "--fractions",
        help="Boxes and points are fractions, 0..1 of the picture's width and height.",
    ),
]


@dataclass(frozen=True, slots=True)
class Units:
    """What typed numbers are: pixels or fractions, and whether somebody said so."""

    pixels: bool
    told: bool = True

    @classmethod
    def of(cls, *, pixels: bool, fractions: bool, usually_pixels: bool = False) -> Units:
        """Return the units of a command. Raises `OptionError` for both at once."""
        if pixels and fractions:
            raise OptionError("--pixels goes without --fractions")
        told = pixels or fractions
        return cls(pixels if told else usually_pixels, told)


@dataclass(frozen=True, slots=True)
class TypedBox:
    """A box that is checked as far as that goes without the picture."""

    xyxy: XYXY
    pixels: bool

    def normalised(self, image: ImageInfo) -> XYXY:
        """Return the corners in 0..1. Raises `BoxError` for pixels outside of the picture."""
        if not self.pixels:
            return self.xyxy
        x1, y1, x2, y2 = self.xyxy
        w, h = image.width, image.height
        if x1 < 0 or y1 < 0 or x2 > w or y2 > h:
            raise BoxError(f"box {x1:g},{y1:g},{x2:g},{y2:g} leaves the picture of {w}x{h} pixels")
        return check_xyxy_norm(px_to_norm(self.xyxy, (w, h)))

    def in_pixels(self, image: ImageInfo, read: ImageInfo) -> XYXY:
        """Return the corners in pixels.

        Args:
            image: of the picture's own size, in whose pixels boxes are typed.
            read: of the size that its pixels were read at.
        """
        if self.pixels and (image.width, image.height) == (read.width, read.height):
            return self.xyxy
        return norm_to_px(self.normalised(image), (read.width, read.height))


@dataclass(frozen=True, slots=True)
class TypedPoint:
    """A point that is checked as far as that goes without the picture."""

    xy: tuple[float, float]
    pixels: bool

    def in_pixels(self, image: ImageInfo, read: ImageInfo) -> tuple[float, float]:
        """Return the point in pixels; arguments are those of `TypedBox.in_pixels`."""
        w, h = (image.width, image.height) if self.pixels else (1, 1)
        x, y = self.xy
        if self.pixels and (w, h) == (read.width, read.height):
            return self.xy
        return x / w * read.width, y / h * read.height


def typed_box(text: str, units: Units) -> TypedBox:
    """Read a box.

    Raises:
        BoxError: not four finite numbers, inverted, empty, outside of 0..1 where they are
            fractions, or of the other unit by their looks.
    """
    values = _numbers(text, 4, "box")
    if units.pixels:
        _check_pixels(values, text, "box", units)
        return TypedBox(check_xyxy(values, shown=repr(text)), pixels=True)
    try:
        return TypedBox(check_xyxy_norm(values), pixels=False)
    except BoxError as e:
        if all(map(math.isfinite, values)) and max(values) > 1 and not units.told:
            raise BoxError(f"{e}; for pixels add --pixels") from e
        raise


def typed_point(text: str, units: Units) -> TypedPoint:
    """Read a point. Raises as `typed_box`."""
    x, y = values = _numbers(text, 2, "point")
    if not all(map(math.isfinite, values)):
        raise BoxError(f"point {text!r} has a number that is not finite")
    if units.pixels:
        _check_pixels(values, text, "point", units)
    elif not all(0 <= v <= 1 for v in values):
        hint = "; for pixels add --pixels" if max(values) > 1 and not units.told else ""
        raise BoxError(f"point {text!r} leaves the picture: fractions lie in 0..1{hint}")
    return TypedPoint((x, y), units.pixels)


def _check_pixels(values: list[float], text: str, what: str, units: Units) -> None:
    # A point at 0,0 is a corner in either unit.
    if not units.told and all(0 <= v <= 1 for v in values) and any(values):
        raise BoxError(
            f"{what} {text!r}: these look like fractions of the picture: add --fractions, or "
            "--pixels if they are pixels"
        )


def _numbers(text: str, count: int, what: str) -> list[float]:
    parts = re.split(r"\s*,\s*|\s+", text.strip())
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if len(values) != count:
        names = "four numbers x1,y1,x2,y2" if count == 4 else "two numbers x,y"
        raise BoxError(f"{what} {text!r}: expected {names}")
    return values
