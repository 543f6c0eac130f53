"""Train the coarse segmentation that gives stuff (sky, trees, water, ...) its boxes.

    python -m recipes.pocket.regions --views FOLDER --data FOLDER --out regions.npz

Two kinds of teaching: masks, cell by cell (COCO, CamVid), and the names of scenes (Intel): in a
picture of a mountain the surest cells must be mountain, and no cell is a road.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kosmoscope.model.detector_tower import COARSE, FINE, REGION_HIDDEN
from recipes.pocket.features import NO_MASK, TOWER, Views, load_views

REGIONS = (
    "sky", "trees", "grass", "mountain", "water", "road", "building", "snow", "sand", "pavement",
    "wall", "floor", "ground", "fence", "ceiling", "rocks",
)  # fmt: skip
OTHER = len(REGIONS)
_IGNORED = -1
_NAMES = {
    "tree": "trees", "playing field": "grass", "sea": "water", "river": "water",
    "house": "building", "roof": "building", "bridge": "building", "sidewalk": "pavement",
    "platform": "pavement", "brick wall": "wall", "tiled wall": "wall", "wooden wall": "wall",
    "stone wall": "rocks", "wooden floor": "floor", "rug": "floor", "dirt": "ground",
    "gravel": "ground", "railroad": "ground",
}  # fmt: skip
_INDOORS = ("wall", "floor", "ceiling")
_TOWN = ("road", "building", "pavement", "fence")
_WILD = ("mountain", "snow", "water", "sand", "rocks", "grass")
# scene: what the surest cells must be, what no cell is
SCENES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mountain": (("mountain",), (*_INDOORS, *_TOWN, "ground", "sand")),
    "glacier": (("snow",), (*_INDOORS, *_TOWN, "ground", "sand", "grass")),
    "sea": (("water",), (*_INDOORS, *_TOWN, "snow", "ground", "grass")),
    "forest": (("trees",), (*_INDOORS, *_TOWN, "mountain", "sand", "rocks")),
    "street": (("road", "building"), (*_INDOORS, *_WILD)),
    "buildings": (("building",), (*_INDOORS, *_WILD)),
    "alp": (("mountain",), (*_INDOORS, *_TOWN)),
    "lakeside": (("water",), _INDOORS),
    "seashore": (("water",), _INDOORS),
}
_SURE_SHARE = {"road": 0.08}
_USUAL_SHARE = 0.2


class RegionHead(nn.Module):
    """(B, FINE, 2G, 2G) and (B, COARSE, G, G) -> logits (B, regions + 1, 2G, 2G)."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(FINE, REGION_HIDDEN, 1)
        self.coarse = nn.Conv2d(COARSE, REGION_HIDDEN, 1)
        self.classes = nn.Conv2d(REGION_HIDDEN, TOWER.regions + 1, 3, padding=1)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Logits of each cell."""
        up = functional.interpolate(self.coarse(coarse), scale_factor=2.0, mode="bilinear")
        hidden = functional.relu(self.fine(fine) + up)
        hidden = functional.dropout(hidden, 0.3, self.training)
        logits: Tensor = self.classes(hidden)
        return logits


def region_rows(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Area and certainty (B, R, 2), boxes (B, R, 4); all zero where nothing is. As in the graph."""
    shares = logits.softmax(1)[:, :-1]
    mask = (shares > 0.5).float()
    side = mask.shape[-1]
    at = torch.arange(side) / side
    edges = []
    for summed in (2, 3):
        used = mask.sum(summed) > 1.5
        low = torch.where(used, at, torch.tensor(1.0)).amin(-1)
        high = torch.where(used, at + 1 / side, torch.tensor(0.0)).amax(-1)
        edges.append((low, high))
    (x1, x2), (y1, y2) = edges
    boxes = torch.stack([x1, y1, x2, y2], -1)
    there = (torch.minimum(x2 - x1, y2 - y1) > 0).float()
    certainty = torch.stack([mask.mean((2, 3)), shares.mean((2, 3))], -1)
    return certainty, boxes * there[..., None]


def table(classes: Path) -> Tensor:
    """Mask index -> region, OTHER, or _IGNORED for what has no label."""
    names = json.loads(classes.read_text(encoding="utf-8"))
    found = torch.full((256,), _IGNORED)
    for index, name in names.items():
        name = _NAMES.get(name, name)
        if name != "unlabelled":
            found[int(index)] = REGIONS.index(name) if name in REGIONS else OTHER
    return found


