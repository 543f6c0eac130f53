"""The recipe of `pocket`: what is known of a picture, and the texts that are made of it."""

from __future__ import annotations

import numpy as np
import pytest

from kosmoscope.evaluation.data import Truth
from kosmoscope.evaluation.words import CLASS_NAMES
from recipes.pocket.features import TOWER
from recipes.pocket.knowledge import Knowledge, Named, know, sure_from
from recipes.pocket.naming import GROUP, IMAGENET, LABELS, NAMES, name_of
from recipes.pocket.records import Record
from recipes.pocket.targets import brief, detailed, examples, ground, question, verb
from training_cases import BENCH, BOX, DOG, NO_REGIONS, UNNAMED, pair, rows, scene

# torch and transformers announce their own deprecations; they are not ours to fix.
pytestmark = pytest.mark.filterwarnings("default")


# --- knowledge ------------------------------------------------------------------------------


def test_sure_detections_are_named_and_faint_ones_found() -> None:
    seen = rows((DOG, 0.8, BOX), (BENCH, 0.3, (0, 0, 0.2, 0.2)))
    known = know(Record("flickr8k", "a.jpg"), seen, NO_REGIONS, UNNAMED)
    assert list(known.things) == ["dog"]
    assert list(known.faint) == ["bench"]
    assert known.things["dog"][0].right > 0.9 > 0.3 > known.faint["bench"][0].right


def test_labels_go_before_the_detector() -> None:
    boxes = (Truth("dog", (0.26, 0.25, 0.75, 0.75)), Truth("cat", (0, 0, 0.1, 0.1)))
    seen = rows((DOG, 0.5, BOX), (BENCH, 0.36, (0, 0, 1, 1)))
    known = know(Record("coco", "a.jpg", boxes, labels_complete=True), seen, NO_REGIONS, UNNAMED)
    assert list(known.things) == ["dog"]  # the bench was a false alarm
    assert known.things["dog"][0].xyxy_norm == boxes[0].xyxy
    assert list(known.faint) == ["cat"]


def test_the_label_of_a_picture_takes_the_best_box() -> None:
    record = Record("pacs", "a.jpg", label="dog")
    known = know(record, rows((DOG, 0.3, BOX)), NO_REGIONS, UNNAMED)
    assert known.things["dog"][0].xyxy_norm == BOX
    guitar, left = Record("pacs", "b.jpg", label="guitar"), (0.0, 0.0, 0.5, 1.0)
    known = know(guitar, rows((DOG, 0.5, left)), NO_REGIONS, Named("guitar", 0.9, left))
    assert list(known.things) == ["guitar"]  # what the detector called a dog
    assert known.things["guitar"][0].xyxy_norm == left
    assert known.label == known.called == "guitar"


def test_a_label_that_no_network_sees_is_not_learned() -> None:
    lion = Record("tinyimagenet", "a.jpg", (Truth("lion", BOX),), label="lion")
    assert know(lion, rows(), NO_REGIONS, Named("sofa", 0.3, BOX)).label is None
    known = know(lion, rows(), NO_REGIONS, Named("lion", 0.6, (0, 0, 1, 1)))
    assert known.label == "lion"
    assert known.things["lion"][0].xyxy_norm == BOX  # the labelled box goes before the guessed one


def test_a_sure_name_is_given_to_the_main_thing() -> None:
    photo = Record("flickr8k", "a.jpg")
    seen = rows((BENCH, 0.5, (0, 0, 0.2, 0.2)))
    known = know(photo, seen, NO_REGIONS, Named("pagoda", 0.9, BOX))
    assert known.things["pagoda"][0].xyxy_norm == BOX
    assert known.things["pagoda"][0].right < 0.9  # the box is less sure than the name
    assert list(known.things) == ["bench", "pagoda"]
    assert "pagoda" not in know(photo, seen, NO_REGIONS, Named("pagoda", 0.7, BOX)).things


