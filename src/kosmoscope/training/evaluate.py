"""Measure an exported model on the pictures held out, through the product's own engine.

python -m kosmoscope.training.evaluate --data FOLDER --model FOLDER --out figures.json
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kosmoscope.scope import Scope, load
from kosmoscope.training.knowledge import iou
from kosmoscope.training.records import BoxNorm, Record, read_set
from kosmoscope.training.words import CLASS_NAMES, SYNONYMS, plain, plural
from kosmoscope.types import Description

_SCENE_WORDS = {
    "mountain": ("mountain", "hill", "peak"), "forest": ("forest", "wood", "trees"),
    "sea": ("sea", "ocean", "beach", "coast"), "glacier": ("glacier", "ice", "snow"),
    "street": ("street", "road"), "buildings": ("building", "house"),
}  # fmt: skip
_LARGE = 0.15


def names_of(phrase: str) -> set[str]:
    """The classes that a phrase may mean: "two people" means person."""
    text = f" {phrase.lower()} "
    found = set()
    for name in (*CLASS_NAMES, "guitar", "house", "building"):
        for word in (name, plural(name), *SYNONYMS.get(name, ())):
            if re.search(rf"\b{re.escape(word)}\b", text):
                found.add(name)
    # The longest name wins: a hot dog is no dog.
    return {n for n in found if not any(n != m and re.search(rf"\b{n}\b", m) for m in found)}


def boxes_of(description: Description) -> Iterator[tuple[str, BoxNorm, float]]:
    """Phrase, box and score of every box."""
    for entity in description.entities:
        for box in entity.boxes:
            yield entity.phrase, box.xyxy, box.score or 0.0


class Figures:
    """Collects hits and misses by name."""

    def __init__(self) -> None:
        self.counts: dict[str, list[float]] = {}
        self.scored: list[tuple[float, bool]] = []
        self.said: list[str] = []

    def add(self, name: str, right: float) -> None:
        self.counts.setdefault(name, []).append(float(right))

    def to_dict(self) -> dict[str, Any]:
        """Shares, with how many they are of."""
        found: dict[str, Any] = {
            name: {"share": round(float(np.mean(v)), 4), "of": len(v)}
            for name, v in sorted(self.counts.items())
        }
        if self.scored:
            scores = np.array([s for s, _ in self.scored])
            right = np.array([r for _, r in self.scored], float)
            bins = np.clip((scores * 10).astype(int), 0, 9)
            error = sum(
                abs(scores[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean()
                for b in set(bins.tolist())
            )
            found["calibration"] = {
                "expected_error": round(float(error), 4),
                "right_above_0.8": _share(right[scores > 0.8]),
                "right_below_0.5": _share(right[scores < 0.5]),
                "above_0.8": int((scores > 0.8).sum()), "below_0.5": int((scores < 0.5).sum()),
            }  # fmt: skip
        return found


def _share(values: Any) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def _coco(scope: Scope, record: Record, picture: Image.Image, figures: Figures) -> None:
    truth = [b for b in record.boxes if not b.stuff]
    if not record.labels_complete or not truth:
        return
    seen = scope.encode(picture)
    description = scope.describe(seen)
    figures.said.append(description.caption)
    free = list(truth)
    found: list[tuple[set[str], BoxNorm]] = []
    for phrase, xyxy, score in boxes_of(description):
        names = names_of(phrase)
        found.append((names, xyxy))
        match = max((b for b in free if b.label in names), default=None,
                    key=lambda b: iou(b.xyxy_norm, xyxy))  # fmt: skip
        right = match is not None and iou(match.xyxy_norm, xyxy) >= 0.5
        if right and match is not None:
            free.remove(match)
        figures.add("boxes right", right)
        if names & set(CLASS_NAMES):
            figures.add("boxes of things right", right)
            figures.scored.append((score, right))
    figures.add("boxes recalled", (len(truth) - len(free)) / len(truth))

    def area(box: BoxNorm) -> float:
        return (box[2] - box[0]) * (box[3] - box[1])

    largest = max(truth, key=lambda b: area(b.xyxy_norm))
    if area(largest.xyxy_norm) < _LARGE:
        return
    hit = any(largest.label in n and iou(b, largest.xyxy_norm) >= 0.5 for n, b in found)
    figures.add("largest object named with its box", hit)
    grounded = [b for _, b, _ in boxes_of(scope.ground(seen, f"a {largest.label}"))]
    figures.add("largest object grounded", bool(grounded) and
                iou(grounded[0], largest.xyxy_norm) >= 0.5)  # fmt: skip


def _named(caption: str, words: Sequence[str]) -> bool:
    return any(re.search(rf"\b{re.escape(w)}", caption.lower()) for w in words)


def measure(data: Path, model: str | Path, threads: int | None, limit: int) -> dict[str, Any]:
    """All figures. `limit` pictures a set at most."""
    scope = load(model, "int8", threads=threads)
    figures = Figures()
    spent: list[float] = []
    for name in ("coco", "intel", "pacs"):
        taken = 0
        for record, image, _ in read_set(data, name):
            if not record.held_out or taken >= limit:
                continue
            taken += 1
            picture = image.convert("RGB")
            if name == "coco":
                _coco(scope, record, picture, figures)
                continue
            begun = time.perf_counter()
            caption = scope.describe(picture).caption
            spent.append(time.perf_counter() - begun)
            figures.said.append(caption)
            words = _SCENE_WORDS[record.scene] if record.scene else ()
            if record.label:
                label = plain(record.label)
                words = (label, plural(label), *SYNONYMS.get(label, ()))
                words = (*words, "building") if label == "house" else words
            kind = "scenes" if record.scene else "single objects"
            figures.add(kind, _named(caption, words))
            figures.add(f"{kind}: {record.scene or record.label}", _named(caption, words))
    found = figures.to_dict()
    found["seconds a picture"] = {"median": round(float(np.median(spent)), 3), "of": len(spent)}
    found["captions"] = figures.said[:: max(1, len(figures.said) // 40)]
    return found


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m kosmoscope.training.evaluate")
    parser.add_argument("--data", type=Path, required=True, help="folder of the packed sets")
    parser.add_argument("--model", required=True, help="a folder or a name that `load` takes")
    parser.add_argument("--out", type=Path, help="where the figures go, JSON")
    parser.add_argument("--limit", type=int, default=10_000, help="pictures a set")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args(arguments)
    found = measure(options.data, options.model, options.threads, options.limit)
    text = json.dumps(found, indent=2)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
