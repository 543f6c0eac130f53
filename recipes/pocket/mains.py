"""What pictures are about, as the salient-object network sees it, once and kept.

    python -m recipes.pocket.mains --data FOLDER --out mains.npz --set caltech:3 --set coco:1

A set is NAME:EVERY. The maps are small, as the tower's own are (18 x 18): the tower's regions learn
from them which cells are of the main thing, so that the product needs no second network for it.
Sets that are in `--out` are skipped, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.files.writing import write_file
from kosmoscope.segment.salience.network import Salience, shrunk
from recipes.pocket.records import read_set

SIDE = 18
_SEEN_AT = 256


def main_map(network: Salience, picture: Image.Image) -> NDArray[np.uint8]:
    """(SIDE, SIDE) 0..255: how much of each cell is of what the picture is about."""
    small = shrunk(np.asarray(picture.convert("RGB")), _SEEN_AT)
    share = 1 / (1 + np.exp(-network.logits(small).clip(-30, 30)))
    image = Image.fromarray((share * 255).round().astype(np.uint8))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))


def load_mains(path: Path) -> dict[tuple[str, str], NDArray[np.uint8]]:
    """Read what `main` wrote: the map of (set, file)."""
    with np.load(path) as stored:
        return {
            (key.removesuffix("/files"), file): maps
            for key in stored.files
            if key.endswith("/files")
            for file, maps in zip(
                stored[key].tolist(), stored[key.replace("/files", "/maps")], strict=True
            )
        }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.pocket.mains")
    parser.add_argument("--data", type=Path, required=True, help="folder of the packed sets")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", required=True, metavar="NAME:EVERY")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    network = Salience(threads=options.threads, side=_SEEN_AT)
    stored: dict[str, NDArray[np.generic]] = {}
    if options.out.exists():
        with np.load(options.out) as before:
            stored = dict(before)
    for entry in options.set:
        name, _, every = entry.partition(":")
        if f"{name}/files" in stored:
            continue
        files, maps = [], []
        for record, picture, _ in read_set(options.data, name, int(every)):
            files.append(record.file)
            maps.append(main_map(network, picture))
            if len(files) % 100 == 0:
                print(f"{name}: {len(files)}", flush=True)
        stored |= {f"{name}/files": np.array(files), f"{name}/maps": np.stack(maps)}
        buffer = io.BytesIO()
        np.savez(buffer, **stored)  # type: ignore[arg-type]
        write_file(options.out, buffer.getvalue())


if __name__ == "__main__":
    main()
