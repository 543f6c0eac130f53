"""The tower of two convolutional networks: the graph against torch, stage by stage."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from safetensors.numpy import save_file
from torch.nn import functional
from transformers import Kosmos2Config
from transformers.models.kosmos2.modeling_kosmos2 import Kosmos2ImageToTextProjection

import tiny_tokenizer
from kosmoscope.errors import CheckpointError
from kosmoscope.evaluation.words import CLASS_NAMES
from kosmoscope.model.checkpoint import Checkpoint, expected_tensors
from kosmoscope.model.config import DETECTOR_TOWER, DetectorVisionConfig, ModelConfig
from kosmoscope.model.detector.shapes import expected_shapes
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.model.vision import write_vision
from kosmoscope.store.convert import convert
from recipes.pocket.network import Seen
from recipes.pocket.regions import RegionHead, main_boxes, region_rows
from recipes.pocket.vision import Frozen, vote

V = DetectorVisionConfig(
    width=32, ffn_width=48, layers=2, heads=4, image_size=96, looks=(96, 64), scene_size=64,
    detections=12, regions=16, labels=40, names=11, classes=CLASS_NAMES, causal=True,
    score_threshold=0.2, overlap_threshold=0.6, class_overlap_threshold=0.4,
    activation="quick_gelu", eps=1e-5,
)  # fmt: skip
GROUPS = np.arange(40) % 12 - 1  # the first of twelve has no name
PREFIX = "vision_model.model."


def config_json(**changes: Any) -> dict[str, Any]:
    names = {"width": "hidden_size", "ffn_width": "intermediate_size", "eps": "layer_norm_eps",
             "layers": "num_hidden_layers", "heads": "num_attention_heads",
             "activation": "hidden_act"}  # fmt: skip
    plain = json.loads(json.dumps(asdict(V)))
    vision = {names.get(k, k): v for k, v in plain.items()}
    return {
        "model_type": "kosmos-2",
        "latent_query_num": 6,
        "text_config": {
            "vocab_size": tiny_tokenizer.build_tokenizer(120).get_vocab_size(), "embed_dim": 48,
            "layers": 1, "ffn_dim": 64, "attention_heads": 2,
        },
        "vision_config": {"model_type": DETECTOR_TOWER, **vision, **changes},
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights of the two networks' own sizes."""
    root = tmp_path_factory.mktemp("detector")
    (root / "config.json").write_text(json.dumps(config_json()))
    tiny_tokenizer.save(root, 120)
    (root / "preprocessor_config.json").write_text(json.dumps({
        "do_center_crop": False, "do_resize": True, "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225], "size": {"longest_edge": 96}, "size_divisor": 32,
    }))  # fmt: skip
    rng = np.random.default_rng(0)
    tensors = {}
    for name, shape in expected_tensors(ModelConfig.from_file(root / "config.json")).items():
        values = rng.normal(size=shape) * (1.6 / max(1, int(np.prod(shape[1:])))) ** 0.5
        if name.startswith(PREFIX + "detector."):
            values *= 0.7  # scores of exactly 1 would have no order
        if name.endswith(("norm1.weight", "norm2.weight", "layernorm.weight")):
            values = 1 + 0.2 * values
        tensors[name] = values.astype(np.float32)
    tensors[PREFIX + "names.group"] = GROUPS.astype(np.float32)
    save_file(tensors, root / "model.safetensors")
    return root


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Checkpoint:
    config = ModelConfig.from_file(folder / "config.json")
    return Checkpoint((folder / "model.safetensors",), config)


@pytest.fixture(scope="module")
def graph(folder: Path, checkpoint: Checkpoint) -> ort.InferenceSession:
    """The fp32 graph with its inner values."""
    path = folder / "vision.onnx"
    write_vision(path, ModelConfig.from_file(folder / "config.json"), checkpoint, "fp32")
    model = onnx.load(str(path), load_external_data=False)
    for name in TAPPED:
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    onnx.save(model, str(path.with_name("tapped.onnx")))
    return ort.InferenceSession(str(path.with_name("tapped.onnx")))


TAPPED = ("detector.scores@64", "detection.features", "region.features", "name.features", "whole",
          "classifier.15.project", "main.box", "features")  # fmt: skip


def seen_by(graph: ort.InferenceSession, pixels: torch.Tensor) -> dict[str, Any]:
    names = [*TAPPED, "embeddings", "candidates"]
    return dict(zip(names, graph.run(names, {"pixels": pixels.numpy()}), strict=True))


@pytest.fixture(scope="module")
def values(graph: ort.InferenceSession) -> dict[str, Any]:
    """Inner values for one picture."""
    pixels = picture()
    return {"pixels": pixels, **seen_by(graph, pixels)}


