"""The part of the table that some pictures need: for a page, which cannot hold all of it."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from kosmoscope.questions.words import TABLE


def lines_about(nouns: Iterable[str]) -> list[str]:
    """Return the table's lines that say one of some nouns, and those of which these are kinds.

    In the table's form, with numbers of their own: whatever `meaning` finds of these nouns in the
    whole table, it finds in these lines.
    """
    wanted = set(nouns)
    text = files(__package__).joinpath(TABLE).read_text(encoding="utf-8")
    lines = [line.split("|") for line in text.splitlines()]
    kept: set[int] = set()
    waiting = [i for i, line in enumerate(lines) if not wanted.isdisjoint(line[0].split(","))]
    while waiting:
        number = waiting.pop()
        if number not in kept:
            kept.add(number)
            waiting += map(int, lines[number][2].split())
    numbers = {old: new for new, old in enumerate(sorted(kept))}
    return [
        "|".join((*lines[old][:2], " ".join(str(numbers[int(n)]) for n in lines[old][2].split())))
        for old in numbers
    ]
