"""What the location tokens' distribution says beyond the token that was chosen.

Each corner of a box is drawn from a distribution over the whole grid of cells. Two readings of it:

* confidence: the probability within one cell of the chosen one (a 3 x 3 neighbourhood, cut at the
  picture's edges): a model that hesitates between two neighbours is sure of the corner. A box's
  score is the product of its corners' masses.
* refinement: the mean position over that neighbourhood, weighted by probability, which lies
  between cell centres where the model hesitates between neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.geometry import XYXY
from kosmoscope.tokens import cells_to_xyxy


@dataclass(frozen=True, slots=True)
class Corner:
    """One location token: the chosen cell and its neighbourhood in the distribution."""

    cell: int
    mass: float
    """0..1, the probability within one cell of the chosen one."""
    x: float
    """Normalised mean position over the neighbourhood (cell centres)."""
    y: float


def read_corner(probabilities: NDArray[np.floating], cell: int, side: int) -> Corner:
    """Read a corner off the distribution.

    Args:
        probabilities: (side * side,), summing to 1 over the cells that were allowed.
        cell: the chosen one, row-major.
        side: cells along each side of the picture.
    """
    row, column = divmod(cell, side)
    top, left = max(row - 1, 0), max(column - 1, 0)
    window = probabilities.reshape(side, side)[top : row + 2, left : column + 2].astype(np.float64)
    mass = float(window.sum())
    if mass <= 0:
        return Corner(cell, 0.0, (column + 0.5) / side, (row + 0.5) / side)
    rows, columns = np.indices(window.shape)
    x = (float((window * columns).sum()) / mass + left + 0.5) / side
    y = (float((window * rows).sum()) / mass + top + 0.5) / side
    return Corner(cell, min(mass, 1.0), x, y)


def box_score(upper_left: Corner, lower_right: Corner) -> float:
    """Return a box's confidence, 0..1."""
    return upper_left.mass * lower_right.mass


def refined_xyxy(upper_left: Corner, lower_right: Corner, side: int) -> XYXY:
    """Return the box through both corners' mean positions, normalised.

    Where both corners lie in one row or column the decoded box spans whole cells (Kosmos-2's
    rule), and so does the refined one: half a cell is added on each side.
    """
    half = 0.5 / side
    same_row = upper_left.cell // side == lower_right.cell // side
    same_column = upper_left.cell % side == lower_right.cell % side
    margin = half if same_row or same_column else 0.0
    x1, y1 = max(upper_left.x - margin, 0.0), max(upper_left.y - margin, 0.0)
    x2, y2 = min(lower_right.x + margin, 1.0), min(lower_right.y + margin, 1.0)
    # Means of neighbouring cells may pass each other; there the cells themselves have to do.
    plain = cells_to_xyxy(upper_left.cell, lower_right.cell, side)
    if x1 >= x2:
        x1, x2 = plain[0], plain[2]
    if y1 >= y2:
        y1, y2 = plain[1], plain[3]
    return (x1, y1, x2, y2)
