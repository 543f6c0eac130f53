"""Figures of the detail pass, on made cases that can be reckoned by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kosmoscope.evaluation.data import Truth
from kosmoscope.evaluation.matching import Guess
from kosmoscope.evaluation.objects import (
    Example,
    fit,
    judged,
    number_of,
    unseen_share,
)
from kosmoscope.evaluation.phrases import Classes
from kosmoscope.evaluation.recall import Judged, Recall, Seen, recall_at

LARGE, LITTLE = (0.0, 0.0, 0.5, 0.5), (0.8, 0.8, 0.9, 0.9)
TRUTHS = (Truth("dog", LARGE), Truth("dog", LITTLE))
AREAS = (0.25, 0.01)


def test_boxes_are_held_against_things_alone() -> None:
    stuff = Truth("sky", (0.0, 0.0, 1.0, 0.2), stuff=True)
    none = frozenset[str]()
    guesses = [
        Guess("a puppy", none, LARGE, 0.9),
        Guess("dogs", none, LARGE, 0.8),  # found already
        Guess("a cat", none, LITTLE, 0.7),  # there, but no cat
        Guess("the sky", none, (0.0, 0.0, 1.0, 0.2), 0.6),  # of no class of things
    ]
    seen = judged(guesses, [*TRUTHS, stuff], Classes(["dog", "cat"]))
    assert seen.areas == pytest.approx(AREAS)
    assert seen.largest == 0
    assert [(b.score, b.found) for b in seen.boxes] == [(0.9, 0), (0.8, None), (0.7, None)]


def test_recall_at_a_precision() -> None:
    boxes = (Judged(0.9, 0), Judged(0.8, None), Judged(0.7, 1), Judged(0.1, None))
    found = recall_at(0.6, [Seen(AREAS, boxes)])
    assert found == Recall(things=2, small=1, largest=1, boxes=3, threshold=0.7)
    assert found.precision == pytest.approx(2 / 3)
    strict = recall_at(0.9, [Seen(AREAS, boxes)])
    assert strict == Recall(things=1, small=0, largest=1, boxes=1, threshold=0.9)
    assert recall_at(0.9, [Seen(AREAS, ())]).things == 0
    # Of a picture whose largest thing is small nothing is the largest.
    assert recall_at(0.5, [Seen((0.1, 0.05), (Judged(0.9, 0),))]).largest == 0
    # A threshold takes boxes of one score together or not at all.
    tied = (Judged(0.5, 0), Judged(0.5, None))
    assert recall_at(0.9, [Seen(AREAS, tied)]).boxes == 0


def test_the_fit_finds_what_matters() -> None:
    rng = np.random.default_rng(0)
    examples = []
    for i in range(4000):
        x, noise = float(rng.normal()), float(rng.normal())
        right = rng.random() < 1 / (1 + np.exp(-(2 * x - 1)))
        examples.append(Example(i, {"signal": x, "noise": noise}, bool(right)))
    found = fit(examples, pictures="made")
    assert found.weights["signal"] == pytest.approx(2, abs=0.3)
    assert found.weights["noise"] == pytest.approx(0, abs=0.2)
    assert found.bias == pytest.approx(-1, abs=0.2)
    assert (found.things, found.pictures) == (4000, "made")
    share = sum(e.right for e in examples) / 4000
    mean = sum(found.probability(e.known) for e in examples) / 4000
    assert mean == pytest.approx(share, abs=0.01), "what it says is how often it is right"


def test_what_nobody_sees_is_reckoned_with() -> None:
    assert number_of([1.0, 1.0], 0.0) == 2
    assert number_of([1.0, 1.0], 1.0) == 4
    assert number_of([], 3.0) == 0
    halves = [([1.0], 1), ([1.0, 1.0], 4), ([], 0), ([1.0, 1.0, 1.0], 6)]
    assert unseen_share(halves) > 0.5
    assert unseen_share([([1.0], 1), ([1.0, 1.0], 2), ([], 0)]) == 0
