"""The detail pass beside one look: what is found, what it costs, what each part of it is worth.

    python benchmarks/detail.py --data FOLDER [--limit N] [--only NAME,...] [--precision P] \\
        [--write detail.json]
    python benchmarks/detail.py --full-size FOLDER

The first on COCO pictures that are kept from training and whose labels are complete, with pocket at
int8. Scores are of a calibration fitted on the other pictures of ten parts, so that no picture is
scored by what was learned from it. Looks are kept between the rows of the table; the cost is taken
apart from them, picture by picture, in turn with one look. For scale: what the detector in the
tower finds by itself, and what the fusion of three stronger detectors does, whose boxes are in
FOLDER/pseudo. --write fits on all pictures and writes the calibration for the model's folder.

The second takes the cost alone, at Kosmos-2's size with random weights (`full_size.py`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

import machine
from kosmoscope.calibration import DetailCalibration
from kosmoscope.detail import Closer, Detail, Subject, look_closer
from kosmoscope.detail.merging import Thing, each_once, scored
from kosmoscope.detail.run import Model
from kosmoscope.evaluation.data import Record, open_sets
from kosmoscope.evaluation.judging import guesses_of as said_guesses
from kosmoscope.evaluation.matching import Guess
from kosmoscope.evaluation.objects import (
    Example,
    examples_of,
    fit,
    guesses_of,
    judged,
    number_of,
    unseen_share,
)
from kosmoscope.evaluation.phrases import Classes
from kosmoscope.evaluation.recall import SMALL, Recall, Seen, recall_at
from kosmoscope.evaluation.words import CLASS_NAMES
from kosmoscope.export.nouns import plural
from kosmoscope.export.things import kind_of
from kosmoscope.files.writing import write_text
from kosmoscope.images import pixel_tensor
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.prompts import describe_prompt
from kosmoscope.scope import Scope, load
from kosmoscope.store.convert import load_model
from kosmoscope.types import ImageInfo

CLASSES = Classes(CLASS_NAMES)
PRECISION = 0.75
PARTS = 10
ABSENT = ("person", "car", "chair", "dog", "bird", "boat")
DETAIL = Detail(tiles=2)
FULL = replace(DETAIL, verify=True)
ROWS = {
    "whole alone": replace(FULL, tiles=1, looks=1, reground=False, verify=False),
    "whole alone, asked again": replace(FULL, tiles=1, looks=1, verify=False),
    "tiles, described only": replace(FULL, reground=False, verify=False),
    "what the model says alone": replace(FULL, detections=False, verify=False),
    "no further instances": replace(FULL, further=False, verify=False),
    "no verification (the default)": replace(FULL, verify=False),
    "with one crop": FULL,
    "with eight crops": replace(FULL, looks=13),
    "boxes not fused": replace(FULL, fuse=False, verify=False),
    "cut and large ones from tiles": replace(FULL, whole_first=False, verify=False),
    "parts stay": replace(FULL, parts=False, verify=False),
}
Fits = Mapping[int, DetailCalibration]
"""By part: fitted on the pictures of the others."""
DEFAULT = "no verification (the default)"


class Remembering:
    """A model that looks at the same pixels once; what it answers is not kept."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.seen_px = scope.seen_px
        self.detail_calibration = scope.detail_calibration
        self.complete = scope.complete
        self.detections = scope.detections
        self._kept: dict[str, Any] = {}

    def look(self, rgb: NDArray[np.uint8], info: ImageInfo) -> Any:
        key = hashlib.sha256(rgb.tobytes() + str(rgb.shape).encode()).hexdigest()
        if key not in self._kept:
            self._kept[key] = self.scope.look(rgb, info)
        return replace(self._kept[key], info=info)


@dataclass(frozen=True)
class Picture:
    record: Record
    rgb: NDArray[np.uint8]

    @property
    def subject(self) -> Subject:
        height, width, _ = self.rgb.shape
        return Subject(self.rgb, ImageInfo(self.record.file, width, height), describe_prompt)

    @property
    def part(self) -> int:
        return hashlib.sha256(self.record.file.encode()).digest()[1] % PARTS


@dataclass(frozen=True)
class Counted:
    part: int
    true: int
    mine: list[float]
    once: int
    others: dict[str, list[float]]
    """Scores of detectors by themselves."""


def pictures_of(data: Path, limit: int | None) -> list[Picture]:
    (coco,) = open_sets(data, ["coco"])
    with coco:
        chosen = [r for r in coco.chosen(only_held_out=True) if r.labels_complete]
        return [Picture(r, coco.read(r).rgb) for r in chosen[:limit]]


def closer(model: Model, picture: Picture, detail: Detail) -> Closer:
    steps = look_closer(model, [picture.subject], detail)
    return next(step for step in steps if isinstance(step, Closer))


def named_in(found: Closer) -> frozenset[str]:
    return frozenset(kind_of(e.phrase) for e in found.description.entities if e.phrase)


