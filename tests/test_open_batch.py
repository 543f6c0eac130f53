"""Texts that join and leave a batch at any pass say what they say alone."""

from __future__ import annotations

import gc
import random
from pathlib import Path

import numpy as np
import pytest

import kosmoscope
import small_models as small
from checkpoints import PROMPTS
from kosmoscope.engine.batch import Batch, Request
from kosmoscope.engine.branch import Token
from kosmoscope.engine.core import PictureState, Prefix, PromptIds
from kosmoscope.engine.generate import generate
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import PromptError
from kosmoscope.prompts import Prompt, describe_prompt, ground_prompt
from kosmoscope.scope import Scope
from kosmoscope.telling import EntityFound, Event, Finished, TextDelta

PHOTOS = sorted((Path(__file__).parent.parent / "examples" / "photos").glob("*.jpg"))


def ids_alone(scope: Scope, request: Request) -> list[int]:
    return [t.id for t in generate(scope.engine, [request])]


def at_random(scope: Scope, requests: list[Request], seed: int) -> None:
    """Let texts come and go at random passes; compare what each said."""
    draw = random.Random(seed)
    batch = Batch(scope.engine, capacity=draw.choice((1, 700)))
    waiting = list(range(len(requests)))
    draw.shuffle(waiting)
    numbers: dict[int, int] = {}
    said: dict[int, list[Token]] = {}
    gone: set[int] = set()
    while waiting or batch:
        while waiting and (not batch or draw.random() < 0.3):
            which = waiting.pop()
            number = batch.insert(requests[which])
            numbers[number], said[number] = which, []
        if draw.random() < 0.03:
            number = draw.choice(list(numbers))
            batch.remove(number)
            if not (said[number] and said[number][-1].finish):
                gone.add(number)
        for token in batch.step():
            assert token.request not in gone
            said[token.request].append(token)
    assert gone
    for number, tokens in said.items():
        found, wanted = [t.id for t in tokens], ids_alone(scope, requests[numbers[number]])
        if number in gone:
            assert found == wanted[: len(found)]
        else:
            assert found == wanted
            assert [t.finish is not None for t in tokens] == [False] * (len(found) - 1) + [True]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["base", "wide"])
def test_random_models(name: str, seed: int) -> None:
    scope = small.talkative(name, "int8")
    requests = [
        small.request(
            scope,
            small.tagged_prompt(small.encoded(k, name, "int8"), prompt),
            max_new_tokens=(4, 40, 25)[k % 3],
            num_beams=3 if k == 3 and prompt == "brief" else 1,
            **({"temperature": 1.5, "seed": k} if k == 2 else {}),
        )
        for k in range(4)
        for prompt in PROMPTS
    ]
    # Half of the pictures are read with their prompts.
    requests = [unread(r) if n % 2 else r for n, r in enumerate(requests)]
    at_random(scope, requests, seed)


def unread(request: Request) -> Request:
    """Return the request with pictures that were looked at for it alone."""
    pictures = tuple((at, PictureState(p.embeddings, p.model)) for at, p in request.prompt.pictures)
    return Request(PromptIds(request.prompt.ids, pictures), request.options, request.grammar)


def test_pocket_on_photos() -> None:
    scope = kosmoscope.load("pocket")
    seen = [scope.encode(photo) for photo in PHOTOS]
    prompts = [describe_prompt(s, "detailed") for s in seen]
    prompts += [ground_prompt(s, "a person") for s in seen]
    requests = [small.request(scope, prompt, max_new_tokens=48) for prompt in prompts]
    at_random(scope, requests, 5)


def test_a_text_that_left_costs_no_pass_and_no_memory() -> None:
    scope = small.talkative()
    batch = Batch(scope.engine)
    prompt = small.tagged_prompt(small.encoded(), "brief")
    numbers = [batch.insert(small.request(scope, prompt, min_new_tokens=60)) for _ in range(3)]
    batch.step()
    batch.step()
    passes = batch.clock.passes
    for number in numbers:
        batch.remove(number)
        batch.remove(number)
    assert not batch
    assert batch.step() == []
    assert batch.clock.passes == passes
    assert batch._pack is None
    assert not batch._placed


def test_a_prefix_is_held_once_and_as_long_as_it_is_seen() -> None:
    scope = small.scope()
    batch = Batch(scope.engine)
    first, second = small.encoded(0), small.encoded(1)
    long = {"min_new_tokens": 60, "max_new_tokens": 60}
    numbers = [
        batch.insert(small.request(scope, small.tagged_prompt(image, "brief"), **long))
        for image in (first, first, second)
    ]
    assert len(batch._placed) == 2
    batch.step()
    batch.remove(numbers[0])
    assert len(batch._placed) == 2
    batch.remove(numbers[1])
    gc.collect()
    assert [p is second.state.prefix for p in batch._placed] == [True]


