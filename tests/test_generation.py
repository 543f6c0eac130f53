"""Constrained generation against slow references, on random models."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import checkpoints
import small_models as small
from checkpoints import PROMPTS
from kosmoscope.engine.boxes import box_score, read_corner, refined_xyxy
from kosmoscope.engine.branch import Token
from kosmoscope.engine.core import Engine, PromptIds
from kosmoscope.engine.generate import Request, generate
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.grammar import Grammar
from kosmoscope.prompts import Prompt, describe_prompt
from kosmoscope.results import Description
from kosmoscope.scope import Scope
from kosmoscope.tokens import cells_to_xyxy
from small_models import WORDS

PRECISIONS = ("fp32", "int8", "int4")


def check(scope: Scope, prompt: Prompt, found: Description) -> None:
    """Assert all that must hold for any constrained result."""
    tokens = scope.tokenizer.tokens
    compiled = prompt.compile(scope.tokenizer, scope.engine.slot_ids)
    tail = compiled.ids[compiled.tail :]
    cut = found.finish_reason == "length"
    small.check_form(tokens, tail, found.token_ids, cut=cut)
    grammar = Grammar(tokens, grounded=compiled.grounded)
    state = grammar.state_after(compiled.ids)
    for i in found.token_ids:
        following = grammar.advance(state, i)
        assert following is not None, f"{i} at {state}"
        state = following
    ended = found.token_ids[-1] in scope.engine.stops
    assert found.finish_reason == ("stop" if ended else "length")
    if not cut:
        assert found.warnings == ()
    assert all(e.complete for e in found.entities[:-1])
    assert cut or all(e.complete for e in found.entities)
    for entity in found.entities:
        start, end = entity.span
        assert found.caption[start:end] == entity.phrase
        assert entity.phrase == entity.phrase.strip()
        assert entity.score is None or 0 <= entity.score <= 1
        assert entity.boxes or not entity.complete
        for box in entity.boxes:
            x1, y1, x2, y2 = box.xyxy
            assert 0 <= x1 < x2 <= 1
            assert 0 <= y1 < y2 <= 1
            if box.score is None:
                assert box.refined is None
                continue
            assert 0 <= box.score <= 1
            assert box.refined is not None
            assert all(0 <= v <= 1 for v in box.refined)
            side = tokens.side
            apart = [abs(a - b) * side for a, b in zip(box.xyxy, box.refined, strict=True)]
            assert max(apart) < 2


@pytest.mark.parametrize("name", ["base", "deep", "untied", "odd"])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_whatever_is_drawn_is_well_formed(name: str, temperature: float) -> None:
    scope = small.talkative(name, boost=5 * temperature)
    boxes = several = 0
    for seed in range(3):
        image = small.encoded(seed, name)
        prompts = [small.tagged_prompt(image, p) for p in PROMPTS]
        results = scope.complete(prompts, max_new_tokens=90, temperature=temperature, seed=seed)
        for prompt, found in zip(prompts, results, strict=True):
            check(scope, prompt, found)
            boxes += sum(len(e.boxes) for e in found.entities)
            several += sum(len(e.boxes) > 1 for e in found.entities)
    assert boxes > 30, "a text without boxes shows little"
    assert several > 5


@pytest.mark.parametrize("name", ["base", "wide", "untied"])
@pytest.mark.parametrize("options", [
    {}, {"no_repeat_ngram_size": 2}, {"num_beams": 3}, {"num_beams": 2, "no_repeat_ngram_size": 1},
    {"num_beams": 4, "length_penalty": -1.0, "early_stopping": True}, {"min_new_tokens": 40},
    {"max_new_tokens": 1}, {"max_new_tokens": 7}, {"temperature": 3.0, "top_p": 0.3},
], ids=str)  # fmt: skip
def test_every_way_of_choosing_is_well_formed(name: str, options: dict[str, Any]) -> None:
    scope = small.talkative(name)
    image = small.encoded(1, name)
    prompts = [small.tagged_prompt(image, p) for p in PROMPTS]
    for prompt, found in zip(
        prompts, scope.complete(prompts, **{"max_new_tokens": 40, **options}), strict=True
    ):
        check(scope, prompt, found)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**32), st.floats(0, 30))
@example(5 * 16 + 5, 7 * 16 + 6, 0, 0.0)  # neighbouring columns, flat distribution
def test_a_refined_box_is_a_box(one: int, other: int, seed: int, spread: float) -> None:
    side = 16
    (top, bottom), (left, right) = (
        sorted(pair) for pair in zip(divmod(one, side), divmod(other, side), strict=True)
    )
    cells = top * side + left, bottom * side + right
    noise = np.random.default_rng(seed).normal(size=(2, side, side)) * spread
    allowed = np.ones((2, side, side), bool)
    allowed[1, :top] = allowed[1, :, :left] = False
    weights = np.where(allowed, np.exp(noise - noise.max((1, 2), keepdims=True)), 0)
    weights /= weights.sum((1, 2), keepdims=True)
    corners = [
        read_corner(w.ravel().astype(np.float32), c, side)
        for w, c in zip(weights, cells, strict=True)
    ]
    x1, y1, x2, y2 = refined_xyxy(corners[0], corners[1], side)
    assert 0 <= x1 < x2 <= 1
    assert 0 <= y1 < y2 <= 1
    exact = cells_to_xyxy(*cells, side)
    assert max(abs(a - b) for a, b in zip(exact, (x1, y1, x2, y2), strict=True)) < 2 / side
    assert 0 <= box_score(corners[0], corners[1]) <= 1


def test_without_grounding_no_phrase_is_opened() -> None:
    scope = small.talkative(boost=1000)
    found = scope.describe(small.encoded(), grounded=False, max_new_tokens=30)
    assert found.entities == ()
    assert scope.tokenizer.tokens.phrase_open not in found.token_ids
    grounded = scope.describe(small.encoded(), max_new_tokens=30)
    assert grounded.entities


def naive(engine: Engine, grammar: Grammar, prompt: PromptIds, count: int) -> list[int]:
    """Ask the whole model and the full head for every token; nothing cached, nothing forced."""
    state = grammar.state_after(prompt.ids)
    found: list[int] = []
    while len(found) < count and (not found or found[-1] not in engine.stops):
        hidden = engine.teach(prompt, [*found, engine.tokens.eos])[-1:]
        mask = np.array([
            grammar.advance(state, i) is not None for i in range(engine.tokens.vocab_size)
        ])  # fmt: skip
        found.append(int(np.where(mask, engine.logits(hidden)[0], -np.inf).argmax()))
        following = grammar.advance(state, found[-1])
        assert following is not None
        state = following
    return found


@pytest.mark.parametrize("name", ["base", "wide", "untied", "odd"])
def test_the_shortcuts_change_no_token(name: str) -> None:
    scope = small.talkative(name)
    forced = 0
    count = 28
    for picture, prompt_name in enumerate(PROMPTS):
        prompt = small.tagged_prompt(small.encoded(picture, name), prompt_name)
        (found,) = scope.complete([prompt], max_new_tokens=count)
        request = small.request(scope, prompt)
        assert request.grammar is not None
        slow = naive(scope.engine, request.grammar, request.prompt, count)
        assert list(found.token_ids) == slow, prompt_name
        timing = found.timing
        assert timing.new_tokens == len(slow)
        assert timing.passes + timing.forced_tokens <= timing.new_tokens
        forced += timing.forced_tokens
    assert forced >= 5, "where nothing is forced there are no shortcuts"


def test_scores_and_refined_corners_are_those_of_the_full_distribution() -> None:
    scope = small.talkative("wide")
    tokens, side = scope.tokenizer.tokens, scope.tokenizer.tokens.side
    prompt = small.tagged_prompt(small.encoded(2, "wide"), "grounding")
    (found,) = scope.complete([prompt], max_new_tokens=60, temperature=1.0, seed=3)
    ids = found.token_ids
    logits = scope.engine.logits(scope.engine.teach(small.prompt_ids(scope, prompt), ids))
    masses: list[float] = []
    means: list[tuple[float, float]] = []
    upper_left: tuple[int, int] | None = None
    for i, row in zip(ids, logits.astype(np.float64), strict=True):
        if not tokens.is_location(i):
            continue
        grid = row[tokens.first_location :][: tokens.location_count].reshape(side, side)
        weights = np.exp(grid - grid.max())
        if upper_left is not None:
            weights[: upper_left[0]] = 0
            weights[:, : upper_left[1]] = 0
        weights /= weights.sum()
        r, c = divmod(i - tokens.first_location, side)
        near = [
            (weights[y, x], x, y)
            for y, x in itertools.product(range(side), repeat=2)
            if abs(y - r) <= 1 and abs(x - c) <= 1
        ]
        mass = sum(w for w, _, _ in near)
        masses.append(mass)
        means.append(tuple(sum(w * (n[k] + 0.5) for w, *n in near) / mass / side for k in (0, 1)))  # type: ignore[arg-type]
        upper_left = (r, c) if upper_left is None else None
    boxes = [b for e in found.entities for b in e.boxes]
    assert len(boxes) > 3
    for n, box in enumerate(boxes):
        assert box.score == pytest.approx(masses[2 * n] * masses[2 * n + 1], rel=1e-3)
        rows_columns = [
            divmod(ids_cell, side) for ids_cell in _cells(ids, scope)[2 * n : 2 * n + 2]
        ]
        flat = any(a == b for a, b in zip(*rows_columns, strict=True))
        half = 0.5 / side if flat else 0.0
        (x1, y1), (x2, y2) = means[2 * n], means[2 * n + 1]
        wanted = np.clip([x1 - half, y1 - half, x2 + half, y2 + half], 0, 1)
        assert box.refined == pytest.approx(wanted, abs=1e-5)


def _cells(ids: Sequence[int], scope: Scope) -> list[int]:
    tokens = scope.tokenizer.tokens
    return [i - tokens.first_location for i in ids if tokens.is_location(i)]


def test_a_phrases_score_is_the_geometric_mean_of_its_tokens_probabilities() -> None:
    scope = small.talkative()
    tokens = scope.tokenizer.tokens
    prompt = small.tagged_prompt(small.encoded(3), "brief")
    (found,) = scope.complete([prompt], max_new_tokens=60, temperature=1.0, seed=1)
    logits = scope.engine.logits(
        scope.engine.teach(small.prompt_ids(scope, prompt), found.token_ids)
    ).astype(np.float64)
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    means = []
    inside: list[float] | None = None
    for i, row in zip(found.token_ids, probabilities, strict=True):
        if i == tokens.phrase_close and inside is not None:
            means.append(float(np.exp(np.mean(np.log(inside)))))
            inside = None
        if inside is not None:
            inside.append(float(row[i]))
        if i == tokens.phrase_open:
            inside = []
    scores = [e.score for e in found.entities][: len(means)]
    assert len(scores) > 2
    assert scores == pytest.approx(means, rel=1e-3)


def together(engine: Engine, requests: Sequence[Request]) -> list[list[Token]]:
    """Collect each request's tokens."""
    found: list[list[Token]] = [[] for _ in requests]
    for token in generate(engine, requests):
        found[token.request].append(token)
    return found