def picture(height: int = 96, width: int = 96) -> torch.Tensor:
    torch.manual_seed(0)
    coarse = torch.randn(1, 3, 7, 7)
    return functional.interpolate(coarse, size=(height, width), mode="bicubic")


def close(ours: Any, theirs: torch.Tensor, tolerance: float = 2e-4) -> None:
    reference = theirs.numpy()
    assert ours.shape == reference.shape
    assert np.abs(ours - reference).max() <= tolerance * max(1.0, np.abs(reference).max())


@pytest.fixture(scope="module")
def frozen(checkpoint: Checkpoint) -> Frozen:
    weights = {
        name.removeprefix(PREFIX): checkpoint.tensor(name)
        for name, _ in expected_shapes(V, PREFIX)
        if "embeddings." not in name
    }
    return Frozen(V, weights)


def heads(checkpoint: Checkpoint) -> RegionHead:
    state = {
        name.removeprefix(PREFIX + "regions."): torch.from_numpy(checkpoint.tensor(name))
        for name, _ in expected_shapes(V, PREFIX)
        if ".regions." in name
    }
    head = RegionHead()
    head.load_state_dict(state)
    return head.eval()


@pytest.mark.parametrize("size", [(96, 96), (64, 96), (96, 32)], ids=str)
def test_what_is_trained_sees_what_the_graph_says(
    graph: ort.InferenceSession, frozen: Frozen, checkpoint: Checkpoint, size: tuple[int, int]
) -> None:
    pixels = picture(*size)
    found, sight = seen_by(graph, pixels), frozen.see(pixels)
    assert (sight.detections[0, :, :80].amax(1) > 0).sum() >= 1
    close(found["classifier.15.project"], sight.coarse)
    close(found["whole"][0], sight.whole)
    with torch.no_grad():
        logits = heads(checkpoint)(sight.fine, sight.coarse)
        measures, boxes = region_rows(logits)
        main = main_boxes(logits)
        inside = frozen.inside(pixels, main)
        layer = [
            torch.from_numpy(checkpoint.tensor(f"{PREFIX}names.{k}")) for k in ("weight", "bias")
        ]
        together = torch.zeros(V.labels, V.names)
        kept = np.flatnonzero(GROUPS >= 0)
        together[kept, GROUPS[kept]] = 1
        shares = torch.stack(
            [(x @ layer[0].T + layer[1]).softmax(-1) @ together for x in (sight.whole, inside)], 1
        )
        seen = Seen(sight.detections, measures, boxes, shares, main, sight.whole, sight.coarse)
        rows = seen.features()
    close(found["main.box"], main[0])
    for name, row in zip(("detection", "region", "name"), rows, strict=True):
        close(found[f"{name}.features"], row, 1e-3)


def test_candidates_are_what_the_tokens_are_made_of(values: dict[str, Any]) -> None:
    rows = values["candidates"]
    assert rows.shape == (V.detections, 84)
    tokens = values["detection.features"][0]
    assert np.array_equal(rows[:, :80], tokens[:, :80])
    assert np.array_equal(rows[:, 80:], tokens[:, 83:87])
    assert rows.any()


def test_without_names_there_are_no_candidates(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config_json(classes=[])))
    config = ModelConfig.from_file(tmp_path / "config.json")
    source = Checkpoint((folder / "model.safetensors",), config)
    write_vision(tmp_path / "vision.onnx", config, source, "fp32")
    session = ort.InferenceSession(str(tmp_path / "vision.onnx"))
    assert [o.name for o in session.get_outputs()] == ["embeddings"]


def test_the_looks_are_at_their_sizes(graph: ort.InferenceSession) -> None:
    # 64 by 64 pixels have 8 * 8 + 4 * 4 + 2 * 2 anchors, 64 by 32 half of them.
    assert seen_by(graph, picture())["detector.scores@64"].shape == (1, 84, 80)
    assert seen_by(graph, picture(96, 32))["detector.scores@64"].shape == (1, 42, 80)


def test_looks_that_agree_outvote_one() -> None:
    def look(*found: tuple[int, float, tuple[float, ...]]) -> tuple[torch.Tensor, torch.Tensor]:
        scores = torch.zeros(1, len(found), 80)
        for row, (kind, score, _) in enumerate(found):
            scores[0, row, kind] = score
        return scores, torch.tensor([[box for *_, box in found]])

    left, near, right = (0.1, 0.1, 0.5, 0.5), (0.1, 0.1, 0.5, 0.54), (0.6, 0.6, 0.9, 0.9)
    found = vote([look((3, 0.6, left), (7, 0.9, right)), look((3, 0.6, near), (5, 0.0, right))], V)
    table = found[0]
    assert table[:2, :80].argmax(1).tolist() == [3, 7]
    assert table[0, 3] == pytest.approx(0.6)
    assert table[1, 7] == pytest.approx(0.45)  # one of two saw it
    assert table[0, 81:].tolist() == pytest.approx([0.1, 0.1, 0.5, 0.52])  # equal voices
    assert table[1, 81:].tolist() == pytest.approx(right)
    assert not table[2:].any()


