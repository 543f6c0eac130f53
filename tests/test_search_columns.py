"""Many pictures at a time get what each gets by itself; what is packed comes out again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import search_made as made
from kosmoscope.questions.evaluate import PictureRecord, evaluate
from kosmoscope.questions.evaluate.chance import between, none_of
from kosmoscope.questions.evaluate.counting import at_least_one
from kosmoscope.questions.evaluate.counting import between as all_between
from kosmoscope.questions.evaluate.packing import columns_of
from kosmoscope.questions.evaluate.space import RELATIONS
from kosmoscope.questions.evaluate.together import evaluate_all
from kosmoscope.questions.language import Query, Related, Thing


@given(made.queries, st.lists(made.records, min_size=1, max_size=6), made.fractions)
@settings(max_examples=150, deadline=None)
def test_all_at_once_is_one_by_one(
    query: Query, records: list[PictureRecord], least: float
) -> None:
    columns = columns_of(records)
    found = evaluate_all(query, columns, made.meaning)
    alone = [evaluate(query, record, made.meaning).probability for record in records]
    np.testing.assert_allclose(found, alone, rtol=0, atol=1e-9)
    assert ((found >= -1e-12) & (found <= 1 + 1e-12)).all()
    likely = evaluate_all(query, columns, made.meaning, least)
    np.testing.assert_allclose(likely[found >= least], found[found >= least], rtol=0, atol=1e-9)
    assert (likely[found < least] < least + 1e-9).all()


related_to_something = st.lists(
    st.builds(Related, st.sampled_from(sorted(RELATIONS)), st.just(Thing("thing")), st.booleans()),
    min_size=1,
    max_size=2,
).map(tuple)


@given(
    st.lists(st.tuples(made.things(0), related_to_something), min_size=1, max_size=3),
    st.lists(made.records, min_size=1, max_size=6),
    made.fractions,
)
@settings(max_examples=150, deadline=None)
def test_how_things_stand_to_anything_is_reckoned_once_and_the_same(
    asked: list[tuple[Thing, tuple[Related, ...]]], records: list[PictureRecord], least: float
) -> None:
    columns = columns_of(records)
    for thing, related in asked:  # of the same columns, which keep what was reckoned
        query = Query(replace(thing, related=related))
        alone = [evaluate(query, record, made.meaning).probability for record in records]
        found = evaluate_all(query, columns, made.meaning)
        np.testing.assert_allclose(found, alone, rtol=0, atol=1e-9)
        likely = evaluate_all(query, columns, made.meaning, least)
        kept = found >= least
        np.testing.assert_allclose(likely[kept], found[kept], rtol=0, atol=1e-9)
        assert (likely[~kept] < least + 1e-9).all()


@given(
    st.lists(
        st.lists(st.tuples(made.fractions, st.integers(1, 3)), max_size=5), min_size=1, max_size=5
    ),
    st.integers(0, 6),
    st.none() | st.integers(0, 6),
)
def test_counts_of_groups(
    groups: list[list[tuple[float, int]]], low: int, high: int | None
) -> None:
    p = np.array([p for group in groups for p, _ in group], np.float64)
    numbers = np.array([n for group in groups for _, n in group], np.uint8)
    group = np.repeat(np.arange(len(groups)), [len(g) for g in groups])
    found = all_between(p, numbers, group, len(groups), low, high)
    each = [between([p for p, _ in g], [n for _, n in g], low, high) for g in groups]
    np.testing.assert_allclose(found, each, atol=1e-12)
    some = at_least_one(p, group, len(groups))
    np.testing.assert_allclose(some, [1 - none_of(p for p, _ in g) for g in groups], atol=1e-12)


@pytest.mark.parametrize("size", [0, 1, 4])
def test_counts_against_all_outcomes(size: int) -> None:
    """Summed up over every outcome, for events that bring one thing, or two."""
    rng = np.random.default_rng(size)
    p, numbers = rng.uniform(size=size), rng.integers(1, 3, size)
    for low in range(6):
        for high in (None, *range(6)):
            true = 0.0
            for bits in range(1 << size):
                happens = np.array([bits >> i & 1 for i in range(size)], bool)
                total = int(numbers[happens].sum())
                if total >= low and (high is None or total <= high):
                    true += float(np.where(happens, p, 1 - p).prod())
            assert between(list(p), list(numbers), low, high) == pytest.approx(true, abs=1e-12)
