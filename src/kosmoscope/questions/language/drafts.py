"""Things, and parts, while a question is being read: what is said of them may still come."""

from __future__ import annotations

from dataclasses import dataclass, field

from kosmoscope.export.nouns import head_noun, singular
from kosmoscope.questions.language.lexicon import ANYTHING, COLOURS, GROUPS, SEVERAL, SIZES
from kosmoscope.questions.language.tree import (
    SOME,
    All,
    Any_,
    Count,
    Node,
    Not,
    Place,
    Related,
    Relation,
    Size,
    Thing,
)

ANY_NOUN = "thing"


@dataclass(slots=True, eq=False)
class Draft:
    """A thing of which more may be said."""

    noun: str = ANY_NOUN
    words: list[str] = field(default_factory=list)
    colours: list[str] = field(default_factory=list)
    size: Size | None = None
    places: list[Place] = field(default_factory=list)
    related: list[tuple[Relation, list[Draft], bool]] = field(default_factory=list)
    """Each to any of some things, or to none of them."""
    count: Count = SOME

    def describe(self, run: list[str], exact: list[str]) -> None:
        """Take the words of a noun phrase, and words that stand in brackets behind it."""
        words = list(run)
        if "of" in words[1:] and words[0] in GROUPS:
            del words[: words.index("of") + 1]
            self.count = Count(SEVERAL) if self.count == SOME else self.count
        if words and words[0] in ("something", "anything"):
            words = [*words[1:], ANY_NOUN]
        while words and (len(words) > 1 or not is_noun(words[0])) and self.look(words[0]):
            words.pop(0)
        if words:
            self.noun = _settled(" ".join(words))
            named = {self.noun, *self.noun.split(" ")}
            for word in words:
                one = singular(word)
                of_name = one in named or singular(word, counted=True) in named  # wine glasses
                if not (of_name or word == "of" or self.look(one)):
                    self.words.append(one)
        if self.noun in ANYTHING:
            self.noun = ANY_NOUN
        self.words = list(dict.fromkeys([*self.words, *exact]))

    def look(self, word: str) -> bool:
        """Take a word for a colour or a size; say whether it is one."""
        if (colour := COLOURS.get(word)) is not None:
            if colour not in self.colours:
                self.colours.append(colour)
        elif (size := SIZES.get(word)) is not None:
            self.size = "large" if size == "large" else "small"
        else:
            return False
        return True

    def place(self, places: list[Place]) -> None:
        """Take places in the picture."""
        self.places += [p for p in places if p not in self.places]

    def thing(self) -> Thing:
        """Return what was said."""
        related = tuple(_related(*one) for one in self.related)
        return Thing(
            self.noun, tuple(self.words), tuple(self.colours), self.size, tuple(self.places),
            related, self.count,
        )  # fmt: skip


def _related(name: Relation, others: list[Draft], negated: bool) -> Related:
    first, *more = dict.fromkeys(other.thing() for other in others)
    return Related(name, first, negated, tuple(more))


@dataclass(slots=True, eq=False)
class Negated:
    """Not a part that may still grow."""

    part: Growing


@dataclass(slots=True, eq=False)
class Group:
    """Parts of which all, or any, hold."""

    parts: list[Growing]
    every: bool


Growing = Draft | Negated | Group | Node


def grouped(parts: list[Growing], *, every: bool) -> Growing | None:
    """Return parts as one; None for none."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return Group(parts, every)


def drafts_of(part: Growing | None) -> list[Draft]:
    """Return the things of which a part is any; [] where it is something else."""
    if isinstance(part, Draft):
        return [part]
    if not isinstance(part, Group) or part.every:
        return []
    found = [drafts_of(one) for one in part.parts]
    return [draft for some in found for draft in some] if all(found) else []


def finished(part: Growing | None) -> Node | None:
    """Return what may have grown, as a tree."""
    match part:
        case Draft():
            return part.thing()
        case Negated():
            inner = finished(part.part)
            assert inner is not None
            return inner.part if isinstance(inner, Not) else Not(inner)
        case Group():
            nodes = [node for p in part.parts if (node := finished(p)) is not None]
            kind = All if part.every else Any_
            flat = [
                n for node in nodes for n in (node.parts if isinstance(node, kind) else (node,))
            ]
            once = tuple(dict.fromkeys(flat))
            return kind(once) if len(once) > 1 else once[0]
        case _:
            return part


def is_noun(word: str) -> bool:
    """Say whether a word that is also a colour means a thing where it stands alone."""
    return word == "orange"


def _settled(text: str) -> str:
    """Return the head noun, as it stays when it is read again."""
    noun = head_noun(text)
    while (again := head_noun(noun)) != noun and len(again) <= len(noun):
        noun = again
    return noun
