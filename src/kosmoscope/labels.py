"""A list of labels that somebody works with: what to ask for each, and which answers count.

Labelling tools know their classes beforehand. A model that grounds phrases is asked for each of
them, and points at something each time, also where there is no such thing. What it says of its own
accord is a better witness than a score: a label counts where a description of the picture names
such a thing too, and else only where the model is sure and no other label has that place
(benchmarks/labels.py). Who gives a threshold gets what is above it, and all of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from kosmoscope.choosing import MERGE_IOU, chosen
from kosmoscope.errors import OptionError
from kosmoscope.export.things import kind_of
from kosmoscope.files.text import one_space
from kosmoscope.geometry import XYXY, iou
from kosmoscope.types import Box, GroundedCaption

UNNAMED_SCORE = 0.6
"""`Box.shown_score` from which on a box of a label counts that the description does not name."""

D = TypeVar("D", bound=GroundedCaption)


@dataclass(frozen=True, slots=True)
class Label:
    """A class of somebody's list."""

    name: str
    """As the list has it, and as results must say it."""
    phrases: tuple[str, ...]
    """What to look for; each finds boxes of this label."""

    @classmethod
    def of(cls, name: str, phrases: Iterable[str] = ()) -> Label:
        """Return a label with what to look for; without phrases its name in words."""
        found = tuple(dict.fromkeys(p for p in map(one_space, phrases) if p))
        return cls(name, found or (words_of(name),))


def labels_of(text: str) -> list[Label]:
    """Read a list of labels: ``"dog; traffic_light; person = a man, a woman"``.

    Raises:
        OptionError: there is none in it, or one of them twice.
    """
    found: list[Label] = []
    for part in filter(None, map(str.strip, text.split(";"))):
        name, _, phrases = part.partition("=")
        if not name.strip():
            raise OptionError(f"labels: {part!r} has no name; expected NAME = PHRASE, PHRASE")
        found.append(Label.of(name.strip(), phrases.split(",")))
    names = [label.name for label in found]
    if not found or len(set(names)) < len(names):
        raise OptionError(f"labels: {text!r}; expected names, each once, such as 'dog; cat'")
    return found


def words_of(name: str) -> str:
    """Return a label's name as words: "traffic_light" and "Traffic Light" are "traffic light"."""
    words = one_space(name.replace("_", " ")).split(" ")
    return " ".join(w.lower() if w[1:].islower() or len(w) == 1 else w for w in words)


def phrases_of(labels: Iterable[Label]) -> list[str]:
    """Return what has to be asked of a picture: every phrase once."""
    return list(dict.fromkeys(phrase for label in labels for phrase in label.phrases))


def sorted_out(
    labels: Sequence[Label],
    answers: Mapping[str, D],
    described: GroundedCaption | None = None,
    min_score: float | None = None,
) -> list[list[D]]:
    """Return what was found of each label: one description a phrase, with the boxes that count.

    Args:
        labels: the list.
        answers: of one picture, by phrase.
        described: what the model says of the picture, in detail; only without `min_score`.
        min_score: keep boxes with this `Box.shown_score` or more, and no others.

    Raises:
        OptionError: `min_score` is out of its range.
    """
    found = [_once(label, answers, min_score) for label in labels]
    if min_score is not None:
        return found
    entities = () if described is None else described.entities
    said = {kind_of(entity.phrase) for entity in entities} - {""}
    named = [any(kind_of(phrase) in said for phrase in label.phrases) for label in labels]
    both = list(zip(found, named, strict=True))
    taken = [box.xyxy for own, is_named in both if is_named for box in _boxes(own)]
    # Of the others the surest first, whichever label it belongs to.
    rest = [box for own, is_named in both if not is_named for box in _boxes(own)]
    kept: set[int] = set()
    for box in sorted(rest, key=_score, reverse=True):
        if _score(box) >= UNNAMED_SCORE and not _is_taken(box.xyxy, taken):
            kept.add(id(box))
            taken.append(box.xyxy)
    return [
        own if is_named else [d for d in (_with(answer, kept) for answer in own) if d.entities]
        for own, is_named in both
    ]


def _once(label: Label, answers: Mapping[str, D], min_score: float | None) -> list[D]:
    """Return a label's answers, where several of its phrases find one thing but one of them."""
    asked = [answers[phrase] for phrase in label.phrases]
    kept = chosen(
        asked, min_score=min_score, merge_iou=MERGE_IOU, label=lambda _: label.name, hollow=False
    )
    return [answer for answer in kept if answer.entities]


def _boxes(answers: Iterable[GroundedCaption]) -> list[Box]:
    return [box for answer in answers for entity in answer.entities for box in entity.boxes]


def _score(box: Box) -> float:
    return box.shown_score or 0.0


def _is_taken(xyxy: XYXY, taken: Iterable[XYXY]) -> bool:
    return any(iou(xyxy, other) >= MERGE_IOU for other in taken)


def _with(answer: D, kept: set[int]) -> D:
    entities = [
        replace(e, boxes=tuple(box for box in e.boxes if id(box) in kept)) for e in answer.entities
    ]
    return replace(answer, entities=tuple(e for e in entities if e.boxes))
