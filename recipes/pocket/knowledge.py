"""What is known of a picture: from its labels, from the frozen networks, from both.

Everything that a text may say of a picture is an `Entity`. Boxes carry how likely they are right,
which the location targets are spread by: a box's score is then worth believing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kosmoscope.evaluation.data import Truth
from kosmoscope.evaluation.words import CLASS_NAMES
from kosmoscope.geometry import XYXY, area, iou
from recipes.pocket.naming import name_of
from recipes.pocket.records import Record
from recipes.pocket.regions import REGIONS
from recipes.pocket.teachers import Float

SURE, LIKELY = 0.41, 0.24
"""Shares of votes from which a thing is named, and from which it is found when asked for."""
_SURE_IF_LARGE, _SURE_IF_SMALL = 0.32, 0.55
_LARGE, _SMALL = 0.1, 0.006
"""Shares of the picture. On a grid of 32x32 cells a small box is seldom exact enough to be right,
so that small things are named only where the detector is very sure."""
SURE_NAME, _LIKELY_NAME = 0.8, 0.5
"""How often a name must be right to be given to the main thing, and to be given where there is
nothing else to say."""
_NOTHING_ELSE = 0.3
"""Votes from which a thing is named in a picture of which nothing else is known."""
_LEAST_AREA = {"trees": 0.06, "wall": 0.15, "floor": 0.08, "road": 0.08, "other": 0.05}
_NO_SCENERY = 0.04
"""With a thing of this area, a photograph is not one of a scene unless it is labelled so."""
# Measured on labelled pictures: share of candidates of a score that are right.
_SCORES = (0.07, 0.12, 0.17, 0.22, 0.27, 0.32, 0.37, 0.42, 0.47, 0.52, 0.57, 0.65, 0.75)
_RIGHT = (0.01, 0.03, 0.05, 0.12, 0.16, 0.28, 0.41, 0.57, 0.70, 0.80, 0.91, 0.97, 0.99)
_MAIN_RIGHT = 0.7
"""How often the main thing's box is right for what it is rightly called."""
# The detector's word for what the classifier names more finely.
_KINDS = {
    "bird": ("duck", "goose", "swan", "eagle", "owl", "parrot", "peacock", "hen", "rooster",
             "ostrich", "stork", "heron", "flamingo", "pelican", "penguin", "vulture", "toucan",
             "hummingbird", "emu"),
    "boat": ("ship", "sailboat", "sailing ship", "canoe", "submarine", "shipwreck"),
    "car": ("taxi", "race car", "van", "ambulance", "camper", "go-kart", "golf cart"),
    "truck": ("fire truck", "van", "ambulance", "camper", "tractor", "snowplow"),
    "train": ("tram",), "bus": ("tram", "camper"), "dog": ("wolf", "fox", "wild dog", "hyena"),
    "cat": ("lynx", "leopard", "tiger", "lion", "cheetah", "cougar"),
    "cow": ("buffalo", "bison"), "sheep": ("goat", "llama"), "horse": ("antelope", "camel"),
    "bear": ("panda", "red panda", "monkey", "gorilla", "chimpanzee"), "chair": ("throne",),
    "potted plant": ("bonsai tree", "sunflower", "rose", "tulip", "daisy", "dandelion"),
    "vase": ("jug",), "cup": ("jug", "teapot", "coffee pot"), "tv": ("computer",),
    "bowl": ("soup", "plate of food", "hot pot"), "clock": ("watch", "stopwatch"),
    "airplane": ("helicopter", "space shuttle", "airship", "missile"),
    "motorcycle": ("tricycle",), "bicycle": ("unicycle", "tricycle"),
}  # fmt: skip


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
    called: str | None = None
    """The thing that is named by the classifier alone."""
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
    """1/2 level with another class, 1 alone."""
    xyxy_norm: XYXY
    slot: int


