"""A list of labels, each asked for: how many boxes are right, and how many of what is not there.

    python benchmarks/labels.py --data FOLDER [--set coco] [--labels 10] [--limit N]

That is what Label Studio, CVAT and FiftyOne get. On pictures that are kept from training and whose
labels are complete, the most frequent classes of the set are the list: every picture is asked for
all of them. A box is right from an overlap of 0.5 with a labelled box of its class; none is taken
twice. By the least score of a box; "named" is `kosmoscope.labels`' own rule.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import kosmoscope
import machine
from kosmoscope.evaluation.data import Record, open_sets
from kosmoscope.geometry import iou
from kosmoscope.labels import Label
from kosmoscope.plugins.finding import Finder, Found

THRESHOLDS = (0.0, 0.1, 0.25, 0.4, 0.5, 0.6)
NAMED = "named"
RIGHT_IOU = 0.5


def counted(found: list[Found], record: Record, names: set[str]) -> tuple[int, int, int, int]:
    """Return boxes given, those of what is not in the picture, right ones, and labelled boxes."""
    free = [b for b in record.boxes if b.label in names]
    wanted, there, right = len(free), {b.label for b in free}, 0
    absent = sum(one.label not in there for one in found)
    for one in sorted(found, key=lambda f: -(f.box.shown_score or 0)):
        same = [b for b in free if b.label == one.label]
        best = max(same, key=lambda b: iou(b.xyxy, one.box.xyxy), default=None)
        if best is not None and iou(best.xyxy, one.box.xyxy) >= RIGHT_IOU:
            free.remove(best)
            right += 1
    return len(found), absent, right, wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", default="coco")
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--labels", type=int, default=10)
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    print(machine.describe())
    scope = kosmoscope.load(given.model)
    (photos,) = open_sets(given.data, [given.set])
    with photos:
        complete = [r for r in photos.chosen() if r.labels_complete]
        often = Counter(n for r in complete for n in {b.label for b in r.boxes if not b.stuff})
        names = [name for name, _ in often.most_common(given.labels)]
        finder = Finder(scope, [Label.of(name) for name in names])
        kept = [r for r in complete if r.held_out][: given.limit]
        totals = {name: [0, 0, 0, 0] for name in (*map(str, THRESHOLDS), NAMED)}
        for record in kept:
            rgb = photos.read(record).rgb
            _, every = finder.find(rgb, 0.0)
            ways = {NAMED: finder.find(rgb)[1]}
            for least in THRESHOLDS:
                ways[str(least)] = [f for f in every if (f.box.shown_score or 0) >= least]
            for name, found in ways.items():
                for i, n in enumerate(counted(found, record, set(names))):
                    totals[name][i] += n
    asked = ", ".join(names)
    print(f"{scope.model} {scope.precision}, {len(kept)} pictures of {given.set}: {asked}")
    print("| kept | boxes a picture | of what is not there | right | labelled boxes found |")
    print("|---|---|---|---|---|")
    for name, (boxes, absent, right, wanted) in totals.items():
        print(
            f"| {name} | {boxes / len(kept):.1f} | {absent / max(boxes, 1):.0%} "
            f"| {right / max(boxes, 1):.0%} | {right / max(wanted, 1):.0%} ({right} of {wanted}) |"
        )


if __name__ == "__main__":
    main()
