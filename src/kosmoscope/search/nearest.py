"""What comes nearest, where no picture is an answer: by the parts of the question, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from kosmoscope.questions.evaluate.columns import Columns
from kosmoscope.questions.evaluate.rules import ANYTHING, Meaning
from kosmoscope.questions.evaluate.standing import Chances
from kosmoscope.questions.evaluate.together import evaluate_parts
from kosmoscope.questions.language.tree import All, Any_, Node, Not, Query, Thing


def nearness(query: Query, columns: Columns, meaning: Meaning) -> Chances:
    """Return (N,) how near each picture comes, 0..2: its probability, and the mean of the parts'.

    A thing counts as a whole, without what it is to others, and as anything of that name: a dog
    near no car is nearer to "two dogs left of a car" than no dog. What has none of the things or
    words is not near, whatever it does not have.
    """
    asked = [*_asked(query.find)]
    if query.find is None or not asked:
        return np.zeros(columns.pictures)
    whole, *parts = evaluate_parts(query, [query.find, *asked], columns, meaning)
    near = np.mean(parts, axis=0) + whole
    return np.asarray(np.where(np.max(parts, axis=0) > 0, near, 0.0))


def parts_of(query: Query) -> list[Query]:
    """Return the question's things, each as a question of its own, those with most said first."""
    return [replace(query, find=node) for node in _asked(query.find)]


def _asked(node: Node | None) -> Iterator[Node]:
    match node:
        case None | Not():
            return
        case All() | Any_():
            for part in node.parts:
                yield from _asked(part)
        case Thing():
            yield node
            if node.related:
                yield replace(node, related=())
            if node.noun != ANYTHING:
                yield Thing(node.noun)
            for related in node.related:
                if not related.negated:
                    for to in related.any_of:
                        yield from _asked(to)
        case _:
            yield node
