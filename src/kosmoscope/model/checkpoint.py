"""The names and shapes of a Kosmos-2 checkpoint's tensors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kosmoscope.model.config import DetectorVisionConfig, ModelConfig
from kosmoscope.model.detector.shapes import expected_shapes
from kosmoscope.store.tensors import Tensors

TEXT = "text_model.model."
HEAD = "text_model.lm_head.weight"
VISION = "vision_model.model."
RESAMPLER = "image_to_text_projection."

# Buffers that older versions of transformers saved; both are computed, never learned.
_DERIVED = (
    "vision_model.model.embeddings.position_ids",
    "text_model.model.embed_positions.weights",
)


def _linear(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _attention(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
        yield from _linear(f"{name}.{part}", width, width)


def expected_tensors(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor that a checkpoint of this config holds.

    The tied head is not among them. Source of the names: `Kosmos2ForConditionalGeneration` in
    transformers (models/kosmos2/modeling_kosmos2.py).
    """
    t, v = config.text, config.vision
    shapes: dict[str, tuple[int, ...]] = {TEXT + "embed_tokens.weight": (t.vocab_size, t.width)}
    for i in range(t.layers):
        layer = f"{TEXT}layers.{i}."
        shapes.update(_attention(layer + "self_attn", t.width))
        shapes.update(_norm(layer + "self_attn.inner_attn_ln", t.width))
        shapes.update(_norm(layer + "self_attn_layer_norm", t.width))
        shapes.update(_norm(layer + "final_layer_norm", t.width))
        shapes.update(_linear(layer + "ffn.fc1", t.ffn_width, t.width))
        shapes.update(_linear(layer + "ffn.fc2", t.width, t.ffn_width))
        shapes.update(_norm(layer + "ffn.ffn_layernorm", t.ffn_width))
    shapes.update(_norm(TEXT + "layer_norm", t.width))
    if not config.tied:
        shapes[HEAD] = (t.vocab_size, t.width)

    if isinstance(v, DetectorVisionConfig):
        shapes.update(expected_shapes(v, VISION))
    else:
        shapes[VISION + "embeddings.class_embedding"] = (v.width,)
        shapes[VISION + "embeddings.patch_embedding.weight"] = (
            v.width, v.channels, v.patch_size, v.patch_size)  # fmt: skip
        shapes[VISION + "embeddings.position_embedding.weight"] = (v.patches + 1, v.width)
        shapes.update(_norm(VISION + "pre_layrnorm", v.width))
    for i in range(v.layers):
        layer = f"{VISION}encoder.layers.{i}."
        shapes.update(_attention(layer + "self_attn", v.width))
        shapes.update(_norm(layer + "layer_norm1", v.width))
        shapes.update(_norm(layer + "layer_norm2", v.width))
        shapes.update(_linear(layer + "mlp.fc1", v.ffn_width, v.width))
        shapes.update(_linear(layer + "mlp.fc2", v.width, v.ffn_width))
    shapes.update(_norm(VISION + "post_layernorm", v.width))

    shapes.update(_linear(RESAMPLER + "dense", t.width, v.width))
    shapes[RESAMPLER + "latent_query"] = (config.latents, t.width)
    shapes.update(_attention(RESAMPLER + "x_attn", t.width))
    return shapes


def head_name(config: ModelConfig) -> str:
    """Return the name of the tensor that is the head's matrix."""
    return TEXT + "embed_tokens.weight" if config.tied else HEAD


class Checkpoint(Tensors):
    """A checkpoint's tensors, checked against its config; see `Tensors`."""

    def __init__(self, files: tuple[Path, ...], config: ModelConfig) -> None:
        ignored = (*_DERIVED, HEAD) if config.tied else _DERIVED
        super().__init__(files, expected_tensors(config), ignored=ignored)
