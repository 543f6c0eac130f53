"""Masks, their forms, and the partition: exact round trips, every pixel once."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import pictures
from kosmoscope import ImageInfo, InputError
from kosmoscope.masks import (
    Candidate,
    Mask,
    Polygon,
    Segment,
    cut_out,
    decode_rle,
    encode_rle,
    mask_polygons,
    partition,
    polygons_mask,
    read_label_map,
    simplify,
    write_label_map,
)
from kosmoscope.masks.partition import rest_regions
from kosmoscope.masks.rle import MAX_PIXELS
from kosmoscope.segment import Segmentation

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9))


def blobs(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A mask as of a photo: smooth outlines, islands and holes."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8), dtype=np.uint8)
    image = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image) > 140


# Run lengths


@given(MASKS)
def test_rle_round_trip_equals_the_usual_library(mask: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from faster_coco_eval.core import mask as coco
    rle = encode_rle(mask)
    assert np.array_equal(decode_rle(rle), mask)
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert rle["counts"].encode() == theirs["counts"]
    assert np.array_equal(coco.decode({**rle, "counts": rle["counts"].encode()}), mask)


def test_rle_of_large_runs() -> None:
    mask = np.zeros((3000, 4000), bool)
    mask[100:2500, 37:3999] = True
    assert np.array_equal(decode_rle(encode_rle(mask)), mask)
    assert np.array_equal(decode_rle({"size": [2, 3], "counts": [1, 2, 3]}),
                          [[False, True, False], [True, False, False]])  # fmt: skip


@pytest.mark.parametrize(
    "rle",
    [
        {"size": [2, 2]},
        {"size": [2], "counts": [4]},
        {"size": [2, 2], "counts": [5]},
        {"size": [2, 2], "counts": [6, -2]},
        {"size": [2, 2], "counts": ["x"]},
        {"size": [-1, 2], "counts": []},
        {"size": [2, 2], "counts": "o"},
        {"size": [2, 2], "counts": "\x01"},
        {"size": [2, 2], "counts": "oooooooooooooooooooo"},
        {"size": [2**20, 2**20], "counts": [2**40]},
    ],
)
def test_damaged_rle_is_refused(rle: dict[str, object]) -> None:
    with pytest.raises(InputError, match="RLE"):
        decode_rle(rle)


# Polygons


@settings(max_examples=400)
@given(MASKS)
def test_polygons_round_trip(mask: np.ndarray) -> None:
    polygons = mask_polygons(mask)
    height, width = mask.shape
    assert np.array_equal(polygons_mask(polygons, (width, height)), mask)
    area = sum(shoelace(p.outline) - sum(map(shoelace, p.holes)) for p in polygons)
    assert area == mask.sum()


def shoelace(ring: np.ndarray) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@given(MASKS)
def test_each_polygon_is_one_connected_part(mask: np.ndarray) -> None:
    height, width = mask.shape
    parts = [polygons_mask([p], (width, height)) for p in mask_polygons(mask)]
    assert np.array_equal(np.sum(parts, 0, dtype=int), mask.astype(int)) or not parts
    for part in parts:
        assert len(mask_polygons(part)) == 1


def test_holes_belong_to_what_is_around_them() -> None:
    mask = np.zeros((9, 20), bool)
    mask[0:9, 0:9] = True
    mask[1:8, 1:8] = False
    mask[2:7, 2:7] = True  # an island in the hole, with a hole of its own
    mask[4, 4] = False
    mask[2:7, 12:18] = True
    mask[3:5, 13:15] = False
    found = mask_polygons(mask)
    assert [len(p.holes) for p in found] == [1, 1, 1]
    assert [len(p.outline) for p in found] == [4, 4, 4]
    (hole,) = found[0].holes
    assert hole.min(0).tolist() == [1, 1]
    assert hole.max(0).tolist() == [8, 8]


def test_polygons_of_a_photo_sized_mask() -> None:
    mask = blobs(1200, 1600)
    polygons = mask_polygons(mask)
    assert any(p.holes for p in polygons)
    assert np.array_equal(polygons_mask(polygons, (1600, 1200)), mask)


@settings(max_examples=50)
@given(st.integers(0, 1000), st.floats(0.1, 4))
def test_simplified_outlines_stay_near(seed: int, tolerance: float) -> None:
    mask = blobs(48, 64, seed)
    for polygon in mask_polygons(mask):
        ring = simplify(polygon.outline, tolerance)
        assert 3 <= len(ring) <= len(polygon.outline)
        closed = np.concatenate([ring, ring[:1]])
        for corner in polygon.outline:
            assert distance(corner, closed) <= tolerance + 1e-9


def distance(point: np.ndarray, line: np.ndarray) -> float:
    a, b = line[:-1], line[1:]
    along = ((point - a) * (b - a)).sum(1) / np.maximum(((b - a) ** 2).sum(1), 1e-12)
    nearest = a + along.clip(0, 1)[:, None] * (b - a)
    return float(np.hypot(*(point - nearest).T).min())


def test_polygons_by_hand_are_filled_and_wrong_ones_refused() -> None:
    triangle = Polygon(np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]))
    assert 40 < polygons_mask([triangle], (10, 10)).sum() < 60
    for ring in (np.array([[0.0, np.nan]]), np.array([[0.0, 11.0]]), np.zeros((2, 3))):
        with pytest.raises(InputError, match="polygon"):
            polygons_mask([Polygon(ring)], (10, 10))


# One mask


def test_a_mask_knows_its_size() -> None:
    bits = np.zeros((4, 5), bool)
    bits[1:3, 2:5] = True
    mask = Mask(bits)
    bits[0, 0] = True  # its own copy
    assert (mask.area_px, mask.area_percent, mask.xyxy_px) == (6, 30.0, (2, 1, 5, 3))
    assert Mask.from_rle(mask.to_rle()) == mask
    (contour,) = mask.contours_norm()
    assert contour.outline.min(0).tolist() == [0.4, 0.25]
    assert Mask(np.zeros((2, 2), bool)).xyxy_px is None
    with pytest.raises(InputError, match="array of bool"):
        Mask(np.zeros((2, 2)))  # type: ignore[arg-type]


# The partition


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8))
    several = draw(st.lists(hnp.arrays(bool, st.just(shape)), min_size=1, max_size=5))
    return [Candidate(m, draw(st.floats(0, 1)), draw(st.booleans())) for m in several]


@given(candidates())
def test_every_pixel_has_exactly_one_name(found: list[Candidate]) -> None:
    height, width = found[0].bits.shape
    labels = partition(found, (width, height))
    masks = [labels == i for i in range(len(found) + 1)]
    assert np.array_equal(np.sum(masks, 0), np.ones((height, width)))
    for i, candidate in enumerate(found, 1):
        assert not (masks[i] & ~candidate.bits).any()
    assert np.array_equal(masks[0], ~np.any([c.bits for c in found], 0))


def test_parts_before_wholes_and_things_before_stuff() -> None:
    whole, part, sky = (np.zeros((6, 6), bool) for _ in range(3))
    whole[1:5, 1:5] = True
    part[2:4, 2:4] = True
    sky[:3] = True
    labels = partition(
        [Candidate(part, 0.1), Candidate(whole, 0.9), Candidate(sky, 1, True)], (6, 6)
    )
    assert labels[2, 2] == 1
    assert labels[1, 1] == 2
    assert labels[0, 0] == 3
    with pytest.raises(InputError, match="mask 0 has shape"):
        partition([Candidate(part, 1)], (5, 6))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 60))
def test_regions_divide_the_rest(seed: int, width: int, height: int) -> None:
    rgb = pictures.noise(width, height, seed)
    rest = np.random.default_rng(seed).random((height, width)) < 0.7
    regions = rest_regions(rgb, rest)
    if rest.any():
        assert np.array_equal(np.sum(regions, 0, dtype=int), rest.astype(int))
        assert all(r.any() for r in regions)
    else:
        assert regions == []


def test_regions_follow_colours() -> None:
    rgb = np.zeros((120, 160, 3), np.uint8)
    rgb[:60] = (90, 140, 250)
    rgb[60:, :80] = (30, 120, 30)
    rgb[60:, 80:] = (200, 60, 40)
    regions = rest_regions(rgb, np.ones((120, 160), bool))
    assert [round(r.sum() / 100) for r in regions] == [96, 48, 48]
    assert regions[0][:59].all()


# The result


def segmentation() -> Segmentation:
    labels = np.zeros((4, 6), np.uint16)
    labels[1:3, 1:3] = 1
    labels[:, 5] = 2
    segments = (
        Segment(1, "a dog", "thing", 0, (0.5, 1.0, 3.5, 3.0), 0.8),
        Segment(2, "region 1", "region"),
    )
    return Segmentation(ImageInfo("x.jpg", 6, 4), "classical", labels, segments, "a dog", 0.1)


def test_a_segmentation_is_read_back() -> None:
    found = segmentation()
    again = Segmentation.from_json(found.to_json())
    assert np.array_equal(again.labels, found.labels)
    assert (again.segments, again.image, again.caption) == (
        found.segments, found.image, found.caption)  # fmt: skip
    assert found.areas_px() == [16, 4, 4]
    assert sum(found.areas_percent()) == pytest.approx(100)
    assert found.names == ("rest", "a dog", "region 1")
    assert found.mask(1).area_px == found.entity_mask(0).area_px == 4
    assert "'a dog'  16.7 %  0.80" in repr(found)
    with pytest.raises(InputError, match="segment 3"):
        found.mask(3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 7}, "schema is 7"),
        ({"image": {"path": "x", "width": 5, "height": 4}}, "another size than the picture"),
        ({"segments": [{}]}, "not a segmentation"),
        ({"segments": 3}, "not a segmentation"),
    ],
)
def test_damaged_segmentations_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Segmentation.from_dict({**segmentation().to_dict(), **change})


def test_overlapping_or_misnumbered_segments_are_refused() -> None:
    data = segmentation().to_dict()
    data["segments"][1]["rle"] = data["segments"][0]["rle"]
    with pytest.raises(InputError, match="segment 2 overlaps an earlier one"):
        Segmentation.from_dict(data)
    data = segmentation().to_dict()
    data["segments"][1]["id"] = 5
    with pytest.raises(InputError, match="count from 1"):
        Segmentation.from_dict(data)


@pytest.mark.parametrize("most", [3, 255, 300])
def test_label_maps_are_read_back(tmp_path: Path, most: int) -> None:
    labels = np.random.default_rng(0).integers(0, most + 1, (20, 30)).astype(np.uint16)
    labels[0, 0] = most
    path = write_label_map(tmp_path / "labels.png", labels, [(0, 0, 0), (255, 0, 0)])
    assert np.array_equal(read_label_map(path), labels)
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "no.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match="label map"):
        read_label_map(tmp_path / "no.png")


def test_cut_outs_have_alpha() -> None:
    rgb = pictures.noise(30, 20)
    bits = np.zeros((20, 30), bool)
    bits[5:15, 8:20] = True
    hard = cut_out(rgb, Mask(bits), soft=False)
    assert hard.size == (12, 10)
    assert np.asarray(hard)[..., 3].min() == 255
    whole = np.asarray(cut_out(rgb, Mask(bits), crop=False))
    assert whole[0, 0, 3] == 0
    assert 0 < whole[5, 8, 3] < 255
    assert np.array_equal(whole[..., :3], rgb)
    assert cut_out(rgb, Mask(np.zeros((20, 30), bool))).size == (1, 1)
    with pytest.raises(InputError, match="a mask of"):
        cut_out(rgb, Mask(np.zeros((2, 2), bool)))


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_small_file_cannot_claim_gigabytes() -> None:
    side = 46_000
    rle = {"size": [side, side], "counts": [side * side]}
    part = {"phrase": "x", "kind": "thing", "entity": None, "xyxy_px": None, "score": None}
    data = {
        "schema": 1, "image": {"path": "x", "width": side, "height": side}, "segmenter": "s",
        "caption": "", "seconds": 0.0, "segments": [{"id": 1, **part, "rle": rle}],
    }  # fmt: skip

    def read() -> None:
        for change in ({}, {"segments": []}):
            with pytest.raises(InputError, match="46000x46000"):
                Segmentation.from_dict({**data, **change})
        with pytest.raises(InputError, match="46000x46000"):
            decode_rle(rle)

    assert side * side > MAX_PIXELS
    assert peak_bytes(read) < 1_000_000


def test_a_mask_of_a_segmentation_is_made_once() -> None:
    labels = np.ones((1000, 1000), np.uint16)
    part = Segment(1, "x", "thing")
    found = Segmentation(ImageInfo("x", 1000, 1000), "s", labels, (part,))
    assert peak_bytes(lambda: found.mask(1)) < 1_500_000
    assert not found.mask(1).bits.flags.writeable


def test_a_label_map_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(pictures.png(60_000, 60_000, b""))
    with pytest.raises(InputError, match="cannot be read as a label map"):
        read_label_map(tmp_path / "a.png")
