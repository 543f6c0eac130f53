"""What a question says besides things: where in the picture, which scores, which days."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

from kosmoscope.questions.language import lexicon as lx
from kosmoscope.questions.language.cursor import Cursor
from kosmoscope.questions.language.dates import Span, span_at
from kosmoscope.questions.language.tree import Place, Taken

SIGNS = "< > = : >= <="
SCORES = frozenset(("score", "confidence"))
DATES = frozenset(("date", "taken"))


def named_filter(cursor: Cursor, ahead: int = 0) -> bool:
    """Say whether "score >", "date:" or the like begins there."""
    named = cursor.word(ahead) in SCORES | DATES
    return named and cursor.marks(SIGNS, ahead + 1)


def dated(cursor: Cursor, ahead: int = 0) -> bool:
    """Say whether a date begins there, with the word that says how it is meant."""
    _, lead = _lead(cursor, ahead)
    return span_at(cursor.tokens, cursor.at + ahead + lead) is not None


def _lead(cursor: Cursor, ahead: int) -> tuple[str, int]:
    """Return the word that says how a date is meant, and how many words stand before the date."""
    word = cursor.word(ahead)
    if word == "taken":
        after = cursor.word(ahead + 1)
        return (after, 2) if after in _TAKEN_AT else ("in", 1)
    return word, int(word in _TAKEN_AT)


def read_places(cursor: Cursor, goes_on: Callable[[int], bool]) -> list[Place] | None:
    """Read "in the top left corner", "on the left", "touching the edge of the picture"."""
    if cursor.word() not in lx.PLACED_BY:
        return None
    ahead = 1
    while cursor.word(ahead) in lx.ARTICLES:
        ahead += 1
    sides: list[Place] = []
    while (side := lx.SIDES.get(cursor.word(ahead))) is not None:
        sides += [] if side in sides else [cast(Place, side)]
        ahead += 1
    if not sides:
        return None
    if cursor.word(ahead) in ("hand", "most"):
        ahead += 1
    if cursor.word(ahead) in lx.PLACE_NOUNS:
        ahead += 1
    if cursor.word(ahead) == "of":
        ahead += 1
        while cursor.word(ahead) in lx.ARTICLES:
            ahead += 1
        if cursor.word(ahead) not in lx.PICTURE_NOUNS:
            return None
        ahead += 1
    elif goes_on(ahead):
        return None  # "on the left bank", "in the front garden"
    cursor.at += ahead
    if "background" in sides:
        cursor.note("'background' is taken as: its middle is in the upper half")
    if "foreground" in sides:
        cursor.note("'foreground' is taken as: it reaches into the lowest quarter")
    return sides


def read_score(cursor: Cursor, limits: tuple[float, float]) -> tuple[float, float] | None:
    """Read "score > 0.7", "score:0.5..0.8"."""
    if cursor.word() not in SCORES or not cursor.marks(SIGNS, 1):
        return None
    sign = cursor.tokens[cursor.at + 1].text
    first, ahead = _share(cursor, 2)
    if first is None:
        return None
    low, high = limits
    if sign in (">", ">="):
        low = first
    elif sign in ("<", "<="):
        high = first
    else:
        low, high = first, first if sign == "=" else high
        if cursor.marks("..", ahead):
            second, ahead = _share(cursor, ahead + 1)
            high = 1.0 if second is None else second
    cursor.at += ahead
    return low, high


def _share(cursor: Cursor, ahead: int) -> tuple[float | None, int]:
    at = cursor.at + ahead
    if at >= len(cursor.tokens) or cursor.tokens[at].kind != "number":
        return None, ahead
    text = cursor.tokens[at].text
    value = float(text) if len(text) < 12 else 1.0
    if cursor.marks("%", ahead + 1):
        return _kept(value / 100), ahead + 2
    return _kept(value), ahead + 1


def _kept(value: float) -> float:
    """Return a share to four decimals, as any language rounds it."""
    return min(math.floor(value * 10_000 + 0.5) / 10_000, 1.0)


def read_date(cursor: Cursor) -> Taken | None:
    """Read "in 2024", "before june 2024", "date:2024-01-01..2024-06-30"."""
    start = cursor.at
    if cursor.word() in DATES and cursor.marks(":", 1):
        return _date_range(cursor, cursor.at + 2)
    word, ahead = _lead(cursor, 0)
    if ahead and cursor.marks(":", ahead):
        ahead += 1
    found = span_at(cursor.tokens, cursor.at + ahead)
    if found is None:
        return None
    span, at = found
    if ahead == 0 and at < len(cursor.tokens) and cursor.tokens[at].kind == "word":
        word_after = cursor.tokens[at].text
        if word_after not in lx.AND and word_after not in lx.OR:
            return None  # "2000 people"
    cursor.at = at
    if word in ("from", "between") and cursor.word() in ("to", "until", "and"):
        to = span_at(cursor.tokens, cursor.at + 1)
        if to is not None:
            cursor.at = to[1]
            return Taken(span.first.isoformat(), to[0].last.isoformat())
    cursor.at = max(cursor.at, start + 1)
    return _taken(word, span)


def _date_range(cursor: Cursor, at: int) -> Taken | None:
    first = span_at(cursor.tokens, at)
    at = at if first is None else first[1]
    if (
        at < len(cursor.tokens)
        and cursor.tokens[at].text == ".."
        and cursor.tokens[at].kind == "mark"
    ):
        last = span_at(cursor.tokens, at + 1)
        cursor.at = at + 1 if last is None else last[1]
        if first is None and last is None:
            cursor.note("'date:' has no date after it; it was passed over")
        return Taken(
            None if first is None else first[0].first.isoformat(),
            None if last is None else last[0].last.isoformat(),
        )
    if first is None:
        cursor.note("'date:' has no date after it; it was passed over")
        cursor.at += 2
        return None
    cursor.at = at
    return Taken(first[0].first.isoformat(), first[0].last.isoformat())


_TAKEN_AT = frozenset(
    ("in", "on", "from", "of", "during", "since", "after", "before", "until", "between")
)


def _taken(word: str, span: Span) -> Taken:
    """Return the days that a word before a date means."""
    first, last = span.first.isoformat(), span.last.isoformat()
    match word:
        case "since":
            return Taken(first, None)
        case "after":
            return Taken(span.after, None)
        case "before":
            return Taken(None, span.before)
        case "until":
            return Taken(None, last)
        case _:
            return Taken(first, last)
