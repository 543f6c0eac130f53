"""What a detector inside a model saw: rows of the graph, and what they say for a phrase's box."""

from __future__ import annotations

import numpy as np
import pytest

import small_models
from kosmoscope.calibration import Calibration
from kosmoscope.engine.detections import Detections
from kosmoscope.geometry import XYXY

NAMES = ("person", "dog", "skis")
LEFT: XYXY = (0.1, 0.1, 0.4, 0.9)


def rows(*found: tuple[tuple[float, float, float], XYXY]) -> np.ndarray:
    return np.array([[*scores, *box] for scores, box in found], np.float32)


SEEN = Detections.of(
    rows(
        ((0.2, 0.7, 0.0), LEFT),
        ((0.4, 0.1, 0.0), (0.5, 0.1, 0.9, 0.9)),
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
    ("phrase", "xyxy", "support"),
    [
        ("a dog", LEFT, 0.7),
        ("two dogs", (0.12, 0.1, 0.42, 0.9), 0.7),
        ("a man", (0.5, 0.1, 0.9, 0.9), 0.4),  # the best of its class, not of the row
        ("skis", (0.5, 0.1, 0.9, 0.9), 0.6),
        ("a dog", (0.5, 0.1, 0.9, 0.9), 0.1),
        ("a dog", (0.0, 0.0, 0.1, 0.1), 0.0),  # it knows dogs, and sees none there
        ("a dandelion", LEFT, None),  # it has no say
        ("", LEFT, None),
    ],
)
def test_support_is_of_the_phrases_class(phrase: str, xyxy: XYXY, support: float | None) -> None:
    found = SEEN.support(phrase, xyxy)
    assert found == (support if support is None else pytest.approx(support))


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
