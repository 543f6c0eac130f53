"""The rules for many pictures at a time: a probability for each, with NumPy.

What is said here of all pictures is what `rules` says of one; a test compares them on random
pictures and questions. Things lie in columns, sorted by picture: those of one are together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kosmoscope.search.evaluate.counting import at_least_one, between
from kosmoscope.search.evaluate.record import SCALE
from kosmoscope.search.evaluate.rules import ANYTHING, UNREAD, UNSAID, Meaning, in_folder
from kosmoscope.search.evaluate.space import PLACES, RELATIONS, SIZES, Corners
from kosmoscope.search.language.lexicon import COLOURS
from kosmoscope.search.language.lexicon import SIZES as SIZE_WORDS
from kosmoscope.search.language.tree import (
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

COLOUR_NAMES = tuple(dict.fromkeys(COLOURS.values()))
"""Bit i of a thing's colours is the i-th of these."""

Rows = NDArray[np.intp]
Chances = NDArray[np.float64]


class Phrases:
    """The texts that things are called by, each once, looked up by noun and by word.

    Args:
        nouns: of each phrase.
        words: of each phrase, all of them.
    """

    def __init__(self, nouns: Iterable[str], words: Iterable[Sequence[str]]) -> None:
        self._nouns: dict[str, int] = {}
        self._noun: list[int] = []
        self._having: dict[str, list[int]] = {}
        self.add(nouns, words)

    def __len__(self) -> int:
        return len(self._noun)

    def add(self, nouns: Iterable[str], words: Iterable[Sequence[str]]) -> None:
        """Append phrases."""
        for noun, some in zip(nouns, words, strict=True):
            for word in some:
                self._having.setdefault(word, []).append(len(self._noun))
            self._noun.append(self._nouns.setdefault(noun, len(self._nouns)))

    def __contains__(self, word: str) -> bool:
        """Say whether a word is one of their nouns, or stands in any of them."""
        return word in self._nouns or word in self._having

    def named(self, nouns: Collection[str]) -> NDArray[np.bool_]:
        """Say of which phrases the noun is one of these."""
        meant = np.zeros(len(self._nouns) + 1, np.bool_)
        meant[[self._nouns[noun] for noun in nouns if noun in self._nouns]] = True
        return np.asarray(meant[np.array(self._noun, np.intp)])

    def having(self, words: Iterable[str]) -> NDArray[np.bool_]:
        """Say which phrases have one of these words."""
        found = np.zeros(len(self), np.bool_)
        for word in words:
            found[self._having.get(word, [])] = True
        return found


@dataclass(frozen=True, slots=True)
class Columns:
    """Many pictures' things. B things, N pictures."""

    pictures: int
    """N."""
    picture: NDArray[np.int32]
    """(B,): whose it is, 0..N-1, ascending."""
    phrase: NDArray[np.int32]
    """(B,): index into `phrases`."""
    box: NDArray[np.uint16]
    """(B, 4): corners in 1/10,000 of the picture's sides; all 0 for none."""
    probability: NDArray[np.uint16]
    """(B,): in 1/10,000."""
    colours: NDArray[np.uint16]
    """(B,): a bit for each of `COLOUR_NAMES`; 0 where nobody knows."""
    number: NDArray[np.uint8]
    """(B,): how many things are in the box, at least 1."""
    phrases: Phrases
    folder: NDArray[np.int32]
    """(N,): index into `folders`."""
    folders: Sequence[str]
    taken: NDArray[np.uint32]
    """(N,): year * 10,000 + month * 100 + day; 0 where nobody knows."""
    texts: Callable[[str], NDArray[np.intp]]
    """Word -> the pictures whose texts have it."""


def evaluate_all(query: Query, columns: Columns, meaning: Meaning) -> Chances:
    """Return (N,) how likely each picture satisfies a question."""
    if query.find is None:
        return np.ones(columns.pictures)
    return _Judge(columns, meaning, query.score).node(query.find)


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


