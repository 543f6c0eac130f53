"""A CLIP or SigLIP checkpoint's graphs, and its converted folder opened.

Of its own it has vision.onnx and text.onnx, the weights beside them, and logits.json.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from kosmoscope.dual.config import DualConfig
from kosmoscope.dual.names import LOGITS, TEXT, VISION
from kosmoscope.dual.pictures import SquareSpec
from kosmoscope.dual.tensors import BIAS, SCALE, DualCheckpoint
from kosmoscope.dual.texts import TextReader
from kosmoscope.dual.towers import write_text, write_vision
from kosmoscope.errors import CheckpointError, InputError
from kosmoscope.files.checked import checked, read_object
from kosmoscope.files.writing import write_text as write_file
from kosmoscope.model.quantization import PRECISIONS
from kosmoscope.store.kind import CONFIG, PREPROCESSOR, Step
from kosmoscope.store.manifest import Manifest
from kosmoscope.store.source import SourceFiles


@dataclass(frozen=True, slots=True)
class Logits:
    """How a cosine becomes a logit: ``scale * cosine + bias``, both learned."""

    scale: float
    bias: float


@dataclass(frozen=True, slots=True)
class ConvertedDual:
    """An opened converted folder: checked, nothing loaded yet."""

    folder: Path
    manifest: Manifest
    config: DualConfig
    square: SquareSpec
    texts: TextReader
    logits: Logits

    @classmethod
    def of(cls, folder: Path, manifest: Manifest) -> ConvertedDual:
        """Open a folder whose manifest is read and whose files are all there.

        Raises:
            CheckpointError: a file is not what it should be; the message names it.
        """
        path = folder / LOGITS
        try:
            logits = checked(read_object(path, CheckpointError), Logits)
        except InputError as e:
            raise CheckpointError(f"{path}: {e}") from e
        return cls(folder, manifest, *_checked(folder), logits)


def write(stage: Path, source: SourceFiles, precision: str, step: Step) -> None:
    """Check a checkpoint and write its graphs; see `ModelKind.write`.

    The precision is that of the layers' matrices; projections and the patches' are small and stay
    fp32. At int8 the tokens' table has 16 bits.
    """
    config, _, _ = _checked(source.folder)
    checkpoint = DualCheckpoint(source.weights, config)
    _write_logits(stage / LOGITS, config, checkpoint)
    kept = next(p for p in PRECISIONS if p == precision)
    step("tower for texts")
    write_text(stage / TEXT, config, checkpoint, kept)
    step("tower for pictures")
    write_vision(stage / VISION, config, checkpoint, kept)


def _checked(folder: Path) -> tuple[DualConfig, SquareSpec, TextReader]:
    config = DualConfig.from_file(folder / CONFIG)
    side = config.vision.image_size
    square = SquareSpec.from_file(folder / PREPROCESSOR, config.family, side)
    return config, square, TextReader.from_folder(folder, config)


def _write_logits(path: Path, config: DualConfig, checkpoint: DualCheckpoint) -> None:
    stored = checkpoint.number(SCALE)
    try:
        scale = math.exp(stored)
    except OverflowError as e:
        raise CheckpointError(f"{checkpoint.files[0]}: {SCALE} is {stored}, which is no log") from e
    bias = checkpoint.number(BIAS) if config.family == "siglip" else 0.0
    write_file(path, json.dumps(asdict(Logits(scale, bias))) + "\n")
