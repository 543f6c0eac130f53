"""Sightings to things, on made cases; names; counts as distributions."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmoscope.calibration import UNMEASURED, DetailCalibration
from kosmoscope.detail.counting import distribution, quantile
from kosmoscope.detail.merging import Thing, each_once, features, gathered, scored
from kosmoscope.detail.settings import Detail
from kosmoscope.detail.sightings import Sighting, sightings_of
from kosmoscope.detail.views import WHOLE, View
from kosmoscope.export.things import asked, kind_of, one_of
from kosmoscope.geometry import XYXY, iou
from kosmoscope.types import Box, Entity, GroundedCaption, ImageInfo

DETAIL = Detail()
LEFT: XYXY = (0.1, 0.1, 0.3, 0.4)


def sighting(xyxy: XYXY = LEFT, kind: str = "car", **fields: Any) -> Sighting:
    made = Sighting(
        kind=kind, phrase=f"a {kind}", xyxy=xyxy, score=0.5, said=None, listed=1.0, view=1,
        cut=False, box=Box.of(xyxy, (100, 100), 0.5),
    )  # fmt: skip
    return replace(made, **fields)


def shifted(xyxy: XYXY, by: float) -> XYXY:
    return (xyxy[0] + by, xyxy[1], xyxy[2] + by, xyxy[3])


def test_sightings_of_one_thing_are_one_thing() -> None:
    near = sighting(shifted(LEFT, 0.02), view=2, score=0.4)
    far = sighting(shifted(LEFT, 0.5))
    things = gathered([sighting(), near, far], DETAIL)
    assert [len(t.sightings) for t in things] == [2, 1]
    # The mean lies between, nearer to the surer one; without fusion it is the surer one.
    assert LEFT[0] < things[0].xyxy[0] < LEFT[0] + 0.01
    (first, _) = gathered([sighting(), near, far], Detail(fuse=False))
    assert first.xyxy == LEFT


def test_another_kind_in_the_same_place_is_another_thing() -> None:
    assert len(gathered([sighting(), sighting(kind="dog")], DETAIL)) == 2


def test_what_the_caption_locates_are_things_each() -> None:
    """It said they are two, however they overlap, and keeps its boxes' places."""
    said = [
        sighting(view=0, said=0.9, caption=(0, 0)),
        sighting(shifted(LEFT, 0.01), view=0, said=0.9, caption=(0, 1)),
    ]
    things = gathered([sighting(score=0.99), *said], DETAIL)
    assert sorted(t.captioned or () for t in things) == [(0, 0), (0, 1)]
    assert sum(len(t.sightings) for t in things) == 3


def test_what_an_edge_cuts_makes_no_thing_but_speaks_for_its_whole() -> None:
    whole = sighting((0.1, 0.1, 0.9, 0.9), view=0)
    part = sighting((0.1, 0.1, 0.5, 0.5), cut=True)
    assert gathered([part], DETAIL) == []
    (thing,) = gathered([whole, part], DETAIL)
    assert (thing.xyxy, thing.support) == ((0.1, 0.1, 0.9, 0.9), 1)
    (lone,) = gathered([part], Detail(whole_first=False))
    assert lone.xyxy == part.xyxy


def test_tiles_mark_what_they_cut_and_what_fills_them() -> None:
    tile = View((0.0, 0.0, 0.6, 0.6))

    def seen(xyxy: XYXY, view: View = tile, phrase: str = "a car") -> Sighting:
        caption = GroundedCaption(
            ImageInfo("x", 10, 10), "m", "p", "", "a car", "", "", "", "",
            (Entity(phrase, (0, 5), (Box.of(xyxy, (10, 10), 0.5),), 0.8),), (), "stop",
        )  # fmt: skip
        (found,) = sightings_of(caption, view, 1, "said")
        return found

    assert not seen((0.1, 0.1, 0.5, 0.5)).cut
    assert seen((0.5, 0.1, 1.0, 0.5)).cut
    assert seen((0.05, 0.05, 0.95, 0.95)).cut
    assert not seen((0.0, 0.0, 1.0, 1.0), WHOLE).cut
    assert seen((0.1, 0.1, 0.5, 0.5), phrase="grass").cut, "a piece of the grass there is"
    assert not seen((0.1, 0.1, 0.5, 0.5), WHOLE, "grass").cut
    assert seen((0.1, 0.1, 0.5, 0.5)).xyxy == pytest.approx((0.06, 0.06, 0.3, 0.3))


def thing(xyxy: XYXY, score: float, kind: str = "person", **fields: Any) -> Thing:
    return Thing((sighting(xyxy, kind, **fields),), xyxy, score)


def test_a_part_goes_and_its_whole_stays() -> None:
    body, head = thing((0.1, 0.1, 0.4, 0.9), 0.8), thing((0.2, 0.1, 0.3, 0.3), 0.4)
    assert each_once([body, head]) == [body]
    assert each_once([head, body]) == [body]
    dog = thing((0.2, 0.1, 0.3, 0.3), 0.4, "dog")
    assert each_once([body, dog]) == [body, dog]
    in_front = replace(head, score=0.6 * body.score)  # too sure for a part
    assert each_once([body, in_front]) == [body, in_front]


def test_a_box_around_a_group_goes_and_its_members_stay() -> None:
    group = thing((0.0, 0.0, 1.0, 1.0), 0.5)
    members = [thing((0.1, 0.1, 0.3, 0.9), 0.6), thing((0.5, 0.1, 0.7, 0.9), 0.7)]
    assert each_once([group, *members]) == members
    # What the caption located stays, and so do they: they are surer.
    said = thing((0.0, 0.0, 1.0, 1.0), 0.5, said=0.9, view=0, caption=(0, 0))
    assert each_once([said, *members]) == [said, *members]


