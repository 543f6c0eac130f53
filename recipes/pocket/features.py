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
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from kosmoscope.evaluation.words import CLASS_NAMES
from kosmoscope.files.writing import write_text
from kosmoscope.geometry import XYXY
from kosmoscope.images import PixelSpec, pixel_tensor
from kosmoscope.model.config import DetectorVisionConfig
from recipes.pocket.naming import LABELS, NAMES
from recipes.pocket.records import Record, crop, read_set
from recipes.pocket.teachers import Float, read_teachers
from recipes.pocket.vision import Frozen

TOWER = DetectorVisionConfig(
    width=192,
    ffn_width=576,
    layers=1,
    heads=6,
    image_size=544,
    looks=(544, 416, 320),
    scene_size=288,
    detections=32,
    regions=16,
    labels=len(LABELS),
    names=len(NAMES),
    classes=CLASS_NAMES,
    causal=True,
    score_threshold=0.08,
    overlap_threshold=0.6,
    class_overlap_threshold=0.45,
    activation="quick_gelu",
    eps=1e-5,
)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PIXELS = PixelSpec(
    size_wh=(TOWER.image_size,) * 2,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    divisor=TOWER.divisor,
)
TOGETHER = 32
"""Pictures of one size that the networks see at the same time."""

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


def views_of(
    data: Path, name: str, sizes: tuple[int, int, int]
) -> Iterator[tuple[Record, Image.Image, NDArray[np.uint8] | None]]:
    """The views of a set: each `every`-th picture whole, in `crops` windows, made `small`."""
    every, crops, small = sizes
    rng = np.random.default_rng(0)
    for record, picture, mask in read_set(data, name, every):
        yield record, picture, mask
        for i, window in enumerate(windows(rng, crops)):
            yield crop(record, picture, mask, window, f"crop{i}")
        for i in range(small):
            image = picture.copy()
            image.thumbnail((int(rng.integers(90, 160)),) * 2)
            yield replace(record, view=f"small{i}"), image, mask


def looked_at(
    pictures: Iterator[Image.Image], look: Callable[[list[int], Tensor], list[Any]]
) -> list[Any]:
    """What `look` says of each picture, in order.

    Args:
        pictures: made ready by several threads.
        look: takes the numbers of pictures of one size and their pixels (n, 3, H, W); gives a
            result for each.
    """
    found: dict[int, Any] = {}
    waiting: dict[tuple[int, ...], list[tuple[int, NDArray[np.float32]]]] = defaultdict(list)

    def flush(size: tuple[int, ...]) -> None:
        numbers = [n for n, _ in waiting[size]]
        pixels = torch.from_numpy(np.stack([p for _, p in waiting.pop(size)]))
        found.update(zip(numbers, look(numbers, pixels), strict=True))

    def ready(picture: Image.Image) -> NDArray[np.float32]:
        return pixel_tensor(np.asarray(picture.convert("RGB")), PIXELS)

    number = 0
    with ThreadPoolExecutor() as pool:
        while some := list(islice(pictures, 512)):
            for pixels in pool.map(ready, some):
                waiting[pixels.shape].append((number, pixels))
                number += 1
                if len(waiting[pixels.shape]) == TOGETHER:
                    flush(pixels.shape)
        for size in list(waiting):
            flush(size)
    return [found[n] for n in range(number)]


def extract(data: Path, name: str, sizes: tuple[int, int, int], out: Path, frozen: Frozen) -> None:
    """Write one set's views to `out/NAME.npz` and `out/NAME.jsonl` (last, when all is there)."""
    records: list[Record] = []
    masks: list[NDArray[np.uint8]] = []
    begun = time.perf_counter()

    def pictures() -> Iterator[Image.Image]:
        for record, picture, mask in views_of(data, name, sizes):
            records.append(record)
            masks.append(mask_grid(mask))
            yield picture

    def look(_: list[int], pixels: Tensor) -> list[Any]:
        seen = frozen.see(pixels)
        half = [t.half().cpu().numpy() for t in (seen.fine, seen.coarse, seen.whole)]
        return list(zip(seen.detections.cpu().numpy(), *half, strict=True))

    rows = looked_at(pictures(), look)
    pace = (time.perf_counter() - begun) / len(rows)
    print(f"{name}: {len(rows)} views, {pace:.3f} s each", flush=True)
    arrays = {k: np.stack([r[i] for r in rows]) for i, k in enumerate(_KINDS[:-1])}
    np.savez(out / f"{name}.npz", **arrays, masks=np.stack(masks))  # type: ignore[arg-type]
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
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    frozen = Frozen(TOWER, read_teachers(options.teachers), options.device)
    for entry in options.set:
        name, sizes = set_sizes(entry)
        if not (options.out / f"{name}.jsonl").exists():
            extract(options.data, name, sizes, options.out, frozen)


def set_sizes(entry: str) -> tuple[str, tuple[int, int, int]]:
    """Read NAME:EVERY:CROPS:SMALL."""
    name, *numbers = entry.split(":")
    every, crops, small = (int(n) for n in numbers)
    return name, (every, crops, small)


if __name__ == "__main__":
    main()
