"""What a detector inside a model saw: rows of the graph, and what they say for a phrase's box."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import checkpoints
import small_models
from kosmoscope.calibration import Calibration
from kosmoscope.engine.detections import Detections
from kosmoscope.evaluation.words import CLASS_NAMES
from kosmoscope.geometry import XYXY
from kosmoscope.scope import load

NAMES = ("person", "dog", "skis")
LEFT: XYXY = (0.1, 0.1, 0.4, 0.9)
RIGHT: XYXY = (0.5, 0.1, 0.9, 0.9)


def rows(*found: tuple[tuple[float, float, float], XYXY]) -> np.ndarray:
    return np.array([[*scores, *box] for scores, box in found], np.float32)


SEEN = Detections.of(
    rows(
        ((0.2, 0.7, 0.0), LEFT),
        ((0.4, 0.1, 0.0), RIGHT),
        ((0.3, 0.0, 0.6), (0.52, 0.1, 0.9, 0.9)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 1.0)),  # a row that was not needed
        ((0.9, 0.0, 0.0), (0.5, 0.5, 0.5, 0.9)),  # of no extent
    ),
    NAMES,
)


def test_candidates_are_rows_with_a_box() -> None:
    assert [(c.name, round(c.score, 3)) for c in SEEN.candidates(0.0)] == [
        ("dog", 0.7), ("person", 0.4), ("skis", 0.6),
    ]  # fmt: skip
    assert [c.name for c in SEEN.candidates(0.5)] == ["dog", "skis"]
    (first, *_) = SEEN.candidates(0.0)
    assert first.xyxy == pytest.approx(LEFT)


@pytest.mark.parametrize(
    ("phrase", "xyxy", "score"),
    [
        ("a dog", LEFT, 0.7),
        ("two dogs", (0.12, 0.1, 0.42, 0.9), 0.7),
        ("a man", RIGHT, 0.4),  # of its class, not the row's best
        ("skis", RIGHT, 0.6),  # of two that overlap it, the one that is one
        ("a dog", RIGHT, 0.1),
        ("a dog", (0.0, 0.0, 0.1, 0.1), None),  # it knows dogs, and sees none there
    ],
)
def test_a_box_is_paired_with_its_classs_candidate(
    phrase: str, xyxy: XYXY, score: float | None
) -> None:
    pairs = SEEN.paired(phrase, [xyxy])
    assert pairs is not None
    assert [None if p is None else round(p.score, 3) for p in pairs] == [score]


def test_a_candidate_is_for_one_box_and_the_nearest_one_for_each() -> None:
    pairs = SEEN.paired("three people", [RIGHT, LEFT, (0.51, 0.1, 0.9, 0.9), RIGHT])
    assert pairs is not None
    assert [None if p is None else round(p.score, 3) for p in pairs] == [0.4, 0.2, 0.3, None]
    assert [p.xyxy for p in pairs[:2] if p] == [pytest.approx(RIGHT), pytest.approx(LEFT)]
    assert {p.name for p in pairs if p} == {"person"}


@pytest.mark.parametrize("phrase", ["a dandelion", ""])
def test_of_what_it_does_not_know_it_has_no_say(phrase: str) -> None:
    assert SEEN.paired(phrase, [LEFT]) is None


def test_support_moves_confidence_where_it_was_fitted() -> None:
    fitted = Calibration(0.0, 0.5, 0.5, support=1.0)
    seen, unsure, unseen = (fitted.confidence(0.6, 0.6, s) for s in (0.9, None, 0.0))
    assert seen is not None
    assert unsure is not None
    assert unseen is not None
    assert seen > unsure > unseen > 0
    before = Calibration(0.0, 0.5, 0.5)
    assert before.confidence(0.6, 0.6, 0.9) == before.confidence(0.6, 0.6) == unsure


def test_a_tower_without_a_detector_has_none() -> None:
    scope = small_models.scope()
    seen = scope.encode(np.zeros((8, 8, 3), np.uint8))
    assert scope.detections(seen) is None
    assert all(b.support is None for e in scope.describe(seen).entities for b in e.boxes)


def test_generated_boxes_take_the_detectors_corners() -> None:
    scope = load("pocket", threads=1)
    seen = scope.encode(checkpoints.picture(3, (160, 120)))
    (plain, *_) = scope.ground(seen, "a dog").entities[0].boxes
    x1, y1, x2, y2 = plain.xyxy
    moved = (x1 + 0.01, y1, x2 + 0.01, y2)
    row = np.zeros((1, 84), np.float32)
    row[0, CLASS_NAMES.index("dog")], row[0, 80:] = 0.9, moved
    state = replace(seen.state, detections=Detections.of(row, CLASS_NAMES))
    seen = replace(seen, state=state)
    (box, *_) = scope.ground(seen, "a dog").entities[0].boxes
    assert (box.xyxy, box.score) == (plain.xyxy, plain.score)  # what the model said stays
    assert box.refined == pytest.approx(moved)
    assert box.support == pytest.approx(0.9)
    (none, *_) = scope.ground(seen, "a cat").entities[0].boxes
    assert none.support == 0
    (given,) = scope.refer(seen, plain.xyxy).entities[0].boxes
    assert (given.support, given.refined) == (None, None)
