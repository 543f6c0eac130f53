"""What is answered: pictures, how likely they are meant, and by what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kosmoscope.geometry import XYXY
from kosmoscope.questions.language import Query, wording
from kosmoscope.types import ImageInfo


@dataclass(frozen=True, slots=True)
class Sight:
    """A thing of a picture, as evidence."""

    part: str
    """Which part of the question it speaks for, in canonical words."""
    phrase: str
    """What the picture's text calls it."""
    box: XYXY | None
    """Normalised; None: it was named without a box."""
    probability: float
    """That it is all of what that part asks of each thing."""
    relation: str = ""
    """How it stands to the thing of `other_phrase` and `other_box`; "" where none is asked."""
    other_phrase: str = ""
    other_box: XYXY | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A picture that satisfies a question, or comes near."""

    source: str
    """The picture's path as its results name it."""
    probability: float
    evidence: tuple[Sight, ...]
    caption: str
    taken: str | None = None
    place: tuple[float, float] | None = None
    """Latitude and longitude in degrees."""
    records: tuple[tuple[str, int], ...] = ()
    """Its tasks, and where in results.jsonl their records begin."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers; without `records`."""
        return {
            "source": self.source,
            "probability": round(self.probability, 4),
            "caption": self.caption,
            "taken": self.taken,
            "place": None if self.place is None else list(self.place),
            "evidence": [
                {
                    "part": s.part,
                    "phrase": s.phrase,
                    "box": None if s.box is None else list(s.box),
                    "probability": round(s.probability, 4),
                    **(
                        {
                            "relation": s.relation,
                            "other_phrase": s.other_phrase,
                            "other_box": None if s.other_box is None else list(s.other_box),
                        }
                        if s.relation
                        else {}
                    ),
                }
                for s in self.evidence
            ],
        }


@dataclass(frozen=True, slots=True)
class PictureFile:
    """Where an answer's picture is, and what it was when it was described."""

    image: ImageInfo
    """Its path is one by which it can be opened from here."""
    sha256: str
    """Of the file's contents, in hexadecimal; "" where the results do not say."""


@dataclass(frozen=True, slots=True)
class Alike:
    """A picture that is like another."""

    source: str
    """The picture's path as its results name it."""
    likeness: float
    """Cosine of the two vectors, less what all of the index have in common: -1..1."""
    caption: str
    records: tuple[tuple[str, int], ...] = ()
    """Its tasks, and where in results.jsonl their records begin."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain strings and numbers; without `records`."""
        return {
            "source": self.source, "likeness": round(self.likeness, 4), "caption": self.caption
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question found."""

    query: Query
    hits: tuple[Hit, ...]
    """The likeliest first; of equal ones in the order of the results."""
    total: int
    """How many pictures satisfy it, shown or not."""
    pictures: int
    """Of how many."""
    nearest: tuple[Hit, ...] = ()
    """Where none does: what comes nearest, if anything speaks for it at all."""
    notes: tuple[str, ...] = ()
    """How the question was read, where that may not be how it was meant."""
    alike: tuple[Alike, ...] = ()
    """Where vectors of texts were asked too: the pictures nearest to the question's. There are
    always some, whether they are right or not."""

    @property
    def read_as(self) -> str:
        """The question in canonical words."""
        return wording(self.query)

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        return {
            "query": self.query.to_dict(),
            "read_as": self.read_as,
            "notes": list(self.notes),
            "pictures": self.pictures,
            "total": self.total,
            "hits": [hit.to_dict() for hit in self.hits],
            "nearest": [hit.to_dict() for hit in self.nearest],
            **({"alike": [found.to_dict() for found in self.alike]} if self.alike else {}),
        }
