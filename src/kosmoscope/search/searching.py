"""Asking an index: a question in words, the pictures that satisfy it, and by what."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from kosmoscope.errors import InputError, OptionError
from kosmoscope.files.text import shown_name
from kosmoscope.geometry import XYXY
from kosmoscope.questions.evaluate.record import PictureRecord
from kosmoscope.questions.evaluate.rules import ANYTHING, CUT_OFF, evaluate
from kosmoscope.questions.evaluate.together import evaluate_all
from kosmoscope.questions.language import Query, parse, wording
from kosmoscope.questions.language.tree import All, Any_, Node, Not, Thing
from kosmoscope.questions.words import is_known, meaning
from kosmoscope.search.answers import Alike, Answer, Hit, PictureFile, Sight
from kosmoscope.search.embedding import Embedder, Float
from kosmoscope.search.index.keeping import Kept, KeptVectors, demanded, embedders
from kosmoscope.search.index.loading import Loaded
from kosmoscope.search.index.prints import prints
from kosmoscope.search.index.schema import (
    INDEX,
    is_there,
    no_index,
    open_to_read,
    told,
    transaction,
)
from kosmoscope.search.likeness import copies
from kosmoscope.search.nearest import nearness, parts_of
from kosmoscope.search.ranking import best, by_both, told_alike
from kosmoscope.search.suggesting import LOOKED_AT, example_questions
from kosmoscope.types import Box, Entity

if TYPE_CHECKING:
    from kosmoscope.results import Description

LIMIT = 20
NEAREST = 3
"""How many pictures come nearest where none is an answer."""


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
        if not is_there(self.folder):
            raise no_index(self.folder)
        self._lock = threading.Lock()
        self._open()

    @classmethod
    def open(cls, folder: str | PathLike[str]) -> Self:
        """Open the index of a folder of results. Raises what the class raises."""
        return cls(folder)

    def search(
        self,
        question: str | Query,
        *,
        limit: int = LIMIT,
        cut_off: float = CUT_OFF,
        embedder: Embedder | None = None,
    ) -> Answer:
        """Return the pictures that satisfy a question, with the evidence.

        Args:
            question: in words (docs/search.md has the grammar), or a `Query`.
            limit: how many to return at most, the likeliest.
            cut_off: 0..1: from which probability a picture is an answer.
            embedder: also ask its vectors (`update_vectors`), by the question's words. What is an
                answer stays the same; their order is that of both (`ranking.fused`), and
                `Answer.alike` are the pictures nearest to the words.

        Raises:
            OptionError: a limit below 0, a cut-off outside of 0..1, an embedder without texts.
            InputError: the index has no vectors of the embedder.
            KosmoscopeError: they are in an engine that is not installed.
            IndexDamagedError: the index is damaged, or what the engine has.
        """
        _check_limit(limit)
        if not 0 <= cut_off <= 1:
            raise OptionError(f"cut_off is {cut_off!r}; expected a number from 0 to 1")
        query = parse(question) if isinstance(question, str) else question
        words = question if isinstance(question, str) else wording(query)
        if embedder is not None and embedder.text is None:
            raise OptionError(f"{embedder.name} knows no texts; expected a CLIP or SigLIP model")
        wanted = embedder.text(words) if embedder is not None and embedder.text else None
        with self._reading() as loaded:
            chances = evaluate_all(query, loaded.columns, meaning, cut_off)
            answers = chances >= cut_off if cut_off > 0 else chances > 0
            total = int(answers.sum())
            alike: tuple[Alike, ...] = ()
            if embedder is None or wanted is None:
                order = best(chances, min(limit, total))
            else:
                vectors = self._vectors(embedder, wanted)
                order = by_both(loaded, vectors, wanted, chances, np.flatnonzero(answers))[:limit]
                alike = told_alike(loaded, vectors.nearest(wanted, limit))
            hits = [self._hit(loaded, query, i) for i in order]
            near: list[Hit] = []
            if not total:
                closeness = nearness(query, loaded.columns, meaning)
                some = min(NEAREST, int((closeness > 0).sum()))
                near = [self._hit(loaded, query, i, near=True) for i in best(closeness, some)]
            notes = (*query.notes, *self._notes(loaded, query))
            count = loaded.columns.pictures
            return Answer(query, tuple(hits), total, count, tuple(near), notes, alike)

    def like(
        self, embedder: Embedder, wanted: Float, *, of_text: bool = False, limit: int = LIMIT
    ) -> tuple[Alike, ...]:
        """Return the pictures whose vectors are nearest to one.

        All are looked at, unless an engine keeps them that says otherwise (docs/search.md).

        Args:
            embedder: the model that made the index' vectors (`update_vectors`).
            wanted: (D,), its vector of a picture, of a part of one, or of a text.
            of_text: it is a text's.
            limit: how many to return at most.

        Raises:
            OptionError: a limit below 0, a vector of another length.
            InputError: the index has no vectors of this model.
            KosmoscopeError: they are in an engine that is not installed.
            IndexDamagedError: the index is damaged, or what the engine has.
        """
        _check_limit(limit)
        with self._reading() as loaded:
            vectors = self._vectors(embedder, wanted)
            return told_alike(loaded, vectors.nearest(wanted, limit, centred=not of_text))

    def copies(self) -> list[tuple[str, ...]]:
        """Return groups of pictures that look the same, by path, two or more each.

        Of pictures whose files were read when the index was made (`update_index(pictures=True)`).
        Sizes, qualities and light may differ, and a little of the edge may be cut off;
        `likeness.SAME_BITS` says how much that finds.

        Raises:
            IndexDamagedError: the index is damaged.
        """
        with self._reading() as loaded:
            ids, hashes = prints(self._base)
            places = loaded.places(np.array(ids, np.int64))
            return [
                tuple(loaded.row(int(places[i])).source for i in group) for group in copies(hashes)
            ]

    @property
    def embedders(self) -> dict[str, str]:
        """The models of which it has vectors: key -> name, the latest last."""
        with self._reading():
            return embedders(self._base)

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
        self, hit: Hit | Alike, images: str | PathLike[str] | None = None
    ) -> list[Description]:
        """Return what was said about a hit's picture, from results.jsonl, one for each task.

        `image.path` is a path by which the picture can be opened from here; `images` is the folder
        that the pictures are in now, if they moved.

        Raises:
            InputError: the results changed since.
        """
        from kosmoscope.search.index.reading import Results

        folder = None if images is None else Path(images)
        with contextlib.closing(Results(self.folder)) as results:
            found = []
            for _, start in hit.records:
                line = results.line_at(start)
                found.append((results.description(line), results.open_path(line, folder)))
        return [_at(description, path) for description, path in found]

    def files(
        self, hits: Iterable[Hit | Alike], images: str | PathLike[str] | None = None
    ) -> list[PictureFile]:
        """Return where hits' pictures are now, as the results say; none of them is opened.

        Raises:
            InputError: the results changed since.
        """
        from kosmoscope.search.index.reading import Results

        folder = None if images is None else Path(images)
        with contextlib.closing(Results(self.folder)) as results:
            found = []
            for hit in hits:
                line = results.line_of(hit.source, hit.records[0][1])
                image = results.description(line).image
                path = results.open_path(line, folder)
                found.append(PictureFile(replace(image, path=path), line.content))
        return found

    def suggestions(self, most: int = 60) -> list[str]:
        """Return questions that some of the pictures answer, then their commonest phrases."""
        with self._reading() as loaded:
            first = range(min(LOOKED_AT, loaded.columns.pictures))
            examples = example_questions([loaded.record(i) for i in first], CUT_OFF)
            return list(dict.fromkeys([*examples, *loaded.commonest(most)]))[:most]

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
        self._kept: dict[Kept, KeptVectors] = {}

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

    def _vectors(self, embedder: Embedder, wanted: Float) -> KeptVectors:
        """Return a model's vectors, for one of its own."""
        its = demanded(self._base, self.path, embedder)
        if wanted.shape != (its.width,):
            raise OptionError(
                f"a vector of shape {wanted.shape}; {embedder.name}'s have {(its.width,)}"
            )
        if its not in self._kept:
            for other in [k for k in self._kept if k.embedder == its.embedder]:
                del self._kept[other]  # they were moved
            self._kept[its] = KeptVectors(self._base, self.path, its)
        return self._kept[its]

    @staticmethod
    def _hit(loaded: Loaded, query: Query, picture: int, *, near: bool = False) -> Hit:
        record, row = loaded.record(picture), loaded.row(picture)
        verdict = evaluate(query, record, meaning)
        found = verdict.evidence
        if near:  # what it has of the parts; of each thing the part of which most is said
            parts = [evaluate(part, record, meaning).evidence for part in parts_of(query)]
            found = tuple({e.thing: e for some in reversed(parts) for e in some}.values())
        sights = []
        for e in found:
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


def _check_limit(limit: int) -> None:
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise OptionError(f"limit is {limit!r}; expected a whole number from 0")


def _file_of(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as e:
        raise InputError(f"{shown_name(path)}: is gone: {e.strerror or e}") from e
    return found.st_dev, found.st_ino


def _nouns(node: Node | None) -> Iterator[str]:
    match node:
        case Thing():
            yield node.noun
            for related in node.related:
                for to in related.any_of:
                    yield from _nouns(to)
        case Not():
            yield from _nouns(node.part)
        case All() | Any_():
            for part in node.parts:
                yield from _nouns(part)


def _at(description: Description, path: str) -> Description:
    return replace(description, image=replace(description.image, path=path))
