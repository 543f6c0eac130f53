"""Boxes as four numbers: what the measures promise, and where boxes are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmoscope.errors import BoxError
from kosmoscope.geometry import (
    WHOLE_NORM,
    XYXY,
    area,
    check_xyxy,
    check_xyxy_norm,
    clip,
    containment,
    intersection,
    iou,
    is_empty,
    norm_to_px,
    px_to_norm,
)

SIDE = 40


@st.composite
def whole_boxes(draw: st.DrawFn) -> XYXY:
    """Corners in whole pixels, within and around a picture of `SIDE` pixels: exact arithmetic."""
    x1, y1 = draw(st.integers(-9, SIDE)), draw(st.integers(-9, SIDE))
    return (x1, y1, draw(st.integers(x1 + 1, SIDE + 9)), draw(st.integers(y1 + 1, SIDE + 9)))


floats = st.floats(-1e6, 1e6)
any_boxes = st.tuples(floats, floats, floats, floats)
sizes = st.tuples(st.integers(1, 20_000), st.integers(1, 20_000))


def pixels(box: XYXY) -> set[tuple[int, int]]:
    x1, y1, x2, y2 = map(int, box)
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


@given(whole_boxes(), whole_boxes())
def test_measures_count_pixels(a: XYXY, b: XYXY) -> None:
    one, other = pixels(a), pixels(b)
    both = intersection(a, b)
    assert area(a) == len(one)
    assert (pixels(both) if both else set()) == one & other
    assert iou(a, b) == len(one & other) / len(one | other)
    assert containment(a, b) == len(one & other) / len(one)
    assert (iou(a, b) == 1) == (a == b)
    assert (containment(a, b) == 1) == (one <= other)


@given(any_boxes, any_boxes)
def test_measures_are_bounded_and_symmetric(a: XYXY, b: XYXY) -> None:
    assert 0 <= iou(a, b) <= 1
    assert iou(a, b) == iou(b, a)
    assert iou(a, b) * (1 - 1e-12) <= containment(a, b) <= 1
    assert intersection(a, b) == intersection(b, a)
    if is_empty(a):
        assert area(a) == iou(a, b) == containment(a, b) == containment(b, a) == 0


@given(any_boxes, sizes)
def test_what_is_clipped_lies_in_the_picture(box: XYXY, image_wh: tuple[int, int]) -> None:
    frame = (0.0, 0.0, float(image_wh[0]), float(image_wh[1]))
    left = clip(box, image_wh)
    if left is None:
        assert containment(box, frame) == 0
        return
    assert frame[0] <= left[0] < left[2] <= frame[2]
    assert frame[1] <= left[1] < left[3] <= frame[3]
    assert clip(left, image_wh) == left
    assert area(left) <= area(box)


def test_normalised_boxes_are_clipped_to_the_unit_square() -> None:
    assert clip((-0.5, 0.25, 0.5, 2)) == (0, 0.25, 0.5, 1)
    assert clip((1, 0, 2, 1)) is None
    assert clip(WHOLE_NORM) == WHOLE_NORM


@given(st.tuples(*[st.floats(0, 1)] * 4), sizes)
def test_frames_convert_there_and_back(box: XYXY, image_wh: tuple[int, int]) -> None:
    there = norm_to_px(box, image_wh)
    assert all(0 <= v <= side for v, side in zip(there, image_wh * 2, strict=True))
    assert px_to_norm(there, image_wh) == pytest.approx(box, rel=1e-15, abs=1e-300)
    assert norm_to_px(WHOLE_NORM, image_wh) == (0, 0, *image_wh)


@given(any_boxes)
def test_a_box_is_taken_as_it_is_or_refused(box: XYXY) -> None:
    if is_empty(box):
        with pytest.raises(BoxError, match="empty or inverted"):
            check_xyxy(box)
    else:
        assert check_xyxy(list(box)) == box


@pytest.mark.parametrize(("box", "problem"), [
    ((0, 0, 1), "a box is four numbers x1, y1, x2, y2; got 3"),
    ("0123", "a box is four numbers x1, y1, x2, y2; got '0123'"),
    (None, "a box is four numbers x1, y1, x2, y2; got None"),
    ((0, 0, math.nan, 1), "box (0.0, 0.0, nan, 1.0) has a number that is not finite"),
    ((5, 0, 4, 1), "box (5.0, 0.0, 4.0, 1.0) is empty or inverted: expected x1 < x2 and y1 < y2"),
])  # fmt: skip
def test_messages_say_what_is_wrong(box: XYXY, problem: str) -> None:
    with pytest.raises(BoxError) as caught:
        check_xyxy(box)
    assert str(caught.value) == problem


@given(st.lists(st.floats(-0.5, 1.5) | st.sampled_from([0.0, 1.0, math.nan, math.inf]),
                min_size=3, max_size=5))  # fmt: skip
def test_boxes_are_checked(values: list[float]) -> None:
    fine = (
        len(values) == 4
        and all(0 <= v <= 1 for v in values)
        and values[0] < values[2]
        and values[1] < values[3]
    )
    for form in (values, tuple(values), np.array(values), iter(values)):
        if fine:
            assert check_xyxy_norm(form) == tuple(values)  # type: ignore[arg-type]
        else:
            with pytest.raises(BoxError):
                check_xyxy_norm(form)  # type: ignore[arg-type]


def test_checked_boxes_are_python_floats() -> None:
    found = check_xyxy_norm(np.array([0, 0.25, 0.5, 1], np.float32))
    assert found == (0, 0.25, 0.5, 1)
    assert {type(v) for v in found} == {float}


def test_messages_name_the_box_as_the_user_wrote_it() -> None:
    with pytest.raises(BoxError, match=r"^box '5,0,4,1' is empty"):
        check_xyxy((5, 0, 4, 1), shown="'5,0,4,1'")
