"""What views showed: each box that the model gave, in the frame of the whole picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kosmoscope.detail.settings import LEAST_DETECTION, MOST_OF_A_TILE
from kosmoscope.detail.views import View
from kosmoscope.engine.detections import Detections
from kosmoscope.export.things import is_countable, kind_of
from kosmoscope.geometry import XYXY, area
from kosmoscope.types import Box, GroundedCaption, ImageInfo

How = Literal["said", "asked"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One box on one view."""

    kind: str
    """Of thing; see `kosmoscope.export.things.kind_of`."""
    phrase: str
    xyxy: XYXY
    """Normalised to the whole picture."""
    score: float
    """0..1, of the box."""
    said: float | None
    """0..1, of the phrase; None where it was asked for."""
    listed: float
    """0..1: how likely the list of its phrase was to go on as far as this box."""
    view: int
    """Index of the view; 0 is the whole."""
    cut: bool
    """An inner edge of the tile cuts it, it fills most of a tile, or is of no countable kind."""
    box: Box
    """As it was given, in the frame of the view."""
    detected: bool = False
    """By the detector inside the model: no text."""
    caption: tuple[int, int] | None = None
    """Index of entity and box, of what the caption of the whole says."""


def sightings_of(
    description: GroundedCaption, view: View, index: int, how: How, kind: str | None = None
) -> Iterator[Sighting]:
    """Yield the boxes of a description of a view, or of the answer to a phrase.

    Args:
        description: of the view.
        view: where its boxes are.
        index: of the view.
        how: whether the phrases were the model's or ours.
        kind: of thing, where it was asked for.
    """
    for number, entity in enumerate(description.entities):
        if not entity.complete:
            continue
        found = kind_of(entity.phrase) if kind is None else kind
        listed = 1.0
        for n, box in enumerate(entity.boxes):
            listed *= 1.0 if box.listed is None else box.listed
            place = box.refined or box.xyxy
            yield Sighting(
                kind=found,
                phrase=entity.phrase,
                xyxy=view.to_whole(place),
                score=box.score or 0.0,
                said=(entity.score or 0.0) if how == "said" else None,
                listed=listed,
                view=index,
                cut=_is_cut(found, place, view),
                box=box,
                caption=(number, n) if how == "said" and index == 0 else None,
            )


def detected(detections: Detections, info: ImageInfo, view: View, index: int) -> Iterator[Sighting]:
    """Yield what the detector inside the model suspects on a view.

    Args:
        detections: on the view.
        info: of the view.
        view: where its boxes are.
        index: of the view.
    """
    for candidate in detections.candidates(LEAST_DETECTION):
        kind = kind_of(candidate.name)
        yield Sighting(
            kind=kind,
            phrase=candidate.name,
            xyxy=view.to_whole(candidate.xyxy),
            score=candidate.score,
            said=None,
            listed=1.0,
            view=index,
            cut=_is_cut(kind, candidate.xyxy, view),
            box=Box.of(candidate.xyxy, (info.width, info.height), support=candidate.score),
            detected=True,
        )


def _is_cut(kind: str, place: XYXY, view: View) -> bool:
    if view.is_whole:
        return False
    # Of what nobody counts, such as grass, a tile shows a piece.
    return area(place) > MOST_OF_A_TILE or not is_countable(kind) or view.cuts(place)
