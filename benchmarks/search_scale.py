"""Search at size: how long an index of many pictures takes, how large it is, how fast it answers.

    python benchmarks/search_scale.py [--pictures 100000] [--folder FOLDER]

The results are made here, not by a model: captions and boxes drawn at random, of 1,500 nouns whose
frequencies fall as those of a language do (Zipf), with numbers, colours and folders. Two thirds of
all things are some kind of person. Each kind of question is asked 40 times with different words,
the commonest nouns first; p95 is over all questions of a kind, on an open index, and the slowest
stands beside it: what is reckoned once and kept makes the first one of some kinds slow. "Cold" is a
new process: opening, reading the columns, one question. Beside the time that passes stands the
processor's: on a machine with other work on it, it says more.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import machine
from kosmoscope.batch.names import json_line
from kosmoscope.export.nouns import article, plural
from kosmoscope.questions.words import meaning
from kosmoscope.search import INDEX, Index, update_index
from kosmoscope.types import Box, Entity, GroundedCaption, ImageInfo

NOUNS = 1500
NEW = 1000
ASKED = 40
COLOURS = ("red", "blue", "black", "white", "green", "young", "old", "wooden")
SIZE = 640, 480


def nouns() -> list[str]:
    """Return single nouns that the table of words has, people and animals first."""
    kinds = ("person", "animal", "vehicle", "furniture", "food", "building", "clothing", "plant")
    found = dict.fromkeys(("person", "man", "woman", "dog", "car", "tree", "table", "chair"))
    for kind in kinds:
        found |= dict.fromkeys(sorted(n for n in meaning(kind) if n.isalpha()))
    names = list(found)
    names += [f"thing{i}" for i in range(NOUNS - len(names))]
    return names[:NOUNS]


class Made:
    """Records at random; the same seed and number give the same record."""

    def __init__(self) -> None:
        self.nouns = nouns()
        weights = 1 / np.arange(3, len(self.nouns) + 3) ** 0.9
        self._cumulative = list(np.cumsum(weights))

    def line(self, number: int) -> bytes:
        rng = random.Random(number)
        caption, entities = "An image of", []
        for noun in dict.fromkeys(
            rng.choices(self.nouns, cum_weights=self._cumulative, k=rng.randint(2, 5))
        ):
            many = rng.choice((1, 1, 1, 2, 3))
            extra = rng.choice(COLOURS) + " " if rng.random() < 0.3 else ""
            words = {1: f"{article(extra + noun)} {extra}{noun}"}.get(
                many, f"{('two', 'three')[many - 2]} {extra}{plural(noun)}" if many > 1 else ""
            )
            boxes = []
            for _ in range(many):
                x1, y1 = rng.uniform(0, 0.8), rng.uniform(0, 0.8)
                box = x1, y1, rng.uniform(x1 + 0.05, 1), rng.uniform(y1 + 0.05, 1)
                boxes.append(Box.of(box, SIZE, 0.8, confidence=rng.uniform(0.05, 1)))
            start = len(caption) + 1 + (4 if entities else 0)
            caption += (" and " if entities else " ") + words
            entities.append(Entity(words, (start, start + len(words)), tuple(boxes), 0.9))
        path = f"trip {number % 500}/{number:06}.jpg"
        description = GroundedCaption(
            ImageInfo(path, *SIZE), "made", "none", "An image of", caption,
            caption.removeprefix("An image of "), "", "", "", tuple(entities),
            tuple(range(60)), "stop",
        )  # fmt: skip
        sha = f"{number:064x}"
        return json_line(
            {
                "id": sha[:16], "sha256": sha, "source": path, "base": "/", "task": "brief",
                "description": description.to_dict(),
            }
        )  # fmt: skip


def questions(names: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield kinds of questions, with questions of each."""

    def each(make: Callable[[str, str], str]) -> list[str]:
        # The commonest nouns and ever rarer ones.
        picked = [int(i) for i in np.geomspace(1, 400, ASKED)]
        return [make(names[i - 1], names[(7 * i) % 60]) for i in picked]

    yield "a thing", each(lambda a, _: f"a {a}")
    yield "a kind", [f"a {k}" for k in ("person", "animal", "vehicle", "food", "plant")] * 8
    yield "a number", each(lambda a, _: f"two {plural(a)}")
    yield "at least", each(lambda a, _: f"at least 3 {plural(a)}")
    yield "none", each(lambda a, _: f"no {plural(a)}")
    yield "left of", each(lambda a, b: f"a {a} left of a {b}")
    yield "left of a kind", [f"a person left of {k}" for k in ("an animal", "a vehicle")] * 20
    yield "near anything", each(lambda a, _: f"a {a} near something")
    yield "near a kind", [f"a person near {k}" for k in ("a person", "an animal")] * 20
    yield "two relations", each(lambda a, b: f"a {a} above a {b} and near a {names[0]}")
    yield "number and relation", each(lambda a, b: f"two {plural(a)} right of a {b}")
    yield "colour, size and place", each(lambda a, _: f"a large red {a} on the left")
    yield "both", each(lambda a, b: f"a {a} and a {b}")
    yield "either, and none", each(lambda a, b: f"(a {a} or a {b}) and no {plural(names[1])}")
    yield "words", each(lambda a, b: f'"{a} {b}"')
    yield "folder and score", each(lambda a, _: f'folder:"trip 7" a {a} score>0.6')
    yield "nothing known", each(lambda a, _: f"a qwxz{a}")


