"""Questions that some of the pictures answer, to show what can be asked.

`gallery/page/search/examples.js` says the same of a page's pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

from kosmoscope.questions.evaluate.record import PictureRecord, Seen
from kosmoscope.questions.evaluate.rules import evaluate
from kosmoscope.questions.evaluate.space import RELATIONS, in_units
from kosmoscope.questions.language import Query, parse
from kosmoscope.questions.language.tree import Count, Related, Relation, Thing
from kosmoscope.questions.language.wording import node_wording
from kosmoscope.questions.words import meaning

LOOKED_AT = 300
"""Pictures."""
_THINGS = 12
"""Of each."""
_MOST = 4
_RELATIONS: tuple[Relation, ...] = ("left", "above", "inside")


@dataclass(slots=True)
class _Tally:
    """A question, and how many pictures might answer it."""

    thing: Thing
    first: PictureRecord
    number: int = 0


def example_questions(records: Sequence[PictureRecord], cut_off: float) -> list[str]:
    """Return questions in canonical words: the commonest first, no two of one kind.

    Args:
        records: of pictures.
        cut_off: 0..1: from which probability a picture is an answer.
    """
    tally: dict[str, _Tally] = {}
    for record in records:
        for text, thing in {node_wording(t): t for t in _things(record, cut_off)}.items():
            tally.setdefault(text, _Tally(thing, record)).number += 1
    chosen: dict[str, str] = {}
    for text, one in sorted(tally.items(), key=lambda item: -item[1].number):
        kind = one.thing.related[0].relation if one.thing.related else "count"
        if kind in chosen or len(chosen) == _MOST:
            continue
        if evaluate(Query(one.thing), one.first, meaning).probability >= cut_off:
            chosen[kind] = text
    return list(chosen.values())


def _things(record: PictureRecord, cut_off: float) -> Iterator[Thing]:
    """Yield what a picture's things are to each other, and how many of a kind there are."""
    sure = [s for s in record.things if s.box and s.probability >= cut_off and _readable(s.noun)]
    for a, b in permutations(sure[:_THINGS], 2):
        if a.noun != b.noun:
            for relation in _RELATIONS:
                if _lies(relation, a, b):
                    yield Thing(a.noun, related=(Related(relation, Thing(b.noun)),))
    for noun, number in Counter(s.noun for s in sure[:_THINGS]).items():
        if number > 1:
            yield Thing(noun, count=Count(number))


def _lies(relation: Relation, a: Seen, b: Seen) -> bool:
    assert a.box is not None
    assert b.box is not None
    return bool(RELATIONS[relation](in_units(a.box), in_units(b.box)))


@cache
def _readable(noun: str) -> bool:
    """Whether it can be written down, and is read as what it is."""
    return parse(f"a {noun}").find == Thing(noun)
