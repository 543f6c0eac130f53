"""From what was seen of each picture to the figures of the whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from kosmoscope.evaluation.captions import bleu, cider_d
from kosmoscope.evaluation.judging import RANKS, GroundFact, PictureFacts
from kosmoscope.evaluation.recall import SMALL, Seen, recall_at
from kosmoscope.evaluation.statistics import Share, calibration

PRECISION = 0.8
"""Of boxes of things, at which it is said how much is found."""
METRICS = ("boxes", "grounding", "scenes", "captions", "calibration")


def figures(pictures: Sequence[PictureFacts], metrics: Iterable[str] = METRICS) -> dict[str, Any]:
    """Return the figures by metric; one for which no picture has labels is None."""
    make = {
        "boxes": _boxes,
        "grounding": _grounding,
        "scenes": _naming,
        "captions": _captions,
        "calibration": _calibration,
    }
    return {metric: make[metric](pictures) for metric in metrics}


def _share(cases: Iterable[bool]) -> dict[str, Any]:
    return Share.among(cases).to_dict()


def _by_name(cases: Iterable[tuple[str, bool]]) -> dict[str, Any]:
    found: dict[str, list[bool]] = defaultdict(list)
    for name, right in cases:
        found[name].append(right)
    return {name: _share(found[name]) for name in sorted(found)}


def _boxes(pictures: Sequence[PictureFacts]) -> dict[str, Any] | None:
    judged = [p for p in pictures if p.judged]
    if not judged:
        return None
    boxes = [b for p in judged for b in p.boxes]
    truths = [t for p in judged for t in p.truths]
    things = [b for b in boxes if b.thing]
    # A box of a class is right for that class; one that found nothing counts for each meaning.
    right = [
        (p.truths[b.found].label, True) for p in judged for b in p.boxes if b.found is not None
    ]
    wrong = [(name, False) for b in boxes if b.found is None for name in b.classes]
    large = [p.largest for p in judged if p.largest is not None]
    return {
        "pictures": len(judged),
        "boxes_a_picture": round(len(boxes) / len(judged), 3),
        "precision_all": _share(b.found is not None for b in boxes),
        "precision_things": _share(b.found is not None for b in things),
        "boxes_of_no_class": sum(not b.classes for b in boxes),
        "recall_things": _share(t.found for t in truths if not t.stuff),
        "recall_stuff": _share(t.found for t in truths if t.stuff),
        "largest_named": _share(named for _, named, _ in large),
        "largest_named_with_box": _share(boxed for _, _, boxed in large),
        "at_precision": _at_precision([Seen.of(p) for p in judged]),
        "precision_by_class": _by_name([*right, *wrong]),
        "recall_by_class": _by_name((t.label, t.found) for t in truths),
    }


def _at_precision(pictures: Sequence[Seen]) -> dict[str, Any]:
    found = recall_at(PRECISION, pictures)
    areas = [a for p in pictures for a in p.areas]
    return {
        "wanted": PRECISION,
        "score": round(found.threshold, 4),
        "boxes": Share(found.things, found.boxes).to_dict(),
        "things": Share(found.things, len(areas)).to_dict(),
        "small": Share(found.small, sum(a < SMALL for a in areas)).to_dict(),
        "largest": Share(found.largest, sum(p.largest is not None for p in pictures)).to_dict(),
    }


def _grounding(pictures: Sequence[PictureFacts]) -> dict[str, Any] | None:
    answers = [g for p in pictures for g in p.grounded]
    if not answers:
        return None
    found: dict[str, Any] = {
        "acc@0.5_largest_object": _share(g.largest for g in answers if g.largest is not None)
    }
    by_set: dict[str, list[GroundFact]] = defaultdict(list)
    for p in pictures:
        for g in p.grounded:
            by_set[f"{p.set_name}: {g.kind}"].append(g)
    found["by_set"] = {
        name: {
            "answered": _share(g.candidates > 0 for g in some),
            "boxes_an_answer": round(sum(g.candidates for g in some) / len(some), 3),
            "acc@0.5_first_box": _share(g.first for g in some),
            **{f"R@{k}": _share(g.right_at[i] for g in some) for i, k in enumerate(RANKS)},
        }
        for name, some in sorted(by_set.items())
    }
    return found


def _naming(pictures: Sequence[PictureFacts]) -> dict[str, Any] | None:
    scenes = [p.scene for p in pictures if p.scene is not None]
    labels = [(p.set_name, p.label) for p in pictures if p.label is not None]
    if not scenes and not labels:
        return None
    return {
        "scenes_named": _share(right for _, right in scenes),
        "scenes_by_name": _by_name(scenes),
        "objects_named": _by_name((name, right) for name, (_, right) in labels),
        "objects_by_name": {
            name: _by_name(label for other, label in labels if other == name)
            for name in sorted({name for name, _ in labels})
        },
    }


def _captions(pictures: Sequence[PictureFacts]) -> dict[str, Any] | None:
    found = {}
    for name in dict.fromkeys(p.set_name for p in pictures):
        some = [p for p in pictures if p.set_name == name and p.references]
        if not some:
            continue
        said, people = [p.said for p in some], [p.references for p in some]
        each = cider_d(said, people)
        found[name] = {
            "pictures": len(some),
            "references": sum(map(len, people)),
            **{f"BLEU-{n}": round(s, 4) for n, s in enumerate(bleu(said, people), 1)},
            "CIDEr-D": round(sum(each) / len(each), 4),
        }
    return found or None


def _calibration(pictures: Sequence[PictureFacts]) -> dict[str, Any] | None:
    scored = [
        (shown, b.found is not None)
        for p in pictures
        for b in p.boxes
        if b.thing and (shown := b.score if b.confidence is None else b.confidence) is not None
    ]
    return calibration(scored) if scored else None
