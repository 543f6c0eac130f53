"""How likely one picture satisfies a question, and by what: the rules, in plain Python.

`together` says the same of many pictures at a time. Independence is assumed throughout, but for one
thing that several others stand to: no more likely than itself is what needs it.

A thing of the question is each of the picture's that its noun means, with the probability of that
one times a factor for each property. What boxes tell is true or not (1 or 0). What texts would have
to tell and do not is `UNSAID`: a caption leaves out more than it says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kosmoscope.questions.evaluate.chance import between, none_of
from kosmoscope.questions.evaluate.record import PictureRecord, Seen
from kosmoscope.questions.evaluate.space import PLACES, RELATIONS, SIZES, in_units
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
from kosmoscope.questions.language.wording import node_wording

CUT_OFF = 0.5
"""From which probability a picture is an answer: more likely right than wrong."""
UNSAID = 0.25
"""Of a property that no text says and no pixel tells."""
UNREAD = 0.1
"""Of each word that is looked for in the texts and is not there; it orders what comes nearest."""
SHOWN = 0.05
"""Less likely things are no evidence."""
ANYTHING = "thing"

Meaning = Callable[[str], frozenset[str]]
"""Noun -> the nouns of pictures' phrases that it means: itself, other words for it, kinds of it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A thing of the picture by which it satisfies a part of the question."""

    part: str
    """Which part, in canonical words."""
    thing: int
    """Index into the record's things."""
    probability: float
    """That this thing is all of what the part asks of each."""
    relation: str = ""
    other: int | None = None
    """The thing to which it stands in that relation, most likely."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is found of one picture."""

    probability: float
    """0..1: that it satisfies the question."""
    evidence: tuple[Evidence, ...] = ()


def evaluate(query: Query, record: PictureRecord, meaning: Meaning) -> Verdict:
    """Return how likely a picture satisfies a question, with the evidence for it."""
    if query.find is None:
        return Verdict(1.0)
    judge = _Judge(record, meaning, query.score)
    probability = judge.node(query.find)
    evidence = judge.evidence(query.find)
    return Verdict(probability, tuple(dict.fromkeys(evidence)))


