"""The graphs of a Kosmos-2 checkpoint, written one tensor at a time."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from kosmoscope.errors import CheckpointError
from kosmoscope.files.checked import read_object
from kosmoscope.images import PixelSpec
from kosmoscope.model import decoder, vision
from kosmoscope.model.checkpoint import TEXT, Checkpoint
from kosmoscope.model.config import ModelConfig
from kosmoscope.model.converted import generation_defaults
from kosmoscope.model.names import EMBEDDINGS, TOKENIZER
from kosmoscope.model.quantization import PRECISIONS, Precision
from kosmoscope.store.kind import CONFIG, PREPROCESSOR, Step
from kosmoscope.store.source import SourceFiles
from kosmoscope.tokens import Tokenizer, TokenSet

# The vision tower is bound by arithmetic, not by the bytes of its weights, so that 4 bits would
# cost accuracy and buy nothing; see docs/engine.md for the measurements behind the table.
_VISION: dict[Precision, Precision] = {"fp32": "fp32", "int8": "int8", "int4": "int8"}
_HEAD: dict[Precision, Precision] = {"fp32": "fp32", "int8": "int8", "int4": "int8"}


def write(stage: Path, source: SourceFiles, precision: str, step: Step) -> None:
    """Check a checkpoint and write its graphs; see `ModelKind.write`."""
    kept = next(p for p in PRECISIONS if p == precision)
    config, tokens = check_source(source.folder)
    checkpoint = Checkpoint(source.weights, config)
    step("vision tower")
    vision.write_vision(stage / "vision.onnx", config, checkpoint, _VISION[kept])
    step("decoder")
    evened = decoder.head_smoothing(config, checkpoint, _HEAD[kept])
    decoder.write_decoder(stage / "decoder.onnx", config, checkpoint, kept, evened)
    step("head and embeddings")
    decoder.write_head(stage / "head.onnx", config, checkpoint, _HEAD[kept], evened)
    _write_embeddings(stage / EMBEDDINGS, config, checkpoint, kept)
    decoder.write_structure(stage / "structure.onnx", config, tokens, checkpoint, evened)


def check_source(folder: Path) -> tuple[ModelConfig, TokenSet]:
    """Check that config, tokenizer and preprocessor agree. Raises `CheckpointError`."""
    file, preprocessor = folder / CONFIG, folder / PREPROCESSOR
    config = ModelConfig.from_file(file)
    tokenizer = Tokenizer.from_file(folder / TOKENIZER)
    t = config.text
    tokenizer.check_matches(vocab_size=t.vocab_size, bos=t.bos, pad=t.pad, eos=t.eos, file=file)
    generation_defaults(folder, config)
    spec = PixelSpec.from_config(read_object(preprocessor, CheckpointError), str(preprocessor))
    side, divisor = config.vision.image_size, config.vision.divisor
    if spec.size_wh != (side, side):
        raise CheckpointError(
            f"{preprocessor}: size {spec.size_wh}; config.json says image_size {side}"
        )
    if spec.divisor != divisor:
        raise CheckpointError(
            f"{preprocessor}: size_divisor {spec.divisor}; this vision tower takes {divisor}"
        )
    return config, tokenizer.tokens


def _npy_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
    np.lib.format.write_array_header_1_0(
        file,
        {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape},
    )


def _write_embeddings(
    path: Path, config: ModelConfig, source: Checkpoint, precision: Precision
) -> None:
    t = config.text
    dtype = np.dtype(np.float32 if precision == "fp32" else np.float16)
    name = TEXT + "embed_tokens.weight"
    with path.open("wb") as file:
        _npy_header(file, (t.vocab_size, t.width), dtype)
        for start in range(0, t.vocab_size, 4096):
            with np.errstate(over="ignore"):  # told below, with the file's name
                rows = source.rows(name, start, min(start + 4096, t.vocab_size)).astype(dtype)
            if not np.isfinite(rows).all():
                raise CheckpointError(f"{source.files[0]}: {name} has values beyond {dtype}")
            file.write(rows.tobytes())
