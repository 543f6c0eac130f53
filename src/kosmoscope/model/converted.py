"""A converted model on disk: a folder of graphs and weights that loads by mapping.

::

    kosmoscope.json            the manifest, written last
    config.json tokenizer.json preprocessor_config.json [generation_config.json] [calibration.json]
    vision.onnx  vision.data   pixels -> image embeddings
    decoder.onnx decoder.data  rows -> hidden states
    head.onnx    head.data     hidden states -> logits
    embeddings.npy             (vocabulary, D), float32 (fp32) or float16
    structure.onnx  .data      hidden states -> logits of all that can follow <object>
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kosmoscope.calibration import CALIBRATION, Calibration
from kosmoscope.errors import CheckpointError
from kosmoscope.files.checked import read_object
from kosmoscope.model.config import ModelConfig
from kosmoscope.model.names import GENERATION
from kosmoscope.model.quantization import PRECISIONS, Precision
from kosmoscope.store.kind import CONFIG
from kosmoscope.store.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Converted:
    """An opened converted folder: checked, nothing loaded yet."""

    folder: Path
    manifest: Manifest
    config: ModelConfig
    stops: frozenset[int]
    """Token ids that end a text."""
    calibration: Calibration | None = None

    @property
    def precision(self) -> Precision:
        """Of the weights."""
        return next(p for p in PRECISIONS if p == self.manifest.precision)

    @classmethod
    def of(cls, folder: Path, manifest: Manifest) -> Converted:
        """Open a folder whose manifest is read and whose files are all there.

        Raises:
            CheckpointError: a file is not what it should be; the message names it.
        """
        config = ModelConfig.from_file(folder / CONFIG)
        generation = folder / GENERATION
        stops = stop_ids(generation if generation.exists() else None, config)
        measured = folder / CALIBRATION
        calibration = Calibration.from_file(measured) if measured.exists() else None
        return cls(folder, manifest, config, stops, calibration)


def stop_ids(path: Path | None, config: ModelConfig) -> frozenset[int]:
    """Return the token ids that end a text.

    Args:
        path: generation_config.json, or None where the checkpoint has none.
        config: what holds otherwise.

    Raises:
        CheckpointError: the file is no JSON object, or what it names are no token ids.
    """
    if path is None:
        return frozenset({config.text.eos})
    value = read_object(path, CheckpointError).get("eos_token_id", config.text.eos)
    ids = value if isinstance(value, list) else [value]
    if not ids or not all(type(i) is int and 0 <= i < config.text.vocab_size for i in ids):
        raise CheckpointError(f"{path}: eos_token_id is {value!r}; expected token ids")
    return frozenset(ids)
