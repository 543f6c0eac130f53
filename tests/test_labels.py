"""Which answers count for a list of labels: what a description names, and what is sure."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kosmoscope.errors import OptionError
from kosmoscope.geometry import XYXY
from kosmoscope.labels import UNNAMED_SCORE, Label, labels_of, phrases_of, sorted_out, words_of
from kosmoscope.results import Description
from kosmoscope.types import Box, Entity
from server_process import PHOTOS, pocket

Found = tuple[XYXY, float]
HERE: XYXY = (0.1, 0.1, 0.5, 0.5)
NEARLY: XYXY = (0.1, 0.1, 0.5, 0.51)
THERE: XYXY = (0.5, 0.5, 0.9, 0.9)


@pytest.fixture(scope="module")
def some() -> Description:
    """Any description, to be filled."""
    return pocket().describe(PHOTOS / "china.jpg")


def saying(
    some: Description, **boxes: tuple[XYXY, float] | list[tuple[XYXY, float]]
) -> Description:
    entities = []
    for phrase, given in boxes.items():
        listed = given if isinstance(given, list) else [given]
        found = tuple(Box.of(xyxy, (640, 427), score) for xyxy, score in listed)
        entities.append(Entity(phrase.replace("_", " "), (0, 0), found))
    return replace(some, entities=tuple(entities))


def kept(labels: list[Label], answers: list[Description], *rest: object) -> list[list[XYXY]]:
    by_phrase = {a.entities[0].phrase: a for a in answers}
    found = sorted_out(labels, by_phrase, *rest)  # type: ignore[arg-type]
    return [[b.xyxy for d in own for e in d.entities for b in e.boxes] for own in found]


def test_what_the_description_names_counts_whatever_its_score(some: Description) -> None:
    labels = labels_of("Puppy = a dog; car")
    answers = [saying(some, a_dog=(HERE, 0.05)), saying(some, car=(THERE, 0.5))]
    told = saying(some, two_dogs=(HERE, 0.9))
    assert kept(labels, answers, told) == [[HERE], []]
    assert kept(labels, answers, saying(some, a_red_car=(HERE, 0.9))) == [[], [THERE]]
    assert kept(labels, answers) == [[], []]


def test_what_it_does_not_name_must_be_sure_and_have_its_place_alone(some: Description) -> None:
    labels = labels_of("dog; cat; car")
    sure = UNNAMED_SCORE
    answers = [
        saying(some, dog=(HERE, 0.1)), saying(some, cat=[(NEARLY, 0.99), (THERE, sure)]),
        saying(some, car=[(THERE, 0.95), ((0.0, 0.8, 0.1, 0.9), sure - 0.01)]),
    ]  # fmt: skip
    told = saying(some, a_dog=(HERE, 0.9))
    assert kept(labels, answers, told) == [[HERE], [], [THERE]]
    # Nothing is named: the surest of those at a place stays.
    assert kept(labels, answers) == [[], [NEARLY], [THERE]]


def test_a_phrase_without_a_noun_is_named_by_none(some: Description) -> None:
    answers = [saying(some, the=(HERE, 0.1))]
    assert kept([Label.of("the")], answers, saying(some, of=(HERE, 0.9))) == [[]]


def test_a_threshold_is_all_that_counts(some: Description) -> None:
    labels = labels_of("dog; cat")
    answers = [saying(some, dog=(HERE, 0.3)), saying(some, cat=(NEARLY, 0.2))]
    told = saying(some, a_cat=(HERE, 0.9))
    assert kept(labels, answers, told, 0.25) == [[HERE], []]
    assert kept(labels, answers, None, 0.0) == [[HERE], [NEARLY]]
    with pytest.raises(OptionError, match="min_score is 2"):
        kept(labels, answers, None, 2)


def test_two_phrases_that_find_one_thing_find_it_once(some: Description) -> None:
    labels = labels_of("vehicle = a car, a truck")
    assert phrases_of([*labels, *labels]) == ["a car", "a truck"]
    answers = [saying(some, a_car=(HERE, 0.3)), saying(some, a_truck=[(NEARLY, 0.4), (THERE, 0.1)])]
    assert kept(labels, answers, None, 0.0) == [[NEARLY, THERE]]


def test_labels_are_words() -> None:
    found = labels_of("dog; traffic_light ;Person= a man,a  woman , ;TV;Stop Sign")
    assert [(label.name, label.phrases) for label in found] == [
        ("dog", ("dog",)), ("traffic_light", ("traffic light",)),
        ("Person", ("a man", "a woman")), ("TV", ("TV",)), ("Stop Sign", ("stop sign",)),
    ]  # fmt: skip
    assert words_of("iPhone_12 A") == "iPhone 12 a"
