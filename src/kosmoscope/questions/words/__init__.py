"""What nouns mean: other words for a thing, and its kinds, from a table made of WordNet.

`nouns.txt` has a sense a line: the nouns by which a picture's text says it, those by which only a
question means it, and the numbers (from 0) of the lines of which it is a kind. recipes/words makes
it; NOTICE has WordNet's licence.
"""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from importlib.resources import files

TABLE = "nouns.txt"


@lru_cache(maxsize=4096)
def meaning(noun: str) -> frozenset[str]:
    """Return the nouns that a noun means: itself, other words for it, kinds of it.

    Args:
        noun: in the singular, folded. One that the table does not have means itself.
    """
    table = _table()
    found, waiting = {noun}, list(table.senses.get(noun, ()))
    seen = set(waiting)
    while waiting:
        sense = waiting.pop()
        found.update(table.said[sense])
        fresh = [kind for kind in table.kinds[sense] if kind not in seen]
        seen.update(fresh)
        waiting += fresh
    return frozenset(found)


def is_known(noun: str) -> bool:
    """Say whether the table has a noun."""
    return noun in _table().senses


class _Table:
    def __init__(self, lines: list[str]) -> None:
        self.said: list[tuple[str, ...]] = []
        self.senses: dict[str, list[int]] = defaultdict(list)
        self.kinds: list[list[int]] = [[] for _ in lines]
        for number, line in enumerate(lines):
            said, asked, above = line.split("|")
            self.said.append(tuple(filter(None, said.split(","))))
            for noun in filter(None, (*self.said[-1], *asked.split(","))):
                self.senses[noun].append(number)
            for one in above.split():
                self.kinds[int(one)].append(number)


@lru_cache(maxsize=1)
def _table() -> _Table:
    text = files(__name__).joinpath(TABLE).read_text(encoding="utf-8")
    return _Table(text.splitlines())
