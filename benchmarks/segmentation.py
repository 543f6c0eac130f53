"""The classical segmenter beside a filled box and OpenCV's plain grabCut, from the same boxes.

    python benchmarks/segmentation.py --data FOLDER [--alone] [--sheets FOLDER]
    python benchmarks/segmentation.py --speed [--threads 2]

--data: mean overlap (IoU) and boundary F-score on photographs with masks; what the sample is stands
in `segmentation_data`. Photos kept aside come first; on the others the segmenter was tuned and its
prior fitted, so their numbers flatter it. Boxes are handed to `classical` a picture at a time,
to grabCut (5 iterations, everything outside the box is background) one by one; with --alone to
both one by one. --sheets writes pictures of the results, worst first.

--speed: five boxes on a sample photo enlarged to 12 megapixels, both on the same threads.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import machine
from kosmoscope.segment import BoxPrompt
from kosmoscope.segment.classical import ClassicalSegmenter
from segmentation_data import Photo, Segment, photos

Mask = NDArray[np.bool_]
METHODS = ("filled box", "grabCut", "classical")
PHOTO = Path(__file__).parent.parent / "examples/photos/aitzgorri_by_Aitzol_Berasategi.jpg"


def filled(rgb: NDArray[np.uint8], box: tuple[int, int, int, int]) -> Mask:
    """Return the box itself as a mask."""
    mask = np.zeros(rgb.shape[:2], np.bool_)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def grab_cut(rgb: NDArray[np.uint8], box: tuple[int, int, int, int]) -> Mask:
    """Return OpenCV's answer; the filled box where it has no background to learn from."""
    inside = filled(rgb, box)
    if inside.all():
        return inside
    state = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    bgr = np.ascontiguousarray(rgb[:, :, ::-1])
    cv2.grabCut(bgr, state, None, *models, 5, cv2.GC_INIT_WITH_MASK)
    return (state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)


