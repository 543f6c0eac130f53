"""What machine this is and what it can do at best; printed above every table."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper


def describe() -> str:
    """Return processor, cores, memory and library versions in one line."""
    name, flags = platform.processor() or platform.machine(), ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        fields = {k.strip(): v.strip() for k, v in fields.items()}
        name = fields.get("model name", name)
        have = fields.get("flags", "").split()
        flags = " ".join(f for f in ("avx2", "avx512f", "avx512_vnni", "avx_vnni") if f in have)
        name += f" (family {fields.get('cpu family')}, model {fields.get('model')}; {flags})"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB; {platform.system()}, "
        f"Python {platform.python_version()}, onnxruntime {ort.__version__}"
    )


def peak_gb() -> float:
    """Return the most memory that was resident, in GiB.

    From /proc where there is one: what getrusage says begins with the parent's peak on Linux.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**20
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def read_bandwidth(threads: int) -> float:
    """Return GB/s of reading 1 GB of floats once with all threads, the best of five."""
    values = np.ones((2**28,), np.float32)
    parts = np.array_split(values, threads)
    with ThreadPoolExecutor(threads) as pool:
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            list(pool.map(np.sum, parts))
            best = min(best, time.perf_counter() - began)
    return values.nbytes / best / 1e9


def gemm_rate(threads: int, *, rows: int = 256, integer: bool = False) -> float:
    """Return GOP/s of a rows x 2048 x 8192 product in ONNX Runtime, the best of eight.

    Args:
        threads: for the product.
        rows: of the left matrix.
        integer: u8 x s8 -> s32 in place of float32.
    """
    rng = np.random.default_rng(0)
    k, n = 2048, 8192
    if integer:
        weight = rng.integers(-127, 127, (k, n)).astype(np.int8)
        x = rng.integers(0, 255, (rows, k)).astype(np.uint8)
        op, kind, result = "MatMulInteger", TensorProto.UINT8, TensorProto.INT32
    else:
        weight = rng.standard_normal((k, n)).astype(np.float32)
        x = rng.standard_normal((rows, k)).astype(np.float32)
        op, kind, result = "MatMul", TensorProto.FLOAT, TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w"], ["y"])],
        "gemm",
        [helper.make_tensor_value_info("x", kind, [rows, k])],
        [helper.make_tensor_value_info("y", result, [rows, n])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    best = float("inf")
    for _ in range(8):
        began = time.perf_counter()
        session.run(None, {"x": x})
        best = min(best, time.perf_counter() - began)
    return 2 * rows * k * n / best / 1e9
