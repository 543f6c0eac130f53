"""Reading a small JSON file of a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kosmoscope.errors import CheckpointError


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`. Raises `CheckpointError` that names the file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as e:  # ValueError: no JSON, or no UTF-8
        raise CheckpointError(f"{path}: cannot be read as JSON: {e}") from e
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: expected a JSON object, got {type(data).__name__}")
    return data
