"""Guessed tokens: they save passes and never change a text."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import checkpoints
import small_models as small
from checkpoints import PROMPTS
from kosmoscope.engine.drafts import BUDGETS, Budget, Drafts, kept_file
from kosmoscope.engine.pack import Feed
from kosmoscope.results import Description
from kosmoscope.scope import Scope
from kosmoscope.tokens import TokenSet


@pytest.fixture(scope="module")
def tokens() -> TokenSet:
    return small.scope().tokenizer.tokens


def with_drafts(scope: Scope, drafts: Drafts, budget: Budget | None) -> Scope:
    """Return another handle on a model, with drafts and a budget of its own."""
    engine, other = copy.copy(scope.engine), copy.copy(scope)
    engine.drafts, engine.budget, other.engine = drafts, budget, engine
    return other


class Told(Drafts):
    """Guesses what it is told, whole texts, and counts how often it was asked."""

    def __init__(self, tokens: TokenSet, texts: Sequence[Sequence[int]]) -> None:
        super().__init__(tokens)
        self.texts = [list(text) for text in texts]
        self.asked = 0

    def likely(self, ids: Sequence[int]) -> tuple[int, float] | None:
        self.asked += 1
        for text in self.texts:
            if text[: len(ids)] == list(ids) and len(text) > len(ids):
                return text[len(ids)], 1.0
        return None


class Wrong(Drafts):
    """Guesses at random, and is sure of it."""

    def __init__(self, tokens: TokenSet, seed: int) -> None:
        super().__init__(tokens)
        self.rng = np.random.default_rng(seed)

    def likely(self, _: Sequence[int]) -> tuple[int, float] | None:
        return int(self.rng.integers(4, self._tokens.vocab_size)), 1.0


WAYS: list[dict[str, Any]] = [
    {},
    {"temperature": 2.0, "seed": 4},
    {"no_repeat_ngram_size": 3},
    {"constrained": False},
    {"min_new_tokens": 40},
    {"max_new_tokens": 9},
    {"stop_after_entities": 2},
]


def same(ours: Description, theirs: Description) -> None:
    assert ours.token_ids == theirs.token_ids
    assert ours.finish_reason == theirs.finish_reason
    assert ours.caption == theirs.caption
    for a, b in zip(ours.entities, theirs.entities, strict=True):
        assert (a.phrase, [x.xyxy for x in a.boxes]) == (b.phrase, [x.xyxy for x in b.boxes])
        assert [x.score for x in a.boxes] == pytest.approx([x.score for x in b.boxes], abs=1e-4)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", ["base", "wide"])
def test_no_guess_changes_a_text(name: str, way: dict[str, Any], tokens: TokenSet) -> None:
    model = small.talkative(name)
    plain = with_drafts(model, Drafts(tokens), None)
    for picture, prompt_name in enumerate(PROMPTS):
        prompt = small.tagged_prompt(small.encoded(picture, name), prompt_name)
        options = {"max_new_tokens": 50, **way}
        (wanted,) = plain.complete([prompt], **options)
        perfect = Told(tokens, [wanted.token_ids])
        for drafts in (perfect, Wrong(tokens, picture), Drafts(tokens)):
            guessing = with_drafts(model, drafts, Budget(6, 0.01))
            for _ in range(2):  # the second time, the last kind has seen the text
                (found,) = guessing.complete([prompt], **options)
                same(found, wanted)
        chosen = wanted.timing.new_tokens - wanted.timing.forced_tokens
        assert wanted.timing.passes == chosen, "without guesses, a pass for every choice"


def test_right_guesses_save_passes(tokens: TokenSet) -> None:
    model = small.talkative()
    prompt = small.tagged_prompt(small.encoded(0), "plain")
    (wanted,) = with_drafts(model, Drafts(tokens), None).complete([prompt], max_new_tokens=41)
    guessing = with_drafts(model, Told(tokens, [wanted.token_ids]), Budget(5, 0.5))
    (found,) = guessing.complete([prompt], max_new_tokens=41)
    assert found.token_ids == wanted.token_ids
    assert found.timing.passes == 9, "one for the prompt's token, then five tokens a pass"


def test_wrong_guesses_leave_nothing_behind(tokens: TokenSet) -> None:
    model = small.talkative()
    packs: list[Any] = []
    guessing = with_drafts(model, Wrong(tokens, 1), Budget(6, 0.5))
    make = guessing.engine.pack
    guessing.engine.pack = lambda n: packs.append(make(n)) or packs[-1]  # type: ignore[method-assign,func-returns-value]
    prompt = small.tagged_prompt(small.encoded(0), "plain")
    (found,) = guessing.complete([prompt], max_new_tokens=30)
    (pack,) = packs
    length = len(small.prompt_ids(model, prompt).ids) + len(found.token_ids)
    assert pack.arena.used <= length + 5, "what was guessed wrong is overwritten"


def test_nothing_is_guessed_where_several_texts_are_under_way(tokens: TokenSet) -> None:
    model = small.talkative("wide")
    prompts = [small.tagged_prompt(small.encoded(k, "wide"), name)
               for k, name in enumerate(PROMPTS)]  # fmt: skip
    crowded = Told(tokens, [])
    guessing = with_drafts(model, crowded, Budget(50, 0.01))
    guessing.complete(prompts, max_new_tokens=9)
    assert crowded.asked == 0
    guessing.complete(prompts[:1], max_new_tokens=9)
    assert crowded.asked > 0


@pytest.mark.parametrize("seed", range(3))
def test_a_row_is_bitwise_the_same_with_guesses_behind_it(seed: int) -> None:
    """At int8, where guesses are made: so that not even a score depends on earlier texts."""
    engine = small.scope("wide", "int8").engine
    assert engine.budget == BUDGETS["int8"]
    rng = np.random.default_rng(seed)
    rows = engine.embed(tuple(rng.integers(4, 120, 60).tolist()), 0)

    def read(*passes: int) -> np.ndarray:
        pack, done = engine.pack(70), 0
        found = []
        for count in passes:
            feed = Feed(np.arange(done), rows[done : done + count], count)
            hidden, _ = pack.forward([feed])
            found.append(hidden)
            done += count
        return np.concatenate(found)

    one_by_one = read(40, *[1] * 20)
    np.testing.assert_array_equal(read(40, 4, 5, 2, 3, 1, 5), one_by_one)
    np.testing.assert_array_equal(read(37, 3, *[5] * 4), one_by_one)
    last = one_by_one[40:45]
    for scores in (engine.logits, engine.structure_logits):
        alone = np.concatenate([scores(row[None]) for row in last])
        np.testing.assert_array_equal(scores(last), alone)


def test_exact_and_four_bit_models_do_without() -> None:
    for precision in ("fp32", "int4"):
        assert small.scope("wide", precision).engine.budget is None


def test_a_stream_that_is_closed_learns_nothing(tokens: TokenSet) -> None:
    drafts = Drafts(tokens)
    model = with_drafts(small.talkative(), drafts, None)
    prompt = small.tagged_prompt(small.encoded(0), "plain")
    events = model.stream(prompt, max_new_tokens=20)
    next(events)
    events.close()
    assert drafts.likely([]) is None
    model.complete([prompt], max_new_tokens=20)
    assert drafts.likely([]) is not None


# What followed what


def text(tokens: TokenSet, *parts: int | str) -> list[int]:
    marks = {
        "(": tokens.phrase_open, ")": tokens.phrase_close, "[": tokens.object_open,
        "]": tokens.object_close, ",": tokens.delimiter, "L": tokens.first_location + 7,
    }  # fmt: skip
    return [marks[p] if isinstance(p, str) else p for p in parts]


def test_the_longer_run_counts_first(tokens: TokenSet) -> None:
    drafts = Drafts(tokens)
    for _ in range(3):
        drafts.learn([10, 11, 12])
    drafts.learn([20, 11, 13])
    assert drafts.likely([]) == (10, 3 / 5)
    assert drafts.likely([10, 11]) == (12, 3 / 4)
    assert drafts.likely([20, 11]) == (13, 1 / 2)
    assert drafts.likely([30, 11]) == (12, 3 / 5), "one token before, where two are new"
    assert drafts.likely([30, 31]) is None


def test_a_text_goes_on_after_a_box_as_without_it(tokens: TokenSet) -> None:
    drafts = Drafts(tokens)
    drafts.learn(text(tokens, "(", 10, 11, ")", "[", "L", "L", "]", 12, 13))
    boxed = text(tokens, "(", 10, 11, ")", "[", "L", "L")
    assert drafts.likely(boxed) == (tokens.object_close, 1 / 2), "after a box, its end"
    assert drafts.likely(text(tokens, *boxed, "]")) == (12, 1 / 2)
    assert drafts.likely(text(tokens, *boxed, ",", "L", "L", "]")) == (12, 1 / 2)
    assert drafts.likely(text(tokens, "(", 10, 11)) == (tokens.phrase_close, 1 / 2)


def test_what_is_kept_is_bounded(tokens: TokenSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kosmoscope.engine.drafts._KEPT_TOKENS", 30)
    drafts = Drafts(tokens)
    for n in range(90):
        drafts.learn([30 + n, 11, 12])
    assert drafts.likely([30, 11]) == (12, 10 / 11), "only the last ten texts are counted"
    assert drafts.likely([119, 11]) == (12, 1 / 2)
    assert drafts.likely([]) == (110, 1 / 11)
    assert len(drafts._texts) == 10
    assert len(drafts._counts) < 40


def test_texts_outlive_the_process(tokens: TokenSet, tmp_path: Path) -> None:
    file = tmp_path / "drafts.bin"
    first = Drafts(tokens, file)
    assert first.likely([]) is None
    first.save()
    assert not file.exists(), "nothing was said"
    first.learn([10, 11, 12])
    first.learn([10, 11, 12])
    first.save()
    again = Drafts(tokens, file)
    assert again.likely([10, 11]) == (12, 2 / 3)
    again.learn([10, 11, 12])
    again.save()
    assert Drafts(tokens, file).likely([10, 11]) == (12, 3 / 4)


@pytest.mark.parametrize("data", [b"", b"abc", b"\xff" * 400, bytes(range(256)) * 3, b"\0" * 8])
def test_a_damaged_file_costs_no_text(data: bytes, tokens: TokenSet, tmp_path: Path) -> None:
    file = tmp_path / "drafts.bin"
    file.write_bytes(data)
    model = small.talkative()
    prompt = small.tagged_prompt(small.encoded(0), "plain")
    (wanted,) = with_drafts(model, Drafts(tokens), None).complete([prompt], max_new_tokens=20)
    guessing = with_drafts(model, Drafts(tokens, file), Budget(5, 0.0))
    same(guessing.complete([prompt], max_new_tokens=20)[0], wanted)
    guessing.engine.drafts.save()


def test_a_folder_that_cannot_be_written_is_no_error(tokens: TokenSet, tmp_path: Path) -> None:
    drafts = Drafts(tokens, tmp_path / "nowhere" / "drafts.bin")
    drafts.learn([10, 11, 12])
    drafts.save()
    drafts.learn([10, 11, 12])
    drafts.save()
    assert drafts.likely([10, 11]) == (12, 2 / 3)


def test_keeping_texts_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert kept_file(tmp_path) is None, "tests switch it off"
    monkeypatch.delenv("KOSMOSCOPE_DRAFTS")
    assert kept_file(tmp_path) == tmp_path / "drafts.bin"


@pytest.fixture
def converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("KOSMOSCOPE_DRAFTS")
    return small.copy_of(small.converted_folder(), tmp_path / "model")


def test_a_model_keeps_its_texts_when_it_is_let_go(converted: Path) -> None:
    from kosmoscope import load

    scope = load(converted)
    said = scope.describe(checkpoints.picture(0), max_new_tokens=20)
    del scope
    again = load(converted)
    assert again.engine.drafts.likely([]) == (said.token_ids[0], 1 / 2)
