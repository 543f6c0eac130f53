"""What each option does, where a generation ends, and what may happen at the same time."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import small_models as small
from checkpoints import PROMPTS
from kosmoscope.engine.arena import Arena
from kosmoscope.engine.batch import Batch
from kosmoscope.engine.beam import _Search
from kosmoscope.engine.branch import Token
from kosmoscope.engine.choice import repeated
from kosmoscope.engine.generate import Clock, Request, generate
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import OptionError, PromptError
from kosmoscope.prompts import Prompt
from kosmoscope.scope import Scope
from small_models import WORDS


def ids_of(scope: Scope, requests: Sequence[Request]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in requests]
    for token in generate(scope.engine, requests):
        found[token.request].append(token.id)
    return found


def say(scope: Scope, name: str = "brief", picture: int = 0, **options: Any) -> list[int]:
    prompt = small.tagged_prompt(small.encoded(picture), name)
    return ids_of(scope, [small.request(scope, prompt, **options)])[0]


# Drawing


def test_a_seed_is_a_text() -> None:
    scope = small.talkative()
    texts = [say(scope, temperature=1.5, seed=s, max_new_tokens=30) for s in range(6)]
    assert texts == [say(scope, temperature=1.5, seed=s, max_new_tokens=30) for s in range(6)]
    assert len({tuple(t) for t in texts}) == 6
    assert say(scope, temperature=1.5, max_new_tokens=30) == texts[0], "the default seed is 0"


def test_what_is_drawn_does_not_depend_on_its_place_in_a_batch() -> None:
    scope = small.talkative()
    prompts = [small.tagged_prompt(small.encoded(n), "brief") for n in range(3)]
    options = GenerationOptions(temperature=1.5, seed=7, max_new_tokens=25)
    batch = [d.token_ids for d in scope.complete(prompts, options)]
    assert batch == [scope.complete([p], options)[0].token_ids for p in prompts]


@pytest.mark.parametrize("temperature", [1e-6, 1e-30, 1e-45, 1e-300])
def test_hardly_any_temperature_is_greedy(temperature: float) -> None:
    scope = small.talkative()
    assert say(scope, temperature=temperature, seed=3) == say(scope)


@pytest.mark.parametrize("top_p", [1e-6, 0.2, 0.6, 0.95])
def test_top_p_draws_from_the_smallest_set_that_is_large_enough(top_p: float) -> None:
    scope = small.talkative(boost=3.0)
    prompt = small.tagged_prompt(small.encoded(), "brief")
    request = small.request(scope, prompt, temperature=2.0, top_p=top_p, seed=1, max_new_tokens=60)
    (ids,) = ids_of(scope, [request])
    hidden = scope.engine.teach(request.prompt, ids)
    assert request.grammar is not None
    state = request.grammar.state_after(request.prompt.ids)
    outside = ranks = 0
    for i, row in zip(ids, scope.engine.logits(hidden).astype(np.float64), strict=True):
        mask = request.grammar.allowed_mask(state)
        weights = np.where(mask, np.exp((row - row[mask].max()) / 2.0), 0)
        weights /= weights.sum()
        before = weights[weights > weights[i]].sum()
        outside += before > top_p + 1e-4
        ranks += int((weights > weights[i]).any())
        following = request.grammar.advance(state, i)
        assert following is not None
        state = following
    assert outside == 0
    assert (ranks == 0) == (top_p == 1e-6)


def test_temperature_flattens() -> None:
    scope = small.talkative("wide")
    prompt = small.tagged_prompt(small.encoded(0, "wide"), "brief")

    def likely(temperature: float) -> float:
        requests = [
            small.request(scope, prompt, temperature=temperature, max_new_tokens=1, seed=seed)
            for seed in range(40)
        ]
        return float(np.mean([[t.logprob for t in generate(scope.engine, [r])] for r in requests]))

    found = [likely(t) for t in (0.3, 1.0, 4.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1] + 0.5


# Repeats, stops, lengths


def repeats(ids: Sequence[int], size: int) -> set[int]:
    """Return the indices of tokens that complete an n-gram for the second time."""
    seen: set[tuple[int, ...]] = set()
    found = set()
    for n in range(size, len(ids) + 1):
        gram = tuple(ids[n - size : n])
        if gram in seen:
            found.add(n - 1)
        seen.add(gram)
    return found


@given(st.lists(st.integers(0, 2), max_size=12), st.integers(1, 4))
def test_what_would_repeat_a_run(history: list[int], size: int) -> None:
    wanted = {i for i in range(3) if len(history) in repeats([*history, i], size)}
    assert set(repeated(history, size)) == wanted
    assert repeated(history, 0) == []


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("beams", [1, 2])
def test_a_run_is_repeated_only_where_the_form_leaves_nothing_else(size: int, beams: int) -> None:
    scope = small.talkative("wide")
    tokens = scope.tokenizer.tokens
    # Every word has been said, and a phrase begins: there has to be one in it.
    prompt = small.tagged_prompt(small.encoded(0, "wide"), "brief")
    request = small.request(
        scope, prompt, no_repeat_ngram_size=size, num_beams=beams, max_new_tokens=60
    )
    every = filter(tokens.is_text, range(tokens.vocab_size))
    filled = (*request.prompt.ids, *every, tokens.phrase_open)
    request = replace(request, prompt=replace(request.prompt, ids=filled))
    (ids,) = ids_of(scope, [request])
    before = list(request.prompt.ids)
    assert request.grammar is not None
    excused = 0
    whole = [*before, *ids]
    picture = before.index(tokens.image_close)
    said = [n for n, i in enumerate(whole) if n > picture and tokens.is_text(i)]
    words = [whole[n] for n in said]  # only runs of words count, whatever tags are between them
    for k in sorted(repeats(words, size)):
        n = said[k]
        if n < len(before):
            continue
        state = request.grammar.state_after(whole[:n])
        tail = words[k - size + 1 : k]
        grams = {tuple(words[j : j + size]) for j in range(k - size + 1)}
        for other in np.flatnonzero(request.grammar.allowed_mask(state)):
            assert tokens.is_text(other), "a tag was free"
            assert (*tail, int(other)) in grams, "another word was free"
        excused += 1
    assert any(tokens.is_location(i) for i in ids)
    assert bool(excused) == (size == 1), "the words must run out"


def test_the_text_does_not_end_before_min_new_tokens() -> None:
    scope = small.scope("untied")
    prompt = small.tagged_prompt(small.encoded(0, "untied"), "brief")
    (free,) = ids_of(scope, [small.request(scope, prompt)])
    assert free[-1] in scope.engine.stops
    for beams, least in itertools.product((1, 3), (len(free), len(free) + 9)):
        request = small.request(
            scope, prompt, min_new_tokens=least, max_new_tokens=50, num_beams=beams
        )
        (ids,) = ids_of(scope, [request])
        assert len(ids) >= least
        assert not scope.engine.stops & set(ids[:least])
    exactly = small.request(scope, prompt, min_new_tokens=len(free) - 1)
    assert ids_of(scope, [exactly])[0] == free


def last(scope: Scope, prompt: Prompt, **options: Any) -> Token:
    *_, token = generate(scope.engine, [small.request(scope, prompt, **options)])
    return token


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("constrained", [True, False])
def test_stop_sequences(beams: int, constrained: bool) -> None:
    scope = small.talkative()
    free = say(scope, max_new_tokens=40, num_beams=beams, constrained=constrained)
    prompt = small.tagged_prompt(small.encoded(), "brief")
    for start in (0, 3, 9):
        sequence = tuple(free[start : start + 3])
        options: dict[str, Any] = {"max_new_tokens": 40, "num_beams": beams}
        options |= {"stop_sequences": ((5, 5, 5, 5, 5, 5), sequence), "constrained": constrained}
        ids = say(scope, **options)
        assert tuple(ids[-3:]) == sequence
        assert all(tuple(ids[k : k + 3]) != sequence for k in range(len(ids) - 3))
        if beams == 1:
            assert ids == free[: len(ids)]
        assert last(scope, prompt, **options).finish == "stop"
    longer = say(scope, max_new_tokens=40, num_beams=beams, constrained=constrained,
                 stop_sequences=((*free, 9),))  # fmt: skip
    assert longer == free, "a stop sequence longer than the text never matches"


@pytest.mark.parametrize("beams", [1, 2])
@pytest.mark.parametrize("wanted", [1, 2, 3])
def test_stop_after_entities(beams: int, wanted: int) -> None:
    scope = small.talkative()
    prompt = small.tagged_prompt(small.encoded(), "region")
    (found,) = scope.complete(
        [prompt], stop_after_entities=wanted, num_beams=beams, max_new_tokens=100
    )
    assert found.finish_reason == "complete"
    assert found.token_ids[-1] == scope.tokenizer.tokens.object_close
    assert found.token_ids.count(scope.tokenizer.tokens.object_close) == wanted
    assert len(found.entities) == wanted + 1, "the prompt's own entity comes first"
    assert found.warnings == ()


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", PROMPTS)
def test_one_token(name: str, beams: int) -> None:
    scope = small.scope()
    prompt = small.tagged_prompt(small.encoded(), name)
    (found,) = scope.complete([prompt], max_new_tokens=1, num_beams=beams)
    assert len(found.token_ids) == 1
    assert found.finish_reason == "length"
    assert found.timing.passes == 1


@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"constrained": False}], ids=str)
def test_the_models_context_ends_a_text(options: dict[str, Any]) -> None:
    scope = small.scope("wide")
    image = small.encoded(0, "wide")
    most = scope.engine.config.text.max_positions

    def prompt(length: int) -> Prompt:
        start = len(Prompt().image(image).compile(scope.tokenizer, scope.engine.slot_ids).ids)
        return Prompt().image(image).text(" ".join(["a"] * (length - start)))

    for room in (1, 2, 9):
        (found,) = scope.complete(
            [prompt(most - room)], max_new_tokens=100, min_new_tokens=99, **options
        )
        assert len(found.token_ids) == room
        assert found.finish_reason == "length"
    for length in (most, most + 1, most + 900):
        with pytest.raises(PromptError, match=f"{length} tokens; the model reads {most}"):
            scope.complete([prompt(length)], **options)
    short = prompt(20)
    with pytest.raises(PromptError):
        scope.complete([short, prompt(most)], **options)
    # Plain words cut off anywhere are well-formed; only the limits differ between these two.
    long, limited = (
        scope.complete([prompt(most - 9)], max_new_tokens=m, min_new_tokens=9, **options)[0]
        for m in (9, 4096)
    )
    assert long.token_ids == limited.token_ids


# Beams


@pytest.mark.parametrize("penalty", [-10.0, -5.0, 0.0, 5.0, 10.0])
def test_any_permitted_length_penalty(penalty: float) -> None:
    scope = small.talkative("untied")
    prompt = small.tagged_prompt(small.encoded(0, "untied"), "brief")
    (found,) = scope.complete([prompt], num_beams=2, length_penalty=penalty, max_new_tokens=100)
    assert 1 <= len(found.token_ids) <= 100
    assert found.warnings == () or found.finish_reason == "length"


def test_a_wider_search_finds_nothing_less_likely() -> None:
    scope = small.scope("wide")

    def likelihood(picture: int, beams: int) -> float:
        prompt = small.tagged_prompt(small.encoded(picture, "wide"), "plain")
        options = {"max_new_tokens": 6, "min_new_tokens": 6, "num_beams": beams}
        request = small.request(scope, prompt, constrained=False, **options)
        return math.fsum(t.logprob or 0.0 for t in generate(scope.engine, [request]))

    pairs = [(likelihood(n, 1), likelihood(n, 12)) for n in range(6)]
    assert all(wide >= greedy - 1e-3 for greedy, wide in pairs)
    assert any(wide > greedy + 1e-2 for greedy, wide in pairs)


# The arena


def test_dropping_dead_slots_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = small.talkative()
    requests = [
        small.request(
            scope,
            Prompt().image(small.encoded(n % 4)).grounding()
            .text(" ".join(WORDS[(n + k) % len(WORDS)] for k in range(1 + 17 * n % 150))),
            max_new_tokens=(3, 60, 9, 25, 90, 1)[n % 6],
            num_beams=1 + 3 * (n == 4),
        )
        for n in range(12)
    ]  # fmt: skip
    dropped: list[int] = []
    keep = Arena.keep

    def counting(arena: Arena, live: Any) -> Any:
        dropped.append(int((~live).sum()))
        return keep(arena, live)

    monkeypatch.setattr(Arena, "keep", counting)
    with_it = ids_of(scope, requests)
    assert len(dropped) >= 2
    assert min(dropped) >= 128
    assert with_it == [ids_of(scope, [r])[0] for r in requests]
    monkeypatch.setattr(Batch, "_tidy", lambda *_: None)
    monkeypatch.setattr(_Search, "tidy", lambda *_: None)
    dropped.clear()
    assert ids_of(scope, requests) == with_it
    assert not dropped


def test_beams_drop_dead_slots_too(monkeypatch: pytest.MonkeyPatch) -> None:
    scope = small.talkative()
    options = {"num_beams": 8, "max_new_tokens": 80, "min_new_tokens": 80}
    calls: list[int] = []
    keep = Arena.keep
    monkeypatch.setattr(Arena, "keep", lambda a, live: (calls.append(1), keep(a, live))[1])
    with_it = say(scope, **options)
    assert calls
    monkeypatch.setattr(_Search, "tidy", lambda *_: None)
    assert say(scope, **options) == with_it


# Consumers


def test_closing_early_stops_the_work() -> None:
    scope = small.talkative()
    request = small.request(scope, small.tagged_prompt(small.encoded(), "brief"))
    clock = Clock()
    source = generate(scope.engine, [request], clock)
    first = next(source)
    source.close()
    assert clock.passes == 1
    assert first.id == say(scope, max_new_tokens=1)[0]
    with pytest.raises(StopIteration):
        next(source)


def test_threads_share_a_model() -> None:
    scope = small.talkative()

    def work(n: int) -> list[Any]:
        image = scope.encode(small.checkpoints.picture(n, (50 + n, 40)))
        found = scope.complete(
            [small.tagged_prompt(image, p) for p in ("brief", "grounding")], max_new_tokens=40
        )
        beams = scope.describe(image, num_beams=2, max_new_tokens=15)
        return [(d.token_ids, d.caption, d.entities) for d in (*found, beams)]

    serial = [work(n) for n in range(8)]
    gate = threading.Barrier(4)

    def together(n: int) -> list[Any]:
        if n < 4:
            gate.wait(30)
        return work(n)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(together, range(8))) == serial


def test_the_number_of_threads_is_checked() -> None:
    from kosmoscope.engine.sessions import thread_count

    for wrong in (0, -1, 1025, True, 2.0, "2"):
        with pytest.raises(OptionError, match="threads is"):
            thread_count(wrong)  # type: ignore[arg-type]
    assert thread_count(3) == 3
    assert thread_count(None) >= 1
