"""Frozen results: their checks, their JSON, how they print."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmoscope import errors
from kosmoscope.errors import InputError
from kosmoscope.results import Description
from kosmoscope.types import SCHEMA_VERSION, Box, Entity, ImageInfo, Timing


def hand_made() -> Description:
    """The article's example, with more of everything."""
    caption = "An image of a forest with fog and two men near a fire"
    return Description(
        image=ImageInfo("fôto.jpg", 640, 320, 3),
        model="kosmos-2",
        precision="int8",
        prompt="An image of",
        caption=caption,
        text=caption.removeprefix("An image of "),
        tagged="<grounding> An image of<phrase> a forest with fog</phrase><object>",
        marked="<grounding> An image of<phrase> a forest with fog</phrase>",
        raw="<image> words </image><grounding> An image of",
        entities=(
            Entity(
                "a forest with fog", (12, 29),
                (Box.of((0.015625, 0.234375, 0.984375, 0.984375), (640, 320), 0.875,
                        (0.02, 0.23, 0.98, 0.99)),), 0.5,
            ),
            Entity("two men", (34, 41), (
                Box.of((0.1, 0.2, 0.3, 0.4), (640, 320)),
                Box.of((0.5, 0.25, 0.75, 1.0), (640, 320), 1.0),
            )),
            Entity("a fire", (47, 53), (), 0.25, complete=False),
        ),
        token_ids=(17, 4, 2),
        finish_reason="length",
        timing=Timing(0.1, 0.2, 0.3, 0.4, 1.125, 3, 2, 1),
        warnings=("token 5: half a box (one corner only) was left out",),
    )  # fmt: skip


def test_repr_reads_well() -> None:
    assert repr(hand_made()) == "\n".join([
        "Description('An image of a forest with fog and two men near a fire'",
        "  1. 'a forest with fog'  [0.02, 0.23, 0.98, 0.98] 0.88",
        "  2. 'two men'  [0.10, 0.20, 0.30, 0.40]  [0.50, 0.25, 0.75, 1.00] 1.00",
        "  3. 'a fire'  (no box)",
        "  fôto.jpg 640x320, kosmos-2 int8, 3 tokens, length, 1.12 s)",
    ])  # fmt: skip
    empty = dataclasses.replace(hand_made(), entities=())
    assert len(repr(empty).splitlines()) == 2


def test_pixels_are_corners_times_size() -> None:
    box = hand_made().entities[0].boxes[0]
    assert box.xyxy_px == (10.0, 75.0, 630.0, 315.0)
    assert Box.of((0, 0, 1, 1), (3, 5)) == Box((0, 0, 1, 1), (0, 0, 3, 5), None, None)


def test_json_round_trip() -> None:
    found = hand_made()
    for indent in (None, 2):
        text = found.to_json(indent=indent)
        assert Description.from_json(text) == found
        assert hash(Description.from_json(text)) == hash(found)
    assert "fôto.jpg" in found.to_json()
    data = found.to_dict()
    assert data["schema"] == SCHEMA_VERSION == 1
    assert data == json.loads(found.to_json()), "lists and dicts all the way down"
    assert Description.from_dict(data) == found
    assert [set(data)] == [{"schema"} | {f.name for f in dataclasses.fields(Description)}]
    bare = dataclasses.replace(found, entities=(), warnings=(), timing=Timing())
    assert Description.from_json(bare.to_json()) == bare


numbers = st.floats(0, 1, allow_nan=False)
boxes = st.builds(
    Box, st.tuples(numbers, numbers, numbers, numbers), st.tuples(*[st.floats(0, 1e6)] * 4),
    st.none() | numbers, st.none() | st.tuples(numbers, numbers, numbers, numbers),
)  # fmt: skip
entities = st.builds(
    Entity, st.text(max_size=20), st.tuples(st.integers(0, 99), st.integers(0, 99)),
    st.lists(boxes, max_size=3).map(tuple), st.none() | numbers, st.booleans(),
)  # fmt: skip


