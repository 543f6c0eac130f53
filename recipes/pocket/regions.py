"""Train the coarse segmentation that gives stuff (sky, trees, water, ...) its boxes.

    python -m recipes.pocket.regions --views FOLDER --data FOLDER --mains mains.npz --out FILE

Two kinds of teaching: masks, cell by cell (COCO, CamVid), and the names of scenes (Intel): in a
picture of a mountain the surest cells must be mountain, and no cell is a road. Beside the kinds of
stuff one more map learns, from the salient-object network (`mains.py`), what the picture is about.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from kosmoscope.geometry import iou
from kosmoscope.model.detector.shapes import COARSE, FINE, REGION_HIDDEN
from recipes.pocket.features import NO_MASK, TOWER, Views, load_views
from recipes.pocket.mains import load_mains
from recipes.pocket.teachers import Float

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
    """(B, FINE, 2G, 2G) and (B, COARSE, G, G) -> logits (B, regions + 2, 2G, 2G).

    The kinds of stuff and none of them, which share each cell; and the main thing, by itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Conv2d(FINE, REGION_HIDDEN, 1)
        self.coarse = nn.Conv2d(COARSE, REGION_HIDDEN, 1)
        self.classes = nn.Conv2d(REGION_HIDDEN, TOWER.regions + 2, 3, padding=1)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Logits of each cell."""
        up = functional.interpolate(self.coarse(coarse), scale_factor=2.0, mode="bilinear")
        hidden = functional.relu(self.fine(fine) + up)
        hidden = functional.dropout(hidden, 0.3, self.training)
        logits: Tensor = self.classes(hidden)
        return logits


def region_rows(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Area and certainty (B, R, 2), boxes (B, R, 4); all zero where nothing is. As in the graph."""
    shares = logits[:, : OTHER + 1].softmax(1)[:, :-1]
    mask = (shares > 0.5).float()
    certainty = torch.stack([mask.mean((2, 3)), shares.mean((2, 3))], -1)
    boxes, there = _around(mask)
    return certainty, boxes * there[..., None]


def main_boxes(logits: Tensor) -> Tensor:
    """The main thing's box (B, 4); the whole picture where nothing stands out. As in the graph."""
    boxes, there = _around((logits[:, OTHER + 1 :] > 0).float())
    whole = boxes.new_tensor([0, 0, 1, 1])
    return torch.where(there[:, 0, None] > 0, boxes[:, 0], whole)