def test_of_two_names_for_one_thing_the_finer_or_the_surer_is_kept() -> None:
    photo, bird = Record("flickr8k", "a.jpg"), CLASS_NAMES.index("bird")
    known = know(photo, rows((bird, 0.9, BOX)), NO_REGIONS, Named("owl", 0.85, BOX))
    assert list(known.things) == ["owl"]
    known = know(photo, rows((DOG, 0.9, BOX)), NO_REGIONS, Named("owl", 0.85, BOX))
    assert list(known.things) == ["dog"]
    known = know(photo, rows((DOG, 0.42, BOX)), NO_REGIONS, Named("owl", 0.85, BOX))
    assert list(known.things) == ["owl"]


def test_where_nothing_is_sure_the_likeliest_is_said_doubtfully() -> None:
    photo = Record("flickr8k", "a.jpg")
    known = know(photo, rows((BENCH, 0.31, (0, 0, 0.2, 0.2))), NO_REGIONS, UNNAMED)
    assert known.things["bench"][0].right < 0.3
    known = know(photo, rows(), NO_REGIONS, Named("pagoda", 0.6, BOX))
    assert known.things["pagoda"][0].right < 0.5
    assert not know(photo, rows(), NO_REGIONS, Named("pagoda", 0.4, BOX)).things


def test_every_class_has_a_name_that_people_use() -> None:
    assert len(IMAGENET) == 1000
    assert [IMAGENET[i] for i in (0, 151, 268, 281, 409, 999)] == [
        "fish", "dog", "dog", "cat", "clock", "toilet paper"]  # fmt: skip
    assert len(LABELS) == len(GROUP) == TOWER.labels
    assert len(NAMES) == TOWER.names
    assert [name_of(n) for n in ("lotus", "alp", "Dalmatian dog", "dollar bill")] == [
        "water lily", "mountain", "dog", None]  # fmt: skip


def test_small_things_are_named_only_when_sure() -> None:
    assert sure_from(0.3) < sure_from(0.05) < sure_from(0.001)


# --- targets --------------------------------------------------------------------------------


def test_a_picture_of_nothing_known_is_a_scene() -> None:
    assert brief(Knowledge(), grounded=True).target == " a scene"
    assert detailed(Knowledge()).target == " The image shows a scene."
    assert ground(Knowledge(), np.random.default_rng(0)) is None


def test_captions_name_groups_and_scenes() -> None:
    assert brief(pair(), grounded=False).target == " a bench and two dogs"
    assert brief(pair(), grounded=True).target == (
        "<phrase> a bench</phrase><object><patch_index_0000><patch_index_0511></object>"
        " and<phrase> two dogs</phrase><object><patch_index_0512><patch_index_0999>"
        "</delimiter_of_multi_objects/><patch_index_0528><patch_index_1023></object>"
    )
    assert brief(scene(), grounded=False).target == " a mountain with the sky"
    assert [verb(w) for w in ("a dog", "two dogs", "trees", "the sky", "many people")] == [
        "is", "are", "are", "is", "are"]  # fmt: skip
    assert detailed(pair()).target.startswith(" The image features<phrase> a bench</phrase>")


def test_every_task_comes_up_and_answers_are_true() -> None:
    rng = np.random.default_rng(1)
    tasks = set()
    for _ in range(300):
        for example in examples(pair(), rng):
            tasks.add(example.task)
            assert example.target.count("<patch_index") == 2 * len(example.boxes)
        asked = question(pair(), rng)
        if asked is None or "Is there" not in asked.prompt:
            continue
        there = any(w in asked.prompt for w in ("dog", "puppy", "bench", "grass", "lawn", "field"))
        assert asked.target == (" Yes" if there and "hot dog" not in asked.prompt else " No")
        assert " cat " not in asked.prompt  # suspected by the detector: nobody knows
    assert tasks == {"brief", "plain", "detailed", "ground", "region", "question"}
