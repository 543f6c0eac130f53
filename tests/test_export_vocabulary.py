"""Phrases to classes: heads by rule, and map files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmoscope.errors import InputError, OptionError
from kosmoscope.export import Report, Vocabulary, head_noun
from kosmoscope.export.nouns import article, plural, singular
from kosmoscope.export.pictures import merge
from test_export_cases import HOSTILE, describe

HEADS = {
    "a man in a red hat": "man",
    "two dogs": "dog",
    "three men": "man",
    "a group of people": "person",
    "some of the people": "person",
    "a herd of cows": "cow",
    "a cup of coffee": "coffee",
    "a pair of glasses": "glasses",
    "the back of a car": "back",
    "the top of the mountain": "top",
    "a vase of roses": "vase",
    "a red and white bus": "bus",
    "a black cat and a dog": "cat",
    "a man and woman": "man",
    "a small, brown dog": "dog",
    "a dog, a cat": "dog",
    "a dog sitting on a bench": "dog",
    "children playing": "child",
    "a car parked on the street": "car",
    "a building made of stone": "building",
    "a man that rides a horse": "man",
    "a large dining table": "dining table",
    "a glass swimming pool": "swimming pool",
    "a tall building": "building",
    "a man fishing in a lake": "man",
    "a fishing boat": "boat",
    "fried chicken": "chicken",
    "a red bed": "bed",
    "the man's hat": "hat",
    "the man's": "man",
    "hot dogs": "hot dog",
    "two wine glasses": "wine glass",
    "traffic lights": "traffic light",
    "snow-covered mountains": "mountain",
    "A  Forest\nwith fog": "forest",
    "a can": "can",
    "a can of soda": "soda",
    "a couple": "couple",
    "two": "two",
    "It": "it",
    "himself": "himself",
    "🎉": "🎉",
    "eine rote Katze": "katze",
    "": "",
    "  ": "",
}


@pytest.mark.parametrize(("phrase", "head"), HEADS.items())
def test_heads(phrase: str, head: str) -> None:
    assert head_noun(phrase) == head


SINGULARS = """
dogs:dog women:woman firemen:fireman children:child people:person feet:foot geese:goose mice:mouse
leaves:leaf knives:knife shelves:shelf buses:bus boxes:box churches:church dishes:dish
potatoes:potato shoes:shoe cookies:cookie babies:baby ponies:pony toys:toy houses:house horses:horse
roses:rose glasses:glasses bus:bus grass:grass dress:dress dresses:dress sheep:sheep
scissors:scissors cactus:cactus walruses:walrus tennis:tennis gas:gas skis:ski ties:tie pies:pie
t-shirts:t-shirt vases:vase canoes:canoe axes:axe specimen:specimen men:man umbrella:umbrella
"""


@pytest.mark.parametrize("pair", SINGULARS.split())
def test_singulars(pair: str) -> None:
    plural, _, one = pair.partition(":")
    assert singular(plural) == one


@pytest.mark.parametrize("pair", [
    "person people", "bus buses", "knife knives", "city cities", "boy boys", "mouse mice",
    "sheep sheep", "scissors scissors", "people people", "trees trees", "dress dresses",
    "traffic-light traffic-lights", "x xes",
])  # fmt: skip
def test_plurals(pair: str) -> None:
    one, many = pair.split()
    assert plural(one) == many
    assert plural(f"red {one}") == f"red {many}"


def test_articles() -> None:
    assert [article(w) for w in ("apple", "dog", "umbrella", "unicycle", "hourglass", "Emu")] == [
        "an", "a", "an", "a", "an", "an"]  # fmt: skip


@given(st.text(max_size=30) | st.sampled_from(HOSTILE))
def test_a_phrase_always_has_a_head(phrase: str) -> None:
    head = head_noun(phrase)
    assert bool(head) == bool(phrase.strip())
    assert head == " ".join(head.split())


def test_phrases_are_normalised() -> None:
    vocabulary = Vocabulary.phrases()
    assert vocabulary.label(" A\u00a0Red\n hat ") == "a red hat"
    assert vocabulary.label("u\u0308") == vocabulary.label("Ü") == "ü"
    assert vocabulary.label("") == vocabulary.label(" ") == "object"
    assert vocabulary.label("\udcff") == "\\xff"
    assert Vocabulary.heads().label("") == "object"


# Map files


def test_a_map_knows_phrases_then_heads() -> None:
    vocabulary = Vocabulary.mapped(
        {"Man": "Person", "a man in a red hat": "Santa", "sky": None, "object": "Thing"}
    )
    assert vocabulary.label("a man in a  red hat") == "Santa"
    assert vocabulary.label("two men") == "Person"
    assert vocabulary.label("the blue sky") is None
    assert vocabulary.label("") == "Thing"
    assert vocabulary.look_up("A dog") == ("a dog", False)
    assert vocabulary.classes == ("Person", "Santa", "Thing")
    assert vocabulary.numbered(["a dog", "Santa"]) == {
        "Person": 0,
        "Santa": 1,
        "Thing": 2,
        "a dog": 3,
    }


@pytest.mark.parametrize("unmapped", ["keep", "drop"])
def test_what_the_map_does_not_have_is_counted(unmapped: str) -> None:
    box = [(0.0, 0.0, 0.5, 0.5)]
    found = describe(("a man", box), ("a dog", box), ("a dog", box), ("the sky", box))
    report = Report()
    vocabulary = Vocabulary.mapped({"man": "person", "sky": ""}, unmapped=unmapped)
    (picture,) = merge([found], vocabulary, report)
    assert report.unmapped == {"a dog": 2}
    kept = ["person", "a dog"] if unmapped == "keep" else ["person"]
    assert [b.label for b in picture.boxes] == kept
    assert report.dropped == (1 if unmapped == "keep" else 3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("map.json", '\ufeff{"a man": "person", "dog": "animal, four legs", "sky": null}'),
        ("map.csv", 'a man,person\r\n\r\ndog,"animal, four legs"\r\nsky,\r\n'),
        ("map.csv", '\ufeffphrase,class\na man,person\n"dog","animal, four legs"\nsky,""'),
        ("noext", '{"a man": "person", "dog": "animal, four legs", "sky": ""}'),
    ],
)
def test_map_files(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode())
    vocabulary = Vocabulary.from_file(path)
    assert dict(vocabulary.mapping) == {
        "a man": "person",
        "dog": "animal, four legs",
        "sky": "",
    }


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("map.json", b'{"a": ', "not JSON"),
        ("map.json", b"[1]", "expected a JSON object"),
        ("map.json", b'{"a": 1}', "expected two texts"),
        ("map.json", b'{"a": {"b": "c"}}', "expected two texts"),
        ("map.json", b'{"a": "x", "A ": "y"}', "'a' has two classes, 'x' and 'y'"),
        ("map.json", b'{"a": "x", "a": "y"}', "'a' has two classes, 'x' and 'y'"),
        ("map.json", b'{"": "x"}', "without a phrase"),
        ("map.json", b"[" * 100_000, "not JSON"),
        ("map.csv", b"a,b,c\n", "line 1 has 3 columns"),
        ("map.csv", b'a,"b\n', "not CSV"),
        ("map.csv", b"\xff\xfe,a\n", "not UTF-8"),
    ],
)
def test_map_files_of_another_shape(tmp_path: Path, name: str, raw: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(InputError, match=message) as caught:
        Vocabulary.from_file(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_no_map_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"map\.json: cannot be read"):
        Vocabulary.from_file(tmp_path / "map.json")
    with pytest.raises(OptionError, match="expected keep or drop"):
        Vocabulary.mapped({}, unmapped="skip")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="expected phrases, heads or map"):
        Vocabulary("nouns")  # type: ignore[arg-type]
