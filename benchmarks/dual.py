"""CLIP and SigLIP at their base sizes with random weights: the time of a vector, beside torch.

    python benchmarks/dual.py [--runs N] [--folder DIR]

Speed does not depend on the weights' values. Needs the dev dependencies, 6 GB of memory and 4 GB of
disk, in a temporary folder unless --folder names one. All run on one thread, and the times are of
the processor, so that they hold on a busy machine too; the table has the best of the runs, in which
the engines take turns. A picture is from its pixels in memory to its vector, a text from its words
to its vector. Opening and peak memory are of a process that loads the model and makes one vector of
each. The last columns are cosines to the vectors of fp32, the least of the sample photos and of the
texts; with random weights they say how much rounding adds up, and not what it costs in earnest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import machine

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"
SHORT, LONG = "a photo of a dog", "a dog and a cat on the red tree, two snowmen " * 5
TEXTS = [SHORT, "two cats on a tree", "the sky", LONG]
ENGINES = ("transformers", "fp32", "int8")


def shape_of(size: str) -> Any:
    import dual_models

    vision = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
              "num_attention_heads": 12}  # fmt: skip
    if size == "siglip-base-patch16-224":
        text = {**vision, "max_position_embeddings": 64, "vocab_size": 32000}
        return dual_models.Shape(size, (224, 16), vision, text, tokenizer="siglip")
    text = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12,
            "num_attention_heads": 8, "max_position_embeddings": 77,
            "vocab_size": 49408}  # fmt: skip
    return dual_models.Shape(size, (224, 32), vision, text, 512)


def ensure(folder: Path, size: str) -> Path:
    """Make a random checkpoint of the released sizes, unless it is there."""
    if not (folder / size / "preprocessor_config.json").exists():
        import dual_models

        dual_models.make(folder / size, shape_of(size))
    return folder / size


class Ours:
    """kosmoscope."""

    def __init__(self, folder: Path, precision: str) -> None:
        from kosmoscope.dual import load_dual_encoder

        self.model = load_dual_encoder(folder, 1, precision=precision)  # type: ignore[arg-type]

    def picture(self, rgb: np.ndarray) -> np.ndarray:
        return self.model.embed_picture(rgb)

    def text(self, text: str) -> np.ndarray:
        return self.model.embed_text(text)[0]


class Theirs:
    """transformers: the same steps."""

    def __init__(self, folder: Path) -> None:
        import torch

        import dual_models

        torch.set_num_threads(1)
        torch.set_grad_enabled(False)
        self.made = dual_models.Made(folder, shape_of(folder.name))
        self.model = self.made.model

    def picture(self, rgb: np.ndarray) -> np.ndarray:
        found = self.model.get_image_features(self.made.pixels(rgb)).pooler_output[0].numpy()
        return found / np.linalg.norm(found)

    def text(self, text: str) -> np.ndarray:
        found = self.model.get_text_features(self.made.ids([text])).pooler_output[0].numpy()
        return found / np.linalg.norm(found)


def engine(label: str, folder: Path) -> Ours | Theirs:
    size, kind = label.split(", ")
    source = ensure(folder, size)
    return Theirs(source) if kind == "transformers" else Ours(source, kind)


def photos() -> list[np.ndarray]:
    return [np.asarray(Image.open(p).convert("RGB")) for p in sorted(PHOTOS.glob("*.jpg"))]


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        os.environ["KOSMOSCOPE_HOME"] = str(folder / "home")
        if args.alone:
            model = engine(args.alone, folder)
            model.picture(photos()[0])
            model.text(SHORT)
            print(time.process_time(), machine.peak_gb())
            return
        print(machine.describe())
        load = ", ".join(f"{v:.1f}" for v in os.getloadavg())
        print(f"1 thread; {args.runs} runs; load average at the start {load}\n")
        print(f"{'':37s}{'picture':>10s}{'short text':>12s}{'long text':>11s}{'open':>8s}"
              f"{'peak':>9s}{'cos picture':>13s}{'cos text':>10s}")  # fmt: skip
        for size in ("clip-vit-base-patch32", "siglip-base-patch16-224"):
            measure(size, args, folder)


def measure(size: str, args: argparse.Namespace, folder: Path) -> None:
    labels = [f"{size}, {kind}" for kind in ENGINES]
    engines = {label: engine(label, folder) for label in labels}
    seen = {label: [e.picture(p) for p in photos()] for label, e in engines.items()}
    read = {label: [e.text(t) for t in TEXTS] for label, e in engines.items()}
    rgb = photos()[0]
    found: dict[str, list[tuple[float, ...]]] = {label: [] for label in labels}
    for _ in range(args.runs):
        for label, e in engines.items():
            found[label].append((
                seconds(lambda e=e: e.picture(rgb)),  # type: ignore[misc]
                seconds(lambda e=e: e.text(SHORT)),  # type: ignore[misc]
                seconds(lambda e=e: e.text(LONG)),  # type: ignore[misc]
            ))  # fmt: skip
    exact = labels[1]
    for label in labels:
        picture, short, long = (1000 * min(c) for c in zip(*found[label], strict=True))
        cosines = [min(float(a @ b) for a, b in zip(some[label], some[exact], strict=True))
                   for some in (seen, read)]  # fmt: skip
        opened, peak = alone(label, folder)
        print(f"{label:37s}{picture:7.0f} ms{short:9.0f} ms{long:8.0f} ms{opened:6.1f} s"
              f"{peak:6.2f} GB{cosines[0]:13.5f}{cosines[1]:10.5f}", flush=True)  # fmt: skip


def alone(label: str, folder: Path) -> tuple[float, float]:
    """Return the seconds to the first vectors, and GiB at the peak, of a process of its own."""
    command = [sys.executable, __file__, "--alone", label, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    opened, peak = done.stdout.split()[-2:]
    return float(opened), float(peak)


if __name__ == "__main__":
    main()
