"""Search against labels: questions with known answers, asked of true boxes and of pocket's.

    python benchmarks/search_truth.py --data FOLDER [--curve] [--folds 11]

The pictures are COCO's that are kept from training and whose labels are complete. Questions are
made of the labels: things, kinds, numbers, none, the four directions, inside, places, and
combinations. What is true of a picture is reckoned here by other code than the search's, from the
labels' boxes.

Two folders of results are made, indexed and asked: one in which each label's box is what the model
said, surely, which tells whether language and geometry are right; and pocket's own. Beside them a
bag of words: pictures whose caption has all nouns of the question. Precision and recall are over
all pairs of question and picture; questions whose true answer is nothing are counted apart.

Pocket's `calibration.json` was fitted on the boxes of these very pictures. With `--folds` the
confidences are fitted anew, those of each part of the pictures on all other parts alone, by the
same code (`recipes.pocket.calibrate`), and asked beside the ones that ship.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import machine
from kosmoscope.batch.names import json_line
from kosmoscope.calibration import Calibration
from kosmoscope.evaluation.data import Record, open_sets
from kosmoscope.evaluation.judging import Labels, judge
from kosmoscope.export.nouns import article, plural, singular
from kosmoscope.questions.language.tokens import words_of
from kosmoscope.results import Description
from kosmoscope.scope import load
from kosmoscope.search import CUT_OFF, Index, update_index
from kosmoscope.types import Box, Entity, GroundedCaption, ImageInfo

sys.path.insert(0, str(Path(__file__).parent.parent))

from recipes.pocket.calibrate import fit, made_of

Corners = tuple[float, float, float, float]
EACH = 30
"""Questions of a family, at most; of none as many again."""
ABSENT = "none"
"""The family whose answer is most pictures: it would hide how the others do."""
KINDS = {
    "animal": "bird cat dog horse sheep cow elephant bear zebra giraffe",
    "vehicle": "bicycle car motorcycle airplane bus train truck boat",
    "food": "banana apple sandwich orange broccoli carrot hot_dog pizza donut cake",
    "furniture": "chair couch bed dining_table bench",
}


@dataclass(frozen=True)
class Asked:
    """A question, its family, the nouns in it, and the pictures that are its answer."""

    family: str
    text: str
    nouns: tuple[str, ...]
    true: frozenset[str]


@dataclass(frozen=True)
class Shown:
    """What is true of a picture."""

    file: str
    boxes: tuple[tuple[str, Corners], ...]

    def of(self, noun: str) -> list[Corners]:
        names = KINDS.get(noun, noun.replace(" ", "_")).split()
        return [box for label, box in self.boxes if label.replace(" ", "_") in names]


Rule = Callable[[Shown], bool]


def middle(box: Corners) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


# As docs/search.md says it: the middle of the one lies beyond the other's edge.
DIRECTIONS: dict[str, Callable[[Corners, Corners], bool]] = {
    "left of": lambda a, b: middle(a)[0] < b[0],
    "right of": lambda a, b: middle(a)[0] > b[2],
    "above": lambda a, b: middle(a)[1] < b[1],
    "below": lambda a, b: middle(a)[1] > b[3],
    "inside": lambda a, b: (
        all(x >= y - 0.02 for x, y in zip(a[:2], b[:2], strict=True))
        and all(x <= y + 0.02 for x, y in zip(a[2:], b[2:], strict=True))
        and (a[2] - a[0]) * (a[3] - a[1]) < (b[2] - b[0]) * (b[3] - b[1])
    ),
}
PLACES: dict[str, Callable[[Corners], bool]] = {
    "on the left": lambda b: middle(b)[0] < 1 / 3,
    "on the right": lambda b: middle(b)[0] > 2 / 3,
    "at the top": lambda b: middle(b)[1] < 1 / 3,
    "at the bottom": lambda b: middle(b)[1] > 2 / 3,
}
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}


def a(noun: str) -> str:
    return f"{article(noun)} {noun}"


def candidates(
    labels: Sequence[str], rng: random.Random
) -> Iterator[tuple[str, str, tuple[str, ...], Rule]]:
    """Yield family, question, nouns and what is true, in a random order, without end."""
    nouns = [*labels, *KINDS]
    while True:
        x, y, z = rng.choice(nouns), rng.choice(nouns), rng.choice(labels)
        way, n = rng.choice(sorted(DIRECTIONS)), rng.choice(sorted(NUMBERS))
        place = rng.choice(sorted(PLACES))
        holds, there = DIRECTIONS[way], PLACES[place]

        def related(
            p: Shown, x: str = x, y: str = y, holds: Callable[[Corners, Corners], bool] = holds
        ) -> list[Corners]:
            return [s for s in p.of(x) if any(s is not o and holds(s, o) for o in p.of(y))]

        yield "a thing", a(x), (x,), lambda p, x=x: bool(p.of(x))
        yield "so many", f"{NUMBERS[n]} {plural(x)}", (x,), lambda p, x=x, n=n: len(p.of(x)) == n
        yield "at least", f"at least {n} {plural(x)}", (x,), lambda p, x=x, n=n: len(p.of(x)) >= n
        yield way, f"{a(x)} {way} {a(y)}", (x, y), lambda p, f=related: bool(f(p))
        yield (
            "a place",
            f"{a(x)} {place}",
            (x,),
            lambda p, x=x, there=there: any(map(there, p.of(x))),
        )
        yield "both", f"{a(x)} and {a(y)}", (x, y), lambda p, x=x, y=y: bool(p.of(x) and p.of(y))
        yield "either", f"{a(x)} or {a(y)}", (x, y), lambda p, x=x, y=y: bool(p.of(x) or p.of(y))
        yield (
            "without",
            f"{a(x)} without {a(y)}",
            (x, y),
            lambda p, x=x, y=y: bool(p.of(x) and not p.of(y)),
        )
        yield "none", f"no {plural(x)}", (x,), lambda p, x=x: not p.of(x)
        yield (
            "combined", f"two {plural(x)} {way} {a(y)} and no {plural(z)}", (x, y, z),
            lambda p, f=related, z=z: len(f(p)) == 2 and not p.of(z),
        )  # fmt: skip


def questions(pictures: Sequence[Shown]) -> list[Asked]:
    """Return questions with answers, and as many again of each family that have none."""
    labels = sorted({label for p in pictures for label, _ in p.boxes})
    found: dict[str, Asked] = {}
    counts: Counter[tuple[str, bool]] = Counter()
    for tried, (family, text, nouns, rule) in enumerate(candidates(labels, random.Random(0))):
        if tried == 60_000:
            break
        distinct = len(set(nouns)) == len(nouns) and not any(
            x in KINDS and y in KINDS[x].split() for x in nouns for y in nouns
        )
        if text in found or not distinct:
            continue
        true = frozenset(p.file for p in pictures if rule(p))
        key = family, bool(true)
        if counts[key] < (EACH if true else EACH // 2):
            counts[key] += 1
            found[text] = Asked(family, text, nouns, true)
    return sorted(found.values(), key=lambda q: (q.family, q.text))


def record(description: GroundedCaption) -> bytes:
    path = description.image.path
    return json_line(
        {
            "id": path, "sha256": path.encode().hex(), "source": path, "base": "/", "task": "brief",
            "description": description.to_dict(),
        }
    )  # fmt: skip


def true_description(picture: Record, size: tuple[int, int]) -> GroundedCaption:
    """Return what a model would say that sees everything."""
    caption, entities = "", []
    for label, xyxy in things(picture):
        words = a(label)
        start = len(caption) + (5 if caption else 0)
        caption += (" and " if caption else "") + words
        box = Box.of(xyxy, size, 1.0, confidence=1.0)
        entities.append(Entity(words, (start, start + len(words)), (box,), 1.0))
    return GroundedCaption(
        ImageInfo(picture.file, *size), "labels", "", "", caption, caption, "", "", "",
        tuple(entities), (), "stop",
    )  # fmt: skip


def things(picture: Record) -> list[tuple[str, Corners]]:
    return [(b.label, b.xyxy) for b in picture.boxes if not b.stuff]


@dataclass
class Tally:
    """Pairs of question and picture, and the questions whose answer is nothing."""

    right: int = 0
    wrong: int = 0
    missed: int = 0
    nothing: int = 0
    none: int = 0

    def add(self, asked: Asked, answer: frozenset[str]) -> None:
        if asked.true:
            self.right += len(answer & asked.true)
            self.wrong += len(answer - asked.true)
            self.missed += len(asked.true - answer)
        else:
            self.none += 1
            self.nothing += not answer

    def row(self) -> str:
        def share(part: int, whole: int) -> str:
            return f"{100 * part / whole:.1f} %" if whole else "-"

        return (
            f"{share(self.right, self.right + self.wrong)} | "
            f"{share(self.right, self.right + self.missed)} | {share(self.nothing, self.none)}"
        )


Answers = Callable[[Asked], frozenset[str]]


def told(name: str, asked: Sequence[Asked], answers: Answers, *, families: bool = False) -> None:
    """Print a row for all questions, and one for each family."""
    whole, there, each = Tally(), Tally(), {}
    for question in asked:
        answer = answers(question)
        whole.add(question, answer)
        if question.family != ABSENT:
            there.add(question, answer)
        each.setdefault(question.family, Tally()).add(question, answer)
    print(f"| {name} | {whole.row()} |")
    print(f"| {name}, without the family '{ABSENT}' | {there.row()} |")
    for family, tally in sorted(each.items()) if families else ():
        print(f"| &nbsp; {family} | {tally.row()} |")


def folder_of(out: Path, descriptions: Sequence[GroundedCaption]) -> Path:
    out.mkdir()
    (out / "results.jsonl").write_bytes(b"".join(map(record, descriptions)))
    update_index(out)
    return out


def refitted(
    records: Sequence[Record], said: Sequence[Description], labels: Labels, folds: int
) -> list[Description]:
    """Return descriptions whose boxes have the confidences that all other folds' pictures give."""
    order = list(range(len(records)))
    random.Random(0).shuffle(order)
    fold = {picture: i % folds for i, picture in enumerate(order)}
    scored: list[tuple[int, tuple[float, float], bool]] = [
        (fold[i], (box.phrase_score, box.score), box.found is not None)
        for i, (record, description) in enumerate(zip(records, said, strict=True))
        for box in judge(record, labels, description).boxes
        if box.thing and box.phrase_score is not None and box.score is not None
    ]

    def fitted(left_out: int) -> Calibration:
        others = [(scores, right) for number, scores, right in scored if number != left_out]
        right = np.array([float(one) for _, one in others])
        return made_of(fit(np.array([scores for scores, _ in others]), right))

    calibrations = [fitted(number) for number in range(folds)]

    def sure(entity: Entity, calibration: Calibration) -> Entity:
        boxes = (
            replace(box, confidence=calibration.confidence(entity.score, box.score))
            for box in entity.boxes
        )
        return replace(entity, boxes=tuple(boxes))

    return [
        replace(d, entities=tuple(sure(e, calibrations[fold[i]]) for e in d.entities))
        for i, d in enumerate(said)
    ]


