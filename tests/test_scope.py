"""The facade: encoded pictures, prompts, boxes, streams, what is refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

import checkpoints
import small_models as small
from checkpoints import PROMPTS
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import BoxError, ImageError, OptionError, PromptError
from kosmoscope.parity import hidden_states
from kosmoscope.prompts import Prompt, ask_prompt, describe_prompt, ground_prompt, refer_prompt
from kosmoscope.results import Description
from kosmoscope.scope import EncodedImage, EntityFound, Finished, Scope, TextDelta
from kosmoscope.tokens import cells_to_xyxy


@pytest.fixture(scope="module")
def scope() -> Scope:
    return small.talkative()


def without_times(found: Description) -> Description:
    return dataclasses.replace(found, timing=dataclasses.replace(found.timing, preprocess=0,
                               encode=0, prefill=0, decode=0, total=0, passes=0))  # fmt: skip


# Encoded pictures


def test_encode_once_then_ask(scope: Scope) -> None:
    picture = checkpoints.picture(5)
    encoded = scope.encode(picture, name="five")
    assert isinstance(encoded, EncodedImage)
    assert scope.encode(encoded) is encoded
    assert (encoded.info.path, encoded.info.width, encoded.info.height) == ("five", 90, 60)
    prefix = encoded.state.prefix
    assert prefix is not None
    before = prefix.keys.copy(), prefix.values.copy()
    for ask in (
        lambda image: scope.describe(image, max_new_tokens=20),
        lambda image: scope.ground(image, "a dog"),
        lambda image: scope.refer(image, (0.1, 0.2, 0.7, 0.9), max_new_tokens=20),
        lambda image: scope.ask(image, "What is this?", max_new_tokens=20),
    ):
        ours, theirs = ask(encoded), ask(picture)
        assert ours.token_ids == theirs.token_ids
        assert ours.entities == theirs.entities
        assert ours.image.path == "five"
        assert ask(encoded).token_ids == ours.token_ids, "asking leaves no trace"
    np.testing.assert_array_equal(before[0], prefix.keys)
    np.testing.assert_array_equal(before[1], prefix.values)
    other = scope.describe(checkpoints.picture(6), max_new_tokens=20)
    assert other.token_ids != scope.describe(encoded, max_new_tokens=20).token_ids


@pytest.mark.parametrize("maker", [("base", "int8", 0), ("base", "fp32", 1), ("wide", "fp32", 0)])
def test_a_picture_that_another_model_encoded_is_refused(scope: Scope, maker: Any) -> None:
    foreign = small.encoded(0, *maker)
    with pytest.raises(PromptError, match=r"encoded by model .*encode it again"):
        scope.describe(foreign)
    with pytest.raises(PromptError, match="encode it again"):
        scope.describe(foreign, num_beams=2)
    mixed = Prompt().image(small.encoded()).text("An image of a dog.").image(foreign).text("An")
    with pytest.raises(PromptError, match="encode it again"):
        scope.complete([mixed])


@torch.no_grad()
@pytest.mark.parametrize("name", ["base", "untied", "odd"])
def test_several_pictures_equal_transformers(name: str) -> None:
    scope, made = small.scope(name), small.made(name)
    a, b, c = (small.encoded(n, name) for n in range(3))
    prompts = [
        Prompt().image(a).text("An image of a dog.").image(b).grounding().text("An image of"),
        Prompt().text("Describe").image(a).text("in detail").image(b).image(c).text("and"),
        Prompt().image(c).image(c).phrase("a cat", [(0.1, 0.1, 0.9, 0.4)]).text("is"),
        Prompt().image(b).image(a),
    ]
    for prompt in prompts:
        compiled = prompt.compile(scope.tokenizer, scope.engine.slot_ids)
        ids = torch.tensor([compiled.ids])
        mask = torch.zeros_like(ids)
        embeds = []
        for start, image in compiled.pictures:
            mask[0, start : start + made.shape.latents] = 1
            embeds.append(torch.tensor(image.state.embeddings))
        theirs = made.model(
            input_ids=ids, attention_mask=torch.ones_like(ids), image_embeds=torch.stack(embeds),
            image_embeds_position_mask=mask,
        ).logits[0, -1].numpy()  # fmt: skip
        engine_prompt = small.prompt_ids(scope, prompt)
        ours = scope.engine.logits(scope.engine.teach(engine_prompt, [5]))[0]
        assert np.abs(ours - theirs).max() / np.abs(theirs).max() < 1e-4
        (found,) = scope.complete([prompt], max_new_tokens=1, constrained=False)
        assert found.token_ids == (int(theirs.argmax()),)
        assert found.image == compiled.pictures[-1][1].info
        swapped = [(start, a.state) for start, _ in compiled.pictures]
        other = dataclasses.replace(engine_prompt, pictures=tuple(swapped))
        assert np.abs(scope.engine.logits(scope.engine.teach(other, [5]))[0] - ours).max() > 1e-3


# Prompts


def hf_ids(text: str) -> list[int]:
    inputs = small.made().inputs(text, checkpoints.picture())
    return inputs["input_ids"][0].tolist()


def our_ids(scope: Scope, prompt: Prompt) -> list[int]:
    return list(prompt.compile(scope.tokenizer, scope.engine.slot_ids).ids)


def test_the_verbs_prompts_are_those_of_the_model_card(scope: Scope) -> None:
    box = cells_to_xyxy(44, 863, 32)
    fire = cells_to_xyxy(5, 911, 32)
    question = "What is special about this image?"
    cases = [
        (describe_prompt("-"), PROMPTS["brief"]),
        (describe_prompt("-", "brief"), PROMPTS["brief"]),
        (describe_prompt("-", "detailed"), PROMPTS["detailed"]),
        (describe_prompt("-", grounded=False), PROMPTS["plain"]),
        (describe_prompt("-", "A dog and"), "<grounding> A dog and"),
        (ground_prompt("-", "a snowman"), PROMPTS["grounding"]),
        (refer_prompt("-", box), PROMPTS["region"]),
        (refer_prompt("-", np.array(box, np.float64)), PROMPTS["region"]),
        (ask_prompt("-", question), PROMPTS["vqa"]),
        (ask_prompt("-", question, grounded=False), PROMPTS["vqa"].removeprefix("<grounding> ")),
        (ask_prompt("-", "Where is [the fire] next to?", fire), PROMPTS["vqa_region"]),
        (ask_prompt("-", "[the fire]", fire),
         "<grounding> Question:<phrase> the fire</phrase><object><patch_index_0005>"
         "<patch_index_0911></object> Answer:"),
        (ask_prompt("-", "is what?", list(box)),
         "<grounding> Question:<phrase> it</phrase><object><patch_index_0044><patch_index_0863>"
         "</object> is what? Answer:"),
        (Prompt().image("-").grounding().text("a").phrase("two", [box, fire]).text("in"),
         "<grounding> a<phrase> two</phrase><object><patch_index_0044><patch_index_0863>"
         "</delimiter_of_multi_objects/><patch_index_0005><patch_index_0911></object> in"),
    ]  # fmt: skip
    for prompt, text in cases:
        assert our_ids(scope, prompt) == hf_ids(text), text
    with pytest.raises(PromptError, match="2 phrases in brackets"):
        ask_prompt("-", "Is [this] [that]?", box)


WRONG_TEXTS = [
    "", " ", "\t\n", "a\0b", "\ud800 dog", "dog \udfff", "<phrase> a", "a </image> b",
    "<patch_index_0001>", "<s>", "</s>", "<pad> x", "<unk>", "<mask>", "<grounding>",
    "a</delimiter_of_multi_objects/>", "</doc>", "a <patch_index_9999> b", "</chunk>", "</line>",
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG_TEXTS, ids=ascii)
def test_unusable_text_is_refused_by_every_verb(scope: Scope, text: str) -> None:
    image = small.encoded()
    box = (0.1, 0.1, 0.5, 0.5)
    calls: list[Any] = [
        lambda: scope.describe(image, text),
        lambda: scope.describe(image, text, grounded=False),
        lambda: scope.ground(image, text),
        lambda: scope.ask(image, text),
        lambda: scope.ask(image, text, box),
        lambda: scope.complete([Prompt().image(image).phrase(text)]),
        lambda: next(scope.stream(Prompt().image(image).text(text))),
    ]
    if text.strip():
        calls.append(lambda: scope.ask(image, f"Where is [{text}]?", box))
        calls.append(lambda: scope.ask(image, f"[a dog] {text}", box))
    for call in calls:
        with pytest.raises(PromptError) as caught:
            call()
        assert isinstance(caught.value, ValueError)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["a < b and c > d", "<b>bold</b>", "1 <2", "<phrases>", "</imag e>"]
)
def test_angle_brackets_are_plain_text(scope: Scope, text: str) -> None:
    found = scope.describe(small.encoded(), text, grounded=False, max_new_tokens=4)
    assert found.prompt == text
    assert found.caption.startswith(text)


def test_a_prompt_needs_a_picture_and_sound_tags(scope: Scope) -> None:
    with pytest.raises(PromptError, match="no picture"):
        scope.complete([Prompt().text("hello")])
    with pytest.raises(PromptError):
        scope.complete([Prompt()])
    image = small.encoded()
    for text in ("</phrase>", "<object></object>", "<phrase><patch_index_0001>",
                 "<phrase> a</phrase><object><patch_index_0005></object>",
                 "<phrase> a</phrase><object><patch_index_0900><patch_index_0001></object>",
                 "<phrase> a <phrase>"):  # fmt: skip
        with pytest.raises(PromptError, match="out of place"):
            scope.complete([Prompt().image(image).tagged(text)])


WRONG_BOXES: list[Any] = [
    (math.nan, 0, 1, 1), (0, 0, math.inf, 1), (0, -math.inf, 1, 1), (0.5, 0.5, 0.5, 0.9),
    (0.1, 0.5, 0.9, 0.5), (0.9, 0.1, 0.2, 0.5), (0.1, 0.9, 0.2, 0.5), (-0.1, 0, 1, 1),
    (0, 0, 1.01, 1), (0, 0, 100, 100), (), (0.1, 0.2, 0.3), (0, 0, 0.1, 0.1, 0.1), None, 5,
    ("a", "b", "c", "d"), (None, 0, 1, 1), np.zeros(4), np.zeros((4, 4)), (0, 0, 1, 10**400),
    ((0, 0), (1, 1)), np.full(4, np.nan, np.float32), "0011", {0.0: 1},
]  # fmt: skip


@pytest.mark.parametrize("box", WRONG_BOXES, ids=lambda b: " ".join(repr(b).split())[:30])
def test_unusable_boxes_are_refused(scope: Scope, box: Any) -> None:
    image = small.encoded()
    calls: list[Any] = [
        lambda: scope.refer(image, box, max_new_tokens=1),
        lambda: scope.complete([Prompt().image(image).phrase("a", [box])], max_new_tokens=1),
    ]
    if box is not None:
        calls.append(lambda: scope.ask(image, "What is it?", box, max_new_tokens=1))
        calls.append(lambda: scope.ask(image, "What is [this]?", box, max_new_tokens=1))
    for call in calls:
        with pytest.raises(BoxError) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("box", [
    (0, 0, 1, 1), [0.0, 0.0, 1e-9, 1e-9], np.array([0.2, 0.3, 0.4, 0.5], np.float32),
    (1 - 1e-9, 0, 1, 1),
], ids=str)  # fmt: skip
def test_usable_boxes(scope: Scope, box: Any) -> None:
    found = scope.refer(small.encoded(), box, max_new_tokens=3)
    (given,) = found.entities[0].boxes
    assert given.score is None
    assert given.refined is None
    assert given.xyxy == pytest.approx([float(v) for v in box], abs=1 / 32 + 1e-6)
    assert given.xyxy_px == pytest.approx([v * s for v, s in zip(given.xyxy, (90, 60, 90, 60),
                                                                 strict=True)])  # fmt: skip
    assert (found.entities[0].phrase, found.entities[0].score) == ("It", None)


WRONG_OPTIONS: list[dict[str, Any]] = [
    {"max_tokens": 5}, {"beams": 2}, {"max_new_tokens": 0}, {"max_new_tokens": -1},
    {"max_new_tokens": 10**9}, {"max_new_tokens": True}, {"max_new_tokens": 5.0},
    {"max_new_tokens": "5"}, {"max_new_tokens": None}, {"min_new_tokens": -1},
    {"min_new_tokens": 129}, {"min_new_tokens": 5, "max_new_tokens": 4}, {"num_beams": 0},
    {"num_beams": 65}, {"num_beams": 2.0}, {"temperature": -0.1}, {"temperature": math.nan},
    {"temperature": math.inf}, {"temperature": True}, {"temperature": "1"}, {"top_p": 0.0},
    {"top_p": 1.1, "temperature": 1}, {"top_p": 0.5}, {"seed": -1}, {"seed": 1.5},
    {"seed": 2**63}, {"no_repeat_ngram_size": -1}, {"no_repeat_ngram_size": 10**6},
    {"stop_after_entities": -1}, {"num_beams": 2, "temperature": 1.0},
    {"stop_sequences": ((),)}, {"length_penalty": math.nan}, {"length_penalty": 1e9},
    {"stop_sequences": 5}, {"stop_sequences": (5,)}, {"stop_sequences": ("ab",)},
    {"stop_sequences": ((1, "b"),)}, {"stop_sequences": "ab"}, {"stop_sequences": None},
    {"constrained": "no"}, {"constrained": 0}, {"early_stopping": "yes"}, {"early_stopping": None},
]  # fmt: skip


@pytest.mark.parametrize("options", WRONG_OPTIONS, ids=str)
def test_unusable_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError) as caught:
        GenerationOptions.of(**options)
    assert next(iter(options)).split("_")[0] in str(caught.value).replace("stop sequence", "stop")
    assert "\n" not in str(caught.value)


def test_options_come_once(scope: Scope) -> None:
    image = small.encoded()
    with pytest.raises(OptionError, match="unknown option 'max_tokens'; known are max_new_tokens"):
        scope.describe(image, max_tokens=3)  # type: ignore[call-arg]
    with pytest.raises(OptionError, match="not both"):
        scope.complete([describe_prompt(image)], GenerationOptions(), max_new_tokens=3)
    with pytest.raises(OptionError, match="max_new_tokens"):
        next(scope.stream(describe_prompt(image), max_new_tokens=0))
    with pytest.raises(ImageError):
        scope.describe(b"no picture")
    with pytest.raises(dataclasses.FrozenInstanceError):
        GenerationOptions().seed = 3  # type: ignore[misc]


def test_stop_sequences_may_be_lists(scope: Scope) -> None:
    image = small.encoded()
    free = scope.describe(image, max_new_tokens=12).token_ids
    sequences: Any = [list(free[3:5])]
    found = scope.describe(image, max_new_tokens=12, stop_sequences=sequences)
    assert found.token_ids == free[: len(found.token_ids)]
    assert found.token_ids[-2:] == free[3:5]
    assert found.finish_reason == "stop"


# Streams and results


@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize("options", [
    {}, {"temperature": 2.0, "seed": 4}, {"num_beams": 2}, {"constrained": False},
    {"max_new_tokens": 11},
], ids=str)  # fmt: skip
def test_a_stream_adds_up(scope: Scope, name: str, options: dict[str, Any]) -> None:
    options = {"max_new_tokens": 60, **options}
    prompt = small.tagged_prompt(small.encoded(2), name)
    *events, end = scope.stream(prompt, **options)
    assert isinstance(end, Finished)
    (found,) = scope.complete([prompt], **options)
    assert without_times(end.description) == without_times(found)
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == found.caption
    assert tuple(e.entity for e in events if isinstance(e, EntityFound)) == found.entities
    assert {type(e) for e in events} <= {TextDelta, EntityFound}
    assert Description.from_json(found.to_json()) == found
    for entity in found.entities:
        assert found.caption[slice(*entity.span)] == entity.phrase
    assert found.caption.endswith(found.text) or not found.text


def test_a_stream_may_be_left(scope: Scope) -> None:
    stream = scope.stream(describe_prompt(small.encoded()), max_new_tokens=50)
    assert next(stream) == TextDelta("An")
    stream.close()  # type: ignore[attr-defined]
    assert list(stream) == []


def test_ground_puts_the_phrase_first(scope: Scope) -> None:
    found = scope.ground(small.encoded(1), "a snowman", max_new_tokens=200)
    assert found.finish_reason == "complete"
    assert found.caption == "a snowman"
    (entity,) = found.entities
    assert (entity.phrase, entity.span, entity.complete) == ("a snowman", (0, 9), True)
    assert entity.boxes
    assert all(b.score is not None for b in entity.boxes)


def test_answers_stand_alone(scope: Scope) -> None:
    image = small.encoded(1)
    found = scope.ask(image, "What is [the fire] next to?", (0.1, 0.1, 0.5, 0.6), max_new_tokens=50)
    assert found.caption == found.text
    assert "Question" not in found.caption
    assert found.prompt == "Question: What is the fire next to? Answer:"
    assert found.tagged.startswith(
        "<grounding> Question: What is<phrase> the fire</phrase><object>"
    )
    assert all(found.caption[slice(*e.span)] == e.phrase for e in found.entities)
    assert found.entities
    detailed = scope.describe(image, "detailed", max_new_tokens=10)
    assert detailed.caption == detailed.text
    brief = scope.describe(image, max_new_tokens=10)
    assert brief.caption.startswith("An image of")
    assert brief.prompt == "An image of"


def test_an_instruction_may_end_inside_a_phrase(scope: Scope) -> None:
    start = Prompt(echo=False).image(small.encoded()).grounding()
    prompt = start.text("Question:").tagged("<phrase> a dog")
    (found,) = scope.complete([prompt], stop_after_entities=1)
    assert found.finish_reason == "complete"
    assert found.warnings == (), "constrained text is well-formed"
    (entity,) = found.entities
    assert entity.phrase
    assert entity.boxes


def test_times_and_counts(scope: Scope) -> None:
    found = scope.describe(checkpoints.picture(3), max_new_tokens=40)
    t = found.timing
    assert min(t.preprocess, t.encode, t.prefill, t.decode) > 0
    assert t.total >= t.preprocess + t.encode
    assert t.new_tokens == len(found.token_ids) >= t.passes + t.forced_tokens
    assert (found.model, found.precision) == (small.scope().model, "fp32")
    assert repr(small.scope()) == f"Scope({small.scope().model!r}, fp32, 1 threads)"


def test_prompts_written_for_transformers(scope: Scope) -> None:
    photo = scope.encode(checkpoints.picture())
    few: Any = {"max_new_tokens": 12}
    brief, detailed = scope.describe(photo, **few), scope.describe(photo, "detailed", **few)
    for prompt, wanted in (
        ("<grounding>An image of", brief),
        ("<grounding> An image of", brief),
        ("<grounding>Describe this image in detail:", detailed),
    ):
        found = scope.describe(photo, prompt, **few)
        assert (found.caption, found.token_ids) == (wanted.caption, wanted.token_ids)
    found = scope.describe(photo, "<grounding><phrase> a tree</phrase>", tagged=True, **few)
    assert found.entities[0].phrase == "a tree"
    for text in ("<phrase> a tree</phrase>", "<grounding>An <phrase> image", "An</image>"):
        with pytest.raises(PromptError, match="has to be marked as tagged"):
            scope.describe(photo, text)
    with pytest.raises(PromptError, match="none are wanted"):
        scope.describe(photo, "<grounding>An image of", grounded=False)
    with pytest.raises(PromptError, match="there is none"):
        scope.describe(photo, tagged=True)


def test_a_picture_as_a_vector(scope: Scope) -> None:
    picture = checkpoints.picture(5)
    rgb = np.asarray(picture, np.uint8)
    vector = scope.embed(picture)
    width = scope.engine.config.text.width
    assert vector.shape == (width,)
    assert vector.dtype == np.float32
    _, (state,) = hidden_states(scope, describe_prompt(picture), [scope.engine.tokens.eos])
    np.testing.assert_allclose(vector, state, rtol=1e-5, atol=1e-6)
    h, w = rgb.shape[:2]
    part = rgb[h // 4 : h // 2, w // 4 : w // 2]
    box = (w // 4 / w, h // 4 / h, w // 2 / w, h // 2 / h)
    np.testing.assert_array_equal(scope.embed(picture, box), scope.embed(part))
    assert not np.array_equal(scope.embed(part), vector)
    speck = scope.embed(picture, (1 - 1e-6, 1 - 1e-6, 1.0, 1.0))  # less than a pixel is a pixel
    np.testing.assert_array_equal(speck, scope.embed(rgb[-1:, -1:]))
    with pytest.raises(BoxError):
        scope.embed(picture, (0.5, 0.5, 0.4, 0.6))
