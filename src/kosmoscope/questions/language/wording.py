"""A tree in canonical words: what `parse` reads as the same tree."""

from __future__ import annotations

from kosmoscope.export.nouns import article, head_noun, plural
from kosmoscope.questions.language.lexicon import RESERVED
from kosmoscope.questions.language.tree import (
    SOME,
    All,
    Any_,
    Count,
    Folder,
    Node,
    Not,
    Query,
    Taken,
    Thing,
    Words,
)

RELATION_WORDS = {
    "left": "left of",
    "right": "right of",
    "larger": "larger than",
    "smaller": "smaller than",
}
"""What relations are called, where that is not their name."""
_PLACES = {"background": "in the background", "foreground": "in the foreground"}


def wording(query: Query) -> str:
    """Return a question in canonical words."""
    low, high = query.score
    parts = [] if query.find is None else [node_wording(query.find)]
    if query.score != (0.0, 1.0):
        parts = [f"({p})" if isinstance(query.find, Any_) else p for p in parts]
        parts.append(f"score:{_share(low)}..{_share(high)}")
    return ", ".join(parts)


def node_wording(node: Node) -> str:
    """Return a part of a question in canonical words."""
    match node:
        case Thing():
            return _thing(node)
        case Words():
            return f'"{" ".join(node.words)}"'
        case Taken():
            return f"date:{node.first or ''}..{node.last or ''}"
        case Folder():
            return f'folder:"{node.name}"'
        case Not(part=Thing() as thing) if thing.count == SOME:
            return f"no {_described(thing, _several(thing.noun))}{_where(thing)}"
        case Not():
            return f"not {_inner(node.part)}"
        case All():
            return ", ".join(_inner(part) for part in node.parts)
        case Any_():
            *before, last = node.parts
            return " or ".join([*map(_alternative, before), _inner(last)])


def _inner(node: Node) -> str:
    text = node_wording(node)
    return f"({text})" if isinstance(node, All | Any_) else text


def _alternative(node: Node) -> str:
    """Return a part before "or", which else would go with the thing of its relation."""
    said = node.part if isinstance(node, Not) else node
    related = isinstance(said, Thing) and bool(said.related)
    return f"({node_wording(node)})" if related else _inner(node)


def _thing(thing: Thing) -> str:
    if thing.count == SOME:
        text = _described(thing, _one(thing.noun))
        amount = article(text)
    else:
        many = thing.count.low > 1 or thing.count.high != 1
        text = _described(thing, _several(thing.noun) if many else _one(thing.noun))
        amount = _amount(thing.count)
    return f"{amount} {text}{_where(thing)}"


def _amount(count: Count) -> str:
    if count.high is None:
        return f"at least {count.low}"
    if count.low == count.high:
        return str(count.low)
    return f"at most {count.high}" if count.low == 0 else f"{count.low} to {count.high}"


def _described(thing: Thing, noun: str) -> str:
    words = f" [{' '.join(thing.words)}]" if thing.words else ""
    return " ".join(filter(None, (thing.size, *thing.colours, noun))) + words


def _several(noun: str) -> str:
    many = plural(noun)
    return many if _is_plain(noun) and head_noun(many) == noun else _one(noun)


def _one(noun: str) -> str:
    return noun if _is_plain(noun) else f"{{{noun}}}"


def _is_plain(noun: str) -> bool:
    return head_noun(noun) == noun and not any(word in RESERVED for word in noun.split(" "))


def _where(thing: Thing) -> str:
    places = "".join(f" {_PLACES.get(p) or f'at the {p} of the picture'}" for p in thing.places)
    related: list[str] = []
    for r in thing.related:
        other = " or ".join(map(_other, r.any_of))
        if r.or_to:
            other = f"({other})"
        joined = " and" if related else ""
        negation = " not" if r.negated else ""
        related.append(f"{joined}{negation} {RELATION_WORDS.get(r.relation, r.relation)} {other}")
    return places + "".join(related)


def _other(thing: Thing) -> str:
    text = _thing(thing)
    return f"({text})" if thing.related or thing.places else text


def _share(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") or "0"
