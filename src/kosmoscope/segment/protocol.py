"""What a segmenter takes and gives: boxes and clicks in, masks with scores out.

Frames of reference
    Boxes are ``(x1, y1, x2, y2)`` in pixels of the upright picture, floats; pixel ``i`` covers
    ``[i, i + 1)``. Clicks are points in the same frame. Masks have the picture's size.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import BoxError, InputError, KosmoscopeWarning
from kosmoscope.geometry import XYXY, check_xyxy, clip

Point = tuple[float, float, bool]
"""``(x_px, y_px, positive)``: a click on the thing, or (False) on what is not it."""

SLACK_PX = 0.5
"""How far a corner may leave the picture; it is then clipped. More is an error."""
_MANY_PX = 128
"""Shorter side of a picture in which nobody means its first pixel."""


@dataclass(frozen=True, slots=True)
class BoxPrompt:
    """One thing or region to cut out; checked when it is made.

    Raises:
        BoxError: not four finite numbers, inverted or empty, or a click that is not two finite
            numbers and a truth value.
    """

    xyxy_px: XYXY
    phrase: str = ""
    """What it is, in words; a hint that a segmenter may use. Empty: not known."""
    points: tuple[Point, ...] = ()
    stuff: bool | None = None
    """True: a region such as sky or road; False: a countable thing; None: the phrase tells."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "xyxy_px", check_xyxy(self.xyxy_px))
        object.__setattr__(self, "points", tuple(_point(p) for p in self.points))

    @classmethod
    def at(
        cls,
        points: Sequence[Point],
        image_wh: tuple[int, int],
        phrase: str = "",
        stuff: bool | None = None,
    ) -> BoxPrompt:
        """Clicks without a box: the box is the whole picture of (width, height) pixels."""
        w, h = image_wh
        return cls((0.0, 0.0, float(w), float(h)), phrase, tuple(points), stuff)

    def within(self, image_wh: tuple[int, int]) -> XYXY:
        """Return the box clipped to a picture of (width, height) pixels.

        A box in the first pixel of a larger picture is warned of: it is meant as fractions.

        Raises:
            BoxError: a corner lies more than `SLACK_PX` outside, or a click lies outside.
        """
        w, h = image_wh
        x1, y1, x2, y2 = self.xyxy_px
        if min(x1, y1) < -SLACK_PX or x2 > w + SLACK_PX or y2 > h + SLACK_PX:
            raise BoxError(f"box {self.xyxy_px} leaves the picture of {w}x{h} pixels")
        clipped = clip(self.xyxy_px, image_wh)
        if clipped is None:
            raise BoxError(f"box {self.xyxy_px} lies outside the picture of {w}x{h} pixels")
        if min(w, h) >= _MANY_PX and max(x2, y2) <= 1 and not self.points:
            warnings.warn(
                f"box {self.xyxy_px} lies in the first pixel of a picture of {w}x{h}; boxes are "
                "in pixels here, and kosmoscope.geometry.norm_to_px makes them of fractions",
                KosmoscopeWarning,
                stacklevel=2,
            )
        for x, y, _ in self.points:
            if not (0 <= x <= w and 0 <= y <= h):
                raise BoxError(f"point ({x:g}, {y:g}) lies outside the picture of {w}x{h} pixels")
        return clipped


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A segmenter's answer to one prompt."""

    mask: NDArray[np.bool_]
    """(H, W) of the upright picture; True where it is the thing. It may be empty."""
    score: float
    """0..1: the segmenter's estimate of the mask's overlap (IoU) with the true one."""


class Segmenter(Protocol):
    """Anything that turns boxes into masks. It may be called any number of times."""

    @property
    def name(self) -> str:
        """A short name for results and tables."""
        ...

    def segment(self, picture: NDArray[np.uint8], prompts: Sequence[BoxPrompt]) -> list[Proposal]:
        """Return one proposal a prompt, in order.

        All prompts belong to the same picture; a segmenter may solve them together. Masks may
        overlap.

        Args:
            picture: (H, W, 3) uint8 RGB, upright.
            prompts: none gives an empty list.

        Raises:
            BoxError: a box or click lies outside the picture.
            InputError: the picture is not an (H, W, 3) array of bytes.
        """
        ...


@runtime_checkable
class EncodingSegmenter(Segmenter, Protocol):
    """A segmenter that looks at a picture first, at length, and then answers quickly."""

    def encode(self, picture: NDArray[np.uint8]) -> Any:
        """Return what the segmenter saw: a value, to be asked as often as one likes."""
        ...

    def ask(self, encoded: Any, prompts: Sequence[BoxPrompt]) -> list[Proposal]:
        """Return what `segment` would of the picture that was encoded."""
        ...


class LookingOnce:
    """A segmenter for one picture, which is looked at once however often it is asked about.

    Args:
        segmenter: does the work.
        picture: (H, W, 3) uint8 RGB, upright.
    """

    def __init__(self, segmenter: Segmenter, picture: NDArray[np.uint8]) -> None:
        self._segmenter = segmenter
        self._picture = picture
        self._encoded: Any = None

    @property
    def name(self) -> str:
        """The segmenter's."""
        return self._segmenter.name

    def segment(self, picture: NDArray[np.uint8], prompts: Sequence[BoxPrompt]) -> list[Proposal]:
        """Return one proposal a prompt; see `Segmenter.segment`. Another picture is passed on."""
        segmenter = self._segmenter
        if picture is not self._picture or not isinstance(segmenter, EncodingSegmenter):
            return segmenter.segment(picture, prompts)
        wh = check_picture(picture)
        for prompt in prompts:
            prompt.within(wh)  # before the encoder's seconds
        if not prompts:
            return []
        if self._encoded is None:
            self._encoded = segmenter.encode(picture)
        return segmenter.ask(self._encoded, prompts)


def check_picture(picture: NDArray[Any]) -> tuple[int, int]:
    """Return (width, height) of an (H, W, 3) uint8 picture.

    Raises:
        InputError: it has another shape or type.
    """
    shape = getattr(picture, "shape", None)
    if shape is None or len(shape) != 3 or shape[2] != 3 or picture.dtype != np.uint8:
        kind = getattr(picture, "dtype", type(picture).__name__)
        raise InputError(f"expected an (H, W, 3) array of bytes; got {kind} of shape {shape}")
    if not (shape[0] and shape[1]):
        raise InputError(f"the picture is empty: {shape[1]}x{shape[0]} pixels")
    return int(shape[1]), int(shape[0])


def _point(point: Sequence[Any]) -> Point:
    try:
        px, py, positive = point
        x, y = float(px), float(py)
    except (TypeError, ValueError, OverflowError) as e:
        shown = " ".join(repr(point).split())[:80]
        raise BoxError(f"a click is x, y and a truth value; got {shown}") from e
    if not isinstance(positive, bool | np.bool_):
        raise BoxError(f"a click is x, y and a truth value; got {point!r}")
    if not (math.isfinite(x) and math.isfinite(y)):
        raise BoxError(f"click ({x}, {y}) has a number that is not finite")
    return (x, y, bool(positive))
