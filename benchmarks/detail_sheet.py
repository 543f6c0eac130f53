"""Photographs beside each other: one look, and the detail pass.

    python benchmarks/detail_sheet.py SHEET.jpg [--data FOLDER] [--detail 2] [--model pocket]

Landscapes and streets: two photographs of examples/, and of FOLDER frames of CamVid, scenes of
Intel and street pictures of COCO, of those that pocket was not trained on. What is drawn of FOLDER
may not be shown elsewhere (see the sets' licences).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kosmoscope.detail import Detail
from kosmoscope.draw import DrawStyle
from kosmoscope.evaluation.data import open_sets
from kosmoscope.images import read_image
from kosmoscope.scope import load

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"
OURS = ("china", "aitzgorri")
STREETS = {"car", "bus", "truck", "traffic light", "boat", "bicycle"}
WIDTH, MARGIN = 420, 8


def photographs(data: Path | None) -> Iterator[NDArray[np.uint8]]:
    for path in sorted(PHOTOS.glob("*.jpg")):
        if path.name.startswith(OURS):
            yield read_image(path).rgb
    if data is None:
        return
    for name, count in (("camvid", 5), ("coco", 5), ("intel", 3)):
        (found,) = open_sets(data, [name])
        with found:
            some = found.chosen(only_held_out=True)
            if name == "coco":
                some = [
                    r for r in some if sum(b.label in STREETS for b in r.boxes if not b.stuff) > 2
                ]
            if name == "intel":
                some = [r for r in some if r.scene in ("mountain", "street", "buildings")]
            for i in range(min(count, len(some))):
                yield found.read(some[i * len(some) // count]).rgb


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--detail", type=int, default=2)
    parser.add_argument("--least", type=float, default=Detail().least)
    parser.add_argument("--model", default="pocket")
    args = parser.parse_args()
    scope = load(args.model)
    detail = Detail(tiles=args.detail, looks=args.detail**2 + 1, least=args.least)
    rows = []
    for rgb in photographs(args.data):
        once, closely = scope.describe(rgb), scope.describe(rgb, detail=detail)
        # Drawn at the sheet's size, so that the lettering can be read.
        small = Image.fromarray(rgb)
        height = round(WIDTH * small.height / small.width)
        shown = np.asarray(small.resize((WIDTH, height)))
        pair = [d.draw(shown, DrawStyle()) for d in (once, closely)]
        counted = ", ".join(
            f"{e.phrase} {e.count}" for e in closely.entities if e.count is not None
        )
        rows.append((pair, f"{once.caption}  |  {counted}"))
        print(f"{once.caption}: {sum(len(e.boxes) for e in once.entities)} boxes, then "
              f"{sum(len(e.boxes) for e in closely.entities)}; {counted}", flush=True)  # fmt: skip
    rows.sort(key=lambda row: row[0][0].height)
    columns = 2
    cell_w = 2 * WIDTH + 3 * MARGIN
    lines = [rows[i : i + columns] for i in range(0, len(rows), columns)]
    heights = [max(pair[0].height for pair, _ in line) + 24 + MARGIN for line in lines]
    page = Image.new("RGB", (columns * cell_w, sum(heights)), "white")
    pen = ImageDraw.Draw(page)
    for i, (pair, words) in enumerate(rows):
        x, y = i % columns * cell_w + MARGIN, sum(heights[: i // columns]) + MARGIN
        for n, picture in enumerate(pair):
            page.paste(picture, (x + n * (WIDTH + MARGIN), y))
        pen.text((x, y + pair[0].height + 4), words[:130], fill="black")
    page.save(args.sheet, quality=88)


if __name__ == "__main__":
    main()
