"""Segment Anything: names that are not there, checkpoints that are damaged or hostile."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import sam_models
from kosmoscope.errors import (
    CheckpointError,
    ModelError,
    ModelNotFoundError,
    OfflineError,
    OptionError,
)
from kosmoscope.segment import BoxPrompt, load_segmenter
from kosmoscope.segment.sam import SAM, converted, load_sam
from kosmoscope.segment.sam.tensors import WAVES
from kosmoscope.store.folders import cache_root, converted_root
from refusals import refused_by
from sam_models import SHAPES, picture

WEIGHTS = "model.safetensors"
TIED = "prompt_encoder.shared_embedding.positional_embedding"
NORM = "vision_encoder.layers.1.layer_norm2.weight"
BOX = [BoxPrompt((3, 4, 50, 40))]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sam_models.make(tmp_path_factory.mktemp("sound") / "sam", SHAPES[0]).folder


@pytest.fixture
def source(sound: Path, tmp_path: Path) -> Path:
    """A sound checkpoint's copy, to be damaged."""
    return Path(shutil.copytree(sound, tmp_path / "source"))


pytestmark = pytest.mark.usefixtures("home")
refused = partial(refused_by, load_sam)


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


def rewrite(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


# Names


@pytest.mark.parametrize("name", [*SAM.aliases, "acme/sam"])
def test_models_that_were_not_downloaded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(name, ModelNotFoundError, f"{name}: not on this machine", f"kosmoscope pull {name}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(name, OfflineError, name, "HF_HUB_OFFLINE is set", f"kosmoscope pull {name}")


@pytest.mark.parametrize(
    "name", ["sam-vit-bass", "./nowhere", "", "../x/y", "a/b/c", "x\0y", "~nobody-of-that-name/x"]
)
def test_names_that_are_none(name: str) -> None:
    refused(name, ModelNotFoundError, "no such folder" if "/" in name else "sam-vit-base")
    segmenters = () if "/" in name else ("sam-vit-base",)
    with pytest.raises(ModelNotFoundError) as caught:
        load_segmenter(name, threads=1)
    assert all(word in str(caught.value) for word in segmenters)


def test_paths_that_are_no_folder(source: Path) -> None:
    refused(source / WEIGHTS, ModelNotFoundError, str(source / WEIGHTS), "a file")
    refused(source / "nowhere", ModelNotFoundError, "nowhere")


def test_a_model_in_the_hubs_cache(sound: Path, tmp_path: Path) -> None:
    """As `hf download` leaves it: refs/main names the snapshot, whose files are links."""
    repo, commit = SAM.aliases["sam-vit-base"], "0123456789abcdef" * 2 + "01234567"
    storage = tmp_path / "hub" / "hub" / f"models--{repo.replace('/', '--')}"
    snapshot = storage / "snapshots" / commit
    (storage / "refs").mkdir(parents=True)
    (storage / "refs" / "main").write_text(commit)
    shutil.copytree(sound, storage / "blobs")
    snapshot.mkdir(parents=True)
    for file in ("config.json", "preprocessor_config.json"):
        (snapshot / file).symlink_to(storage / "blobs" / file)
    refused("sam-vit-base", ModelNotFoundError)  # the weights are not there yet
    (snapshot / WEIGHTS).symlink_to(storage / "blobs" / WEIGHTS)
    by_alias = load_sam("sam-vit-base", threads=1)
    by_name = load_sam(repo, threads=1)
    assert by_alias.name == by_name.name == "sam:sam-vit-base"
    assert len(list(converted_root().iterdir())) == 1
    (storage / "refs" / "main").write_text("../../../etc")
    with pytest.raises(ModelNotFoundError):
        load_sam(repo, threads=1)


def test_options_out_of_range(source: Path) -> None:
    for threads in (0, -1, True, 5000, 1.5):
        with pytest.raises(OptionError, match="threads"):
            load_sam(source, threads=threads)  # type: ignore[arg-type]
    for precision in ("int4", "fp16", ""):
        with pytest.raises(OptionError, match="fp32, int8"):
            load_sam(source, threads=1, precision=precision)  # type: ignore[arg-type]


# Files


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", WEIGHTS])
def test_missing_files(source: Path, name: str) -> None:
    (source / name).unlink()
    refused(source, CheckpointError, str(source), name)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, "\udcff"],
                         ids=lambda t: ascii(t)[:9])  # fmt: skip
