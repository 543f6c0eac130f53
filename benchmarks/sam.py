"""Segment Anything at sam-vit-base's size with random weights: encoding and asking, beside torch.

    python benchmarks/sam.py [--threads N] [--runs N] [--boxes N] [--folder DIR]

Speed does not depend on the weights' values. Needs the dev dependencies, 6 GB of memory and 1 GB of
disk, in a temporary folder unless --folder names one. The engines take turns, so that what else the
machine does meets all alike; the table has the best and the median of the runs. Encoding is from
the picture's pixels to embeddings; boxes are from embeddings to masks of the picture's size. Peak
memory is that of a process which encodes the picture and asks for one box.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import machine

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

PHOTO = Path(__file__).parent.parent / "examples" / "photos" / "china.jpg"
SLIM = {"hidden_size": 168, "mlp_dim": 696}


def ensure(folder: Path, **vision: int) -> Path:
    """Make a random checkpoint of the released sizes, unless it is there."""
    if not (folder / "preprocessor_config.json").exists():
        import sam_models

        released = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
                    "mlp_dim": 3072, "window_size": 14,
                    "global_attn_indexes": [2, 5, 8, 11]}  # fmt: skip
        decoder = {"mlp_dim": 2048, "num_attention_heads": 8, "iou_head_hidden_dim": 256}
        shape = sam_models.Shape(
            "released", (1024, 16), 256, {**released, **vision}, decoder, mask_channels=16
        )
        sam_models.make(folder, shape)
    return folder


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Ours:
    """kosmoscope: a picture's embeddings, and masks from them."""

    def __init__(self, folder: Path, threads: int, precision: str) -> None:
        from kosmoscope.segment.sam import load_sam

        self.sam = load_sam(folder, threads, precision=precision)  # type: ignore[arg-type]

    def encode(self, picture: np.ndarray) -> Any:
        return self.sam.encode(picture)

    def ask(self, encoded: Any, boxes: list[list[float]]) -> np.ndarray:
        from kosmoscope.segment import BoxPrompt

        prompts = [BoxPrompt(tuple(b)) for b in boxes]  # type: ignore[arg-type]
        return np.stack([p.mask for p in self.sam.ask(encoded, prompts)])


class Theirs:
    """transformers: the same steps."""

    def __init__(self, folder: Path, threads: int) -> None:
        import torch

        import sam_models

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.torch = torch
        self.made = sam_models.Made(folder, sam_models.SHAPES[0])

    def encode(self, picture: np.ndarray) -> Any:
        inputs = self.made.inputs(picture)
        embeddings = self.made.model.get_image_embeddings(inputs["pixel_values"].float())
        sizes = {k: inputs[k] for k in ("original_sizes", "reshaped_input_sizes")}
        return embeddings, sizes

    def ask(self, encoded: Any, boxes: list[list[float]]) -> np.ndarray:
        embeddings, sizes = encoded
        (scale,) = (sizes["reshaped_input_sizes"] / sizes["original_sizes"]).flip(-1).tolist()
        square = self.torch.tensor([boxes]) * self.torch.tensor(scale * 2)
        out = self.made.model(image_embeddings=embeddings, input_boxes=square)
        best = out.iou_scores[0].argmax(-1)
        chosen = out.pred_masks[0][self.torch.arange(len(best)), best]
        return self.made.full(chosen[None, :, None], sizes, binarize=True)[:, 0]


def engine(label: str, folder: Path, threads: int) -> Ours | Theirs:
    size, kind = label.split(", ")
    source = ensure(folder / f"{size}-random", **(SLIM if size == "slimsam-77" else {}))
    return Theirs(source, threads) if kind == "transformers" else Ours(source, threads, kind)


ENGINES = ("sam-vit-base, transformers", "sam-vit-base, fp32", "sam-vit-base, int8",
           "slimsam-77, transformers", "slimsam-77, fp32", "slimsam-77, int8")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--boxes", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--peak", choices=ENGINES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        os.environ["KOSMOSCOPE_HOME"] = str(folder / "home")
        if args.peak:
            measured = engine(args.peak, folder, args.threads)
            picture = photo()
            measured.ask(measured.encode(picture), boxes_in(picture, 1))
            # Not getrusage's figure, which begins with that of the process that started this one.
            status = Path("/proc/self/status").read_text()
            print(status.partition("VmHWM:")[2].split()[0])
        else:
            measure(args, folder)


def photo() -> np.ndarray:
    return np.asarray(Image.open(PHOTO).convert("RGB"))


def boxes_in(picture: np.ndarray, count: int) -> list[list[float]]:
    h, w = picture.shape[:2]
    return [[s * w, s * h, (s + 0.5) * w, (s + 0.5) * h]
            for s in np.linspace(0, 0.4, count).tolist()]  # fmt: skip


def measure(args: argparse.Namespace, folder: Path) -> None:
    picture = photo()
    boxes = boxes_in(picture, args.boxes)
    print(machine.describe())
    load = ", ".join(f"{v:.1f}" for v in os.getloadavg())
    h, w = picture.shape[:2]
    print(f"{args.threads} threads; picture {w}x{h}; load average at the start {load}\n")
    engines = {label: engine(label, folder, args.threads) for label in ENGINES}
    encoded = {label: e.encode(picture) for label, e in engines.items()}
    masks = {label: e.ask(encoded[label], boxes) for label, e in engines.items()}
    found: dict[str, list[list[float]]] = {label: [] for label in ENGINES}
    for _ in range(args.runs):
        for label, e in engines.items():
            known = encoded[label]
            work = (partial(e.encode, picture), partial(e.ask, known, boxes),
                    partial(e.ask, known, boxes[:1]))  # fmt: skip
            found[label].append([seconds(w) for w in work])
    print(f"{'seconds: best, median':28s}{'encode':>16s}{f'{args.boxes} boxes':>16s}"
          f"{'1 box':>16s}{'peak MB':>9s}{'pixels as theirs':>18s}")  # fmt: skip
    for label in ENGINES:
        cells = "".join(f"{min(c):9.3f}{statistics.median(c):7.3f}"
                        for c in zip(*found[label], strict=True))  # fmt: skip
        theirs = masks[label.split(", ")[0] + ", transformers"]
        same = (masks[label] == theirs).mean()
        print(f"{label:28s}{cells}{peak(label, args, folder):9,.0f}{same:18.5%}", flush=True)


def peak(label: str, args: argparse.Namespace, folder: Path) -> float:
    """Return the largest resident size of a process of its own, in MB."""
    command = [sys.executable, __file__, "--peak", label, "--folder", str(folder),
               "--threads", str(args.threads)]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / 1024


if __name__ == "__main__":
    main()
