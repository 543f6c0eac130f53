"""What an import costs: nothing heavy before it is needed, torch never."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import kosmoscope

HEAVY = {
    "numpy", "PIL", "onnx", "onnxruntime", "tokenizers", "torch", "transformers", "safetensors",
    "ml_dtypes", "huggingface_hub", "typer", "rich", "hypothesis",
}  # fmt: skip


def loaded(code: str, tmp_path: Path) -> set[str]:
    """Run code in a fresh interpreter; return the top-level names of what it imported."""
    tail = (
        "\nimport json, sys; print(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"
    )
    env = {
        "KOSMOSCOPE_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
        "PATH": "",
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + tail],
        capture_output=True, text=True, env=env, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_probe_notices(tmp_path: Path) -> None:
    assert "numpy" in loaded("import numpy", tmp_path)


def test_importing_the_package_is_light(tmp_path: Path) -> None:
    found = loaded("import kosmoscope; dir(kosmoscope); kosmoscope.Description", tmp_path)
    assert "kosmoscope" in found
    assert not found & HEAVY


def test_the_command_line_starts_without_an_engine(tmp_path: Path) -> None:
    found = loaded("import kosmoscope.cli", tmp_path)
    assert not found & {"onnx", "onnxruntime", "torch", "transformers"}


def test_opening_a_model_needs_no_conversion_library(tmp_path: Path) -> None:
    found = loaded("import kosmoscope.scope", tmp_path)
    assert not found & {"torch", "transformers", "typer", "rich", "huggingface_hub", "onnxruntime"}
    assert "onnx" not in found


def test_running_never_imports_torch(tmp_path: Path) -> None:
    code = """
import numpy as np, kosmoscope
scope = kosmoscope.load("pocket", threads=1)
found = scope.describe(np.full((40, 60, 3), 200, np.uint8), max_new_tokens=5)
assert found.token_ids and found.model == "pocket"
assert kosmoscope.Description.from_json(found.to_json()) == found
"""
    found = loaded(code, tmp_path)
    assert not found & {"torch", "transformers", "typer", "rich", "huggingface_hub"}
    assert {"onnxruntime", "tokenizers", "numpy"} <= found


def test_every_public_name_is_there() -> None:
    assert sorted(kosmoscope.__all__) == sorted(set(kosmoscope.__all__))
    for name in kosmoscope.__all__:
        assert getattr(kosmoscope, name) is not None
    assert dir(kosmoscope) == sorted(kosmoscope.__all__)
    assert kosmoscope.load is kosmoscope.scope.load
    assert kosmoscope.Scope.__module__ == "kosmoscope.scope"
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        kosmoscope.lode  # noqa: B018