@dataclass(frozen=True)
class Named:
    """What the classifier calls a picture's main thing, judged by the whole and by that."""

    name: str
    right: float
    """How often such a name is right."""
    xyxy_norm: XYXY
    """Of the main thing."""


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
    main: Named,
    scene: str | None = None,
) -> Knowledge:
    """Put together what is known of a view.

    Args:
        record: its labels.
        rows: of the detector.
        regions: area and certainty (R, 2) and boxes (R, 4) of `region_rows`.
        main: what the classifier calls the main thing.
        scene: guessed by a probe, where there is no label.
    """
    known = Knowledge(scene=record.scene or scene)
    found = detections(rows)
    truth = [b for b in record.boxes if not b.stuff] if record.set_name == "coco" else []
    if truth:
        _from_truth(known, truth, found)
    else:
        _from_detector(known, found)
    _from_regions(known, regions, record)
    label = None if record.label is None else name_of(record.label)
    if label is not None:
        _from_label(known, label, record, found, main)
    elif record.scene is None:
        call(known, main)
    if record.scene is None and any(
        b.area > _NO_SCENERY for boxes in known.things.values() for b in boxes
    ):
        known.scene = None
    if not (known.things or known.stuff or known.scene or known.label):
        _from_little(known, found, main)
    known.complete = record.labels_complete and record.set_name == "coco"
    known.seen = frozenset(d.name for d in found) | {b.label for b in truth} | {main.name}
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
        sure = match is not None and match.score > sure_from(entry.area) - 0.05
        (known.things if sure else known.faint).setdefault(box.label, []).append(entry)
    for d in free:  # false alarms are learned as such, unless nothing tells them from the rest
        if d.score > sure_from(area(d.xyxy_norm)) + 0.06:
            entry = Found(d.xyxy_norm, right_share(d.score), d.slot)
            known.things.setdefault(d.name, []).append(entry)


def _from_detector(known: Knowledge, found: Sequence[Detection]) -> None:
    for d in found:
        entry = Found(d.xyxy_norm, right_share(d.score), d.slot)
        if d.score >= sure_from(entry.area):
            known.things.setdefault(d.name, []).append(entry)
        elif d.score >= LIKELY:
            known.faint.setdefault(d.name, []).append(entry)


def _from_label(
    known: Knowledge, label: str, record: Record, found: Sequence[Detection], main: Named
) -> None:
    """The label of a whole picture, where the networks see it too."""
    same = [d for d in found if d.name == label]
    told = main.name == label and main.right > _LIKELY_NAME
    seen = bool(same) and same[0].score > 0.2
    if not (told or seen):
        return
    known.label = label
    if label in known.things:
        return
    boxes = [b.xyxy for b in record.boxes if b.label == record.label]
    if boxes:
        mine = Found(boxes[0], 0.7)
    elif seen:
        best = same[0]
        mine = Found(best.xyxy_norm, max(0.5, right_share(best.score)), best.slot)
    else:
        mine = Found(main.xyxy_norm, _MAIN_RIGHT)
    if _name(known, label, mine, 0.9) and mine.xyxy_norm == main.xyxy_norm:
        known.called = label


def call(known: Knowledge, main: Named, least: float = SURE_NAME) -> None:
    """Name a picture's main thing after the classifier, where that is sure."""
    if main.name in known.things or main.right < least:
        return
    faint = known.faint.pop(main.name, [])
    best = max(faint, key=lambda f: f.right, default=None)
    box = Found(main.xyxy_norm, _MAIN_RIGHT * main.right) if best is None else best
    if _name(known, main.name, box, 0.75):
        known.called = main.name


def _name(known: Knowledge, name: str, mine: Found, trusted: float) -> bool:
    """Add a thing; what the detector calls the very same thing gives way unless it is `trusted`."""
    rivals = [(n, f) for n, boxes in known.things.items() for f in boxes
              if iou(f.xyxy_norm, mine.xyxy_norm) > 0.45]  # fmt: skip
    for other, rival in rivals:
        if name in _KINDS.get(other, ()):
            mine = Found(rival.xyxy_norm, rival.right, rival.slot)
        elif rival.right > trusted:
            return False
    for other, rival in rivals:
        left = [f for f in known.things[other] if f is not rival]
        if left:
            known.things[other] = left
        else:
            del known.things[other]
    known.things.setdefault(name, []).append(mine)
    return True


def _from_little(known: Knowledge, found: Sequence[Detection], main: Named) -> None:
    """Where nothing is sure: the likeliest thing, whose box says how doubtful it is."""
    best = max(found, key=lambda d: d.score, default=None)
    if main.right >= _LIKELY_NAME:
        call(known, main, _LIKELY_NAME)
    elif best is not None and best.score >= _NOTHING_ELSE:
        entry = Found(best.xyxy_norm, right_share(best.score), best.slot)
        known.things[best.name] = [entry]
        known.faint.pop(best.name, None)


def _from_regions(known: Knowledge, regions: tuple[Float, Float], record: Record) -> None:
    measures, boxes = regions
    labelled = {b.label for b in record.boxes if b.stuff}
    for index, name in enumerate(REGIONS):
        share = float(measures[index, 0])
        least = _LEAST_AREA.get(name, _LEAST_AREA["other"])
        if share >= least and boxes[index].any():
            x1, y1, x2, y2 = (float(e) for e in boxes[index])
            right = 0.75 if labelled else 0.6
            known.stuff[name] = Found((x1, y1, x2, y2), right)