@pytest.mark.parametrize("alone", [True, False])
def test_a_picture_that_is_read_with_its_prompt_is_kept_for_others(alone: bool) -> None:
    scope = small.talkative("base", "int8")
    image = small.encoded(1, "base", "int8")
    request = small.request(scope, small.tagged_prompt(image, "brief"), max_new_tokens=20)
    batch = Batch(scope.engine)
    if not alone:
        other = small.tagged_prompt(small.encoded(0, "base", "int8"), "brief")
        batch.insert(small.request(scope, other, min_new_tokens=60, max_new_tokens=60))
        batch.step()
    kept: list[Prefix] = []
    batch.remove(batch.insert(unread(request), kept.append))
    said: dict[int, list[int]] = {batch.insert(unread(request), kept.append): []}
    assert not kept
    (first,) = said
    said[first] += [t.id for t in batch.step() if t.request == first]
    (prefix,) = kept
    assert image.state.prefix is not None
    assert np.array_equal(prefix.keys, image.state.prefix.keys)
    assert np.array_equal(prefix.values, image.state.prefix.values)
    picture = PictureState(image.state.embeddings, image.state.model, prefix=prefix)
    again = Request(
        PromptIds(request.prompt.ids, ((2, picture),)), request.options, request.grammar
    )
    held = len(batch._placed)
    said[batch.insert(again, kept.append)] = []
    assert len(batch._placed) == held, "its slots are those of the text that read it"
    while batch:
        for token in batch.step():
            if token.request in said:
                said[token.request].append(token.id)
    assert list(said.values()) == [ids_alone(scope, request)] * 2
    assert kept == [prefix]


def test_what_cannot_join_disturbs_nobody() -> None:
    scope = small.talkative()
    good = small.request(scope, small.tagged_prompt(small.encoded(), "brief"), max_new_tokens=20)
    foreign = PictureState(small.encoded().state.embeddings, "another model")
    bad = Request(PromptIds(good.prompt.ids, ((2, foreign),)))
    wanted = ids_alone(scope, good)
    batch = Batch(scope.engine)
    batch.insert(good)
    found = [t.id for t in batch.step()]
    with pytest.raises(PromptError, match="encoded by model"):
        batch.insert(bad)
    with pytest.raises(PromptError, match="the model reads"):
        batch.insert(Request(PromptIds(good.prompt.ids * 40, ())))
    while batch:
        found += [t.id for t in batch.step()]
    assert found == wanted


def test_a_search_does_not_wait_for_the_others() -> None:
    scope = small.talkative()
    batch = Batch(scope.engine)
    long = small.tagged_prompt(small.encoded(), "brief")
    batch.insert(small.request(scope, long, min_new_tokens=90, max_new_tokens=90))
    number = batch.insert(
        small.request(scope, Prompt().image(small.encoded()).text("a"), num_beams=2,
                      max_new_tokens=5)
    )  # fmt: skip
    for _ in range(12):
        found = batch.step()
        if any(t.request == number for t in found):
            return
    pytest.fail("five tokens of a search take ten passes in turn")


def test_a_telling_makes_of_tokens_what_complete_returns() -> None:
    scope = small.talkative()
    prompts = [small.tagged_prompt(small.encoded(k), name) for k, name in enumerate(PROMPTS)]
    batch = Batch(scope.engine)
    tellings = []
    for prompt in prompts:
        request, telling = scope.prepare(prompt, GenerationOptions(max_new_tokens=30))
        assert batch.insert(request) == len(tellings)
        tellings.append(telling)
    events: list[list[Event]] = [list(telling.begin()) for telling in tellings]
    while batch:
        for token in batch.step():
            events[token.request] += tellings[token.request].feed(token)
    wanted = scope.complete(prompts, max_new_tokens=30)
    for telling, found, description in zip(tellings, events, wanted, strict=True):
        *rest, last = [*found, *telling.end(batch.clock, 0.0)]
        assert isinstance(last, Finished)
        assert last.description.tagged == description.tagged
        assert "".join(e.text for e in rest if isinstance(e, TextDelta)) == description.caption
        assert len([e for e in rest if isinstance(e, EntityFound)]) == len(description.entities)
