"""The rules for many pictures at a time: a probability for each, with NumPy.

What is said here of all pictures is what `rules` says of one; a test compares them on random
pictures and questions. Things lie in columns, sorted by picture: those of one are together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.questions.evaluate.columns import COLOUR_BITS, COLOUR_NAMES, Columns
from kosmoscope.questions.evaluate.counting import at_least_one, between, starts_of
from kosmoscope.questions.evaluate.rules import ANYTHING, UNREAD, UNSAID, Meaning, in_folder
from kosmoscope.questions.evaluate.space import PLACES, SIZES
from kosmoscope.questions.evaluate.standing import (
    Chances,
    Corners,
    Each,
    Rows,
    Truths,
    located,
    pairs,
    spread,
    to_anything,
)
from kosmoscope.questions.language.lexicon import SIZES as SIZE_WORDS
from kosmoscope.questions.language.tree import (
    SOME,
    All,
    Any_,
    Folder,
    Node,
    Not,
    Query,
    Related,
    Relation,
    Taken,
    Thing,
    Words,
)

_ROUNDING = 1e-9
_MANY = 8
"""How all things stand to anything is reckoned for a question about at least one in so many."""


def evaluate_all(query: Query, columns: Columns, meaning: Meaning, least: float = 0.0) -> Chances:
    """Return (N,) how likely each picture satisfies a question.

    With `least`, pictures that are less likely may get 0: most need not be reckoned to the end.
    """
    if query.find is None:
        return np.ones(columns.pictures)
    return _Judge(columns, meaning, query.score).node(query.find, least)


def evaluate_parts(
    query: Query, parts: Sequence[Node], columns: Columns, meaning: Meaning
) -> list[Chances]:
    """Return for each part of a question (N,) how likely each picture satisfies it."""
    judge = _Judge(columns, meaning, query.score)
    return [judge.node(part) for part in parts]


@dataclass(frozen=True, slots=True)
class _Stood:
    """How some things stand to others."""

    chance: Chances
    """(R,) that each does to any."""
    any_other: Callable[[Rows], Each]
    """Those to which any of some rows stands; a thing may be among them several times."""


@dataclass(slots=True)
class _Judge:
    columns: Columns
    meaning: Meaning
    score: tuple[float, float]
    _kept: dict[tuple[Thing, float], Each] = field(default_factory=dict)
    _stood: dict[tuple[Thing, float], list[_Stood]] = field(default_factory=dict)
    """How what was kept of a thing stands to each of its related ones."""

    def node(self, node: Node, least: float = 0.0) -> Chances:
        n = self.columns.pictures
        match node:
            case Thing():
                return self.thing(node, least)
            case Words():
                p = np.ones(n)
                for word in node.words:
                    factor = np.full(n, UNREAD)
                    factor[self.columns.texts(word)] = 1.0
                    p *= factor
                return p
            case Taken():
                days = self.columns.taken
                fits = days > 0
                if node.first is not None:
                    fits &= days >= _day(node.first)
                if node.last is not None:
                    fits &= days <= _day(node.last)
                return fits.astype(np.float64)
            case Folder():
                fits = np.array([in_folder(node.name, f) for f in self.columns.folders], np.bool_)
                return fits[self.columns.folder].astype(np.float64)
            case Not():
                return 1 - self.node(node.part)
            case All():
                p = np.ones(n)
                for part in node.parts:
                    p *= self.node(part, least)  # the whole is no likelier than any part
                return p
            case Any_():
                p = np.ones(n)
                for part in node.parts:
                    p *= 1 - self.node(part)
                return 1 - p

    def thing(self, thing: Thing, least: float = 0.0) -> Chances:
        each, n = self.each(thing, least), self.columns.pictures
        picture = self.columns.picture[each.rows]
        if thing.count == SOME:
            p = at_least_one(each.chance, picture, n)
        else:
            numbers = self.columns.number[each.rows]
            p = between(each.chance, numbers, picture, n, thing.count.low, thing.count.high)
        if thing.count.low > 0:
            for related, stood in zip(thing.related, self._stood[thing, least], strict=True):
                if _is_needed(related):
                    p = self._no_likelier(p, each, stood, least)
        return p

    def each(self, thing: Thing, least: float = 0.0) -> Each:
        if (thing, least) in self._kept:
            return self._kept[thing, least]
        c, rows = self.columns, self._meant(thing.noun)
        low, high = self.score
        p = c.chance[rows]
        if self.score != (0.0, 1.0):
            fits = (p >= low) & (p <= high)
            rows, p = rows[fits], p[fits]
        for colour in thing.colours:
            has = c.colours[rows] & np.uint16(COLOUR_BITS)
            bit = np.uint16(1 << COLOUR_NAMES.index(colour))
            p *= np.where(has == 0, UNSAID, (has & bit) > 0)
        if thing.size is not None:
            named = self._said((w for w, size in SIZE_WORDS.items() if size == thing.size), rows)
            fits = np.where(located(c, rows), SIZES[thing.size](Corners(c, rows)), UNSAID)
            p *= np.where(named, 1.0, fits)
        for place in thing.places:
            p *= located(c, rows) & PLACES[place](Corners(c, rows))
        for word in thing.words:
            said = self._said((word,), rows)
            if not said.all():
                has_one = np.maximum(UNSAID, self.thing(Thing(word)))
                p *= np.where(said, 1.0, has_one[c.picture[rows]])
        kept = _above_zero(p)
        each = Each(rows[kept], p[kept])
        if least > 0 and thing.count.low > 0:
            each = self._likely(thing, each, least)
        stands: list[_Stood] = []
        for related in thing.related:
            stood = self._stands(each, related)
            p = 1 - stood.chance if related.negated else stood.chance
            kept = _above_zero(each.chance * p)
            each = Each(each.rows[kept], (each.chance * p)[kept])
            stands = [_Stood(s.chance[kept], s.any_other) for s in (*stands, stood)]
        self._stood[thing, least] = stands
        self._kept[thing, least] = each
        return each

    def _likely(self, thing: Thing, each: Each, least: float) -> Each:
        """Return those in pictures that can be so likely: it takes any of them, and of each other
        thing to which they are to stand."""
        needed = [
            r.any_of
            for r in thing.related
            if _is_needed(r) and not any(map(self._is_anything, r.any_of))
        ]
        if not needed:
            return each
        picture, n = self.columns.picture, self.columns.pictures

        def likely(some: Iterable[Each]) -> Truths:
            none = np.ones(n)
            for one in some:
                none *= 1 - at_least_one(one.chance, picture[one.rows], n)
            return np.asarray(1 - none >= least - _ROUNDING)

        there = likely([each])
        for some in needed:
            there &= likely(map(self.each, some))
        kept = there[picture[each.rows]]
        return Each(each.rows[kept], each.chance[kept])

    def _meant(self, noun: str) -> Rows:
        c = self.columns
        if noun == ANYTHING:
            return np.flatnonzero(located(c, slice(None)))
        rows = c.called(self.meaning(noun))
        there = located(c, rows)
        if there.all():
            return rows
        has_box = np.zeros(c.pictures, np.bool_)
        has_box[c.picture[rows[there]]] = True
        return rows[there | ~has_box[c.picture[rows]]]

    def _said(self, words: Iterable[str], rows: Rows) -> NDArray[np.bool_]:
        """Say of which things the phrase has one of these words."""
        return np.asarray(self.columns.phrases.having(words)[self.columns.phrase[rows]])

    def _stands(self, each: Each, related: Related) -> _Stood:
        stands = [self._stands_to(each, related.relation, to) for to in related.any_of]
        if len(stands) == 1:
            return stands[0]
        none = np.prod([1 - one.chance for one in stands], axis=0)

        def any_other(rows: Rows) -> Each:
            some = [one.any_other(rows) for one in stands]
            found = np.concatenate([each.rows for each in some])
            order = np.argsort(found, kind="stable")
            return Each(found[order], np.concatenate([each.chance for each in some])[order])

        return _Stood(1 - none, any_other)

    def _stands_to(self, each: Each, relation: Relation, to: Thing) -> _Stood:
        if self._is_anything(to):
            many = _MANY * len(each.rows) >= len(self.columns.picture)
            if many or relation in self.columns.to_anything:
                return self._stands_to_anything(each, relation)
        others, size, count = self.each(to), len(each.rows), to.count
        one, other = pairs(self.columns, each.rows, others.rows, relation)
        chance = others.chance[other]
        if count == SOME:
            p = at_least_one(chance, one, size)
        else:
            numbers = self.columns.number[others.rows[other]]
            p = between(chance, numbers, one, size, count.low, count.high)

        def any_other(rows: Rows) -> Each:
            stood_to = np.zeros(len(others.rows), np.bool_)
            stood_to[other[self._among(rows)[each.rows[one]]]] = True
            return Each(others.rows[stood_to], others.chance[stood_to])

        return _Stood(p, any_other)

    def _is_anything(self, thing: Thing) -> bool:
        """Say whether it is whatever has a box: how all things stand to that can be kept."""
        return thing == Thing(ANYTHING) and self.score == (0.0, 1.0)

    def _stands_to_anything(self, each: Each, relation: Relation) -> _Stood:
        standing = to_anything(self.columns, relation)

        def any_other(rows: Rows) -> Each:
            first = standing.starts[rows]
            places = spread(first, standing.starts[rows + 1] - first)
            found = np.flatnonzero(self._among(standing.other[places]))
            return Each(found, self.columns.chance[found])

        return _Stood(standing.chance[each.rows], any_other)

    def _among(self, rows: NDArray[np.integer[Any]]) -> Truths:
        """Say of all things whether they are some of these."""
        found = np.zeros(len(self.columns.picture), np.bool_)
        found[rows] = True
        return found

    def _no_likelier(self, p: Chances, each: Each, stood: _Stood, least: float) -> Chances:
        """Return (N,) how likely pictures have a thing, no likelier than that something is there
        to which any of them stands.

        That is at least as likely as that a certain one does; where this settles it, nothing else
        is looked at.
        """
        c = self.columns
        picture = c.picture[each.rows]
        certain = np.zeros(c.pictures)
        if len(picture):
            starts = starts_of(picture)
            certain[picture[starts]] = np.maximum.reduceat(stood.chance, starts)
        open_ = (p > certain) & (p >= least - _ROUNDING)
        others = stood.any_other(each.rows[open_[picture]])
        any_other = at_least_one(others.chance, c.picture[others.rows], c.pictures)
        return np.where(open_, np.minimum(p, any_other), p)


def _is_needed(related: Related) -> bool:
    """Say whether what a thing stands to must be there."""
    return not related.negated and all(to.count.low > 0 for to in related.any_of)


def _above_zero(chance: Chances) -> Rows | slice:
    return slice(None) if chance.all() else np.flatnonzero(chance)


def _day(iso: str) -> int:
    return int(iso.replace("-", ""))