def rescored(
    pictures: Sequence[Picture], found: Sequence[Closer], detail: Detail
) -> tuple[list[list[Thing]], list[Example], Fits]:
    """Return each picture's objects with scores of a fit on the others, examples and fits."""
    examples = [
        e
        for i, (p, f) in enumerate(zip(pictures, found, strict=True))
        for e in examples_of(i, f.things, named_in(f), p.record.boxes, CLASSES)
    ]
    fits = {
        part: fit([e for e in examples if pictures[e.picture].part != part])
        for part in {p.part for p in pictures}
    }
    things = [
        scored(f.things, named_in(f), fits[p.part]) for p, f in zip(pictures, found, strict=True)
    ]
    if detail.parts:
        things = [each_once(some) for some in things]
    return things, examples, fits


def seen(pictures: Sequence[Picture], things: Sequence[Sequence[Thing]]) -> list[Seen]:
    return [
        judged(guesses_of(t), p.record.boxes, CLASSES)
        for p, t in zip(pictures, things, strict=True)
    ]


def stronger(data: Path, pictures: Sequence[Picture]) -> list[list[Guess]]:
    """Return the boxes of a fusion of stronger detectors."""
    lines = (data / "pseudo" / "coco.jsonl").read_text(encoding="utf-8").splitlines()
    boxes = {entry["file"]: entry["boxes"] for entry in map(json.loads, lines)}
    return [
        [Guess(b[0], frozenset(), (b[2], b[3], b[4], b[5]), b[1]) for b in boxes[p.record.file]]
        for p in pictures
    ]


def bare_detector(scope: Scope, pictures: Sequence[Picture]) -> list[list[Guess]]:
    """Return what the frozen detector in the tower says by itself; nothing if there is none."""
    graph = onnx.load(load_model(KOSMOS2, scope.model, None, None).folder / "vision.onnx")
    name = "detection.features"
    if not any(name in node.output for node in graph.graph.node):
        return [[] for _ in pictures]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(name, 1, None))
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    found = []
    for picture in pictures:
        pixels = pixel_tensor(picture.rgb, scope.pixel_spec)[None]
        rows = session.run([name], {"pixels": pixels})[0][0]
        found.append(
            [
                Guess(
                    CLASS_NAMES[int(row[:80].argmax())],
                    frozenset(),
                    tuple(float(v) for v in row[83:87]),  # type: ignore[arg-type]
                    float(row[:80].max()),
                )
                for row in rows
                if row[:80].max() > 0 and row[83] < row[85] and row[84] < row[86]
            ]
        )
    return found


def cost(scope: Scope, pictures: Sequence[Picture], detail: Detail) -> float:
    """Return the median of a detail pass's seconds over those of one look."""
    ratios = []
    for i, picture in enumerate(pictures):
        began = time.perf_counter()
        scope.describe(picture.rgb)
        once = time.perf_counter() - began
        began = time.perf_counter()
        closer(scope, picture, detail)
        spent = time.perf_counter() - began
        if i:
            ratios.append(spent / once)
    return statistics.median(ratios)


