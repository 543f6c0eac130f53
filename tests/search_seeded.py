"""Texts, pictures and questions by a seed, in great number: for what is compared elsewhere.

`search_made` has the same as strategies, which begin small.
"""

from __future__ import annotations

import unicodedata
from random import Random
from typing import cast

from kosmoscope.questions.evaluate import PictureRecord, Seen
from kosmoscope.questions.evaluate.columns import COLOUR_NAMES
from kosmoscope.questions.evaluate.space import PLACES, RELATIONS
from kosmoscope.questions.language import (
    SOME,
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
from kosmoscope.questions.language.tree import Place, Relation, Size
from search_made import DAYS, EXTRA, FOLDERS, NOUNS, VOCABULARY


def wordy(rng: Random) -> str:
    return " ".join(rng.choices(VOCABULARY, k=rng.randint(1, 16)))


def letters(rng: Random) -> str:
    """Of any script that this Python's Unicode has; another's may have more."""
    last = (0x7F, 0x24F, 0xFFFF, 0x1FFFF)
    found = [chr(rng.randint(1, rng.choice(last))) for _ in range(rng.randint(1, 40))]
    return "".join(c for c in found if unicodedata.category(c) not in ("Cs", "Cn"))


def record(rng: Random) -> PictureRecord:
    things = tuple(_seen(rng) for _ in range(rng.randint(1, 6)))
    words = {"sunset"}.union(*(s.words for s in things))
    return PictureRecord(things, frozenset(words), rng.choice(FOLDERS), rng.choice((None, *DAYS)))


def _seen(rng: Random) -> Seen:
    noun, words = rng.choice(NOUNS[:3]), tuple(rng.sample(EXTRA, rng.randint(0, 2)))
    (x1, x2), (y1, y2) = (sorted(rng.sample(range(21), 2)) for _ in range(2))
    box = (x1 / 20, y1 / 20, x2 / 20, y2 / 20) if rng.random() < 0.8 else None
    colours = tuple(rng.sample(COLOUR_NAMES[:3], rng.randint(0, 2)))
    probability = rng.randint(0, 10_000) / 10_000
    number = rng.choice((1, 1, 3))
    return Seen(" ".join((*words, noun)), noun, probability, box, (*words, noun), colours, number)


def query(rng: Random) -> Query:
    return Query(_node(rng, 2), rng.choice(((0.0, 1.0), (0.0, 1.0), (0.25, 1.0), (0.1, 0.9))))


def _node(rng: Random, depth: int) -> Node:
    kind = rng.random() if depth else 1.0
    if kind < 0.1:
        return Not(_node(rng, depth - 1))
    if kind < 0.4:
        parts = tuple(_node(rng, depth - 1) for _ in range(rng.randint(2, 3)))
        return All(parts) if kind < 0.25 else Any_(parts)
    if rng.random() < 0.75:
        return _thing(rng, 2)
    first, last = rng.choice((None, *DAYS)), rng.choice((None, *DAYS))
    words = Words(tuple(rng.sample(("sunset", "hill", "dog"), 2)))
    return rng.choice((words, Taken(first, last), Folder(rng.choice(FOLDERS[1:]))))


def _thing(rng: Random, depth: int) -> Thing:
    def maybe(share: float, values: tuple[str, ...]) -> tuple[str, ...]:
        return (rng.choice(values),) if rng.random() < share else ()

    related = tuple(
        Related(
            cast(Relation, rng.choice(tuple(RELATIONS))),
            _thing(rng, depth - 1),
            rng.random() < 0.2,
            (_thing(rng, 0),) if rng.random() < 0.2 else (),
        )
        for _ in range(rng.choice((0, 1, 1, 2)) if depth else 0)
    )
    counts = (SOME, SOME, SOME, Count(0), Count(2), Count(1, 2), Count(0, 1), Count(2, 2))
    return Thing(
        rng.choice((*NOUNS[:3], "animal", "thing")),
        maybe(0.2, EXTRA),
        maybe(0.2, COLOUR_NAMES[:3]),
        cast(Size, rng.choice(("large", "small"))) if rng.random() < 0.2 else None,
        cast(tuple[Place, ...], maybe(0.2, tuple(PLACES))),
        related,
        rng.choice(counts),
    )