@given(st.lists(entities, max_size=3), st.text(), st.lists(st.text(), max_size=2))
def test_any_result_survives_json(found: list[Entity], text: str, warnings: list[str]) -> None:
    whole = dataclasses.replace(
        hand_made(), entities=tuple(found), caption=text, warnings=tuple(warnings)
    )
    assert Description.from_json(whole.to_json()) == whole


def test_nothing_can_be_changed() -> None:
    found = hand_made()
    parts: list[Any] = [found, found.image, found.timing, found.entities[0],
                        found.entities[0].boxes[0]]  # fmt: skip
    for part in parts:
        for field in dataclasses.fields(part):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(part, field.name, 1)
        # TypeError: CPython's own, for a frozen class with slots.
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
            part.extra = 1
        assert pickle.loads(pickle.dumps(part)) == part
        assert copy.deepcopy(part) == part
        assert not hasattr(part, "__dict__")


def changed(**values: Any) -> dict[str, Any]:
    return {**hand_made().to_dict(), **values}


def without(key: str) -> dict[str, Any]:
    return {k: v for k, v in hand_made().to_dict().items() if k != key}


def with_entity(**values: Any) -> dict[str, Any]:
    data = hand_made().to_dict()
    data["entities"][0].update(values)
    return data


def repr_of_change(data: dict[str, Any]) -> str:
    """Name a case by what is different."""
    sound = hand_made().to_dict()
    gone = [f"-{k}" for k in sound if k not in data]
    return " ".join(gone + [f"{k}={v}"[:40] for k, v in data.items() if sound.get(k) != v])


@pytest.mark.parametrize("data", [
    changed(schema=2), changed(schema=0), changed(schema="1"), changed(schema=None),
    without("schema"), {}, without("caption"), without("image"),
    without("entities"), without("token_ids"), without("finish_reason"),
    changed(image=None), changed(image={"path": "x"}), changed(timing=[1]),
    changed(timing={"total": "9"}), changed(entities=5), changed(entities=["abc"]),
    changed(entities=[{}]), changed(token_ids=["x"]), changed(token_ids=None),
    changed(warnings=None), changed(token_ids=[math.inf]),
    with_entity(span=[1]), with_entity(span=[1, 2, 3]), with_entity(span=None),
    changed(caption=5), changed(finish_reason="maybe"), changed(model=None), with_entity(phrase=7),
    changed(warnings="abc"), changed(image={"path": 1, "width": "x", "height": None}),
    with_entity(boxes=[{}]), with_entity(boxes=None), with_entity(span=[0, math.inf]),
    with_entity(boxes=[{"xyxy": [0, 0, 1], "xyxy_px": [0, 0, 1, 1], "score": 1, "refined": None}]),
], ids=repr_of_change)  # fmt: skip
def test_dicts_that_are_no_description(data: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        Description.from_dict(data)
    assert "schema" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_later_versions_may_add_is_passed_over() -> None:
    found = hand_made()
    for data in (changed(extra=1), changed(image={**found.to_dict()["image"], "camera": "x"})):
        assert Description.from_dict(data) == found
    assert Description.from_dict(without("timing")).timing == Timing()


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", '"x"', "[" * 100_000, "9" * 5000,
                                  '{"schema": 1}', '{"schema": ' + "9" * 5000 + "}"],
                         ids=lambda t: t[:13])  # fmt: skip
def test_texts_that_are_no_description(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Description.from_json(text)
    assert "\n" not in str(caught.value)


def test_the_error_tree_is_as_drawn() -> None:
    drawn = errors.__doc__ or ""
    named: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in drawn.splitlines():
        words = line.replace("|", " ").replace("+--", "   ").split()
        if not words or not words[0].endswith("Error"):
            continue
        depth = line.index(words[0])
        while stack and stack[-1][0] >= depth:
            stack.pop()
        if stack:
            named[words[0]] = stack[-1][1]
        stack.append((depth, words[0]))
    real = {
        name: value.__bases__[0].__name__ for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.KosmoscopeError)
        and value is not errors.KosmoscopeError
    }  # fmt: skip
    assert named == real
    assert issubclass(InputError, ValueError)
    for name in real:
        kind = getattr(errors, name)
        error = kind("x.png", "bad") if issubclass(kind, errors.ImageError) else kind("bad")
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (kind, str(error))
