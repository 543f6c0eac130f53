"""What nouns mean, what colours are called, and what is known of a picture from what was said."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pictures as made_pictures
from kosmoscope.evaluation.words import CLASS_NAMES
from kosmoscope.export.nouns import head_noun
from kosmoscope.geometry import XYXY
from kosmoscope.questions.colours import colour_map, colours_in
from kosmoscope.questions.evaluate.columns import COLOUR_NAMES
from kosmoscope.questions.known import UNSCORED, folder_of, named, record_of
from kosmoscope.questions.looking import Looked, day_of, look, place_of
from kosmoscope.questions.words import is_known, meaning
from kosmoscope.types import Box, Entity
from recipes.words.build import WordNet, nouns_of, table_of
from search_results import LEFT, MIDDLE, RIGHT, SIZE, described

KINDS = {
    "animal": "bird cat dog puppy horse sheep cow elephant bear zebra giraffe",
    "vehicle": "bicycle car motorcycle airplane bus train truck boat taxi",
    "food": "banana apple sandwich orange broccoli carrot hot_dog pizza donut cake",
    "furniture": "chair couch bed dining_table bench",
    "person": "man woman boy girl child baby",
    "plant": "tree flower grass potted_plant",
    "fruit": "apple banana orange",
}


def test_kinds() -> None:
    for kind, text in KINDS.items():
        for noun in text.split():
            assert noun.replace("_", " ") in meaning(kind), f"{noun} is a {kind}"
            assert kind not in meaning(noun.replace("_", " "))
    for noun, other in (("sofa", "couch"), ("car", "automobile"), ("bike", "bicycle")):
        assert other in meaning(noun)
        assert noun in meaning(other)
    for noun, other in (("animal", "mouse"), ("animal", "person"), ("building", "tree"),
                        ("vehicle", "dog"), ("container", "car")):  # fmt: skip
        assert other not in meaning(noun)
    assert meaning("qwxz") == {"qwxz"}
    assert not is_known("qwxz")


def test_every_class_of_coco_is_known() -> None:
    unknown = [name for name in CLASS_NAMES if not is_known(head_noun(name))]
    assert unknown == []


def test_the_table_is_made_of_wordnet(tmp_path: Path) -> None:
    data = """  a licence
00000001 03 n 01 physical_entity 0 000 | a
00000002 03 n 02 animal 0 beast 0 001 @ 00000001 n 0000 | b
00000003 03 n 01 canine 0 001 @ 00000002 n 0000 | c
00000004 05 n 02 dog 0 Canis_familiaris 0 001 @ 00000003 n 0000 | d
00000005 05 n 01 dog 1 001 @ 00000001 n 0000 | a support for logs
"""
    index = """  a licence
