"""What both networks are written with: convolutions, sizes, boxes as waves."""

from __future__ import annotations

import numpy as np

from kosmoscope.model.config import DetectorVisionConfig
from kosmoscope.model.detector.shapes import WAVES, Tensors
from kosmoscope.model.graph import GraphWriter


class Layers:
    """Writes into a graph.

    Args:
        g: the graph.
        v: sizes of the tower.
        source: of the weights.
        prefix: of their names.
    """

    def __init__(
        self, g: GraphWriter, v: DetectorVisionConfig, source: Tensors, prefix: str
    ) -> None:
        self.g, self.v, self.source, self.prefix = g, v, source, prefix
        self.scalars: set[str] = set()

    def ints(self, name: str, values: list[int]) -> str:
        return self.g.weight(name, np.array(values, np.int64))

    def floats(self, name: str, values: object) -> str:
        return self.g.weight(name, np.asarray(values, np.float32))

    def scalar(self, value: float) -> str:
        name = f"scalar.{value}"
        if name not in self.scalars:
            self.scalars.add(self.g.node("Constant", [], name, value_float=value))
        return name

    def above(self, x: str, threshold: float, name: str) -> str:
        """1 where `x` is greater, else 0."""
        found = self.g.node("Greater", [x, self.floats(name + ".least", threshold)], name + ".bool")
        return self.g.node("Cast", [found], name, to=1)

    def reshape(self, x: str, shape: list[int], name: str) -> str:
        return self.g.node("Reshape", [x, self.ints(name + ".shape", shape)], name)

    def side(self, x: str, axis: int, name: str) -> str:
        """The length of an axis, (1,) int64."""
        return self.g.node("Shape", [x], name, start=axis, end=axis + 1)

    def number(self, x: str, name: str) -> str:
        """The same as float32."""
        return self.g.node("Cast", [x], name, to=1)

    def slice(self, x: str, start: int, end: int, axis: int, name: str) -> str:
        bounds = [self.ints(f"{name}.{k}", [n]) for k, n in
                  (("start", start), ("end", end), ("axis", axis))]  # fmt: skip
        return self.g.node("Slice", [x, *bounds], name)

    def conv(self, x: str, name: str, stride: int = 1, act: str = "", same: bool = False) -> str:
        """Convolve; `same` pads as TensorFlow does (more at the end), else evenly.

        A network that is written a second time shares its weights.
        """
        g = self.g
        key = name.partition("@")[0]
        weight = self.source.tensor(f"{self.prefix}{key}.weight")
        bias = self.source.tensor(f"{self.prefix}{key}.bias")
        kernel = weight.shape[2]
        # Even sides only, so that TensorFlow's padding is a constant.
        total = kernel - stride if same else 2 * (kernel // 2)
        pads = [total // 2] * 2 + [total - total // 2] * 2
        group = weight.shape[0] if weight.shape[1] == 1 else 1
        kept = [g.once(key + ".weight", weight), g.once(key + ".bias", bias)]
        out = g.node(
            "Conv", [x, *kept],
            name, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads, group=group,
        )  # fmt: skip
        if act == "leaky":
            return g.node("LeakyRelu", [out], name + ".act", alpha=0.1)
        if act == "relu6":
            return g.node("Clip", [out, self.scalar(0.0), self.scalar(6.0)], name + ".act")
        return out

    def resize(self, x: str, sizes: str, name: str, *, smooth: bool = False) -> str:
        """Linear, as PyTorch does it without aligned corners.

        Args:
            sizes: the value's name, (4,) int64.
            smooth: shrink by means (antialias), not by samples.
        """
        return self.g.node(
            "Resize", [x, "", "", sizes], name, mode="linear",
            coordinate_transformation_mode="half_pixel", antialias=int(smooth),
        )  # fmt: skip

    def resize_to(
        self, x: str, side: int, channels: int, name: str, *, smooth: bool = False
    ) -> str:
        sizes = self.ints(name + ".sizes", [1, channels, side, side])
        return self.resize(x, sizes, name, smooth=smooth)

    def waves(self, boxes: str, there: str, name: str) -> str:
        """(1, n, 4) -> (1, n, BOX_FEATURES), zero where nothing is there."""
        g = self.g
        sizes = np.zeros((4, 6), np.float32)
        sizes[range(4), range(4)] = 1
        sizes[[0, 2, 1, 3], [4, 4, 5, 5]] = [-1, 1, -1, 1]
        six = g.node("MatMul", [boxes, self.floats(name + ".sizes", sizes)], name + ".six")
        orders = np.zeros((4, 4 * WAVES), np.float32)
        for i in range(4):
            orders[i, i * WAVES : (i + 1) * WAVES] = np.pi * np.arange(1, WAVES + 1)
        angles = g.node("MatMul", [boxes, self.floats(name + ".orders", orders)], name + ".angles")
        rows = [six, g.node("Cos", [angles], name + ".cosines")]
        return g.node("Mul", [g.node("Concat", rows, name + ".rows", axis=2), there], name)
