"""Look into the main thing of each view, and teach the classifier's last layer more names.

    python -m recipes.pocket.names --views FOLDER --data FOLDER --teachers FOLDER \\
        --regions regions.npz --out names.npz --set coco:1:2:1 --set intel:2:0:0

The sets are given as to the features step. ImageNet's thousand rows stay as they are but for their
biases; rows for `naming.EXTRA` and for scenery are learned behind them, on the whole pictures and
on what is cut out of them. `--out` holds the layer, and of each view what the whole picture and its
main thing may be called.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from kosmoscope.files.writing import write_file
from kosmoscope.model.detector.shapes import POOLED
from recipes.pocket.features import TOWER, Views, load_views, looked_at, set_sizes, views_of
from recipes.pocket.knowledge import Named
from recipes.pocket.naming import EXTRA, GROUP, IMAGENET, LABELS, NAMES, name_of
from recipes.pocket.regions import cut, main_boxes, region_head
from recipes.pocket.teachers import Float, read_labels, read_teachers
from recipes.pocket.vision import Frozen

_OBJECT_SETS = ("caltech", "tinyimagenet", "pacs", "flowers")
_SCENE_SETS = ("intel", "camvid")


@dataclass(frozen=True)
class Names:
    """Of each view."""

    shares: NDArray[np.float16]
    """(V, 2, names): how likely each name is for the whole picture, and for its main thing."""
    boxes: Float
    """(V, 4): of the main thing."""
    right: Float
    """(n, 2): a share of the likeliest name, rising, and how often the name is right then."""
    layer: dict[str, Float]
    """The tensors of the last layer."""

    def of(self, shares: NDArray[np.float16], box: Float) -> Named:
        """The likeliest name of a view, from (2, names) and (4,)."""
        mean = shares.astype(np.float32).mean(0)
        right = float(np.interp(mean.max(), self.right[:, 0], self.right[:, 1]))
        x1, y1, x2, y2 = (float(e) for e in box)
        return Named(NAMES[int(mean.argmax())], right, (x1, y1, x2, y2))


def load_names(path: Path) -> Names:
    """Read what `main` wrote."""
    with np.load(path) as stored:
        layer = {k: stored[k] for k in stored.files if k.startswith("names.")}
        return Names(stored["shares"], stored["boxes"], stored["right"], layer)


@torch.no_grad()
def all_mains(views: Views, regions: dict[str, Float], device: str) -> Float:
    """The main thing's box of each view, (V, 4)."""
    head = region_head(regions).to(device)
    found = []
    for start in range(0, len(views.records), 64):
        rows = np.arange(start, min(start + 64, len(views.records)))
        found.append(main_boxes(head(*cut(views, rows, device))).cpu())
    return torch.cat(found).numpy()


def insides(
    views: Views, boxes: Float, data: Path, sets: list[str], frozen: Frozen
) -> NDArray[np.float32]:
    """The classifier's features (V, 1280) of each view's main thing."""
    found = np.zeros((len(views.records), POOLED), np.float32)
    at = {(r.set_name, r.file, r.view): i for i, r in enumerate(views.records)}
    for entry in sets:
        name, sizes = set_sizes(entry)
        rows: list[int] = []

        def pictures(
            name: str = name, sizes: tuple[int, int, int] = sizes, rows: list[int] = rows
        ) -> Iterator[Image.Image]:
            for record, picture, _ in views_of(data, name, sizes):
                rows.append(at[record.set_name, record.file, record.view])
                yield picture

        def look(numbers: list[int], pixels: Tensor, rows: list[int] = rows) -> list[Float]:
            mine = torch.from_numpy(boxes[[rows[n] for n in numbers]])
            return list(frozen.inside(pixels, mine).cpu().numpy())

        seen = looked_at(pictures(), look)
        found[rows] = np.stack(seen)
        print(f"{name}: {len(rows)} main things", flush=True)
    return found


