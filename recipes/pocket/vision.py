"""The frozen half of the tower in PyTorch, for many pictures at once, on whatever device.

The product runs the same weights as `kosmoscope.model.detector` writes them into a graph;
tests/test_detector_tower.py holds one against the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from kosmoscope.model.config import DetectorVisionConfig
from kosmoscope.model.detector.looks import AGREES, ANCHORS, CANDIDATES, TWIN
from kosmoscope.model.detector.scenery import LEAST_SIDE, MARGIN
from kosmoscope.model.detector.shapes import (
    BINS,
    BLOCKS,
    CLASSES,
    FINE_BLOCK,
    MEAN,
    STAGES,
    STD,
    STEM,
    STRIDES,
)
from recipes.pocket.teachers import Float


@dataclass(frozen=True)
class Sight:
    """What the frozen networks say of B pictures of one size."""

    detections: Tensor
    """(B, K, 85): shares of the classes, lead, box; zeros where nothing is."""
    fine: Tensor
    coarse: Tensor
    whole: Tensor
    """(B, 1280)"""


class _Net(nn.Module):
    def __init__(self, weights: Mapping[str, Float]) -> None:
        super().__init__()
        for name, value in weights.items():
            self.register_buffer(name.replace(".", "_"), torch.from_numpy(value).float())

    def conv(
        self, x: Tensor, name: str, stride: int = 1, act: str = "", *, same: bool = False
    ) -> Tensor:
        key = name.replace(".", "_")
        weight, bias = self.get_buffer(key + "_weight"), self.get_buffer(key + "_bias")
        kernel, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
        if same:  # as TensorFlow pads even sides
            total = kernel - stride
            x = functional.pad(x, (total // 2, total - total // 2) * 2)
        pad = 0 if same else kernel // 2
        out = functional.conv2d(x, weight, bias, stride, pad, 1, groups)
        if act == "leaky":
            return functional.leaky_relu(out, 0.1)
        return functional.relu6(out) if act == "relu6" else out


class Detector(_Net):
    """NanoDet at one size: pixels (B, 3, H, W) -> scores (B, N, 80), boxes (B, N, 4)."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes are x1 y1 x2 y2 in 0..1."""
        index = iter(range(100))

        def conv(x: Tensor, stride: int = 1, act: str = "leaky") -> Tensor:
            return self.conv(x, f"detector.{next(index)}", stride, act)

        x = functional.max_pool2d(conv(pixels, 2), 3, 2, 1)
        outs = []
        for stage, (_, pairs) in enumerate(STAGES):
            first = inner = conv(x, 2 if stage else 1)
            for _ in range(pairs):
                left = conv(inner)
                inner = torch.cat([conv(left), left], 1)
            x = torch.cat([conv(inner), first], 1)
            outs.append(x)
        low, mid, high = (conv(out, act="") for out in outs[1:])

        def merge(x: Tensor, onto: Tensor) -> Tensor:
            return onto + functional.interpolate(x, onto.shape[-2:], mode="bilinear")

        top = merge(high, mid)
        maps = [merge(top, low)]
        maps.append(merge(maps[0], top))
        maps.append(merge(maps[1], high))
        height, width = pixels.shape[-2:]
        extent = pixels.new_tensor([width, height, width, height])
        scores, boxes = [], []
        for level, stride in zip(maps, STRIDES, strict=True):
            raw = conv(conv(level), act="").flatten(2).transpose(1, 2)
            bins = raw[..., CLASSES:].reshape(*raw.shape[:2], 4, BINS).softmax(-1)
            reach = torch.arange(BINS, device=raw.device, dtype=raw.dtype) * stride
            edges = (bins @ reach) * raw.new_tensor([-1, -1, 1, 1])
            h, w = level.shape[-2:]
            y, x = torch.meshgrid(
                *[(torch.arange(n, device=raw.device) + 0.5) * stride for n in (h, w)],
                indexing="ij",
            )
            centres = torch.stack([x, y, x, y], -1).reshape(1, -1, 4)
            scores.append(raw[..., :CLASSES].sigmoid())
            boxes.append(((edges + centres) / extent).clamp(0, 1))
        return torch.cat(scores, 1), torch.cat(boxes, 1)


