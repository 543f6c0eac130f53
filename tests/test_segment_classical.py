"""The classical segmenter: what it finds in drawn pictures, at which sizes, how it decides."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kosmoscope.errors import BoxError, InputError, KosmoscopeError
from kosmoscope.segment import BoxPrompt
from kosmoscope.segment.classical import ClassicalSegmenter, cues
from kosmoscope.segment.classical.prior import load_prior
from kosmoscope.segment.classical.refine import level
from kosmoscope.segment.classical.regions import LONG_SIDE
from kosmoscope.segment.classical.words import is_stuff

W, H = 320, 240


def drawn(scale: int = 1) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Sky above grass with a dark disc and a ring with a hole; their true masks."""
    y, x = np.mgrid[: H * scale, : W * scale] / scale
    rgb = np.empty((H * scale, W * scale, 3))
    sky = y < 90 + 10 * np.sin(x / 25)
    rgb[sky], rgb[~sky] = (130, 180, 240), (70, 130, 50)
    disc = ((x - 80) / 40) ** 2 + ((y - 170) / 30) ** 2 < 1
    away = np.hypot((x - 220) / 50, (y - 150) / 45)
    ring = (away < 1) & (away > 0.55)
    rgb[disc], rgb[ring] = (60, 40, 30), (200, 40, 40)
    rgb += np.random.default_rng(0).normal(0, 5, rgb.shape)
    return rgb.clip(0, 255).astype(np.uint8), {"sky": sky & ~ring, "dog": disc, "ring": ring}


