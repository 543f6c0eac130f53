"""A place in a question's tokens, and what stands there and after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kosmoscope.questions.language.lexicon import Phrase
from kosmoscope.questions.language.tokens import Token


@dataclass(slots=True)
class Cursor:
    """Where reading is."""

    tokens: list[Token]
    at: int = 0
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Remember what was read in another way than it may have been meant."""
        self.notes.append(text)

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self.at >= len(self.tokens)

    def word(self, ahead: int = 0) -> str:
        """Return a word; "" at the end and where there is something else."""
        at = self.at + ahead
        if at < len(self.tokens) and self.tokens[at].kind == "word":
            return self.tokens[at].text
        return ""

    def marks(self, marks: str, ahead: int = 0) -> bool:
        """Say whether one of these marks stands there; they are given with spaces between."""
        at = self.at + ahead
        return (
            at < len(self.tokens)
            and self.tokens[at].kind == "mark"
            and self.tokens[at].text in marks.split(" ")
        )

    def phrase(self, phrases: Iterable[Phrase], ahead: int = 0) -> Phrase:
        """Return the longest of these phrases that stands there, () for none."""
        found = (p for p in phrases if all(self.word(ahead + i) == w for i, w in enumerate(p)))
        return max(found, key=len, default=())

    @property
    def text(self) -> str:
        """What stands here, whatever it is."""
        return self.tokens[self.at].text

    def number(self, ahead: int = 0) -> float | None:
        """Return a number; None where there is something else."""
        at = self.at + ahead
        if at >= len(self.tokens) or self.tokens[at].kind != "number":
            return None
        return float(self.tokens[at].text)

    def skip(self, words: Iterable[str]) -> None:
        """Go past words that say nothing."""
        while self.word() in words:
            self.at += 1
