"""Geometry of questions: every pair of boxes on a small grid, against rules said in another way."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np

from kosmoscope.questions.evaluate.space import PLACES, RELATIONS, SIZES, UNITS
from kosmoscope.questions.language.lexicon import RELATIONS as WORDS
from kosmoscope.questions.language.lexicon import SIDES

STEPS = 4
SPANS = list(combinations(range(STEPS + 1), 2))
GRID = [(x[0], y[0], x[1], y[1]) for x, y in product(SPANS, SPANS)]
BOXES = np.array(GRID) * UNITS // STEPS


def cells(box: tuple[int, int, int, int]) -> set[tuple[int, int]]:
    return set(product(range(box[0], box[2]), range(box[1], box[3])))


def pairs(name: str) -> np.ndarray:
    """(N, N): which boxes (rows) stand so to which (columns), by the rules under test."""
    a, b = np.repeat(BOXES, len(BOXES), 0), np.tile(BOXES, (len(BOXES), 1))
    found = RELATIONS[name](tuple(a.T), tuple(b.T))
    return np.asarray(found, bool).reshape(len(BOXES), len(BOXES))


def test_every_pair_on_a_grid() -> None:
    """In whole cells: a middle beyond an edge, shared cells, cells within, cells in number."""
    sets = [cells(box) for box in GRID]
    expected = {name: np.zeros((len(GRID), len(GRID)), bool) for name in RELATIONS}
    for i, a in enumerate(GRID):
        for j, b in enumerate(GRID):
            middle_x, middle_y = (a[0] + a[2]) / 2, (a[1] + a[3]) / 2
            shared = bool(sets[i] & sets[j])
            grown = {(x + dx, y + dy) for x, y in sets[i] for dx in (-1, 0, 1) for dy in (-1, 0, 1)}
            expected["left"][i, j] = middle_x < b[0]
            expected["right"][i, j] = middle_x > b[2]
            expected["above"][i, j] = middle_y < b[1]
            expected["below"][i, j] = middle_y > b[3]
            expected["inside"][i, j] = sets[i] < sets[j]
            expected["overlapping"][i, j] = shared
            # The grid is coarser than either gap: what has common edges or corners touches.
            expected["touching"][i, j] = expected["near"][i, j] = bool(grown & sets[j])
            expected["larger"][i, j] = len(sets[i]) > len(sets[j])
            expected["smaller"][i, j] = len(sets[i]) < len(sets[j])
    for name, table in expected.items():
        found = pairs(name)
        assert (found == table).all(), name


def test_opposites() -> None:
    for one, other in (("left", "right"), ("above", "below")):
        a, b = pairs(one), pairs(other)
        assert not (a & b).any()
        assert not (a & a.T).any(), one
    for name in ("overlapping", "touching", "near"):
        assert (pairs(name) == pairs(name).T).all()
    assert (pairs("larger") == pairs("smaller").T).all()
    assert (pairs("overlapping") <= pairs("touching")).all()
    assert (pairs("touching") <= pairs("near")).all()
    assert (pairs("inside") <= pairs("overlapping")).all()


def test_numbers_and_arrays_agree() -> None:
    some = [tuple(map(int, BOXES[i])) for i in range(0, len(BOXES), 7)]
    for name, holds in RELATIONS.items():
        table = pairs(name)[::7, ::7]
        assert [[bool(holds(a, b)) for b in some] for a in some] == table.tolist()


def test_places() -> None:
    for i, box in enumerate(GRID):
        x, y = (box[0] + box[2]) / 2 / STEPS, (box[1] + box[3]) / 2 / STEPS
        at = {name for name, holds in PLACES.items() if holds(tuple(BOXES[i]))}
        assert ("left" in at) == (x < 1 / 3)
        assert ("right" in at) == (x > 2 / 3)
        assert ("top" in at) == (y < 1 / 3)
        assert ("bottom" in at) == (y > 2 / 3)
        assert ("middle" in at) == (not at & {"left", "right", "top", "bottom"})
        assert ("edge" in at) == (0 in box or STEPS in box)
        assert ("foreground" in at) == (box[3] == STEPS)
        assert ("background" in at) == (y < 0.5)
        sizes = {name for name, holds in SIZES.items() if holds(tuple(BOXES[i]))}
        assert sizes == ({"large"} if len(cells(box)) > 3 else set())


def test_the_language_has_words_for_all_of_it() -> None:
    assert set(WORDS.values()) == set(RELATIONS)
    assert set(SIDES.values()) == set(PLACES)
