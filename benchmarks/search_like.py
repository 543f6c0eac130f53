"""Pictures like a picture: how many of the ten nearest are of the same kind?

    python benchmarks/search_like.py DATA [--limit 250]

DATA is a folder of labelled sets (docs/evaluation.md). Compared, on pictures that pocket's training
left out: `Scope.embed` of pocket, the resampler's output (its mean, and all of it), a colour
histogram, and the features of EfficientNet-Lite0, which pocket's tower is made of (run by PyTorch:
needs the dev dependencies). All vectors are centred; nearness is the cosine. Every picture of all
sets asks; a picture with fewer than three others of its label does not, and of a label with fewer
than ten others so many are looked at.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

import machine
from kosmoscope.evaluation.data import PhotoSet
from kosmoscope.images import pixel_tensor
from kosmoscope.scope import Scope, load

sys.path.insert(0, str(Path(__file__).parent.parent))

import kosmoscope
from recipes.pocket.vision import Frozen

SETS = ("intel", "caltech", "pacs", "flowers")
NEAREST, LEAST = 10, 3
TOWER = "vision_model.model."
Float = NDArray[np.float32]


class Networks:
    """What makes the vectors."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        file = Path(kosmoscope.__file__).parent / "pocket" / "model.safetensors"
        weights = {
            name.removeprefix(TOWER): np.asarray(values, np.float32)
            for name, values in load_file(file).items()
            if name.startswith(TOWER)
        }
        self.frozen = Frozen(scope.engine.config.vision, weights)  # type: ignore[arg-type]

    def vectors(self, rgb: NDArray[np.uint8]) -> dict[str, Float]:
        """Return every kind of vector of a picture."""
        pixels = pixel_tensor(rgb, self.scope.pixel_spec)
        latents = self.scope.engine.look(pixels).embeddings
        return {
            "Scope.embed (pocket)": self.scope.embed(rgb),
            "resampler, mean": latents.mean(0),
            "resampler, all of it": latents.ravel(),
            "colour histogram, 4 x 4 x 4": histogram(rgb),
            "EfficientNet-Lite0": self._classified(pixels),
        }

    def _classified(self, pixels: Float) -> Float:
        whole = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        found: Float = self.frozen.inside(torch.from_numpy(pixels[None]), whole)[0].numpy()
        return found


def histogram(rgb: NDArray[np.uint8]) -> Float:
    """Return shares of 64 colours."""
    cells = (rgb // 64).astype(int).reshape(-1, 3) @ [16, 4, 1]
    return (np.bincount(cells, minlength=64) / len(cells)).astype(np.float32)


def share(vectors: Float, labels: NDArray[np.str_], rows: NDArray[np.intp]) -> tuple[float, int]:
    """Return how many of the nearest have the label of the one that asks, and how many asked."""
    centred = vectors - vectors.mean(0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True) + 1e-9
    near = centred @ centred.T
    np.fill_diagonal(near, -np.inf)
    found = []
    for i in rows:
        count = min(NEAREST, int((labels == labels[i]).sum()) - 1)
        if count >= LEAST:
            found.append((labels[np.argsort(-near[i])[:count]] == labels[i]).mean())
    return float(np.mean(found)), len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--limit", type=int, default=250, help="pictures of a set")
    args = parser.parse_args()
    print(machine.describe())
    networks = Networks(load("pocket"))
    made: dict[str, list[Float]] = {}
    labels: list[str] = []
    sets: list[str] = []
    for name in SETS:
        with PhotoSet(args.data, name) as photos:
            for record in photos.chosen(args.limit, only_held_out=True):
                for kind, vector in networks.vectors(photos.read(record).rgb).items():
                    made.setdefault(kind, []).append(vector)
                labels.append(record.scene or record.label or "")
                sets.append(name)
    for name in SETS:
        print(f"{name}: {sets.count(name)} pictures, {len(set(labels))} labels in all sets")
    for kind, vectors in made.items():
        stacked, named = np.stack(vectors), np.array(labels)
        rows = {name: np.flatnonzero(np.array(sets) == name) for name in SETS}
        found = {name: share(stacked, named, rows[name]) for name in SETS}
        cells = [f"{name} {right:.3f} of {count}" for name, (right, count) in found.items()]
        print(f"{kind} ({len(vectors[0])}): {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
