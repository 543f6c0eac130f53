"""A converted model on disk: a folder of graphs and weights that loads by mapping.

::

    kosmoscope.json            the manifest, written last
    config.json tokenizer.json preprocessor_config.json [generation_config.json]
    vision.onnx  vision.data   pixels -> image embeddings
    decoder.onnx decoder.data  rows -> hidden states
    head.onnx    head.data     hidden states -> logits
    embeddings.npy             (vocabulary, D), float32 (fp32) or float16
    structure.onnx  .data      hidden states -> logits of all that can follow <object>
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kosmoscope.errors import CheckpointError
from kosmoscope.model.config import ModelConfig
from kosmoscope.model.jsonfile import read_object
from kosmoscope.model.paths import FORMAT_VERSION, MANIFEST
from kosmoscope.model.quantization import PRECISIONS, Precision

_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)

EMBEDDINGS = "embeddings.npy"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `kosmoscope.json` says."""

    name: str
    precision: Precision
    source_sha256: str
    """Of the checkpoint's weights: the file's, or of the shards' digests joined by newlines."""
    kosmoscope_version: str
    files: dict[str, int]
    """Sizes in bytes of all other files of the folder."""

    def write(self, path: Path) -> None:
        """Write as JSON."""
        data = {
            "format_version": FORMAT_VERSION,
            "kosmoscope_version": self.kosmoscope_version,
            "name": self.name,
            "precision": self.precision,
            "source_sha256": self.source_sha256,
            "files": self.files,
        }
        path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read and check a manifest. Raises `CheckpointError` that names the file."""
        try:
            data: Any = json.loads(path.read_text(encoding="utf-8"))
            version = data["format_version"]
            if version != FORMAT_VERSION:
                raise CheckpointError(
                    f"{path}: format {version}; this version reads {FORMAT_VERSION}: convert again"
                )
            precision = data["precision"]
            if precision not in PRECISIONS:
                raise CheckpointError(f"{path}: precision {precision!r} is none of {PRECISIONS}")
            files = {str(name): int(size) for name, size in data["files"].items()}
            return cls(
                str(data["name"]), precision, str(data["source_sha256"]),
                str(data["kosmoscope_version"]), files,
            )  # fmt: skip
        except _UNREADABLE as e:
            raise CheckpointError(f"{path}: not a manifest of a converted model: {e}") from e


@dataclass(frozen=True, slots=True)
class Converted:
    """An opened converted folder: checked, nothing loaded yet."""

    folder: Path
    manifest: Manifest
    config: ModelConfig
    stops: frozenset[int]
    """Token ids that end a text."""

    @classmethod
    def open(cls, folder: Path) -> Converted:
        """Check a converted folder.

        Raises:
            CheckpointError: a file is missing or of another size than when it was written.
        """
        manifest = Manifest.read(folder / MANIFEST)
        for name, size in manifest.files.items():
            file = folder / name
            try:
                found = file.stat().st_size
            except OSError as e:
                raise CheckpointError(f"{file}: missing: {e.strerror}; convert again") from e
            if found != size:
                raise CheckpointError(
                    f"{file}: {found:,} bytes, {size:,} were written; convert again"
                )
        config = ModelConfig.from_file(folder / "config.json")
        generation = folder / "generation_config.json"
        stops = stop_ids(generation if generation.exists() else None, config)
        return cls(folder, manifest, config, stops)


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
    value = read_object(path).get("eos_token_id", config.text.eos)
    ids = value if isinstance(value, list) else [value]
    if not ids or not all(type(i) is int and 0 <= i < config.text.vocab_size for i in ids):
        raise CheckpointError(f"{path}: eos_token_id is {value!r}; expected token ids")
    return frozenset(ids)
