"""What is known of one picture, in the form in which questions are asked of it.

Numbers are kept to four decimals (`rounded`), so that they are the same whether they come from
here, from the index, where they are integers, or from a page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from kosmoscope.errors import InputError
from kosmoscope.files.checked import checked
from kosmoscope.geometry import XYXY
from kosmoscope.questions.evaluate.space import UNITS

SCALE = UNITS
MAX_NUMBER = 255
ColouredBy = Literal["", "box", "mask"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A phrase of the picture's texts, with one of its boxes, or a word that no box is of."""

    phrase: str
    """As the text has it."""
    noun: str
    """Its head noun, in the singular."""
    probability: float
    """0..1: that it is there, and where the box says."""
    box: XYXY | None = None
    """Normalised; None: it was named and not located."""
    words: tuple[str, ...] = ()
    """All of the phrase's words, each in the singular."""
    colours: tuple[str, ...] = ()
    """Of `lexicon.COLOURS`; empty where nobody knows."""
    number: int = 1
    """How many things are in the box."""
    coloured_by: ColouredBy = ""
    """Whose pixels `colours` are of, besides what the phrase says: the mask's, or those in the
    middle of the box; "" where no pixel was looked at."""


@dataclass(frozen=True, slots=True)
class PictureRecord:
    """One picture."""

    things: tuple[Seen, ...] = ()
    words: frozenset[str] = field(default_factory=frozenset)
    """Of all of its texts, each in the singular."""
    folder: str = ""
    """Where it is, folded, with slashes."""
    taken: str | None = None
    """The day, as an ISO date."""

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PictureRecord:
        """Read plain values, as JSON has them.

        Raises:
            InputError: a field is missing or of another type; the message names it.
        """
        try:
            return checked(data, cls)
        except InputError as e:
            raise InputError(f"not a picture's record: {e}") from e


def rounded(value: float) -> float:
    """Return a number of 0..1 as it is kept."""
    return min(max(round(value * SCALE), 0), SCALE) / SCALE
