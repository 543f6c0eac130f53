"""The cases that every implementation of grammar and rules is tested on: tests/search_cases.json.

``language``: a text, the tree that it is, its score's limits, its notes, and its canonical words.
``evaluate``: a question, a picture's record, and the probability that the one satisfies the other;
where it is given, the evidence: part, thing, its probability, relation, the other thing. ``below``
says which nouns a noun means besides itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kosmoscope.questions.evaluate import PictureRecord, evaluate
from kosmoscope.questions.evaluate.packing import columns_of
from kosmoscope.questions.evaluate.together import evaluate_all
from kosmoscope.questions.language import parse, wording

CASES = json.loads((Path(__file__).parent / "search_cases.json").read_text(encoding="utf-8"))


def meaning(noun: str) -> frozenset[str]:
    return frozenset(CASES["below"].get(noun, [noun]))


@pytest.mark.parametrize("case", CASES["language"], ids=lambda c: c["text"])
def test_language(case: dict[str, Any]) -> None:
    query = parse(case["text"])
    assert query.to_dict() == {key: case[key] for key in ("find", "score", "notes")}
    assert wording(query) == case["canonical"]


@pytest.mark.parametrize("case", CASES["evaluate"], ids=lambda c: c["name"])
def test_evaluate(case: dict[str, Any]) -> None:
    query, record = parse(case["query"]), PictureRecord.from_dict(case["record"])
    verdict = evaluate(query, record, meaning)
    assert verdict.probability == pytest.approx(case["probability"], abs=1e-9)
    (together,) = evaluate_all(query, columns_of([record]), meaning)
    assert together == pytest.approx(case["probability"], abs=1e-9)
    if "evidence" in case:
        found = [
            [e.part, e.thing, pytest.approx(e.probability), e.relation, e.other]
            for e in verdict.evidence
        ]
        assert case["evidence"] == found


def test_there_are_enough_of_them() -> None:
    assert (len(CASES["language"]), len(CASES["evaluate"])) > (70, 40)
