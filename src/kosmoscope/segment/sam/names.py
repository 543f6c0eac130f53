"""Names of the files that are made of a checkpoint."""

from __future__ import annotations

from typing import Final

ENCODER: Final = "encoder.onnx"
DECODER: Final = "decoder.onnx"