def assert_same(ours: Sequence[Token], theirs: Sequence[Token], precision: str = "fp32") -> bool:
    """Same tokens, and the same numbers up to rounding; return whether all tokens are the same.

    Where activations are rounded, the last bit of a sum, which depends on how many rows share a
    pass, can move a rounded value by a whole step. Two tokens that are as good as equal may then
    change places; nothing after that can be compared.
    """
    tolerance = 1e-3 if precision == "fp32" else 0.03
    for a, b in zip(ours, theirs, strict=False):
        if a.id != b.id and precision != "fp32":
            assert a.logprob is not None
            assert b.logprob is not None
            assert a.logprob == pytest.approx(b.logprob, abs=0.1), "no near tie"
            return False
        assert (a.id, a.finish) == (b.id, b.finish)
        assert (a.logprob is None) == (b.logprob is None)
        if a.logprob is not None and b.logprob is not None:
            assert np.exp(a.logprob) == pytest.approx(np.exp(b.logprob), abs=tolerance)
        assert (a.corner is None) == (b.corner is None)
        if a.corner is not None and b.corner is not None:
            assert a.corner.mass == pytest.approx(b.corner.mass, abs=tolerance)
            assert a.corner.x == pytest.approx(b.corner.x, abs=tolerance)
            assert a.corner.y == pytest.approx(b.corner.y, abs=tolerance)
    assert len(ours) == len(theirs)
    return True


