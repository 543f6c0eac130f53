"""How many: "two", "at least 3", "no more than five", "3 to 5", "several"."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kosmoscope.questions.language import lexicon as lx
from kosmoscope.questions.language.tokens import Token
from kosmoscope.questions.language.tree import Count

MAX_NUMBER = 1_000
"""Greater numbers are this one."""


def amount_at(
    tokens: list[Token], at: int, *, after_thing: bool = False
) -> tuple[Count, int] | None:
    """Return the amount that begins at a token, and where the tokens after it begin.

    Args:
        tokens: of the question.
        at: where it would begin.
        after_thing: a thing stands before it, so that "above 3 cars" says where that is.
    """
    for phrases, bound in _BOUNDS:
        length = _phrase(tokens, at, phrases)
        if after_thing and length == 1 and phrases is not lx.EXACTLY:
            continue
        if length and (found := _number(tokens, at + length)) is not None:
            return bound(found), at + length + 1
    if _word(tokens, at) == "between" and (low := _number(tokens, at + 1)) is not None:
        high = _number(tokens, at + 3)
        if _word(tokens, at + 2) == "and" and high is not None:
            return _range(low, high), at + 4
    if (number := _number(tokens, at)) is not None:
        return _numbered(tokens, at, number)
    best = max((p for p in lx.AMOUNTS if _is(tokens, at, p)), key=len, default=None)
    if best is None:
        return None
    return Count(*lx.AMOUNTS[best]), at + len(best)


def _numbered(tokens: list[Token], at: int, number: int) -> tuple[Count, int]:
    """Read what may follow a number: "or more", "+", "to 5", "- 5"."""
    if length := _phrase(tokens, at + 1, lx.OR_MORE):
        return Count(number), at + 1 + length
    if length := _phrase(tokens, at + 1, lx.OR_FEWER):
        return Count(0, number), at + 1 + length
    following = tokens[at + 1].text if at + 1 < len(tokens) else ""
    if following == "+":
        return Count(number), at + 2
    if following in ("-", "to", "..") and (high := _number(tokens, at + 2)) is not None:
        return _range(number, high), at + 3
    return Count(number, number), at + 1


def _range(low: int, high: int) -> Count:
    return Count(min(low, high), max(low, high))


_BOUNDS: tuple[tuple[tuple[lx.Phrase, ...], Callable[[int], Count]], ...] = (
    (lx.AT_LEAST, lambda n: Count(n)),
    (lx.AT_MOST, lambda n: Count(0, n)),
    (lx.MORE_THAN, lambda n: Count(min(n + 1, MAX_NUMBER))),
    (lx.FEWER_THAN, lambda n: Count(0, max(n - 1, 0))),
    (lx.EXACTLY, lambda n: Count(n, n)),
)


def _word(tokens: list[Token], at: int) -> str:
    return tokens[at].text if at < len(tokens) and tokens[at].kind == "word" else ""


def _is(tokens: list[Token], at: int, phrase: lx.Phrase) -> bool:
    return all(_word(tokens, at + i) == word for i, word in enumerate(phrase))


def _phrase(tokens: list[Token], at: int, phrases: Iterable[lx.Phrase]) -> int:
    return max((len(p) for p in phrases if _is(tokens, at, p)), default=0)


def _number(tokens: list[Token], at: int) -> int | None:
    if at >= len(tokens):
        return None
    token = tokens[at]
    if token.kind == "word":
        return lx.NUMBERS.get(token.text)
    if token.kind != "number" or "." in token.text:
        return None
    return MAX_NUMBER if len(token.text) > 4 else min(int(token.text), MAX_NUMBER)