def _around(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (B, n, 4) of the lines with at least two cells, and whether there is one (B, n)."""
    side = mask.shape[-1]
    at = torch.arange(side, device=mask.device) / side
    edges = []
    for summed in (2, 3):
        used = mask.sum(summed) > 1.5
        low = torch.where(used, at, at.new_tensor(1.0)).amin(-1)
        high = torch.where(used, at + 1 / side, at.new_tensor(0.0)).amax(-1)
        edges.append((low, high))
    (x1, x2), (y1, y2) = edges
    there = (torch.minimum(x2 - x1, y2 - y1) > 0).float()
    return torch.stack([x1, y1, x2, y2], -1), there


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
    shares = logits[:, : OTHER + 1].softmax(1).flatten(2)  # (B, R + 1, cells)
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


def train(
    views: Views, data: Path, mains: Path, steps: int, device: str, seed: int = 0
) -> RegionHead:
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
    maps = load_mains(mains)
    salient = [i for i, r in enumerate(views.records)
               if not r.held_out and r.view == "full" and (r.set_name, r.file) in maps]  # fmt: skip
    head = RegionHead().to(device)
    optimiser = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    for step in range(steps):
        picked = rng.choice(masked, 24, p=weights / weights.sum())
        weak, about = rng.choice(scenes, 24), rng.choice(salient, 48)
        rows = np.concatenate([picked, weak, about])
        fine, coarse = cut(views, rows, device)
        target = cells[torch.from_numpy(picked)].to(device)
        main = np.stack([maps[views.records[i].set_name, views.records[i].file] for i in about])
        share = torch.from_numpy(main).to(device).float() / 255
        if rng.random() < 0.5:
            fine, coarse, target, share = (x.flip(-1) for x in (fine, coarse, target, share))
        logits = head(fine, coarse)
        strong = functional.cross_entropy(
            logits[:24, : OTHER + 1], target, ignore_index=_IGNORED, label_smoothing=0.02
        )
        salience = functional.binary_cross_entropy_with_logits(logits[48:, OTHER + 1], share)
        loss = strong + 0.35 * weak_loss(logits[24:48], [names[i] for i in weak]) + salience
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if (step + 1) % 50 == 0:
            print(f"step {step + 1}/{steps}  masks {strong.item():.3f}  main {salience.item():.3f}",
                  flush=True)  # fmt: skip
    head = head.cpu().eval()
    _report(head, views, cells)
    _report_mains(head, views, maps)
    return head


def cut(views: Views, rows: NDArray[np.int64], device: str) -> tuple[Tensor, Tensor]:
    """The fine and coarse maps of some views."""
    fine, coarse = (torch.from_numpy(maps[rows]).to(device).float()
                    for maps in (views.fine, views.coarse))  # fmt: skip
    return fine, coarse


@torch.no_grad()
def _report_mains(
    head: RegionHead, views: Views, maps: dict[tuple[str, str], NDArray[np.uint8]]
) -> None:
    for name in ("coco", "caltech", "flowers"):
        rows = [i for i, r in enumerate(views.records) if r.set_name == name and r.held_out
                and r.view == "full" and (name, r.file) in maps]  # fmt: skip
        if not rows:
            continue
        logits = head(*cut(views, np.array(rows), "cpu"))
        main = np.stack([maps[name, views.records[i].file] for i in rows]) / 255
        theirs = torch.cat(
            [logits[:, : OTHER + 1], torch.from_numpy(main)[:, None].float() - 0.5], 1
        )
        pairs = zip(main_boxes(logits).tolist(), main_boxes(theirs).tolist(), strict=True)
        overlap = np.array([iou(a, b) for a, b in pairs])
        print(
            f"held out {name}: {len(rows)} main things, overlap with the network's box "
            f"{overlap.mean():.3f}, {(overlap >= 0.5).mean():.3f} above 0.5"
        )


@torch.no_grad()
def _report(head: RegionHead, views: Views, cells: Tensor) -> None:
    for name in ("coco", "camvid"):
        rows = [i for i, r in enumerate(views.records) if r.set_name == name and r.held_out
                and bool((cells[i] != _IGNORED).any())]  # fmt: skip
        if not rows:
            continue
        logits = head(*cut(views, np.array(rows), "cpu"))[:, : OTHER + 1]
        known = cells[rows] != _IGNORED
        right = (logits.argmax(1) == cells[rows])[known].float().mean()
        print(f"held out {name}: {len(rows)} views, cells right {right:.3f}")


def region_head(weights: dict[str, Float]) -> RegionHead:
    """The trained head."""
    head = RegionHead()
    state = {k.removeprefix("regions."): torch.from_numpy(v) for k, v in weights.items()}
    head.load_state_dict(state)
    return head.eval()


@torch.no_grad()
def all_regions(head: RegionHead, views: Views) -> tuple[Float, Float]:
    """Measures (V, R, 2) and boxes (V, R, 4) of every view."""
    found: list[tuple[Tensor, Tensor]] = []
    for start in range(0, len(views.records), 64):
        rows = np.arange(start, min(start + 64, len(views.records)))
        found.append(region_rows(head(*cut(views, rows, "cpu"))))
    return torch.cat([m for m, _ in found]).numpy(), torch.cat([b for _, b in found]).numpy()


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.pocket.regions")
    parser.add_argument("--views", type=Path, required=True, help="folder of the features step")
    parser.add_argument("--data", type=Path, required=True, help="folder of the packed sets")
    parser.add_argument("--mains", type=Path, required=True, help="file of the mains step")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    views = load_views(options.views)
    head = train(views, options.data, options.mains, options.steps, options.device)
    weights = {f"regions.{k}": v.numpy() for k, v in head.state_dict().items()}
    np.savez(options.out, **weights)


if __name__ == "__main__":
    main()
