"""From views and labels to what is known of each picture, and the tokenizer for saying it.

Two small probes on the frozen features fill gaps: the scene of photographs without a scene name,
and the box of the one object that a whole picture's label names.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from kosmoscope.evaluation.words import PLAIN, plain
from kosmoscope.geometry import XYXY
from kosmoscope.model.detector_tower import COARSE
from recipes.pocket.features import TOWER, Views
from recipes.pocket.knowledge import Knowledge, know, without_label
from recipes.pocket.regions import RegionHead, region_rows
from recipes.pocket.targets import SCENE_PHRASES, examples
from recipes.pocket.teachers import Float
from recipes.pocket.tokenizer import build_tokenizer, read_lines, save_tokenizer

ORDINARY_PIECES = 2600
_SCENES = tuple(SCENE_PHRASES)
_NO_SCENE = len(_SCENES)
_SURE_SCENE = 0.85
_OBJECT_SETS = ("caltech", "tinyimagenet", "imagenet1k")
_TAG = re.compile(r"<[^<>]+>")


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
        rows = slice(start, start + 64)
        fine = torch.from_numpy(views.fine[rows]).float()
        found.append(region_rows(head(fine, torch.from_numpy(views.coarse[rows]).float())))
    return torch.cat([m for m, _ in found]).numpy(), torch.cat([b for _, b in found]).numpy()


def guess_scenes(views: Views, steps: int = 400) -> list[str | None]:
    """The scene of each view where a linear probe is sure of one."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    whole = torch.from_numpy(views.whole.astype(np.float32))
    whole = (whole - whole.mean(0)) / (whole.std(0) + 1e-3)
    targets = np.full(len(views.records), -1)
    for i, record in enumerate(views.records):
        if record.scene in _SCENES:
            targets[i] = _SCENES.index(record.scene)
        elif record.label is not None and record.label not in ("house", "alp", "seashore"):
            targets[i] = _NO_SCENE
    known = [np.nonzero((targets == c) & [not r.held_out for r in views.records])[0]
             for c in range(_NO_SCENE + 1)]  # fmt: skip
    known = [rows for rows in known if len(rows)]
    probe = nn.Linear(whole.shape[1], _NO_SCENE + 1)
    optimiser = torch.optim.AdamW(probe.parameters(), lr=2e-3, weight_decay=0.3)
    for _ in range(steps):
        rows = np.concatenate([rng.choice(rows, 24) for rows in known])
        x = functional.dropout(whole[rows], 0.4)
        loss = functional.cross_entropy(probe(x), torch.from_numpy(targets[rows]))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        shares, best = probe(whole).softmax(1).max(1)
    right = [int(best[i]) == targets[i] for i, r in enumerate(views.records)
             if r.scene in _SCENES and r.held_out]  # fmt: skip
    print(f"scene probe: {np.mean(right) if right else 0:.3f} of {len(right)} held out")
    return [
        _SCENES[int(b)] if int(b) != _NO_SCENE and float(s) > _SURE_SCENE else None
        for s, b in zip(shares, best, strict=True)
    ]


