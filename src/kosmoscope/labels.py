"""A list of labels that somebody works with: what to ask for each, and which answers count.

Labelling tools know their classes beforehand. A model that grounds phrases is asked for each of
them, and points at something each time, also where there is no such thing: what it is not sure of
is left out here, the same way for every tool.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kosmoscope.choosing import MERGE_IOU, chosen
from kosmoscope.errors import OptionError
from kosmoscope.files.text import one_space
from kosmoscope.types import GroundedCaption

MIN_SCORE = 0.25
"""Boxes with a lower `Box.shown_score` are left out, unless somebody says otherwise."""

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


def answers_of(
    label: Label, answers: Mapping[str, D], min_score: float | None = MIN_SCORE
) -> list[D]:
    """Return what was found of a label: one description a phrase, with the boxes that count.

    Args:
        label: of the list.
        answers: of one picture, by phrase.
        min_score: leave out boxes with a lower `Box.shown_score`; None keeps all of them.

    Raises:
        OptionError: `min_score` is out of its range.
    """
    asked: Sequence[D] = [answers[phrase] for phrase in label.phrases]
    kept = chosen(
        asked, min_score=min_score, merge_iou=MERGE_IOU, label=lambda _: label.name, hollow=False
    )
    return [answer for answer in kept if answer.entities]
