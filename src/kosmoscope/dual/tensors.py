"""A CLIP or SigLIP checkpoint's tensors: their names and shapes, checked before use.

Source of the names: transformers, models/clip/modeling_clip.py (`CLIPModel`) and
models/siglip/modeling_siglip.py (`SiglipModel`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kosmoscope.dual.config import DualConfig, TowerConfig
from kosmoscope.store.tensors import Tensors

VISION = "vision_model."
TEXT = "text_model."
SCALE = "logit_scale"
BIAS = "logit_bias"

# Buffers that older versions of transformers saved: 0, 1, 2 and so on.
_DERIVED = (VISION + "embeddings.position_ids", TEXT + "embeddings.position_ids")

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def _linear(name: str, outputs: int, inputs: int) -> Shapes:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Shapes:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _perceptron(name: str, tower: TowerConfig) -> Shapes:
    yield from _linear(name + ".fc1", tower.ffn_width, tower.width)
    yield from _linear(name + ".fc2", tower.width, tower.ffn_width)


def _layers(part: str, tower: TowerConfig) -> Shapes:
    for i in range(tower.layers):
        layer = f"{part}encoder.layers.{i}."
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _linear(f"{layer}self_attn.{projection}", tower.width, tower.width)
        yield from _norm(layer + "layer_norm1", tower.width)
        yield from _norm(layer + "layer_norm2", tower.width)
        yield from _perceptron(layer + "mlp", tower)


def _both(config: DualConfig) -> Shapes:
    v, t = config.vision, config.text
    patch = (v.width, 3, v.patch_size, v.patch_size)
    yield VISION + "embeddings.patch_embedding.weight", patch
    yield from _layers(VISION, v)
    yield from _norm(VISION + "post_layernorm", v.width)
    yield TEXT + "embeddings.token_embedding.weight", (t.vocab_size, t.width)
    yield TEXT + "embeddings.position_embedding.weight", (t.positions, t.width)
    yield from _layers(TEXT, t)
    yield from _norm(TEXT + "final_layer_norm", t.width)


def _clip(config: DualConfig) -> Shapes:
    v = config.vision
    yield VISION + "embeddings.class_embedding", (v.width,)
    yield VISION + "embeddings.position_embedding.weight", (v.patches + 1, v.width)
    yield from _norm(VISION + "pre_layrnorm", v.width)
    yield "visual_projection.weight", (config.dimensions, v.width)
    yield "text_projection.weight", (config.dimensions, config.text.width)
    yield SCALE, ()


def _siglip(config: DualConfig) -> Shapes:
    v = config.vision
    yield VISION + "embeddings.patch_embedding.bias", (v.width,)
    yield VISION + "embeddings.position_embedding.weight", (v.patches, v.width)
    yield VISION + "head.probe", (1, 1, v.width)
    yield VISION + "head.attention.in_proj_weight", (3 * v.width, v.width)
    yield VISION + "head.attention.in_proj_bias", (3 * v.width,)
    yield from _linear(VISION + "head.attention.out_proj", v.width, v.width)
    yield from _norm(VISION + "head.layernorm", v.width)
    yield from _perceptron(VISION + "head.mlp", v)
    yield from _linear(TEXT + "head", config.dimensions, config.text.width)
    yield SCALE, (1,)
    yield BIAS, (1,)


def expected_tensors(config: DualConfig) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor that a checkpoint of this config holds."""
    own = _clip if config.family == "clip" else _siglip
    return {**dict(_both(config)), **dict(own(config))}


class DualCheckpoint(Tensors):
    """A checkpoint's tensors, checked against its config; see `Tensors`."""

    def __init__(self, files: tuple[Path, ...], config: DualConfig) -> None:
        super().__init__(files, expected_tensors(config), ignored=_DERIVED)

    def number(self, name: str) -> float:
        """Return the one value of a tensor."""
        return float(self.tensor(name).reshape(-1)[0])
