"""Damaged and hostile models: each is refused at once, in one line that names the file."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import small_models as small
from kosmoscope.errors import (
    CheckpointError,
    KosmoscopeError,
    ModelNotFoundError,
    OptionError,
    TokenizerError,
)
from kosmoscope.model.config import ModelConfig
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.scope import load
from kosmoscope.store.convert import convert

WEIGHTS = "model.safetensors"
NORM = "text_model.model.layers.1.ffn.ffn_layernorm.weight"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A sound checkpoint's copy, to be damaged."""
    return small.copy_of(small.made().folder, tmp_path / "source")


def refused(folder: Path, kind: type[KosmoscopeError], *names: str) -> str:
    """Assert that loading and converting fail alike; return the message."""
    target = folder.parent / "out"
    with pytest.raises(KosmoscopeError) as caught:
        convert(KOSMOS2, folder, target, "fp32")
    message = str(caught.value)
    assert type(caught.value) is kind, message
    assert "\n" not in message
    assert len(message) < 700
    for name in names:
        assert name in message
    assert not target.exists()
    assert not list(folder.parent.glob(".*"))
    with pytest.raises(kind) as again:
        load(folder, "fp32", threads=1)
    assert str(again.value) == message
    return message


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


# config.json


@pytest.mark.parametrize("text", [
    "", "{", "[]", "null", "5", '"kosmos-2"', "\ufeff{}", "\x00", '{"a": 1', "[" * 100_000,
    '{"model_type": ' + "9" * 5000 + "}",
], ids=lambda t: ascii(t)[:16])  # fmt: skip
@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json"])
def test_files_that_hold_no_json_object(source: Path, name: str, text: str) -> None:
    (source / name).write_text(text)
    kind = TokenizerError if name == "tokenizer.json" else CheckpointError
    refused(source, kind, str(source / name))


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer.json"])
def test_bytes_that_are_no_text(source: Path, name: str) -> None:
    (source / name).write_bytes(b'{"model_type": "kosmos-2\xff\xfe"}')
    kind = TokenizerError if name == "tokenizer.json" else CheckpointError
    refused(source, kind, str(source / name))


@pytest.mark.parametrize(("change", "word"), [
    (lambda c: c.update(model_type="kosmos-2.5"), "'kosmos-2.5'"),
    (lambda c: c.pop("model_type"), "model_type"),
    (lambda c: c.update(rotary_base=1), "unknown key rotary_base"),
    (lambda c: c["text_config"].update(rope_scaling=2), "unknown key text_config.rope_scaling"),
    (lambda c: c["vision_config"].update(window=7), "unknown key vision_config.window"),
    (lambda c: c.pop("text_config"), "text_config is missing"),
    (lambda c: c.update(vision_config=[]), "vision_config is missing"),
    (lambda c: c["vision_config"].update(model_type="siglip"), "siglip"),
    (lambda c: c["text_config"].update(embed_dim=97), "embed_dim"),
    (lambda c: c["text_config"].update(attention_heads=24), "multiple of 8"),
    (lambda c: c["text_config"].update(attention_heads=0), "attention_heads"),
    (lambda c: c["text_config"].update(layers=-3), "layers"),
    (lambda c: c["text_config"].update(layers=2.5), "layers"),
    (lambda c: c["text_config"].update(layers=True), "layers"),
    (lambda c: c["text_config"].update(layers=2), "surplus tensor"),
    (lambda c: c["text_config"].update(layers=4), "missing"),
    (lambda c: c["text_config"].update(ffn_dim=208), "shape"),
    (lambda c: c["text_config"].update(embed_dim=10**12), "embed_dim"),
    (lambda c: c["text_config"].update(layers=2**24), "layers"),
    (lambda c: c["vision_config"].update(num_hidden_layers=2**24), "num_hidden_layers"),
    (lambda c: c["text_config"].update(layer_norm_eps="tiny"), "layer_norm_eps"),
    (lambda c: c["text_config"].update(layer_norm_eps=float("nan")), "layer_norm_eps"),
    (lambda c: c["text_config"].update(layer_norm_eps=0), "layer_norm_eps"),
    (lambda c: c["text_config"].update(activation_function="swish"), "swish"),
    (lambda c: c["text_config"].update(activation_function=["gelu"]), "gelu"),
    (lambda c: c["text_config"].update(scale_embedding="yes"), "scale_embedding"),
    (lambda c: c["text_config"].update(add_cross_attention=True), "add_cross_attention"),
    (lambda c: c["vision_config"].update(num_attention_heads=5), "hidden_size"),
    (lambda c: c["vision_config"].update(image_size=10), "smaller than patch_size"),
    (lambda c: c["vision_config"].update(num_channels=4), "num_channels"),
    (lambda c: c.update(latent_query_num=10), "latent_query"),
    (lambda c: c.update(latent_query_num=0), "latent_query_num"),
    (lambda c: c.update(tie_word_embeddings="no"), "tie_word_embeddings"),
], ids=lambda v: v.replace(" ", "-") if isinstance(v, str) else "")  # fmt: skip
def test_configs_that_make_no_model(
    source: Path, monkeypatch: pytest.MonkeyPatch, change: Any, word: str
) -> None:
    edit(source / "config.json", change)

    def small_enough(config: ModelConfig) -> Any:
        # A config's sizes are refused before anybody makes a list as long as they say.
        assert config.text.layers + config.vision.layers < 10_000
        return expected(config)

    from kosmoscope.model import checkpoint

    expected = checkpoint.expected_tensors
    monkeypatch.setattr(checkpoint, "expected_tensors", small_enough)
    assert word in refused(source, CheckpointError, str(source))


