"""Dates in a question: a year, a month or a day, and what lies before, after or between."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from kosmoscope.questions.language.lexicon import MONTHS
from kosmoscope.questions.language.tokens import Token

YEARS = range(1800, 2200)


@dataclass(frozen=True, slots=True)
class Span:
    """The days of a year, a month, or one day; both ends in."""

    first: datetime.date
    last: datetime.date

    @classmethod
    def of(cls, year: int, month: int | None = None, day: int | None = None) -> Span | None:
        """Return the span; None where there is no such day."""
        try:
            first = datetime.date(year, month or 1, day or 1)
        except ValueError:
            return None
        if day is not None:
            return cls(first, first)
        months = year * 12 + (12 if month is None else month)
        return cls(first, datetime.date(months // 12, months % 12 + 1, 1) - _DAY)

    @property
    def before(self) -> str:
        """The last day before it."""
        return (self.first - _DAY).isoformat()

    @property
    def after(self) -> str:
        """The first day after it."""
        return (self.last + _DAY).isoformat()


_DAY = datetime.timedelta(days=1)


def span_at(tokens: list[Token], at: int) -> tuple[Span, int] | None:
    """Return the span that begins at a token, and where the tokens after it begin.

    Read are "2024", "2024-06", "2024-06-01", "june 2024", "1 june 2024" and "june 1, 2024".
    """
    for read in (_digits, _named, _day_named, _named_day):
        found = read(tokens, at)
        if found is not None and found[0] is not None:
            return found[0], found[1]
    return None


Found = tuple[Span | None, int] | None


def _digits(tokens: list[Token], at: int) -> Found:
    """2024, 2024-06, 2024-06-01."""
    year = _number(tokens, at)
    if year is None or year not in YEARS:
        return None
    parts, at = [year], at + 1
    while len(parts) < 3 and _mark(tokens, at, "-") and (n := _number(tokens, at + 1)) is not None:
        parts, at = [*parts, n], at + 2
    return Span.of(*parts), at


def _named(tokens: list[Token], at: int) -> Found:
    """June 2024."""
    month, year = _month(tokens, at), _number(tokens, at + 1)
    if month is None or year is None or year not in YEARS:
        return None
    return Span.of(year, month), at + 2


def _day_named(tokens: list[Token], at: int) -> Found:
    """1 June 2024."""
    day, month, year = _number(tokens, at), _month(tokens, at + 1), _number(tokens, at + 2)
    if day is None or month is None or year is None or year not in YEARS:
        return None
    return Span.of(year, month, day or None), at + 3


def _named_day(tokens: list[Token], at: int) -> Found:
    """June 1, 2024."""
    month, day = _month(tokens, at), _number(tokens, at + 1)
    comma = _mark(tokens, at + 2, ",")
    year = _number(tokens, at + 2 + comma)
    if month is None or day is None or year is None or year not in YEARS:
        return None
    return Span.of(year, month, day or None), at + 3 + comma


def _number(tokens: list[Token], at: int) -> int | None:
    if at >= len(tokens) or tokens[at].kind != "number" or not 0 < len(tokens[at].text) <= 4:
        return None
    return int(tokens[at].text) if "." not in tokens[at].text else None


def _month(tokens: list[Token], at: int) -> int | None:
    if at >= len(tokens) or tokens[at].kind != "word":
        return None
    return MONTHS.get(tokens[at].text)


def _mark(tokens: list[Token], at: int, mark: str) -> bool:
    return at < len(tokens) and tokens[at].kind == "mark" and tokens[at].text == mark
