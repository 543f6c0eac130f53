"""What each way of rounding a linear layer costs in accuracy and in time.

    python benchmarks/quantization.py [--threads N]

Error: one layer norm with the linear layer that it feeds, output against fp32, relative (RMS):
Gaussian inputs with even gains; with three of the norm's gains 60 times larger, which is what
outlier channels of trained models look like; the same, smoothed; and where one row holds a single
massive activation (the error of the other rows); and with weights of heavy tails (Student's t with
4 degrees of freedom). Time: the linears of a decoder of
Kosmos-2's size (24 layers, 1.21 billion weights), by rows at once.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

import machine
from kosmoscope.model import graph
from kosmoscope.model.graph import CONTRIB, GraphWriter
from kosmoscope.model.quantization import Columns, smooth

KINDS: list[tuple[str, str, int]] = [
    ("fp32", "fp32", 0),
    ("int8, a scale a row", "int8", 0),
    ("the same, weights of 7 bits", "int8_seven", 0),
    ("the same, sums may clip", "int8_clipping", 0),
    ("int8, blocks of 128", "int8_blocks", 128),
    ("int8, one scale a tensor", "int8_dynamic", 0),
    ("int4, blocks of 128", "int4", 128),
    ("int4, blocks of 64", "int4", 64),
    ("int4, blocks of 32", "int4", 32),
]
TIMED = [kind for kind in KINDS if kind[1] not in ("int8_seven", "int8_clipping")]
SHAPES = [(2048, 6144), (2048, 2048), (2048, 8192), (8192, 2048)]
ROWS = [1, 2, 4, 8, 71, 257]
LAYERS = 2  # measured; times are scaled to 24


def linear(
    g: GraphWriter, x: str, weight: np.ndarray, bias: np.ndarray, kind: str, output: str
) -> None:
    """Write a linear layer as the engine does, or in a way that it does without."""
    top = 64 if kind == "int8_seven" else 127
    if kind in ("int8_seven", "int8_clipping"):
        scales = (np.abs(weight).max(1) / top).astype(np.float32)
        values = np.rint(weight / scales[:, None]).astype(np.int8)
        g.row_scaled(x, Columns(values, scales), output)
    elif kind == "int8_dynamic":
        scales = (np.abs(weight).max(1) / top).astype(np.float32)
        values = np.rint(weight / scales[:, None]).astype(np.int8).T
        names = [
            x,
            g.weight(output + ".weight", np.ascontiguousarray(values)),
            g.weight(output + ".scale", scales),
            g.weight(output + ".zero", np.zeros(len(weight), np.int8)),
            g.weight(output + ".bias", bias),
        ]
        g.node("DynamicQuantizeMatMul", names, output, CONTRIB)
    elif kind == "int8_blocks":
        n, k = weight.shape
        blocks = weight.reshape(n, -1, 128)
        scales = (np.abs(blocks).max(-1) / top).astype(np.float32)
        values = (np.rint(blocks / scales[..., None]) + 128).astype(np.uint8)
        names = [x, g.weight(output + ".weight", values), g.weight(output + ".scale", scales)]
        g.node("MatMulNBits", names, output, CONTRIB, K=k, N=n, bits=8, block_size=128,
               accuracy_level=4)  # fmt: skip
    else:
        g.linear(x, weight, bias, kind, output)  # type: ignore[arg-type]


def session(path: Path, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def with_block(block: int) -> None:
    if block:
        graph.INT4_BLOCK = block


def error(
    folder: Path,
    kind: str,
    block: int,
    outliers: bool = False,
    smoothed: bool = True,
    massive: bool = False,
    tails: bool = False,
) -> float:
    """Return the relative RMS error of norm + linear, 2048 -> 2048, over all rows but the first."""
    rng = np.random.default_rng(0)
    width = 2048
    x = rng.standard_normal((71, width), dtype=np.float32)
    if massive:
        x[0, 300] = 1000  # after the norm: one value of sqrt(2048) in the first row, else zeros
    gain = (1 + 0.2 * rng.standard_normal(width)).astype(np.float32)
    if outliers:
        gain[[100, 700, 1500]] *= 60
    shift = (0.1 * rng.standard_normal(width)).astype(np.float32)
    drawn = rng.standard_t(4, (width, width)) if tails else rng.standard_normal((width, width))
    weight = (drawn * width**-0.5).astype(np.float32)
    if outliers:
        # A trained layer reads an outlier channel with small weights, else it would drown the rest.
        weight[:, [100, 700, 1500]] /= 30
    bias = np.zeros(width, np.float32)
    normed = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    truth = (normed * gain + shift) @ weight.T
    if smoothed:
        gain, shift, (weight,) = smooth(gain, shift, [weight])
    with_block(block)
    path = folder / "layer.onnx"
    with GraphWriter(path) as g:
        h = g.norm(g.input("x", ["rows", width]), gain, shift, 1e-5, "norm")
        linear(g, h, weight, bias, kind, "y")
        g.output("y", ["rows", width])
    y = session(path, 1).run(None, {"x": x})[0][1:]
    return float(np.sqrt(np.mean((y - truth[1:]) ** 2) / np.mean(truth[1:] ** 2)))


def seconds(folder: Path, kind: str, block: int, threads: int) -> list[float]:
    """Return seconds for all 24 layers' linears, for each of ROWS."""
    rng = np.random.default_rng(0)
    with_block(block)
    path = folder / "layers.onnx"
    with GraphWriter(path) as g:
        for k in (2048, 8192):
            g.input(f"x{k}", ["rows", k])
        for layer in range(LAYERS):
            for i, (k, n) in enumerate(SHAPES):
                weight = rng.standard_normal((n, k), dtype=np.float32)
                name = f"y{layer}.{i}"
                linear(g, f"x{k}", weight, np.zeros(n, np.float32), kind, name)
                g.output(name, ["rows", n])
    opened = session(path, threads)
    found = []
    for rows in ROWS:
        feeds = {f"x{k}": rng.standard_normal((rows, k), dtype=np.float32) for k in (2048, 8192)}
        opened.run(None, feeds)
        runs = []
        for _ in range(7 if rows < 20 else 4):
            began = time.perf_counter()
            opened.run(None, feeds)
            runs.append(time.perf_counter() - began)
        found.append(min(runs) * 24 / LAYERS)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    print(machine.describe())
    print("\nrelative error of norm + linear")
    print(f"{'':28s}{'even':>10s}{'outliers':>10s}{'smoothed':>10s}{'massive':>10s}{'tails':>10s}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, kind, block in KINDS[1:]:
            cells = [
                error(folder, kind, block, smoothed=False),
                error(folder, kind, block, outliers=True, smoothed=False),
                error(folder, kind, block, outliers=True),
                error(folder, kind, block, massive=True),
                error(folder, kind, block, tails=True),
            ]
            print(f"{label:28s}" + "".join(f"{c:10.4f}" for c in cells), flush=True)
        print(f"\nseconds for 24 layers' linears, {args.threads} threads, by rows at once")
        print(f"{'':28s}" + "".join(f"{rows:>9d}" for rows in ROWS))
        for label, kind, block in TIMED:
            cells = seconds(folder, kind, block, args.threads)
            print(f"{label:28s}" + "".join(f"{c:9.3f}" for c in cells), flush=True)


if __name__ == "__main__":
    main()