def asking(index: Index, cut_off: float) -> Answers:
    def answers(asked: Asked) -> frozenset[str]:
        found = index.search(asked.text, limit=len(index), cut_off=cut_off)
        return frozenset(hit.source for hit in found.hits)

    return answers


def bag(descriptions: Sequence[GroundedCaption]) -> Answers:
    said = {d.image.path: frozenset(map(singular, words_of(d.caption))) for d in descriptions}

    def answers(asked: Asked) -> frozenset[str]:
        words = frozenset(w for noun in asked.nouns for w in noun.split())
        return frozenset(path for path, caption in said.items() if words <= caption)

    return answers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--curve", action="store_true", help="other cut-offs too")
    parser.add_argument("--folds", type=int, default=0, help="cross-validate the confidences")
    args = parser.parse_args()
    print(machine.describe())
    (coco,) = open_sets(args.data, ["coco"])
    with coco, tempfile.TemporaryDirectory() as folder:
        chosen = [r for r in coco.chosen(only_held_out=True) if r.labels_complete]
        rgb = {r.file: coco.read(r).rgb for r in chosen}
        sizes = {file: (p.shape[1], p.shape[0]) for file, p in rgb.items()}
        asked = questions([Shown(r.file, tuple(things(r))) for r in chosen])
        empty = sum(not q.true for q in asked)
        print(f"{len(chosen)} pictures, {len(asked)} questions, of {empty} the answer is nothing")
        labels = Labels.of(coco.things, coco.stuff)
        true = folder_of(
            Path(folder) / "true", [true_description(r, sizes[r.file]) for r in chosen]
        )
        scope = load("pocket")
        said = [scope.describe(scope.encode(rgb[r.file], name=r.file)) for r in chosen]
        pocket = folder_of(Path(folder) / "pocket", said)
        print("| | precision | recall | nothing where nothing is |\n|---|---|---|---|")
        with Index.open(true) as index:
            told("true boxes", asked, asking(index, CUT_OFF), families=True)
        with Index.open(pocket) as index:
            told("pocket's boxes", asked, asking(index, CUT_OFF), families=True)
            for cut_off in (0.2, 0.3, 0.4, 0.6, 0.7, 0.8) if args.curve else ():
                told(f"from {cut_off:.1f} on", asked, asking(index, cut_off))
        if args.folds:
            cross = folder_of(Path(folder) / "cross", refitted(chosen, said, labels, args.folds))
            with Index.open(cross) as index:
                name = f"pocket's boxes, confidences of the other {args.folds - 1} folds"
                told(name, asked, asking(index, CUT_OFF), families=True)
                for cut_off in (0.2, 0.3, 0.4, 0.6, 0.7, 0.8) if args.curve else ():
                    told(f"these from {cut_off:.1f} on", asked, asking(index, cut_off))
        told("bag of words over pocket's captions", asked, bag(said))


if __name__ == "__main__":
    main()
