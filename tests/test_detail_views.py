"""Geometry of the detail pass: tiles cover a picture, and boxes go there and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmoscope.detail.settings import LEAST_TILE, MAX_TILES
from kosmoscope.detail.views import WHOLE, View, crop_around, grid, tiles_of
from kosmoscope.geometry import XYXY, area, containment

SIDES = st.integers(1, 4000)
SHARE = st.floats(0.0, 1.0, allow_nan=False)


@st.composite
def boxes(draw: st.DrawFn) -> XYXY:
    x1, x2 = sorted((draw(SHARE), draw(SHARE)))
    y1, y2 = sorted((draw(SHARE), draw(SHARE)))
    return (x1, y1, x2, y2)


@st.composite
def cut_up(draw: st.DrawFn) -> tuple[tuple[int, int], tuple[View, ...]]:
    """A picture's size, and its tiles."""
    size = draw(st.tuples(st.integers(64, 4000), st.integers(64, 4000)))
    tiles = draw(st.integers(1, MAX_TILES))
    return size, tiles_of(size, *grid(size, tiles, 32, 99))


@given(cut_up())
def test_tiles_cover_every_pixel_and_lie_on_whole_ones(cut: tuple[tuple[int, int], object]) -> None:
    (width, height), tiles = cut
    seen_x, seen_y = np.zeros(width, bool), np.zeros(height, bool)
    for tile in tiles:  # type: ignore[attr-defined]
        x1, y1, x2, y2 = tile.frame
        assert 0 <= x1 < x2 <= 1
        assert 0 <= y1 < y2 <= 1
        for edge in (x1 * width, x2 * width, y1 * height, y2 * height):
            assert edge == pytest.approx(round(edge), abs=1e-6)
        seen_x[round(x1 * width) : round(x2 * width)] = True
        seen_y[round(y1 * height) : round(y2 * height)] = True
    assert not tiles or (seen_x.all() and seen_y.all())


@given(cut_up(), SHARE, SHARE)
def test_what_is_smaller_than_the_overlap_lies_whole_in_a_tile(
    cut: tuple[tuple[int, int], tuple[View, ...]], x: float, y: float
) -> None:
    (width, height), tiles = cut
    if not tiles:
        return
    w, h = (tiles[0].frame[i + 2] - tiles[0].frame[i] for i in (0, 1))
    # Rounding to whole pixels takes one off the overlap.
    w, h = max(0.2 * w - 2 / width, 0), max(0.2 * h - 2 / height, 0)
    box = (x * (1 - w), y * (1 - h), x * (1 - w) + w, y * (1 - h) + h)
    inside = [t for t in tiles if all(
        a <= b + 1e-9 for a, b in zip(t.frame[:2], box[:2], strict=True))
        and all(a >= b - 1e-9 for a, b in zip(t.frame[2:], box[2:], strict=True))]  # fmt: skip
    assert inside


@given(cut_up(), boxes())
def test_a_box_goes_there_and_back(
    cut: tuple[tuple[int, int], tuple[View, ...]], box: XYXY
) -> None:
    for view in (WHOLE, *cut[1]):
        assert view.to_whole(view.from_whole(box)) == pytest.approx(box, abs=1e-9)
        inner = view.to_whole(box)
        assert view.from_whole(inner) == pytest.approx(box, abs=1e-9)
        assert area(inner) == pytest.approx(area(box) * area(view.frame), abs=1e-9)
        assert view.frame[0] - 1e-9 <= inner[0]
        assert inner[2] <= view.frame[2] + 1e-9


def test_a_tile_shows_the_pixels_of_its_frame() -> None:
    rgb = np.arange(100 * 60 * 3, dtype=np.uint32).astype(np.uint8).reshape(60, 100, 3)
    for tile in tiles_of((100, 60), 2, 2):
        x1, y1, x2, y2 = tile.frame
        part = rgb[round(y1 * 60) : round(y2 * 60), round(x1 * 100) : round(x2 * 100)]
        np.testing.assert_array_equal(tile.pixels(rgb), part)
    assert WHOLE.pixels(rgb).shape == rgb.shape


@given(SIDES, SIDES, st.none() | st.integers(1, MAX_TILES), st.integers(0, 63))
def test_tiles_stay_within_the_budget(
    width: int, height: int, tiles: int | None, most: int
) -> None:
    columns, rows = grid((width, height), tiles, 416, most)
    assert columns >= 1
    assert rows >= 1
    assert len(tiles_of((width, height), columns, rows)) <= most
    if columns * rows > 1:
        longer = columns if width >= height else rows
        assert tiles is None or longer <= tiles
        x1, y1, x2, y2 = tiles_of((width, height), columns, rows)[0].frame
        assert columns == 1 or (x2 - x1) * width >= LEAST_TILE * 416 - 1e-6
        assert rows == 1 or (y2 - y1) * height >= LEAST_TILE * 416 - 1e-6


@pytest.mark.parametrize(
    ("size", "tiles", "most", "cells"),
    [
        ((640, 480), 2, 5, (2, 2)),
        ((480, 640), 2, 5, (2, 2)),
        ((640, 480), 3, 9, (3, 3)),
        ((640, 427), 3, 9, (3, 2)),
        ((640, 427), 2, 5, (2, 2)),
        ((640, 360), 2, 5, (2, 1)),
        ((600, 600), 3, 9, (3, 3)),
        ((640, 480), 3, 5, (2, 2)),
        ((640, 480), 1, 5, (1, 1)),
        ((640, 480), 2, 3, (1, 1)),
        ((3000, 300), 2, 5, (2, 1)),
        ((3000, 300), 6, 63, (6, 1)),
        ((300, 3000), 4, 63, (1, 4)),
        ((1, 1), 2, 5, (1, 1)),
        ((40, 40), 2, 5, (1, 1)),
        ((320, 240), 2, 5, (2, 2)),
        ((320, 200), 2, 5, (2, 1)),
        ((200, 200), 2, 5, (1, 1)),
        ((640, 480), None, 5, (2, 2)),
        ((2000, 1500), None, 63, (4, 3)),
        ((4000, 3000), None, 63, (6, 5)),
    ],
)
def test_how_many_tiles(
    size: tuple[int, int], tiles: int | None, most: int, cells: tuple[int, int]
) -> None:
    assert grid(size, tiles, 416, most) == cells


def test_only_inner_edges_cut() -> None:
    left_top, right_bottom = tiles_of((400, 400), 2, 2)[0], tiles_of((400, 400), 2, 2)[3]
    at_left, at_right = (0.0, 0.3, 0.4, 0.6), (0.5, 0.3, 1.0, 0.6)
    assert not left_top.cuts(at_left)
    assert left_top.cuts(at_right)
    assert right_bottom.cuts(at_left)
    assert not right_bottom.cuts(at_right)
    assert not left_top.cuts((0.1, 0.1, 0.9, 0.9))
    assert not WHOLE.cuts((0.0, 0.0, 1.0, 1.0))


@given(boxes(), SIDES, SIDES)
def test_a_crop_holds_its_box(box: XYXY, width: int, height: int) -> None:
    x1, y1, x2, y2 = crop_around(box, (width, height)).frame
    assert 0 <= x1 < x2 <= 1
    assert 0 <= y1 < y2 <= 1
    if area(box) > 1e-12:
        assert containment(box, (x1, y1, x2, y2)) == pytest.approx(1, abs=1e-6)
    assert (x2 - x1) * width >= 1 - 1e-6
    assert math.isclose(x1 * width, round(x1 * width), abs_tol=1e-6)
