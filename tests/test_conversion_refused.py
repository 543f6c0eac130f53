"""Small files that disagree, damaged converted folders, and conversions that go wrong."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import small_models as small
import tiny_tokenizer
from kosmoscope.errors import (
    CheckpointError,
    KosmoscopeError,
    ModelError,
    OptionError,
    TokenizerError,
)
from kosmoscope.model import decoder
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.scope import load
from kosmoscope.store.convert import convert, open_converted
from kosmoscope.store.manifest import Manifest

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


# The other files


@pytest.mark.parametrize(("pieces", "locations"), [(119, 1024), (121, 1024), (120, 1089),
                                                   (120, 961)])  # fmt: skip
def test_a_tokenizer_of_another_size(source: Path, pieces: int, locations: int) -> None:
    tiny_tokenizer.save(source, pieces, locations)
    size = 4 + pieces + 1 + 11 + locations
    refused(source, TokenizerError, "tokenizer.json", "config.json", f"{size} in the tokenizer",
            "1160 in the config")  # fmt: skip


@pytest.mark.parametrize("key", ["bos_token_id", "pad_token_id", "eos_token_id"])
def test_a_tokenizer_with_other_ids(source: Path, key: str) -> None:
    edit(source / "config.json", lambda c: c["text_config"].update({key: 17}))
    refused(source, TokenizerError, "tokenizer.json", "config.json", key, "17")


@pytest.mark.parametrize(("change", "word"), [
    (lambda p: p.update(size={"height": 48, "width": 48}, crop_size=48), "image_size 56"),
    (lambda p: p.update(size={"shortest_edge": 56}), "aspect"),
    (lambda p: p.update(size={"height": 56, "width": 48}), "square"),
    (lambda p: p.update(crop_size={"height": 48, "width": 48}), "crop_size"),
    (lambda p: p.update(do_resize=False), "do_resize"),
    (lambda p: p.update(image_std=[0, 1, 1]), "image_std"),
    (lambda p: p.update(size=None), "size"),
    (lambda p: p.update(resample=99), "resample"),
], ids=lambda v: v if isinstance(v, str) else "")  # fmt: skip
def test_preprocessors_that_do_not_fit(source: Path, change: Any, word: str) -> None:
    edit(source / "preprocessor_config.json", change)
    refused(source, CheckpointError, "preprocessor_config.json", word)


@pytest.mark.parametrize("eos", ["</s>", -1, 1160, [], [2, "x"], None, 2.5, True, {}, [[2]]],
                         ids=str)  # fmt: skip
def test_generation_configs_with_nonsense(source: Path, eos: Any) -> None:
    file = source / "generation_config.json"
    file.write_text(json.dumps({"eos_token_id": eos}))
    refused(source, CheckpointError, str(file), "eos_token_id")


def test_a_generation_config_that_is_no_json(source: Path) -> None:
    (source / "generation_config.json").write_text("{")
    refused(source, CheckpointError, str(source / "generation_config.json"))


def test_further_stop_tokens_are_obeyed(source: Path) -> None:
    (source / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 130]}))
    converted = convert(KOSMOS2, source, source.parent / "out", "fp32")
    assert converted.stops == {2, 130}


# Converted folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound converted folder's copy, to be damaged."""
    return small.copy_of(small.converted_folder("base", "int8"), tmp_path / "converted")


