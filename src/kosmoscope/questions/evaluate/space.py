"""What boxes can tell: how two of them lie to each other, and where one is in the picture.

Boxes are ``(x1, y1, x2, y2)`` in whole units of 1/10,000 of the picture's sides, y down. Every rule
is made of sums, products and comparisons of whole numbers alone: it is exact, the corners may be
numbers or NumPy arrays of them, and another language says the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from kosmoscope.geometry import XYXY

UNITS = 10_000
TOUCHING_GAP = 200
"""Boxes that are so near touch: corners lie on a grid of 1/32 of the picture."""
NEAR_GAP = 1_000
TOLERANCE = 200
"""What is inside may stand out so far."""
EDGE = 200
LARGE_AREA = UNITS * UNITS // 5
SMALL_AREA = UNITS * UNITS // 25


class Corners(Protocol):
    """Four whole numbers, or arrays of them."""

    def __getitem__(self, corner: int, /) -> Any: ...


def in_units(box: XYXY) -> tuple[int, int, int, int]:
    """Return a normalised box in whole units."""
    x1, y1, x2, y2 = (round(v * UNITS) for v in box)
    return x1, y1, x2, y2


def left(a: Corners, b: Corners) -> Any:
    """The middle of `a` is left of the left edge of `b`."""
    return a[0] + a[2] < 2 * b[0]


def right(a: Corners, b: Corners) -> Any:
    """The middle of `a` is right of the right edge of `b`."""
    return a[0] + a[2] > 2 * b[2]


def above(a: Corners, b: Corners) -> Any:
    """The middle of `a` is above the upper edge of `b`."""
    return a[1] + a[3] < 2 * b[1]


def below(a: Corners, b: Corners) -> Any:
    """The middle of `a` is below the lower edge of `b`."""
    return a[1] + a[3] > 2 * b[3]


def inside(a: Corners, b: Corners) -> Any:
    """`a` lies within `b`, to the tolerance, and is the smaller one."""
    return (
        (a[0] >= b[0] - TOLERANCE)
        & (a[1] >= b[1] - TOLERANCE)
        & (a[2] <= b[2] + TOLERANCE)
        & (a[3] <= b[3] + TOLERANCE)
        & (area(a) < area(b))
    )


def overlapping(a: Corners, b: Corners) -> Any:
    """They share some area."""
    return (a[0] < b[2]) & (b[0] < a[2]) & (a[1] < b[3]) & (b[1] < a[3])


def touching(a: Corners, b: Corners) -> Any:
    """They overlap, or nearly."""
    return _within(a, b, TOUCHING_GAP)


def near(a: Corners, b: Corners) -> Any:
    """The gap between them is small, or there is none."""
    return _within(a, b, NEAR_GAP)


def larger(a: Corners, b: Corners) -> Any:
    """`a` has the larger area."""
    return area(a) > area(b)


def smaller(a: Corners, b: Corners) -> Any:
    """`a` has the smaller area."""
    return area(a) < area(b)


def area(box: Corners) -> Any:
    """Return what a box covers, in squares of a unit."""
    return (box[2] - box[0]) * (box[3] - box[1])


def _within(a: Corners, b: Corners, gap: int) -> Any:
    return (a[0] - b[2] <= gap) & (b[0] - a[2] <= gap) & (a[1] - b[3] <= gap) & (b[1] - a[3] <= gap)


RELATIONS: dict[str, Callable[[Corners, Corners], Any]] = {
    f.__name__: f
    for f in (left, right, above, below, inside, overlapping, touching, near, larger, smaller)
}
"""By the names that the language gives them."""

PLACES: dict[str, Callable[[Corners], Any]] = {
    "left": lambda b: 3 * (b[0] + b[2]) < 2 * UNITS,
    "right": lambda b: 3 * (b[0] + b[2]) > 4 * UNITS,
    "top": lambda b: 3 * (b[1] + b[3]) < 2 * UNITS,
    "bottom": lambda b: 3 * (b[1] + b[3]) > 4 * UNITS,
    "middle": lambda b: (
        (3 * (b[0] + b[2]) >= 2 * UNITS)
        & (3 * (b[0] + b[2]) <= 4 * UNITS)
        & (3 * (b[1] + b[3]) >= 2 * UNITS)
        & (3 * (b[1] + b[3]) <= 4 * UNITS)
    ),
    "background": lambda b: b[1] + b[3] < UNITS,
    "foreground": lambda b: 4 * b[3] > 3 * UNITS,
    "edge": lambda b: (
        (b[0] <= EDGE) | (b[1] <= EDGE) | (b[2] >= UNITS - EDGE) | (b[3] >= UNITS - EDGE)
    ),
}
"""In which third the middle of a box is; which edge of the picture it reaches."""

SIZES: dict[str, Callable[[Corners], Any]] = {
    "large": lambda b: area(b) >= LARGE_AREA,
    "small": lambda b: area(b) <= SMALL_AREA,
}
"""By the share of the picture."""