def around(mask: np.ndarray) -> tuple[float, float, float, float]:
    ys, xs = np.nonzero(mask)
    return (float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.fixture(scope="module")
def segmenter() -> ClassicalSegmenter:
    return ClassicalSegmenter()


@pytest.mark.parametrize("scale", [1, 4])
def test_things_and_stuff_are_found_at_any_resolution(
    segmenter: ClassicalSegmenter, scale: int
) -> None:
    rgb, truth = drawn(scale)
    assert (max(rgb.shape) > LONG_SIDE) == (scale == 4)
    prompts = [BoxPrompt(around(mask), name) for name, mask in truth.items()]
    found = segmenter.segment(rgb, prompts)
    for (name, mask), prompt, proposal in zip(truth.items(), prompts, found, strict=True):
        assert proposal.mask.shape == mask.shape
        assert proposal.mask.dtype == np.bool_
        # Holes that the surroundings show through are filled, as in docs/segmentation.md.
        assert overlap(proposal.mask, mask) > (0.65 if name == "ring" else 0.93), name
        x1, y1, x2, y2 = map(int, prompt.xyxy_px)
        inside = np.zeros_like(mask)
        inside[y1:y2, x1:x2] = True
        assert not (proposal.mask & ~inside).any()
        assert 0.5 < proposal.score <= 1


def test_the_same_picture_gives_the_same_masks(segmenter: ClassicalSegmenter) -> None:
    rgb, truth = drawn()
    prompts = [BoxPrompt(around(mask), name) for name, mask in truth.items()]
    once, again = segmenter.segment(rgb, prompts), ClassicalSegmenter().segment(rgb, prompts)
    for a, b in zip(once, again, strict=True):
        assert (a.mask == b.mask).all()
        assert a.score == b.score


def test_clicks_move_a_mask(segmenter: ClassicalSegmenter) -> None:
    rgb, truth = drawn()
    (dog,) = segmenter.segment(rgb, [BoxPrompt.at([(80, 170, True)], (W, H))])
    assert overlap(dog.mask, truth["dog"]) > 0.85
    both = (30.0, 100.0, 275.0, 205.0)
    clicks = ((80.0, 170.0, True), (220.0, 112.0, False))
    (chosen,) = segmenter.segment(rgb, [BoxPrompt(both, "", clicks)])
    assert chosen.mask[170, 80]
    assert not chosen.mask[112, 220]


@pytest.mark.parametrize("wh", [(1, 1), (2, 3), (9, 7), (2000, 3), (3, 2000), (640, 1)])
def test_small_and_narrow_pictures(segmenter: ClassicalSegmenter, wh: tuple[int, int]) -> None:
    w, h = wh
    rgb = np.random.default_rng(1).integers(0, 256, (h, w, 3), dtype=np.uint8)
    boxes = [(0.0, 0.0, float(w), float(h)), (0.2, 0.3, 0.8, 0.9)]
    for proposal in segmenter.segment(rgb, [BoxPrompt(b, "a dog") for b in boxes]):
        assert proposal.mask.shape == (h, w)
        assert 0 <= proposal.score <= 1


@pytest.mark.parametrize("value", [0, 255])
def test_a_picture_of_one_colour(segmenter: ClassicalSegmenter, value: int) -> None:
    rgb = np.full((50, 60, 3), value, np.uint8)
    (dog,) = segmenter.segment(rgb, [BoxPrompt((10, 10, 40, 40), "a dog")])
    assert np.isfinite(dog.score)
    assert not dog.mask[:10].any()


def test_many_boxes_and_none(segmenter: ClassicalSegmenter) -> None:
    rgb, _ = drawn()
    assert segmenter.segment(rgb, []) == []
    rng = np.random.default_rng(2)
    corners = rng.uniform(0, 0.7, (60, 2)) * (W, H)
    prompts = [
        BoxPrompt((float(x), float(y), float(x) + 70, float(y) + 60), "a dog") for x, y in corners
    ]
    assert len(segmenter.segment(rgb, prompts)) == 60


def test_what_it_refuses(segmenter: ClassicalSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb, _ = drawn()
    with pytest.raises(BoxError, match="leaves the picture"):
        segmenter.segment(rgb, [BoxPrompt((0, 0, W + 5, H))])
    with pytest.raises(InputError, match="expected an"):
        segmenter.segment(rgb[..., 0], [BoxPrompt((0, 0, 5, 5))])
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(KosmoscopeError, match=r"pip install .opencv-python-headless"):
        ClassicalSegmenter()


@given(arrays.arrays(np.int64, (6, 7), elements=st.integers(-20, 120)))
def test_the_level_has_the_best_expected_overlap(hundredths: np.ndarray) -> None:
    # In the middle of the level's bins, some beyond 0 and 1 as the filter gives them.
    likely = ((hundredths + 0.5) / 100).astype(np.float32)
    p = (hundredths.clip(0, 99) + 0.5) / 100

    def expected(mask: np.ndarray) -> float:
        return float(p[mask].sum() / max(mask.sum() + p[~mask].sum(), 1e-6))

    best = max(expected(p > t) for t in np.arange(100) / 100)
    at = level(likely)
    assert 0 <= at < 1
    assert expected(p > at) == pytest.approx(best, rel=1e-6)


def test_the_prior_is_small_and_finite() -> None:
    prior = load_prior()
    for stage in (prior.first, prior.second):
        for name in ("mean", "spread", "a", "a0", "b", "b0", "c", "c0"):
            assert np.isfinite(getattr(stage, name)).all()
        assert (stage.spread > 0).all()
    assert len(prior.second.mean) > len(prior.first.mean)


@pytest.mark.parametrize(
    ("phrase", "stuff"),
    [
        ("the sky", True), ("a dog in a field", False), ("a field with a dog", True),
        ("a body of water", True), ("trees", True), ("a glass", False), ("", False),
        ("a snow-covered mountain", True), ("two people on the beach", False),
    ],
)  # fmt: skip
def test_words_tell_stuff_from_things(phrase: str, stuff: bool) -> None:
    assert is_stuff(phrase) == stuff


def test_small_products_never_wait_for_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenBLAS stays in one thread below so many multiplications; the product is the same."""
    rng = np.random.default_rng(0)
    taken: list[int] = []
    matmul = np.matmul

    def counting(a: np.ndarray, b: np.ndarray, **out: np.ndarray) -> np.ndarray:
        taken.append(a.size * b.shape[1])
        return matmul(a, b, **out)

    monkeypatch.setattr(np, "matmul", counting)
    for boxes, n in ((1, 3), (5, 400), (40, 380), (3, 1)):
        rows = rng.random((boxes, n), np.float32)
        matrix = rng.random((n, n), np.float32)
        assert np.allclose(cues._product(rows, matrix.T), rows @ matrix.T, rtol=1e-5)
    assert taken
    assert max(taken) <= max(cues._ONE_THREAD, 16 * 40 * 380)
