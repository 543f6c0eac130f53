"""Which boxes are kept: by score, and of several prompts each thing once."""

from __future__ import annotations

import pytest

from kosmoscope.choosing import chosen
from kosmoscope.errors import OptionError
from kosmoscope.types import ImageInfo
from test_export_cases import describe

BOX = (0.1, 0.1, 0.5, 0.5)
NEAR = (0.1, 0.1, 0.51, 0.5)
FAR = (0.6, 0.6, 0.9, 0.9)


def scores(*descriptions: object, **options: float) -> list[list[float | None]]:
    found = chosen(descriptions, **options)  # type: ignore[arg-type]
    return [[b.score for e in d.entities for b in e.boxes] for d in found]  # type: ignore[attr-defined]


def test_boxes_below_the_least_score_are_left_out_and_places_kept() -> None:
    sure, unsure = describe(("a dog", [BOX]), score=0.8), describe(("a dog", [BOX]), score=0.2)
    given = describe(("a dog", [BOX]), score=None)
    odd = describe(("a dog", [BOX]), score=float("nan"))
    assert scores(sure, unsure, given, min_score=0.5) == [[0.8], [], [None]]
    (left,) = chosen([unsure], min_score=0.5)
    assert [e.phrase for e in left.entities] == ["a dog"]
    assert next(chosen([sure], min_score=0.8)) is sure
    assert len(scores(odd, min_score=0.5)[0]) == 1


def test_near_boxes_of_several_prompts_are_one_with_the_higher_score() -> None:
    a = describe(("a dog", [BOX]), ("a cat", [FAR]), score=0.5)
    b = describe(("A  Dog", [NEAR]), ("a cat", [BOX]), score=0.9, prompt="other")
    assert scores(a, b, merge_iou=0.9) == [[0.5], [0.9, 0.9]]
    assert scores(b, a, merge_iou=0.9) == [[0.9, 0.9], [0.5]]
    assert scores(a, b) == [[0.5, 0.5], [0.9, 0.9]]
    assert scores(a, b, merge_iou=0.99) == [[0.5, 0.5], [0.9, 0.9]]


def test_near_boxes_of_one_description_or_of_two_pictures_stay() -> None:
    assert scores(describe(("a dog", [BOX, NEAR])), merge_iou=0.9) == [[0.5, 0.5]]
    two = describe(("a dog", [BOX]), path="a.jpg"), describe(("a dog", [BOX]), path="b.jpg")
    assert scores(*two, merge_iou=0.9) == [[0.5], [0.5]]
    nameless = [describe(("a dog", [BOX]), image=ImageInfo("<bytes>", 640, 480)) for _ in "ab"]
    assert scores(*nameless, merge_iou=0.9) == [[0.5], [0.5]]


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", True])
@pytest.mark.parametrize("name", ["min_score", "merge_iou"])
def test_thresholds_are_checked(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name} is .*; expected a number from 0 to 1"):
        chosen([], **{name: value})  # type: ignore[arg-type]
