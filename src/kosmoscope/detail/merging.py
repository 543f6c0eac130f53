"""Sightings of one picture -> its objects: one for each thing, however often it was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kosmoscope.calibration import DetailCalibration, logit
from kosmoscope.detail.settings import INSIDE, LEAST_DETECTION, PART_SCORE, TWIN_IOU, Detail
from kosmoscope.detail.sightings import Sighting
from kosmoscope.geometry import SAME_IOU, XYXY, area, containment, iou

_TILE, _ASKED, _DETECTED = 0.8, 0.5, 2.0
"""What a sighting on a tile, one that was asked for, and one of a detector weighs beside others of
its score; a detector's boxes are finer than the grid."""
_UNSEEN = logit(LEAST_DETECTION)
"""What a detector counts for that does not see a thing."""
_KNOWN = "known_"
"""Of the names of features of a thing that a detector inside the model knows: what the model says
of such things is worth another amount, as they have another witness."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An object, with all that speaks for it."""

    sightings: tuple[Sighting, ...]
    """The one that it was founded on first."""
    xyxy: XYXY
    """Normalised to the whole picture."""
    score: float = 0.0
    """0..1: how likely it is one, by the calibration."""
    found_again: bool | None = None
    """On a crop around it; None where that was not tried."""
    support: int = 0
    """Cut sightings that lie in it."""
    known: bool = False
    """A detector inside the model knows things of its kind, and has its say."""

    @property
    def told(self) -> tuple[Sighting, ...]:
        """The sightings that the model put into words."""
        return tuple(s for s in self.sightings if not s.detected)

    @property
    def kind(self) -> str:
        """Of thing."""
        return self.sightings[0].kind

    @property
    def captioned(self) -> tuple[int, int] | None:
        """Index of entity and box, where the caption of the whole locates it."""
        return next((s.caption for s in self.sightings if s.caption is not None), None)


def weight(sighting: Sighting) -> float:
    """Return how much a sighting counts for, above 0."""
    by = _DETECTED if sighting.detected else _ASKED
    said = by if sighting.said is None else sighting.said
    on_tile = 1.0 if sighting.view == 0 else _TILE
    return sighting.score * sighting.listed * said * on_tile + 1e-6


def gathered(
    sightings: Sequence[Sighting], detail: Detail, known: frozenset[str] = frozenset()
) -> list[Thing]:
    """Return one thing for each group of sightings of a kind that overlap.

    The surest sighting of a group founds it, and the others join the one that they overlap most.
    What the caption of the whole locates founds a thing each, as it said they are several. What a
    tile's edge cuts founds none; it speaks for the thing that it is a part of.

    Args:
        sightings: of one picture.
        detail: how they are merged.
        known: kinds that a detector inside the model knows.
    """
    captioned = [s for s in sightings if s.caption is not None]
    rest = [s for s in sightings if s.caption is None and s.kind]
    whole = [s for s in rest if not (s.cut and detail.whole_first)]
    groups = [[s] for s in captioned]
    for sighting in sorted(whole, key=_order):
        found = max(
            (g for g in groups if g[0].kind == sighting.kind),
            key=lambda g: iou(g[0].xyxy, sighting.xyxy),
            default=None,
        )
        if found is not None and iou(found[0].xyxy, sighting.xyxy) >= SAME_IOU:
            found.append(sighting)
        else:
            groups.append([sighting])
    things = [
        Thing(tuple(g), _box_of(g, fuse=detail.fuse), known=g[0].kind in known) for g in groups
    ]
    for sighting in rest:
        if sighting.cut and detail.whole_first:
            _support(things, sighting)
    return things


def _order(sighting: Sighting) -> tuple[float, int, XYXY]:
    return (-weight(sighting), sighting.view, sighting.xyxy)


