"""Tagged text of other runs: as transformers reads it, and as this package's own reader does."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.kosmos2.processing_kosmos2 import (
    clean_text_and_extract_entities_with_bboxes,
)

import tiny_tokenizer
from kosmoscope.errors import InputError, OptionError, PromptError
from kosmoscope.export import to_coco, to_links
from kosmoscope.parsing import parse_tagged
from kosmoscope.reading import marked, read, tagged
from kosmoscope.results import Description
from kosmoscope.tokens import Tokenizer, cells_to_xyxy

SNOWMAN = (
    "<grounding> An image of<phrase> a snowman</phrase><object><patch_index_0044>"
    "<patch_index_0863></object> warming himself by<phrase> a fire</phrase><object>"
    "<patch_index_0005><patch_index_0911></object>."
)
SLOTS = "<image> the, to and of as in I that' for is was- on’ it with The as at bet he</image>"
WH = (640, 480)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_file(tiny_tokenizer.save(tmp_path_factory.mktemp("tokenizer")))


def found(description: Description) -> list[tuple[str, tuple[int, int], list[object]]]:
    return [(e.phrase, e.span, [b.xyxy for b in e.boxes]) for e in description.entities]


def test_the_model_cards_example() -> None:
    d = parse_tagged(SNOWMAN, WH, path="snowman.jpg", model="kosmos-2")
    assert d.caption == d.text == "An image of a snowman warming himself by a fire."
    assert found(d) == [
        ("a snowman", (12, 21), [(0.390625, 0.046875, 0.984375, 0.828125)]),
        ("a fire", (41, 47), [(0.171875, 0.015625, 0.484375, 0.890625)]),
    ]
    assert d.entities[0].boxes[0].xyxy_px == (250.0, 22.5, 630.0, 397.5)
    assert (d.tagged, d.raw, d.model, d.precision) == (SNOWMAN, SNOWMAN, "kosmos-2", "unknown")
    assert d.marked == re.sub("<object>.*?</object>", "", SNOWMAN)
    assert (d.token_ids, d.finish_reason, d.warnings, d.prompt) == ((), "stop", (), "")
    assert (d.image.path, d.image.width, d.image.height) == ("snowman.jpg", *WH)
    assert Description.from_json(d.to_json()) == d
    assert len(to_coco([d])["annotations"]) == 2


@pytest.mark.parametrize(
    "raw",
    [
        SLOTS + SNOWMAN,
        f"<s>{SLOTS}{SNOWMAN}</s><pad><pad>",
        f"<image> a</image> An image of a dog.{SLOTS}{SNOWMAN}",
    ],
)
def test_raw_generated_text(raw: str) -> None:
    expected = parse_tagged(SNOWMAN, WH)
    assert replace(parse_tagged(raw, WH), raw=SNOWMAN) == expected


PIECES = (
    " a dog", " a b", "x", ",", ".", "  ", "<phrase>", "</phrase>", "<object>", "</object>",
    "</delimiter_of_multi_objects/>", "<patch_index_0044>", "<patch_index_0863>",
    "<patch_index_0000>", "<grounding>", "</doc>", "<s>", "</s>", "<pad>",
)  # fmt: skip


@st.composite
def well_formed(draw: st.DrawFn) -> str:
    parts = [draw(st.sampled_from(("<grounding>", "")))]
    for _ in range(draw(st.integers(0, 5))):
        parts.append(" " + draw(st.sampled_from(("An image of", "it is", "und Schnée"))))
        boxes = []
        for _ in range(draw(st.integers(1, 3))):
            rows = sorted(draw(st.tuples(st.integers(0, 31), st.integers(0, 31))))
            columns = sorted(draw(st.tuples(st.integers(0, 31), st.integers(0, 31))))
            cells = [rows[i] * 32 + columns[i] for i in (0, 1)]
            boxes.append("".join(f"<patch_index_{cell:04d}>" for cell in cells))
        phrase = draw(st.sampled_from((" a dog", " two, men", "")))
        parts.append(f"<phrase>{phrase}</phrase>" if phrase else "")
        parts.append(f"<object>{'</delimiter_of_multi_objects/>'.join(boxes)}</object>")
    return "".join(parts) + draw(st.sampled_from(("", ".")))


@settings(max_examples=200, deadline=None)
@given(well_formed())
def test_well_formed_text_is_read_as_transformers_does(text: str) -> None:
    caption, entities = clean_text_and_extract_entities_with_bboxes(text)
    d = parse_tagged(text, WH)
    assert d.caption == caption
    assert d.warnings == ()
    theirs = [
        (phrase if span[0] != span[1] else "", [tuple(b) for b in boxes])
        for phrase, span, boxes in entities
    ]
    assert [(phrase, boxes) for phrase, _, boxes in found(d)] == theirs
    for entity, (_, span, _) in zip(d.entities, entities, strict=True):
        assert d.caption[slice(*entity.span)] == entity.phrase
        if entity.phrase:
            assert entity.span == span


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_any_text_is_read_as_the_models_own_ids_are(tokenizer: Tokenizer, text: str) -> None:
    """One grammar: the same warnings but for their numbers, the same entities and text."""
    ids: list[int] = []
    for part in re.findall(r"<[^<>]+>|[^<]+", text):
        ids += tokenizer.encode_tagged(part)
    ours = parse_tagged(tokenizer.decode(ids, keep_tags=True, keep_special=True), WH)
    reading = read(ids, tokenizer)
    assert ours.caption == reading.text
    assert found(ours) == [
        (e.phrase, e.span, [cells_to_xyxy(b.upper_left, b.lower_right, 32) for b in e.boxes])
        for e in reading.entities
    ]
    assert [e.complete for e in ours.entities] == [e.complete for e in reading.entities]
    assert _reasons(ours.warnings) == _reasons(reading.warnings)
    # A tokenizer writes its first piece without the space that the same piece has elsewhere.
    assert ours.tagged.lstrip(" ") == tagged(ids, tokenizer).lstrip(" ")
    assert ours.marked.lstrip(" ") == marked(ids, tokenizer).lstrip(" ")


def _reasons(warnings: tuple[str, ...]) -> list[str]:
    """Reasons without repetition: a run of text is one token here, and several there."""
    return list(dict.fromkeys(w.partition(": ")[2] for w in warnings))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from((*PIECES, "<image>", "</image>")) | st.text(max_size=5)))
def test_any_text_at_all_gives_a_description(parts: list[str]) -> None:
    d = parse_tagged("".join(parts), WH)
    for e in d.entities:
        assert d.caption[slice(*e.span)] == e.phrase
    again = parse_tagged(d.tagged, WH)
    assert (again.caption, again.tagged) == (d.caption, d.tagged)
    to_links(d)


def test_angle_brackets_of_a_caption_survive() -> None:
    d = parse_tagged("1 < 2 > 0 <b>bold</b> <patch_index_> <phrase > <patch_index_44>", WH)
    assert d.caption == "1 < 2 > 0 <b>bold</b> <patch_index_> <phrase >"


def test_what_is_wrong_is_said() -> None:
    off = parse_tagged("<phrase> a</phrase><object><patch_index_1024><patch_index_0863>", WH)
    assert off.warnings[0] == "<patch_index_1024> is not on the grid (0..1023) and was left out"
    assert off.finish_reason == "length"
    assert [e.complete for e in off.entities] == [False]
    inverted = parse_tagged(
        "<phrase> a</phrase><object><patch_index_0863><patch_index_0044></object>", WH
    )
    assert inverted.entities[0].boxes == ()
    assert "inverted" in inverted.warnings[0]
    assert parse_tagged("<image> never closed", WH).caption == ""


# The prompt


@pytest.mark.parametrize("prompt", ["An image of", " An image of ", "<grounding> An image of"])
def test_a_prompt_that_begins_the_sentence(prompt: str) -> None:
    d = parse_tagged(SLOTS + SNOWMAN, WH, prompt=prompt)
    assert d.prompt == "An image of"
    assert d.caption == "An image of a snowman warming himself by a fire."
    assert d.text == "a snowman warming himself by a fire."
    assert d.tagged == SNOWMAN
    assert [e.span for e in d.entities] == [(12, 21), (41, 47)]


def test_a_prompt_that_is_an_instruction() -> None:
    text = "<grounding> Describe this image in detail: It is<phrase> a dog</phrase><object>"
    text += "<patch_index_0000><patch_index_0033></object>"
    d = parse_tagged(text, WH, prompt="Describe this image in detail:", echo=False)
    assert (d.prompt, d.caption) == ("Describe this image in detail:", "It is a dog")
    assert d.text == d.caption
    assert d.entities[0].span == (6, 11)
    assert d.tagged == text


def test_a_prompt_that_is_a_phrase() -> None:
    text = "<grounding><phrase> a snowman</phrase><object><patch_index_0044><patch_index_0863>"
    d = parse_tagged(text + "</object>", WH, prompt="a snowman")
    assert (d.prompt, d.caption, d.text) == ("a snowman", "a snowman", "")
    assert [(e.phrase, len(e.boxes)) for e in d.entities] == [("a snowman", 1)]


def test_every_beginning_can_be_the_prompt() -> None:
    """Wherever the prompt ends, what was said stays the same."""
    whole = parse_tagged(SNOWMAN, WH)
    for end in range(1, len(whole.caption) + 1):
        d = parse_tagged(SNOWMAN, WH, prompt=whole.caption[:end])
        assert (d.caption, d.entities) == (whole.caption, whole.entities)
        assert d.prompt == whole.caption[:end].strip()
        assert d.tagged == SNOWMAN


def test_another_prompt_is_refused() -> None:
    with pytest.raises(PromptError, match="does not begin with the prompt 'A dog'"):
        parse_tagged(SNOWMAN, WH, prompt="A dog")


# Bounds


def test_other_grids() -> None:
    text = "<phrase>x</phrase><object><patch_index_0000><patch_index_0003></object>"
    assert parse_tagged(text, WH, side=2).entities[0].boxes[0].xyxy == (0.25, 0.25, 0.75, 0.75)


@pytest.mark.parametrize(
    ("image_wh", "side"), [((0, 1), 32), ((1, -1), 32), ((1, 1), 0), ((1, 1), 257)]
)
def test_sizes_are_checked(image_wh: tuple[int, int], side: int) -> None:
    with pytest.raises(OptionError, match="expected"):
        parse_tagged("x", image_wh, side=side)


def test_more_pieces_than_a_model_writes() -> None:
    with pytest.raises(InputError, match="more than 65536 pieces"):
        parse_tagged("a<s>" * 65_537, WH)


def test_long_text_does_not_take_long() -> None:
    rng = random.Random(0)
    text = "".join(rng.choices(PIECES, k=20_000))
    assert parse_tagged(text, WH).caption
    assert len(parse_tagged("word " * 500_000, WH).caption) == 2_499_999
