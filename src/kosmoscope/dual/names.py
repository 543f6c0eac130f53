"""Names of the files that a dual encoder needs, and of those that are made of a checkpoint."""

from __future__ import annotations

from typing import Final

TOKENIZER: Final = "tokenizer.json"
TOKENIZER_CONFIG: Final = "tokenizer_config.json"
VISION: Final = "vision.onnx"
TEXT: Final = "text.onnx"
LOGITS: Final = "logits.json"
