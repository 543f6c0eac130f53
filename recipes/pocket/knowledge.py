"""What is known of a picture: from its labels, from the frozen networks, from both.

Everything that a text may say of a picture is an `Entity`. Boxes carry how likely they are right,
which the location targets are spread by: a box's score is then worth believing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from kosmoscope.evaluation.data import Truth
from kosmoscope.evaluation.words import CLASS_NAMES, plain
from kosmoscope.geometry import XYXY, area, iou
from recipes.pocket.records import Record
from recipes.pocket.regions import REGIONS
from recipes.pocket.teachers import Float

SURE, LIKELY = 0.54, 0.26
"""Detector scores from which a thing is named, and from which it is found when asked for."""
_SURE_IF_LARGE, _SURE_IF_SMALL = 0.45, 0.62
_LARGE, _SMALL = 0.1, 0.008
"""Shares of the picture. On a grid of 32x32 cells a small box is seldom exact enough to be right,
so that small things are named only where the detector is very sure."""
_LEAST_AREA = {"trees": 0.06, "wall": 0.15, "floor": 0.08, "road": 0.08, "other": 0.05}
_NO_SCENERY = 0.04
"""With a thing of this area, a photograph is not one of a scene unless it is labelled so."""
_SURELY_SEEN = 0.75
# Measured on labelled pictures: share of detections of a score that are right.
_SCORES = (0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.9)
_RIGHT = (0.02, 0.06, 0.20, 0.40, 0.55, 0.70, 0.82, 0.88, 0.95, 0.98)


@dataclass(frozen=True)
class Found:
    """A box with its share of being right."""

    xyxy_norm: XYXY
    right: float
    slot: int = -1
    """Index among the detections; -1 where it is from elsewhere."""

    @property
    def area(self) -> float:
        """Share of the picture."""
        return area(self.xyxy_norm)


@dataclass
class Knowledge:
    """Of one picture; boxes of one name belong together."""

    things: dict[str, list[Found]] = field(default_factory=dict)
    """Named in descriptions."""
    faint: dict[str, list[Found]] = field(default_factory=dict)
    """Only found when asked for by name."""
    stuff: dict[str, Found] = field(default_factory=dict)
    scene: str | None = None
    label: str | None = None
    """Of the whole picture; it has no box unless `things` has one."""
    complete: bool = False
    """What is not here is not in the picture either."""
    seen: frozenset[str] = frozenset()
    """Names that the detector or the labels suspect at all."""


def sure_from(area: float) -> float:
    """The detector score from which a thing of this area is named."""
    return _SURE_IF_LARGE if area > _LARGE else _SURE_IF_SMALL if area < _SMALL else SURE


def right_share(score: float) -> float:
    """How often a detection of this score is right."""
    return float(np.interp(score, _SCORES, _RIGHT))


@dataclass(frozen=True)
class Detection:
    """A row of the detector."""

    name: str
    score: float
    lead: float
    xyxy_norm: XYXY
    slot: int


def detections(rows: Float) -> list[Detection]:
    """Read (K, 85) rows."""
    found = []
    for slot, row in enumerate(rows):
        score = float(row[:80].max())
        if score > 0:
            x1, y1, x2, y2 = (float(e) for e in row[81:85])
            name = CLASS_NAMES[int(row[:80].argmax())]
            found.append(Detection(name, score, float(row[80]), (x1, y1, x2, y2), slot))
    return found


def know(
    record: Record,
    rows: Float,
    regions: tuple[Float, Float],
    scene: str | None = None,
    main_box: XYXY | None = None,
) -> Knowledge:
    """Put together what is known of a view.

    Args:
        record: its labels.
        rows: of the detector.
        regions: area and certainty (R, 2) and boxes (R, 4) of `region_rows`.
        scene: guessed by a probe, where there is no label.
        main_box: guessed box of the object that the whole picture's label names.
    """
    known = Knowledge(scene=record.scene or scene)
    found = detections(rows)
    truth = [b for b in record.boxes if not b.stuff] if record.set_name == "coco" else []
    if truth:
        _from_truth(known, truth, found)
    else:
        _from_detector(known, found)
    _from_regions(known, regions, record)
    if record.label == "house" and "building" in known.stuff:
        main_box = known.stuff["building"].xyxy_norm
    if record.label is not None:
        _from_label(known, record, found, main_box)
    if record.scene is None and any(
        b.area > _NO_SCENERY for boxes in known.things.values() for b in boxes
    ):
        known.scene = None
    known.complete = record.labels_complete and record.set_name == "coco"
    known.seen = frozenset(d.name for d in found) | {b.label for b in truth}
    return known


def _from_truth(known: Knowledge, truth: Sequence[Truth], found: Sequence[Detection]) -> None:
    """Labelled boxes: those that the detector sees are named, the others found when asked for."""
    free = list(found)
    for box in truth:
        match = max(
            (d for d in free if d.name == box.label and iou(d.xyxy_norm, box.xyxy) >= 0.5),
            key=lambda d: d.score, default=None,
        )  # fmt: skip
        if match is not None:
            free.remove(match)
        right = right_share(match.score) if match else 0.1
        entry = Found(box.xyxy, right, match.slot if match else -1)
        named = match is not None and match.score > sure_from(entry.area) - 0.05
        (known.things if named else known.faint).setdefault(box.label, []).append(entry)
    for d in free:  # false alarms are learned as such, unless nothing tells them from the rest
        if d.score > 0.6:
            entry = Found(d.xyxy_norm, right_share(d.score), d.slot)
            known.things.setdefault(d.name, []).append(entry)


def _from_detector(known: Knowledge, found: Sequence[Detection]) -> None:
    kept: list[Detection] = []
    for d in found:
        entry = Found(d.xyxy_norm, right_share(d.score), d.slot)
        # Of two names for one object the likelier one.
        twin = any(iou(d.xyxy_norm, k.xyxy_norm) > 0.6 and k.score > d.score for k in kept)
        if d.score >= sure_from(entry.area) and not twin and d.lead > 0.9:
            known.things.setdefault(d.name, []).append(entry)
            kept.append(d)
        elif d.score >= LIKELY and not twin:
            known.faint.setdefault(d.name, []).append(entry)


def _from_label(
    known: Knowledge, record: Record, found: Sequence[Detection], main_box: XYXY | None
) -> None:
    label = plain(record.label or "")
    known.label = label
    same = [d for d in found if d.name == label]
    if label in known.things:
        return
    boxes = [b.xyxy for b in record.boxes if b.label == record.label]
    if boxes:
        known.things[label] = [Found(boxes[0], 0.7)]
    elif same and same[0].score > 0.2:
        best = same[0]
        known.things[label] = [Found(best.xyxy_norm, max(0.5, right_share(best.score)), best.slot)]
    elif main_box is not None:
        known.things[label] = [Found(main_box, 0.5)]
    # Other names for the very same thing would contradict the label.
    mine = known.things.get(label, [])
    for name in [n for n in known.things if n != label]:
        left = [
            f for f in known.things[name]
            if f.right > 0.85 and not any(iou(f.xyxy_norm, m.xyxy_norm) > 0.5 for m in mine)
        ]  # fmt: skip
        if left:
            known.things[name] = left
        else:
            del known.things[name]


def without_label(known: Knowledge) -> Knowledge:
    """The same without the whole picture's label and its box; it still cleared false alarms."""
    things = {n: boxes for n, boxes in known.things.items()
              if n != known.label or boxes[0].right > _SURELY_SEEN}  # fmt: skip
    return replace(known, label=None, things=things)


def _from_regions(known: Knowledge, regions: tuple[Float, Float], record: Record) -> None:
    measures, boxes = regions
    labelled = {b.label for b in record.boxes if b.stuff}
    for index, name in enumerate(REGIONS):
        area = float(measures[index, 0])
        least = _LEAST_AREA.get(name, _LEAST_AREA["other"])
        if area >= least and boxes[index].any():
            x1, y1, x2, y2 = (float(e) for e in boxes[index])
            right = 0.75 if labelled else 0.6
            known.stuff[name] = Found((x1, y1, x2, y2), right)