@dataclass(slots=True)
class _Judge:
    record: PictureRecord
    meaning: Meaning
    score: tuple[float, float]
    _boxes: list[tuple[int, int, int, int] | None] = field(init=False)
    _kept: dict[Thing, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._boxes = [None if s.box is None else in_units(s.box) for s in self.record.things]

    def node(self, node: Node) -> float:
        match node:
            case Thing():
                return self.thing(node)
            case Words():
                missing = sum(word not in self.record.words for word in node.words)
                return float(UNREAD**missing)
            case Taken():
                day = self.record.taken
                fits = day is not None and (
                    (node.first is None or node.first <= day)
                    and (node.last is None or day <= node.last)
                )
                return float(fits)
            case Folder():
                return float(in_folder(node.name, self.record.folder))
            case Not():
                return 1 - self.node(node.part)
            case All():
                p = 1.0
                for part in node.parts:
                    p *= self.node(part)
                return p
            case Any_():
                return 1 - none_of(self.node(part) for part in node.parts)

    def thing(self, thing: Thing) -> float:
        each = self.each(thing)
        if thing.count == SOME:
            p = 1 - none_of(each)
        else:
            numbers = [seen.number for seen in self.record.things]
            p = between(each, numbers, thing.count.low, thing.count.high)
        if thing.count.low > 0:
            for related in thing.related:
                if not related.negated and all(to.count.low > 0 for to in related.any_of):
                    p = min(p, self._any_other(each, related))
        return p

    def each(self, thing: Thing) -> list[float]:
        """Return of each of the record's things how likely it is one that is asked for."""
        if thing in self._kept:
            return self._kept[thing]
        meant = self._meant(thing.noun)
        each = [
            self._one(thing, i, seen) if meant[i] else 0.0
            for i, seen in enumerate(self.record.things)
        ]
        self._kept[thing] = each
        return each

    def _meant(self, noun: str) -> list[bool]:
        """Say which things a noun means; where some have boxes, the others are the same again."""
        if noun == ANYTHING:
            return [seen.box is not None for seen in self.record.things]
        nouns = self.meaning(noun)
        meant = [seen.noun in nouns for seen in self.record.things]
        located = any(
            m and s.box is not None for m, s in zip(meant, self.record.things, strict=True)
        )
        if not located:
            return meant
        return [m and s.box is not None for m, s in zip(meant, self.record.things, strict=True)]

    def _one(self, thing: Thing, index: int, seen: Seen) -> float:
        low, high = self.score
        if not low <= seen.probability <= high:
            return 0.0
        p, box = seen.probability, self._boxes[index]
        for colour in thing.colours:
            p *= UNSAID if not seen.colours else float(colour in seen.colours)
        if thing.size is not None:
            p *= _size(thing.size, seen, box)
        for place in thing.places:
            p *= 0.0 if box is None else float(PLACES[place](box))
        for word in thing.words:
            p *= 1.0 if word in seen.words else max(UNSAID, self._has(word))
        for related in thing.related:
            p *= self._stands(index, related)
        return p

    def _has(self, noun: str) -> float:
        """Return how likely the picture has something of that name: "dog" of "dog beach"."""
        return self.thing(Thing(noun))

    def _stands(self, index: int, related: Related) -> float:
        none = none_of(self._stands_to(index, related.relation, to) for to in related.any_of)
        return none if related.negated else 1 - none

    def _stands_to(self, index: int, relation: Relation, to: Thing) -> float:
        standing = [
            p if p > 0 and self._holds(relation, index, j) else 0.0
            for j, p in enumerate(self.each(to))
        ]
        if to.count == SOME:
            return 1 - none_of(standing)
        numbers = [seen.number for seen in self.record.things]
        return between(standing, numbers, to.count.low, to.count.high)

    def _holds(self, relation: Relation, i: int, j: int) -> bool:
        if i == j:
            return False
        a, b = self._boxes[i], self._boxes[j]
        if a is None or b is None:
            # "on a beach", where the beach was named alone.
            return relation == "touching"
        return bool(RELATIONS[relation](a, b))

    def _any_other(self, each: list[float], related: Related) -> float:
        """Return how likely something is there to which any of them stands."""
        return 1 - none_of(
            p
            for to in related.any_of
            for j, p in enumerate(self.each(to))
            if any(q > 0 and self._holds(related.relation, i, j) for i, q in enumerate(each))
        )

    def evidence(self, node: Node) -> list[Evidence]:
        """Return what speaks for a node; of what is not to be there, nothing does."""
        match node:
            case Thing():
                return self._thing_evidence(node) if node.count.low > 0 else []
            case All() | Any_():
                return [e for part in node.parts for e in self.evidence(part)]
            case _:
                return []

    def _thing_evidence(self, thing: Thing) -> list[Evidence]:
        part = node_wording(thing)
        found = []
        for i, p in sorted(enumerate(self.each(thing)), key=lambda one: -one[1]):
            if p < SHOWN:
                break
            shown = False
            for related in thing.related:
                j = None if related.negated else self._best(i, related)
                if j is not None:
                    found.append(Evidence(part, i, p, related.relation, j))
                    shown = True
            if not shown:
                found.append(Evidence(part, i, p))
        return found

    def _best(self, index: int, related: Related) -> int | None:
        standing = [
            (p, -j)
            for to in related.any_of
            for j, p in enumerate(self.each(to))
            if p > 0 and self._holds(related.relation, index, j)
        ]
        return -max(standing)[1] if standing else None


def _size(size: str, seen: Seen, box: tuple[int, int, int, int] | None) -> float:
    if any(SIZE_WORDS.get(word) == size for word in seen.words):
        return 1.0
    return UNSAID if box is None else float(SIZES[size](box))


def in_folder(name: str, folder: str) -> bool:
    """Say whether a folder's path has a name, or a part of a path, in it."""
    return f"/{name}/" in f"/{folder}/" or name == folder
