"""A converted model on disk: a folder of graphs and weights that loads by mapping.

::

    kosmoscope.json            the manifest, written last
    config.json tokenizer.json preprocessor_config.json [generation_config.json] [calibration.json]
    [detail.json]
    vision.onnx  vision.data   pixels -> image embeddings
    decoder.onnx decoder.data  rows -> hidden states
    head.onnx    head.data     hidden states -> logits
    embeddings.npy             (vocabulary, D), float32 (fp32) or float16
    structure.onnx  .data      hidden states -> logits of all that can follow <object>
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kosmoscope.calibration import CALIBRATION, DETAIL, Calibration, DetailCalibration
from kosmoscope.errors import CheckpointError
from kosmoscope.files.checked import read_object
from kosmoscope.model.config import ModelConfig, no_repeat_ngram_size
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
    no_repeat_ngram_size: int = 0
    """No run of so many tokens twice in a text, unless the caller says otherwise; 0 is off."""
    calibration: Calibration | None = None
    detail: DetailCalibration | None = None

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
        stops, no_repeat = generation_defaults(folder, config)
        measured = folder / CALIBRATION
        calibration = Calibration.from_file(measured) if measured.exists() else None
        closer = folder / DETAIL
        detail = DetailCalibration.from_file(closer) if closer.exists() else None
        return cls(folder, manifest, config, stops, no_repeat, calibration, detail)


def generation_defaults(folder: Path, config: ModelConfig) -> tuple[frozenset[int], int]:
    """Return the token ids that end a text, and how long a run may not occur twice in one.

    What generation_config.json says goes before config.json, as in transformers, key by key.

    Args:
        folder: of the checkpoint or the converted model, with generation_config.json or without.
        config: what holds otherwise.

    Raises:
        CheckpointError: the file is no JSON object, what it names are no token ids, or
            no_repeat_ngram_size is no whole number from 0 to 1024.
    """
    path = folder / GENERATION
    data = read_object(path, CheckpointError) if path.is_file() else {}
    value = data.get("eos_token_id", config.text.eos)
    ids = value if isinstance(value, list) else [value]
    if not ids or not all(type(i) is int and 0 <= i < config.text.vocab_size for i in ids):
        raise CheckpointError(f"{path}: eos_token_id is {value!r}; expected token ids")
    return frozenset(ids), no_repeat_ngram_size(data, path, config.text.no_repeat_ngram_size)