class Classifier(_Net):
    """EfficientNet-Lite0: normalised pixels (B, 3, T, T) -> fine map, coarse map, pooled."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The pooled features are (B, 1280)."""
        x = self.conv(x, "classifier.stem", 2, "relu6", same=True)
        fine, inputs = x, STEM
        for i, (_, stride, expansion, outputs) in enumerate(BLOCKS):
            name, start = f"classifier.{i}", x
            if expansion > 1:
                x = self.conv(x, name + ".expand", 1, "relu6")
            x = self.conv(x, name + ".depthwise", stride, "relu6", same=True)
            x = self.conv(x, name + ".project")
            if stride == 1 and inputs == outputs:
                x = start + x
            inputs = outputs
            if i == FINE_BLOCK:
                fine = x
        return fine, x, self.conv(x, "classifier.head", 1, "relu6").mean((2, 3))


class Frozen:
    """Both networks on a device."""

    def __init__(
        self, v: DetectorVisionConfig, weights: Mapping[str, Float], device: str = "cpu"
    ) -> None:
        def of(kind: str) -> dict[str, Float]:
            return {k: w for k, w in weights.items() if k.startswith(kind)}

        self.v, self.device = v, device
        self.detector = Detector(of("detector.")).to(device).eval()
        self.classifier = Classifier(of("classifier.")).to(device).eval()

    @torch.no_grad()
    def see(self, pixels: Tensor) -> Sight:
        """Look at pictures of one size: (B, 3, H, W), the longer side `image_size`."""
        pixels = pixels.to(self.device)
        found = vote([self.detector(self.sized(pixels, side)) for side in self.v.looks], self.v)
        small = self._scene(pixels)
        side = self.v.scene_size
        squashed = functional.interpolate(small, (side, side), mode="bilinear", antialias=True)
        return Sight(found, *self.classifier(squashed))

    @torch.no_grad()
    def inside(self, pixels: Tensor, boxes: Tensor) -> Tensor:
        """The pooled features (B, 1280) of what lies in each picture's box (B, 4)."""
        window = windows(boxes.to(self.device))
        side = self.v.scene_size
        at = (torch.arange(side, device=self.device) + 0.5) / side
        y, x = torch.meshgrid(at, at, indexing="ij")
        grid = torch.stack([x, y], -1)[None]
        low, high = window[:, None, None, :2], window[:, None, None, 2:]
        points = 2 * (grid * (high - low) + low) - 1
        seen = self._scene(pixels.to(self.device))
        cut = functional.grid_sample(
            seen, points, mode="bilinear", padding_mode="border", align_corners=False
        )
        pooled: Tensor = self.classifier(cut)[2]
        return pooled

    def sized(self, pixels: Tensor, side: int) -> Tensor:
        """The pictures at another size."""
        if side == self.v.image_size:
            return pixels
        ratio = side / self.v.image_size / 32
        size = [max(int(n * ratio + 0.5), 1) * 32 for n in pixels.shape[-2:]]
        return functional.interpolate(pixels, size, mode="bilinear", antialias=True)

    def _scene(self, pixels: Tensor) -> Tensor:
        middle = self.sized(pixels, sorted(self.v.looks)[len(self.v.looks) // 2])
        mean, std = (torch.from_numpy(n).to(pixels.device).view(1, 3, 1, 1) for n in (MEAN, STD))
        return middle * (std * 255 / 128) + (mean * 255 - 127) / 128


def windows(boxes: Tensor) -> Tensor:
    """Boxes (B, 4) with a margin around them, kept in the picture."""
    low, high = boxes[:, :2], boxes[:, 2:]
    sides = ((high - low) * (1 + 2 * MARGIN)).clamp(LEAST_SIDE, 1.0)
    start = ((low + high) / 2 - sides / 2).clamp_min(0).minimum(1 - sides)
    return torch.cat([start, start + sides], 1)


def vote(looks: list[tuple[Tensor, Tensor]], v: DetectorVisionConfig) -> Tensor:
    """The candidates that the looks agree on, (B, K, 85), best first; as in the graph."""
    best = []
    for scores, boxes in looks:
        high, index = scores.amax(-1).topk(min(ANCHORS, scores.shape[1]), dim=1)
        best.append((high, _rows(scores, index), _rows(boxes, index)))
    union = torch.cat([b[2] for b in best], 1)
    chosen, there = suppressed(union, torch.cat([b[0] for b in best], 1), CANDIDATES, 0.0, TWIN)
    here = _rows(union, chosen)
    agree = [(overlaps(here, b[2]) > AGREES).to(here.dtype) for b in best]
    heard = [(a[..., None] * b[1][:, None]).amax(2) for a, b in zip(agree, best, strict=True)]
    shares = torch.stack(heard).mean(0) * there[..., None]
    score, kind = shares.max(-1)
    total = torch.zeros_like(score)[..., None]
    moved = torch.zeros_like(here)
    for a, (_, scores, boxes) in zip(agree, best, strict=True):
        mine = scores.gather(2, kind[:, None].expand(-1, scores.shape[1], -1)).transpose(1, 2)
        weight, anchor = (mine * a).max(-1)
        moved = moved + _rows(boxes, anchor) * weight[..., None] ** 2
        total = total + weight[..., None] ** 2
    moved = moved / total.clamp_min(1e-12)
    # Classes lie side by side, so that they cannot overlap.
    apart = moved + 2 * kind[..., None]
    first, there = suppressed(
        apart, score, CANDIDATES, v.score_threshold, v.class_overlap_threshold
    )
    score = score.gather(1, first).where(there, -1.0)
    shares, moved = _rows(shares, first), _rows(moved, first)
    last, there = suppressed(moved, score, v.detections, v.score_threshold, v.overlap_threshold)
    shares = _rows(shares, last)
    two = shares.topk(2, dim=-1).values
    lead = two[..., :1] / two.sum(-1, keepdim=True).clamp_min(1e-6)
    return torch.cat([shares, lead, _rows(moved, last)], -1) * there[..., None]


def _rows(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))


def suppressed(
    boxes: Tensor, scores: Tensor, most: int, least: float, overlap: float
) -> tuple[Tensor, Tensor]:
    """Non-maximum suppression: (B, most) indices, best first, and which of them there are."""
    score, order = scores.sort(dim=1, descending=True, stable=True)
    box = _rows(boxes, order)
    over = (overlaps(box, box) > overlap).tril(-1)  # [i, j]: a better j hides i
    able = score > least
    keep = able
    while True:  # each round settles at least the next of them in order
        kept = able & ~(over & keep[:, None, :]).any(-1)
        if bool((kept == keep).all()):
            break
        keep = kept
    rank = torch.where(keep, score, score.new_tensor(-1.0))
    found, chosen = rank.sort(dim=1, descending=True, stable=True)
    missing = max(most - found.shape[1], 0)
    found = functional.pad(found[:, :most], (0, missing), value=-1.0)
    chosen = functional.pad(chosen[:, :most], (0, missing))
    return order.gather(1, chosen), found > 0


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """IoU of (B, N, 4) with (B, M, 4): (B, N, M)."""
    low = torch.maximum(a[..., :, None, :2], b[..., None, :, :2])
    high = torch.minimum(a[..., :, None, 2:], b[..., None, :, 2:])
    shared = (high - low).clamp_min(0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).clamp_min(0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp_min(0).prod(-1)
    return shared / (area_a[..., :, None] + area_b[..., None, :] - shared).clamp_min(1e-12)
