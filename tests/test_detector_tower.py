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

import tiny_tokenizer
from kosmoscope.errors import CheckpointError
from kosmoscope.model.checkpoint import Checkpoint, expected_tensors
from kosmoscope.model.config import DETECTOR_TOWER, DetectorVisionConfig, ModelConfig
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.model.vision import write_vision
from kosmoscope.store.convert import convert

V = DetectorVisionConfig(
    width=32, ffn_width=48, layers=2, heads=4, image_size=96, scene_size=64, detections=12,
    regions=5, score_threshold=0.3, overlap_threshold=0.5, activation="quick_gelu", eps=1e-5,
)  # fmt: skip
PREFIX = "vision_model.model."


def config_json(**changes: Any) -> dict[str, Any]:
    names = {"width": "hidden_size", "ffn_width": "intermediate_size", "eps": "layer_norm_eps",
             "layers": "num_hidden_layers", "heads": "num_attention_heads",
             "activation": "hidden_act"}  # fmt: skip
    vision = {names.get(k, k): v for k, v in asdict(V).items()}
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
        "image_std": [0.229, 0.224, 0.225], "size": {"height": 96, "width": 96},
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
    save_file(tensors, root / "model.safetensors")
    return root


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Checkpoint:
    config = ModelConfig.from_file(folder / "config.json")
    return Checkpoint((folder / "model.safetensors",), config)


