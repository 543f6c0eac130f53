"""CLIP and SigLIP: checkpoints that are damaged, hostile, or of another kind than they say."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from transformers import CLIPConfig, SiglipConfig

import dual_models
from dual_models import CLIPS, SIGLIPS, picture
from kosmoscope.dual import CLIP, SIGLIP, load_dual_encoder
from kosmoscope.dual.config import DualConfig
from kosmoscope.errors import (
    CheckpointError,
    ModelError,
    ModelNotFoundError,
    OfflineError,
    OptionError,
    TokenizerError,
)
from kosmoscope.store.folders import converted_root
from refusals import refused_by

WEIGHTS = "model.safetensors"
CONFIG, TOKENIZER = "config.json", "tokenizer.json"
PIXELS, TOKENIZER_CONFIG = "preprocessor_config.json", "tokenizer_config.json"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sound")
    return {s.name: dual_models.make(root / s.name, s).folder for s in (CLIPS[0], *SIGLIPS)}


@pytest.fixture
def clip(sound: dict[str, Path], tmp_path: Path) -> Path:
    """A sound checkpoint's copy, to be damaged."""
    return Path(shutil.copytree(sound["base"], tmp_path / "clip"))


@pytest.fixture
def siglip(sound: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound["siglip"], tmp_path / "siglip"))


pytestmark = pytest.mark.usefixtures("home")
refused = partial(refused_by, load_dual_encoder)


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


def same_vectors(one: Path, other: Path) -> bool:
    models = [load_dual_encoder(folder, threads=1) for folder in (one, other)]
    read = [m.embed_text("a photo of a dog, two") for m in models]
    seen = [m.embed_picture(picture()) for m in models]
    return np.array_equal(*read) and np.array_equal(*seen)


# Names


