"""A sheet of photographs with what a model says about them, to be looked at.

    python benchmarks/pocket_sheet.py PICTURES... -o SHEET.jpg [--model pocket] [--columns 4]

Captions are numbered and printed, and of each box its confidence.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from kosmoscope.draw import DrawStyle
from kosmoscope.images import read_image
from kosmoscope.scope import load

CELL_WH, MARGIN = (300, 225), 6


def main() -> None:
    """Describe, draw, lay out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--columns", type=int, default=4)
    args = parser.parse_args()
    scope = load(args.model)
    width, height = CELL_WH[0] + MARGIN, CELL_WH[1] + 16 + MARGIN
    lines = -(-len(args.pictures) // args.columns)
    page = Image.new("RGB", (args.columns * width + MARGIN, lines * height + MARGIN), "white")
    pen = ImageDraw.Draw(page)
    for i, path in enumerate(args.pictures):
        rgb = read_image(path).rgb
        said = scope.describe(rgb)
        small = Image.fromarray(rgb)
        small.thumbnail(CELL_WH)
        drawn = said.draw(np.asarray(small), DrawStyle())
        x, y = i % args.columns * width + MARGIN, i // args.columns * height + MARGIN
        page.paste(drawn, (x + (CELL_WH[0] - drawn.width) // 2, y))
        words = f"{i + 1}. {said.caption.removeprefix('An image of ')}"
        pen.text((x, y + CELL_WH[1] + 2), words[:52], fill="black")
        boxes = ", ".join(
            f"{e.phrase} {'/'.join(f'{b.confidence or 0:.2f}' for b in e.boxes)}"
            for e in said.entities
        )
        print(f"{i + 1} {path.name}: {said.caption} [{boxes}]", flush=True)
    page.save(args.out, quality=82)


if __name__ == "__main__":
    main()
