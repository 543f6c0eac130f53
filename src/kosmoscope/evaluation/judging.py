"""What a model said of one picture, held against its record. Nothing here runs a model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from kosmoscope.evaluation.data import Record, Truth
from kosmoscope.evaluation.matching import Guess, by_score, match, right_at
from kosmoscope.evaluation.phrases import Classes, asked_for, label_names, names, scene_names
from kosmoscope.evaluation.words import CLASS_NAMES
from kosmoscope.results import Description
from kosmoscope.types import XYXY

LARGE = 0.15
"""Share of the picture from which its largest object is expected in the caption."""
RANKS = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class Labels:
    """The label set of a set of pictures."""

    things: frozenset[str]
    stuff: frozenset[str]
    classes: Classes

    @classmethod
    def of(cls, things: frozenset[str], stuff: frozenset[str]) -> Labels:
        """Make one; a set all of whose things are COCO's is taken to have all 80 of them."""
        if things and things <= set(CLASS_NAMES):
            things = frozenset(CLASS_NAMES)
        return cls(things, stuff, Classes(things | stuff))


@dataclass(frozen=True, slots=True)
class BoxFact:
    """A box that the model gave in its description."""

    phrase: str
    classes: tuple[str, ...]
    """What the phrase may mean; empty: no class of the set."""
    thing: bool
    """One of these is a countable thing of the set."""
    xyxy: XYXY
    score: float | None
    phrase_score: float | None
    confidence: float | None
    found: int | None
    """Index of the labelled object that it is right for."""
    support: float | None = None
    """What a detector inside the model says of it."""


@dataclass(frozen=True, slots=True)
class TruthFact:
    """A labelled object, and whether one of the boxes is right for it."""

    label: str
    stuff: bool
    area: float
    found: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A phrase to be found in a picture."""

    phrase: str
    kind: str
    """'class': the name of a labelled class; 'expression': a phrase of the record."""
    boxes: tuple[XYXY, ...]
    """Any of these is right."""
    context: str = ""
    largest: XYXY | None = None
    """The box of the picture's largest object, where the phrase is its class."""


@dataclass(frozen=True, slots=True)
class GroundFact:
    """The answer to a question."""

    phrase: str
    kind: str
    candidates: int
    """Boxes that the model gave."""
    right_at: tuple[bool, ...]
    """One of the first k boxes, by falling score, is right: for each k of `RANKS`."""
    first: bool
    """The box that comes first in the text is right, whatever its score."""
    largest: bool | None
    """The box with the highest score is right for the largest object; None if not asked."""


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """All that the figures are made of, of one picture."""

    set_name: str
    file: str
    caption: str
    said: str
    """What is compared with the human captions."""
    references: tuple[str, ...] = ()
    judged: bool = False
    """Its boxes were judged: the labels are complete."""
    boxes: tuple[BoxFact, ...] = ()
    truths: tuple[TruthFact, ...] = ()
    largest: tuple[str, bool, bool] | None = None
    """Class of the largest object (`LARGE` or larger); named; named with a right box."""
    scene: tuple[str, bool] | None = None
    label: tuple[str, bool] | None = None
    grounded: tuple[GroundFact, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a JSON line."""
        return asdict(self)


def judge(
    record: Record,
    labels: Labels,
    description: Description,
    *,
    plain: Description | None = None,
    refined: bool = False,
    grounded: tuple[GroundFact, ...] = (),
) -> PictureFacts:
    """Hold a description against a record.

    Args:
        record: what is known.
        labels: of its set.
        description: with boxes.
        plain: a description without boxes, to be compared with human captions instead.
        refined: judge the boxes finer than the grid where there are any.
        grounded: answers to `questions`.
    """
    caption = description.caption
    facts: dict[str, Any] = {}
    if record.labels_complete:
        guesses = guesses_of(description, labels.classes, refined=refined)
        pairs = match(guesses, record.boxes)
        facts["judged"] = True
        facts["boxes"] = tuple(
            BoxFact(g.phrase, tuple(sorted(g.classes)), bool(g.classes & labels.things),
                    g.xyxy, g.score, g.phrase_score, g.confidence, found, g.support)
            for g, found in zip(guesses, pairs, strict=True)
        )  # fmt: skip
        facts["truths"] = tuple(
            TruthFact(t.label, t.stuff, round(t.area, 4), i in pairs)
            for i, t in enumerate(record.boxes)
        )
        if (large := largest(record)) is not None:
            same = [g for g in guesses if large.label in g.classes]
            named = bool(same) or names(caption, label_names(large.label))
            boxed = right_at([g.xyxy for g in same], [large.xyxy], len(same))
            facts["largest"] = (large.label, named, boxed)
    if record.scene:
        facts["scene"] = (record.scene, names(caption, scene_names(record.scene)))
    if record.label:
        facts["label"] = (record.label, names(caption, label_names(record.label)))
    said = (plain or description).text
    return PictureFacts(record.set_name, record.file, caption, said, record.captions,
                        grounded=grounded, **facts)  # fmt: skip


def guesses_of(description: Description, classes: Classes, *, refined: bool = False) -> list[Guess]:
    """Return every box of a description with the classes that its phrase may mean."""
    return [
        Guess(
            e.phrase,
            classes.of(e.phrase),
            (b.refined or b.xyxy) if refined else b.xyxy,
            b.score,
            e.score,
            b.confidence,
            b.support,
        )
        for e in description.entities
        for b in e.boxes
    ]


def largest(record: Record) -> Truth | None:
    """Return the picture's largest countable object if it covers `LARGE` of it, else None."""
    things = [b for b in record.boxes if not b.stuff]
    found = max(things, key=lambda b: b.area, default=None)
    return found if found is not None and found.area >= LARGE else None


def questions(record: Record) -> list[Question]:
    """Return what is to be found in a picture: each labelled class, and the record's phrases."""
    large = largest(record) if record.labels_complete else None
    asked = []
    for label in dict.fromkeys(b.label for b in record.boxes):
        same = [b for b in record.boxes if b.label == label]
        phrase = asked_for(label, stuff=same[0].stuff)
        box = large.xyxy if large is not None and large.label == label else None
        asked.append(Question(phrase, "class", tuple(b.xyxy for b in same), largest=box))
    asked += [Question(e.phrase, "expression", e.boxes, e.context) for e in record.expressions]
    return asked


def judge_answer(
    question: Question, description: Description, *, refined: bool = False
) -> GroundFact:
    """Hold the boxes of one answer against the true ones.

    The candidates are the boxes of the phrase, by falling score: one answer may have several.
    """
    boxes = description.entities[0].boxes if description.entities else ()
    given = [(b.refined or b.xyxy) if refined else b.xyxy for b in boxes]
    candidates = [given[i] for i in by_score([b.score for b in boxes])]
    large: bool | None = None
    if question.largest is not None:
        large = right_at(candidates, [question.largest], 1)
    return GroundFact(
        question.phrase,
        question.kind,
        len(candidates),
        tuple(right_at(candidates, question.boxes, k) for k in RANKS),
        right_at(given, question.boxes, 1),
        large,
    )