def broken(folder: Path, *words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load(folder, threads=1)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    for word in (str(folder), *words):
        assert word in message


def test_a_sound_folder_loads(folder: Path) -> None:
    assert load(folder, threads=1).precision == "int8"
    assert load(folder, "int8", threads=1).precision == "int8"
    for other in ("fp32", "int4"):
        with pytest.raises(OptionError, match=f"converted to int8, asked for {other}"):
            load(folder, other, threads=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [
    "vision.onnx", "vision.data", "decoder.onnx", "decoder.data", "head.onnx", "head.data",
    "embeddings.npy", "structure.onnx", "structure.data", "config.json", "tokenizer.json",
    "preprocessor_config.json",
])  # fmt: skip
def test_converted_folders_that_lost_something(folder: Path, name: str) -> None:
    file = folder / name
    raw = file.read_bytes()
    file.write_bytes(raw[:-1])
    broken(folder, name, f"{len(raw) - 1:,} bytes, {len(raw):,} were written; convert again")
    file.write_bytes(raw + b"\0")
    broken(folder, name, "convert again")
    file.unlink()
    broken(folder, name, "missing", "convert again")


@pytest.mark.parametrize("name", ["vision.onnx", "decoder.onnx", "head.onnx", "embeddings.npy",
                                  "structure.onnx", "tokenizer.json", "config.json",
                                  "preprocessor_config.json"])  # fmt: skip
def test_converted_folders_with_rubbish_of_the_right_size(folder: Path, name: str) -> None:
    file = folder / name
    file.write_bytes(b"\x93rubbish" * (file.stat().st_size // 8 + 1))
    with file.open("r+b") as opened:
        opened.truncate(Manifest.read(folder).files[name])
    broken(folder, name)


@pytest.mark.parametrize(("change", "word"), [
    (lambda m: m.update(format_version=1), "format 1; this version reads 2: convert again"),
    (lambda m: m.update(format_version="1"), "format"),
    (lambda m: m.pop("format_version"), "format_version"),
    (lambda m: m.update(precision="fp16"), "fp16"),
    (lambda m: m.pop("name"), "name"),
    (lambda m: m.update(files=[]), "manifest"),
    (lambda m: m.update(files={"config.json": None}), "manifest"),
    (lambda m: m.update(files={"config.json": float("inf")}), "manifest"),
    (lambda m: m.update(files={}), ""),
    (lambda m: m["files"].pop("decoder.data"), "decoder.data"),
], ids=lambda v: v.split(";")[0] if isinstance(v, str) else "")  # fmt: skip
def test_manifests_that_are_wrong(folder: Path, change: Any, word: str) -> None:
    edit(folder / "kosmoscope.json", change)
    if word in ("", "decoder.data"):
        (folder / "decoder.data").unlink()  # now nobody but the runtime notices
    broken(folder, word)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", "[" * 100_000, "\udcff"],
                         ids=lambda t: ascii(t)[:9])  # fmt: skip
def test_manifests_that_are_none(folder: Path, text: str) -> None:
    (folder / "kosmoscope.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    broken(folder, "kosmoscope.json")


# Writing


def test_an_existing_target_is_kept_unless_it_may_be_replaced(tmp_path: Path, source: Path) -> None:
    target = small.copy_of(small.converted_folder(), tmp_path / "target")
    before = (target / "kosmoscope.json").read_text()
    with pytest.raises(OptionError, match="exists already"):
        convert(KOSMOS2, source, target, "int8")
    assert (target / "kosmoscope.json").read_text() == before
    (target / "left over").touch()
    assert convert(KOSMOS2, source, target, "int8", overwrite=True).manifest.precision == "int8"
    assert not (target / "left over").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source", "target"]
    assert load(target, threads=1).precision == "int8"


def test_overwriting_never_eats_the_source(source: Path) -> None:
    with pytest.raises(KosmoscopeError):
        convert(KOSMOS2, source, source, "fp32", overwrite=True)
    assert (source / WEIGHTS).is_file()


def test_overwriting_never_eats_what_is_no_model(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "holiday"
    target.mkdir()
    (target / "photo.jpg").write_bytes(b"the only copy")
    with pytest.raises(KosmoscopeError):
        convert(KOSMOS2, source, target, "fp32", overwrite=True)
    assert (target / "photo.jpg").read_bytes() == b"the only copy"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("existing", [True, False])
def test_a_conversion_that_dies_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Any, existing: bool
) -> None:
    target = tmp_path / "target"
    if existing:
        small.copy_of(small.converted_folder(), target)
    kept = sorted(p.name for p in tmp_path.rglob("*"))
    reached = []

    def fail(path: Path, *_: Any) -> None:
        reached.append(sorted(p.name for p in path.parent.iterdir()))
        raise error("gone")

    monkeypatch.setattr(decoder, "write_head", fail)
    with pytest.raises(error):
        convert(KOSMOS2, source, target, "int8", overwrite=existing)
    assert "decoder.data" in reached[0]
    assert sorted(p.name for p in tmp_path.rglob("*")) == kept
    if existing:
        assert open_converted(KOSMOS2, target).manifest.precision == "fp32"


def test_a_replacement_that_cannot_move_in_leaves_the_old_one(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = small.copy_of(small.converted_folder(), tmp_path / "target")
    rename, failed = Path.rename, list[Path]()

    def fail(self: Path, other: Path) -> Path:
        if self.name.endswith(".part") and not failed:
            failed.append(self)
            raise OSError(28, "No space left on device")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(ModelError, match="no space left on the device"):
        convert(KOSMOS2, source, target, "int8", overwrite=True)
    assert open_converted(KOSMOS2, target).manifest.precision == "fp32"


def test_targets_that_cannot_be_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match="cannot be written: there is a file of that name"):
        convert(KOSMOS2, source, tmp_path / "file" / "target", "fp32")
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o555)
        with pytest.raises(ModelError, match="cannot be written: permission denied"):
            convert(KOSMOS2, source, tmp_path / "locked" / "target", "fp32")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(decoder, "write_structure", full)
    target = tmp_path / "target"
    with pytest.raises(ModelError, match="no space left on the device") as caught:
        convert(KOSMOS2, source, target, "fp32")
    assert str(caught.value).startswith(str(target))
    assert not target.exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = decoder.write_decoder

    def onto_a_full_disk(path: Path, *rest: Any) -> None:
        path.with_suffix(".data").symlink_to("/dev/full")
        write(path, *rest)

    monkeypatch.setattr(decoder, "write_decoder", onto_a_full_disk)
    with pytest.raises(ModelError, match="no space left on the device"):
        convert(KOSMOS2, source, tmp_path / "target", "fp32")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source"]
    shutil.rmtree(source)
