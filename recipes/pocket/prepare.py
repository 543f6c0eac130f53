"""From views and labels to what is known of each picture, and the tokenizer for saying it.

A small probe on the frozen features fills a gap: the scene of photographs without a scene name.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

from kosmoscope.evaluation.words import counted
from recipes.pocket.features import Views
from recipes.pocket.knowledge import Knowledge, know
from recipes.pocket.names import Names
from recipes.pocket.naming import NAMES
from recipes.pocket.targets import SCENE_PHRASES, examples
from recipes.pocket.teachers import Float
from recipes.pocket.tokenizer import build_tokenizer, read_lines, save_tokenizer

ORDINARY_PIECES = 2600
_SCENES = tuple(SCENE_PHRASES)
_NO_SCENE = len(_SCENES)
_SURE_SCENE = 0.85
_OBJECT_SETS = ("caltech", "tinyimagenet", "imagenet1k", "flowers")
_EACH_NAME = 40
"""Times that each name stands among the texts, so that its words are pieces."""
_TAG = re.compile(r"<[^<>]+>")


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


def all_knowledge(views: Views, regions: tuple[Float, Float], names: Names) -> list[Knowledge]:
    """What is known of every view."""
    scenes = guess_scenes(views)
    found = []
    for i, record in enumerate(views.records):
        scene = scenes[i] if record.set_name in ("coco", "flickr8k", "imagenet1k") else None
        measures = (regions[0][i], regions[1][i])
        main = names.of(names.shares[i], names.boxes[i])
        known = know(record, views.detections[i], measures, main, scene)
        if record.set_name in _OBJECT_SETS and known.things:
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
    for name in NAMES * _EACH_NAME:
        yield f"An image of {counted(name, 1)}"


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
