"""How often boxes are right: the file of a model, what results say, and its fit."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kosmoscope
from kosmoscope import Box, Description
from kosmoscope.calibration import CALIBRATION, Calibration, logit
from kosmoscope.errors import CheckpointError
from recipes.pocket.calibrate import Scores, confidences, fit, read_boxes


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_confidence_is_a_probability_that_grows_with_both_scores(p: float, b: float) -> None:
    found = Calibration(0.3, 0.3, 0.9)
    sure = found.confidence(p, b)
    assert sure is not None
    assert 0 < sure < 1
    assert sure <= (found.confidence(1.0, b) or 0)
    assert sure <= (found.confidence(p, 1.0) or 0)
    assert found.confidence(None, b) is found.confidence(p, None) is None


def test_the_formula() -> None:
    assert Calibration(0, 0, 1).confidence(0.9, 0.25) == pytest.approx(0.25)
    assert Calibration(0, 1, 0).confidence(0.9, 0.25) == pytest.approx(0.9)
    z = 0.3 + 0.2 * math.log(9) + 0.8 * math.log(1 / 3)
    assert Calibration(0.3, 0.2, 0.8).confidence(0.9, 0.25) == pytest.approx(1 / (1 + math.exp(-z)))
    assert logit(0) == pytest.approx(-logit(1))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"bias": 1, "phrase": "x", "box": 1}',
                                  '{"bias": NaN, "phrase": 1, "box": 1}'])  # fmt: skip
def test_damaged_files_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / CALIBRATION).write_text(text)
    with pytest.raises(CheckpointError, match=CALIBRATION):
        Calibration.from_file(tmp_path / CALIBRATION)


def test_what_pocket_says_is_calibrated(photos: Path) -> None:
    scope = kosmoscope.load("pocket", threads=1)
    assert scope.calibration is not None
    found = scope.describe(photos / "china.jpg", "detailed")
    for entity in found.entities:
        for box in entity.boxes:
            sure = scope.calibration.confidence(entity.score, box.score, box.support)
            assert box.confidence == sure
            assert box.shown_score == box.confidence
    assert Description.from_json(found.to_json()) == found
    # A box of a given phrase has no score of words, and none of a given box.
    looked_for = scope.ground(photos / "china.jpg", "a house")
    given = scope.refer(photos / "china.jpg", (0.1, 0.1, 0.5, 0.5), max_new_tokens=4)
    for answer in (looked_for, given):
        assert answer.entities[0].boxes[0].confidence is None


def test_older_results_have_no_confidence() -> None:
    box = Box.of((0, 0, 1, 1), (2, 2), 0.4)
    assert (box.confidence, box.shown_score) == (None, 0.4)


def test_the_fit_finds_what_made_the_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = [Scores(*row) for row in rng.uniform(0.02, 0.98, (4000, 3)).tolist()]
    true = np.array([0.5, 0.4, 1.1, 0.7])
    right = (rng.uniform(size=4000) < confidences(true, scores)).astype(float)
    assert fit(scores, right) == pytest.approx(true, abs=0.15)
    box = {"phrase_score": 0.9, "score": 0.5, "support": None, "thing": True, "found": 0}
    pictures = [
        {"set_name": "a", "file": "1", "judged": True, "boxes": [box, {**box, "thing": False}]},
        {"set_name": "a", "file": "2", "judged": False, "boxes": [box]},
        {"set_name": "a", "file": "3", "judged": True, "boxes": [{**box, "found": None}]},
    ]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pictures))
    found, correct, names = read_boxes([tmp_path / "d.jsonl"])
    assert (found, correct.tolist()) == ([Scores(0.9, 0.5, None)] * 2, [1.0, 0.0])
    assert names == ["a/1", "a/3"]
