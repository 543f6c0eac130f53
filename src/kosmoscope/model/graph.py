"""A small writer of ONNX graphs whose weights stream to a file beside them.

No more than one tensor is in memory at a time. The weights' file is laid out for mapping: every
large tensor begins on a page.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from kosmoscope.model.quantization import (
    Columns,
    Precision,
    block_size,
    quantize_blocks,
    quantize_columns,
)

CONTRIB = "com.microsoft"
# onnx.TensorProto's numbers, here so that a model opens without importing onnx: only writing a
# graph needs it.
FLOAT, INT32, INT64 = 1, 6, 7
_OPSET = 20  # the first with Gelu
_PAGE = 4096
_INLINE_BYTES = 512

INT4_BLOCK = 64
_ZERO = np.uint8(128)  # what stands for 0 among the activations' bytes, 1 to 255


class GraphWriter:
    """Builds `path` (model.onnx) and `path` with suffix .data (its weights).

    Use as a context manager; on leaving without an error the graph is saved.
    """

    def __init__(self, path: Path) -> None:
        import onnx

        self._onnx = onnx
        self.path = path
        self._data_path = path.with_suffix(".data")
        self._data: BinaryIO = self._data_path.open("wb")
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._names: set[str] = set()
        self._constants: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._data.close()
        if kind is None:
            self._save()

    def input(self, name: str, shape: Sequence[int | str], dtype: int = FLOAT) -> str:
        """Declare an input; a string in `shape` is a free dimension."""
        self._inputs.append(self._onnx.helper.make_tensor_value_info(name, dtype, list(shape)))
        return name

    def output(self, name: str, shape: Sequence[int | str], dtype: int = FLOAT) -> None:
        """Declare an output, the name of a value that some node makes."""
        self._outputs.append(self._onnx.helper.make_tensor_value_info(name, dtype, list(shape)))

    def weight(self, name: str, value: NDArray[Any]) -> str:
        """Store a constant; large ones go to the weights' file."""
        value = np.ascontiguousarray(value)
        if value.nbytes <= _INLINE_BYTES:
            self._weights.append(self._onnx.numpy_helper.from_array(value, name))
            return name
        self._begin(
            name, self._onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape, value.nbytes
        )
        self._data.write(value.data)
        return name

    def weight_rows(
        self, name: str, shape: tuple[int, int], rows: Any, dtype: Any = np.float32
    ) -> str:
        """Store a matrix that comes as an iterator of row blocks."""
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._begin(name, kind, shape, shape[0] * shape[1] * np.dtype(dtype).itemsize)
        for block in rows:
            self._data.write(np.ascontiguousarray(block, dtype).data)
        return name

    def node(
        self, op: str, inputs: Sequence[str], output: str, domain: str = "", **attrs: Any
    ) -> str:
        """Add a node with one output, named `output`; returns that name."""
        self.nodes(op, inputs, [output], domain, **attrs)
        return output

    def nodes(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], domain: str = "", **attrs: Any
    ) -> None:
        """Add a node with several outputs."""
        for name in outputs:
            assert not name or name not in self._names, f"{name} is made twice"
            self._names.add(name)
        self._nodes.append(
            self._onnx.helper.make_node(op, list(inputs), list(outputs), domain=domain, **attrs)
        )

    def norm(
        self,
        x: str,
        gain: NDArray[np.float32],
        shift: NDArray[np.float32],
        eps: float,
        output: str,
    ) -> str:
        """Layer norm over the last axis."""
        names = [x, self.weight(output + ".gain", gain), self.weight(output + ".shift", shift)]
        return self.node("LayerNormalization", names, output, axis=-1, epsilon=eps)

    def activation(self, kind: str, x: str, output: str) -> str:
        """gelu (exact, with erf), gelu_pytorch_tanh or quick_gelu (x * sigmoid(1.702 x))."""
        if kind == "gelu":
            return self.node("Gelu", [x], output)
        if kind == "gelu_pytorch_tanh":
            return self.node("Gelu", [x], output, approximate="tanh")
        return self.node("QuickGelu", [x], output, CONTRIB, alpha=1.702)

    def linear(
        self,
        x: str,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        kind: Precision,
        output: str,
        rows: str = "rows",
    ) -> str:
        """``x @ weight.T + bias``: x (R, K), weight (N, K), bias (N,) or None -> (R, N).

        Args:
            x, weight, bias: see above; x may have further axes in front but at int8.
            kind: of the product.
            output: the name of the result.
            rows: a name for the number R; at int8, products with as many rows share a constant.
        """
        if kind == "int4":
            return self._in_blocks(x, weight, bias, output)
        product = output if bias is None else output + ".product"
        if kind == "int8":
            self.row_scaled(x, quantize_columns(weight), product, rows)
        else:
            self.node("MatMul", [x, self.weight(output + ".weight", weight.T)], product)
        if bias is None:
            return product
        return self.node("Add", [product, self.weight(output + ".bias", bias)], output)

    def row_scaled(self, x: str, columns: Columns, output: str, rows: str = "rows") -> str:
        """``x @ weight.T`` as a product of bytes, with a scale for each row and each output.

        Sums of integers are exact: a row's result is bitwise the same in whatever company, and an
        outlier costs its own row alone. A row of zeros has the scale 0; what its division by zero
        becomes is some byte, and times 0 it is 0.

        Args:
            x: (R, K).
            columns: the weight, (N, K).
            output: the name of the result, (R, N).
            rows: see `linear`.
        """
        axis = self.once("axis.last", np.array([-1]))
        step = self.once("step", np.array([1 / 127], np.float32))
        size = self.node("Abs", [x], output + ".size")
        reach = self.node("ReduceMax", [size, axis], output + ".reach", keepdims=1)
        scale = self.node("Mul", [reach, step], output + ".scale")  # (R, 1)
        flat = self.node("Reshape", [scale, axis], output + ".scale.flat")  # (R,)
        zero, zeros = self.once("zero", np.array([_ZERO])), f"zero.{rows}"
        if zeros not in self._names:  # (R,): QuantizeLinear wants as many as there are scales
            shape = self.node("Shape", [flat], f"shape.{rows}")
            self.node("Expand", [zero, shape], zeros)
        names = [
            self.node("QuantizeLinear", [x, flat, zeros], output + ".bytes", axis=0),
            self.weight(output + ".weight", columns.values.T),  # (K, N)
            self.once("one", np.array([1], np.float32)),
            self.weight(output + ".weight.scale", columns.scales),
            zero,
        ]
        sums = self.node("MatMulIntegerToFloat", names, output + ".sums", CONTRIB)
        return self.node("Mul", [sums, scale], output)

    def _in_blocks(
        self,
        x: str,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        output: str,
    ) -> str:
        n, k = weight.shape
        blocks = quantize_blocks(weight, block_size(k, INT4_BLOCK))
        names = [
            x,
            self.weight(output + ".weight", blocks.packed),
            self.weight(output + ".scale", blocks.scales),
        ]
        if bias is not None:
            names += ["", "", self.weight(output + ".bias", bias)]
        # accuracy_level 4: activations become int8 block by block, which the fast kernels need.
        return self.node(
            "MatMulNBits", names, output, CONTRIB,
            K=k, N=n, bits=4, block_size=blocks.block, accuracy_level=4,
        )  # fmt: skip

    def once(self, name: str, value: NDArray[Any]) -> str:
        """Store a small constant that several nodes use."""
        if name not in self._constants:
            self._constants.add(self.weight(name, value))
        return name

    def _begin(self, name: str, dtype: int, shape: Sequence[int], nbytes: int) -> None:
        self._data.write(b"\0" * (-self._data.tell() % _PAGE))
        tensor = self._onnx.TensorProto(name=name, data_type=dtype, dims=list(shape))
        tensor.data_location = self._onnx.TensorProto.EXTERNAL
        for key, value in (
            ("location", self._data_path.name),
            ("offset", str(self._data.tell())),
            ("length", str(nbytes)),
        ):
            tensor.external_data.add(key=key, value=value)
        self._weights.append(tensor)

    def _save(self) -> None:
        graph = self._onnx.helper.make_graph(
            self._nodes, self.path.stem, self._inputs, self._outputs, self._weights
        )
        opsets = [
            self._onnx.helper.make_opsetid("", _OPSET),
            self._onnx.helper.make_opsetid(CONTRIB, 1),
        ]
        # IR 10 is what opset 20 needs and what every onnxruntime from 1.18 on reads.
        model = self._onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
        model.producer_name = "kosmoscope"
        self._onnx.save(model, str(self.path))
