"""The same weights in other clothes: half precision, shards, names, and what stays cached."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import checkpoints
import small_models as small
from checkpoints import PROMPTS, SHAPES
from kosmoscope.errors import OptionError
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.scope import Scope, load
from kosmoscope.store.convert import convert, open_converted
from kosmoscope.store.folders import converted_root

WEIGHTS = "model.safetensors"


def same_files(a: Path, b: Path, names: tuple[str, ...]) -> None:
    for name in names:
        assert (a / name).read_bytes() == (b / name).read_bytes(), name


COMPUTED = ("vision.onnx", "vision.data", "decoder.onnx", "decoder.data", "head.onnx", "head.data",
            "embeddings.npy", "structure.onnx", "structure.data")  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("precision", ["fp32", "int8", "int4"])
def test_checkpoints_of_other_dtypes(tmp_path: Path, dtype: torch.dtype, precision: Any) -> None:
    folder = checkpoints.make(tmp_path / "half", SHAPES[0], 0, dtype).folder
    stored = load_file(folder / WEIGHTS)
    assert {t.dtype for t in stored.values()} == {dtype}
    exact = small.copy_of(folder, tmp_path / "exact")
    save_file({k: v.float() for k, v in stored.items()}, exact / WEIGHTS)
    ours = convert(KOSMOS2, folder, tmp_path / "a", precision)
    theirs = convert(KOSMOS2, exact, tmp_path / "b", precision)
    same_files(ours.folder, theirs.folder, COMPUTED)
    assert ours.manifest.source_sha256 != theirs.manifest.source_sha256
    if precision == "fp32":
        scope, full = Scope(ours, threads=1), small.scope()
        image = checkpoints.picture(3)
        mine, reference = (s.encode(image).state.embeddings for s in (scope, full))
        error = np.linalg.norm(mine - reference) / np.linalg.norm(reference)
        assert error < {torch.float64: 1e-6, torch.float16: 0.01}.get(dtype, 0.05)


def test_shards_equal_the_single_file(tmp_path: Path) -> None:
    made = small.made()
    folder = tmp_path / "sharded"
    small.copy_of(made.folder, folder)
    (folder / WEIGHTS).unlink()
    made.model.save_pretrained(folder, max_shard_size="300KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert not (folder / WEIGHTS).exists()
    converted = convert(KOSMOS2, folder, tmp_path / "out", "int8")
    single = small.converted_folder("base", "int8")
    same_files(converted.folder, single, COMPUTED)
    digests = [hashlib.sha256(s.read_bytes()).hexdigest() for s in shards]
    joined = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    assert converted.manifest.source_sha256 == joined
    raw = (made.folder / WEIGHTS).read_bytes()
    whole = open_converted(KOSMOS2, single).manifest.source_sha256
    assert whole == hashlib.sha256(raw).hexdigest()


def test_a_folder_of_weights_saved_with_the_tied_head_and_old_buffers(tmp_path: Path) -> None:
    folder = small.copy_of(small.made().folder, tmp_path / "old")
    tensors = load_file(folder / WEIGHTS)
    tensors["text_model.lm_head.weight"] = torch.zeros(7)
    tensors["vision_model.model.embeddings.position_ids"] = torch.arange(17)[None]
    tensors["text_model.model.embed_positions.weights"] = torch.zeros(514, 96)
    save_file(tensors, folder / WEIGHTS)
    converted = convert(KOSMOS2, folder, tmp_path / "out", "fp32")
    same_files(converted.folder, small.converted_folder(), COMPUTED)


def test_the_manifest_says_what_is_there(tmp_path: Path) -> None:
    steps: list[str] = []
    converted = convert(KOSMOS2, small.made().folder, tmp_path / "out", "int4", name="mine",
                        progress=steps.append)  # fmt: skip
    data = json.loads((converted.folder / "kosmoscope.json").read_text())
    assert (data["name"], data["precision"], data["format_version"]) == (
        "mine",
        "int4",
        KOSMOS2.version,
    )
    there = {p.name: p.stat().st_size for p in converted.folder.iterdir()}
    del there["kosmoscope.json"]
    assert data["files"] == there
    assert {*COMPUTED, "config.json", "tokenizer.json", "preprocessor_config.json"} <= set(there)
    assert steps == ["vision tower", "decoder", "head and embeddings", "checksum of the source"]
    assert convert(KOSMOS2, small.made().folder, tmp_path / "two", "int4").manifest.name == "base-0"


def test_load_converts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOSMOSCOPE_HOME", str(tmp_path / "home"))
    source = small.copy_of(small.made().folder, tmp_path / "My Model")
    steps: list[str] = []
    scope = load(source, threads=1, progress=steps.append)
    assert steps
    assert (scope.model, scope.precision) == ("My Model", "int8")
    (folder,) = converted_root().iterdir()
    stamp = (folder / "kosmoscope.json").stat().st_mtime_ns
    steps.clear()
    again = load(source, "int8", threads=1, progress=steps.append)
    assert not steps
    assert (folder / "kosmoscope.json").stat().st_mtime_ns == stamp
    image = checkpoints.picture(1)
    text = scope.describe(image, max_new_tokens=20).token_ids
    assert again.describe(scope.encode(image), max_new_tokens=20).token_ids == text
    load(source, "fp32", threads=1)
    assert len(list(converted_root().iterdir())) == 2
    assert load(folder, threads=1).describe(image, max_new_tokens=20).token_ids == text
    # Other weights under the same name are another model.
    small.copy_of(small.made(seed=1).folder, tmp_path / "other")
    (tmp_path / "other" / WEIGHTS).replace(source / WEIGHTS)
    other = load(source, "int8", threads=1)
    assert other.describe(image, max_new_tokens=20).token_ids != text
    with pytest.raises(OptionError):
        load(folder, "int4", threads=1)


@pytest.mark.parametrize("name", [s.name for s in SHAPES])
@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_every_shape_runs_rounded(name: str, precision: Any) -> None:
    scope = small.scope(name, precision)
    image = small.encoded(0, name, precision)
    prompts = [small.tagged_prompt(image, p) for p in PROMPTS]
    for prompt, found in zip(prompts, scope.complete(prompts, max_new_tokens=20), strict=True):
        compiled = prompt.compile(scope.tokenizer, scope.engine.slot_ids)
        small.check_form(scope.tokenizer.tokens, compiled.ids[compiled.tail :], found.token_ids,
                         cut=found.finish_reason == "length")  # fmt: skip
        assert all(0 <= (b.score or 0) <= 1 for e in found.entities for b in e.boxes)