def size_of(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.glob(f"{INDEX}*"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="kept; one that is removed unless given")
    args = parser.parse_args()
    print(machine.describe())
    with tempfile.TemporaryDirectory() as temporary:
        measure(args.folder or Path(temporary), args.pictures)


def measure(folder: Path, pictures: int) -> None:
    made = Made()
    folder.mkdir(exist_ok=True)
    results = folder / "results.jsonl"
    with results.open("wb") as file:
        file.writelines(map(made.line, range(pictures)))
    print(f"{pictures} pictures, results.jsonl {results.stat().st_size / 1e6:.0f} MB")
    summary = update_index(folder, rebuild=True)
    print(f"built in {summary.seconds:.1f} s; {size_of(folder) / 1e6:.1f} MB")
    with results.open("ab") as file:
        file.writelines(map(made.line, range(pictures, pictures + NEW)))
    summary = update_index(folder)
    print(f"{summary.added} new ones in {summary.seconds:.2f} s")
    print(f"nothing new in {update_index(folder).seconds:.2f} s")
    code = (
        "import sys, time; t = time.perf_counter(); from kosmoscope.search import Index; "
        "i = Index.open(sys.argv[1]); a = i.search('a dog left of a car'); "
        "print(f'{time.perf_counter() - t:.2f} s, {a.total} found')"
    )
    cold = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True)
    print("cold:", cold.stdout.strip() or cold.stderr)
    print("| question | found, median | median | p95 | slowest | p95, processor |")
    print("|---|---|---|---|---|---|")
    with Index.open(folder) as index:
        index.search("a dog")
        for kind, asked in questions(made.nouns):
            seconds, processor, found = [], [], []
            for question in asked:
                began, worked = time.perf_counter(), time.process_time()
                answer = index.search(question)
                processor.append(time.process_time() - worked)
                seconds.append(time.perf_counter() - began)
                found.append(answer.total)
            middle, late = np.percentile(seconds, (50, 95)) * 1e3
            own = np.percentile(processor, 95) * 1e3
            last = max(seconds) * 1e3
            row = f"{middle:.1f} ms | {late:.1f} ms | {last:.1f} ms | {own:.1f} ms"
            print(f"| {kind} | {np.median(found):.0f} | {row} |")


if __name__ == "__main__":
    main()
