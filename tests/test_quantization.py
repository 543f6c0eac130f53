"""Weights as integers: bounds of the rounding, the runtime's operators, whole models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import small_models as small
from kosmoscope.model.checkpoint import Checkpoint
from kosmoscope.model.decoder import head_smoothing
from kosmoscope.model.graph import GraphWriter
from kosmoscope.model.quantization import (
    block_size,
    columns_of,
    quantize_blocks,
    quantize_columns,
    smooth,
)


def matrix(seed: int, n: int, k: int, kind: str) -> np.ndarray:
    """Return float32 (n, k): ordinary, with outliers, with dead rows, tiny or huge."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(n, k))
    if kind == "outliers":
        w[rng.random((n, k)) < 0.02] *= 1e4
    elif kind == "dead":
        w[rng.random(n) < 0.5] = 0
        w[:, rng.random(k) < 0.3] = 0
    elif kind == "one-sided":
        w = np.abs(w)
    scale = {"tiny": 1e-20, "huge": 1e30}.get(kind, 1.0)
    return (w * scale).astype(np.float32)


KINDS = ("ordinary", "outliers", "dead", "one-sided", "tiny", "huge")
matrices = st.builds(
    matrix, st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 150), st.sampled_from(KINDS)
)


def by_block(values: np.ndarray, block: int) -> np.ndarray:
    """Cut (N, K) into (N, blocks, block), filled up with zeros."""
    n, k = values.shape
    padded = np.zeros((n, -(-k // block) * block), np.float64)
    padded[:, :k] = values
    return padded.reshape(n, -1, block)


@given(matrices, st.sampled_from([16, 32, 64]))
@example(np.zeros((3, 17), np.float32), 16)
def test_four_bits_are_no_worse_than_plain_rounding(w: np.ndarray, block: int) -> None:
    assume(np.abs(w).max() < 1e15)  # beyond, squares leave float32
    blocks = quantize_blocks(w, block)
    assert blocks.packed.shape == (len(w), -(-w.shape[1] // block), block // 2)
    found = blocks.dequantize()
    ours, wanted = by_block(found, block), by_block(w, block)
    top = np.abs(wanted).max(-1, keepdims=True)
    assert (np.abs(ours - wanted) <= 0.39 * top).all()
    assert (found[w == 0] == 0).all()
    extreme = np.take_along_axis(wanted, np.abs(wanted).argmax(-1, keepdims=True), -1)
    scale = np.where(extreme == 0, 1, -extreme / 8)
    plain = np.clip(np.rint(wanted / scale), -8, 7) * scale
    error, limit = (((x - wanted) ** 2).sum(-1) for x in (ours, plain))
    if np.abs(w).max() > 1e-10:
        assert (error <= limit * 1.001).all()


def test_four_bits_gain_by_clipping_an_outlier() -> None:
    w = np.full((1, 64), 0.06, np.float32)  # rounds to zero in steps of 1 / 8
    w[0, 5] = 1.0
    error = np.abs(quantize_blocks(w, 64).dequantize() - w)
    assert error.mean() < 0.04


@given(matrices)
@example(np.zeros((3, 17), np.float32))
@example(np.full((2, 8), 5, np.float32))
def test_columns_are_close_and_no_pair_is_too_large(w: np.ndarray) -> None:
    columns = quantize_columns(w)
    n, k = w.shape
    assert columns.values.shape == (n, k)
    assert columns.values.dtype == np.int8
    assert columns.scales.shape == (n,)
    assert (columns.scales > 0).all()
    pairs = np.zeros((n, k + k % 2), np.int64)
    pairs[:, :k] = columns.values
    assert np.abs(pairs[:, 0::2] + pairs[:, 1::2]).max(initial=0) <= 128
    found = columns.dequantize()
    assert (found[w == 0] == 0).all(), "zero is zero"
    # In units of the largest weight, so that no square leaves the numbers' range.
    top = np.abs(w).max(1, keepdims=True).astype(np.float64)
    unit = np.where(top > 1e-30, top, np.inf)
    error = ((found / unit - w / unit) ** 2).sum(1)
    assert (error <= k / 64**2).all(), "off by a step of seven bits at most, on average"


def test_columns_use_eight_bits_where_they_fit() -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(size=(64, 2048)).astype(np.float32)
    found = quantize_columns(w).dequantize()
    seven = np.rint(w / np.abs(w).max(1, keepdims=True) * 64) * np.abs(w).max(1, keepdims=True) / 64
    assert relative(found, w) < 0.75 * relative(seven, w)
    alone = np.array([[1.0, 0.011, -0.996, 0.02]], np.float32)  # large weights, no large pair
    assert np.abs(quantize_columns(alone).dequantize() - alone).max() <= 0.5 / 127 + 1e-6


def test_weights_that_come_in_parts_are_those_in_one() -> None:
    w = matrix(1, 9, 50, "outliers")
    whole, parts = quantize_columns(w), columns_of(iter([w[:4], w[4:5], w[5:]]))
    np.testing.assert_array_equal(parts.values, whole.values)
    np.testing.assert_array_equal(parts.scales, whole.scales)


def product(tmp_path: Path, w: np.ndarray) -> Any:
    """A row-scaled product in the runtime."""
    with GraphWriter(tmp_path / "product.onnx") as g:
        g.linear(g.input("x", ["rows", w.shape[1]]), w, None, "int8", "y")
        g.output("y", ["rows", len(w)])
    return ort.InferenceSession(str(tmp_path / "product.onnx"), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("rows", [1, 2, 5, 71])
def test_no_sum_clips_on_any_processor(tmp_path: Path, rows: int, offset: int) -> None:
    """Weights and activations as large as they get, in the pairs and across them."""
    k, n = 256, 32
    rng = np.random.default_rng(0)
    w = np.ones((n, k), np.float32)
    w[: n // 2] = np.roll(np.tile([1, 1, 0, 0], k // 4), offset)  # equal neighbours
    w[n // 2 :] = np.roll(np.tile([1, 0.01], k // 2), offset)  # a large one and a small one
    w *= rng.choice([-1, 1], (n, 1))
    x = rng.choice([-3, 3], (rows, k)).astype(np.float32)
    x[0] = 3
    (found,) = product(tmp_path, w).run(["y"], {"x": x})
    columns = quantize_columns(w)
    sums = np.sign(x).astype(np.int64) * 127 @ columns.values.T.astype(np.int64)
    exact = sums * columns.scales.astype(np.float64) * (3 / 127)
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def row_session(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return product(tmp_path_factory.mktemp("rows"), matrix(0, 40, 96, "outliers"))


@given(st.integers(0, 10**6), st.integers(2, 40))
def test_a_row_is_the_same_in_whatever_company(row_session: Any, seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 96)) * 10.0 ** rng.integers(-6, 6, (rows, 1))
    x[rng.random(rows) < 0.1] = 0
    x = x.astype(np.float32)
    (together,) = row_session.run(["y"], {"x": x})
    assert np.isfinite(together).all()
    assert (together[(x == 0).all(1)] == 0).all()
    apart = np.concatenate([row_session.run(["y"], {"x": row[None]})[0] for row in x])
    np.testing.assert_array_equal(together, apart)


def test_a_massive_row_costs_the_others_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    w = rng.normal(size=(64, 256)).astype(np.float32)
    x = rng.normal(size=(8, 256)).astype(np.float32)
    session = product(tmp_path, w)
    (before,) = session.run(["y"], {"x": x})
    x[0, 5] = 1e6
    (after,) = session.run(["y"], {"x": x})
    np.testing.assert_array_equal(after[1:], before[1:])


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("value", [1e-38, 1e-40, 1e-44])
def test_weights_next_to_nothing_are_nothing(bits: int, value: float) -> None:
    w = np.ones((2, 64), np.float32)
    w[1] = np.tile([value, 0, -value, 0], 16).astype(np.float32)
    found = (quantize_columns(w) if bits == 8 else quantize_blocks(w, 32)).dequantize()
    assert np.abs(found[0] - 1).max() < 0.01
    assert np.abs(found[1]).max() <= 3e-38


def test_block_sizes() -> None:
    assert [block_size(k, 128) for k in (1, 16, 17, 31, 32, 48, 96, 128, 130, 8192)] == [
        16, 16, 16, 16, 32, 32, 64, 128, 128, 128]  # fmt: skip
    assert [block_size(k, 64) for k in (1, 40, 64, 8192)] == [16, 32, 64, 64]


@pytest.mark.parametrize("kind", ["fp32", "int8", "int4"])
@pytest.mark.parametrize(("n", "k"), [(24, 96), (33, 200), (8, 16), (5, 17), (64, 130), (40, 384)])
def test_the_runtimes_linear_layer(tmp_path: Path, kind: Any, n: int, k: int) -> None:
    rng = np.random.default_rng(n * k)
    w, b = matrix(k, n, k, "outliers"), rng.normal(size=n).astype(np.float32)
    with GraphWriter(tmp_path / "one.onnx") as g:
        g.linear(g.input("x", ["rows", k]), w, b, kind, "y")
        g.output("y", ["rows", n])
    session = ort.InferenceSession(str(tmp_path / "one.onnx"), providers=["CPUExecutionProvider"])
    block, stands_for = k, w  # activations: one scale a row
    if kind == "int8":
        stands_for = quantize_columns(w).dequantize()
    elif kind == "int4":
        block = block_size(k, 64)
        stands_for = quantize_blocks(w, block).dequantize()
    for rows in (1, 2, 7, 40):
        x = (rng.normal(size=(rows, k)) * 10.0 ** rng.integers(-2, 3, (rows, 1))).astype(np.float32)
        (found,) = session.run(["y"], {"x": x})
        exact = x.astype(np.float64) @ stands_for.T.astype(np.float64) + b
        size = np.abs(x).astype(np.float64) @ np.abs(stands_for).T.astype(np.float64)
        bound = 1e-5 * size + 1e-5
        if kind != "fp32":  # activations: half a step each
            step = np.abs(by_block(x, block)).max(-1) / 127  # (rows, blocks)
            weights = np.abs(by_block(stands_for, block)).sum(-1)  # (n, blocks)
            bound = bound + 0.51 * step @ weights.T
        assert (np.abs(found - exact) <= bound).all()
        assert found.shape == (rows, n)


norms = st.tuples(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 3))


@given(norms, st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_smoothing_is_exact(drawn: tuple[int, int, int], strength: float) -> None:
    seed, k, count = drawn
    rng = np.random.default_rng(seed)
    gain = (rng.normal(size=k) * 10.0 ** rng.integers(-3, 4, k)).astype(np.float32)
    shift = rng.normal(size=k).astype(np.float32)
    gain[rng.random(k) < 0.2] = 0
    shift[rng.random(k) < 0.2] = 0
    weights = [matrix(seed + i, 5 + i, k, "dead") for i in range(count)]
    before = gain.copy(), shift.copy(), [w.copy() for w in weights]
    new_gain, new_shift, new_weights = smooth(gain, shift, weights, strength)
    x = rng.normal(size=(6, k))
    for w, new_w in zip(weights, new_weights, strict=True):
        old = (x * gain + shift) @ w.T.astype(np.float64)
        new = (x * new_gain + new_shift) @ new_w.T.astype(np.float64)
        np.testing.assert_allclose(new, old, rtol=1e-12, atol=1e-12 * max(1, np.abs(old).max()))
        assert new_w.dtype == np.float32
    assert new_gain.dtype == new_shift.dtype == np.float32
    np.testing.assert_array_equal(gain, before[0])
    np.testing.assert_array_equal(shift, before[1])
    for w, old_w in zip(weights, before[2], strict=True):
        np.testing.assert_array_equal(w, old_w)


def test_smoothing_evens_out() -> None:
    rng = np.random.default_rng(3)
    gain = np.exp(rng.normal(size=256) * 2).astype(np.float32)
    shift = np.zeros(256, np.float32)
    w = rng.normal(size=(64, 256)).astype(np.float32)
    new_gain, _, (new_w,) = smooth(gain, shift, [w])
    spread = np.log(np.abs(gain)).std()
    assert np.log(np.abs(new_gain)).std() < 0.65 * spread
    x = rng.normal(size=(50, 256))
    exact = (x * gain) @ w.T

    def error(g: np.ndarray, v: np.ndarray) -> float:
        h = x * g
        step = np.abs(h).max(1, keepdims=True) / 127
        rounded = np.rint(h / step) * step
        found = rounded @ quantize_columns(v).dequantize().T
        return float(np.abs(found - exact).mean())

    assert error(new_gain, new_w) < error(gain, w)


def relative(ours: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(ours - exact) / np.linalg.norm(exact))


@pytest.mark.parametrize("name", ["base", "deep", "wide"])
@pytest.mark.parametrize(("precision", "bound"), [("int8", 0.1), ("int4", 0.6)])
def test_a_rounded_model_stays_close(name: str, precision: Any, bound: float) -> None:
    exact, rounded = small.scope(name), small.scope(name, precision)
    a, b = small.encoded(0, name), small.encoded(0, name, precision)
    before, after = a.state.prefix, b.state.prefix
    assert before is not None
    assert after is not None
    errors = {
        "embeddings": relative(b.state.embeddings, a.state.embeddings),
        "keys": relative(after.keys, before.keys),
        "values": relative(after.values, before.values),
    }
    prompts = [small.prompt_ids(s, small.tagged_prompt(e, "brief"))
               for s, e in ((exact, a), (rounded, b))]  # fmt: skip
    ids = np.random.default_rng(0).integers(10, 120, 30).tolist()
    one, other = (s.engine.teach(p, ids) for s, p in zip((exact, rounded), prompts, strict=True))
    # A rounded model's last norm is evened out for its head, exactly.
    engine = exact.engine
    source = Checkpoint((small.made(name).folder / "model.safetensors",), engine.config)
    evened = one / head_smoothing(engine.config, source, precision)
    errors["logits"] = relative(rounded.engine.logits(evened), engine.logits(one))
    structure = relative(rounded.engine.structure_logits(evened), engine.structure_logits(one))
    assert structure < 1e-6, "the location tokens' rows are not rounded"
    errors["hidden"] = relative(other, evened)
    assert 0 < errors["logits"] < 0.02, "the head has 8 bits at every precision"
    assert 0 < errors["embeddings"] < 0.06, "the vision tower has 8 bits at every precision"
    assert all(0 < e < bound for e in errors.values()), errors


def test_precisions_differ_on_disk() -> None:
    sizes = {
        p: (small.converted_folder("wide", p) / "decoder.data").stat().st_size  # type: ignore[arg-type]
        for p in ("fp32", "int8", "int4")
    }
    assert sizes["int4"] < 0.65 * sizes["int8"]
    assert sizes["int8"] < 0.35 * sizes["fp32"]
    kinds: dict[str, dict[str, int]] = {}
    for precision in ("fp32", "int8", "int4"):
        graph = onnx.load(
            str(small.converted_folder("wide", precision) / "decoder.onnx"),  # type: ignore[arg-type]
            load_external_data=False,
        ).graph
        ops = [n.op_type for n in graph.node]
        kinds[precision] = {op: ops.count(op) for op in PRODUCTS if op in ops}
    linears = 4 * small.scope("wide").engine.config.text.layers
    assert kinds == {
        "fp32": {"MatMul": linears},
        "int8": {"MatMulIntegerToFloat": linears},
        "int4": {"MatMulNBits": linears},
    }


PRODUCTS = ("MatMul", "MatMulNBits", "MatMulIntegerToFloat")
