"""A vision tower of two small convolutional networks: a detector and a classifier.

pixels (1, 3, S, S), ImageNet mean and deviation
  -> NanoDet (anchor-free, CSP backbone): scores and boxes, non-maximum suppression
     -> `detections` tokens: class scores, the box as waves
  -> resized to T x T -> EfficientNet-Lite0: maps of stride 16 and 32, pooled features
     -> `regions` tokens: for each kind of stuff its area and box, from a coarse segmentation
     -> two tokens of the whole picture, (T / 32)^2 tokens of the grid
  -> encoder layers as in CLIP -> layer norm -> features (1, tokens, W), for Kosmos-2's resampler.

The networks are frozen teachers; what is learned begins at the projections. Sources: NanoDet
(github.com/RangiLyu/nanodet, Generalised Focal Loss heads of 11 bins a side); EfficientNet-Lite
(github.com/tensorflow/tpu, models/official/efficientnet/lite), batch norms folded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kosmoscope.model.config import DetectorVisionConfig
from kosmoscope.model.graph import GraphWriter

Float = NDArray[np.float32]
Shapes = Iterator[tuple[str, tuple[int, ...]]]

CLASSES = 80  # of the detector (COCO's)
_BINS = 11
_STRIDES = (8, 16, 32)
_STAGES = ((32, 1), (64, 2), (128, 2), (256, 3))  # channels, pairs of convolutions
_NECK = 128

_STEM, _POOLED = 32, 1280
# kernel, stride, expansion, channels: the sixteen blocks of EfficientNet-Lite0
_BLOCKS = (
    (3, 1, 1, 16), (3, 2, 6, 24), (3, 1, 6, 24), (5, 2, 6, 40), (5, 1, 6, 40), (3, 2, 6, 80),
    (3, 1, 6, 80), (3, 1, 6, 80), (5, 1, 6, 112), (5, 1, 6, 112), (5, 1, 6, 112), (5, 2, 6, 192),
    (5, 1, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192), (3, 1, 6, 320),
)  # fmt: skip
_FINE_BLOCK = 10  # the last one of stride 16
FINE, COARSE = _BLOCKS[_FINE_BLOCK][3], _BLOCKS[-1][3]
REGION_HIDDEN = 96

WAVES = 24
BOX_FEATURES = 6 + 4 * WAVES
"""x1, y1, x2, y2, width, height; then cos(k pi e), k = 1, 2, ..., of each of the four edges. A sum
of such waves peaks at any cell of the grid, so that reading a location off them is linear."""
DETECTION_FEATURES = CLASSES + 3 + BOX_FEATURES
REGION_FEATURES = 3 + BOX_FEATURES

_IMAGENET_MEAN = np.array((0.485, 0.456, 0.406), np.float32)
_IMAGENET_STD = np.array((0.229, 0.224, 0.225), np.float32)


class Tensors(Protocol):
    """Where weights come from."""

    def tensor(self, name: str) -> Float: ...  # by name, float32


def _conv(name: str, outputs: int, inputs: int, kernel: int) -> Shapes:
    yield f"{name}.weight", (outputs, inputs, kernel, kernel)
    yield f"{name}.bias", (outputs,)


def _detector_shapes(prefix: str) -> Shapes:
    yield from _conv(f"{prefix}0", _STAGES[0][0], 3, 3)
    i, inputs, outs = 1, _STAGES[0][0], []
    for width, pairs in _STAGES:
        yield from _conv(f"{prefix}{i}", width, inputs, 3)
        for pair in range(pairs):
            yield from _conv(f"{prefix}{i + 1 + 2 * pair}", width // 2, width, 3)
            yield from _conv(f"{prefix}{i + 2 + 2 * pair}", width // 2, width // 2, 3)
        i += 1 + 2 * pairs
        yield from _conv(f"{prefix}{i}", width, width, 3)
        i, inputs = i + 1, 2 * width
        outs.append(inputs)
    for out in outs[1:]:
        yield from _conv(f"{prefix}{i}", _NECK, out, 1)
        i += 1
    for _ in _STRIDES:
        yield from _conv(f"{prefix}{i}", _NECK, _NECK, 3)
        yield from _conv(f"{prefix}{i + 1}", CLASSES + 4 * _BINS, _NECK, 1)
        i += 2


def _classifier_shapes(prefix: str) -> Shapes:
    yield from _conv(f"{prefix}stem", _STEM, 3, 3)
    inputs = _STEM
    for i, (kernel, _, expansion, outputs) in enumerate(_BLOCKS):
        middle = inputs * expansion
        if expansion > 1:
            yield from _conv(f"{prefix}{i}.expand", middle, inputs, 1)
        yield from _conv(f"{prefix}{i}.depthwise", middle, 1, kernel)
        yield from _conv(f"{prefix}{i}.project", outputs, middle, 1)
        inputs = outputs
    yield from _conv(f"{prefix}head", _POOLED, inputs, 1)


def expected_shapes(v: DetectorVisionConfig, prefix: str) -> Shapes:
    """Yield name and shape of every tensor of the tower below its encoder."""
    yield from _detector_shapes(prefix + "detector.")
    yield from _classifier_shapes(prefix + "classifier.")
    yield from _conv(prefix + "regions.fine", REGION_HIDDEN, FINE, 1)
    yield from _conv(prefix + "regions.coarse", REGION_HIDDEN, COARSE, 1)
    yield from _conv(prefix + "regions.classes", v.regions + 1, REGION_HIDDEN, 3)
    for kind, outputs, inputs in (
        ("detection", v.width, DETECTION_FEATURES),
        ("region", v.width, REGION_FEATURES),
        ("whole", 2 * v.width, _POOLED),
        ("grid", v.width, COARSE),
    ):
        yield f"{prefix}embeddings.{kind}.weight", (outputs, inputs)
        yield f"{prefix}embeddings.{kind}.bias", (outputs,)
    yield f"{prefix}embeddings.position_embedding.weight", (v.tokens, v.width)


class Tower:
    """Writes the two networks and the tokens' features into a graph."""

    def __init__(
        self, g: GraphWriter, v: DetectorVisionConfig, source: Tensors, prefix: str
    ) -> None:
        self.g, self.v, self.source, self.prefix = g, v, source, prefix
        self.scalars: set[str] = set()

    def networks(self) -> dict[str, str]:
        """Write the frozen half.

        Returns:
            the values' names: "detection" (1, K, DETECTION_FEATURES), "fine" (1, 112, 2G, 2G),
            "coarse" (1, 320, G, G), "whole" (1, 1, 1280).
        """
        side = self.v.image_size
        pixels = self.g.input("pixels", [1, 3, side, side])
        detection = self.detections(*self.detector(pixels))
        fine, coarse, whole = self.classifier(pixels)
        return {"detection": detection, "fine": fine, "coarse": coarse, "whole": whole}

    def tokens(self) -> str:
        """Write everything up to the encoder; returns the name of (tokens, W)."""
        g, v = self.g, self.v
        found = self.networks()
        grid = self.reshape(found["coarse"], [1, COARSE, -1], "grid.flat")
        grid = g.node("Transpose", [grid], "grid.cells", perm=[0, 2, 1])
        parts = [
            self.project("detection", found["detection"]),
            self.project("region", self.regions(found["fine"], found["coarse"])),
            self.reshape(self.project("whole", found["whole"]), [1, 2, v.width], "whole.tokens"),
            self.project("grid", grid),
        ]
        x = self.reshape(g.node("Concat", parts, "tokens", axis=1), [-1, v.width], "tokens.rows")
        table = self.source.tensor(self.prefix + "embeddings.position_embedding.weight")
        return g.node("Add", [x, g.weight("positions", table)], "vision.0")

    def project(self, kind: str, x: str) -> str:
        name = f"{self.prefix}embeddings.{kind}"
        # Exact in every precision: what is written here is coordinates.
        weight, bias = self.source.tensor(name + ".weight"), self.source.tensor(name + ".bias")
        return self.g.linear(x, weight, bias, "fp32", f"embedded.{kind}")

    # --- small things -----------------------------------------------------------------------

    def ints(self, name: str, values: list[int]) -> str:
        return self.g.weight(name, np.array(values, np.int64))

    def above(self, x: str, threshold: float, name: str) -> str:
        found = self.g.node("Greater", [x, self.floats(name + ".least", threshold)], name + ".bool")
        return self.g.node("Cast", [found], name, to=1)

    def reshape(self, x: str, shape: list[int], name: str) -> str:
        return self.g.node("Reshape", [x, self.ints(name + ".shape", shape)], name)

    def floats(self, name: str, values: object) -> str:
        return self.g.weight(name, np.asarray(values, np.float32))

    def scalar(self, value: float) -> str:
        name = f"scalar.{value}"
        if name not in self.scalars:
            self.scalars.add(self.g.node("Constant", [], name, value_float=value))
        return name

    def conv(self, x: str, name: str, stride: int = 1, act: str = "", same: bool = False) -> str:
        """Convolve; `same` pads as TensorFlow does (more at the end), else evenly."""
        g = self.g
        weight = self.source.tensor(f"{self.prefix}{name}.weight")
        bias = self.source.tensor(f"{self.prefix}{name}.bias")
        kernel = weight.shape[2]
        # Even sides only, so that TensorFlow's padding is a constant.
        total = kernel - stride if same else 2 * (kernel // 2)
        pads = [total // 2] * 2 + [total - total // 2] * 2
        group = weight.shape[0] if weight.shape[1] == 1 else 1
        out = g.node(
            "Conv", [x, g.weight(name + ".weight", weight), g.weight(name + ".bias", bias)],
            name, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads, group=group,
        )  # fmt: skip
        if act == "leaky":
            return g.node("LeakyRelu", [out], name + ".act", alpha=0.1)
        if act == "relu6":
            return g.node("Clip", [out, self.scalar(0.0), self.scalar(6.0)], name + ".act")
        return g.node("Relu", [out], name + ".act") if act == "relu" else out

    def resize(self, x: str, side: int, channels: int, name: str) -> str:
        sizes = self.ints(name + ".sizes", [1, channels, side, side])
        return self.g.node(
            "Resize", [x, "", "", sizes], name, mode="linear",
            coordinate_transformation_mode="half_pixel",
        )  # fmt: skip

    # --- the detector -----------------------------------------------------------------------

    def detector(self, pixels: str) -> tuple[str, str]:
        """Return the names of scores (1, N, 80) and boxes (1, N, 4), x1 y1 x2 y2 in 0..1."""
        g, index = self.g, iter(range(100))

        def conv(x: str, stride: int = 1, act: str = "leaky") -> str:
            return self.conv(x, f"detector.{next(index)}", stride, act)

        x = g.node("MaxPool", [conv(pixels, 2)], "detector.pool", kernel_shape=[3, 3],
                   strides=[2, 2], pads=[1, 1, 1, 1])  # fmt: skip
        outs = []
        for stage, (_, pairs) in enumerate(_STAGES):
            first = inner = conv(x, 2 if stage else 1)
            for pair in range(pairs):
                left = conv(inner)
                inner = g.node(
                    "Concat", [conv(left), left], f"detector.stage{stage}.{pair}", axis=1
                )
            x = g.node("Concat", [conv(inner), first], f"detector.stage{stage}", axis=1)
            outs.append(x)
        sides = [self.v.image_size // s for s in _STRIDES]
        low, mid, high = (conv(out, act="") for out in outs[1:])

        def merge(x: str, onto: str, side: int, name: str) -> str:
            return g.node("Add", [onto, self.resize(x, side, _NECK, name + ".resized")], name)

        top = merge(high, mid, sides[1], "neck.1")
        maps = [merge(top, low, sides[0], "neck.0")]
        maps.append(merge(maps[0], top, sides[1], "neck.2"))
        maps.append(merge(maps[1], high, sides[2], "neck.3"))
        found = [
            self.decode(conv(conv(m), act=""), stride)
            for m, stride in zip(maps, _STRIDES, strict=True)
        ]
        scores = g.node("Concat", [s for s, _ in found], "detector.scores", axis=1)
        boxes = g.node("Concat", [b for _, b in found], "detector.boxes", axis=1)
        return scores, boxes

    def decode(self, raw: str, stride: int) -> tuple[str, str]:
        g, name = self.g, f"level{stride}"
        side = self.v.image_size // stride
        flat = self.reshape(raw, [1, CLASSES + 4 * _BINS, -1], name + ".rows")
        rows = g.node("Transpose", [flat], name + ".anchors", perm=[0, 2, 1])
        sizes = self.ints(name + ".sizes", [CLASSES, 4 * _BINS])
        g.nodes("Split", [rows, sizes], [name + ".logits", name + ".bins"], axis=-1)
        scores = g.node("Sigmoid", [name + ".logits"], name + ".scores")
        bins = self.reshape(name + ".bins", [1, -1, 4, _BINS], name + ".bins4")
        shares = g.node("Softmax", [bins], name + ".shares", axis=-1)
        # Distances to the left, top, right and bottom edge, in pictures.
        reach = np.arange(_BINS, dtype=np.float32)[:, None] * (stride / self.v.image_size)
        edges = g.node("MatMul", [shares, self.floats(name + ".reach", reach)], name + ".edges1")
        edges = self.reshape(edges, [1, -1, 4], name + ".edges")
        edges = g.node("Mul", [edges, self.floats(name + ".signs", [-1, -1, 1, 1])],
                       name + ".offsets")  # fmt: skip
        at = (np.arange(side, dtype=np.float32) + 0.5) / side
        x, y = np.meshgrid(at, at)
        centres = np.stack([x, y, x, y], -1).reshape(1, -1, 4)
        boxes = g.node("Add", [edges, self.floats(name + ".centres", centres)], name + ".free")
        return scores, g.node("Clip", [boxes, self.scalar(0.0), self.scalar(1.0)], name + ".boxes")

    def detections(self, scores: str, boxes: str) -> str:
        """Return the name of (1, K, DETECTION_FEATURES): the best candidates, best first."""
        g, v = self.g, self.v
        count = sum((v.image_size // s) ** 2 for s in _STRIDES)
        rows = g.node("Transpose", [scores], "nms.scores", perm=[0, 2, 1])  # (1, classes, N)
        limits = [
            self.ints("nms.limit", [v.detections]),
            self.floats("nms.overlap", [v.overlap_threshold]),
            self.floats("nms.score", [v.score_threshold]),
        ]
        chosen = g.node("NonMaxSuppression", [boxes, rows, *limits], "nms")  # (n, 3)
        # K rows of zeros stand behind the candidates: what is missing points there.
        spare = np.tile(np.array([[0, CLASSES, count]], np.int64), (v.detections, 1))
        chosen = g.node("Concat", [chosen, g.weight("nms.spare", spare)], "nms.padded", axis=0)
        index = g.node("Slice", [chosen, self.ints("nms.one", [1]), self.ints("nms.three", [3]),
                                 self.ints("nms.columns", [1])], "nms.index")  # fmt: skip
        padded = g.node("Pad", [rows, self.ints("nms.pads", [0, 0, 0, 0, 1, 1])], "nms.frame")
        table = g.node("Squeeze", [padded, self.ints("nms.batch", [0])], "nms.table")
        found = g.node("GatherND", [table, index], "nms.found")  # (n + K,)
        g.nodes("TopK", [found, self.ints("nms.k", [v.detections])], ["nms.best", "nms.order"])
        index = g.node("Gather", [index, "nms.order"], "nms.picked", axis=0)  # (K, 2)
        column = self.ints("nms.last", [-1])
        score = g.node("Unsqueeze", ["nms.best", column], "score.column")
        parts = self.ints("nms.parts", [1, 1])
        g.nodes("Split", [index, parts], ["nms.class", "nms.anchor"], axis=1)
        kinds = self.ints("nms.kinds", list(range(CLASSES)))
        named = g.node("Equal", ["nms.class", kinds], "named.bool")
        named = g.node("Cast", [named], "named", to=1)
        classes = g.node("Mul", [named, score], "named.scores")  # (K, classes)
        zero = self.floats("picked.zero", np.zeros((1, 1, 4)))
        every = g.node("Concat", [boxes, zero], "picked.all", axis=1)
        anchors = self.reshape("nms.anchor", [-1], "nms.anchors")
        picked = g.node("Gather", [every, anchors], "picked", axis=1)  # (1, K, 4)
        # 1 where no other class is likelier at the same place.
        highest = g.node("ReduceMax", [table, self.ints("lead.axis", [0])], "lead.best", keepdims=0)
        highest = g.node("Gather", [highest, anchors], "lead.here")
        highest = g.node("Unsqueeze", [highest, column], "lead.column")
        highest = g.node("Max", [highest, self.floats("lead.least", [[1e-6]])], "lead.safe")
        lead = g.node("Div", [score, highest], "lead")
        there = self.above(score, 0.0, "there")
        rows = g.node("Concat", [classes, score, there, lead], "detection.named", axis=1)
        rows = g.node("Unsqueeze", [rows, self.ints("rows.batch", [0])], "detection.rows")
        waves = self.waves(picked, there, "detection.waves")
        return g.node("Concat", [rows, waves], "detection.features", axis=2)

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

    # --- the classifier ---------------------------------------------------------------------

    def classifier(self, pixels: str) -> tuple[str, str, str]:
        """Return the names of the fine map, the coarse map and the pooled features."""
        g = self.g
        x = self.resize(pixels, self.v.scene_size, 3, "scene.resized")
        # From ImageNet's statistics to (byte - 127) / 128.
        scale = _IMAGENET_STD * np.float32(255 / 128)
        shift = (_IMAGENET_MEAN * 255 - 127) / 128
        x = g.node("Mul", [x, self.floats("scene.scale", scale.reshape(1, 3, 1, 1))], "scene.mul")
        x = g.node("Add", [x, self.floats("scene.shift", shift.reshape(1, 3, 1, 1))], "scene")
        x = self.conv(x, "classifier.stem", 2, "relu6", same=True)
        fine, inputs = "", _STEM
        for i, (_, stride, expansion, outputs) in enumerate(_BLOCKS):
            name, start = f"classifier.{i}", x
            if expansion > 1:
                x = self.conv(x, name + ".expand", 1, "relu6")
            x = self.conv(x, name + ".depthwise", stride, "relu6", same=True)
            x = self.conv(x, name + ".project")
            if stride == 1 and inputs == outputs:
                x = g.node("Add", [start, x], name)
            inputs = outputs
            fine = x if i == _FINE_BLOCK else fine
        head = self.conv(x, "classifier.head", 1, "relu6")
        pooled = g.node("GlobalAveragePool", [head], "classifier.pooled")
        return fine, x, self.reshape(pooled, [1, 1, -1], "whole")

    def regions(self, fine: str, coarse: str) -> str:
        """Return the name of (1, regions, REGION_FEATURES): area, certainty, box of each kind."""
        g, side = self.g, 2 * self.v.grid
        up = self.resize(self.conv(coarse, "regions.coarse"), side, REGION_HIDDEN, "regions.up")
        hidden = g.node("Add", [self.conv(fine, "regions.fine"), up], "regions.sum")
        hidden = g.node("Relu", [hidden], "regions.hidden")
        shares = g.node("Softmax", [self.conv(hidden, "regions.classes")], "regions.all", axis=1)
        bounds = [self.ints("regions.start", [0]), self.ints("regions.end", [self.v.regions])]
        shares = g.node("Slice", [shares, *bounds, self.ints("regions.axis", [1])], "shares")
        mask = self.above(shares, 0.5, "regions.mask")  # (1, R, side, side)
        both = self.ints("regions.both", [2, 3])
        area = g.node("ReduceMean", [mask, both], "regions.area", keepdims=0)
        certain = g.node("ReduceMean", [shares, both], "regions.certain", keepdims=0)
        edges = [self.span(mask, axis, side) for axis in (2, 3)]  # across, then down
        corners = [edges[0][0], edges[1][0], edges[0][1], edges[1][1]]
        columns = [
            self.reshape(c, [1, -1, 1], f"regions.column{i}")
            for i, c in enumerate([area, certain, *corners])
        ]
        boxes = g.node("Concat", columns[2:], "regions.boxes", axis=2)
        width = g.node("Sub", columns[4:1:-2], "regions.width")
        height = g.node("Sub", columns[5:2:-2], "regions.height")
        there = self.above(g.node("Min", [width, height], "regions.least"), 0.0, "regions.there")
        waves = self.waves(boxes, there, "region.waves")
        return g.node("Concat", [*columns[:2], there, waves], "region.features", axis=2)

    def span(self, mask: str, summed: int, side: int) -> tuple[str, str]:
        """First and last line (0..1) in which at least two cells belong to a kind, (1, R) each."""
        g, name = self.g, f"span{summed}"
        count = g.node("ReduceSum", [mask, self.ints(name + ".axis", [summed])], name + ".count",
                       keepdims=0)  # fmt: skip
        used = g.node("Greater", [count, self.floats(name + ".two", 1.5)], name + ".used")
        at = np.arange(side, dtype=np.float32) / side
        line = [self.ints(name + ".lines", [2])]
        starts = g.node("Where", [used, self.floats(name + ".at", at),
                                  self.floats(name + ".none", 1.0)], name + ".starts")  # fmt: skip
        ends = g.node("Where", [used, self.floats(name + ".ends", at + np.float32(1 / side)),
                                self.floats(name + ".nil", 0.0)], name + ".stops")  # fmt: skip
        low = g.node("ReduceMin", [starts, *line], name + ".low", keepdims=0)
        return low, g.node("ReduceMax", [ends, *line], name + ".high", keepdims=0)
