"""The two teachers' weights, under the names that the tower gives them.

NanoDet comes as a tfjs graph (a JSON file and its .bin), EfficientNet-Lite0 as a PyTorch state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Float = NDArray[np.float32]

DETECTOR_FILE = "nanodet.json"
CLASSIFIER_FILE = "efficientnet-lite0-57934424.pth"
_NORM_EPS = 1e-3


def read_teachers(folder: Path) -> dict[str, Float]:
    """All tensors of both networks, float32: `detector.N.weight` and `classifier....bias`."""
    return {
        **read_detector(folder / DETECTOR_FILE),
        **read_classifier(folder / CLASSIFIER_FILE),
    }


def read_detector(path: Path) -> dict[str, Float]:
    """NanoDet's 34 convolutions in the order of the graph; the first one takes RGB, not BGR."""
    graph = json.loads(path.read_text(encoding="utf-8"))
    stored = _stored_weights(graph, path.with_suffix(".bin"))
    nodes = {node["name"]: node for node in graph["modelTopology"]["node"]}
    prefix = "PartitionedCall/"
    found: dict[str, Float] = {}
    index = 0
    while (name := prefix + ("convolution" + f"_{index}" * bool(index))) in nodes:
        kernel = stored[nodes[name]["input"][1]]  # (height, width, inputs, outputs)
        shift = stored[next(i for i in _adding(nodes, name)["input"] if i != name)]
        weight = kernel.transpose(3, 2, 0, 1)
        found[f"detector.{index}.weight"] = np.ascontiguousarray(
            weight[:, ::-1] if index == 0 else weight
        )
        found[f"detector.{index}.bias"] = shift.reshape(-1)
        index += 1
    return found


def _adding(nodes: Mapping[str, Any], convolution: str) -> Any:
    return next(n for n in nodes.values() if n["op"] == "Add" and convolution in n.get("input", ()))


def _stored_weights(graph: Mapping[str, Any], path: Path) -> dict[str, Float]:
    raw, offset = path.read_bytes(), 0
    stored: dict[str, Float] = {}
    for group in graph["weightsManifest"]:
        for entry in group["weights"]:
            quantised = entry.get("quantization")
            dtype = np.dtype(quantised["dtype"] if quantised else entry["dtype"])
            count = int(np.prod(entry["shape"]))
            values = np.frombuffer(raw, dtype, count, offset)
            offset += values.nbytes
            stored[entry["name"]] = values.astype(np.float32).reshape(entry["shape"])
    if offset != len(raw):
        raise ValueError(f"{path}: {len(raw)} bytes, the graph describes {offset}")
    return stored


def read_labels(folder: Path) -> tuple[Float, Float]:
    """The classifier's last layer: weight (1000, 1280) and bias (1000,), ImageNet's classes."""
    state = torch.load(folder / CLASSIFIER_FILE, map_location="cpu", weights_only=True)
    return state["_fc.weight"].numpy(), state["_fc.bias"].numpy()


def read_classifier(path: Path) -> dict[str, Float]:
    """EfficientNet-Lite0 without its last layer; batch norms are folded into the convolutions."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    pairs = [("stem", "_conv_stem", "_bn0"), ("head", "_conv_head", "_bn1")]
    for i in range(16):
        block = f"_blocks.{i}."
        if f"{block}_expand_conv.weight" in state:
            pairs.append((f"{i}.expand", block + "_expand_conv", block + "_bn0"))
        pairs.append((f"{i}.depthwise", block + "_depthwise_conv", block + "_bn1"))
        pairs.append((f"{i}.project", block + "_project_conv", block + "_bn2"))
    found: dict[str, Float] = {}
    for name, conv, norm in pairs:
        gain = state[norm + ".weight"] / (state[norm + ".running_var"] + _NORM_EPS).sqrt()
        weight = state[conv + ".weight"] * gain[:, None, None, None]
        bias = state[norm + ".bias"] - state[norm + ".running_mean"] * gain
        found[f"classifier.{name}.weight"] = weight.numpy()
        found[f"classifier.{name}.bias"] = bias.numpy()
    return found
