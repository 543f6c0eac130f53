"""Strategies for searches: texts of the grammar's own words, random pictures, random questions."""

from __future__ import annotations

from hypothesis import strategies as st

from kosmoscope.questions.evaluate import PictureRecord, Seen
from kosmoscope.questions.evaluate.columns import COLOUR_NAMES
from kosmoscope.questions.evaluate.space import PLACES, RELATIONS
from kosmoscope.questions.language import (
    All,
    Any_,
    Count,
    Folder,
    Node,
    Not,
    Query,
    Related,
    Taken,
    Thing,
    Words,
)

NOUNS = ("dog", "puppy", "cat", "car", "person", "tree", "thing")
MEANINGS = {"dog": {"dog", "puppy"}, "animal": {"animal", "dog", "puppy", "cat"}}
EXTRA = ("young", "striped", "big", "cat")
DAYS = ("2023-12-31", "2024-01-01", "2024-06-15", "2025-03-01")
FOLDERS = ("", "trip", "trip/day one", "home")


def meaning(noun: str) -> frozenset[str]:
    return frozenset(MEANINGS.get(noun, {noun}))


_TEXT = """
    a the no not without two three 3 7 0.5 at least most left right above below inside near next to
    of on in and or , ( ) [ ] { } - | .. : " score > < date 2024 2024-06 june before from folder:x
    red black orange large small dog dogs cats traffic light people photos show me background top
    corner edge that is standing holding behind larger than smaller touching between 5 group
    several pair couple thing something \u202e \u200d 🐶 é ß ' * MATCH NEAR() NULL ;-- % _
    99999999999999999999
"""
VOCABULARY = _TEXT.split()

wordy = st.lists(st.sampled_from(VOCABULARY), max_size=14).map(" ".join)

fractions = st.integers(0, 40).map(lambda n: n / 40)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    xs = sorted(draw(st.lists(st.integers(0, 20), min_size=2, max_size=2, unique=True)))
    ys = sorted(draw(st.lists(st.integers(0, 20), min_size=2, max_size=2, unique=True)))
    return xs[0] / 20, ys[0] / 20, xs[1] / 20, ys[1] / 20


colours = st.lists(st.sampled_from(COLOUR_NAMES), max_size=2, unique=True).map(tuple)

seen = st.builds(
    lambda noun, words, p, box, colours, number: Seen(
        " ".join((*words, noun)), noun, p, box, (*words, noun), colours, number
    ),
    st.sampled_from(NOUNS[:-1]),
    st.lists(st.sampled_from(EXTRA), max_size=2, unique=True).map(tuple),
    fractions,
    st.none() | boxes() | boxes(),
    colours,
    st.sampled_from((1, 1, 1, 3)),
)

records = st.builds(
    lambda things, extra, folder, taken: PictureRecord(
        things, frozenset(extra).union(*(s.words for s in things)), folder, taken
    ),
    st.lists(seen, max_size=5).map(tuple),
    st.lists(st.sampled_from(("sunset", "hill")), max_size=2),
    st.sampled_from(FOLDERS),
    st.none() | st.sampled_from(DAYS),
)

counts = st.one_of(
    st.just(Count()),
    st.just(Count()),
    st.builds(Count, st.integers(0, 4)),
    st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda c: Count(min(c), max(c))),
)


def things(depth: int) -> st.SearchStrategy[Thing]:
    related: st.SearchStrategy[tuple[Related, ...]] = st.just(())
    if depth:
        related = st.lists(
            st.builds(
                Related,
                st.sampled_from(sorted(RELATIONS)),
                things(depth - 1),
                st.booleans(),
                st.lists(things(0), max_size=2).map(tuple),
            ),
            max_size=2,
        ).map(tuple)
    return st.builds(
        Thing,
        st.sampled_from(NOUNS),
        st.lists(st.sampled_from(EXTRA), max_size=2, unique=True).map(tuple),
        st.lists(st.sampled_from(COLOUR_NAMES), max_size=1).map(tuple),
        st.none() | st.none() | st.sampled_from(("large", "small")),
        st.lists(st.sampled_from(sorted(PLACES)), max_size=1).map(tuple),
        related,
        counts,
    )


leaves: st.SearchStrategy[Node] = st.one_of(
    things(2),
    things(1),
    st.lists(st.sampled_from(("sunset", "hill", "dog", "no")), min_size=1, max_size=2).map(
        lambda words: Words(tuple(words))
    ),
    st.builds(Taken, st.none() | st.sampled_from(DAYS), st.none() | st.sampled_from(DAYS)),
    st.sampled_from(FOLDERS[1:]).map(Folder),
)
nodes: st.SearchStrategy[Node] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: All(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Any_(tuple(parts))),
    ),
    max_leaves=4,
)
queries = st.builds(Query, nodes, st.just((0.0, 1.0)) | st.just((0.25, 1.0)) | st.just((0.1, 0.9)))
