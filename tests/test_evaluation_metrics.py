"""The arithmetic of the evaluation, against values worked out by hand or by brute force."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmoscope.evaluation.captions import bleu, cider_d, words
from kosmoscope.evaluation.data import Truth
from kosmoscope.evaluation.masks import ClassOverlap, boundary_f, fill_box, mask_iou
from kosmoscope.evaluation.matching import Guess, match, right_at
from kosmoscope.evaluation.phrases import Classes, asked_for, names, scene_names
from kosmoscope.evaluation.statistics import Share, calibration, wilson
from kosmoscope.evaluation.words import CLASS_NAMES, counted
from kosmoscope.export.nouns import plural


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [  # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)
    assert wilson(of - hits, of) == pytest.approx((1 - high, 1 - low), abs=5e-5)


def test_a_share_of_nothing_is_none() -> None:
    assert Share.among([]).to_dict() == {"share": None, "hits": 0, "of": 0, "interval95": None}
    with pytest.raises(ValueError):
        wilson(3, 2)


def test_calibration() -> None:
    scored = [(0.95, True), (0.85, True), (0.81, False), (0.45, False), (0.41, True), (1.0, True)]
    found = calibration(scored)
    # Bins: 0.4 (0.43, half right), 0.8 (0.83, half right), 0.9 (0.975, all right).
    assert found["expected_calibration_error"] == round((0.07 + 0.33 + 0.025) * 2 / 6, 4)
    assert [r["of"] for r in found["bins"]] == [0, 0, 0, 0, 2, 0, 0, 0, 2, 2]
    assert (found["right_above_0.8"]["hits"], found["right_above_0.8"]["of"]) == (3, 4)
    assert (found["right_below_0.5"]["hits"], found["right_below_0.5"]["of"]) == (1, 2)


def _guess(box: Any, score: float | None, *classes: str) -> Guess:
    return Guess("", frozenset(classes), box, score)


def test_each_object_is_found_once_and_by_the_surest_box() -> None:
    truths = [
        Truth("dog", (0, 0, 0.5, 1)),
        Truth("dog", (0.1, 0, 0.6, 1)),
        Truth("cat", (0, 0, 1, 1)),
    ]
    guesses = [
        _guess((0, 0, 0.5, 1), 0.2, "dog"),
        _guess((0, 0, 0.5, 1), 0.9, "dog"),  # surer: takes the first
        _guess((0, 0, 0.5, 1), None, "dog"),  # both are taken
        _guess((0, 0, 1, 0.9), 0.1, "dog"),  # a cat is no dog
        _guess((0, 0, 1, 0.5), 0.1, "dog", "cat"),  # an overlap of 0.5 is enough
    ]
    assert match(guesses, truths) == [1, 0, None, None, 2]
    assert match(guesses, []) == [None] * 5
    assert right_at([g.xyxy for g in guesses], [(0, 0, 1, 1)], 3)  # half of it
    assert not right_at([(0, 0, 0.4, 1), (0, 0, 1, 1)], [(0, 0, 1, 1)], 1)


@pytest.mark.parametrize(
    ("phrase", "classes"),
    [
        ("two men in red hats", {"person"}),
        ("a hot dog", {"hot dog"}),
        ("a dog on a couch", {"dog"}),
        ("a bowl of oranges", {"bowl", "orange"}),
        ("a group of people", {"person"}),
        ("three wine glasses", {"wine glass"}),
        ("a glass", {"wine glass", "cup"}),
        ("a pair of skis", {"skis"}),
        ("The Sofa", {"couch"}),
        ("a dog house", set()),
        ("an animal", set()),
        ("", set()),
        ("of", set()),
    ],
)
def test_phrases_name_classes(phrase: str, classes: set[str]) -> None:
    assert Classes(CLASS_NAMES).of(phrase) == classes


def test_every_class_is_found_by_its_own_name() -> None:
    known = Classes(CLASS_NAMES)
    for name in CLASS_NAMES:
        for phrase in (asked_for(name, stuff=False), plural(name), counted(name, 2), f"the {name}"):
            assert name in known.of(phrase), phrase


def test_scenes_are_named_by_whole_words() -> None:
    assert names("An image of a street, with cars", scene_names("street"))
    assert names("two mountains", scene_names("mountain"))
    assert not names("a seat by the window", scene_names("sea"))
    assert names("a desert", scene_names("desert"))


def test_words_are_split_as_published_figures_do() -> None:
    assert words("A man doesn't like the dog’s well-known toy, 3.5 times!") == [
        "a", "man", "does", "n't", "like", "the", "dog", "'s", "well-known", "toy", "3.5", "times",
    ]  # fmt: skip


def test_bleu() -> None:
    # Papineni et al. 2002, example 2: 2 of 7 words, since "the" is twice in a reference.
    references = [["the cat is on the mat", "there is a cat on the mat"]]
    assert bleu(["the the the the the the the"], references) == pytest.approx([2 / 7, 0, 0, 0])
    # 5 of 5 words, 3 of 4 pairs, 1 of 3 triples, 0 of 2; five words against six.
    scores = bleu(["a cat on the mat"], [["a cat is on the mat"]])
    short = math.exp(1 - 6 / 5)
    expected = [1, (3 / 4) ** (1 / 2), (3 / 4 / 3) ** (1 / 3), 0]
    assert scores == pytest.approx([short * e for e in expected])
    # Counts are added over the set, not scores averaged.
    both = bleu(["a cat", "dogs"], [["a cat"], ["a dog"]])
    assert both[0] == pytest.approx(math.exp(1 - 4 / 3) * 2 / 3)
    assert bleu([""], [["a dog"]]) == [0.0] * 4


def test_cider_d() -> None:
    # "a" is in both pictures and weighs nothing; the others all weigh log 2.
    same, short = cider_d(["a dog runs", "a cat"], [["a dog runs"], ["a cat sits"]])
    assert same == pytest.approx(10 * 3 / 4)  # there is no 4-gram
    assert short == pytest.approx(10 * math.exp(-1 / 72) * 2 / math.sqrt(2) / 4)
    # A word said three times counts as often as the reference has it, but lengthens the vector.
    again, _ = cider_d(["dog dog dog", "x"], [["dog"], ["cat"]])
    assert again == pytest.approx(10 * math.exp(-4 / 72) * 1 / 3 / 4)
    # The mean over references; of one picture alone every word is in all pictures.
    assert cider_d(["dog", "x"], [["dog", "cow"], ["y"]])[0] == pytest.approx(10 / 4 / 2)
    assert cider_d(["a dog"], [["a dog"]]) == [0.0]
    with pytest.raises(ValueError):
        cider_d(["a dog"], [[]])


Masks = st.integers(0, 2**24 - 1).map(
    lambda bits: np.array([bits >> i & 1 for i in range(24)], bool).reshape(4, 6)
)


def _edge(mask: np.ndarray) -> set[tuple[int, int]]:
    h, w = mask.shape
    around = ((0, 1), (1, 0), (0, -1), (-1, 0))
    return {
        (y, x) for y, x in zip(*np.nonzero(mask), strict=True)
        if any(0 <= y + j < h and 0 <= x + i < w and not mask[y + j, x + i] for j, i in around)
    }  # fmt: skip


@given(Masks, Masks, st.sampled_from([0.01, 0.14, 0.2, 0.35, 2.0]))
def test_boundaries_agree_as_far_as_distances_say(
    a: np.ndarray, b: np.ndarray, tolerance: float
) -> None:
    first, second = _edge(a), _edge(b)
    radius = tolerance * math.hypot(4, 6)

    def near(some: set[tuple[int, int]], others: set[tuple[int, int]]) -> float:
        return sum(any(math.dist(p, q) <= radius for q in others) for p in some) / len(some)

    if first and second:
        p, r = near(first, second), near(second, first)
        expected = 2 * p * r / (p + r) if p + r else 0.0
    else:
        expected = float(len(first) == len(second))
    assert boundary_f(a, b, tolerance) == pytest.approx(expected)
    assert boundary_f(a, a, tolerance) == 1.0
    assert mask_iou(a, b) == mask_iou(b, a)


def test_masks() -> None:
    left = fill_box((0, 0, 3, 4), (6, 4))
    assert left.sum() == 12
    assert left[:, :3].all()
    assert mask_iou(left, fill_box((1, 0, 6, 4), (6, 4))) == 8 / 24
    assert mask_iou(~left & left, ~left & left) == 1.0
    # The pixels whose centres lie inside: 2.5 and 3.5 across, 2.5 down.
    assert np.argwhere(fill_box((2.4, 1.6, 3.5, 2.5), (6, 4))).tolist() == [[2, 2], [2, 3]]
    with pytest.raises(ValueError):
        mask_iou(left, left.T)


def test_label_maps() -> None:
    truth = np.array([[1, 1, 2, 2], [1, 1, 0, 0]], np.uint8)
    found = np.array([[1, 1, 1, 2], [3, 1, 2, 2]], np.uint8)
    overlap = ClassOverlap()
    overlap.add(found, truth)
    # Over the six labelled pixels: 1 has 3 of 5, 2 has 1 of 2, 3 has 0 of 1.
    assert overlap.by_class() == {1: 3 / 5, 2: 1 / 2, 3: 0.0}
    assert overlap.mean([1, 2]) == pytest.approx(0.55)
    overlap.add(truth, truth)  # sums, not means of pictures: 7 of 9, 3 of 4
    assert overlap.mean([1, 2]) == pytest.approx((7 / 9 + 3 / 4) / 2)
    assert ClassOverlap().mean() is None
