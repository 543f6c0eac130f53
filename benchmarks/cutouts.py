"""What a picture is about: kosmoscope's `salient` beside rembg's u2netp, and the size it looks at.

    python benchmarks/cutouts.py --data FOLDER --teacher u2netp.onnx [--sheet FILE] [--limit 20]
    python benchmarks/cutouts.py --data FOLDER --sizes

The first needs `pip install rembg`; the pictures, and what is taken for the truth, stand in
`cutouts_data`. Both get the same pixels in memory and give a cut-out with alpha; masks are their
alpha over one half. Time is that of a cut-out, the two in turn, picture by picture.

--sizes: overlap and time over the longer side of what the network sees, with the picture's aspect
kept or squashed, on the pictures that choices were made on. Edges are refined alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import machine
from cutouts_data import Marked, pasted, photographs
from kosmoscope.masks import Mask, cut_out
from kosmoscope.segment.salience.edges import refined
from kosmoscope.segment.salience.network import SIDE, Salience, shrunk
from segmentation import boundary_f, overlap

Cut = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
LARGE_WH, LARGE_REACH = (1600, 1200), 3
FAST = 224
TWELVE_MEGAPIXELS = (4243, 2828)
SIZES = (
    (160, True), (192, True), (224, True), (256, True), (288, True), (320, True),
    (224, False), (320, False),
)  # fmt: skip
PHOTO = Path(__file__).parent.parent / "examples/photos/aitzgorri_by_Aitzol_Berasategi.jpg"


def ours(threads: int, side: int = SIDE, scores: list[float] | None = None) -> Cut:
    """Return kosmoscope's way to an alpha, (H, W, 3) -> (H, W); scores go to a list."""
    network = Salience(threads=threads, side=side)

    def cut(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        seen = network.look(rgb)
        matte = seen.matte
        if scores is not None:
            scores.append(seen.score)
        made = cut_out(rgb, Mask(matte >= 128), crop=False, matte=matte)
        return np.asarray(made.getchannel("A"))

    return cut


def theirs(teacher: Path, threads: int) -> Cut:
    """Return rembg's, with the weights that are at hand."""
    with tempfile.TemporaryDirectory() as home:
        place = Path(home) / "models" / "u2netp"
        place.mkdir(parents=True)
        (place / "u2netp.onnx").symlink_to(teacher.resolve())
        os.environ.update(REMBG_HOME=home, OMP_NUM_THREADS=str(threads))
        import rembg

        session = rembg.new_session("u2netp", providers=["CPUExecutionProvider"])

    def cut(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(rembg.remove(Image.fromarray(rgb), session=session).getchannel("A"))

    return cut


def seconds(cut: Cut, rgb: NDArray[np.uint8]) -> tuple[float, NDArray[np.uint8]]:
    began = time.perf_counter()
    alpha = cut(rgb)
    return time.perf_counter() - began, alpha


def beside(data: Path, teacher: Path, limit: int | None, sheet: Path | None) -> None:
    sets: dict[str, tuple[Iterable[Marked], int]] = {
        "COCO photographs": (photographs(data), 0),
        "pasted, 400x300": (pasted(data, every=2), 0),
        "pasted, 1600x1200, edges within 3 px": (pasted(data, LARGE_WH, every=4), LARGE_REACH),
    }
    scores: list[float] = []
    one, two = (
        {
            "kosmoscope": ours(threads, scores=scores if threads == 1 else None),
            f"kosmoscope, side {FAST}": ours(threads, FAST),
            "rembg u2netp": theirs(teacher, threads),
        }
        for threads in (1, 2)
    )
    shown: list[tuple[float, Marked, dict[str, NDArray[np.uint8]]]] = []
    for name, (pictures, reach) in sets.items():
        rows: dict[str, list[tuple[float, float, float]]] = {method: [] for method in one}
        spent: dict[tuple[str, int], list[float]] = {(m, n): [] for m in one for n in (1, 2)}
        for i, marked in enumerate(islice(pictures, limit)):
            found = {}
            for method in one:
                if not i:
                    one[method](marked.rgb), two[method](marked.rgb)
                took, found[method] = seconds(one[method], marked.rgb)
                spent[method, 1].append(took)
                if i % 4 == 0:
                    spent[method, 2].append(seconds(two[method], marked.rgb)[0])
                rows[method].append(judged(found[method], marked, reach))
            shown.append((rows["kosmoscope"][-1][0], marked, found))
        print(f"\n{name}, {len(rows['kosmoscope'])} pictures")
        print(
            "| | IoU | boundary F | alpha error | 1 thread | 2 threads |\n|---|---|---|---|---|---|"
        )
        for method, results in rows.items():
            cells = " | ".join(f"{v:.3f}" for v in np.mean(results, axis=0))
            times = " | ".join(f"{statistics.median(spent[method, n]):.2f} s" for n in (1, 2))
            print(f"| {method} | {cells} | {times} |", flush=True)
        found_iou, _, their_iou = ([r[0] for r in results] for results in rows.values())
        gap = np.subtract(found_iou, their_iou)
        error = 1.96 * gap.std(ddof=1) / np.sqrt(len(gap))
        print(f"IoU, ours less theirs: {gap.mean():+.3f}, 95 % within {error:.3f}")
        given = scores[-len(found_iou) :]
        off = np.abs(np.subtract(given, found_iou)).mean()
        related = np.corrcoef(given, found_iou)[0, 1]
        print(f"score: mean {np.mean(given):.2f}, off by {off:.2f}, correlation {related:.2f}")
    with Image.open(PHOTO) as image:
        rgb = np.array(image.convert("RGB").resize(TWELVE_MEGAPIXELS))
    for method in one:
        took = [statistics.median(seconds(m[method], rgb)[0] for _ in range(3)) for m in (one, two)]
        print(f"12 megapixels, {method}: {took[0]:.2f} s, two threads {took[1]:.2f} s")
    if sheet is not None:
        shown.sort(key=lambda row: row[0])
        picture(shown[:: max(len(shown) // 24, 1)][:24]).save(sheet)


def judged(alpha: NDArray[np.uint8], marked: Marked, reach: int) -> tuple[float, float, float]:
    """Return IoU, boundary F and the mean error of alpha, 0..1."""
    mask = alpha >= 128
    error = np.abs(alpha.astype(np.float32) - marked.truth).mean() / 255
    return overlap(mask, marked.bits), boundary_f(mask, marked.bits, reach), float(error)


def picture(results: list[tuple[float, Marked, dict[str, NDArray[np.uint8]]]]) -> Image.Image:
    """Return a contact sheet: picture, truth, each method's cut-out on white; two a row."""
    page = Image.new("RGB", (2 * 5 * 155, -(-len(results) // 2) * 135), "white")
    for i, (_, marked, found) in enumerate(results):
        opaque = np.full(marked.truth.shape, 255, np.uint8)
        for j, alpha in enumerate((opaque, marked.truth, *found.values())):
            share = alpha[..., None] / 255
            tile = Image.fromarray((marked.rgb * share + 255 * (1 - share)).astype(np.uint8))
            tile.thumbnail((150, 130))
            page.paste(tile, ((i % 2 * 5 + j) * 155, i // 2 * 135))
    return page


def sizes(data: Path, limit: int | None) -> None:
    network = Salience(threads=1)
    sets = {
        "COCO": list(islice(photographs(data), limit)),
        "pasted": list(islice(pasted(data, chosen=True, every=4), limit)),
    }
    network.look(sets["COCO"][0].rgb)
    print("| longer side | aspect | COCO IoU | F | pasted IoU | F | alpha error | network |")
    print("|---|---|---|---|---|---|---|---|")
    for side, kept in SIZES:
        spent: list[float] = []
        cells = [
            np.mean(list(_sized(network, pictures, side, kept, spent)), axis=0)
            for pictures in sets.values()
        ]
        shown = " | ".join(f"{v:.3f}" for v in (*cells[0][:2], *cells[1]))
        aspect = "kept" if kept else "squashed"
        took = f"{statistics.median(spent):.2f} s"
        print(f"| {side} | {aspect} | {shown} | {took} |", flush=True)


def _sized(
    network: Salience, pictures: list[Marked], side: int, kept: bool, spent: list[float]
) -> Iterator[tuple[float, float, float]]:
    for marked in pictures:
        small = shrunk(marked.rgb, side)
        if not kept:
            image = Image.fromarray(marked.rgb)
            small = np.asarray(image.resize((side, side), Image.Resampling.LANCZOS))
        began = time.perf_counter()
        logits = network.logits(small)
        spent.append(time.perf_counter() - began)
        yield judged(refined(marked.rgb, 1 / (1 + np.exp(-2 * logits)), small), marked, 0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, help="u2netp.onnx, for rembg")
    parser.add_argument("--sizes", action="store_true")
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--limit", type=int, help="pictures of each set")
    args = parser.parse_args()
    if args.teacher is None and not args.sizes:
        parser.error("give --teacher FILE, --sizes or both")
    print(machine.describe())
    if args.sizes:
        sizes(args.data, args.limit)
    if args.teacher is not None:
        beside(args.data, args.teacher, args.limit, args.sheet)


if __name__ == "__main__":
    main()
