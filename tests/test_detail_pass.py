"""The detail pass through the small model that ships: what holds whatever it says."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import kosmoscope
from kosmoscope.detail import Closer, Detail, Looked, Said, look_closer
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import ImageError, OptionError, PromptError
from kosmoscope.export.things import kind_of
from kosmoscope.geometry import iou
from kosmoscope.prompts import describe_prompt
from kosmoscope.results import Description
from kosmoscope.scope import Scope

TWO = Detail.of(2)


@pytest.fixture(scope="module")
def scope() -> Scope:
    return kosmoscope.load("pocket", threads=1)


@pytest.fixture(scope="module")
def street(photos: Path) -> np.ndarray:
    """A photo of 480x320 pixels."""
    with Image.open(photos / "china.jpg") as image:
        return np.array(image.convert("RGB").resize((480, 320)))


@pytest.fixture(scope="module")
def found(scope: Scope, street: np.ndarray) -> Description:
    return scope.describe(street, detail=2)


def untimed(description: Description) -> Description:
    return replace(description, timing=kosmoscope.Timing())


def same(ours: Description, theirs: Description) -> None:
    """The same but for the last digits of scores, which depend on what shares a pass."""
    assert (ours.caption, ours.token_ids) == (theirs.caption, theirs.token_ids)
    assert [e.phrase for e in ours.entities] == [e.phrase for e in theirs.entities]
    for a, b in zip(ours.entities, theirs.entities, strict=True):
        assert (a.source, a.count) == (b.source, b.count)
        for x, y in zip(a.boxes, b.boxes, strict=True):
            assert x.source == y.source
            assert x.xyxy == pytest.approx(y.xyxy, abs=1e-3)
            assert x.shown_score == pytest.approx(y.shown_score, abs=1e-2)


def test_the_caption_and_its_boxes_stay(
    scope: Scope, street: np.ndarray, found: Description
) -> None:
    once = scope.describe(street)
    assert (found.caption, found.token_ids) == (once.caption, once.token_ids)
    assert len(found.entities) >= len(once.entities) > 0
    for before, after in zip(once.entities, found.entities, strict=False):
        assert (after.phrase, after.span, after.source) == (before.phrase, before.span, "whole")
        kept = after.boxes[: len(before.boxes)]
        assert [b.xyxy for b in kept] == [b.xyxy for b in before.boxes]
        assert {b.source for b in kept} == {"whole"}
        assert all(b.confidence is not None for b in kept)


def test_more_is_found_and_says_where_it_is_from(scope: Scope, street: np.ndarray) -> None:
    once = scope.describe(street)
    closely = scope.describe(street, detail=Detail(tiles=2, least=0.0))
    assert sum(len(e.boxes) for e in closely.entities) > sum(len(e.boxes) for e in once.entities)
    end = len(closely.caption)
    for entity in closely.entities[len(once.entities) :]:
        assert entity.span == (end, end)
        assert entity.source in ("tile", "regrounded", "detected")
        assert entity.phrase
    for entity in closely.entities:
        for box in entity.boxes:
            assert box.source is not None
            assert 0 <= (box.shown_score or 0) <= 1
            x1, y1, x2, y2 = box.xyxy
            assert 0 <= x1 < x2 <= 1
            assert 0 <= y1 < y2 <= 1
            assert box.xyxy_px == pytest.approx((x1 * 480, y1 * 320, x2 * 480, y2 * 320), abs=1)
    # What the caption does not have is no piece of it.
    assert "".join(text for text, _ in closely.pieces()) == closely.caption
    assert all(text for text, _ in closely.pieces())


def test_what_the_detector_alone_sees_counts_too(scope: Scope, photos: Path) -> None:
    with Image.open(photos / "friends_by_Aitzol_Berasategi.jpg") as image:
        dogs = np.array(image.convert("RGB"))
    seen = scope.encode(dogs)
    detections = scope.detections(seen)
    assert detections is not None
    (best, *_) = detections.candidates(0.0)
    without = scope.describe(dogs, detail=Detail(tiles=1, least=0.0, detections=False))
    closely = scope.describe(dogs, detail=Detail(tiles=1, least=0.0))
    assert all(b.source != "detected" for e in without.entities for b in e.boxes)
    assert any(
        iou(box.xyxy, best.xyxy) > 0.5
        for entity in closely.entities
        if kind_of(entity.phrase) == kind_of(best.name)
        for box in entity.boxes
    )
    lone = [b for e in closely.entities for b in e.boxes if b.source == "detected"]
    assert lone
    for box in lone:  # nobody put them into words: there is no score of words
        assert box.score is None
        assert box.confidence is not None
        assert 0 < (box.support or 0) <= 1


def test_a_higher_bar_leaves_fewer(scope: Scope, street: np.ndarray) -> None:
    counts = [
        sum(
            len(e.boxes)
            for e in scope.describe(street, detail=Detail(tiles=2, least=least)).entities
        )
        for least in (0.0, 0.3, 1.0)
    ]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[2]


def test_results_survive_json(found: Description) -> None:
    assert Description.from_json(found.to_json()) == found
    # What an earlier version wrote has none of the new fields, and is read as it was.
    data = found.to_dict()
    for entity in data["entities"]:
        for name in ("source", "count", "count_confidence"):
            del entity[name]
        for box in entity["boxes"]:
            del box["source"], box["listed"], box["support"]
    old = Description.from_dict(data)
    assert {e.source for e in old.entities} == {None}
    assert [e.phrase for e in old.entities] == [e.phrase for e in found.entities]


def test_results_are_drawn_and_exported(found: Description, street: np.ndarray) -> None:
    assert found.draw(street).size == (480, 320)
    coco = found.to_coco()
    assert len(coco["annotations"]) == sum(len(e.boxes) for e in found.entities)
    assert found.to_csv().count("\n") >= len(coco["annotations"])
    assert all(e.phrase in found.to_markdown() for e in found.entities)


def test_the_same_twice(scope: Scope, street: np.ndarray, found: Description) -> None:
    assert untimed(scope.describe(street, detail=2)) == untimed(found)


def test_together_as_alone(scope: Scope, street: np.ndarray, found: Description) -> None:
    flipped = np.ascontiguousarray(street[:, ::-1])
    ask = partial(describe_prompt, prompt=None)
    subjects = [scope.subject(picture, ask) for picture in (flipped, street)]
    one, two = scope.describe_closely(subjects, TWO)
    same(two, found)
    same(one, scope.describe(flipped, detail=2))


class Counting:
    """A model that counts what it is asked."""

    def __init__(self, scope: Scope) -> None:
        self.seen_px, self.detail_calibration = scope.seen_px, scope.detail_calibration
        self.scope, self.looks, self.texts = scope, 0, 0

    def look(self, *given: Any) -> Any:
        self.looks += 1
        return self.scope.look(*given)

    def detections(self, seen: Any) -> Any:
        return self.scope.detections(seen)

    def complete(self, prompts: Any, options: Any = None) -> Any:
        self.texts += len(prompts)
        return self.scope.complete(prompts, options)


@pytest.mark.parametrize(
    ("detail", "looks"),
    [
        (Detail(tiles=1), 1),
        (Detail(tiles=2), 5),
        (Detail(tiles=2, looks=1), 1),
        (Detail(tiles=2, looks=4), 1),  # four tiles and the whole are five
        (Detail(tiles=3, looks=6), 5),
        (Detail(tiles=3, looks=10), 7),  # three by two
        (Detail(tiles=2, seconds=0.0), 1),
    ],
)
def test_the_budget_is_kept(scope: Scope, street: np.ndarray, detail: Detail, looks: int) -> None:
    model = Counting(scope)
    steps = list(look_closer(model, [scope.subject(street, describe_prompt)], detail))
    closer = steps[-1]
    assert isinstance(closer, Closer)
    assert model.looks == closer.looks == looks
    assert sum(isinstance(s, Looked) for s in steps) == looks
    assert sum(isinstance(s, Said) for s in steps) == 1
    if detail.seconds == 0.0:
        assert model.texts == 1, "the caption, and nothing more"


def test_another_look_costs_what_is_left_and_no_more(scope: Scope, street: np.ndarray) -> None:
    model = Counting(scope)
    detail = Detail(tiles=2, looks=7, verify=True)
    *_, closer = look_closer(model, [scope.subject(street, describe_prompt)], detail)
    assert isinstance(closer, Closer)
    assert 5 < model.looks <= 7
    assert model.looks == closer.looks
    assert any(t.found_again is not None for t in closer.things)


def test_without_asking_again_only_views_are_described(scope: Scope, street: np.ndarray) -> None:
    model = Counting(scope)
    list(
        look_closer(
            model, [scope.subject(street, describe_prompt)], Detail(tiles=2, reground=False)
        )
    )
    assert model.texts == 5


def test_closing_stops_the_looks(scope: Scope, street: np.ndarray) -> None:
    model = Counting(scope)
    steps = look_closer(model, [scope.subject(street, describe_prompt)], TWO)
    next(steps)
    steps.close()
    assert model.looks == 1


def test_a_stream_ends_with_the_result(scope: Scope, street: np.ndarray, found: Any) -> None:
    looks, descriptions = 0, []
    for step in scope.stream_closely(street, detail=2):
        if isinstance(step, Looked):
            looks += 1
            assert looks == step.looks <= step.planned
        else:
            descriptions.append(step)
    assert looks == 5
    assert [len(descriptions), descriptions[0].caption] == [2, found.caption]
    same(descriptions[1], found)


def test_options_are_of_the_whole_alone(scope: Scope, street: np.ndarray) -> None:
    long = scope.describe(street, "detailed", detail=2, max_new_tokens=5)
    assert long.finish_reason == "length"
    assert len(long.token_ids) == 5
    beams = scope.describe(street, detail=2, num_beams=2)
    assert beams.token_ids == scope.describe(street, num_beams=2).token_ids


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (900, 2), (1600, 60)])
def test_odd_pictures(scope: Scope, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (size[1], size[0], 3), np.uint8)
    for detail in (1, 3, "auto"):
        found = scope.describe(rgb, detail=detail)
        assert (found.image.width, found.image.height) == size
        assert found.caption
    assert scope.count(rgb, "dogs").number >= 0


BAD: list[tuple[Any, str]] = [
    (0, "detail is 0"), (-1, "detail is -1"), (7, "detail is 7"), (10**9, "1 to 6"),
    (True, "detail is True"), (2.0, "detail is 2.0"), ("2", "detail is '2'"), ("", "detail is ''"),
]  # fmt: skip


@pytest.mark.parametrize(("detail", "words"), BAD)
def test_unusable_levels(scope: Scope, street: np.ndarray, detail: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        scope.describe(street, detail=detail)
    with pytest.raises(OptionError, match=words):
        scope.count(street, "dogs", detail=detail)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"looks": 0}, "looks is 0"),
        ({"looks": 65}, "looks is 65"),
        ({"seconds": -1}, "seconds is -1"),
        ({"seconds": math.nan}, "seconds is nan"),
        ({"least": 1.5}, "least is 1.5"),
        ({"least": True}, "least is True"),
        ({"fuse": 1}, "fuse is 1"),
        ({"phrases": "dogs"}, "phrases is 'dogs'"),
        ({"phrases": (" ",)}, "phrases is"),
    ],
)
def test_unusable_details(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Detail(**fields)


def test_what_makes_no_sense_is_refused(scope: Scope, street: np.ndarray) -> None:
    with pytest.raises(OptionError, match="an encoded one"):
        scope.describe(scope.encode(street), detail=2)
    with pytest.raises(OptionError, match="none are wanted"):
        scope.describe(street, detail=2, grounded=False)
    with pytest.raises(OptionError, match="unknown option"):
        scope.describe(street, detail=2, tokens=3)  # type: ignore[call-arg]
    with pytest.raises(ImageError, match="gone"):
        scope.describe("gone.jpg", detail=2)


def test_counts(scope: Scope, street: np.ndarray) -> None:
    many = scope.count(street, "houses", detail=2)
    assert many.phrase == "houses"
    assert many.low <= many.number <= many.high
    assert len(many.boxes) <= many.number
    assert 0 < (many.confidence or 0) <= 1
    assert many.to_dict()["image"]["width"] == 480
    two = scope.count_all(street, ["houses", "elephants"], detail=2)
    assert (two[0].number, two[0].low) == (many.number, many.low)
    assert two[1].low == 0, "no elephant in China"
    assert two[1].number < two[0].number
    for phrase in ("", "   "):
        with pytest.raises(PromptError, match="expected words"):
            scope.count(street, phrase)
    with pytest.raises(PromptError):
        scope.count(street, "a <object> dog")
    with pytest.raises(PromptError, match="reads"):
        scope.count(street, "dog " * 5000)


def test_a_tasks_key_says_how_closely() -> None:
    assert (TWO.key, Detail().key) == ("detail-2", "detail-auto")
    keys = {TWO.key, replace(TWO, looks=3).key, replace(TWO, least=0.5).key, Detail.of(3).key}
    assert len(keys) == 4
    assert all(key.startswith("detail-") for key in keys)
    assert replace(TWO, looks=3).key == replace(Detail.of(2), looks=3).key


# Lists of boxes: the delimiter's probability


def test_lists_stop_where_they_are_told(scope: Scope, street: np.ndarray) -> None:
    picture = scope.encode(street)

    def boxes(**options: Any) -> tuple[kosmoscope.Box, ...]:
        return scope.ground(picture, "people", **options).entities[0].boxes

    plain = boxes()
    assert len(boxes(another=1.0)) == 1
    assert len(boxes(another=0.0, max_boxes=4)) == 4
    assert len(boxes(max_boxes=1)) == 1
    long = boxes(another=0.0, max_boxes=4)
    assert [b.xyxy for b in long[: len(plain)]] == [b.xyxy for b in plain[:4]]
    assert long[0].listed is None
    chances = [b.listed for b in long[1:]]
    assert all(c is not None and 0 < c < 1 for c in chances)
    # Each list goes on as far as the model's own probabilities exceed the bar.
    for bar in (0.05, 0.3, 0.6):
        some = boxes(another=bar, max_boxes=4)
        assert all((b.listed or 0) > bar for b in some[1:])
        if len(some) < 4:
            assert (long[len(some)].listed or 0) <= bar


@pytest.mark.parametrize(
    "options",
    [
        {"another": 0.2, "num_beams": 2},
        {"another": 0.2, "temperature": 1.0},
        {"max_boxes": 2, "constrained": False},
        {"another": 1.5},
        {"another": -0.1},
        {"max_boxes": -1},
    ],
)
def test_lists_cannot_be_told_otherwise(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        GenerationOptions(**options)
