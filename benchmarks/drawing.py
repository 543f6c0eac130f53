"""Drawing beside the routine that the Kosmos-2 article shows, on the same picture and boxes.

    python benchmarks/drawing.py [--rounds 7] [--width 4000] [--height 3000] [--save FOLDER]

Needs OpenCV, which the project itself does not: pip install opencv-python-headless

The article's routine is written anew here from what it does: a random colour per box, a label
above it that moves down, step by step, while it meets an earlier one, a half-transparent ground
blended pixel by pixel in Python, Hershey text of one fixed size. Both start from the same RGB array
and end with a new one. The article's routine is handed a Pillow image, and ours never is; the last
ratio is what is left if both have to turn one into an array first. Rounds alternate; shown are
medians. Our text and lines grow with the picture (at 12 megapixels the letters are over twice the
article's height), so ours draws more pixels.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

import machine
from kosmoscope.draw import DrawStyle, annotate, save_image
from kosmoscope.draw.plan import make_plan
from kosmoscope.geometry import intersection
from kosmoscope.results import Description
from kosmoscope.types import Box, Entity, ImageInfo

try:
    import cv2
except ImportError:
    sys.exit("this benchmark needs OpenCV: pip install opencv-python-headless")

Rect = tuple[int, int, int, int]
PHRASES = (
    "a snowman", "a campfire", "a log cabin", "the night sky", "two children in red jackets",
    "a frozen lake", "a dog", "pine trees covered with snow", "a wooden bridge", "the moon",
    "a sledge", "smoke rising from a chimney",
)  # fmt: skip


def description(size_wh: tuple[int, int], count: int, seed: int) -> Description:
    """Return `count` entities with one random box each, with corners on the model's grid."""
    rng = np.random.default_rng(seed)
    caption, entities = "An image of", []
    for i in range(count):
        phrase = PHRASES[i % len(PHRASES)]
        x, y = rng.integers(0, 24, 2)
        w, h = rng.integers(4, 9, 2)
        xyxy = ((x + 0.5) / 32, (y + 0.5) / 32, (x + w - 0.5) / 32, (y + h - 0.5) / 32)
        start = len(caption) + 1
        caption += f" {phrase},"
        box = Box.of(tuple(float(v) for v in xyxy), size_wh)
        entities.append(Entity(phrase, (start, start + len(phrase)), (box,)))
    return Description(
        ImageInfo("<benchmark>", *size_wh), "", "", "", caption, "", "", "", "", tuple(entities),
        (), "stop",
    )  # fmt: skip


def meets(a: Rect, b: Rect) -> bool:
    """The article's test: closed rectangles."""
    return not (a[2] < b[0] or a[0] > b[2] or a[3] < b[1] or a[1] > b[3])


def articles(rgb: np.ndarray, entities: tuple[Entity, ...]) -> tuple[np.ndarray, list[Rect]]:
    """Draw as the article does; also return where its labels went."""
    height, width, _ = rgb.shape
    canvas = rgb[:, :, [2, 1, 0]].copy()
    font, line, spaces = cv2.FONT_HERSHEY_COMPLEX, 3, 3
    (letter, text_h), _ = cv2.getTextSize("F", font, 1, 1)
    offset = text_h - int(text_h * 0.675)
    labels: list[Rect] = []
    for entity in entities:
        for box in entity.boxes:
            ends = (width, height, width, height)
            x1, y1, x2, y2 = (int(v * n) for v, n in zip(box.xyxy, ends, strict=True))
            colour = tuple(np.random.randint(0, 255, size=3).tolist())  # noqa: NPY002
            canvas = cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, line)
            outside, inside = line // 2 + line % 2, line // 2 + line % 2 + 1
            left, bottom = x1 - outside, y1 - outside
            if bottom < text_h + offset + 2 * spaces:
                bottom = y1 + inside + text_h + offset + 2 * spaces
                left = x1 + inside
            (text_w, text_h), _ = cv2.getTextSize(f"  {entity.phrase}", font, 1, 1)
            step = text_h + offset + 2 * spaces
            label = (left, bottom - step, left + text_w, bottom)
            for earlier in labels:
                while meets(label, earlier):
                    label = (label[0], label[1] + step, label[2], label[3] + step)
                    bottom += step
                    if label[3] >= height:
                        label = (label[0], max(0, height - step), label[2], height)
                        bottom = height
                        break
            for i in range(label[1], label[3]):
                for j in range(label[0], label[2]):
                    if i < height and j < width:
                        ground = colour if j < label[0] + 1.35 * letter else [255, 255, 255]
                        mixed = 0.5 * canvas[i, j] + 0.5 * np.array(ground)
                        canvas[i, j] = mixed.astype(np.uint8)
            at = (left, bottom - offset - spaces)
            cv2.putText(canvas, f"  {entity.phrase}", at, font, 1, (0, 0, 0), 1, cv2.LINE_AA)
            labels.append(label)
    # The article makes a Pillow image for saving, whether or not it saves.
    Image.fromarray(np.ascontiguousarray(canvas[:, :, [2, 1, 0]]))
    return canvas, labels


def faults(labels: list[Rect], size_wh: tuple[int, int]) -> str:
    """Count labels that leave the picture and pairs that overlap."""
    out = sum(r[0] < 0 or r[1] < 0 or r[2] > size_wh[0] or r[3] > size_wh[1] for r in labels)
    pairs = sum(intersection(a, b) is not None for a, b in combinations(labels, 2))
    return f"{out} labels outside, {pairs} overlapping pairs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--save", type=Path, help="folder for what both have drawn")
    args = parser.parse_args()
    wh = (args.width, args.height)
    ramp = np.add.outer(np.arange(wh[1]), np.arange(wh[0])) % 256
    image = Image.fromarray(np.stack([ramp, ramp[::-1], 255 - ramp], axis=-1).astype(np.uint8))
    print(machine.describe())
    print(f"OpenCV {cv2.__version__}; {wh[0]}x{wh[1]} pixels")
    print("entities    article       ours   ratio  (from Pillow)   faults: article | ours")
    for count in (1, 12, 60):
        told = description(wh, count, seed=count)
        times: dict[str, list[float]] = {"convert": [], "article": [], "ours": []}
        for _ in range(args.rounds):
            began = time.perf_counter()
            rgb = np.asarray(image)
            times["convert"].append(time.perf_counter() - began)
            began = time.perf_counter()
            theirs, their_labels = articles(rgb, told.entities)
            times["article"].append(time.perf_counter() - began)
            began = time.perf_counter()
            ours = annotate(rgb, told)
            times["ours"].append(time.perf_counter() - began)
        convert, article, mine = (statistics.median(values) for values in times.values())
        our_labels = [place.plate for _, place in make_plan(told, wh, DrawStyle()).labels]
        print(
            f"{count:8d}  {article * 1e3:6.0f} ms  {mine * 1e3:6.1f} ms  {article / mine:5.1f}x"
            f"  {(convert + article) / (convert + mine):11.1f}x   "
            f"{faults(their_labels, wh)} | {faults(our_labels, wh)}"
        )
        if args.save:
            save_image(np.ascontiguousarray(theirs[:, :, ::-1]), args.save / f"article-{count}.png")
            save_image(ours, args.save / f"ours-{count}.png")


if __name__ == "__main__":
    main()