def test_files_that_are_no_json(source: Path, name: str, text: str) -> None:
    (source / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    refused(source, CheckpointError, str(source / name))


def test_pickles_are_never_opened(source: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    (source / WEIGHTS).unlink()
    (source / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    refused(source, CheckpointError, str(source), "pytorch_model.bin", "pickle", WEIGHTS)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("keep", [0, 4, 8, 100, -1])
def test_truncated_weights(source: Path, keep: int) -> None:
    raw = (source / WEIGHTS).read_bytes()
    (source / WEIGHTS).write_bytes(raw[:keep])
    refused(source, CheckpointError, str(source / WEIGHTS))


@pytest.mark.parametrize("raw", [b"\xff" * 64, struct.pack("<Q", 2**62) + b"{}",
                                 struct.pack("<Q", 2) + b"[]", b"PK\x03\x04" * 99],
                         ids=["ff", "giant", "list", "zip"])  # fmt: skip
def test_weights_that_are_none(source: Path, raw: bytes) -> None:
    (source / WEIGHTS).write_bytes(raw)
    refused(source, CheckpointError, str(source / WEIGHTS))


@pytest.mark.parametrize("name", [
    NORM, "vision_encoder.pos_embed", "vision_encoder.layers.0.attn.rel_pos_h",
    "prompt_encoder.point_embed.3.weight", "mask_decoder.mask_tokens.weight",
    "mask_decoder.output_hypernetworks_mlps.2.layers.0.bias", WAVES,
    "prompt_encoder.mask_embed.conv2.weight",
])  # fmt: skip
def test_tensors_that_are_not_as_they_should_be(source: Path, name: str) -> None:
    tensors = load_file(source / WEIGHTS)
    right = tensors[name]

    def with_value(value: np.ndarray | None) -> None:
        changed = {k: v for k, v in tensors.items() if k != name}
        save_file(changed if value is None else {**changed, name: value}, source / WEIGHTS)

    with_value(None)
    refused(source, CheckpointError, WEIGHTS, "missing", name)
    with_value(np.zeros((*right.shape, 1), np.float32))
    refused(source, CheckpointError, WEIGHTS, name, str((*right.shape, 1)), str(right.shape))
    with_value(np.zeros(right.shape, np.int64))
    refused(source, CheckpointError, WEIGHTS, name, "I64")
    if "mask_embed" not in name:  # the one network that no prompt here uses is never read
        with_value(np.full(right.shape, np.nan, np.float32))
        refused(source, CheckpointError, WEIGHTS, name, "not finite")


def test_surplus_tensors(source: Path) -> None:
    rewrite(source, lambda t: t.update({"vision_encoder.extra": np.zeros(1, np.float32)}))
    refused(source, CheckpointError, WEIGHTS, "surplus", "vision_encoder.extra")


def test_the_shared_matrix_under_either_name_or_both(sound: Path, source: Path) -> None:
    """Older files hold it twice, and some only under the prompt encoder's name."""
    expected = load_sam(sound, threads=1).segment(picture(), BOX)[0]

    def same() -> None:
        found = load_sam(source, threads=1).segment(picture(), BOX)[0]
        assert found.score == expected.score
        assert np.array_equal(found.mask, expected.mask)

    rewrite(source, lambda t: t.update({TIED: t[WAVES].copy()}))
    same()
    rewrite(source, lambda t: t.pop(WAVES))
    same()
    shutil.rmtree(cache_root())
    rewrite(source, lambda t: t.update({WAVES: t[TIED] + 1}))
    refused(source, CheckpointError, WEIGHTS, WAVES, TIED, "differs")


def test_shards(sound: Path, source: Path) -> None:
    tensors = load_file(source / WEIGHTS)
    (source / WEIGHTS).unlink()
    shards = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    names = sorted(tensors)
    parts = [{n: tensors[n] for n in names[i::2]} for i in (0, 1)]
    for shard, part in zip(shards, parts, strict=True):
        save_file(part, source / shard)
    where = {n: s for s, part in zip(shards, parts, strict=True) for n in part}
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    expected = load_sam(sound, threads=1).segment(picture(), BOX)[0]
    found = load_sam(source, threads=1).segment(picture(), BOX)[0]
    assert np.array_equal(found.mask, expected.mask)
    shutil.rmtree(cache_root())
    save_file({**parts[1], names[0]: tensors[names[0]]}, source / shards[1])
    refused(source, CheckpointError, shards[1], names[0], "also in")
    (source / shards[1]).unlink()
    refused(source, CheckpointError, shards[1], "missing")
    where[names[0]] = "../../elsewhere.safetensors"
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    refused(source, CheckpointError, "index.json", "elsewhere")


# Configs


@pytest.mark.parametrize(("change", "word"), [
    (lambda c: c.update(model_type="sam2"), "'sam2'"),
    (lambda c: c.pop("model_type"), "model_type"),
    (lambda c: c.update(mystery=1), "unknown key mystery"),
    (lambda c: c.pop("vision_config"), "vision_config"),
    (lambda c: c.update(mask_decoder_config=[]), "mask_decoder_config"),
    (lambda c: c["vision_config"].update(mystery=1), "unknown key vision_config.mystery"),
    (lambda c: c["vision_config"].update(model_type="sam_hq_vision_model"), "sam_hq"),
    (lambda c: c["vision_config"].update(hidden_size=33), "33"),
    (lambda c: c["vision_config"].update(hidden_size="32"), "hidden_size"),
    (lambda c: c["vision_config"].update(hidden_size=2**40), "hidden_size"),
    (lambda c: c["vision_config"].update(num_hidden_layers=0), "num_hidden_layers"),
    (lambda c: c["vision_config"].update(num_hidden_layers=4), "layers.3"),
    (lambda c: c["vision_config"].update(image_size=97), "97"),
    (lambda c: c["vision_config"].update(image_size=112), "112"),
    (lambda c: c["vision_config"].update(image_size=[96, 96]), "image_size"),
    (lambda c: c["vision_config"].update(image_size=10**6), "image_size"),
    (lambda c: c["vision_config"].update(num_channels=4), "num_channels"),
    (lambda c: c["vision_config"].update(hidden_act="silu"), "silu"),
    (lambda c: c["vision_config"].update(window_size=-1), "window_size"),
    (lambda c: c["vision_config"].update(window_size=False), "window_size"),
    (lambda c: c["vision_config"].update(window_size=5), "rel_pos"),
    (lambda c: c["vision_config"].update(global_attn_indexes=[-1]), "global_attn_indexes"),
    (lambda c: c["vision_config"].update(global_attn_indexes="all"), "global_attn_indexes"),
    (lambda c: c["vision_config"].update(global_attn_indexes=[0]), "rel_pos"),
    (lambda c: c["vision_config"].update(qkv_bias="yes"), "qkv_bias"),
    (lambda c: c["vision_config"].update(use_rel_pos=False), "surplus"),
    (lambda c: c["vision_config"].update(layer_norm_eps=2), "layer_norm_eps"),
    (lambda c: c["vision_config"].update(mlp_dim=None, mlp_ratio=-1), "mlp_ratio"),
    (lambda c: c["vision_config"].update(num_pos_feats=15), "num_pos_feats"),
    (lambda c: c["vision_config"].update(output_channels=48), "48"),
    (lambda c: c["prompt_encoder_config"].update(num_point_embeddings=5), "num_point_embeddings"),
    (lambda c: c["prompt_encoder_config"].update(image_embedding_size=7), "image_embedding_size"),
    (lambda c: c["prompt_encoder_config"].update(patch_size=8), "patch_size"),
    (lambda c: c["prompt_encoder_config"].update(mask_input_channels=6), "mask_input_channels"),
    (lambda c: c["prompt_encoder_config"].update(mystery=1), "prompt_encoder_config.mystery"),
    (lambda c: c["mask_decoder_config"].update(hidden_size=64), "64"),
    (lambda c: c["mask_decoder_config"].update(num_attention_heads=3), "3"),
    (lambda c: c["mask_decoder_config"].update(attention_downsample_rate=3), "1/3"),
    (lambda c: c["mask_decoder_config"].update(hidden_act="gelu"), "relu"),
    (lambda c: c["mask_decoder_config"].update(iou_head_depth=1), "iou_head_depth"),
    (lambda c: c["mask_decoder_config"].update(num_multimask_outputs=0), "num_multimask_outputs"),
    (lambda c: c["mask_decoder_config"].update(mystery=1), "mask_decoder_config.mystery"),
])  # fmt: skip
def test_configs_that_are_wrong(source: Path, change: Any, word: str) -> None:
    edit(source / "config.json", change)
    refused(source, CheckpointError, str(source), word)


def test_keys_of_older_files_are_known(sound: Path, source: Path) -> None:
    """As transformers 4 wrote the released files."""

    def change(config: dict[str, Any]) -> None:
        config["_commit_hash"] = config["transformers_version"] = None
        config["torch_dtype"] = config.pop("dtype")
        for part in ("vision_config", "prompt_encoder_config", "mask_decoder_config"):
            config[part].update(model_type="", temperature=1.0, top_k=50, torch_dtype=None)
        config["vision_config"].update(
            dropout=0.0, initializer_factor=1.0, intermediate_size=6144, projection_dim=512
        )
        config["vision_config"].pop("scale")

    edit(source / "config.json", change)
    edit(source / "preprocessor_config.json", lambda p: p.update(processor_class="SamProcessor"))
    expected = load_sam(sound, threads=1).segment(picture(), BOX)[0]
    found = load_sam(source, threads=1).segment(picture(), BOX)[0]
    assert np.array_equal(found.mask, expected.mask)


@pytest.mark.parametrize(("change", "word"), [
    (lambda p: p.update(size={"longest_edge": 1024}), "size"),
    (lambda p: p.update(size={"height": 96, "width": 96}), "longest_edge"),
    (lambda p: p.update(size=96), "size"),
    (lambda p: p.pop("size"), "size"),
    (lambda p: p.update(pad_size={"height": 96, "width": 64}), "pad_size"),
    (lambda p: p.update(do_pad=False), "do_pad"),
    (lambda p: p.update(do_normalize=False), "do_normalize"),
    (lambda p: p.update(do_resize=0), "do_resize"),
    (lambda p: p.update(image_std=[0, 1, 1]), "image_std"),
    (lambda p: p.update(image_mean=[0, 1]), "image_mean"),
    (lambda p: p.update(resample=99), "resample"),
    (lambda p: p.update(rescale_factor=0), "rescale_factor"),
], ids=lambda v: v if isinstance(v, str) else "")  # fmt: skip
def test_preprocessors_that_do_not_fit(source: Path, change: Any, word: str) -> None:
    edit(source / "preprocessor_config.json", change)
    refused(source, CheckpointError, "preprocessor_config.json", word)


# The cache


def folder_of(home: Path) -> Path:
    (found,) = (home / "converted").iterdir()
    return found


def test_a_conversion_is_made_once(source: Path, home: Path) -> None:
    steps: list[str] = []
    load_sam(source, threads=1, progress=steps.append)
    assert steps == ["mask decoder", "image encoder", "checksum of the source"]
    load_sam(source, threads=1, progress=steps.append)
    assert len(steps) == 3
    os.utime(source / WEIGHTS, ns=(1, 1))
    load_sam(source, threads=1, progress=steps.append)
    assert len(steps) == 6, "a replaced file converts anew"
    assert len(list((home / "converted").iterdir())) == 2


@pytest.mark.parametrize("name", ["encoder.onnx", "encoder.data", "decoder.onnx", "decoder.data",
                                  "config.json", "preprocessor_config.json"])  # fmt: skip
def test_conversions_that_lost_something(source: Path, home: Path, name: str) -> None:
    load_sam(source, threads=1)
    file = folder_of(home) / name
    raw = file.read_bytes()
    for broken in (raw[:-1], None):
        if broken is None:
            file.unlink()
        else:
            file.write_bytes(broken)
        with pytest.raises(CheckpointError, match="convert again") as caught:
            load_sam(source, threads=1)
        assert str(caught.value).startswith(str(file))
    file.write_bytes(b"\x93" * len(raw))
    if not name.endswith(".data"):
        with pytest.raises(CheckpointError, match=name):
            load_sam(source, threads=1)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format_version": 99}'])
def test_manifests_that_are_wrong(source: Path, home: Path, text: str) -> None:
    load_sam(source, threads=1)
    file = folder_of(home) / "kosmoscope.json"
    data = json.loads(file.read_text())
    file.write_text(json.dumps({**data, "files": {}}))
    with pytest.raises(CheckpointError, match=r"does not list config\.json"):
        load_sam(source, threads=1)
    file.write_text(text)
    with pytest.raises(CheckpointError, match=r"kosmoscope\.json"):
        load_sam(source, threads=1)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_conversion_that_dies_leaves_nothing(
    source: Path, home: Path, monkeypatch: pytest.MonkeyPatch, error: Any
) -> None:
    def fail(path: Path, *_: Any) -> None:
        assert (path.parent / "decoder.data").exists()
        raise error("gone")

    monkeypatch.setattr(converted, "write_encoder", fail)
    with pytest.raises(error):
        load_sam(source, threads=1)
    assert list((home / "converted").iterdir()) == []


def test_a_cache_that_cannot_be_written(source: Path, home: Path) -> None:
    home.write_text("in the way")
    with pytest.raises(ModelError, match="cannot be written: a part of the path is not") as caught:
        load_sam(source, threads=1)
    assert str(caught.value).startswith(str(home))


def test_numbers_without_end_are_no_score(source: Path) -> None:
    """Weights so large that the estimates overflow still give a score from 0 to 1."""
    name = "mask_decoder.iou_prediction_head.proj_out.weight"
    rewrite(source, lambda t: t.update({name: np.full((4, 12), 3e38, np.float32)}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (proposal,) = load_sam(source, threads=1).segment(picture(), BOX)
    assert 0 <= proposal.score <= 1