class _MainBox(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Conv2d(COARSE, 48, 1)
        self.mix = nn.Linear(48 * TOWER.grid**2, 160)
        self.box = nn.Linear(160, 4)

    def forward(self, grid: Tensor) -> Tensor:
        h = functional.dropout(functional.gelu(self.cells(grid)).flatten(1), 0.3, self.training)
        result: Tensor = self.box(functional.gelu(self.mix(h))).sigmoid()
        return result


def guess_main_boxes(views: Views, steps: int = 500) -> list[XYXY]:
    """A box around the one object of each view, learned where it is known."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    boxes = np.zeros((len(views.records), 4), np.float32)
    for i, record in enumerate(views.records):
        things = [b for b in record.boxes if not b.stuff]
        best = views.detections[i, 0]
        if len(things) == 1:
            boxes[i] = things[0].xyxy
        elif record.label and best[:80].max() > 0.55 and views.detections[i, 1, :80].max() < 0.4:
            boxes[i] = best[81:85]
    known = [i for i, r in enumerate(views.records) if boxes[i].any() and not r.held_out]
    held = [i for i, r in enumerate(views.records) if boxes[i].any() and r.held_out]
    net = _MainBox()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1.5e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, steps)
    for _ in range(steps):
        rows = rng.choice(known, 64)
        grid = torch.from_numpy(views.coarse[rows]).float() / 3
        target = torch.from_numpy(boxes[rows])
        if rng.random() < 0.5:
            grid, target = grid.flip(-1), target[:, [2, 1, 0, 3]]
            target = torch.stack([1 - target[:, 0], target[:, 1], 1 - target[:, 2], target[:, 3]],
                                 1)  # fmt: skip
        loss = functional.l1_loss(net(grid), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    net.eval()
    found: list[XYXY] = []
    with torch.no_grad():
        for start in range(0, len(boxes), 256):
            grid = torch.from_numpy(views.coarse[start : start + 256]).float() / 3
            for x1, y1, x2, y2 in net(grid).tolist():
                found.append((x1, y1, max(x2, x1 + 0.05), max(y2, y1 + 0.05)))
    if held:
        gap = np.abs(np.array([found[i] for i in held]) - boxes[held]).mean()
        print(f"main boxes: mean distance {gap:.3f} on {len(held)} held out")
    return found


def predictable_labels(views: Views, folds: int = 3, steps: int = 250) -> list[bool]:
    """Whether each view's label is what a linear probe that never saw the picture says.

    A label that the features do not tell would be learned as a name to guess. Without it the text
    says what else is known, or "a scene".
    """
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    names = [None if r.label is None else plain(r.label) for r in views.records]
    classes = {name: i for i, name in enumerate(sorted({n for n in names if n is not None}))}
    targets = torch.tensor([-1 if n is None else classes[n] for n in names])
    whole = torch.from_numpy(views.whole.astype(np.float32))
    whole = (whole - whole.mean(0)) / (whole.std(0) + 1e-3)
    fold = torch.from_numpy(rng.integers(0, folds, len(names)))
    told = np.zeros(len(names), bool)
    for number in range(folds):
        learned = torch.nonzero((targets >= 0) & (fold != number))[:, 0]
        probe = nn.Linear(whole.shape[1], len(classes))
        optimiser = torch.optim.AdamW(probe.parameters(), lr=2e-3, weight_decay=0.3)
        for _ in range(steps):
            rows = learned[torch.from_numpy(rng.integers(0, len(learned), 256))]
            loss = functional.cross_entropy(
                probe(functional.dropout(whole[rows], 0.5)), targets[rows]
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        asked = torch.nonzero((targets >= 0) & (fold == number))[:, 0]
        with torch.no_grad():
            told[asked.numpy()] = (probe(whole[asked]).argmax(1) == targets[asked]).numpy()
    print(f"labels told by the features: {told[targets.numpy() >= 0].mean():.3f}")
    return told.tolist()


def all_knowledge(views: Views, regions: tuple[Float, Float]) -> list[Knowledge]:
    """What is known of every view."""
    scenes, main = guess_scenes(views), guess_main_boxes(views)
    told = predictable_labels(views)
    found = []
    for i, record in enumerate(views.records):
        scene = scenes[i] if record.set_name in ("coco", "flickr8k", "imagenet1k") else None
        measures = (regions[0][i], regions[1][i])
        known = know(record, views.detections[i], measures, scene, main[i])
        if record.set_name in _OBJECT_SETS:
            # One picture a class teaches no name; only those that others share are taken.
            lonely = record.set_name == "imagenet1k" and record.label not in PLAIN
            if lonely or not told[i]:
                known = without_label(known)
            # Close-ups of objects are not what the regions were learned from.
            known.stuff = {}
        found.append(known)
    return found


def corpus(known: list[Knowledge], seed: int = 0) -> Iterator[str]:
    """The texts of all pictures without their tags."""
    rng = np.random.default_rng(seed)
    for entry in known:
        for example in examples(entry, rng):
            yield _TAG.sub("", example.prompt + example.target)


def prepare_tokenizer(
    captions: Path, known: list[Knowledge], folder: Path, slots: int
) -> Tokenizer:
    """The run's tokenizer: read where it was trained before, else trained now."""
    path = folder / "tokenizer.json"
    if not path.exists():
        lines = itertools.chain(read_lines(captions), corpus(known))
        trained = build_tokenizer(lines, ordinary_pieces=ORDINARY_PIECES, reserved_slots=slots)
        save_tokenizer(trained, folder)
    return Tokenizer.from_file(str(path))
