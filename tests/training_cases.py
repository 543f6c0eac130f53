"""Made pictures for the tests of pocket's recipe: what the networks said, what is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from kosmoscope.evaluation.words import CLASS_NAMES
from recipes.pocket.features import TOWER
from recipes.pocket.knowledge import Found, Knowledge, Named
from recipes.pocket.regions import REGIONS

DOG, BENCH = CLASS_NAMES.index("dog"), CLASS_NAMES.index("bench")
BOX = (0.25, 0.25, 0.75, 0.75)
UNNAMED = Named("guitar", 0.0, BOX)
NO_REGIONS = (np.zeros((len(REGIONS), 2), np.float32), np.zeros((len(REGIONS), 4), np.float32))


def scene() -> Knowledge:
    stuff = {"mountain": Found((0.1, 0.1, 1, 0.5), 0.6), "sky": Found((0, 0, 1, 0.3), 0.6)}
    return Knowledge(stuff=stuff, scene="mountain")


def pair() -> Knowledge:
    dogs = [Found((0.5, 0.5, 1, 1), 0.9), Found((0, 0.5, 0.25, 1), 0.9)]
    things = {"dog": dogs, "bench": [Found((0, 0, 1, 0.5), 0.8)]}
    return Knowledge(things=things, stuff={"grass": Found((0, 0.5, 1, 1), 0.6)},
                     seen=frozenset({"dog", "bench", "cat"}))  # fmt: skip


def rows(*found: tuple[int, float, tuple[float, ...]]) -> Any:
    table = np.zeros((TOWER.detections, 85), np.float32)
    for row, (kind, score, box) in zip(table, found, strict=False):
        row[kind], row[80], row[81:85] = score, 1, box
    return table