@pytest.mark.parametrize("name", [*CLIP.aliases, *SIGLIP.aliases, "acme/clip"])
def test_models_that_were_not_downloaded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(name, ModelNotFoundError, f"{name}: not on this machine", f"kosmoscope pull {name}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(name, OfflineError, name, "HF_HUB_OFFLINE is set")


def test_names_and_options_that_are_none(clip: Path, siglip: Path) -> None:
    refused("clip-vit-base-patch16", ModelNotFoundError, "did you mean clip-vit-base-patch32")
    refused(clip / WEIGHTS, ModelNotFoundError, "a file")
    with pytest.raises(OptionError, match="threads"):
        load_dual_encoder(clip, threads=0)
    for folder in (clip, siglip):
        with pytest.raises(OptionError, match="fp32, int8"):
            load_dual_encoder(folder, precision="int4")  # type: ignore[arg-type]
    pocket = Path(__file__).parents[1] / "src" / "kosmoscope" / "pocket"
    refused(pocket, CheckpointError, "model_type is 'kosmos-2'; expected 'clip' or 'siglip'")


# Files


@pytest.mark.parametrize("name", [CONFIG, PIXELS, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS])
def test_missing_files(siglip: Path, name: str) -> None:
    (siglip / name).unlink()
    refused(siglip, CheckpointError, str(siglip), name)


def test_clip_needs_no_config_of_its_tokenizer(sound: dict[str, Path], clip: Path) -> None:
    (clip / TOKENIZER_CONFIG).unlink()
    assert same_vectors(clip, sound["base"])


@pytest.mark.parametrize("name", [CONFIG, PIXELS, TOKENIZER, TOKENIZER_CONFIG])
@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, "\udcff"], ids=lambda t: ascii(t)[:9])
def test_files_that_are_no_json(siglip: Path, name: str, text: str) -> None:
    (siglip / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    kind = TokenizerError if "tokenizer" in name else CheckpointError
    refused(siglip, kind, str(siglip / name))


def test_pickles_are_never_opened(clip: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    (clip / WEIGHTS).unlink()
    (clip / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    refused(clip, CheckpointError, str(clip), "pytorch_model.bin", "pickle", WEIGHTS)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(("family", "name"), [
    ("clip", "text_model.encoder.layers.1.layer_norm2.weight"), ("clip", "logit_scale"),
    ("clip", "vision_model.embeddings.class_embedding"), ("clip", "text_projection.weight"),
    ("clip", "text_model.embeddings.token_embedding.weight"),
    ("siglip", "vision_model.head.probe"), ("siglip", "vision_model.head.attention.in_proj_weight"),
    ("siglip", "vision_model.embeddings.patch_embedding.bias"), ("siglip", "logit_bias"),
    ("siglip", "text_model.head.bias"),
])  # fmt: skip
def test_tensors_that_are_not_as_they_should_be(
    request: pytest.FixtureRequest, family: str, name: str
) -> None:
    source = request.getfixturevalue(family)
    tensors = load_file(source / WEIGHTS)
    right = tensors[name]

    def with_value(value: np.ndarray | None) -> None:
        changed = {k: v for k, v in tensors.items() if k != name}
        save_file(changed if value is None else {**changed, name: value}, source / WEIGHTS)

    with_value(None)
    refused(source, CheckpointError, WEIGHTS, "missing", name)
    with_value(np.zeros((*right.shape, 1), np.float32))
    refused(source, CheckpointError, WEIGHTS, name, str((*right.shape, 1)), str(right.shape))
    with_value(np.full(right.shape, np.nan, np.float32))
    refused(source, CheckpointError, WEIGHTS, name, "not finite")


def test_surplus_and_derived_tensors(sound: dict[str, Path], clip: Path) -> None:
    """Older files hold the numbers of the positions, which are always the same."""
    tensors = load_file(clip / WEIGHTS)
    counted = {f"{part}_model.embeddings.position_ids": np.arange(20)[None]
               for part in ("text", "vision")}  # fmt: skip
    save_file({**tensors, **counted}, clip / WEIGHTS)
    assert same_vectors(clip, sound["base"])
    shutil.rmtree(converted_root())
    save_file({**tensors, "vision_model.head.probe": np.zeros(1, np.float32)}, clip / WEIGHTS)
    refused(clip, CheckpointError, WEIGHTS, "surplus", "vision_model.head.probe")


def test_numbers_beyond_what_is_kept(clip: Path) -> None:
    tensors = load_file(clip / WEIGHTS)
    name = "text_model.embeddings.token_embedding.weight"
    save_file({**tensors, name: tensors[name] * 1e6}, clip / WEIGHTS)
    with pytest.raises(CheckpointError, match=f"{name} has values beyond float16"):
        load_dual_encoder(clip, threads=1, precision="int8")
    save_file({**tensors, "logit_scale": np.array(1e4, np.float32)}, clip / WEIGHTS)
    refused(clip, CheckpointError, WEIGHTS, "logit_scale is 10000.0")
    save_file({**tensors, "visual_projection.weight": tensors["visual_projection.weight"] * 1e38},
              clip / WEIGHTS)  # fmt: skip
    with pytest.raises(ModelError, match="clip: its weights give numbers that are not finite"):
        load_dual_encoder(clip, threads=1).embed_picture(picture())


# Configs


@pytest.mark.parametrize(("change", "word"), [
    (lambda c: c.update(model_type="clipseg"), "'clipseg'"),
    (lambda c: c.update(mystery=1), "unknown key mystery"),
    (lambda c: c.pop("vision_config"), "vision_config"),
    (lambda c: c.update(text_config=[]), "text_config"),
    (lambda c: c["text_config"].update(mystery=1), "unknown key text_config.mystery"),
    (lambda c: c["vision_config"].update(model_type="siglip_vision_model"), "siglip_vision"),
    (lambda c: c["vision_config"].update(hidden_size=33), "33"),
    (lambda c: c["vision_config"].update(hidden_act="silu"), "vision_config.hidden_act is 'silu'"),
    (lambda c: c["vision_config"].update(num_channels=4), "num_channels"),
    (lambda c: c["vision_config"].update(image_size=[48, 48]), "image_size"),
    (lambda c: c["vision_config"].update(image_size=10**6), "image_size"),
    (lambda c: c["vision_config"].update(patch_size=49), "larger than image_size"),
    (lambda c: c["vision_config"].update(patch_size=12), "patch_embedding"),
    (lambda c: c["vision_config"].update(num_hidden_layers=4), "layers.3"),
    (lambda c: c["vision_config"].update(layer_norm_eps=0), "layer_norm_eps"),
    (lambda c: c["text_config"].update(max_position_embeddings=3), "max_position_embeddings"),
    (lambda c: c["text_config"].update(max_position_embeddings=21), "position_embedding"),
    (lambda c: c["text_config"].update(eos_token_id=[1, 2]), "eos_token_id"),
    (lambda c: c["text_config"].update(vocab_size=400), "vocab_size is 400"),
    (lambda c: c["text_config"].update(eos_token_id=7), "7, config.json's eos_token_id"),
    (lambda c: c.update(projection_dim=21), "text_projection.weight has shape (20, 24)"),
    (lambda c: c.update(vision_config_dict={"mystery": 1}), "vision_config_dict.mystery"),
])  # fmt: skip
def test_configs_of_clip_that_are_wrong(clip: Path, change: Any, word: str) -> None:
    edit(clip / CONFIG, change)
    both = word in ("vocab_size is 400", "7, config.json's eos_token_id")  # it and tokenizer.json
    refused(clip, TokenizerError if both else CheckpointError, str(clip), word)


@pytest.mark.parametrize(("change", "word"), [
    (lambda c: c["vision_config"].update(vision_use_head=False), "vision_use_head"),
    (lambda c: c["text_config"].update(projection_size=31), "projection_size is 31"),
    (lambda c: c["text_config"].update(projection_size=0), "projection_size"),
    (lambda c: c.update(projection_dim=31, text_config_dict={}), "text_config_dict"),
])  # fmt: skip
def test_configs_of_siglip_that_are_wrong(siglip: Path, change: Any, word: str) -> None:
    edit(siglip / CONFIG, change)
    refused(siglip, CheckpointError, str(siglip / CONFIG), word)


@pytest.mark.parametrize("kind", [CLIPConfig, SiglipConfig])
def test_what_a_config_does_not_say(tmp_path: Path, kind: Any) -> None:
    """The released SigLIP's says nothing but what it is."""
    path, full = tmp_path / "bare.json", tmp_path / "full.json"
    bare = {"model_type": kind.model_type, "vision_config": {}, "text_config": {}}
    path.write_text(json.dumps(bare))
    full.write_text(kind().to_json_string(use_diff=False))
    assert DualConfig.from_file(path) == DualConfig.from_file(full)


def test_keys_of_older_files_are_known(sound: dict[str, Path], clip: Path) -> None:
    """As transformers 4 wrote the released files, the sections once more under another name."""

    def change(config: dict[str, Any]) -> None:
        config.update(torch_dtype="float32", transformers_version=None, _commit_hash=None)
        for part in ("vision_config", "text_config"):
            config[part].update(model_type="", temperature=1.0, top_k=50, torch_dtype=None,
                                dropout=0.0, pad_token_id=1, bos_token_id=0)  # fmt: skip
        twice = config[part].copy()
        config.update(vision_config_dict=None, text_config_dict=twice)
        config[part].update(num_hidden_layers=7, eos_token_id=3)

    edit(clip / CONFIG, change)
    older = {"feature_extractor_type": "CLIPFeatureExtractor", "do_convert_rgb": None}
    edit(clip / PIXELS, lambda p: p.update(size=48, crop_size=48, **older))
    edit(clip / PIXELS, lambda p: p.pop("image_processor_type"))
    assert same_vectors(clip, sound["base"])
    theirs = CLIPConfig.from_pretrained(clip)
    assert theirs.text_config.num_hidden_layers == 2, "transformers sees it the same way"


@pytest.mark.parametrize(("change", "word"), [
    (lambda p: p.update(size={"shortest_edge": 40}), "crop_size"),
    (lambda p: p.update(size={"longest_edge": 48}), "shortest_edge"),
    (lambda p: p.update(size={"shortest_edge": 0}), "size"),
    (lambda p: p.update(size="48"), "size"),
    (lambda p: p.update(crop_size={"height": 40, "width": 48}), "crop_size must be 48x48"),
    (lambda p: p.update(do_center_crop=False), "size keeps the aspect"),
    (lambda p: p.update(do_center_crop=False, size={"height": 40, "width": 48}), "48x48"),
    (lambda p: p.update(do_center_crop=1), "do_center_crop"),
    (lambda p: p.update(do_normalize=False), "do_normalize"),
    (lambda p: p.update(image_std=[0, 1, 1]), "image_std"),
    (lambda p: p.update(rescale_factor=0), "rescale_factor"),
    (lambda p: p.update(resample=99), "resample"),
    (lambda p: p.update(image_processor_type="SiglipImageProcessor"), "must be CLIP's"),
], ids=lambda v: v if isinstance(v, str) else "")  # fmt: skip
def test_preprocessors_that_do_not_fit(clip: Path, change: Any, word: str) -> None:
    edit(clip / PIXELS, change)
    refused(clip, CheckpointError, PIXELS, word)


# Tokenizers


@pytest.mark.parametrize(("change", "word"), [
    (lambda t: t.update(pad_token="<none>"), "pad_token is '<none>'"),
    (lambda t: t.pop("eos_token"), "eos_token is 'None'"),
    (lambda t: t.update(eos_token="<unk>"), "expected [2], the eos_token"),
    (lambda t: t.update(tokenizer_class="T5Tokenizer"), "'T5Tokenizer'"),
    (lambda t: t.update(padding_side="left"), "padding_side is 'left'"),
    (lambda t: t.update(do_lower_case=False), "do_lower_case is 'False'"),
])  # fmt: skip
def test_tokenizers_of_siglip_that_do_not_fit(siglip: Path, change: Any, word: str) -> None:
    edit(siglip / TOKENIZER_CONFIG, change)
    refused(siglip, TokenizerError, str(siglip), word)


def test_tokenizers_that_do_not_end_a_text(clip: Path, siglip: Path) -> None:
    for folder in (clip, siglip):
        edit(folder / TOKENIZER, lambda t: t.update(post_processor=None))
        refused(folder, TokenizerError, str(folder / TOKENIZER), "an empty text has the ids []")


def test_tokens_named_in_full(sound: dict[str, Path], siglip: Path) -> None:
    """As older versions wrote them; padding and truncation that a file asks for do not count."""
    edit(siglip / TOKENIZER_CONFIG, lambda t: t.update(
        pad_token={"content": "</s>", "special": True}, padding_side="right"))  # fmt: skip
    edit(siglip / TOKENIZER, lambda t: t.update(
        truncation={"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        padding={"strategy": {"Fixed": 9}, "direction": "Left", "pad_to_multiple_of": None,
                 "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"}))  # fmt: skip
    assert same_vectors(siglip, sound["siglip"])


# The cache


@pytest.mark.parametrize("name", ["vision.onnx", "text.data", "logits.json", TOKENIZER])
def test_conversions_that_lost_something(clip: Path, home: Path, name: str) -> None:
    load_dual_encoder(clip, threads=1)
    (folder,) = (home / "converted").iterdir()
    file = folder / name
    raw = file.read_bytes()
    file.unlink()
    with pytest.raises(CheckpointError, match="convert again") as caught:
        load_dual_encoder(clip, threads=1)
    assert str(caught.value).startswith(str(file))
    file.write_bytes(b"\x93" * len(raw))
    if not name.endswith(".data"):
        with pytest.raises(CheckpointError, match=name):
            load_dual_encoder(clip, threads=1)