@dataclass(slots=True)
class _Judge:
    columns: Columns
    meaning: Meaning
    score: tuple[float, float]
    _kept: dict[Thing, _Each] = field(default_factory=dict)

    def node(self, node: Node) -> Chances:
        n = self.columns.pictures
        match node:
            case Thing():
                return self.thing(node)
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
                    p *= self.node(part)
                return p
            case Any_():
                p = np.ones(n)
                for part in node.parts:
                    p *= 1 - self.node(part)
                return 1 - p

    def thing(self, thing: Thing) -> Chances:
        each, n = self.each(thing), self.columns.pictures
        picture = self.columns.picture[each.rows]
        if thing.count == SOME:
            p = at_least_one(each.chance, picture, n)
        else:
            numbers = self.columns.number[each.rows]
            p = between(each.chance, numbers, picture, n, thing.count.low, thing.count.high)
        if thing.count.low > 0:
            for related in thing.related:
                if not related.negated and related.to.count.low > 0:
                    p = np.minimum(p, self._any_other(each, related))
        return p

    def each(self, thing: Thing) -> _Each:
        if thing in self._kept:
            return self._kept[thing]
        c, rows = self.columns, self._meant(thing.noun)
        low, high = self.score
        p = c.probability[rows] / SCALE
        p[(p < low) | (p > high)] = 0.0
        rows, p = rows[p > 0], p[p > 0]
        for colour in thing.colours:
            has = c.colours[rows]
            bit = np.uint16(1 << COLOUR_NAMES.index(colour))
            p *= np.where(has == 0, UNSAID, (has & bit) > 0)
        if thing.size is not None:
            named = self._said((w for w, size in SIZE_WORDS.items() if size == thing.size), rows)
            fits = np.where(self._located(rows), SIZES[thing.size](self._corners(rows)), UNSAID)
            p *= np.where(named, 1.0, fits)
        for place in thing.places:
            p *= self._located(rows) & PLACES[place](self._corners(rows))
        for word in thing.words:
            said = self._said((word,), rows)
            if not said.all():
                has_one = np.maximum(UNSAID, self.thing(Thing(word)))
                p *= np.where(said, 1.0, has_one[c.picture[rows]])
        each = _Each(rows[p > 0], p[p > 0])
        for related in thing.related:
            p = each.chance * self._stands(each, related)
            each = _Each(each.rows[p > 0], p[p > 0])
        self._kept[thing] = each
        return each

    def _meant(self, noun: str) -> Rows:
        c = self.columns
        if noun == ANYTHING:
            return np.flatnonzero(self._located(slice(None)))
        rows = np.flatnonzero(c.phrases.named(self.meaning(noun))[c.phrase])
        located = self._located(rows)
        if located.all():
            return rows
        has_box = np.zeros(c.pictures, np.bool_)
        has_box[c.picture[rows[located]]] = True
        return rows[located | ~has_box[c.picture[rows]]]

    def _located(self, rows: Rows | slice) -> NDArray[np.bool_]:
        box = self.columns.box
        return np.asarray(box[rows, 2] > 0)

    def _corners(self, rows: Rows) -> Corners:
        box = self.columns.box[rows] / SCALE
        return box[:, 0], box[:, 1], box[:, 2], box[:, 3]

    def _said(self, words: Iterable[str], rows: Rows) -> NDArray[np.bool_]:
        """Say of which things the phrase has one of these words."""
        return np.asarray(self.columns.phrases.having(words)[self.columns.phrase[rows]])

    def _stands(self, each: _Each, related: Related) -> Chances:
        """Return (R,) how likely each stands to another one, or to none if that is asked."""
        others = self.each(related.to)
        pairs = self._pairs(each, others, related)
        chance, size = others.chance[pairs.other], len(each.rows)
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
        start = np.searchsorted(theirs, mine, "left")
        many = np.searchsorted(theirs, mine, "right") - start
        one = np.repeat(np.arange(len(mine)), many)
        before = np.cumsum(many) - many
        other = np.arange(len(one)) + np.repeat(start - before, many)
        rows, other_rows = each.rows[one], others.rows[other]
        a, b = self._corners(rows), self._corners(other_rows)
        located = self._located(rows) & self._located(other_rows)
        holds = RELATIONS[related.relation](a, b) & located
        if related.relation == "touching":
            holds |= ~located
        holds &= rows != other_rows
        return _Pairs(one[holds], other[holds])

    def _any_other(self, each: _Each, related: Related) -> Chances:
        others = self.each(related.to)
        pairs = self._pairs(each, others, related)
        stood_to = np.unique(pairs.other)
        picture = self.columns.picture[others.rows[stood_to]]
        return at_least_one(others.chance[stood_to], picture, self.columns.pictures)


def _day(iso: str) -> int:
    return int(iso.replace("-", ""))