class Layer(nn.Module):
    """Features (n, 1280) -> the share of each class, (n, labels), as logarithms."""

    def __init__(self, weight: Float, bias: Float) -> None:
        super().__init__()
        more = len(LABELS) - len(IMAGENET)
        self.register_buffer("known", torch.from_numpy(weight))
        self.more = nn.Parameter(torch.zeros(more, POOLED))
        self.bias = nn.Parameter(torch.cat([torch.from_numpy(bias), torch.zeros(more)]))
        # Trained with smoothed labels at 224 pixels, it is less sure than it is right.
        self.sharper = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        """Logarithms of shares that sum to 1."""
        return functional.log_softmax(x @ self.weight().T + self.bias, -1)

    def weight(self) -> Tensor:
        """(labels, 1280)"""
        return torch.cat([self.sharper * self.get_buffer("known"), self.more])


def wanted(views: Views) -> NDArray[np.int64]:
    """The name that is right for each view, -1 where that is unknown, -2 of scenery."""
    found = np.full(len(views.records), -1)
    for i, r in enumerate(views.records):
        if r.held_out:
            continue
        if r.set_name in _SCENE_SETS:
            found[i] = -2
        elif r.label is not None and r.set_name in _OBJECT_SETS:
            name = name_of(r.label)
            found[i] = -1 if name is None else NAMES.index(name)
    return found


def train(
    whole: Tensor, inner: Tensor, views: Views, layer: Layer, steps: int, device: str
) -> None:
    """Learn the further rows and all biases."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    right = wanted(views)
    kinds = [k for k in np.unique(right) if k != -1]
    rows = {k: np.flatnonzero(right == k) for k in kinds}
    learned = {NAMES.index(n) for n in EXTRA} | {-2}
    # Further names most often, since the others know theirs.
    odds = np.array([3.0 if k in learned else 0.5 for k in kinds])
    odds[kinds.index(-2)] = 30.0 if -2 in kinds else 0.0
    group = torch.from_numpy(GROUP).to(device)
    start = layer.bias.detach().clone()
    optimiser = torch.optim.AdamW([
        {"params": [layer.more], "weight_decay": 0.02},
        {"params": [layer.bias, layer.sharper], "weight_decay": 0},
    ], lr=2e-3)  # fmt: skip
    for step in range(steps):
        some = rng.choice(len(kinds), 256, p=odds / odds.sum())
        picked = np.array([rng.choice(rows[kinds[k]]) for k in some])
        x = torch.where(torch.rand(256, 1) < 0.5, whole[picked], inner[picked]).to(device)
        shares = layer(functional.dropout(x, 0.2))
        target = torch.tensor([int(kinds[k]) for k in some], device=device)
        mine = torch.where(
            target[:, None] == -2,
            torch.arange(len(LABELS), device=device) == len(LABELS) - 1,
            group[None] == target[:, None],
        )
        loss = -torch.logsumexp(shares.masked_fill(~mine, -30.0), 1).mean()
        loss = loss + 0.02 * (layer.bias - start).square().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if (step + 1) % 100 == 0:
            sharper = layer.sharper.item()
            print(f"step {step + 1}/{steps}  {loss.item():.3f}  sharper {sharper:.2f}", flush=True)


@torch.no_grad()
def shares_of(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """The names' shares (V, names) of features (V, 1280)."""
    together = torch.zeros(len(LABELS), len(NAMES))
    kept = np.flatnonzero(GROUP >= 0)
    together[kept, GROUP[kept]] = 1
    device = weight.device
    parts = [
        (rows.to(device) @ weight.T + bias).softmax(-1).cpu() @ together
        for rows in torch.split(x, 2048)
    ]
    return torch.cat(parts)


