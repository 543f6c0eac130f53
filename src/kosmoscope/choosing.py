"""Which boxes of descriptions are kept: those that are sure enough, and each thing once.

For everything that is made of results: drawings, galleries, exports, masks. Entities keep their
places, so that numbers, spans and masks that refer to them hold; only their boxes get fewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from kosmoscope.errors import OptionError
from kosmoscope.files.text import one_space
from kosmoscope.geometry import XYXY, iou
from kosmoscope.types import Box, GroundedCaption, ImageInfo

MERGE_IOU = 0.9
"""From which overlap on two prompts' boxes of one class are one box, unless somebody says."""

D = TypeVar("D", bound=GroundedCaption)


def chosen(
    descriptions: Iterable[D],
    *,
    min_score: float | None = None,
    merge_iou: float | None = None,
    label: Callable[[str], str | None] | None = None,
    hollow: bool = True,
) -> Iterator[D]:
    """Yield the descriptions with the boxes that are kept.

    Args:
        descriptions: any number, of any pictures. Without `merge_iou` they are passed on as they
            come, otherwise all are gathered first.
        min_score: leave out boxes with a lower `Box.shown_score`. Boxes without one stay: they
            were given, or read from text that has none.
        merge_iou: of boxes of one class that several descriptions of a picture have, and that
            overlap at least so much, keep the one with the highest score. Boxes of one description
            are several things, and stay.
        label: phrase -> class; the phrase in lower case unless given.
        hollow: keep entities that lose all of their boxes, and with them the others' places.

    Raises:
        OptionError: a threshold outside of 0..1; while it runs: something is no description.
    """
    check_share("min_score", min_score)
    check_share("merge_iou", merge_iou)
    sure = (_sure(d, min_score or 0.0, hollow) for d in descriptions)
    return sure if merge_iou is None else _merged(sure, merge_iou, label or _class, hollow)


def check_share(name: str, value: float | None) -> None:
    """Raise `OptionError` unless a threshold is None or 0..1."""
    if value is None:
        return
    fine = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    if not fine:
        raise OptionError(f"{name} is {value!r}; expected a number from 0 to 1")


def known_score(score: float | None) -> float | None:
    """Return a score; None where there is none, or where it is not finite."""
    return score if score is not None and math.isfinite(score) else None


def same_picture(image: ImageInfo) -> object:
    """Return what is equal for descriptions of one picture.

    Path and size; of a picture that has no path (``<bytes>`` and the like) its `ImageInfo` itself,
    which the results of one encoded picture share. Whoever keeps the key keeps the `ImageInfo` too.
    """
    if image.path.startswith("<") and image.path.endswith(">"):
        return id(image)
    return image.path, image.width, image.height


def better(score: float | None, than: float | None) -> bool:
    """Say whether a score is higher; any is higher than none."""
    new, old = known_score(score), known_score(than)
    return new is not None and (old is None or new > old)


def _class(phrase: str) -> str:
    return one_space(phrase).lower()


def _sure(description: D, min_score: float, hollow: bool) -> D:
    if not isinstance(description, GroundedCaption):
        raise OptionError(f"expected descriptions, got a {type(description).__name__}")

    def kept(box: Box) -> bool:
        score = known_score(box.shown_score)
        return score is None or score >= min_score

    numbered = enumerate(description.entities)
    gone = {(n, i) for n, e in numbered for i, box in enumerate(e.boxes) if not kept(box)}
    return _without(description, gone, hollow)


def _merged(
    descriptions: Iterable[D], least: float, label: Callable[[str], str | None], hollow: bool
) -> Iterator[D]:
    gathered = list(descriptions)
    # By picture and class: the boxes that are kept so far, each with its place.
    kept: dict[tuple[object, str | None], list[tuple[Box, tuple[int, int, int]]]] = {}
    gone: list[set[tuple[int, int]]] = [set() for _ in gathered]
    for at, description in enumerate(gathered):
        for number, entity in enumerate(description.entities):
            key = same_picture(description.image), label(entity.phrase)
            others = kept.setdefault(key, [])
            for i, box in enumerate(entity.boxes):
                place = (at, number, i)
                twin = _twin(box.xyxy, [o for o in others if o[1][0] != at], least)
                if twin is None:
                    others.append((box, place))
                elif better(box.shown_score, twin[0].shown_score):
                    gone[twin[1][0]].add(twin[1][1:])
                    others[others.index(twin)] = (box, place)
                else:
                    gone[at].add((number, i))
    for description, some in zip(gathered, gone, strict=True):
        yield _without(description, some, hollow)


def _twin(
    xyxy: XYXY, others: Iterable[tuple[Box, tuple[int, int, int]]], least: float
) -> tuple[Box, tuple[int, int, int]] | None:
    """Return the box that overlaps most, if it does enough."""
    best = max(others, key=lambda o: iou(xyxy, o[0].xyxy), default=None)
    return best if best is not None and iou(xyxy, best[0].xyxy) >= max(least, 1e-9) else None


def _without(description: D, gone: Collection[tuple[int, int]], hollow: bool) -> D:
    """Return the description without some boxes: (entity, box) of each."""
    if not gone:
        return description
    entities = [
        replace(e, boxes=tuple(b for i, b in enumerate(e.boxes) if (number, i) not in gone))
        for number, e in enumerate(description.entities)
    ]
    if not hollow:
        before = zip(entities, description.entities, strict=True)
        entities = [e for e, old in before if e.boxes or not old.boxes]
    return replace(description, entities=tuple(entities))
