"""The rules for many pictures at a time: a probability for each, with NumPy.

What is said here of all pictures is what `rules` says of one; a test compares them on random
pictures and questions. Things lie in columns, sorted by picture: those of one are together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kosmoscope.questions.evaluate.columns import COLOUR_NAMES, Columns
from kosmoscope.questions.evaluate.counting import at_least_one, between
from kosmoscope.questions.evaluate.rules import ANYTHING, UNREAD, UNSAID, Meaning, in_folder
from kosmoscope.questions.evaluate.space import PLACES, RELATIONS, SIZES
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
    Taken,
    Thing,
    Words,
)

_BLOCK = 32_768
"""Pairs that are looked at together."""
_ROUNDING = 1e-9

Rows = NDArray[np.intp]
Chances = NDArray[np.float64]


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
class _Each:
    """Things that may be what is asked for."""

    rows: Rows
    """(R,) into the columns, ascending."""
    chance: Chances
    """(R,)"""


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Things of one kind with those of another in the same picture, where the relation holds."""

    one: Rows
    """(P,) index into the first kind's rows, ascending."""
    other: Rows
    """(P,) index into the second kind's rows."""
    rows: Rows
    """(P,) the first kind's rows themselves."""
    others: _Each
    """The second kind."""


class _Corners:
    """Corners of some things, each column fetched when it is asked for."""

    def __init__(self, columns: Columns, rows: Rows) -> None:
        self._columns, self._rows = columns.corners, rows
        self._kept: dict[int, NDArray[np.int32]] = {}

    def __getitem__(self, corner: int) -> NDArray[np.int32]:
        if corner not in self._kept:
            self._kept[corner] = self._columns[corner][self._rows]
        return self._kept[corner]