def test_of_a_class_each_thing_is_there_once() -> None:
    """Of two boxes that overlap by 0.45 one goes if they are of a class, and stays if not."""
    scores = torch.zeros(1, 3, 80)
    scores[0, 0, 3], scores[0, 1, 3], scores[0, 2, 7] = 0.9, 0.8, 0.7
    left, more, right = (0.1, 0.1, 0.5, 0.5), (0.1, 0.1, 0.5, 0.98), (0.5, 0.1, 0.9, 0.5)
    for kinds, kept in ((3, [3, 7]), (5, [3, 5, 7])):
        scores[0, 1] = 0
        scores[0, 1, kinds] = 0.8
        found = vote([(scores, torch.tensor([[left, more, right]]))], V)[0]
        assert found[found[:, :80].amax(1) > 0, :80].argmax(1).tolist() == kept


def test_a_level_second_class_is_told_by_the_lead() -> None:
    scores = torch.zeros(1, 1, 80)
    scores[0, 0, :2] = 0.5
    found = vote([(scores, torch.tensor([[[0.1, 0.1, 0.5, 0.5]]]))], V)
    assert found[0, 0, 80] == pytest.approx(0.5)


def test_latents_see_only_what_comes_before_them(
    folder: Path, checkpoint: Checkpoint, values: dict[str, Any]
) -> None:
    config = ModelConfig.from_file(folder / "config.json")
    features = torch.from_numpy(values["features"])
    latents, seen = values["embeddings"].shape[0], features.clone()
    seen[latents:] = 9.0  # rows that no latent may see
    for causal, rows, same in ((True, seen, True), (False, features, False)):
        kosmos = Kosmos2Config(
            text_config={"embed_dim": config.text.width, "attention_heads": config.text.heads},
            vision_config={"hidden_size": V.width}, latent_query_num=latents,
        )  # fmt: skip
        kosmos.text_config._attn_implementation = "sdpa"
        resampler = Kosmos2ImageToTextProjection(kosmos).eval()
        prefix = "image_to_text_projection."
        state = {k: torch.from_numpy(checkpoint.tensor(prefix + k)) for k in resampler.state_dict()}
        resampler.load_state_dict(state)
        resampler.x_attn.is_causal = causal
        with torch.no_grad():
            wanted = resampler(rows[None])[0][0].numpy()
        gap = np.abs(values["embeddings"] - wanted).max()
        assert (gap < 1e-4) == same


def test_every_precision_converts_and_agrees(folder: Path, values: dict[str, Any]) -> None:
    for precision in ("int8", "int4"):
        target = folder.parent / precision
        convert(KOSMOS2, folder, target, precision)  # type: ignore[arg-type]
        session = ort.InferenceSession(str(target / "vision.onnx"))
        (found,) = session.run(["embeddings"], {"pixels": values["pixels"].numpy()})
        exact = values["embeddings"]
        assert np.abs(found - exact).max() < 0.1 * np.abs(exact).max()


@pytest.mark.parametrize(("change", "message"), [
    ({"image_size": 100, "looks": [100]}, "multiple of 32"),
    ({"looks": [64]}, "expected the largest of looks"),
    ({"looks": []}, "expected different sides"),
    ({"looks": [96, 96]}, "expected different sides"),
    ({"causal": "yes"}, "causal"),
    ({"classes": ["dog"]}, "has 1 names; the detector has 80"),
    ({"classes": ["dog"] * 80}, "expected different names"),
    ({"score_threshold": 1.5}, "between 0 and 1"),
    ({"class_overlap_threshold": 2}, "between 0 and 1"),
    ({"patch_size": 14}, "unknown key vision_config.patch_size"),
    ({"model_type": "resnet"}, "no such vision tower"),
])  # fmt: skip
def test_a_wrong_config_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config_json(**change)))
    with pytest.raises(CheckpointError, match=message):
        ModelConfig.from_file(path)


def test_a_missing_tensor_is_named(folder: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    del tensors[PREFIX + "detector.7.bias"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"detector\.7\.bias"):
        Checkpoint((tmp_path / "model.safetensors",), ModelConfig.from_file(folder / "config.json"))
