"""A checkpoint's tensors, checked against its config and read one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 - registers bfloat16 with numpy, which safetensors needs
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from kosmoscope.errors import CheckpointError
from kosmoscope.model.config import DetectorVisionConfig, ModelConfig
from kosmoscope.model.detector_tower import expected_shapes

TEXT = "text_model.model."
HEAD = "text_model.lm_head.weight"
VISION = "vision_model.model."
RESAMPLER = "image_to_text_projection."

# Buffers that older versions of transformers saved; both are computed, never learned.
_DERIVED = (
    "vision_model.model.embeddings.position_ids",
    "text_model.model.embed_positions.weights",
)
_DTYPES = ("F32", "F16", "BF16", "F64")


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


class Checkpoint:
    """Named tensors over one or several safetensors files.

    Args:
        files: model.safetensors, or all its shards.
        config: what the tensors are checked against.

    Raises:
        CheckpointError: a file is damaged; a tensor is missing, surplus, of another shape or
            dtype, or in two files. The message names the file.
    """

    def __init__(self, files: tuple[Path, ...], config: ModelConfig) -> None:
        self.files = files
        self._where: dict[str, Path] = {}
        expected = expected_tensors(config)
        for file in files:
            for name, shape, dtype in _header(file):
                if name in self._where:
                    raise CheckpointError(f"{file}: {name} is also in {self._where[name].name}")
                self._where[name] = file
                if name in _DERIVED or (name == HEAD and config.tied):
                    continue
                if name not in expected:
                    raise CheckpointError(f"{file}: surplus tensor {name}")
                if shape != expected[name]:
                    raise CheckpointError(
                        f"{file}: {name} has shape {shape}; config.json implies {expected[name]}"
                    )
                if dtype not in _DTYPES:
                    raise CheckpointError(
                        f"{file}: {name} is {dtype}; readable are {', '.join(_DTYPES)}"
                    )
        missing = [name for name in expected if name not in self._where]
        if missing:
            raise CheckpointError(
                f"{files[0]}: {len(missing)} tensors are missing, the first is {missing[0]}"
            )

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Return one tensor as a contiguous float32 array of its own.

        The file is opened anew each time: a long-lived mapping would keep every page that was
        ever read resident, and conversion would need the whole checkpoint's memory.
        """
        file = self._where[name]
        try:
            with safe_open(file, framework="np") as opened:
                value = opened.get_tensor(name)
        except (OSError, SafetensorError) as e:
            raise CheckpointError(f"{file}: {name} cannot be read: {e}") from e
        return _usable(value, file, name)

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Return rows start..stop of a matrix as float32 (n, columns)."""
        file = self._where[name]
        try:
            with safe_open(file, framework="np") as opened:
                value = opened.get_slice(name)[start:stop]
        except (OSError, SafetensorError) as e:
            raise CheckpointError(f"{file}: {name} cannot be read: {e}") from e
        return _usable(value, file, name)

    def sha256(self) -> str:
        """Return the SHA-256 of the one weights file, or of the shards' digests in order."""
        digests = []
        for file in self.files:
            with file.open("rb") as opened:
                digests.append(hashlib.file_digest(opened, "sha256").hexdigest())
        if len(digests) == 1:
            return digests[0]
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _usable(value: NDArray[Any], file: Path, name: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # float64 beyond float32's range: told below
        array = np.ascontiguousarray(value, dtype=np.float32)
    if not np.isfinite(array).all():
        raise CheckpointError(f"{file}: {name} has values that are not finite as float32")
    return array


def _header(file: Path) -> list[tuple[str, tuple[int, ...], str]]:
    """Return (name, shape, dtype) of every tensor; safetensors itself checks offsets and sizes."""
    try:
        with safe_open(file, framework="np") as opened:
            found = []
            for name in opened.keys():  # noqa: SIM118 - not a mapping
                view = opened.get_slice(name)
                found.append((name, tuple(view.get_shape()), str(view.get_dtype())))
            return found
    except (OSError, SafetensorError) as e:
        raise CheckpointError(f"{file}: not a complete safetensors file: {e}") from e