def report(views: Views, shares: NDArray[np.float16]) -> None:
    """How often the likeliest name is right on pictures held out, and how sure it is then."""
    for name in _OBJECT_SETS:
        rows = [i for i, r in enumerate(views.records)
                if r.set_name == name and r.held_out and r.label and name_of(r.label)]  # fmt: skip
        if not rows:
            continue
        right = np.array([NAMES.index(name_of(views.records[i].label or "") or "") for i in rows])
        said = {"whole": shares[rows, 0], "main": shares[rows, 1],
                "mean": shares[rows].astype(np.float32).mean(1)}  # fmt: skip
        for kind, s in said.items():
            true, sure = s.argmax(1) == right, s.max(1)
            parts = [f"held out {name}, {kind}: {true.mean():.3f} of {len(rows)}"]
            parts += [
                f"{kept.mean():.2f} surer than {least}: {true[kept].mean():.3f}"
                for least in (0.2, 0.3, 0.4, 0.5, 0.6)
                if (kept := sure > least).any()
            ]
            print(";  ".join(parts))


def reliability(views: Views, shares: NDArray[np.float16]) -> Float:
    """(n, 2): the mean share in each tenth of the pictures held out, and how many names are right.

    Never falling, since a higher share is no reason to doubt a name.
    """
    rows = [
        i
        for i, r in enumerate(views.records)
        if r.set_name in _OBJECT_SETS and r.held_out and r.label and name_of(r.label)
    ]
    right = np.array([NAMES.index(name_of(views.records[i].label or "") or "") for i in rows])
    mean = shares[rows].astype(np.float32).mean(1)
    sure, true = mean.max(1), mean.argmax(1) == right
    parts = np.array_split(np.argsort(sure), min(10, len(rows)))
    table = [(float(sure[part].mean()), float(true[part].mean())) for part in parts]
    found = np.array([(0.0, 0.0), *table], np.float32)
    found[:, 1] = np.maximum.accumulate(found[:, 1])
    print("share and right:", "  ".join(f"{a:.2f} {b:.2f}" for a, b in found))
    return found


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m recipes.pocket.names")
    parser.add_argument("--views", type=Path, required=True, help="folder of the features step")
    parser.add_argument("--data", type=Path, required=True, help="folder of the packed sets")
    parser.add_argument("--teachers", type=Path, required=True, help="folder of the networks")
    parser.add_argument("--regions", type=Path, required=True, help="file of the regions step")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", required=True, metavar="NAME:EVERY:CROPS:SMALL")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--layer", type=Path, help="file of an earlier run, whose layer is kept")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    views = load_views(options.views)
    with np.load(options.regions) as stored:
        boxes = all_mains(views, dict(stored), options.device)
    frozen = Frozen(TOWER, read_teachers(options.teachers), options.device)
    inner = torch.from_numpy(insides(views, boxes, options.data, options.set, frozen))
    whole = torch.from_numpy(views.whole.astype(np.float32))
    if options.layer is None:
        layer = Layer(*read_labels(options.teachers)).to(options.device)
        train(whole, inner, views, layer, options.steps, options.device)
        weight, bias = layer.weight().detach(), layer.bias.detach()
    else:
        with np.load(options.layer) as stored:
            weight, bias = (torch.from_numpy(stored[f"names.{k}"]).float().to(options.device)
                            for k in ("weight", "bias"))  # fmt: skip
            right = stored["right"]
    shares = torch.stack([shares_of(weight, bias, x) for x in (whole, inner)], 1)
    kept = shares.half().numpy()
    report(views, kept)
    tensors = {"names.weight": weight.cpu().numpy(), "names.bias": bias.cpu().numpy(),
               "names.group": GROUP.astype(np.float32)}  # fmt: skip
    if options.layer is None:
        right = reliability(views, kept)
    buffer = io.BytesIO()
    np.savez(buffer, shares=kept, boxes=boxes, right=right, **tensors)  # type: ignore[arg-type]
    write_file(options.out, buffer.getvalue())


if __name__ == "__main__":
    main()
