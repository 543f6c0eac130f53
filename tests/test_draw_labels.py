"""Where labels go: pure geometry, checked as properties over random boxes, sizes and counts."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kosmoscope.draw import DrawStyle, Placement, place_labels
from kosmoscope.draw.layout import touches, whole_boxes
from kosmoscope.draw.plan import make_plan
from kosmoscope.draw.text import clean
from kosmoscope.results import Description
from kosmoscope.types import Box, Entity, ImageInfo

Rect = tuple[int, int, int, int]
Scene = tuple[tuple[int, int], list[tuple[float, ...]], list[tuple[int, int]]]


@st.composite
def scenes(draw: st.DrawFn, *, most: int = 60) -> Scene:
    """A picture, up to `most` boxes (also thin, full, on edges) and a label size for each."""
    side = st.one_of(st.integers(1, 40), st.integers(40, 4000))
    w, h = draw(side), draw(side)
    n = draw(st.integers(1, most))
    # Corners on a coarse grid half of the time, so that boxes share edges as the model's do.
    grid = st.integers(0, 32).map(lambda i: i / 32)
    corner = st.one_of(grid, st.floats(0, 1))
    part = draw(st.sampled_from((0.02, 0.1, 0.3, 1.2)))
    boxes, sizes = [], []
    for _ in range(n):
        x1, x2 = sorted((draw(corner), draw(corner)))
        y1, y2 = sorted((draw(corner), draw(corner)))
        boxes.append((x1 * w, y1 * h, x2 * w, y2 * h))
        sizes.append(
            (
                draw(st.integers(1, max(1, int(part * w)))),
                draw(st.integers(1, max(1, int(part * h)))),
            )
        )
    return (w, h), boxes, sizes


def overlap(a: Rect, b: Rect) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def certainly_room(sizes: list[tuple[int, int]], wh: tuple[int, int]) -> bool:
    """2 A / W + h_max <= H: then shelves hold all plates (the proof is in `place_labels`)."""
    (w, h), area = wh, sum(a * b for a, b in sizes)
    fit = all(a <= w and b <= h for a, b in sizes)
    return fit and 2 * area + max(b for _, b in sizes) * w <= h * w


def shelves_hold(sizes: list[tuple[int, int]], wh: tuple[int, int]) -> bool:
    """First fit by falling height, written anew: the weaker condition that is also promised."""
    w, h = wh
    shelves: list[int] = []
    used = 0
    for a, b in sorted(sizes, key=lambda s: (-s[1], -s[0])):
        for k, filled in enumerate(shelves):
            if filled + a <= w:
                shelves[k] += a
                break
        else:
            shelves.append(a)
            used += b
    return used <= h


def on_edge(point: tuple[float, float], rect: Rect) -> bool:
    x, y = point
    x1, y1, x2, y2 = rect
    within = x1 <= x <= x2 and y1 <= y <= y2
    return within and (x in (x1, x2) or y in (y1, y2))


def check(wh: tuple[int, int], boxes: list, sizes: list, places: list[Placement]) -> None:
    assert len(places) == len(boxes)
    cut = [(min(a, wh[0]), min(b, wh[1])) for a, b in sizes]
    for place, size, row in zip(places, cut, whole_boxes(boxes, wh), strict=True):
        x1, y1, x2, y2 = place.plate
        assert 0 <= x1 < x2 <= wh[0] and 0 <= y1 < y2 <= wh[1]  # noqa: PT018
        assert (x2 - x1, y2 - y1) == size
        box = tuple(int(v) for v in row)
        if place.leader is None:
            assert touches(place.plate, box)
        else:
            assert not touches(place.plate, box)
            assert on_edge(place.leader[0], place.plate)
            assert on_edge(place.leader[1], box)
    overlaps = [(a, b) for a, b in combinations(places, 2) if overlap(a.plate, b.plate)]
    assert all(a.crowded or b.crowded for a, b in overlaps)
    if certainly_room(cut, wh):
        assert shelves_hold(cut, wh)  # the theorem
    if shelves_hold(cut, wh):
        assert not overlaps
        assert not any(p.crowded for p in places)


@given(scenes(), st.integers(0, 6))
@example(((1, 1), [(0.0, 0.0, 1.0, 1.0)], [(1, 1)]), 0)
@example(((8, 8), [(0.0, 0.0, 8.0, 8.0)] * 60, [(9, 12)] * 60), 1)
@example(((100, 20), [(0.0, 0.0, 100.0, 20.0)] * 10, [(10, 20)] * 10), 3)
@settings(max_examples=60, deadline=None)
def test_labels_hold_what_is_promised(scene: Scene, gap: int) -> None:
    wh, boxes, sizes = scene
    places = place_labels(boxes, sizes, wh, gap=gap)
    check(wh, boxes, sizes, places)
    assert places == place_labels(boxes, sizes, wh, gap=gap)


@given(st.integers(1, 8), st.integers(1, 7), st.integers(3, 40), st.integers(3, 40), st.data())
@settings(max_examples=40, deadline=None)
def test_equal_plates_fill_the_picture_to_the_last(
    columns: int, rows: int, w: int, h: int, data: st.DataObject
) -> None:
    """The tightest case: as many plates as fit at all, whatever the boxes."""
    wh = (columns * w + data.draw(st.integers(0, w - 1)), rows * h)
    corner = st.floats(0, 1)
    boxes = []
    for _ in range(columns * rows):
        x1, x2 = sorted((data.draw(corner), data.draw(corner)))
        y1, y2 = sorted((data.draw(corner), data.draw(corner)))
        boxes.append((x1 * wh[0], y1 * wh[1], x2 * wh[0], y2 * wh[1]))
    places = place_labels(boxes, [(w, h)] * len(boxes), wh)
    check(wh, boxes, [(w, h)] * len(boxes), places)
    assert not any(p.crowded for p in places)


def test_without_room_every_label_is_still_there_and_says_so() -> None:
    boxes = [(0, 0, 30, 30)] * 9
    places = place_labels(boxes, [(20, 20)] * 9, (30, 30))
    check((30, 30), boxes, [(20, 20)] * 9, places)
    assert sum(p.crowded for p in places) == 8


def test_a_lonely_label_sits_on_its_box_flush_left() -> None:
    (place,) = place_labels([(100, 200, 300, 400)], [(80, 20)], (1000, 1000))
    assert place == Placement((100, 180, 180, 200), None, crowded=False)


def test_at_the_upper_edge_the_label_goes_inside_and_not_over_the_middle() -> None:
    (place,) = place_labels([(100, 0, 300, 400)], [(80, 20)], (1000, 1000))
    assert place.plate == (100, 0, 180, 20)
    (place,) = place_labels([(0, 0, 1000, 1000)], [(80, 20)], (1000, 1000))
    assert place.plate == (0, 0, 80, 20)


def test_a_label_at_the_right_edge_is_pushed_back_and_touches() -> None:
    (place,) = place_labels([(980, 500, 1000, 520)], [(200, 30)], (1000, 1000))
    assert place.plate[2] <= 1000
    assert place.leader is None


def test_a_label_spares_the_middle_of_a_neighbour() -> None:
    """Above the lower box is the upper box's middle."""
    boxes = [(100, 100, 200, 140), (100, 125, 200, 400)]
    places = place_labels(boxes, [(90, 20), (90, 20)], (1000, 1000))
    middle = (125, 110, 175, 130)
    assert not any(overlap(p.plate, middle) for p in places)


