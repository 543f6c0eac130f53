"""What the caller may choose about a drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kosmoscope.errors import OptionError


@dataclass(frozen=True, slots=True)
class DrawStyle:
    """Options of a drawing; checked when it is made.

    Raises:
        OptionError: a number is not finite or out of its range.
    """

    scale: float = 1.0
    """Factor on lines and text together, 0.1 to 10. At 1 both follow the picture's size."""
    labels: bool = True
    """Numbered plates with the phrases. False: boxes only."""
    scores: bool = False
    """Add each box's score to its plate, where it has one."""
    caption: bool = False
    """Append a strip with the caption, its phrases in their boxes' colours. The picture gets
    taller; pictures too narrow for text stay as they are."""
    box_width: float = 1.0
    """Factor on the width of the boxes' lines alone, 0.1 to 10."""
    text_size: float = 1.0
    """Factor on the size of the text alone, 0.1 to 10."""
    plate_opacity: float = 0.74
    """0..1: how much of the picture a plate hides behind its text; the number's own field is
    always opaque."""
    label_share: float = 0.4
    """0..1: the part of the picture's width that a phrase may take before it is cut with an
    ellipsis; 0 leaves only the numbers. Where labels are many it is lowered by itself."""

    def __post_init__(self) -> None:
        for name in ("scale", "box_width", "text_size"):
            _check(name, getattr(self, name), 0.1, 10.0)
        for name in ("plate_opacity", "label_share"):
            _check(name, getattr(self, name), 0.0, 1.0)


def _check(name: str, value: object, low: float, high: float) -> None:
    if not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
        raise OptionError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}")
