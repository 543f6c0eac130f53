"""The page's scripts read and answer questions as the package does: on the shared cases, and more.

The scripts run in a real browser, all cases on one page.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from importlib.resources import files
from random import Random
from typing import Any

import pytest

import search_made as made
import search_seeded as seeded
from gallery_tab import Tab
from kosmoscope.export.nouns import article, head_noun, plural, singular
from kosmoscope.gallery.html import SEARCH, bundled, safe_json
from kosmoscope.gallery.language import language
from kosmoscope.questions import parse, wording
from kosmoscope.questions.evaluate import PictureRecord, evaluate
from kosmoscope.questions.evaluate.packing import columns_of
from kosmoscope.questions.known import named
from kosmoscope.questions.language import Query
from kosmoscope.questions.language.tokens import fold, tokens_of, words_of
from kosmoscope.questions.words import TABLE, meaning
from kosmoscope.questions.words.part import lines_about
from kosmoscope.search.nearest import nearness
from test_search_cases import CASES
from test_search_language import HOSTILE

EXAMPLES = 600
"""Of each kind."""
_ANSWER = """
const told = JSON.parse(document.getElementById("cases").textContent);
const asked = new Map(Object.entries(told.below).map(([noun, nouns]) => [noun, new Set(nouns)]));
const below = (noun) => asked.get(noun) ?? new Set([noun]);
const asRecord = (record) => ({
  folder: "", taken: null, ...record, words: new Set(record.words ?? []),
  things: (record.things ?? []).map((seen) => ({
    words: [], colours: [], number: 1, ...seen,
    box: seen.box ? seen.box.map((v) => Math.round(v * LANGUAGE.rules.scale)) : null,
  })),
});
const read = (text) => {
  const query = parse(text);
  return [query, wording(query), tokensOf(text)];
};
const nounsOf = (text) => [headNoun(text), singularOf(text), singularOf(text, true), pluralOf(text),
  articleOf(text), spelled(text), wordsOf(text), readPhrase(text)];
const meanings = new Meanings(told.lines);
globalThis.answers = JSON.stringify({
  texts: told.texts.map(read),
  evaluated: told.evaluated.map(([query, record]) =>
    evaluate(typeof query === "string" ? parse(query) : query, asRecord(record), below)),
  near: told.evaluated.slice(-told.random).map(([query, record]) =>
    nearness(query.find, partsOf(query.find), new Judge(asRecord(record), below, query.score))),
  phrases: told.phrases.map(nounsOf),
  meant: told.asked.map((noun) => told.present.filter((one) => meanings.of(noun).has(one))),
});
document.getElementById("end").textContent = "ready";
"""
_TEXT = """
    a the two men women dogs glasses of in red hot dog traffic lights sitting parked and & , -
    wedding group cup coffee boxes leaves churches buses houses cities specimens tall big with that
    kids' o'clock ''s 12 half-eaten bed's knives photos hour unicorn x-rays women's
