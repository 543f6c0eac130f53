"""Sizes and tensors of the tower of two convolutional networks.

Sources: NanoDet (github.com/RangiLyu/nanodet, Generalised Focal Loss heads of 11 bins a side);
EfficientNet-Lite (github.com/tensorflow/tpu, models/official/efficientnet/lite), batch norms
folded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kosmoscope.model.config import DETECTOR_CLASSES, DetectorVisionConfig

Float = NDArray[np.float32]
Shapes = Iterator[tuple[str, tuple[int, ...]]]

CLASSES = DETECTOR_CLASSES
BINS = 11
STRIDES = (8, 16, 32)
STAGES = ((32, 1), (64, 2), (128, 2), (256, 3))  # channels, pairs of convolutions
NECK = 128

STEM, POOLED = 32, 1280
# kernel, stride, expansion, channels: the sixteen blocks of EfficientNet-Lite0
BLOCKS = (
    (3, 1, 1, 16), (3, 2, 6, 24), (3, 1, 6, 24), (5, 2, 6, 40), (5, 1, 6, 40), (3, 2, 6, 80),
    (3, 1, 6, 80), (3, 1, 6, 80), (5, 1, 6, 112), (5, 1, 6, 112), (5, 1, 6, 112), (5, 2, 6, 192),
    (5, 1, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192), (3, 1, 6, 320),
)  # fmt: skip
FINE_BLOCK = 10  # the last one of stride 16
FINE, COARSE = BLOCKS[FINE_BLOCK][3], BLOCKS[-1][3]
REGION_HIDDEN = 96

WAVES = 24
BOX_FEATURES = 6 + 4 * WAVES
"""x1, y1, x2, y2, width, height; then cos(k pi e), k = 1, 2, ..., of each of the four edges. A sum
of such waves peaks at any cell of the grid, so that reading a location off them is linear."""
DETECTION_FEATURES = CLASSES + 3 + BOX_FEATURES
REGION_FEATURES = 3 + BOX_FEATURES

MEAN = np.array((0.485, 0.456, 0.406), np.float32)
STD = np.array((0.229, 0.224, 0.225), np.float32)
"""ImageNet's, of pixels in 0..1."""


def name_features(v: DetectorVisionConfig) -> int:
    """Length of what a name's token is made of: names' shares, the best, there; the box."""
    return v.names + 2 + BOX_FEATURES


class Tensors(Protocol):
    """Where weights come from."""

    def tensor(self, name: str) -> Float: ...  # by name, float32


def _conv(name: str, outputs: int, inputs: int, kernel: int) -> Shapes:
    yield f"{name}.weight", (outputs, inputs, kernel, kernel)
    yield f"{name}.bias", (outputs,)


def _detector_shapes(prefix: str) -> Shapes:
    yield from _conv(f"{prefix}0", STAGES[0][0], 3, 3)
    i, inputs, outs = 1, STAGES[0][0], []
    for width, pairs in STAGES:
        yield from _conv(f"{prefix}{i}", width, inputs, 3)
        for pair in range(pairs):
            yield from _conv(f"{prefix}{i + 1 + 2 * pair}", width // 2, width, 3)
            yield from _conv(f"{prefix}{i + 2 + 2 * pair}", width // 2, width // 2, 3)
        i += 1 + 2 * pairs
        yield from _conv(f"{prefix}{i}", width, width, 3)
        i, inputs = i + 1, 2 * width
        outs.append(inputs)
    for out in outs[1:]:
        yield from _conv(f"{prefix}{i}", NECK, out, 1)
        i += 1
    for _ in STRIDES:
        yield from _conv(f"{prefix}{i}", NECK, NECK, 3)
        yield from _conv(f"{prefix}{i + 1}", CLASSES + 4 * BINS, NECK, 1)
        i += 2


def _classifier_shapes(prefix: str) -> Shapes:
    yield from _conv(f"{prefix}stem", STEM, 3, 3)
    inputs = STEM
    for i, (kernel, _, expansion, outputs) in enumerate(BLOCKS):
        middle = inputs * expansion
        if expansion > 1:
            yield from _conv(f"{prefix}{i}.expand", middle, inputs, 1)
        yield from _conv(f"{prefix}{i}.depthwise", middle, 1, kernel)
        yield from _conv(f"{prefix}{i}.project", outputs, middle, 1)
        inputs = outputs
    yield from _conv(f"{prefix}head", POOLED, inputs, 1)


def expected_shapes(v: DetectorVisionConfig, prefix: str) -> Shapes:
    """Yield name and shape of every tensor of the tower below its encoder."""
    yield from _detector_shapes(prefix + "detector.")
    yield from _classifier_shapes(prefix + "classifier.")
    yield from _conv(prefix + "regions.fine", REGION_HIDDEN, FINE, 1)
    yield from _conv(prefix + "regions.coarse", REGION_HIDDEN, COARSE, 1)
    # The kinds of stuff, none of them, and the main thing, which is on its own scale.
    yield from _conv(prefix + "regions.classes", v.regions + 2, REGION_HIDDEN, 3)
    yield prefix + "names.weight", (v.labels, POOLED)
    yield prefix + "names.bias", (v.labels,)
    yield prefix + "names.group", (v.labels,)
    for kind, outputs, inputs in (
        ("detection", v.width, DETECTION_FEATURES),
        ("region", v.width, REGION_FEATURES),
        ("name", v.width, name_features(v)),
        ("whole", 2 * v.width, POOLED),
        ("grid", v.width, COARSE),
    ):
        yield f"{prefix}embeddings.{kind}.weight", (outputs, inputs)
        yield f"{prefix}embeddings.{kind}.bias", (outputs,)
    yield f"{prefix}embeddings.position_embedding.weight", (v.tokens, v.width)