# Weights


def rewrite(source: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tensors = load_file(source / WEIGHTS)
    change(tensors)
    save_file(tensors, source / WEIGHTS)


@pytest.mark.parametrize("damage", [
    lambda _: b"",
    lambda raw: raw[:5],
    lambda raw: raw[:200],
    lambda raw: raw[:-1],
    lambda raw: raw[: len(raw) // 2],
    lambda raw: raw + b"\0",
    lambda raw: struct.pack("<Q", 2**62) + raw[8:],
    lambda _: struct.pack("<Q", 200_000_000) + b"{" + b" " * 1000,
    lambda _: struct.pack("<Q", 0),
    lambda raw: raw[:8] + b"\xff" + raw[9:],
    lambda raw: b"PK\x03\x04" + raw,
    lambda _: b"<html>not found</html>",
    lambda _: struct.pack("<Q", 2) + b"[]",
    lambda raw: raw[:8] + raw[8:5000].replace(b"data_offsets", b"data_offsetz") + raw[5000:],
], ids=["empty", "header-cut", "names-cut", "last-byte", "half", "longer", "giant", "larger",
        "no-header", "not-json", "zip", "html", "list", "keys"])  # fmt: skip
def test_damaged_weights(source: Path, damage: Callable[[bytes], bytes]) -> None:
    file = source / WEIGHTS
    file.write_bytes(damage(file.read_bytes()))
    refused(source, CheckpointError, str(file), "not a complete safetensors file")


def test_two_tensors_over_the_same_bytes(source: Path) -> None:
    raw = (source / WEIGHTS).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    names = [n for n in header if n.endswith("fc1.bias") and "text" in n]
    header[names[0]]["data_offsets"] = header[names[1]]["data_offsets"]
    new = json.dumps(header).encode()
    (source / WEIGHTS).write_bytes(struct.pack("<Q", len(new)) + new + raw[8 + length :])
    refused(source, CheckpointError, WEIGHTS)


@pytest.mark.parametrize(("change", "words"), [
    (lambda t: t.pop(NORM), ["1 tensors are missing", NORM]),
    (lambda t: t.update(extra=np.zeros(3, np.float32)), ["surplus tensor extra"]),
    (lambda t: t.update({NORM: t[NORM][:-1]}), [NORM, "(199,)", "(200,)"]),
    (lambda t: t.update({NORM: t[NORM][None]}), [NORM, "(1, 200)"]),
    (lambda t: t.update({NORM: t[NORM].astype(np.int32)}), [NORM, "I32"]),
    (lambda t: t.update({NORM: t[NORM].astype(np.int8)}), [NORM, "I8"]),
    (lambda t: t.update({NORM: t[NORM].astype(bool)}), [NORM, "BOOL"]),
    (lambda t: t.clear(), ["missing"]),
], ids=["missing", "surplus", "shape", "rank", "int32", "int8", "bool", "none"])  # fmt: skip
def test_tensors_that_the_config_does_not_imply(
    source: Path, change: Any, words: list[str]
) -> None:
    rewrite(source, change)
    refused(source, CheckpointError, WEIGHTS, *words)


def test_weights_that_are_no_numbers(source: Path) -> None:
    rewrite(source, lambda t: t[NORM].fill(np.nan))
    for precision in ("fp32", "int8"):
        with pytest.raises(CheckpointError, match="ffn_layernorm"):
            convert(KOSMOS2, source, source.parent / precision, precision)  # type: ignore[arg-type]


def test_embeddings_beyond_half_precision(source: Path) -> None:
    rewrite(source, lambda t: t["text_model.model.embed_tokens.weight"].__setitem__((7, 7), 1e6))
    convert(KOSMOS2, source, source.parent / "exact", "fp32")
    with pytest.raises(CheckpointError, match=r"embed_tokens.*beyond float16"):
        convert(KOSMOS2, source, source.parent / "rounded", "int8")
    assert not (source.parent / "rounded").exists()


def shard(source: Path) -> list[Path]:
    """Split the weights in three, as the hub's large checkpoints are."""
    tensors = load_file(source / WEIGHTS)
    (source / WEIGHTS).unlink()
    names = [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    where = {tensor: names[k % 3] for k, tensor in enumerate(sorted(tensors))}
    for name in names:
        save_file({t: v for t, v in tensors.items() if where[t] == name}, source / name)
    index = {"metadata": {"total_size": 1}, "weight_map": where}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    return [source / n for n in names]


def test_shards(source: Path) -> None:
    first, second, third = shard(source)
    duplicate = small.copy_of(source, source.parent / "duplicate")
    tensors = load_file(duplicate / third.name)
    name, value = next(iter(load_file(first).items()))
    save_file({**tensors, name: value}, duplicate / third.name)
    refused(duplicate, CheckpointError, third.name, f"{name} is also in {first.name}")

    second.rename(source / "elsewhere")
    refused(source, CheckpointError, f"shard {second.name} is missing")


@pytest.mark.parametrize("name", [
    "../model.safetensors", "/etc/passwd", "weights.bin", "a\\b.safetensors", "C:x.safetensors",
    5, None, "", ".safetensors/../x.safetensors",
], ids=str)  # fmt: skip
def test_indexes_that_lead_elsewhere(source: Path, name: Any) -> None:
    shard(source)
    index = source / "model.safetensors.index.json"
    edit(index, lambda d: d["weight_map"].update({NORM: name}))
    refused(source, CheckpointError, str(index))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": {}}', '{"weight_map": []}'])
def test_indexes_that_are_none(source: Path, text: str) -> None:
    shard(source)
    index = source / "model.safetensors.index.json"
    index.write_text(text)
    refused(source, CheckpointError, str(index))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.ckpt"])
def test_pickles_are_refused(source: Path, name: str) -> None:
    (source / WEIGHTS).unlink()
    (source / name).write_bytes(b"\x80\x04cos\nsystem\n(S'touch /tmp/pwned'\ntR.")
    refused(source, CheckpointError, name, "pickle", "can run code", WEIGHTS)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "preprocessor_config.json", WEIGHTS]
)
def test_missing_files(source: Path, name: str) -> None:
    (source / name).unlink()
    refused(source, CheckpointError, str(source), name)


def test_names_that_are_no_model(tmp_path: Path) -> None:
    for wrong in (tmp_path / "nowhere", "no-such-model", "org/never-pulled", "./x"):
        with pytest.raises(ModelNotFoundError) as caught:
            load(wrong)
        assert "\n" not in str(caught.value)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelNotFoundError, match="expected a model's folder"):
        load(tmp_path / "file")
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        load(tmp_path)
    for precision in ("fp16", "INT8", "", 8, []):
        with pytest.raises(OptionError, match="expected one of fp32, int8, int4"):
            load(tmp_path, precision)  # type: ignore[arg-type]