"""
_NOUNS = _TEXT.split()
Answers = dict[str, list[Any]]

PRESENT = [
    *("dog", "puppy", "cat", "boat", "sailboat", "person", "man", "woman", "car", "bus", "train"),
    *("traffic light", "tree", "oak", "rose", "glass", "wine glass", "mountain", "zyzzyva"),
]
_LINES = files("kosmoscope.questions.words").joinpath(TABLE).read_text("utf-8").splitlines()
ASKED = sorted({noun for line in _LINES for noun in re.split("[,|]", line.rpartition("|")[0])})


@dataclass(frozen=True)
class Asked:
    """Everything that is compared."""

    texts: list[str]
    phrases: list[str]
    pictures: list[tuple[Query, PictureRecord]]


@pytest.fixture(scope="module")
def asked() -> Asked:
    rng = Random(18)
    cases = [case["text"] for case in CASES["language"]]
    many = range(EXAMPLES)
    words = [" ".join(rng.choices(_NOUNS, k=rng.randint(1, 7))) for _ in many]
    return Asked(
        [
            *cases,
            *HOSTILE,
            *(seeded.wordy(rng) for _ in many),
            *(seeded.letters(rng) for _ in many),
        ],
        [*words, *filter(str.strip, (seeded.letters(rng) for _ in many))],
        [(seeded.query(rng), seeded.record(rng)) for _ in many],
    )


@pytest.fixture(scope="module")
def answers(browser: Any, tmp_path_factory: pytest.TempPathFactory, asked: Asked) -> Answers:
    """What the scripts say, on a page that has them alone."""
    file = tmp_path_factory.mktemp("language") / "index.html"
    cases = {
        "below": CASES["below"],
        "texts": asked.texts,
        "phrases": asked.phrases,
        "evaluated": [
            *([case["query"], case["record"]] for case in CASES["evaluate"]),
            *([query.to_dict(), plain(record)] for query, record in asked.pictures),
        ],
        "random": len(asked.pictures),
        "lines": lines_about(PRESENT),
        "present": PRESENT,
        "asked": ASKED,
    }
    scripts = bundled(["words.js", "scores.js", *SEARCH])
    file.write_text(
        '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><p id="end"></p>'
        f'<script type="application/json" id="language">{safe_json(language())}</script>'
        f'<script type="application/json" id="cases">{safe_json(cases)}</script>'
        f'<script>(() => {{"use strict";\n{scripts}{_ANSWER}}})()</script>',
        "utf-8",
    )
    tab = Tab(browser)
    tab.open(file)
    assert tab.problems() == []
    return dict(json.loads(tab.js("return answers")))


def plain(record: PictureRecord) -> dict[str, Any]:
    return {**asdict(record), "words": sorted(record.words)}


def test_texts_are_read_as_the_package_reads_them(asked: Asked, answers: Answers) -> None:
    assert len(answers["texts"]) == len(asked.texts) > 2 * EXAMPLES
    for text, (query, said, tokens) in zip(asked.texts, answers["texts"], strict=True):
        expected = parse(text)
        assert query == expected.to_dict(), text
        assert said == wording(expected), text
        found, cut = tokens_of(text)
        assert tokens == [[{"kind": t.kind, "text": t.text} for t in found], cut], text


def test_the_shared_cases(answers: Answers) -> None:
    for case, (query, said, _) in zip(CASES["language"], answers["texts"], strict=False):
        assert query == {key: case[key] for key in ("find", "score", "notes")}, case["text"]
        assert said == case["canonical"]
    for case, verdict in zip(CASES["evaluate"], answers["evaluated"], strict=False):
        assert verdict["probability"] == pytest.approx(case["probability"], abs=1e-9), case["name"]
        if "evidence" in case:
            assert evidence(verdict) == [pytest.approx(e) for e in case["evidence"]], case["name"]


def evidence(verdict: dict[str, Any]) -> list[list[Any]]:
    keys = ("part", "thing", "probability", "relation", "other")
    return [[one[key] for key in keys] for one in verdict["evidence"]]


def test_pictures_are_judged_as_the_package_judges_them(asked: Asked, answers: Answers) -> None:
    assert {noun: set(nouns) for noun, nouns in CASES["below"].items()} == made.MEANINGS
    verdicts = answers["evaluated"][len(CASES["evaluate"]) :]
    with_evidence = 0
    for (query, record), verdict in zip(asked.pictures, verdicts, strict=True):
        expected = evaluate(query, record, made.meaning)
        assert verdict["probability"] == pytest.approx(expected.probability, abs=1e-9)
        theirs = [asdict(one) for one in expected.evidence]
        for one in (*theirs, *verdict["evidence"]):
            one["probability"] = pytest.approx(one["probability"], abs=1e-9)
        assert verdict["evidence"] == theirs
        with_evidence += bool(theirs)
    assert with_evidence > EXAMPLES / 10


def test_what_comes_nearest_is_what_the_package_says(asked: Asked, answers: Answers) -> None:
    expected = [
        nearness(query, columns_of([record]), made.meaning)[0] for query, record in asked.pictures
    ]
    assert answers["near"] == pytest.approx(expected, abs=1e-9)
    assert sum(near > 0 for near in expected) > EXAMPLES / 2


def test_nouns_are_those_of_the_package(asked: Asked, answers: Answers) -> None:
    for text, found in zip(asked.phrases, answers["phrases"], strict=True):
        noun, words, *_ = named(" ".join(text.split()))
        assert found == [
            head_noun(text), singular(text), singular(text, counted=True), plural(text),
            article(text), fold(text), words_of(text), {"noun": noun, "words": list(words)},
        ]  # fmt: skip


def test_what_nouns_mean_of_those_that_are_there(answers: Answers) -> None:
    assert len(ASKED) > 3000
    for noun, meant in zip(ASKED, answers["meant"], strict=True):
        assert meant == [one for one in PRESENT if one in meaning(noun)], noun
    assert ["dog", "puppy", "cat"] in answers["meant"], "an animal"
    assert len(lines_about(PRESENT)) < 100
