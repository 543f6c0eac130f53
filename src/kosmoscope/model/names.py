"""Names of files, in a checkpoint and in what is made of it."""

from __future__ import annotations

from typing import Final

TOKENIZER: Final = "tokenizer.json"
GENERATION: Final = "generation_config.json"
EMBEDDINGS: Final = "embeddings.npy"
CANDIDATES: Final = "candidates"
"""Output of the vision graph: what a detector inside the tower saw."""
