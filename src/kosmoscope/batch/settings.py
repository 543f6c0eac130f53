"""What all results of a folder share, and how two runs differ in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kosmoscope.engine.options import GenerationOptions


def as_json(options: GenerationOptions) -> dict[str, Any]:
    """Return options as run.json has them: lists for tuples."""
    found: dict[str, Any] = json.loads(json.dumps(asdict(options)))
    return found


def differences(
    run: Mapping[str, Any],
    model: Mapping[str, str],
    options: GenerationOptions,
    tasks: Sequence[str],
) -> list[str]:
    """Return in words what does not go with the results that are there.

    Args:
        run: what run.json says.
        model: name, precision, source_sha256; what is missing is not compared.
        options: of the generation, now; one that is None is the model's own, which is not known
            before the model is, and not compared.
        tasks: their keys, now.
    """
    parts = []
    had = run.get("model", {})
    if any(had.get(n) != model[n] for n in ("source_sha256", "precision") if n in model):
        parts.append(f"the model was {_called(had)}, is now {_called(model)}")
    # An option that is newer than the folder is what it was before it could be chosen.
    old, new = as_json(GenerationOptions()) | run.get("options", {}), as_json(options)
    parts += [
        f"{name} was {old.get(name)!r}, is now {new.get(name)!r}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and new.get(name, "") is not None
    ]
    before = [task.get("key") for task in run.get("tasks", [])]
    parts += [f"task {key} is new" for key in tasks if key not in before]
    return parts + [f"task {key} is missing" for key in before if key not in tasks]


def _called(model: Mapping[str, Any]) -> str:
    """Name a model so that two of the same name, trained or rounded otherwise, are told apart."""
    source = str(model.get("source_sha256"))[:8]
    return f"{model.get('name')} ({model.get('precision')}, source {source})"