@given(
    st.lists(
        st.builds(
            lambda x, y, w, h, s, kind: sighting(
                (x, y, min(x + w, 1), min(y + h, 1)), kind, score=s
            ),
            *[st.floats(0, 0.8)] * 2,
            *[st.floats(0.05, 0.5)] * 2,
            st.floats(0, 1),
            st.sampled_from(["car", "dog"]),
        ),
        max_size=12,
    )
)
def test_merging_loses_no_sighting_and_asks_no_order(some: list[Sighting]) -> None:
    things = gathered(some, DETAIL)
    assert sum(len(t.sightings) for t in things) == len(some)
    for t in things:
        assert all(s.kind == t.kind for s in t.sightings)
        assert all(iou(t.sightings[0].xyxy, s.xyxy) >= 0.45 for s in t.sightings[1:])
    backwards = gathered(some[::-1], DETAIL)
    assert sorted(t.xyxy for t in backwards) == sorted(t.xyxy for t in things)


def test_scores_grow_with_what_speaks_for_a_thing() -> None:
    weak, strong = sighting(score=0.2), sighting(score=0.9, view=0, said=0.9)
    (poor,), (rich,) = gathered([weak], DETAIL), gathered([weak, strong], DETAIL)
    one, two = scored([poor, rich], frozenset({"car"}), UNMEASURED)
    assert 0 < one.score < two.score < 1
    again = [replace(rich, found_again=found) for found in (False, None, True)]
    scores = [t.score for t in scored(again, frozenset(), UNMEASURED)]
    assert scores == sorted(scores)
    assert scores[0] < scores[2]
    seen = features(replace(rich, known=True), True)
    assert set(UNMEASURED.weights) == set(UNMEASURED.weights) & (
        set(features(rich, True)) | set(seen)
    )


def test_a_detector_has_its_say_of_what_it_knows() -> None:
    told = sighting(score=0.5, view=0, said=0.5)
    seen = sighting(shifted(LEFT, 0.02), score=0.8, view=0, detected=True)
    doubted, backed, other = (
        gathered(some, DETAIL, known)[0]
        for some, known in (
            ([told], frozenset({"car"})),
            ([told, seen], frozenset({"car"})),
            ([told], frozenset({"dog"})),
        )
    )
    assert [t.known for t in (doubted, backed, other)] == [True, True, False]
    one, two = scored([doubted, backed], frozenset(), UNMEASURED)
    assert one.score < two.score
    # The detector's box is finer than the grid's, and counts for more.
    assert backed.xyxy[0] > LEFT[0] + 0.01
    # Of what it does not know it says nothing: scored as by a model that has none.
    (alone,) = scored(gathered([told], DETAIL), frozenset(), UNMEASURED)
    assert scored([other], frozenset(), UNMEASURED)[0].score == alone.score
    assert not any(name.startswith("known_") for name in features(other, False))


def test_a_calibration_of_the_pass_is_read_and_checked(tmp_path: Any) -> None:
    from kosmoscope.errors import CheckpointError

    file = tmp_path / "detail.json"
    file.write_text('{"bias": -1.0, "weights": {"whole": 2.0}, "unseen": 0.5, "things": 3}')
    found = DetailCalibration.from_file(file)
    assert found.probability({"whole": 0.5, "unknown": 9.0}) == pytest.approx(0.5)
    for text in ('{"weights": {}}', '{"bias": 1, "unseen": -1}', '{"bias": 1e999}', "[]"):
        file.write_text(text)
        with pytest.raises(CheckpointError, match=r"detail\.json"):
            DetailCalibration.from_file(file)


def test_kinds_and_their_phrases() -> None:
    assert kind_of("two men in hats") == kind_of("a woman") == "person"
    assert kind_of("a red bike") == "bicycle"
    assert kind_of("mobile phones") == "cell phone"
    assert kind_of("houses") == kind_of("a house") == "house"
    assert kind_of("a snowman") == "snowman"
    assert asked("airplane") == ("airplanes", "an airplane")
    assert (asked("sky"), one_of("sky")) == (("sky",), "sky")


@given(st.lists(st.floats(0, 1), max_size=6))
def test_counts_are_those_of_all_outcomes(probabilities: list[float]) -> None:
    shares = [0.0] * (len(probabilities) + 1)
    for outcome in itertools.product((0, 1), repeat=len(probabilities)):
        share = math.prod(
            p if there else 1 - p for p, there in zip(probabilities, outcome, strict=True)
        )
        shares[sum(outcome)] += share
    assert distribution(probabilities) == pytest.approx(shares, abs=1e-9)


@given(st.lists(st.floats(0, 1), max_size=6), st.floats(0.01, 8))
def test_the_unseen_add_to_the_mean(probabilities: list[float], unseen: float) -> None:
    shares = distribution(probabilities, unseen)
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    mean = sum(n * share for n, share in enumerate(shares))
    assert mean == pytest.approx(sum(probabilities) + unseen, abs=1e-2)


def test_quantiles() -> None:
    assert [quantile([0.2, 0.5, 0.3], at) for at in (0.1, 0.2, 0.5, 0.7, 0.9, 1)] == [
        0, 0, 1, 1, 2, 2,
    ]  # fmt: skip
    assert quantile([1.0], 0.5) == 0
