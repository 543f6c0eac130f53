"""Run the frozen networks over the photo sets once and keep what they say.

    python -m recipes.pocket.features --data FOLDER --teachers FOLDER --out FOLDER \\
        --set coco:1:2:1 --set intel:2:0:0

A set is NAME:EVERY:CROPS:SMALL: each EVERY-th picture, whole, in CROPS random windows and SMALL
times made small first. (Scenes come as pictures of 100 pixels; were all other pictures sharp, a
blurred one would be taken for a scene.) Sets that are complete in `--out` are skipped, so that a
run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.engine.sessions import open_session
from kosmoscope.files.writing import write_text
from kosmoscope.geometry import XYXY
from kosmoscope.images import PixelSpec, pixel_tensor
from kosmoscope.model.config import DetectorVisionConfig
from kosmoscope.model.detector_tower import (
    CLASSES,
    COARSE,
    DETECTION_FEATURES,
    FINE,
    Tower,
)
from kosmoscope.model.graph import GraphWriter
from recipes.pocket.records import Record, crop, read_set
from recipes.pocket.teachers import Float, read_teachers

TOWER = DetectorVisionConfig(
    width=192,
    ffn_width=576,
    layers=1,
    heads=6,
    image_size=416,
    scene_size=288,
    detections=32,
    regions=16,
    score_threshold=0.1,
    overlap_threshold=0.5,
    activation="quick_gelu",
    eps=1e-5,
)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PIXELS = PixelSpec(size_wh=(TOWER.image_size,) * 2, mean=IMAGENET_MEAN, std=IMAGENET_STD)

NO_MASK = 255
_KINDS = ("detections", "fine", "coarse", "whole", "masks")


@dataclass
class Views:
    """Pictures as the networks see them; the arrays' first axis is the picture."""

    records: list[Record]
    detections: Float
    """(V, K, 85): class scores, lead and box; zeros where nothing is."""
    fine: NDArray[np.float16]
    coarse: NDArray[np.float16]
    whole: NDArray[np.float16]
    masks: NDArray[np.uint8]
    """(V, 2G, 2G): class index of the set's masks, `NO_MASK` throughout where there is none."""


class Teachers:
    """The frozen networks, opened."""

    def __init__(self, weights: dict[str, Float], folder: Path, threads: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.weights = weights
        side = TOWER.grid
        with GraphWriter(folder / "networks.onnx") as g:
            names = Tower(g, TOWER, self, "").networks()
            g.output(names["detection"], [1, TOWER.detections, DETECTION_FEATURES])
            g.output(names["fine"], [1, FINE, 2 * side, 2 * side])
            g.output(names["coarse"], [1, COARSE, side, side])
            g.output(names["whole"], [1, 1, 1280])
        self.names = [names[k] for k in ("detection", "fine", "coarse", "whole")]
        self.session = open_session(folder / "networks.onnx", threads, optimize=True)

    def tensor(self, name: str) -> Float:
        """A weight by name."""
        return self.weights[name]

    def see(self, picture: Image.Image) -> list[Any]:
        """Detections (K, 85), fine, coarse, whole."""
        pixels = pixel_tensor(np.asarray(picture.convert("RGB")), PIXELS)
        found, fine, coarse, whole = self.session.run(self.names, {"pixels": pixels[None]})
        rows = np.concatenate([found[0, :, :CLASSES], found[0, :, CLASSES + 2 : CLASSES + 7]], 1)
        half = np.float16
        return [rows, fine[0].astype(half), coarse[0].astype(half), whole[0, 0].astype(half)]


def windows(rng: np.random.Generator, count: int) -> Iterator[XYXY]:
    """Random windows of half to nearly all of a picture's sides."""
    for _ in range(count):
        w, h = rng.uniform(0.5, 0.95, 2)
        x, y = rng.uniform(0, 1 - w), rng.uniform(0, 1 - h)
        yield float(x), float(y), float(x + w), float(y + h)


def mask_grid(mask: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """The class at the centre of each fine cell."""
    side = 2 * TOWER.grid
    if mask is None:
        return np.full((side, side), NO_MASK, np.uint8)
    return np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST))


def extract(
    data: Path,
    name: str,
    sizes: tuple[int, int, int],
    out: Path,
    teachers: Teachers,
    pause: Path | None,
) -> None:
    """Write one set's views to `out/NAME.npz` and `out/NAME.jsonl` (last, when all is there)."""
    every, crops, small = sizes
    rng = np.random.default_rng(0)
    rows: list[list[Any]] = []
    records: list[Record] = []
    begun = time.perf_counter()
    for record, picture, mask in read_set(data, name, every):
        views = [(record, picture, mask)]
        for i, window in enumerate(windows(rng, crops)):
            views.append(crop(record, picture, mask, window, f"crop{i}"))
        for i in range(small):
            image = picture.copy()
            image.thumbnail((int(rng.integers(90, 160)),) * 2)
            views.append((replace(record, view=f"small{i}"), image, mask))
        for seen, image, cut in views:
            while pause is not None and pause.exists():
                time.sleep(1)
            rows.append([*teachers.see(image), mask_grid(cut)])
            records.append(seen)
        if len(records) % 100 < len(views):
            pace = (time.perf_counter() - begun) / len(records)
            print(f"{name}: {len(records)} views, {pace:.3f} s each", flush=True)
    arrays = {k: np.stack([r[i] for r in rows]) for i, k in enumerate(_KINDS)}
    np.savez(out / f"{name}.npz", **arrays)  # type: ignore[arg-type]
    text = "".join(r.to_json() + "\n" for r in records)
    write_text(out / f"{name}.jsonl", text)


def load_views(folder: Path, names: list[str] | None = None) -> Views:
    """Read what `extract` wrote, all sets one after the other."""
    files = sorted(folder.glob("*.jsonl"))
    if names is not None:
        files = [f for f in files if f.stem in names]
    records: list[Record] = []
    parts: dict[str, list[Any]] = {k: [] for k in _KINDS}
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        records += [Record.from_json(line) for line in lines]
        with np.load(file.with_suffix(".npz")) as stored:
            for k in _KINDS:
                parts[k].append(stored[k])
    return Views(records, *(np.concatenate(parts[k]) for k in _KINDS))


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.pocket.features")
    parser.add_argument("--data", type=Path, required=True, help="folder of the packed sets")
    parser.add_argument("--teachers", type=Path, required=True, help="folder of the two networks")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", required=True, metavar="NAME:EVERY:CROPS:SMALL")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pause", type=Path, help="wait while this file exists")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    teachers = Teachers(read_teachers(options.teachers), options.out / "graph", options.threads)
    for entry in options.set:
        name, *numbers = entry.split(":")
        every, crops, small = (int(n) for n in numbers)
        if not (options.out / f"{name}.jsonl").exists():
            sizes = (every, crops, small)
            extract(options.data, name, sizes, options.out, teachers, options.pause)


if __name__ == "__main__":
    main()