def weak_loss(logits: Tensor, scenes: list[str]) -> Tensor:
    """What the name of a scene says about the cells."""
    shares = logits.softmax(1).flatten(2)  # (B, R + 1, cells)
    total = logits.new_zeros(())
    for row, scene in zip(shares, scenes, strict=True):
        wanted, absent = SCENES[scene]
        for name in wanted:
            share = _SURE_SHARE.get(name, _USUAL_SHARE)
            count = int(row.shape[1] * share)
            total = total - row[REGIONS.index(name)].topk(count).values.clamp_min(1e-5).log().mean()
        gone = row[[REGIONS.index(name) for name in absent]].sum(0)
        total = total - 0.5 * (1 - gone).clamp_min(1e-4).log().mean()
        # Things are rare in these pictures.
        total = total - 0.15 * (1 - row[OTHER]).clamp_min(1e-3).log().mean()
    return total / len(scenes)


def train(views: Views, data: Path, steps: int, seed: int = 0) -> RegionHead:
    """Train the head on all views that are not held out."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    cells = torch.full((len(views.records), *views.masks.shape[1:]), _IGNORED)
    for name in ("coco", "camvid"):
        of_set = [i for i, r in enumerate(views.records) if r.set_name == name]
        known = table(data / f"{name}-classes.json")
        known[NO_MASK] = _IGNORED
        cells[of_set] = known[torch.from_numpy(views.masks[of_set]).long()]
    masked = [
        i for i, r in enumerate(views.records)
        if not r.held_out and bool((cells[i] != _IGNORED).any())
    ]  # fmt: skip
    weights = np.array([0.3 if views.records[i].set_name == "camvid" else 1.0 for i in masked])
    names = [r.scene or r.label or "" for r in views.records]
    scenes = [
        i for i, r in enumerate(views.records)
        if not r.held_out and names[i] in SCENES and r.set_name in ("intel", "tinyimagenet")
    ]  # fmt: skip
    head = RegionHead()
    optimiser = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    for step in range(steps):
        picked = rng.choice(masked, 24, p=weights / weights.sum())
        weak = rng.choice(scenes, 24)
        rows = np.concatenate([picked, weak])
        fine = torch.from_numpy(views.fine[rows]).float()
        coarse = torch.from_numpy(views.coarse[rows]).float()
        target = cells[torch.from_numpy(picked)]
        if rng.random() < 0.5:
            fine, coarse, target = fine.flip(-1), coarse.flip(-1), target.flip(-1)
        logits = head(fine, coarse)
        strong = functional.cross_entropy(
            logits[:24], target, ignore_index=_IGNORED, label_smoothing=0.02
        )
        loss = strong + 0.35 * weak_loss(logits[24:], [names[i] for i in weak])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if (step + 1) % 50 == 0:
            print(f"step {step + 1}/{steps}  masks {strong.item():.3f}  all {loss.item():.3f}",
                  flush=True)  # fmt: skip
    head.eval()
    _report(head, views, cells)
    return head


@torch.no_grad()
def _report(head: RegionHead, views: Views, cells: Tensor) -> None:
    for name in ("coco", "camvid"):
        rows = [i for i, r in enumerate(views.records) if r.set_name == name and r.held_out
                and bool((cells[i] != _IGNORED).any())]  # fmt: skip
        if not rows:
            continue
        logits = head(torch.from_numpy(views.fine[rows]).float(),
                      torch.from_numpy(views.coarse[rows]).float())  # fmt: skip
        known = cells[rows] != _IGNORED
        right = (logits.argmax(1) == cells[rows])[known].float().mean()
        print(f"held out {name}: {len(rows)} views, cells right {right:.3f}")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.pocket.regions")
    parser.add_argument("--views", type=Path, required=True, help="folder of the features step")
    parser.add_argument("--data", type=Path, required=True, help="folder of the packed sets")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    views = load_views(options.views, ["coco", "camvid", "intel", "tinyimagenet"])
    head = train(views, options.data, options.steps)
    weights = {f"regions.{k}": v.numpy() for k, v in head.state_dict().items()}
    np.savez(options.out, **weights)


if __name__ == "__main__":
    main()
