"""Objects -> a `Description` with each in it, and a `Count`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kosmoscope.calibration import DetailCalibration
from kosmoscope.detail.counting import Count, distribution, quantile
from kosmoscope.detail.merging import Thing, each_once
from kosmoscope.detail.settings import Detail
from kosmoscope.export.nouns import plural
from kosmoscope.export.things import is_countable, kind_of, one_of
from kosmoscope.results import Description
from kosmoscope.types import Box, Entity, ImageInfo, Source

_LOW, _HIGH = 0.1, 0.9


def described(
    said: Description, things: Sequence[Thing], detail: Detail, calibration: DetailCalibration
) -> Description:
    """Return what was said of the whole, with every object in it.

    The caption and its boxes stay; boxes get a new confidence. Further objects of a kind that the
    caption names join its first phrase of that kind; others make entities of their own, whose span
    is empty and at the caption's end.

    Args:
        said: of the whole.
        things: all of them, the surest first.
        detail: says from which score on they count.
        calibration: whose scores are shown, if they were measured.
    """
    if detail.parts:
        things = each_once(things)
    measured = calibration.things > 0
    own = {t.captioned: t for t in things if t.captioned is not None}
    entities: list[Entity] = []
    first: dict[str, int] = {}
    for number, entity in enumerate(said.entities):
        boxes = tuple(
            replace(
                box,
                source="whole",
                confidence=own[number, n].score
                if measured and (number, n) in own
                else box.confidence,
            )
            for n, box in enumerate(entity.boxes)
        )
        entities.append(replace(entity, boxes=boxes, source="whole"))
        if entity.phrase:
            first.setdefault(kind_of(entity.phrase), number)
    new: dict[str, list[Thing]] = {}
    for thing in things:
        if thing.captioned is None and thing.score >= detail.least:
            new.setdefault(thing.kind, []).append(thing)
    end = len(said.caption)
    for kind, some in new.items():
        boxes = tuple(box_of(t, said.image, measured=measured) for t in some)
        if kind in first:
            entity = entities[first[kind]]
            entities[first[kind]] = replace(entity, boxes=(*entity.boxes, *boxes))
            continue
        phrase = plural(kind) if len(some) > 1 and is_countable(kind) else one_of(kind)
        told = [s for t in some for s in t.sightings if s.said is not None]
        score = max((s.said or 0.0 for s in told), default=None)
        asked = any(t.told for t in some)
        source: Source = "tile" if told else "regrounded" if asked else "detected"
        entities.append(Entity(phrase, (end, end), boxes, score, source=source))
    return replace(said, entities=tuple(_counted(e, things, calibration) for e in entities))


def box_of(thing: Thing, image: ImageInfo, *, measured: bool) -> Box:
    """Return a thing's box on the whole picture."""
    wh = image.width, image.height
    confidence = thing.score if measured else None
    seen = max((s.score for s in thing.sightings if s.detected), default=None)
    if not thing.told:
        made = Box.of(thing.xyxy, wh, None, None, confidence, support=seen)
        return replace(made, source="detected")
    told = thing.told[0]
    on_whole = any(s.view == 0 for s in thing.told)
    made = Box.of(thing.xyxy, wh, told.score, None, confidence, told.box.listed, seen)
    return replace(made, source="regrounded" if on_whole else "tile")


def _counted(entity: Entity, things: Sequence[Thing], calibration: DetailCalibration) -> Entity:
    kind = kind_of(entity.phrase) if entity.phrase else ""
    if not kind or not is_countable(kind):
        return entity
    number, confidence, _, _ = _number([t.score for t in things if t.kind == kind], calibration)
    sure = confidence if calibration.things else None
    return replace(entity, count=max(number, min(len(entity.boxes), 1)), count_confidence=sure)


def _number(
    probabilities: Sequence[float], calibration: DetailCalibration
) -> tuple[int, float, int, int]:
    """Return the middle of the distribution, its share, and the ends of its middle four fifths."""
    unseen = calibration.unseen * sum(probabilities)
    shares = distribution(probabilities, unseen)
    number = quantile(shares, 0.5)
    return number, shares[number], quantile(shares, _LOW), quantile(shares, _HIGH)


def counted(
    phrase: str,
    things: Sequence[Thing],
    image: ImageInfo,
    model: str,
    precision: str,
    calibration: DetailCalibration,
) -> Count:
    """Return how many there are of what was looked for.

    Args:
        phrase: that was looked for.
        things: the surest first; those of other kinds do not count.
        image: the picture.
        model: its name.
        precision: of its weights.
        calibration: of the scores.
    """
    mine = [t for t in each_once(things) if t.kind == kind_of(phrase)]
    number, confidence, low, high = _number([t.score for t in mine], calibration)
    measured = calibration.things > 0
    boxes = tuple(box_of(t, image, measured=measured) for t in mine[:number])
    sure = confidence if measured else None
    return Count(phrase, number, sure, low, high, boxes, image, model, precision)
