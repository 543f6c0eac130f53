"""Captions, spans and boxes: as in transformers where it is right, and better where it is not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.kosmos2.processing_kosmos2 import (
    clean_text_and_extract_entities_with_bboxes,
)

import tiny_tokenizer
from kosmoscope.grammar import CellBox
from kosmoscope.reading import ReadEntity, StreamReader, TextDelta, marked, read, tagged
from kosmoscope.tokens import Tokenizer, cells_to_xyxy

SNOWMAN = (
    "<grounding> An image of<phrase> a snowman</phrase><object><patch_index_0044>"
    "<patch_index_0863></object> warming himself by<phrase> a fire</phrase><object>"
    "<patch_index_0005><patch_index_0911></object>."
)
GOLDEN = (
    "<grounding> An image of<phrase> a forest with fog</phrase>"
    "<object><patch_index_0224><patch_index_1023></object>"
)
HFEntity = tuple[str, tuple[int, int], list[tuple[float, ...]]]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_file(tiny_tokenizer.save(tmp_path_factory.mktemp("tokenizer")))


def tight(tokenizer: Tokenizer, text: str) -> list[int]:
    """Encode, with what follows a tag directly ("</object>.") left without the prepended space."""
    ids: list[int] = []
    for part in re.findall(r"<[^ ]*?>|[^<]+|<", text):
        encoded = tokenizer.encode_tagged(part)
        if not part.startswith((" ", "<")) and tokenizer.piece(encoded[0]) == " ":
            encoded = encoded[1:]
        ids += encoded
    assert tokenizer.decode(ids, keep_tags=True) == text
    return ids


def in_coordinates(entities: tuple[ReadEntity, ...]) -> list[HFEntity]:
    """What transformers returns for the entities that it keeps."""
    return [
        (
            e.phrase or "<patch_index_{}><patch_index_{}>".format(*corners(e)[0]),
            e.span,
            [cells_to_xyxy(*pair, 32) for pair in corners(e)],
        )
        for e in entities
        if e.boxes
    ]


def corners(entity: ReadEntity) -> list[tuple[int, int]]:
    return [(box.upper_left, box.lower_right) for box in entity.boxes]


# As in transformers


def test_the_golden_case(tokenizer: Tokenizer) -> None:
    """Trap 14: the example that the article prints."""
    ids = tokenizer.encode_tagged(GOLDEN)
    reading = read(ids, tokenizer)
    assert reading.text == "An image of a forest with fog"
    (entity,) = reading.entities
    assert (entity.phrase, entity.span) == ("a forest with fog", (12, 29))
    assert entity.complete
    assert in_coordinates(reading.entities)[0][2] == [(0.015625, 0.234375, 0.984375, 0.984375)]
    assert tokenizer.decode(ids[slice(*entity.tokens)]) == "a forest with fog"
    assert entity.boxes == (CellBox(224, 1023, ids.index(tokenizer.tokens.location_id(224))),)
    assert reading.warnings == ()


def test_the_example_of_transformers_docstring(tokenizer: Tokenizer) -> None:
    reading = read(tight(tokenizer, SNOWMAN), tokenizer)
    expected = (
        "An image of a snowman warming himself by a fire.",
        [
            ("a snowman", (12, 21), [(0.390625, 0.046875, 0.984375, 0.828125)]),
            ("a fire", (41, 47), [(0.171875, 0.015625, 0.484375, 0.890625)]),
        ],
    )
    assert (reading.text, in_coordinates(reading.entities)) == expected
    assert clean_text_and_extract_entities_with_bboxes(SNOWMAN) == expected


words = st.lists(st.sampled_from([w[1:] for w in tiny_tokenizer.WORDS]), min_size=1, max_size=4)
cell = st.integers(0, 31)
corner_pairs = st.tuples(cell, cell, cell, cell).map(
    lambda b: (min(b[1], b[3]) * 32 + min(b[0], b[2]), max(b[1], b[3]) * 32 + max(b[0], b[2]))
)
box = corner_pairs.map(lambda pair: "".join(f"<patch_index_{cell:04d}>" for cell in pair))
boxes = st.lists(box, min_size=1, max_size=3).map(
    lambda found: f"<object>{'</delimiter_of_multi_objects/>'.join(found)}</object>"
)
plain = words.map(lambda w: " " + " ".join(w))
phrase = st.tuples(plain, st.one_of(boxes, st.just(""))).map(
    lambda p: f"<phrase>{p[0]}</phrase>{p[1]}"
)
# Plain text between any two, so that boxes of their own never follow a phrase directly.
grounded_text = st.lists(st.tuples(plain, st.one_of(phrase, boxes, st.just(""))), max_size=5).map(
    lambda parts: "<grounding>" + "".join(map("".join, parts))
)


@settings(deadline=None)
@given(text=grounded_text)
def test_well_formed_text_reads_as_in_transformers(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode_tagged(text)
    assert tokenizer.decode(ids, keep_tags=True) == text
    reading = read([*ids, tokenizer.tokens.eos], tokenizer)
    hf_text, hf_entities = clean_text_and_extract_entities_with_bboxes(text)
    assert reading.text == hf_text
    assert in_coordinates(reading.entities) == hf_entities
    assert len([e for e in reading.entities if e.phrase]) == text.count("<phrase>")
    assert reading.warnings == ()
    assert all(e.complete for e in reading.entities)


# Better than transformers


def test_boxes_that_are_inverted_are_reported(tokenizer: Tokenizer) -> None:
    """Trap 5: transformers returns x2 < x1."""
    text = (
        "<grounding><phrase> a dog</phrase><object><patch_index_0863><patch_index_0044>"
        "</delimiter_of_multi_objects/><patch_index_0001><patch_index_0040></object>"
    )
    (_, _, (hf_box, _)), *_ = clean_text_and_extract_entities_with_bboxes(text)[1]
    assert hf_box[2] < hf_box[0]
    reading = read(tokenizer.encode_tagged(text), tokenizer)
    assert [corners(e) for e in reading.entities] == [[(1, 40)]]
    assert reading.warnings == ("token 6: an inverted box (cells 863, 44) was left out",)


def test_phrases_without_boxes_stay(tokenizer: Tokenizer) -> None:
    """Trap 6: transformers drops them without a word."""
    text = "<grounding><phrase> a dog</phrase> and<phrase> a cat</phrase><object></object> in"
    assert clean_text_and_extract_entities_with_bboxes(text)[1] == []
    reading = read(tokenizer.encode_tagged(text), tokenizer)
    assert [(e.phrase, e.span, e.boxes, e.complete) for e in reading.entities] == [
        ("a dog", (0, 5), (), True),
        ("a cat", (10, 15), (), True),
    ]
    assert reading.warnings == ("token 11: a list of boxes ended where a box was due",)


@pytest.mark.parametrize("length", range(1, 10))
def test_output_that_was_cut_off_says_so(tokenizer: Tokenizer, length: int) -> None:
    """Trap 6: cut anywhere inside an entity, it is there and incomplete."""
    text = "<phrase> a dog</phrase><object><patch_index_0001><patch_index_0040></object>"
    ids = tokenizer.encode_tagged(text)[:length]
    hf = clean_text_and_extract_entities_with_bboxes(tokenizer.decode(ids, keep_tags=True))[1]
    reading = read(ids, tokenizer)
    assert bool(hf) == (length >= 8)
    phrases = [(e.phrase, len(e.boxes), e.complete) for e in reading.entities]
    expected = "a dog" if length > 2 else "a"
    assert phrases == [(expected, int(length >= 7), length >= 8)] * (length > 1)
    assert len(reading.warnings) == (length == 6)


def test_odd_location_tokens_lose_their_pair_only(tokenizer: Tokenizer) -> None:
    """Trap 6: transformers loses the phrase with it."""
    text = (
        "<phrase> a dog</phrase><object><patch_index_0001><patch_index_0040>"
        "</delimiter_of_multi_objects/><patch_index_0002></object>"
    )
    assert clean_text_and_extract_entities_with_bboxes(text)[1] == []
    reading = read(tokenizer.encode_tagged(text), tokenizer)
    assert [(e.phrase, corners(e)) for e in reading.entities] == [("a dog", [(1, 40)])]
    assert reading.warnings == ("token 8: half a box (one corner only) was left out",)


def test_several_boxes_and_boxes_of_their_own(tokenizer: Tokenizer) -> None:
    """Trap 7."""
    pair = (
        "<patch_index_0001><patch_index_0040></delimiter_of_multi_objects/>"
        "<patch_index_0002><patch_index_0041>"
    )
    text = f"<phrase> two dog</phrase><object>{pair}</object> in<object>{pair}</object> fog"
    reading = read(tokenizer.encode_tagged(text), tokenizer)
    assert reading.text == "two dog in fog"
    assert [(e.phrase, e.span, corners(e)) for e in reading.entities] == [
        ("two dog", (0, 7), [(1, 40), (2, 41)]),
        ("", (10, 10), [(1, 40)]),
        ("", (10, 10), [(2, 41)]),
    ]
    assert all(e.tokens[0] == e.tokens[1] for e in reading.entities[1:])
    leading = read(tokenizer.encode_tagged(f"<object>{pair}</object> a fog"), tokenizer)
    hf = clean_text_and_extract_entities_with_bboxes(f"<object>{pair}</object> a fog")[1]
    assert hf[0][1] == (-1, -1)
    assert [e.span for e in leading.entities] == [(0, 0), (0, 0)]


def test_angle_brackets_in_text_survive(tokenizer: Tokenizer) -> None:
    """Trap 8: the regular expression takes them for tags."""
    text = "a < b and c > d"
    assert clean_text_and_extract_entities_with_bboxes(text)[0] == "a  d"
    tokens = tokenizer.tokens
    words = tokenizer.encode(text)
    reading = read([tokens.grounding, *words, tokens.phrase_open, *words, tokens.eos], tokenizer)
    assert reading.text == f"{text} {text}"
    assert reading.entities[0].phrase == text
    assert reading.entities[0].span == (16, 31)


def test_an_end_of_picture_in_the_output_truncates_nothing(tokenizer: Tokenizer) -> None:
    """Trap 8: transformers takes what is after the last </image>."""
    ids = tokenizer.encode_tagged("An image</image> of a dog")
    assert read(ids, tokenizer).text == "An image of a dog"


# Whole prompts


def test_a_pictures_slots_are_no_text(tokenizer: Tokenizer) -> None:
    t = tokenizer.tokens
    ids = [t.bos, t.image_open, *range(4, 68), t.image_close, *tokenizer.encode_tagged(GOLDEN)]
    reading = read(ids, tokenizer)
    assert reading.text == "An image of a forest with fog"
    assert reading.entities[0].span == (12, 29)
    assert tokenizer.decode(ids[slice(*reading.entities[0].tokens)]) == "a forest with fog"
    assert tagged(ids, tokenizer) == GOLDEN
    assert marked(ids, tokenizer) == "<grounding> An image of<phrase> a forest with fog</phrase>"
    assert tagged(ids[:20], tokenizer) == marked(ids[:20], tokenizer) == ""


def test_marked_keeps_text_and_phrases(tokenizer: Tokenizer) -> None:
    ids = tight(tokenizer, SNOWMAN)
    assert tagged(ids, tokenizer) == SNOWMAN
    assert marked(ids, tokenizer) == (
        "<grounding> An image of<phrase> a snowman</phrase> warming himself by"
        "<phrase> a fire</phrase>."
    )


# Streams


def test_a_stream_gives_entities_as_they_end(tokenizer: Tokenizer) -> None:
    reader = StreamReader(tokenizer)
    ids = tokenizer.encode_tagged(GOLDEN)
    items = [reader.feed(i) for i in ids]
    assert [item.text for found in items for item in found if isinstance(item, TextDelta)] == [
        "An", " image", " of", " a", " forest", " with", " fog",
    ]  # fmt: skip
    assert [type(item) for item in items[-1]] == [ReadEntity]
    assert reader.finish() == []
    assert reader.text == read(ids, tokenizer).text


def test_space_is_held_back_until_something_follows(tokenizer: Tokenizer) -> None:
    space, dog = 4, tokenizer.encode("dog")[0]
    assert tokenizer.piece(space) == " "
    reader = StreamReader(tokenizer)
    assert reader.feed(space) == []
    assert reader.feed(dog) == [TextDelta("dog")]
    assert reader.feed(space) == reader.feed(space) == []
    assert reader.feed(dog) == [TextDelta("   dog")]
    assert reader.feed(space) == []
    assert reader.finish() == []
    assert reader.text == "dog   dog"


def test_a_box_after_held_back_space_stays_within_the_text(tokenizer: Tokenizer) -> None:
    t = tokenizer.tokens
    box = [t.object_open, t.location_id(1), t.location_id(40), t.object_close]
    reading = read([*tokenizer.encode("dog"), 4, *box], tokenizer)
    assert reading.text == "dog"
    assert [e.span for e in reading.entities] == [(3, 3)]


structure = [*range(124, 136), *range(5)]  # the tags, the special tokens, a lone space


@settings(deadline=None)
@given(
    ids=st.lists(
        st.one_of(st.sampled_from(structure), st.integers(4, 123), st.integers(136, 1159)),
        max_size=60,
    )
)
def test_any_ids_give_a_text_whose_spans_fit(tokenizer: Tokenizer, ids: list[int]) -> None:
    reading = read(ids, tokenizer)
    assert reading.text == reading.text.strip()
    for e in reading.entities:
        assert reading.text[slice(*e.span)] == e.phrase == e.phrase.strip()
        assert 0 <= e.span[0] <= e.span[1] <= len(reading.text)
        own = (i for i in ids[slice(*e.tokens)] if tokenizer.tokens.is_text(i))
        assert "".join(map(tokenizer.piece, own)).strip() == e.phrase
    if tokenizer.tokens.image_open not in ids:
        assert reading.text == "".join(map(tokenizer.piece, ids)).strip()
    reader = StreamReader(tokenizer)
    items = [item for i in ids for item in reader.feed(i)] + reader.finish()
    assert "".join(i.text for i in items if isinstance(i, TextDelta)) == reading.text
    assert tuple(i for i in items if isinstance(i, ReadEntity)) == reading.entities
    assert reader.warnings == reading.warnings
    assert all(i.text for i in items if isinstance(i, TextDelta))
    assert isinstance(tagged(ids, tokenizer) + marked(ids, tokenizer), str)