def _box_of(group: Sequence[Sighting], *, fuse: bool) -> XYXY:
    """Return the mean of a group's boxes by their weights (weighted boxes fusion, Solovyev et al.,
    arXiv:1910.13302), or the first."""
    if not fuse or len(group) == 1:
        return group[0].xyxy
    weights = [weight(s) for s in group]
    total = sum(weights)
    x1, y1, x2, y2 = (
        sum(w * s.xyxy[i] for w, s in zip(weights, group, strict=True)) / total for i in range(4)
    )
    return (x1, y1, x2, y2)


def _support(things: list[Thing], part: Sighting) -> None:
    for i, thing in enumerate(things):
        if thing.kind == part.kind and containment(part.xyxy, thing.xyxy) >= INSIDE:
            things[i] = replace(thing, support=thing.support + 1)
            return


def features(thing: Thing, named: bool) -> dict[str, float]:
    """Return what a thing's score is made of; each is 0 where nothing is known.

    Args:
        thing: one object.
        named: the caption of the whole names its kind.
    """
    told = thing.told
    on_whole = [s for s in told if s.view == 0]
    on_tiles = [s for s in told if s.view > 0]
    seen = {s.view: logit(s.score) for s in reversed(thing.sightings) if s.detected}
    said = [s.said for s in told if s.said is not None]
    ways = {(s.view, s.said is None) for s in told}
    again = thing.found_again
    found = {
        "on_whole": float(bool(on_whole)),
        "whole": max((logit(s.score) for s in on_whole), default=0.0),
        "on_tile": float(bool(on_tiles)),
        "tile": max((logit(s.score) for s in on_tiles), default=0.0),
        "was_said": float(bool(said)),
        "said": max(map(logit, said), default=0.0),
        "listed": logit(max((s.listed for s in told), default=0.5)),
        "ways": float(min(len(ways) - 1, 4)),
        "support": float(min(thing.support, 2)),
        "named": float(named),
        "size": logit(min(max(area(thing.xyxy), 0.0), 1.0)),
        "again": 0.0 if again is None else 1.0 if again else -1.0,
    }
    if not thing.known:
        return found
    on_tile = max((x for view, x in seen.items() if view), default=_UNSEEN)
    found |= {"kind": 1.0, "seen": seen.get(0, _UNSEEN), "seen_on_tile": on_tile}
    return {_KNOWN + name: value for name, value in found.items()}


def scored(
    things: Sequence[Thing], named: frozenset[str], calibration: DetailCalibration
) -> list[Thing]:
    """Return the things with their scores."""
    return [replace(t, score=calibration.probability(features(t, t.kind in named))) for t in things]


def each_once(things: Sequence[Thing]) -> list[Thing]:
    """Return the things without parts of others of their kind, groups and second names.

    A box around others of its kind goes where those are surer on average: it holds a group, or is
    too large. Otherwise those that are far less sure than it go: they are parts of it. What the
    caption locates stays in any case. Of two kinds in one place the surer one stays.
    """
    things = _without_second_names(things)
    gone: set[int] = set()
    for i, outer in sorted(enumerate(things), key=lambda e: -area(e[1].xyxy)):
        inner = [
            j
            for j, t in enumerate(things)
            if j != i
            and j not in gone
            and t.kind == outer.kind
            and area(t.xyxy) < area(outer.xyxy)
            and containment(t.xyxy, outer.xyxy) >= INSIDE
        ]
        if not inner or i in gone:
            continue
        mean = sum(things[j].score for j in inner) / len(inner)
        if mean > outer.score and outer.captioned is None:
            gone.add(i)
        else:
            most = PART_SCORE * outer.score
            gone |= {j for j in inner if things[j].captioned is None and things[j].score <= most}
    return [t for i, t in enumerate(things) if i not in gone]


def _without_second_names(things: Sequence[Thing]) -> list[Thing]:
    kept: list[Thing] = []
    for thing in sorted(things, key=lambda t: (t.captioned is None, -t.score)):
        second = thing.captioned is None and any(
            k.kind != thing.kind and iou(k.xyxy, thing.xyxy) >= TWIN_IOU for k in kept
        )
        if not second:
            kept.append(thing)
    return [t for t in things if t in kept]
