"""A text in pieces: words, numbers, quoted texts and marks, each folded to one spelling.

Folding is Unicode's: NFKD and lower case without combining marks, so that "Café" is "cafe" and a
full-width digit a digit. What shows nothing (direction marks, joiners) is left out. Both the
questions and the pictures' texts go through here, so that they meet.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, cast

MAX_CHARACTERS = 2_000
"""What is longer is cut: no question of people is, and work must have a bound."""
MAX_TOKENS = 200

Kind = Literal["word", "number", "quoted", "folder", "mark"]

_TOKEN = re.compile(
    r"""
    folder:\s*(?P<folder>"[^"]*"|[^\s"()]+)
  | (?P<quoted>"[^"]*")
  | (?P<number>[0-9]+(?:\.[0-9]+)?(?![^\W_]))
  | (?P<word>[^\W_]+(?:['-][^\W_]+)*)
  | (?P<mark>>=|<=|\.\.|\S)
    """,
    re.VERBOSE,
)
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_QUOTES = {ord(c): '"' for c in "“”„‟«»〝〞"} | {ord(c): "'" for c in "‘’ʼ"}


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a question."""

    kind: Kind
    text: str
    """Folded; of a quoted text what is between the quotes, of a folder its name alone."""

    def __repr__(self) -> str:
        return f"{self.kind}:{self.text}"


def fold(text: str) -> str:
    """Return a text in the one spelling in which texts are compared; never raises."""
    lower = unicodedata.normalize("NFKD", text.translate(_QUOTES)).lower()
    # Again: lower case can bring marks of its own, as that of the Turkish capital i with a dot.
    plain = unicodedata.normalize("NFKD", lower)
    kept = "".join(c for c in plain if unicodedata.category(c) not in _UNSEEN)
    return unicodedata.normalize("NFC", kept)


_UNSEEN = frozenset({"Mn", "Me", "Cf", "Cs", "Co", "Cn"})


def words_of(text: str) -> list[str]:
    """Return a text's words, folded, in their order; signs of any other kind part them."""
    return _WORD.findall(fold(text))


def tokens_of(text: str) -> tuple[list[Token], bool]:
    """Return a question's tokens, and whether some of it was left out for its length."""
    cut = len(text) > MAX_CHARACTERS
    found: list[Token] = []
    for match in _TOKEN.finditer(fold(text[:MAX_CHARACTERS])):
        if len(found) == MAX_TOKENS:
            return found, True
        kind = cast(Kind, match.lastgroup)
        found.append(Token(kind, match[0] if kind == "mark" else match[kind].strip('"')))
    return found, cut