@pytest.fixture(scope="module")
def values(folder: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """Inner values of the fp32 graph for one picture."""
    path = folder / "vision.onnx"
    write_vision(path, ModelConfig.from_file(folder / "config.json"), checkpoint, "fp32")
    model = onnx.load(str(path), load_external_data=False)
    names = ["detector.scores", "detector.boxes", "detection.features", "classifier.10",
             "classifier.15.project", "whole", "shares", "region.features", "vision.0", "features",
             "embeddings"]  # fmt: skip
    for name in names[:-1]:
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    onnx.save(model, str(path.with_name("tapped.onnx")))
    session = ort.InferenceSession(str(path.with_name("tapped.onnx")))
    pixels = picture()
    found = session.run(names, {"pixels": pixels.numpy()})
    return {"pixels": pixels, **dict(zip(names, found, strict=True))}


def picture() -> torch.Tensor:
    torch.manual_seed(0)
    return functional.interpolate(torch.randn(1, 3, 7, 7), size=96, mode="bicubic")


def close(ours: Any, theirs: torch.Tensor, tolerance: float = 2e-4) -> None:
    reference = theirs.numpy()
    assert ours.shape == reference.shape
    assert np.abs(ours - reference).max() <= tolerance * max(1.0, np.abs(reference).max())


class Torch:
    """The same networks, written a second time."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def pair(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return (torch.from_numpy(self.checkpoint.tensor(f"{PREFIX}{name}.weight")),
                torch.from_numpy(self.checkpoint.tensor(f"{PREFIX}{name}.bias")))  # fmt: skip

    def conv(self, x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        weight, bias = self.pair(name)
        return functional.conv2d(x, weight, bias, stride, weight.shape[2] // 2)

    def detector(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        def leaky(x: torch.Tensor, index: int, stride: int = 1) -> torch.Tensor:
            return functional.leaky_relu(self.conv(x, f"detector.{index}", stride), 0.1)

        def stage(x: torch.Tensor, first: int, pairs: int, stride: int) -> torch.Tensor:
            start = x = leaky(x, first, stride)
            for i in range(pairs):
                left = leaky(x, first + 1 + 2 * i)
                x = torch.cat([leaky(left, first + 2 + 2 * i), left], 1)
            return torch.cat([leaky(x, first + 1 + 2 * pairs), start], 1)

        x = functional.max_pool2d(leaky(x, 0, 2), 3, 2, 1)
        x = stage(x, 1, 1, 1)
        c3 = stage(x, 5, 2, 2)
        c4 = stage(c3, 11, 2, 2)
        c5 = stage(c4, 17, 3, 2)
        p3, p4, p5 = (self.conv(c, f"detector.{25 + i}") for i, c in enumerate((c3, c4, c5)))

        def to(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
            return functional.interpolate(x, size=like.shape[2:], mode="bilinear")

        p4 = p4 + to(p5, p4)
        p3 = p3 + to(p4, p3)
        n4 = p4 + to(p3, p4)
        n5 = p5 + to(n4, p5)
        scores, boxes = [], []
        for i, (m, stride) in enumerate(((p3, 8), (n4, 16), (n5, 32))):
            raw = self.conv(leaky(m, 28 + 2 * i), f"detector.{29 + 2 * i}")[0].flatten(1).T
            scores.append(raw[:, :80].sigmoid())
            reach = raw[:, 80:].unflatten(1, (4, 11)).softmax(-1) @ torch.arange(11.0) * stride
            side = 96 // stride
            y, x = torch.meshgrid(*[(torch.arange(side) + 0.5) * stride] * 2, indexing="ij")
            centre = torch.stack([x, y, x, y], -1).reshape(-1, 4)
            boxes.append((centre + reach * torch.tensor([-1, -1, 1, 1])) / 96)
        return torch.cat(scores)[None], torch.cat(boxes).clamp(0, 1)[None]

    def classifier(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = functional.interpolate(x, size=64, mode="bilinear")
        mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406),
                                                              (0.229, 0.224, 0.225)))  # fmt: skip
        x = ((x * std + mean) * 255 - 127) / 128

        def same(x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
            weight, bias = self.pair(name)
            total = max(weight.shape[2] - stride, 0)
            x = functional.pad(x, (total // 2, total - total // 2) * 2)
            return functional.conv2d(
                x, weight, bias, stride, groups=1 if weight.shape[1] > 1 else len(weight)
            ).clamp(0, 6)

        x = same(x, "classifier.stem", 2)
        strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
        kept = []
        for i, stride in enumerate(strides):
            h = self.conv(x, f"classifier.{i}.expand").clamp(0, 6) if i else x
            h = self.conv(same(h, f"classifier.{i}.depthwise", stride), f"classifier.{i}.project")
            x = x + h if stride == 1 and h.shape == x.shape else h
            kept.append(x)
        head = self.conv(x, "classifier.head").clamp(0, 6)
        return [kept[10], x, head.mean((2, 3))[None]]


def test_the_networks(values: dict[str, Any], checkpoint: Checkpoint) -> None:
    twin = Torch(checkpoint)
    scores, boxes = twin.detector(values["pixels"])
    close(values["detector.scores"], scores)
    close(values["detector.boxes"], boxes)
    fine, coarse, whole = twin.classifier(values["pixels"])
    close(values["classifier.10"], fine)
    close(values["classifier.15.project"], coarse)
    close(values["whole"], whole)


def overlap(a: Any, b: Any) -> float:
    w, h = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = max(w, 0) * max(h, 0)
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return float(shared / max(sum(areas) - shared, 1e-9))


def test_the_best_candidates_of_each_class(values: dict[str, Any]) -> None:
    scores, boxes = values["detector.scores"][0], values["detector.boxes"][0]
    wanted = []
    for kind in range(80):
        kept: list[Any] = []
        for i in np.argsort(-scores[:, kind]):
            if len(kept) == V.detections or scores[i, kind] <= 0.3:
                break
            if all(overlap(boxes[i], k) <= 0.5 for k in kept):
                kept.append(boxes[i])
                wanted.append((scores[i, kind], kind, boxes[i]))
    wanted.sort(key=lambda w: -w[0])
    assert len(wanted) > V.detections
    rows = values["detection.features"][0]
    for row, (score, kind, box) in zip(rows, wanted, strict=False):
        assert row[:80].argmax() == kind
        assert np.isclose(row[80], score)
        assert row[81] == 1
        assert np.allclose(row[83:87], box, atol=1e-6)
        assert np.allclose(row[87:89], box[2:] - box[:2], atol=1e-6)


def test_what_is_trained_sees_what_the_graph_says(
    values: dict[str, Any], checkpoint: Checkpoint
) -> None:
    from recipes.pocket.network import waves
    from recipes.pocket.regions import region_rows

    rows = torch.from_numpy(values["detection.features"])
    close(values["detection.features"][..., 83:], waves(rows[..., 83:87], rows[..., 81:82]), 1e-5)
    shares = torch.from_numpy(values["shares"])
    rest = 1 - shares.sum(1, keepdim=True)
    found, boxes = region_rows(torch.cat([shares, rest], 1).clamp_min(1e-9).log())
    close(values["region.features"][..., :2], found)
    there = values["region.features"][..., 2:3]
    close(values["region.features"][..., 3:7], boxes * torch.from_numpy(there), 1e-5)


def test_every_precision_converts_and_agrees(folder: Path, values: dict[str, Any]) -> None:
    for precision in ("int8", "int4"):
        target = folder.parent / precision
        convert(KOSMOS2, folder, target, precision)  # type: ignore[arg-type]
        session = ort.InferenceSession(str(target / "vision.onnx"))
        (found,) = session.run(["embeddings"], {"pixels": values["pixels"].numpy()})
        exact = values["embeddings"]
        assert np.abs(found - exact).max() < 0.1 * np.abs(exact).max()


@pytest.mark.parametrize(("change", "message"), [
    ({"image_size": 100}, "multiple of 32"),
    ({"score_threshold": 1.5}, "between 0 and 1"),
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
