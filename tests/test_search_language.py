"""The grammar of questions: what is read as what, and that every text is a question."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import search_made as made
from kosmoscope.questions.language import Query, parse, wording
from kosmoscope.questions.language.tokens import MAX_CHARACTERS, fold, tokens_of, words_of


def same(query: Query) -> None:
    """Assert that a question's canonical words are read as the same question."""
    again = parse(wording(query))
    assert (again.find, again.score) == (query.find, query.score), wording(query)
    assert wording(again) == wording(query)


@given(st.text(max_size=80))
@settings(max_examples=200)
def test_any_text_is_a_question(text: str) -> None:
    same(parse(text))


@given(made.wordy)
@settings(max_examples=400)
def test_any_words_are_a_question_that_reads_back(text: str) -> None:
    query = parse(text)
    same(query)
    assert all(note and "\n" not in note for note in query.notes)


HOSTILE = (
    '" OR 1=1 --', "'; DROP TABLE picture; --", "dog NEAR/3 cat", 'text MATCH "*"', "a AND OR NOT",
    "{col} : x", "^dog", "dog*", "\0", "\ud800", "\u202edog\u202c", "👩‍👩‍👧 dog", "a\u0301" * 50,
    "％ｄｏｇ", "(" * 5000, ")" * 5000, "no " * 3000, "not (" * 2000, "a dog near " * 900,
    "-" * 9999,
    '"' * 9999, "[" * 9999, "score>" * 999, "date:" * 999, "1" * 10_000, "x" * 10_000,
    "a " * 5000, "dog and " * 1250, "left of " * 1250, "\n\r\t dog \u2028 cat",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_questions(text: str) -> None:
    query = parse(text)
    if len(text) > MAX_CHARACTERS:
        assert "only the first" in query.notes[0]
        parse(wording(query))
    else:
        same(query)


def test_what_is_not_seen_changes_nothing() -> None:
    plain = parse("two dogs left of a car")
    for text in (
        "\u202etwo dogs\u202c left of a car",
        "Two DOGS  left\tof a car",
        "ｔｗｏ dogs left of a cár",
    ):
        assert parse(text) == plain
    assert fold("İstanbul Ünïcode") == "istanbul unicode"
    assert words_of("Don’t—stop: T-shirt's_new") == ["don't", "stop", "t-shirt's", "new"]


def test_tokens() -> None:
    tokens, cut = tokens_of('at 3 "two words" score>=0.7 folder:"My Trip" 2024-06-01..')
    assert not cut
    assert [(t.kind[0], t.text) for t in tokens] == [
        ("w", "at"), ("n", "3"), ("q", "two words"), ("w", "score"), ("m", ">="), ("n", "0.7"),
        ("f", "my trip"), ("n", "2024"), ("m", "-"), ("n", "06"), ("m", "-"), ("n", "01"),
        ("m", ".."),
    ]  # fmt: skip
