"""U2-Net-p as an ONNX graph of free size, its weights in half precision.

pixels (1, 3, H, W), H and W multiples of 32, ImageNet mean and deviation
  -> six encoders of halving size, five decoders: U-shaped blocks, each with a U inside
  -> one map a decoder (and of the last encoder), enlarged -> 1x1 convolution
  -> logits (1, 1, H, W): how sure it is that a pixel is of what the picture is about.

Source: Qin, Zhang, Huang, Dehghan, Zaiane, Jagersand, "U2-Net: Going deeper with nested U-structure
for salient object detection" (2020), github.com/xuebinqin/U-2-Net, model/u2net.py (`U2NETP`); batch
norms are folded into the convolutions.

With sides that are multiples of 32 every pooling halves and every enlargement doubles, so that no
size is written into the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, NDArray[Any]]
"""NAME.weight, float16, and NAME.bias, float32, of each of `convolutions`. Biases hold what batch
norms subtract, up to 1,361: rounded too, they would double the distance from the teacher."""

OPSET, IR = 13, 8  # the runtime's oldest supported version reads them
WIDTH, INNER = 64, 16


@dataclass(frozen=True, slots=True)
class Block:
    """A U-shaped residual block."""

    name: str
    depth: int
    """Convolutions on the way down, the dilated one at the bottom included."""
    pooled: bool
    """Whether each step down halves; else dilation doubles (4F in the paper)."""


ENCODERS = (
    Block("encoder1", 7, True), Block("encoder2", 6, True), Block("encoder3", 5, True),
    Block("encoder4", 4, True), Block("encoder5", 4, False), Block("encoder6", 4, False),
)  # fmt: skip
DECODERS = (
    Block("decoder5", 4, False), Block("decoder4", 4, True), Block("decoder3", 5, True),
    Block("decoder2", 6, True), Block("decoder1", 7, True),
)  # fmt: skip


def convolutions() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and weight's shape of every convolution, in the order in which they run."""
    for block in (*ENCODERS, *DECODERS):
        inputs = WIDTH if block in ENCODERS else 2 * WIDTH
        yield f"{block.name}.in", (WIDTH, 3 if block is ENCODERS[0] else inputs, 3, 3)
        for step in range(1, block.depth + 1):
            yield f"{block.name}.down{step}", (INNER, WIDTH if step == 1 else INNER, 3, 3)
        for step in range(block.depth - 1, 0, -1):
            yield f"{block.name}.up{step}", (WIDTH if step == 1 else INNER, 2 * INNER, 3, 3)
    for side in range(1, 7):
        yield f"side{side}", (1, WIDTH, 3, 3)
    yield "fuse", (1, 6, 1, 1)


class Writer:
    """Collects nodes and weights; each value is called as the node that makes it."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []
        self.factors: set[int] = set()

    def node(self, op: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def weight(self, name: str) -> str:
        """Store what is at half precision as such: the runtime casts it once, when it loads."""
        half = self.weights[name].dtype == np.float16
        stored = name + ".half" if half else name
        self.stored.append(numpy_helper.from_array(self.weights[name], stored))
        return self.node("Cast", [stored], name, to=TensorProto.FLOAT) if half else name

    def conv(self, x: str, name: str, dilation: int = 1, *, relu: bool = True) -> str:
        kernel = self.weights[name + ".weight"].shape[2]
        pads = [dilation * (kernel // 2)] * 4
        inputs = [x, self.weight(name + ".weight"), self.weight(name + ".bias")]
        out = self.node(
            "Conv", inputs, name, kernel_shape=[kernel] * 2, dilations=[dilation] * 2, pads=pads
        )
        return self.node("Relu", [out], name + ".relu") if relu else out

    def halved(self, x: str) -> str:
        return self.node("MaxPool", [x], x + ".halved", kernel_shape=[2, 2], strides=[2, 2])

    def enlarged(self, x: str, factor: int = 2) -> str:
        scales = f"times{factor}"
        if factor not in self.factors:
            self.factors.add(factor)
            values = np.array([1, 1, factor, factor], np.float32)
            self.stored.append(numpy_helper.from_array(values, scales))
        return self.node(
            "Resize", [x, "", scales], x + ".enlarged", mode="linear",
            coordinate_transformation_mode="half_pixel",
        )  # fmt: skip

    def joined(self, x: str, other: str, name: str) -> str:
        return self.node("Concat", [x, other], name, axis=1)

    def block(self, x: str, block: Block) -> str:
        """Down, a dilated step at the bottom, up again beside what was passed, plus the input."""
        name = block.name
        whole = self.conv(x, f"{name}.in")
        passed, at = [], whole
        for step in range(1, block.depth):
            dilation = 1 if block.pooled else 2 ** (step - 1)
            at = self.conv(at, f"{name}.down{step}", dilation)
            passed.append(at)
            if block.pooled and step < block.depth - 1:
                at = self.halved(at)
        bottom = 2 if block.pooled else 2 ** (block.depth - 1)
        at = self.conv(at, f"{name}.down{block.depth}", bottom)
        for step in range(block.depth - 1, 0, -1):
            if block.pooled and step < block.depth - 1:
                at = self.enlarged(at)
            dilation = 1 if block.pooled else 2 ** (step - 1)
            at = self.joined(at, passed[step - 1], f"{name}.both{step}")
            at = self.conv(at, f"{name}.up{step}", dilation)
        return self.node("Add", [at, whole], name)

    def network(self, pixels: str) -> str:
        found: list[str] = []
        x = pixels
        for block in ENCODERS:
            x = self.block(self.halved(x) if found else x, block)
            found.append(x)
        decoded = [x]
        for block, other in zip(DECODERS, found[-2::-1], strict=True):
            x = self.joined(self.enlarged(x), other, block.name + ".input")
            x = self.block(x, block)
            decoded.append(x)
        maps = []
        for side, value in enumerate(reversed(decoded), 1):
            small = self.conv(value, f"side{side}", relu=False)
            maps.append(self.enlarged(small, 2 ** (side - 1)) if side > 1 else small)
        return self.conv(self.node("Concat", maps, "sides", axis=1), "fuse", relu=False)


def graph(weights: Weights) -> onnx.ModelProto:
    """Return the model.

    Args:
        weights: of all convolutions.
    """
    writer = Writer(weights)
    out = writer.network("pixels")
    shape: list[int | str | None] = [1, 3, "height", "width"]
    made = helper.make_graph(
        writer.nodes,
        "salience",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, [1, 1, "height", "width"])],
        writer.stored,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(made, opset_imports=opsets, ir_version=IR, producer_name="kosmoscope")