@dataclass(slots=True)
class _Judge:
    columns: Columns
    meaning: Meaning
    score: tuple[float, float]
    _kept: dict[tuple[Thing, float], _Each] = field(default_factory=dict)
    _stood: dict[tuple[Thing, Related], _Pairs] = field(default_factory=dict)

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
            for related in thing.related:
                if not related.negated and related.to.count.low > 0:
                    p = np.minimum(p, self._any_other(each, self._stood[thing, related]))
        return p

    def each(self, thing: Thing, least: float = 0.0) -> _Each:
        if (thing, least) in self._kept:
            return self._kept[thing, least]
        c, rows = self.columns, self._meant(thing.noun)
        low, high = self.score
        p = c.chance[rows]
        if self.score != (0.0, 1.0):
            fits = (p >= low) & (p <= high)
            rows, p = rows[fits], p[fits]
        for colour in thing.colours:
            has = c.colours[rows]
            bit = np.uint16(1 << COLOUR_NAMES.index(colour))
            p *= np.where(has == 0, UNSAID, (has & bit) > 0)
        if thing.size is not None:
            named = self._said((w for w, size in SIZE_WORDS.items() if size == thing.size), rows)
            fits = np.where(self._located(rows), SIZES[thing.size](_Corners(c, rows)), UNSAID)
            p *= np.where(named, 1.0, fits)
        for place in thing.places:
            p *= self._located(rows) & PLACES[place](_Corners(c, rows))
        for word in thing.words:
            said = self._said((word,), rows)
            if not said.all():
                has_one = np.maximum(UNSAID, self.thing(Thing(word)))
                p *= np.where(said, 1.0, has_one[c.picture[rows]])
        each = _possible(rows, p)
        if least > 0 and thing.count.low > 0:
            each = self._likely(thing, each, least)
        for related in thing.related:
            each = _possible(each.rows, each.chance * self._stands(thing, each, related))
        self._kept[thing, least] = each
        return each

    def _likely(self, thing: Thing, each: _Each, least: float) -> _Each:
        """Return those in pictures that can be so likely: it takes any of them, and of each other
        thing to which they are to stand."""
        needed = [each]
        needed += [self.each(r.to) for r in thing.related if not r.negated and r.to.count.low > 0]
        if len(needed) == 1:
            return each
        picture, n = self.columns.picture, self.columns.pictures
        likely = np.ones(n, np.bool_)
        for some in needed:
            likely &= at_least_one(some.chance, picture[some.rows], n) >= least - _ROUNDING
        kept = likely[picture[each.rows]]
        return _Each(each.rows[kept], each.chance[kept])

    def _meant(self, noun: str) -> Rows:
        c = self.columns
        if noun == ANYTHING:
            return np.flatnonzero(self._located(slice(None)))
        rows = c.called(self.meaning(noun))
        located = self._located(rows)
        if located.all():
            return rows
        has_box = np.zeros(c.pictures, np.bool_)
        has_box[c.picture[rows[located]]] = True
        return rows[located | ~has_box[c.picture[rows]]]

    def _located(self, rows: Rows | slice) -> NDArray[np.bool_]:
        return np.asarray(self.columns.corners[2][rows] > 0)

    def _said(self, words: Iterable[str], rows: Rows) -> NDArray[np.bool_]:
        """Say of which things the phrase has one of these words."""
        return np.asarray(self.columns.phrases.having(words)[self.columns.phrase[rows]])

    def _stands(self, thing: Thing, each: _Each, related: Related) -> Chances:
        """Return (R,) how likely each stands to another one, or to none if that is asked."""
        pairs = self._stood[thing, related] = self._pairs(each, self.each(related.to), related)
        others, size = pairs.others, len(each.rows)
        chance = others.chance[pairs.other]
        if related.to.count == SOME:
            p = at_least_one(chance, pairs.one, size)
        else:
            numbers = self.columns.number[others.rows[pairs.other]]
            count = related.to.count
            p = between(chance, numbers, pairs.one, size, count.low, count.high)
        return 1 - p if related.negated else p

    def _pairs(self, each: _Each, others: _Each, related: Related) -> _Pairs:
        c = self.columns
        mine, theirs = c.picture[each.rows], c.picture[others.rows]
        there = np.bincount(theirs, minlength=c.pictures)
        many = there[mine]
        first = np.cumsum(there)[mine] - many
        ends = np.cumsum(many)
        holds = self._standing(each, others, related)
        found, start = [], 0
        while start < len(mine):
            # Some at a time, so that what is computed of them stays in the processor's cache.
            stop = max(int(np.searchsorted(ends, ends[start] + _BLOCK)), start + 1)
            number = many[start:stop]
            one = np.repeat(np.arange(start, stop), number)
            before = first[start:stop] - np.cumsum(number) + number
            other = np.arange(len(one)) + np.repeat(before, number)
            kept = np.flatnonzero(holds(one, other))
            found.append((one[kept], other[kept]))
            start = stop
        one = np.concatenate([f[0] for f in found] or [np.zeros(0, np.intp)])
        other = np.concatenate([f[1] for f in found] or [np.zeros(0, np.intp)])
        return _Pairs(one, other, each.rows[one], others)

    def _standing(
        self, each: _Each, others: _Each, related: Related
    ) -> Callable[[Rows, Rows], NDArray[np.bool_]]:
        """Return what says of pairs (P,), (P,) whether the relation holds."""
        c, rule = self.columns, RELATIONS[related.relation]
        a_there, b_there = self._located(each.rows), self._located(others.rows)
        boxes = bool(a_there.all() and b_there.all())
        asked = np.zeros(len(c.picture), np.bool_)
        asked[each.rows] = True
        apart = not asked[others.rows].any()  # no thing is of both kinds

        def holds(one: Rows, other: Rows) -> NDArray[np.bool_]:
            rows, other_rows = each.rows[one], others.rows[other]
            found: NDArray[np.bool_] = rule(_Corners(c, rows), _Corners(c, other_rows))
            if not boxes:
                both = a_there[one] & b_there[other]
                # "on a beach", where the beach was named alone.
                found = found | ~both if related.relation == "touching" else found & both
            return found if apart else found & (rows != other_rows)

        return holds

    def _any_other(self, each: _Each, pairs: _Pairs) -> Chances:
        """Return (N,) how likely something is there to which any of them stands."""
        likely = np.zeros(len(self.columns.picture), np.bool_)
        likely[each.rows] = True
        stood_to = np.zeros(len(pairs.others.rows), np.bool_)
        stood_to[pairs.other[likely[pairs.rows]]] = True
        picture = self.columns.picture[pairs.others.rows[stood_to]]
        return at_least_one(pairs.others.chance[stood_to], picture, self.columns.pictures)


def _possible(rows: Rows, chance: Chances) -> _Each:
    if chance.all():
        return _Each(rows, chance)
    kept = np.flatnonzero(chance)
    return _Each(rows[kept], chance[kept])


def _day(iso: str) -> int:
    return int(iso.replace("-", ""))