def test_far_labels_point_at_their_boxes() -> None:
    """Twelve boxes in one spot: not all labels can touch it."""
    boxes = [(500, 500, 504, 504)] * 12
    sizes = [(200, 30)] * 12
    places = place_labels(boxes, sizes, (1000, 1000), gap=4)
    check((1000, 1000), boxes, sizes, places)
    leaders = [p.leader for p in places if p.leader is not None]
    assert leaders
    assert not any(p.crowded for p in places)
    # Not somewhere: near.
    assert max(math.dist(*leader) for leader in leaders) < 150


def test_no_boxes_no_labels() -> None:
    assert place_labels([], [], (10, 10)) == []


@given(scenes(most=30), st.floats(0.1, 10), st.booleans())
@settings(max_examples=40, deadline=None)
def test_plans_keep_the_promise_with_real_text(scene: Scene, scale: float, scores: bool) -> None:
    """The same through the plan, which chooses the sizes: nothing leaves, nothing overlaps."""
    (w, h), boxes, _ = scene
    entities = []
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        if x1 < x2 and y1 < y2:
            box = Box.of((x1 / w, y1 / h, min(x2 / w, 1.0), min(y2 / h, 1.0)), (w, h), 0.5)
            if box.xyxy[0] < box.xyxy[2] and box.xyxy[1] < box.xyxy[3]:
                entities.append(Entity(f"thing {i} of a picture", (0, 0), (box,)))
    told = Description(
        ImageInfo("x", w, h), "", "", "", "", "", "", "", "", tuple(entities), (), "stop"
    )
    plan = make_plan(told, (w, h), DrawStyle(scale=scale, scores=scores))
    assert len(plan.frames) == len(entities)
    assert len(plan.labels) in (0, len(entities))
    assert (len(plan.labels) == 0) == (min(w, h) < 32 or not entities)
    frames = {frame.entity: frame.rect for frame in plan.frames}
    labels = sorted(plan.labels, key=lambda label: label[0].entity)
    check(
        (w, h),
        [frames[plate.entity] for plate, _ in labels],
        [plate.size_wh for plate, _ in labels],
        [place for _, place in labels],
    ) if labels else None
    for frame in plan.frames:
        x1, y1, x2, y2 = frame.rect
        assert 0 <= x1 < x2 <= w and 0 <= y1 < y2 <= h  # noqa: PT018


@given(st.text())
def test_cleaned_text_is_one_harmless_line(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert cleaned == " ".join(cleaned.split())
    assert not any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 or ord(c) == 0x202E for c in cleaned)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\ndog\t\x00 \u2028b", "a dog b"),
        ("\u202eevil\u202c", "evil"),
        ("\ud800x\uffff", "\ufffdx\ufffd"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\x1b[31mred", "[31mred"),
    ],
)
def test_cleaning(text: str, expected: str) -> None:
    assert clean(text) == expected