def mixture(scope: Scope, name: str, precision: Any) -> list[Request]:
    """Requests of all kinds: pictures shared or not, options mixed, beams among them."""
    ways: list[dict[str, Any]] = [
        {"max_new_tokens": 40},
        {"max_new_tokens": 3},
        {"max_new_tokens": 25, "constrained": False},
        {"max_new_tokens": 20, "num_beams": 3},
        {"max_new_tokens": 50, "no_repeat_ngram_size": 2},
        {"max_new_tokens": 30, "stop_after_entities": 2},
        {"max_new_tokens": 30, "min_new_tokens": 30},
    ]
    names = list(PROMPTS)
    return [
        small.request(
            scope,
            small.tagged_prompt(small.encoded(n % 3, name, precision), names[(n * 3) % len(names)]),
            **ways[n % len(ways)],
        )
        for n in range(16)
    ]


@pytest.mark.parametrize("name", ["base", "untied", "wide"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_batch_equals_one_by_one(name: str, precision: Any) -> None:
    scope = small.talkative(name, precision)
    requests = mixture(scope, name, precision)
    alone = [together(scope.engine, [r])[0] for r in requests]
    forwards = together(scope.engine, requests)
    backwards = together(scope.engine, requests[::-1])[::-1]
    for batch in (forwards, backwards):
        same = [assert_same(a, b, precision) for a, b in zip(batch, alone, strict=True)]
        assert np.mean(same) >= 0.75
    assert len({tuple(t.id for t in a) for a in alone}) > 8, "the requests must differ"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_long_prompts_that_do_not_fit_one_pass(precision: Any) -> None:
    scope = small.talkative("base", precision)
    prompts = [
        Prompt().image(small.encoded(n, "base", precision)).grounding()
        .text(" ".join(WORDS[(n + k) % len(WORDS)] for k in range(length)))
        for n, length in enumerate([300, 5, 420, 333, 1])
    ]  # fmt: skip
    requests = [small.request(scope, p, max_new_tokens=20) for p in prompts]
    assert sum(len(r.prompt.ids) for r in requests) > 1024
    for ours, request in zip(together(scope.engine, requests), requests, strict=True):
        assert_same(ours, together(scope.engine, [request])[0], precision)


def test_descriptions_of_a_batch_equal_those_of_single_calls() -> None:
    scope = small.talkative()
    images = [checkpoints.picture(n, (40 + 9 * n, 30)) for n in range(4)]
    batch = scope.complete([describe_prompt(i) for i in images], max_new_tokens=40)
    for image, found in zip(images, batch, strict=True):
        alone = scope.describe(image, max_new_tokens=40)
        assert (found.token_ids, found.caption, found.image) == (
            alone.token_ids, alone.caption, alone.image)  # fmt: skip
        ours = [(e.phrase, e.span, [b.xyxy_px for b in e.boxes]) for e in found.entities]
        assert ours == [(e.phrase, e.span, [b.xyxy_px for b in e.boxes]) for e in alone.entities]
        for a, b in zip(found.entities, alone.entities, strict=True):
            assert a.score == pytest.approx(b.score, abs=1e-3)
            assert [x.score for x in a.boxes] == pytest.approx([x.score for x in b.boxes], abs=1e-3)
    assert scope.complete([]) == []
    assert batch[0].entities
    options = GenerationOptions(max_new_tokens=40)
    assert scope.complete([describe_prompt(images[0])], options)[0].token_ids == batch[0].token_ids