def overlap(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def boundary_f(a: Mask, b: Mask, reach: int = 0) -> float:
    """Return the F-score of border pixels that lie within some pixels of the other's border.

    Unless `reach` says how many, 0.75 % of the diagonal.
    """
    reach = reach or max(round(0.0075 * float(np.hypot(*a.shape))), 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    edges = []
    for mask in (a, b):
        bytes_ = np.pad(mask.astype(np.uint8), 1, mode="edge")
        edges.append((bytes_ - cv2.erode(bytes_, np.ones((3, 3), np.uint8)))[1:-1, 1:-1])
    mine, true = edges
    if not mine.any() or not true.any():
        return float(mine.any() == true.any())
    right = float(mine[cv2.dilate(true, disc) > 0].sum() / mine.sum())
    found = float(true[cv2.dilate(mine, disc) > 0].sum() / true.sum())
    return 2 * right * found / max(right + found, 1e-9)


def quality(folder: Path, alone: bool, sheets: Path | None) -> None:
    segmenter = ClassicalSegmenter()
    rows: dict[tuple[bool, bool, str], list[tuple[float, float]]] = defaultdict(list)
    scores: dict[bool, list[tuple[float, float]]] = defaultdict(list)
    shown: list[tuple[float, Photo, Segment, Mask, Mask]] = []
    for photo in photos(folder):
        prompts = [s.prompt() for s in photo.segments]
        groups = [[p] for p in prompts] if alone else [prompts]
        answers = [a for group in groups for a in segmenter.segment(photo.rgb, group)]
        for segment, answer in zip(photo.segments, answers, strict=True):
            cut = grab_cut(photo.rgb, segment.box)
            masks = (filled(photo.rgb, segment.box), cut, answer.mask)
            for method, mask in zip(METHODS, masks, strict=True):
                result = overlap(mask, segment.truth), boundary_f(mask, segment.truth)
                rows[photo.aside, segment.stuff, method].append(result)
            scores[photo.aside].append((answer.score, overlap(answer.mask, segment.truth)))
            if not photo.aside:
                shown.append((scores[False][-1][1], photo, segment, cut, answer.mask))
    for aside in (True, False):
        print("\nkept aside" if aside else "\nfitted on")
        print("| method | things IoU | things F | stuff IoU | stuff F |\n|---|---|---|---|---|")
        for method in METHODS:
            cells = [np.mean(rows[aside, stuff, method], axis=0) for stuff in (False, True)]
            print(f"| {method} |", " | ".join(f"{v:.3f}" for cell in cells for v in cell), "|")
        things, stuff = (len(rows[aside, kind, METHODS[0]]) for kind in (False, True))
        given, true = np.array(scores[aside]).T
        print(
            f"{things} things, {stuff} of stuff; score against true IoU: mean error "
            f"{np.abs(given - true).mean():.3f}, correlation {np.corrcoef(given, true)[0, 1]:.2f}"
        )
    if sheets is not None:
        sheets.mkdir(parents=True, exist_ok=True)
        shown.sort(key=lambda row: row[0])
        for page in range(0, len(shown), 24):
            sheet(shown[page : page + 24]).save(sheets / f"{page // 24:02d}.png")


def sheet(results: list[tuple[float, Photo, Segment, Mask, Mask]]) -> Image.Image:
    """Return a contact sheet: picture with box, truth, grabCut, classical; three a row."""
    side, page = 150, Image.new("RGB", (3 * 4 * 155, -(-len(results) // 3) * 165), "white")
    for i, (value, photo, segment, cut, mask) in enumerate(results):
        at_x, at_y = i % 3 * 4 * 155, i // 3 * 165
        for j, layer in enumerate((None, segment.truth, cut, mask)):
            pixels = photo.rgb.copy()
            if layer is not None:
                pixels[~layer] = pixels[~layer] // 4
            tile = Image.fromarray(pixels)
            if layer is None:
                ImageDraw.Draw(tile).rectangle(segment.box, outline="red", width=2)
            tile.thumbnail((side, side))
            page.paste(tile, (at_x + 155 * j, at_y + 14))
        ImageDraw.Draw(page).text((at_x, at_y), f"{segment.label} {value:.2f}", fill="black")
    return page


def speed(threads: int) -> None:
    cv2.setNumThreads(threads)
    with Image.open(PHOTO) as image:
        rgb = np.array(image.convert("RGB").resize((4243, 2828), Image.Resampling.LANCZOS))
    h, w = rgb.shape[:2]
    named = {
        "sky": (0, 0, 1, 0.4), "mountain": (0, 0.12, 1, 0.55), "forest": (0, 0.4, 1, 0.8),
        "meadow": (0, 0.6, 1, 1), "tree": (0.05, 0.45, 0.3, 0.8),
    }  # fmt: skip
    boxes = [
        (round(a * w), round(b * h), round(c * w), round(d * h)) for a, b, c, d in named.values()
    ]
    prompts = [BoxPrompt(tuple(map(float, b)), n) for b, n in zip(boxes, named, strict=True)]
    segmenter = ClassicalSegmenter()
    times = []
    for _ in range(4):
        began = time.perf_counter()
        segmenter.segment(rgb, prompts)
        times.append(time.perf_counter() - began)
    print(f"{machine.describe()}, OpenCV {cv2.__version__}, {threads} threads")
    print(f"{PHOTO.name} at {w}x{h}, five boxes")
    print(f"classical: {np.median(times[1:]):.2f} s (first call {times[0]:.2f} s)", flush=True)
    each = []
    for box in boxes:
        began = time.perf_counter()
        grab_cut(rgb, box)
        each.append(time.perf_counter() - began)
    print(f"grabCut: {sum(each):.1f} s ({', '.join(f'{t:.1f}' for t in each)} a box)")
    print(f"grabCut takes {sum(each) / np.median(times[1:]):.0f} times as long")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.data is None and not args.speed:
        parser.error("give --data FOLDER, --speed or both")
    if args.data is not None:
        quality(args.data, args.alone, args.sheets)
    if args.speed:
        speed(args.threads)


if __name__ == "__main__":
    main()
