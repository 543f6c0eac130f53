"""`supervision.Detections`, held against the real library."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from kosmoscope.errors import OptionError
from kosmoscope.export import Vocabulary, to_supervision
from kosmoscope.export.pictures import merge
from kosmoscope.results import Description
from test_export_cases import MANY, describe

TWO = describe(
    ("a snowman", [(0.25, 0.5, 0.75, 1.0)]),
    ("two  Dogs", [(0.0, 0.0, 0.1, 0.1), (0.5, 0.5, 0.6, 0.6)]),
)


def library(name: str) -> ModuleType:
    """An optional library, without the warnings that it gives when it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


def test_supervision_holds_the_boxes() -> None:
    sv = library("supervision")
    found = to_supervision(TWO)
    assert isinstance(found, sv.Detections)
    assert found.xyxy.tolist() == [
        [160.0, 240.0, 480.0, 480.0],
        [0.0, 0.0, 64.0, 48.0],
        [320.0, 240.0, 384.0, 288.0],
    ]
    assert found.xyxy.dtype == np.float32
    assert found.class_id.tolist() == [0, 1, 1]
    assert found.confidence.tolist() == [0.5, 0.5, 0.5]
    assert found["class_name"].tolist() == ["a snowman", "two dogs", "two dogs"]
    assert found[found.class_id == 1]["phrase"].tolist() == ["two  Dogs", "two  Dogs"]
    assert found.metadata["caption"] == TWO.caption
    both = sv.Detections.merge([found, found]).with_nms(0.5)
    assert len(both) == 3


def test_supervision_without_boxes_or_scores() -> None:
    library("supervision")
    assert len(to_supervision(describe())) == 0
    assert to_supervision(describe(("a", [(0, 0, 1, 1)]), score=None)).confidence is None
    assert to_supervision(TWO, classes=["x", "two dogs", "a snowman"]).class_id[0] == 2
    with pytest.raises(OptionError, match="label 'a snowman' is not one of the 1 classes"):
        to_supervision(TWO, classes=["two dogs"])


def test_supervision_draws_them() -> None:
    sv = library("supervision")
    scene = np.zeros((480, 640, 3), np.uint8)
    drawn = sv.BoxAnnotator().annotate(scene.copy(), to_supervision(TWO))
    assert drawn.any()


@settings(max_examples=30, deadline=None)
@given(MANY)
def test_supervision_takes_anything(found: list[Description]) -> None:
    library("supervision")
    for description in found:
        detections: Any = to_supervision(description, Vocabulary.heads())
        boxes = merge([description], Vocabulary.heads())[0].boxes
        assert len(detections) == len(boxes)
        assert np.isfinite(detections.xyxy).all()
