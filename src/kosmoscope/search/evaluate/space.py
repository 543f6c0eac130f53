"""What boxes can tell: how two of them lie to each other, and where one is in the picture.

Boxes are normalised ``(x1, y1, x2, y2)``, y down. Every rule is made of sums and comparisons alone,
so that the corners may be numbers or NumPy arrays of them, and another language says the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TOUCHING_GAP = 0.02
"""Boxes that are so near, in sides of the picture, touch: corners lie on a grid of 1/32."""
NEAR_GAP = 0.1
TOLERANCE = 0.02
"""What is inside may stand out so far."""
EDGE = 0.02
LARGE_AREA = 0.2
SMALL_AREA = 0.04

Corner = Any
"""A number, or an array of them."""
Corners = tuple[Corner, Corner, Corner, Corner]


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
    """Return the share of the picture that a box covers."""
    return (box[2] - box[0]) * (box[3] - box[1])


def _within(a: Corners, b: Corners, gap: float) -> Any:
    return (a[0] - b[2] <= gap) & (b[0] - a[2] <= gap) & (a[1] - b[3] <= gap) & (b[1] - a[3] <= gap)


RELATIONS: dict[str, Callable[[Corners, Corners], Any]] = {
    f.__name__: f
    for f in (left, right, above, below, inside, overlapping, touching, near, larger, smaller)
}
"""By the names that the language gives them."""

PLACES: dict[str, Callable[[Corners], Any]] = {
    "left": lambda b: 3 * (b[0] + b[2]) < 2,
    "right": lambda b: 3 * (b[0] + b[2]) > 4,
    "top": lambda b: 3 * (b[1] + b[3]) < 2,
    "bottom": lambda b: 3 * (b[1] + b[3]) > 4,
    "middle": lambda b: (
        (3 * (b[0] + b[2]) >= 2)
        & (3 * (b[0] + b[2]) <= 4)
        & (3 * (b[1] + b[3]) >= 2)
        & (3 * (b[1] + b[3]) <= 4)
    ),
    "background": lambda b: b[1] + b[3] < 1,
    "foreground": lambda b: b[3] > 0.75,
    "edge": lambda b: (b[0] <= EDGE) | (b[1] <= EDGE) | (b[2] >= 1 - EDGE) | (b[3] >= 1 - EDGE),
}
"""In which third the middle of a box is; which edge of the picture it reaches."""

SIZES: dict[str, Callable[[Corners], Any]] = {
    "large": lambda b: area(b) >= LARGE_AREA,
    "small": lambda b: area(b) <= SMALL_AREA,
}
"""By the share of the picture."""
