"""What views showed: each box that the model gave, in the frame of the whole picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kosmoscope.detail.names import is_countable, kind_of
from kosmoscope.detail.settings import MOST_OF_A_TILE
from kosmoscope.detail.views import View
from kosmoscope.geometry import XYXY, area
from kosmoscope.types import Box, GroundedCaption

How = Literal["said", "asked"]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One box on one view."""

    kind: str
    """Of thing; see `names.kind_of`."""
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
            # Of what nobody counts, such as grass, a tile shows a piece.
            piece = area(place) > MOST_OF_A_TILE or not is_countable(found)
            yield Sighting(
                kind=found,
                phrase=entity.phrase,
                xyxy=view.to_whole(place),
                score=box.score or 0.0,
                said=(entity.score or 0.0) if how == "said" else None,
                listed=listed,
                view=index,
                cut=not view.is_whole and (piece or view.cuts(place)),
                box=box,
                caption=(number, n) if how == "said" and index == 0 else None,
            )
