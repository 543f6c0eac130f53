"""Batches: views with the texts of several tasks side by side."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from kosmoscope.geometry import XYXY, iou
from recipes.pocket.features import Views
from recipes.pocket.knowledge import (
    SURE,
    SURE_NAME,
    Found,
    Knowledge,
    call,
    detections,
    right_share,
    sure_from,
)
from recipes.pocket.names import Names
from recipes.pocket.network import Seen
from recipes.pocket.targets import Example, examples, scene_entity
from recipes.pocket.teachers import Float
from recipes.pocket.tokenizer import BOS, EOS, GRID, LOCATION_COUNT, PAD

_FIRST_SLOT_ID = 4
_PASTED, _MOST_PASTED = 0.5, 3
_BORROWED = 0.4
"""How often a picture gets another's regions: what stuff there is must be read off the regions, not
guessed from what such pictures usually have."""
_RENAMED = 0.3
"""How often a picture gets another's name, or one out of the air: what a thing is called must be
read off the names, and there are more names than pictures of them."""
_OUT_OF_THE_AIR = 0.6
# How often a set is drawn; sets without an entry are not.
SHARES = {"coco": 0.26, "flickr8k": 0.2, "intel": 0.18, "pacs": 0.1, "caltech": 0.08,
          "tinyimagenet": 0.05, "imagenet1k": 0.07, "camvid": 0.02, "flowers": 0.04}  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """B pictures, T tokens."""

    seen: Seen
    ids: Tensor
    """(B, T)"""
    positions: Tensor
    """(B, T) rows of the position table; the first token has 2."""
    mask: Tensor
    """(B, 1, T, T), 0 or very negative."""
    labels: Tensor
    """(B, T) the id to predict there, -100 where nothing is learned."""
    corners: Tensor
    """(B, T, 3) of a location to predict: x, y in 0..1 and the deviation in cells."""

    def to(self, device: str) -> Batch:
        """The same on a device."""
        tensors = {f.name: getattr(self, f.name).to(device) for f in fields(self)}
        return Batch(**tensors)


def deviation(right: float) -> float:
    """The spread, in cells, at which a box of exact corners has the score `right`.

    A box's score is the product of its two corners' mass within one cell; a corner's mass is that
    of its two axes, each a normal distribution.
    """
    axis = min(max(right, 0.05), 0.97) ** 0.25
    return min(max(1.5 / NormalDist().inv_cdf((1 + axis) / 2), 0.45), 1.8)


def _mirrored(box: XYXY) -> XYXY:
    x1, y1, x2, y2 = box
    return 1 - x2, y1, 1 - x1, y2


def _flip(known: Knowledge) -> Knowledge:
    def turn(found: Found) -> Found:
        return replace(found, xyxy_norm=_mirrored(found.xyxy_norm))

    return replace(
        known,
        things={n: [turn(b) for b in boxes] for n, boxes in known.things.items()},
        faint={n: [turn(b) for b in boxes] for n, boxes in known.faint.items()},
        stuff={n: turn(b) for n, b in known.stuff.items()},
    )


class Batcher:
    """Batches as a function of the step, so that a resumed run sees what it would have seen."""

    def __init__(
        self,
        views: Views,
        known: Sequence[Knowledge],
        regions: tuple[Float, Float],
        names: Names,
        tokenizer: Tokenizer,
        latents: int,
        size: int,
    ) -> None:
        self.views, self.known, self.regions, self.names = views, known, regions, names
        self.tokenizer, self.size = tokenizer, size
        slots = range(_FIRST_SLOT_ID, _FIRST_SLOT_ID + latents)
        opening, closing = (tokenizer.token_to_id(tag) for tag in ("<image>", "</image>"))
        self.prefix = [BOS, opening, *slots, closing]
        self.object_close, self.space = (tokenizer.token_to_id(t) for t in ("</object>", "▁"))
        pairs = [(tokenizer.token_to_id("▁" + m), tokenizer.token_to_id(m)) for m in ",."]
        self.marks = {spaced: mark for spaced, mark in pairs if spaced is not None}
        self.bare = {mark for _, mark in pairs}
        self.first_cell = tokenizer.get_vocab_size() - LOCATION_COUNT
        sets: dict[str, list[int]] = {}
        for i, record in enumerate(views.records):
            if not record.held_out and record.set_name in SHARES:
                sets.setdefault(record.set_name, []).append(i)
        self.rows = np.concatenate([np.array(rows) for rows in sets.values()])
        weights = np.concatenate([np.full(len(r), SHARES[n] / len(r)) for n, r in sets.items()])
        self.weights = weights / weights.sum()
        self.pool: dict[str, list[tuple[int, int]]] = {}
        for i in self.rows:
            for d in detections(views.detections[i]):
                if d.score >= SURE and d.lead > 0.7:
                    self.pool.setdefault(d.name, []).append((int(i), d.slot))

        self.called: dict[str, list[int]] = {}
        for i in self.rows:
            main = names.of(names.shares[i], names.boxes[i])
            if main.right >= SURE_NAME:
                self.called.setdefault(main.name, []).append(int(i))

        # Pictures that know their regions: those with a given one, and all of them ("").
        self.lenders: dict[str, list[int]] = {}
        for i in self.rows:
            for name in ("", *known[i].stuff) if known[i].stuff else ():
                self.lenders.setdefault(name, []).append(int(i))

    def at(self, step: int, seed: int = 0) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng([seed, step])
        chosen = rng.choice(self.rows, self.size, p=self.weights)
        found, measures, boxes, grids, texts = [], [], [], [], []
        shares, mains = [], []
        for i in chosen:
            rows, known = self.views.detections[i], self.known[i]
            grid, lender = self.views.coarse[i], self._lender(known, rng)
            if lender is not None:
                known = replace(known, stuff=self.known[lender].stuff)
            measured = i if lender is None else lender
            region_boxes, main = self.regions[1][measured], self.names.boxes[i]
            told = self.names.shares[i]
            if rng.random() < 0.5:
                rows, known = _flip_rows(rows), _flip(known)
                region_boxes, main = _flip_rows(region_boxes, 0), _flip_rows(main[None], 0)[0]
                grid = grid[..., ::-1]
            if rng.random() < _RENAMED:
                told, known = self._rename(told, main, known, rng)
            if rng.random() < _PASTED:
                for _ in range(int(rng.integers(1, _MOST_PASTED + 1))):
                    rows, known = self._paste(rows, known, rng)
            found.append(rows)
            measures.append(self.regions[0][measured])
            boxes.append(region_boxes)
            shares.append(told.astype(np.float32))
            mains.append(main)
            grids.append(grid.astype(np.float32))
            texts.append(list(examples(known, rng)))
        whole = self.views.whole[chosen].astype(np.float32)
        parts = (np.stack(found), np.stack(measures), np.stack(boxes), np.stack(shares),
                 np.stack(mains), whole, np.stack(grids))  # fmt: skip
        seen = Seen(*[torch.from_numpy(part) for part in parts])
        return self.collate(seen, texts)

    def _lender(self, known: Knowledge, rng: np.random.Generator) -> int | None:
        """Another picture that has what this one's scene is called after, at times."""
        if not known.stuff or rng.random() >= _BORROWED:
            return None
        of_scene = scene_entity(known)
        wanted = "" if of_scene is None else of_scene[1][0]
        lenders = self.lenders.get(wanted, ())
        return int(lenders[int(rng.integers(len(lenders)))]) if len(lenders) else None

    def _rename(
        self,
        told: NDArray[np.float16],
        main: Float,
        known: Knowledge,
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.float16], Knowledge]:
        """Call the main thing something else."""
        own = self.names.of(told, main)
        if known.scene is not None or (own.name in known.things and known.called != own.name):
            return told, known
        if rng.random() < _OUT_OF_THE_AIR:
            told = np.zeros_like(told)
            some = rng.choice(told.shape[1], 3, replace=False)
            for row in range(2):
                first = rng.uniform(0.1 if row == 0 else 0.3, 1)
                told[row, some] = [first, *((1 - first) * np.sort(rng.dirichlet([1, 1, 1]))[:0:-1])]
        elif self.called:
            lenders = self.called[str(rng.choice(list(self.called)))]
            told = self.names.shares[lenders[int(rng.integers(len(lenders)))]]
        known = copy.deepcopy(known)
        if known.called is not None:
            del known.things[known.called]
            known.called = known.label = None
        name = self.names.of(told, main)
        call(known, name)
        known.seen |= {name.name}
        return told, known

    def _paste(
        self, rows: Float, known: Knowledge, rng: np.random.Generator
    ) -> tuple[Float, Knowledge]:
        """Add another picture's detection, at another place and size.

        Half of them are of a class that is there already, so that there are many to count; the
        others of a class drawn evenly, so that rare ones come up too.
        """
        if not self.pool:
            return rows, known
        present = [name for name in known.things if name in self.pool]
        more = bool(present) and rng.random() < 0.5
        name = str(rng.choice(present if more else list(self.pool)))
        picture, slot = self.pool[name][int(rng.integers(len(self.pool[name])))]
        row = self.views.detections[picture, slot].copy()
        row[81:85] = _moved(row[81:85], rng)
        x1, y1, x2, y2 = (float(e) for e in row[81:85])
        found = Found((x1, y1, x2, y2), right_share(float(row[:80].max())))
        there = [b for boxes in known.things.values() for b in boxes]
        clash = any(iou(found.xyxy_norm, b.xyxy_norm) > 0.3 for b in there)
        if clash or name == known.label or row[:80].max() < sure_from(found.area):
            return rows, known
        known = copy.deepcopy(known)
        known.things.setdefault(name, []).append(found)
        known.seen |= {name}
        rows = np.concatenate([rows[:-1], row[None]])
        return rows[np.argsort(-rows[:, :80].max(1), kind="stable")], known

    def encode(self, text: str) -> list[int]:
        """Ids of a text without <s> and </s>.

        The tokenizer puts a space before whatever follows a tag. Before a comma or a full stop
        there is none, so that the model learns to say none.
        """
        ids: list[int] = list(self.tokenizer.encode(text, add_special_tokens=False).ids)
        found: list[int] = []
        for i in ids:
            mark = self.marks.get(i)
            if mark is not None and found and found[-1] == self.object_close:
                found.append(mark)
            elif i in self.bare and found[-2:] == [self.object_close, self.space]:
                found[-1] = i
            else:
                found.append(i)
        return found

    def collate(self, seen: Seen, texts: Sequence[Sequence[Example]]) -> Batch:
        """Lay the tasks of each picture side by side behind its prefix."""
        rows = [self._row(tasks) for tasks in texts]
        length = max(len(row[0]) for row in rows)
        fills = (PAD, PAD, -1, -100)
        ids, positions, segments, labels = (
            torch.tensor([row[i] + [fill] * (length - len(row[i])) for row in rows])
            for i, fill in enumerate(fills)
        )
        corners = np.zeros((len(rows), length, 3), np.float32)
        for n, row in enumerate(rows):
            corners[n, : len(row[4])] = row[4]
        same = segments[:, :, None] == segments[:, None, :]  # (B, query, key)
        visible = same | (segments[:, None, :] == 0)
        visible &= torch.ones(length, length).tril().bool()
        mask = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
        return Batch(seen, ids, positions, mask[:, None], labels, torch.from_numpy(corners))

    def _row(
        self, tasks: Sequence[Example]
    ) -> tuple[list[int], list[int], list[int], list[int], NDArray[np.float32]]:
        ids = list(self.prefix)
        positions = [2 + index for index in range(len(ids))]
        segments, labels = [0] * len(ids), [-100] * len(ids)
        corners: list[tuple[float, float, float]] = [(0.0, 0.0, 0.0)] * len(ids)
        for number, task in enumerate(tasks, start=1):
            prompt, target = self.encode(task.prompt), [*self.encode(task.target), EOS]
            # The last token predicts nothing, so it is not fed.
            words = [*prompt, *target[:-1]]
            ids += words
            positions += [2 + len(self.prefix) + index for index in range(len(words))]
            segments += [number] * len(words)
            labels += [-100] * (len(prompt) - 1) + target
            ends = iter(
                [(x, y, deviation(b.right)) for b in task.boxes
                 for x, y in (b.xyxy_norm[:2], b.xyxy_norm[2:])]
            )  # fmt: skip
            corners += [(0.0, 0.0, 0.0)] * (len(prompt) - 1)
            corners += [next(ends) if t >= self.first_cell else (0.0, 0.0, 0.0) for t in target]
        return ids, positions, segments, labels, np.array(corners, np.float32)


