"""A question as a tree of frozen values, with its JSON form.

The tree says what is looked for and nothing of how; `kosmoscope.questions.evaluate` says how likely
a picture satisfies it. A page or another program can build it without the grammar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Relation = Literal[
    "left", "right", "above", "below", "inside", "overlapping", "touching", "near",
    "larger", "smaller",
]  # fmt: skip
Place = Literal["left", "right", "top", "bottom", "middle", "background", "foreground", "edge"]
Size = Literal["large", "small"]


@dataclass(frozen=True, slots=True)
class Count:
    """From how many to how many; `high` None: any more."""

    low: int = 1
    high: int | None = None


SOME = Count()


@dataclass(frozen=True, slots=True)
class Related:
    """How a thing stands to another one: there is one to which it does (or none)."""

    relation: Relation
    to: Thing
    negated: bool = False
    or_to: tuple[Thing, ...] = ()
    """Others of which it may be any instead: "left of a car or a bus"."""

    @property
    def any_of(self) -> tuple[Thing, ...]:
        """All to which it may stand so."""
        return self.to, *self.or_to


@dataclass(frozen=True, slots=True)
class Thing:
    """Things of a kind, so many, each of which is all of this."""

    noun: str
    """In the singular: "dog", "traffic light"; "thing" for anything."""
    words: tuple[str, ...] = ()
    """What else it was called, in the order of the question: "young", "striped"."""
    colours: tuple[str, ...] = ()
    """Of `lexicon.COLOURS`; it has every one of them."""
    size: Size | None = None
    places: tuple[Place, ...] = ()
    related: tuple[Related, ...] = ()
    count: Count = SOME


@dataclass(frozen=True, slots=True)
class Words:
    """Words that the picture's texts have, each of them."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """Taken on one of these days, ISO dates with both ends in; None: no end on that side."""

    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class Folder:
    """In a folder of this name, or of a path that has this text, at any depth."""

    name: str


@dataclass(frozen=True, slots=True)
class Not:
    """The picture does not satisfy it."""

    part: Node


@dataclass(frozen=True, slots=True)
class All:
    """Every part."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any_:  # noqa: N801 (the name without it is typing's)
    """At least one part."""

    parts: tuple[Node, ...]


Node = Thing | Words | Taken | Folder | Not | All | Any_


@dataclass(frozen=True, slots=True)
class Query:
    """A question, read."""

    find: Node | None
    """None: nothing is asked for, and every picture satisfies it."""
    score: tuple[float, float] = (0.0, 1.0)
    """Only boxes whose score is in here count."""
    notes: tuple[str, ...] = ()
    """What of the text was read in another way than it may have been meant, in words."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        return {
            "find": None if self.find is None else node_dict(self.find),
            "score": list(self.score),
            "notes": list(self.notes),
        }


def node_dict(node: Node) -> dict[str, Any]:
    """Return a node as plain values: one key says its kind, what is not set is left out."""
    match node:
        case Thing():
            return _thing_dict(node)
        case Words():
            return {"words": list(node.words)}
        case Taken():
            return {"taken": [node.first, node.last]}
        case Folder():
            return {"folder": node.name}
        case Not():
            return {"not": node_dict(node.part)}
        case All():
            return {"all": [node_dict(part) for part in node.parts]}
        case Any_():
            return {"any": [node_dict(part) for part in node.parts]}


def _thing_dict(thing: Thing) -> dict[str, Any]:
    data: dict[str, Any] = {"thing": thing.noun}
    if thing.count != SOME:
        data["count"] = [thing.count.low, thing.count.high]
    for name in ("words", "colours", "places"):
        if values := getattr(thing, name):
            data[name] = list(values)
    if thing.size:
        data["size"] = thing.size
    if thing.related:
        data["related"] = [
            {
                "relation": r.relation,
                "to": node_dict(r.to),
                **({"or": [node_dict(other) for other in r.or_to]} if r.or_to else {}),
                **({"negated": True} if r.negated else {}),
            }
            for r in thing.related
        ]
    return data