def table(
    scope: Scope,
    pictures: Sequence[Picture],
    only: Sequence[str],
    data: Path,
    precision: float,
) -> DetailCalibration:
    model = Remembering(scope)
    areas = [t.area for p in pictures for t in p.record.boxes if not t.stuff]
    total, small = len(areas), sum(a < SMALL for a in areas)
    print(f"{len(pictures)} pictures, {total} things, {small} of them small\n")
    row = partial(line, total=total, small=small)
    print(
        "| | things found | small | precision | boxes | times one look |\n|---|---|---|---|---|---|"
    )
    one = []
    for picture in pictures:
        said = scope.describe(picture.rgb)
        some = [replace(g, score=g.confidence) for g in said_guesses(said, CLASSES, refined=True)]
        one.append(judged(some, picture.record.boxes, CLASSES))
    base = recall_at(precision, one)
    row("one look", base, base, "1")
    others = {
        "bare detector": bare_detector(scope, pictures),
        "three stronger detectors": stronger(data, pictures),
    }
    for name, guesses in others.items():
        alone = [judged(g, p.record.boxes, CLASSES) for g, p in zip(guesses, pictures, strict=True)]
        row(name, recall_at(precision, alone), base, "")
    calibration = scope.detail_calibration
    fits = {p.part: calibration for p in pictures}
    for name, detail in ROWS.items():
        if only and not any(o in name for o in only):
            continue
        found = [closer(model, p, detail) for p in pictures]
        things, examples, fitted = rescored(pictures, found, detail)
        ratio = cost(scope, pictures[:: max(len(pictures) // 8, 1)], detail)
        row(name, recall_at(precision, seen(pictures, things)), base, f"{ratio:.1f}")
        if name == DEFAULT:
            fits = fitted
            calibration = fit(examples, pictures="coco, things, pictures kept from training")
    return replace(calibration, unseen=counts(model, pictures, others, fits))


def line(name: str, found: Recall, base: Recall, ratio: str, *, total: int, small: int) -> None:
    def times(a: int, b: int, of: int) -> str:
        return f"{100 * a / of:.1f} % ({a / b:.2f}x)" if b else f"{100 * a / of:.1f} %"

    print(
        f"| {name} | {times(found.things, base.things, total)} "
        f"| {times(found.small, base.small, small)} "
        f"| {100 * found.precision:.0f} % from {found.threshold:.2f} | {found.boxes} | {ratio} |",
        flush=True,
    )


def asked_counts(picture: Picture) -> dict[str, int]:
    """Return what is counted in a picture: all that is labelled, and three things that are not."""
    labels = [b.label for b in picture.record.boxes if not b.stuff]
    there = {label: labels.count(label) for label in labels}
    return there | dict.fromkeys([a for a in ABSENT if a not in there][:3], 0)


def counts(
    model: Remembering,
    pictures: Sequence[Picture],
    others: Mapping[str, Sequence[Sequence[Guess]]],
    fits: Fits,
) -> float:
    """Print the errors of counts, and return the `unseen` that fits all pictures."""
    rows: list[Counted] = []
    for i, picture in enumerate(pictures):
        asked = asked_counts(picture)
        wanted = replace(DETAIL, reground=False, phrases=tuple(map(plural, asked)))
        found = closer(model, picture, wanted)
        said = model.scope.describe(picture.rgb)
        things = each_once(scored(found.things, named_in(found), fits[picture.part]))
        for label, true in asked.items():
            mine = [t.score for t in things if label in CLASSES.of(t.kind)]
            once = sum(len(e.boxes) for e in said.entities if label in CLASSES.of(e.phrase))
            alone = {
                name: [g.score or 0.0 for g in guesses[i] if label in CLASSES.of(g.phrase)]
                for name, guesses in others.items()
            }
            rows.append(Counted(picture.part, true, mine, once, alone))
    share = {
        part: unseen_share([(r.mine, r.true) for r in rows if r.part != part])
        for part in {r.part for r in rows}
    }
    levels = [round(0.05 * i, 2) for i in range(1, 18)]
    several = [r for r in rows if 2 <= r.true <= 9]

    def level(name: str) -> float:
        return min(
            levels,
            key=lambda at: sum(abs(sum(s >= at for s in r.others[name]) - r.true) for r in several),
        )

    ways: dict[str, Callable[[Counted], int]] = {
        "count": lambda r: number_of(r.mine, share[r.part]),
        "count, of what is seen alone": lambda r: number_of(r.mine, 0.0),
        "boxes of one look": lambda r: r.once,
        **{
            f"{name} from {at}, which is best for it here": partial(
                lambda r, name, at: sum(s >= at for s in r.others[name]), name=name, at=at
            )
            for name, at in ((name, level(name)) for name in others)
        },
        "always three": lambda _: 3,
    }
    kinds = {"2 to 9": several, "one": [r for r in rows if r.true == 1],
             "none": [r for r in rows if not r.true]}  # fmt: skip
    print("\nmean absolute error of counts")
    print(f"| | {' | '.join(f'{k} there ({len(some)})' for k, some in kinds.items())} |")
    print("|---|---|---|---|")
    for name, way in ways.items():
        errors = (statistics.mean(abs(way(r) - r.true) for r in some) for some in kinds.values())
        print(f"| {name} | {' | '.join(f'{e:.2f}' for e in errors)} |", flush=True)
    return unseen_share([(r.mine, r.true) for r in rows])


def full_size(folder: Path) -> None:
    """Print what a detail pass costs at Kosmos-2's size."""
    import full_size as made

    scope = load(made.ensure(folder), "int8")
    rgb = np.asarray(made.photo())
    height, width, _ = rgb.shape
    picture = Picture(Record("", "photo"), rgb)
    for detail in (Detail(tiles=2, reground=False), Detail(tiles=2)):
        ratio = cost(scope, [picture] * 2, detail)
        print(f"{width}x{height}, reground {detail.reground}: {ratio:.2f} times one look",
              flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--limit", type=int, help="pictures")
    parser.add_argument("--only", default="", help="rows whose names hold one of these words")
    parser.add_argument("--precision", type=float, default=PRECISION)
    parser.add_argument("--write", type=Path, help="the calibration, fitted on all pictures")
    parser.add_argument("--full-size", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    if args.data is None and args.full_size is None:
        parser.error("give --data FOLDER or --full-size FOLDER")
    print(machine.describe())
    if args.full_size is not None:
        full_size(args.full_size)
    if args.data is not None:
        pictures = pictures_of(args.data, args.limit)
        only = [word for word in args.only.split(",") if word]
        calibration = table(load("pocket"), pictures, only, args.data, args.precision)
        if args.write is not None:
            write_text(args.write, json.dumps(asdict(calibration), indent=2) + "\n")
            print(f"{args.write}: {calibration}")


if __name__ == "__main__":
    main()