def _moved(box: Float, rng: np.random.Generator) -> Float:
    """A box of 0.6 to 1.4 times the size, anywhere in the picture."""
    sides = np.minimum((box[2:] - box[:2]) * rng.uniform(0.6, 1.4), 1.0)
    corner = rng.uniform(0, 1, 2) * (1 - sides)
    return np.concatenate([corner, corner + sides]).astype(np.float32)


def _flip_rows(rows: Float, start: int = 81) -> Float:
    there = (rows[:, start : start + 4].any(1, keepdims=True)).astype(np.float32)
    turned = rows.copy()
    turned[:, start] = 1 - rows[:, start + 2]
    turned[:, start + 2] = 1 - rows[:, start]
    turned[:, start : start + 4] *= there
    return turned


def spread(corners: Tensor) -> Tensor:
    """(N, 3) -> (N, 1024): the share of each cell under a normal distribution around a corner."""
    edges = torch.arange(GRID + 1, device=corners.device) / GRID
    x, y, sigma = (corners[:, i, None] for i in range(3))
    shares = []
    for at in (y, x):
        z = (edges[None] - at) * GRID / sigma
        mass = torch.special.ndtr(z).diff(dim=1).clamp_min(1e-9)
        shares.append(mass / mass.sum(1, keepdim=True))
    both: Tensor = shares[0][:, :, None] * shares[1][:, None, :]
    return both.flatten(1)
