"""Boxes, vectors, and both: which order puts the right pictures first?

    python benchmarks/search_hybrid.py [--pictures 3000] [--questions 60]

No weights of CLIP or SigLIP were there, so the world is made, and made so that both know something:
a picture has things at places. What a detector says of them is calibrated, as pocket's boxes are:
a box of confidence c is right in a share c of the cases, and a fifth of the things it leaves out. A
picture's vector is the sum of directions of its true things, which know no places, and noise, in
parts of that sum's length. Asked is "a dog left of a car" for pairs of nouns, through an index and
`Index.search`. Printed are the mean average precision over all pictures and the share of right ones
among the first ten, at the usual cut-off and at 0.05.

Beside the product's way, reciprocal ranks, stands another: the sum of log odds and cosine, each
divided by its spread over the answers.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import machine
from kosmoscope.batch.names import json_line
from kosmoscope.export.nouns import article
from kosmoscope.search import Embedder, Index, update_index, update_vectors
from kosmoscope.types import Box, Entity, GroundedCaption, ImageInfo

NOUNS = (
    "dog", "cat", "car", "boat", "tree", "house", "person", "horse", "bicycle", "chair", "table",
    "bird", "train", "cow", "bottle", "flower", "bench", "clock", "umbrella", "kite",
)  # fmt: skip
WIDTH = 64
SIZE = 640, 480
NOISE = (0.5, 1.0, 2.0)
CUT_OFFS = (0.5, 0.05)
Float = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that is there, or that the detector takes for it."""

    noun: str
    x: float
    """Of its middle; all are a fifth wide."""
    confidence: float
    """0: the detector leaves it out."""
    true: bool


class World:
    """Pictures, what is on them, what is said of them, and their vectors."""

    def __init__(self, pictures: int, noise: float) -> None:
        rng = np.random.default_rng(0)
        self.directions = np.linalg.qr(rng.standard_normal((WIDTH, len(NOUNS))))[0].T
        self.pictures = [self._things(rng) for _ in range(pictures)]
        self.vectors = [self._vector(things, noise, rng) for things in self.pictures]

    @staticmethod
    def _things(rng: np.random.Generator) -> list[Thing]:
        found = []
        for noun in rng.choice(NOUNS, rng.integers(2, 6), replace=False).tolist():
            confidence = 0.0 if rng.random() < 0.2 else rng.uniform(0.2, 1)
            true = confidence == 0 or rng.random() < confidence
            found.append(Thing(noun, rng.uniform(0.1, 0.9), confidence, bool(true)))
        return found

    def _vector(self, things: Sequence[Thing], noise: float, rng: np.random.Generator) -> Float:
        whole = self.of([t.noun for t in things if t.true])
        length = max(float(np.linalg.norm(whole)), 1.0)
        whole = whole + noise * length * rng.standard_normal(WIDTH) / WIDTH**0.5
        return np.asarray(whole / np.linalg.norm(whole), np.float32)

    def of(self, nouns: Sequence[str]) -> NDArray[np.float64]:
        """Return the sum of nouns' directions."""
        places = [NOUNS.index(noun) for noun in nouns]
        return np.asarray(self.directions[places].sum(0))

    def text(self, text: str) -> Float:
        """Return the vector of a text: of its words that are nouns."""
        found = self.of([word for word in text.split() if word in NOUNS])
        return np.asarray(found / np.linalg.norm(found), np.float32)

    def embedder(self) -> Embedder:
        """Return what gives a picture of that number its vector."""
        return Embedder(
            "made", "made", lambda source, _: self.vectors[int(Path(str(source)).stem)], self.text
        )

    def right(self, first: str, second: str) -> set[str]:
        """Return the pictures on which one thing is truly left of another."""
        return {
            f"{i:06}.jpg"
            for i, things in enumerate(self.pictures)
            if any(
                a.noun == first and b.noun == second and a.true and b.true and a.x < b.x - 0.1
                for a in things
                for b in things
            )
        }

    def line(self, number: int) -> bytes:
        """Return a picture's record of results.jsonl."""
        caption, entities = "An image of", []
        for thing in self.pictures[number]:
            if not thing.confidence:
                continue
            words = f"{article(thing.noun)} {thing.noun}"
            start = len(caption) + 1
            caption += f" {words}"
            box = Box.of(
                (thing.x - 0.1, 0.4, thing.x + 0.1, 0.6), SIZE, confidence=thing.confidence
            )
            entities.append(Entity(words, (start, len(caption)), (box,), thing.confidence))
        path = f"{number:06}.jpg"
        description = GroundedCaption(
            ImageInfo(path, *SIZE), "made", "none", "An image of", caption, caption[12:],
            "", "", "", tuple(entities), (), "stop",
        )  # fmt: skip
        return json_line(
            {
                "id": f"{number:016x}-brief", "sha256": f"{number:064x}", "source": path,
                "task": "brief", "description": description.to_dict(),
            }
        )  # fmt: skip


def precision(found: Sequence[str], right: set[str]) -> tuple[float, float]:
    """Return the average precision of an order, and the share of right ones of the first ten."""
    hits = np.array([name in right for name in found], float)
    at = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((at * hits).sum() / len(right)), float(hits[:10].sum() / min(10, len(right)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--questions", type=int, default=60)
    args = parser.parse_args()
    print(machine.describe())
    print("| noise | cut-off | boxes | vectors | both | log odds |\n|---|---|---|---|---|---|")
    for noise in NOISE:
        world = World(args.pictures, noise)
        with tempfile.TemporaryDirectory() as folder:
            measure(world, Path(folder), noise, args.questions)


def measure(world: World, folder: Path, noise: float, asked: int) -> None:
    (folder / "results.jsonl").write_bytes(b"".join(map(world.line, range(len(world.pictures)))))
    update_index(folder)
    embedder = world.embedder()
    update_vectors(folder, embedder)
    rng, everything = np.random.default_rng(1), len(world.pictures)
    pairs = [rng.choice(NOUNS, 2, replace=False).tolist() for _ in range(asked)]
    with Index.open(folder) as index:
        for cut_off in CUT_OFFS:
            found: dict[str, list[tuple[float, float]]] = {}
            for first, second in pairs:
                right = world.right(first, second)
                question = f"{article(first)} {first} left of {article(second)} {second}"
                alone = index.search(question, limit=everything, cut_off=cut_off).hits
                both = index.search(question, limit=everything, cut_off=cut_off, embedder=embedder)
                near = {found.source: found.likeness for found in both.alike}
                odds = spread([np.log(h.probability / (1.0001 - h.probability)) for h in alone])
                score = odds + spread([near[h.source] for h in alone])
                orders = {
                    "boxes": [h.source for h in alone],
                    "vectors": list(near),
                    "both": [h.source for h in both.hits],
                    "log odds": [alone[i].source for i in np.argsort(-score, kind="stable")],
                }
                for name, order in orders.items():
                    found.setdefault(name, []).append(precision(order, right))
            cells = (f"{a:.3f}, {b:.3f}" for a, b in (np.mean(x, 0) for x in found.values()))
            print(f"| {noise:g} | {cut_off:g} | {' | '.join(cells)} |", flush=True)


def spread(values: Sequence[float]) -> NDArray[np.float64]:
    """Return values in parts of their standard deviation."""
    some = np.array(values, float)
    deviation = some.std() if len(some) else 1.0
    return np.asarray(some / (deviation or 1.0))


if __name__ == "__main__":
    main()
