"""What questions are asked of: a picture's record, its things pointing at the page's own boxes.

    thing   "sky"       that the text alone names
            [entry, entity, box, probability, colours, number, x1, y1, x2, y2]

The box is -1 where a phrase names a thing without one; the corners are absent there and where they
are those that the page draws, and so are colours 0 and number 1 before nothing else. Numbers are
ten-thousandths, colours bits (`kosmoscope.questions.evaluate.packing`). Nouns and words are not
there: the page reads them from the phrases, as `kosmoscope.questions.known` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kosmoscope.errors import BoxError, ImageError
from kosmoscope.geometry import XYXY, check_xyxy_norm
from kosmoscope.masks import LabelMap
from kosmoscope.questions.evaluate.packing import colour_bits
from kosmoscope.questions.evaluate.record import SCALE
from kosmoscope.questions.known import corners_of, record_of
from kosmoscope.questions.looking import look
from kosmoscope.types import Box, Entity, GroundedCaption

Place = tuple[int, int, int]
"""Entry, entity, box; the box -1: none."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a picture."""

    things: list[Any]
    taken: str
    """The day, as an ISO date; empty where nobody knows."""
    nouns: frozenset[str]
    """Of the things."""


def seen_in(
    path: str,
    file: Path | None,
    descriptions: Sequence[GroundedCaption],
    segmentations: Iterable[LabelMap] = (),
) -> Seen:
    """Return what is known of a picture; its file, where it can be read, says colours and day.

    Args:
        path: what its results call it.
        file: where it is; None: it never was a file.
        descriptions: as the page shows them.
        segmentations: of these; colours are those of their masks then.
    """
    try:
        looked = None if file is None else look(os.fspath(file), segmentations)
    except ImageError:
        looked = None  # its card says why
    shown = [_as_shown(d) for d in descriptions]
    record = record_of(shown, path, looked)
    places: dict[tuple[str, XYXY | None], tuple[Place, list[int]]] = {}
    for phrase, box, place in _places(shown):
        corners, drawn = (None, []) if box is None else (corners_of(box), _whole(box.xyxy))
        places.setdefault((phrase, corners), (place, drawn))
    things: list[Any] = []
    for seen in record.things:
        found = places.get((seen.phrase, seen.box))
        if found is None:
            things.append(seen.noun)
            continue
        place, drawn = found
        more = [colour_bits(seen.colours), seen.number]
        if seen.box is not None and (finer := _whole(seen.box)) != drawn:
            more += finer
        elif more == [0, 1]:
            more = []
        things.append([*place, round(seen.probability * SCALE), *more])
    return Seen(things, record.taken or "", frozenset(seen.noun for seen in record.things))


def _as_shown(description: GroundedCaption) -> GroundedCaption:
    """Return a description without what is no box: the page has none of these (`records`)."""
    if all(_is_box(box) for e in description.entities for box in e.boxes):
        return description

    def kept(entity: Entity) -> Entity:
        return replace(entity, boxes=tuple(filter(_is_box, entity.boxes)))

    return replace(description, entities=tuple(map(kept, description.entities)))


def _is_box(box: Box) -> bool:
    try:
        check_xyxy_norm(box.xyxy)
    except BoxError:
        return False
    return True


def _whole(xyxy: XYXY) -> list[int]:
    return [round(v * SCALE) for v in xyxy]


def _places(descriptions: Sequence[GroundedCaption]) -> Iterator[tuple[str, Box | None, Place]]:
    for k, description in enumerate(descriptions):
        for n, entity in enumerate(description.entities):
            phrase = " ".join(entity.phrase.split())
            for i, box in enumerate(entity.boxes):
                yield phrase, box, (k, n, i)
            yield phrase, None, (k, n, -1)
