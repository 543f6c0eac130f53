"""Asking an index: a question in words, the pictures that satisfy it, and by what."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from kosmoscope.errors import InputError, OptionError
from kosmoscope.files.text import shown_name
from kosmoscope.geometry import XYXY
from kosmoscope.results import Description
from kosmoscope.search.evaluate.columns import Chances, evaluate_all
from kosmoscope.search.evaluate.record import PictureRecord
from kosmoscope.search.evaluate.rules import ANYTHING, evaluate
from kosmoscope.search.index.loading import Loaded
from kosmoscope.search.index.reading import Results
from kosmoscope.search.index.schema import INDEX, open_to_read, told, transaction
from kosmoscope.search.language import Query, parse, wording
from kosmoscope.search.language.tree import All, Any_, Node, Not, Thing
from kosmoscope.search.words import is_known, meaning
from kosmoscope.types import Box, Entity

CUT_OFF = 0.5
"""From which probability a picture is an answer: more likely right than wrong."""
LIMIT = 20
NEAREST = 3
"""How many pictures come nearest where none is an answer."""


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
        }


class Index:
    """An index, open for questions. Several processes may ask one while another writes it.

    It sees what was written since the last question. Threads may share it; they take turns.
    Use it in a `with` block, or `close` it.

    Args:
        folder: of results, with an index.

    Raises:
        InputError: there is no index.
        IndexDamagedError: it is damaged, or of another version.
    """

    def __init__(self, folder: str | PathLike[str]) -> None:
        self.folder = Path(folder)
        self.path = self.folder / INDEX
        if not self.path.is_file():
            raise InputError(
                f"{shown_name(self.folder)}: has no {INDEX}; make it with "
                f"`kosmoscope index {shown_name(self.folder)}`"
            )
        self._lock = threading.Lock()
        self._open()

    @classmethod
    def open(cls, folder: str | PathLike[str]) -> Self:
        """Open the index of a folder of results. Raises what the class raises."""
        return cls(folder)

    def search(
        self, question: str | Query, *, limit: int = LIMIT, cut_off: float = CUT_OFF
    ) -> Answer:
        """Return the pictures that satisfy a question, with the evidence.

        Args:
            question: in words (docs/search.md has the grammar), or a `Query`.
            limit: how many to return at most, the likeliest.
            cut_off: 0..1: from which probability a picture is an answer.

        Raises:
            OptionError: a limit below 0, a cut-off outside of 0..1.
            IndexDamagedError: the index is damaged.
        """
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise OptionError(f"limit is {limit!r}; expected a whole number from 0")
        if not 0 <= cut_off <= 1:
            raise OptionError(f"cut_off is {cut_off!r}; expected a number from 0 to 1")
        query = parse(question) if isinstance(question, str) else question
        with self._reading() as loaded:
            chances = evaluate_all(query, loaded.columns, meaning)
            answers = chances >= cut_off if cut_off > 0 else chances > 0
            total = int(answers.sum())
            hits = [self._hit(loaded, query, i) for i in _best(chances, min(limit, total))]
            near: list[Hit] = []
            if not total:
                some = min(NEAREST, int((chances > 0).sum()))
                near = [self._hit(loaded, query, i) for i in _best(chances, some)]
            notes = (*query.notes, *self._notes(loaded, query))
            return Answer(query, tuple(hits), total, loaded.columns.pictures, tuple(near), notes)

    def record(self, number: int) -> PictureRecord:
        """Return what is known of the picture of that number, 0 to `len(index) - 1`.

        Raises:
            OptionError: there is none of that number.
        """
        with self._reading() as loaded:
            if not 0 <= number < loaded.columns.pictures:
                raise OptionError(
                    f"picture {number!r}; expected 0 to {loaded.columns.pictures - 1}"
                )
            return loaded.record(number)

    def __len__(self) -> int:
        with self._reading() as loaded:
            return loaded.columns.pictures

    def descriptions(
        self, hit: Hit, images: str | PathLike[str] | None = None
    ) -> list[Description]:
        """Return what was said about a hit's picture, from results.jsonl, one for each task.

        `image.path` is a path by which the picture can be opened from here; `images` is the folder
        that the pictures are in now, if they moved.

        Raises:
            InputError: the results changed since.
        """
        folder = None if images is None else Path(images)
        with contextlib.closing(Results(self.folder)) as results:
            found = []
            for _, start in hit.records:
                line = results.line_at(start)
                found.append((results.description(line), results.open_path(line, folder)))
        return [_at(description, path) for description, path in found]

    def shown(self, hit: Hit, images: str | PathLike[str] | None = None) -> Description:
        """Return a description of a hit's picture with its evidence alone, to be drawn.

        Args:
            hit: of this index.
            images: the folder that the pictures are in now, if they moved.

        Raises:
            InputError: the results changed since.
        """
        description = self.descriptions(hit, images)[0]
        size = description.image.width, description.image.height
        at = len(description.caption)
        things: dict[tuple[str, XYXY], float | None] = {}
        for sight in hit.evidence:
            if sight.box is not None:
                things[sight.phrase, sight.box] = sight.probability
            if sight.other_box is not None:
                things.setdefault((sight.other_phrase, sight.other_box), None)
        entities = tuple(
            Entity(phrase, (at, at), (Box.of(box, size, confidence=probability),))
            for (phrase, box), probability in things.items()
        )
        return replace(description, entities=entities)

    def close(self) -> None:
        """Close the database; a second time does nothing."""
        with self._lock:
            self._base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> None:
        self._file = _file_of(self.path)
        self._base = open_to_read(self.path)
        self._loaded = Loaded(self._base, self.path)

    @contextmanager
    def _reading(self) -> Iterator[Loaded]:
        """Hold one state of the database, with its columns in memory."""
        with self._lock:
            if _file_of(self.path) != self._file:  # made anew
                self._base.close()
                self._open()
            with told(self.path), transaction(self._base, "DEFERRED"):
                self._loaded.refresh()
                yield self._loaded

    @staticmethod
    def _hit(loaded: Loaded, query: Query, picture: int) -> Hit:
        record, row = loaded.record(picture), loaded.row(picture)
        verdict = evaluate(query, record, meaning)
        sights = []
        for e in verdict.evidence:
            thing = record.things[e.thing]
            other = None if e.other is None else record.things[e.other]
            sights.append(
                Sight(
                    e.part, thing.phrase, thing.box, e.probability, e.relation,
                    "" if other is None else other.phrase, None if other is None else other.box,
                )
            )  # fmt: skip
        return Hit(
            row.source, verdict.probability, tuple(sights), row.caption, row.taken, row.place,
            row.lines,
        )  # fmt: skip

    @staticmethod
    def _notes(loaded: Loaded, query: Query) -> Iterator[str]:
        """Yield what of a question nobody knows."""
        phrases = loaded.columns.phrases
        for noun in dict.fromkeys(_nouns(query.find)):
            if noun != ANYTHING and noun not in phrases and not is_known(noun):
                yield f"'{noun}' is a word that neither the pictures nor the table of words have"


def _file_of(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as e:
        raise InputError(f"{shown_name(path)}: is gone: {e.strerror or e}") from e
    return found.st_dev, found.st_ino


def _best(chances: Chances, many: int) -> list[int]:
    """Return the likeliest pictures, of equal ones the first."""
    if many <= 0:
        return []
    if many < len(chances):
        # All that are as likely as the last one may be the one that comes first.
        least = np.partition(chances, len(chances) - many)[len(chances) - many]
        some = np.flatnonzero(chances >= least)
    else:
        some = np.arange(len(chances))
    order = np.lexsort((some, -chances[some]))[:many]
    return [int(i) for i in some[order]]


def _nouns(node: Node | None) -> Iterator[str]:
    match node:
        case Thing():
            yield node.noun
            for related in node.related:
                yield from _nouns(related.to)
        case Not():
            yield from _nouns(node.part)
        case All() | Any_():
            for part in node.parts:
                yield from _nouns(part)


def _at(description: Description, path: str) -> Description:
    return replace(description, image=replace(description.image, path=path))
