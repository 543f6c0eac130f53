"""A Segment Anything checkpoint's tensors: their names and shapes, checked before use.

Source of the names: transformers, models/sam/modeling_sam.py (`SamModel`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kosmoscope.errors import CheckpointError
from kosmoscope.model.quantization import Float
from kosmoscope.segment.sam.config import LAYERS_DOWNSAMPLE, SamConfig
from kosmoscope.store.tensors import Tensors

VISION = "vision_encoder."
PROMPTS = "prompt_encoder."
DECODER = "mask_decoder."

WAVES = "shared_image_embedding.positional_embedding"
_TIED_WAVES = PROMPTS + "shared_embedding.positional_embedding"
"""The same matrix once more; files hold either name or both."""

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def _linear(name: str, outputs: int, inputs: int) -> Shapes:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Shapes:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _encoder(config: SamConfig) -> Shapes:
    e = config.encoder
    patch = (e.width, 3, e.patch_size, e.patch_size)
    yield VISION + "patch_embed.projection.weight", patch
    yield VISION + "patch_embed.projection.bias", (e.width,)
    if e.absolute:
        yield VISION + "pos_embed", (1, e.grid, e.grid, e.width)
    for i in range(e.layers):
        layer = f"{VISION}layers.{i}."
        yield from _norm(layer + "layer_norm1", e.width)
        yield from _norm(layer + "layer_norm2", e.width)
        yield layer + "attn.qkv.weight", (3 * e.width, e.width)
        if e.qkv_bias:
            yield layer + "attn.qkv.bias", (3 * e.width,)
        yield from _linear(layer + "attn.proj", e.width, e.width)
        if e.relative:
            for axis in "hw":
                yield f"{layer}attn.rel_pos_{axis}", (2 * e.window_of(i) - 1, e.head_width)
        yield from _linear(layer + "mlp.lin1", e.ffn_width, e.width)
        yield from _linear(layer + "mlp.lin2", e.width, e.ffn_width)
    c = e.channels_out
    yield VISION + "neck.conv1.weight", (c, e.width, 1, 1)
    yield from _norm(VISION + "neck.layer_norm1", c)
    yield VISION + "neck.conv2.weight", (c, c, 3, 3)
    yield from _norm(VISION + "neck.layer_norm2", c)


def _prompts(config: SamConfig) -> Shapes:
    c, channels = config.decoder.width, config.mask_channels
    few = channels // 4
    for name in ("not_a_point_embed", "no_mask_embed", *(f"point_embed.{i}" for i in range(4))):
        yield f"{PROMPTS}{name}.weight", (1, c)
    for name, shape in (
        ("conv1", (few, 1, 2, 2)), ("conv2", (channels, few, 2, 2)), ("conv3", (c, channels, 1, 1)),
    ):  # fmt: skip
        yield f"{PROMPTS}mask_embed.{name}.weight", shape
        yield f"{PROMPTS}mask_embed.{name}.bias", shape[:1]
    yield from _norm(PROMPTS + "mask_embed.layer_norm1", few)
    yield from _norm(PROMPTS + "mask_embed.layer_norm2", channels)


def _perceptron(name: str, inputs: int, hidden: int, outputs: int, depth: int) -> Shapes:
    yield from _linear(name + ".proj_in", hidden, inputs)
    for i in range(depth - 2):
        yield from _linear(f"{name}.layers.{i}", hidden, hidden)
    yield from _linear(name + ".proj_out", outputs, hidden)


def _attention(name: str, width: int, inner: int) -> Shapes:
    for part in "qkv":
        yield from _linear(f"{name}.{part}_proj", inner, width)
    yield from _linear(f"{name}.out_proj", width, inner)


def _decoder(config: SamConfig) -> Shapes:
    d = config.decoder
    c = d.width
    inner = c // LAYERS_DOWNSAMPLE
    yield DECODER + "iou_token.weight", (1, c)
    yield DECODER + "mask_tokens.weight", (d.masks, c)
    for i in range(d.layers):
        layer = f"{DECODER}transformer.layers.{i}."
        yield from _attention(layer + "self_attn", c, c)
        yield from _attention(layer + "cross_attn_token_to_image", c, inner)
        yield from _attention(layer + "cross_attn_image_to_token", c, inner)
        for k in range(1, 5):
            yield from _norm(f"{layer}layer_norm{k}", c)
        yield from _linear(layer + "mlp.lin1", d.ffn_width, c)
        yield from _linear(layer + "mlp.lin2", c, d.ffn_width)
    final = DECODER + "transformer.final_attn_token_to_image"
    yield from _attention(final, c, c // d.downsample)
    yield from _norm(DECODER + "transformer.layer_norm_final_attn", c)
    for i, (inputs, outputs) in enumerate([(c, c // 4), (c // 4, c // 8)], 1):
        yield f"{DECODER}upscale_conv{i}.weight", (inputs, outputs, 2, 2)
        yield f"{DECODER}upscale_conv{i}.bias", (outputs,)
    yield from _norm(DECODER + "upscale_layer_norm", c // 4)
    for i in range(d.masks):
        yield from _perceptron(f"{DECODER}output_hypernetworks_mlps.{i}", c, c, c // 8, 3)
    head = DECODER + "iou_prediction_head"
    yield from _perceptron(head, c, d.iou_width, d.masks, d.iou_depth)


def expected_tensors(config: SamConfig) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor that a checkpoint of this config holds."""
    shapes: dict[str, tuple[int, ...]] = {WAVES: (2, config.encoder.waves)}
    for part in (_encoder, _prompts, _decoder):
        shapes.update(part(config))
    return shapes


class SamCheckpoint(Tensors):
    """A checkpoint's tensors, checked against its config; see `Tensors`."""

    def __init__(self, files: tuple[Path, ...], config: SamConfig) -> None:
        expected = expected_tensors(config)
        waves = expected.pop(WAVES)
        super().__init__(files, expected, {WAVES: waves, _TIED_WAVES: waves})
        if _TIED_WAVES not in self._where and WAVES not in self._where:
            self._need([WAVES])

    def waves(self) -> Float:
        """Return the random matrix of the coordinates' waves, float32 (2, C / 2).

        Raises:
            CheckpointError: the file holds it twice, with different values.
        """
        names = [name for name in (WAVES, _TIED_WAVES) if name in self._where]
        found = [self.tensor(name) for name in names]
        if not all(np.array_equal(found[0], other) for other in found[1:]):
            raise CheckpointError(f"{self._where[names[1]]}: {names[1]} differs from {names[0]}")
        return found[0]

    def pair(self, name: str) -> tuple[Float, Float]:
        """Return a layer's weight and bias."""
        return self.tensor(name + ".weight"), self.tensor(name + ".bias")