animal n 1 1 @ 1 1 00000002
beast n 1 1 @ 1 1 00000002
canine n 1 1 @ 1 0 00000003
dog n 2 1 @ 2 1 00000004 00000005
physical_entity n 1 0 1 0 00000001
upper n 1 0 1 0 00000001
"""
    (tmp_path / "data.noun").write_text(data, encoding="latin-1")
    (tmp_path / "index.noun").write_text(index, encoding="latin-1")
    (tmp_path / "index.adj").write_text("upper a 1 0 1 0 00000001\n", encoding="latin-1")
    captions = tmp_path / "captions.txt.gz"
    captions.write_bytes(
        gzip.compress(b"Two dogs and an animal .\nA dog .\nDog, upper animal\n" * 2)
    )
    known = WordNet.read(tmp_path)
    with gzip.open(captions, "rt", encoding="utf-8") as file:
        nouns = nouns_of(file, known)
    assert {"dog", "animal"} <= set(nouns)
    assert "upper" not in nouns
    lines = table_of([n for n in nouns if n in ("dog", "animal")], known)
    # What nobody says is left out, and joins what is below to what is above; EXTRA comes last.
    assert lines[:2] == ["animal,beast||", "dog||0"]


COLOURS = {
    "red": [(255, 0, 0), (139, 0, 0), (255, 99, 71)],
    "orange": [(255, 165, 0), (255, 140, 0)],
    "yellow": [(255, 255, 0), (255, 215, 0)],
    "green": [(0, 128, 0), (0, 255, 0), (107, 142, 35), (0, 60, 0)],
    "blue": [(0, 0, 255), (0, 0, 128), (135, 206, 235)],
    "purple": [(128, 0, 128), (148, 0, 211)],
    "pink": [(255, 192, 203), (255, 105, 180)],
    "brown": [(139, 69, 19), (210, 180, 140), (120, 90, 60)],
    "black": [(0, 0, 0), (20, 20, 24)],
    "white": [(255, 255, 255), (245, 245, 220)],
    "grey": [(128, 128, 128), (192, 192, 192)],
}


def test_names_of_colours() -> None:
    assert set(COLOURS) == set(COLOUR_NAMES)
    for name, some in COLOURS.items():
        found = colour_map(np.array([some], np.uint8))
        assert {COLOUR_NAMES[i] for i in found.ravel()} == {name}, name


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 0.5, 1), ("red",)),
        ((0.5, 0, 1, 1), ("blue",)),
        ((0, 0, 1, 1), ("red", "blue")),
        ((0.45, 0.2, 1, 0.8), ("blue",)),
        ((0, 0, 1e-4, 1e-4), ("red",)),
        ((1, 1, 1, 1), ()),
    ],
)
def test_colours_of_a_box(box: XYXY, expected: tuple[str, ...]) -> None:
    rgb = np.zeros((20, 40, 3), np.uint8)
    rgb[:, :20, 0] = rgb[:, 20:, 2] = 255
    assert colours_in(colour_map(rgb), box) == expected


def test_a_look_at_a_file(tmp_path: Path) -> None:
    exif = made_pictures.exif(6)
    exif.get_ifd(0x8769)[0x9003] = "2024:06:15 12:30:00"
    exif.get_ifd(0x8825).update({1: "S", 2: (33.0, 30.0, 36.0), 3: "E", 4: (151.0, 12.0, 0.0)})
    stored = np.zeros((300, 600, 3), np.uint8)
    stored[:, :300, 0] = 255  # the upper half, once it is upright
    stored[:, 300:, 2] = 255
    Image.fromarray(stored).save(tmp_path / "a.jpg", exif=exif, quality=95)
    found = look(str(tmp_path / "a.jpg"))
    assert (found.taken, found.place) == ("2024-06-15", (-33.51, 151.2))
    assert colours_in(found.colours, (0, 0, 1, 0.5)) == ("red",)
    assert colours_in(found.colours, (0, 0.5, 1, 1)) == ("blue",)
    Image.fromarray(stored).save(tmp_path / "b.png")
    assert (look(str(tmp_path / "b.png")).taken, look(str(tmp_path / "b.png")).place) == (
        None,
        None,
    )


def test_days_and_places_that_are_none() -> None:
    assert day_of("2024:02:29 00:00:00") == "2024-02-29"
    assert [day_of(v) for v in (None, "", "0000:00:00 00:00:00", "2023:02:29", b"x", 7)] == [
        None
    ] * 6
    good = {1: "N", 2: (1, 2, 3), 3: "W", 4: (4, 5, 6)}
    assert place_of(good) == (1.034167, -4.085)
    for wrong in (
        {2: (1, 2)},
        {2: (1, 2, "x")},
        {2: (float("nan"), 0, 0)},
        {2: (99, 0, 0)},
        {1: 0},
    ):
        assert place_of({**good, **wrong}) is None or 1 in wrong
    assert place_of({}) is None


def test_phrases() -> None:
    assert named("Two men in red hats") == ("man", ("two", "man", "in", "red", "hat"), (), 2)
    assert named("a black and white dog")[2] == ("black", "white")
    assert named("an orange") == ("orange", ("an", "orange"), (), 1)
    assert [named(p)[3] for p in ("a dog", "dogs", "people", "three dogs", "glasses", "grass")] == [
        1, 3, 3, 3, 1, 1,
    ]  # fmt: skip
    assert named("")[0] == named("😀")[0] == "thing"
    assert folder_of("/a/Ü b/c.jpg") == "a/u b"
    assert folder_of("x.jpg") == ""
    assert folder_of("C:\\Photos\\x.jpg") == "c:/photos"


def test_what_is_known_of_a_picture() -> None:
    said = described("trip/a.jpg", [("a dog", 0.91234, LEFT), ("trees", 0.8, RIGHT)])
    record = record_of([said], "trip/a.jpg")
    assert [(t.phrase, t.noun, t.probability, t.box, t.number) for t in record.things] == [
        ("a dog", "dog", 0.9123, LEFT, 1), ("trees", "tree", 0.8, RIGHT, 3),
    ]  # fmt: skip
    assert record.words == {"a", "and", "dog", "tree"}
    assert (record.folder, record.taken) == ("trip", None)


def test_one_thing_of_two_texts_counts_once() -> None:
    near = (0.11, 0.41, 0.3, 0.8)
    texts = [
        described("a.jpg", [("a man", 0.7, LEFT)]),
        described("a.jpg", [("a person", 0.9, near), ("a person", 0.6, RIGHT)]),
    ]
    located = [t for t in record_of(texts, "a.jpg").things if t.box]
    assert [(t.phrase, t.box) for t in located] == [("a person", near), ("a person", RIGHT)]


def test_words_without_boxes_and_boxes_without_scores() -> None:
    said = described("a.jpg", [("a dog", 0.9, None)])
    text = "a dog sleeps on the beach"
    said = type(said)(
        **{name: getattr(said, name) for name in said.__dataclass_fields__}
        | {"caption": f"An image of {text}", "text": text}
    )
    things = {t.noun: t for t in record_of([said], "a.jpg").things}
    assert (things["dog"].box, things["dog"].probability) == (None, 0.9)
    assert (things["beach"].box, things["beach"].probability) == (None, 0.5)
    assert "image" not in things
    box = Box.of(MIDDLE, SIZE)
    bare = type(said)(
        **{name: getattr(said, name) for name in said.__dataclass_fields__}
        | {"entities": (Entity("", (0, 0), (box,)),)}
    )
    (thing, *_) = record_of([bare], "a.jpg").things
    assert (thing.noun, thing.probability) == ("thing", UNSCORED)


def test_a_counted_thing_is_as_many_as_were_counted() -> None:
    said = described("a.jpg", [("people", 0.9, LEFT)])
    entity = said.entities[0]
    counted = Entity(
        entity.phrase, entity.span, (*entity.boxes, Box.of(RIGHT, SIZE, confidence=0.5)), 0.9,
        count=5, count_confidence=0.6,
    )  # fmt: skip
    fields = {name: getattr(said, name) for name in said.__dataclass_fields__}
    record = record_of([type(said)(**fields | {"entities": (counted,)})], "a.jpg")
    assert [t.number for t in record.things] == [1, 4]


def test_colours_that_are_seen_join_those_that_are_said() -> None:
    looked = Looked(colour_map(np.full((9, 9, 3), (0, 0, 255), np.uint8)), "2024-01-02")
    record = record_of([described("a.jpg", [("a red car", 0.9, LEFT)])], "a.jpg", looked)
    assert record.things[0].colours == ("red", "blue")
    assert record.taken == "2024-01-02"
