"""From a checkpoint in the hub's format to a converted folder, one tensor at a time."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kosmoscope._version import __version__
from kosmoscope.errors import CheckpointError, ModelError, OptionError
from kosmoscope.images import PixelSpec
from kosmoscope.model import decoder, vision
from kosmoscope.model.checkpoint import TEXT, Checkpoint
from kosmoscope.model.config import ModelConfig
from kosmoscope.model.converted import EMBEDDINGS, Converted, Manifest, stop_ids
from kosmoscope.model.jsonfile import read_object
from kosmoscope.model.paths import (
    MANIFEST,
    SourceFiles,
    converted_dir,
    find_source,
    is_converted,
)
from kosmoscope.model.quantization import PRECISIONS, Precision
from kosmoscope.tokens import Tokenizer, TokenSet

Progress = Callable[[str], None]

# The vision tower is bound by arithmetic, not by the bytes of its weights, so that 4 bits would
# cost accuracy and buy nothing; see docs/engine.md for the measurements behind the table.
_VISION: dict[Precision, Precision] = {"fp32": "fp32", "int8": "int8", "int4": "int8"}
_HEAD: dict[Precision, Precision] = {"fp32": "fp32", "int8": "int8", "int4": "int8"}


def convert(
    folder: Path,
    target: Path,
    precision: Precision,
    *,
    name: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Converted:
    """Convert a checkpoint folder in the hub's format.

    The target appears in one piece, complete, or not at all.

    Args:
        folder: config.json, tokenizer.json, preprocessor_config.json and safetensors weights.
        target: the folder to make.
        precision: fp32, int8 or int4.
        name: what the model is called in results; by default the folder's name.
        overwrite: replace a target that is a converted model; nothing else is ever replaced.
        progress: called with the name of each step.

    Raises:
        CheckpointError: a file of the checkpoint is missing, damaged or disagrees with another.
        OptionError: an unknown precision, or the target exists and may not be replaced.
        ModelError: the target cannot be written (disk full, read-only).
    """
    if precision not in PRECISIONS:
        raise OptionError(f"precision {precision!r}: expected one of {', '.join(PRECISIONS)}")
    _check_target(target, overwrite)
    source = find_source(folder)
    config, tokens = check_source(source)
    checkpoint = Checkpoint(source.weights, config)
    work = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        work.mkdir(parents=True)
        _write(work, source, config, tokens, checkpoint, precision, name or folder.name, progress)
        _publish(work, target)
    except OSError as e:
        raise ModelError(f"{target}: cannot be written: {e.strerror or e}") from e
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Converted.open(target)


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.exists():
        return
    if not overwrite:
        raise OptionError(f"{target}: exists already; overwrite replaces a converted model")
    if not is_converted(target) and not (target.is_dir() and not any(target.iterdir())):
        raise OptionError(f"{target}: not a converted model, so overwrite does not replace it")


def ensure_converted(
    folder: Path, precision: Precision, *, name: str, progress: Progress | None = None
) -> Converted:
    """Return the cached conversion of a checkpoint folder, made now if it is not there."""
    target = converted_dir(find_source(folder), precision)
    if not (target / MANIFEST).exists():
        with suppress(OptionError):  # another process was faster
            convert(folder, target, precision, name=name, progress=progress)
    return Converted.open(target)


def check_source(source: SourceFiles) -> tuple[ModelConfig, TokenSet]:
    """Check that config, tokenizer and preprocessor agree. Raises `CheckpointError`."""
    config = ModelConfig.from_file(source.config)
    tokenizer = Tokenizer.from_file(source.tokenizer)
    t = config.text
    tokenizer.check_matches(
        vocab_size=t.vocab_size, bos=t.bos, pad=t.pad, eos=t.eos, file=source.config
    )
    stop_ids(source.generation, config)
    spec = PixelSpec.from_config(read_object(source.preprocessor), str(source.preprocessor))
    side = config.vision.image_size
    if spec.size_wh != (side, side):
        raise CheckpointError(
            f"{source.preprocessor}: size {spec.size_wh}; config.json says image_size {side}"
        )
    return config, tokenizer.tokens


def _write(
    work: Path,
    source: SourceFiles,
    config: ModelConfig,
    tokens: TokenSet,
    checkpoint: Checkpoint,
    precision: Precision,
    name: str,
    progress: Progress | None,
) -> None:
    def step(text: str) -> None:
        if progress is not None:
            progress(text)

    for file in (source.config, source.tokenizer, source.preprocessor, source.generation):
        if file is not None:
            shutil.copyfile(file, work / file.name)
    step("vision tower")
    vision.write_vision(work / "vision.onnx", config, checkpoint, _VISION[precision])
    step("decoder")
    decoder.write_decoder(work / "decoder.onnx", config, checkpoint, precision)
    step("head and embeddings")
    decoder.write_head(work / "head.onnx", config, checkpoint, _HEAD[precision])
    _write_embeddings(work / EMBEDDINGS, config, checkpoint, precision)
    decoder.write_structure(work / "structure.onnx", config, tokens, checkpoint)
    step("checksum of the source")
    files = {file.name: file.stat().st_size for file in sorted(work.iterdir())}
    manifest = Manifest(name, precision, checkpoint.sha256(), __version__, files)
    manifest.write(work / MANIFEST)


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


def _publish(work: Path, target: Path) -> None:
    """Put the finished folder in its place; an old one is moved aside first, then removed."""
    for file in work.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    old: Path | None = None
    if target.exists():
        old = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.old")
        target.rename(old)
    try:
        work.rename(target)
    except OSError:
        if old is not None:
            old.rename(target)
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
