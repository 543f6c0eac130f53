"""EfficientNet-Lite0: maps of the picture, kinds of stuff, the main thing, and names.

The classifier sees the whole picture and, cut out of it, the main thing; its last layer, whose
classes are put together under the names that people use, says what each of the two may be called.
"""

from __future__ import annotations

import numpy as np

from kosmoscope.model.detector.layers import Layers
from kosmoscope.model.detector.shapes import (
    BLOCKS,
    FINE_BLOCK,
    MEAN,
    REGION_HIDDEN,
    STD,
    STEM,
)

MARGIN = 0.12
"""Of a box's sides: so much more is cut out on each side."""
LEAST_SIDE = 0.3
"""No less than this share of a picture's sides is cut out."""
NAMED = 3
"""Likeliest names that a token tells."""


class Scenery(Layers):
    """Writes the classifier and what is read off its maps."""

    def normalised(self, pixels: str) -> str:
        """From ImageNet's statistics to (byte - 127) / 128."""
        g = self.g
        scale = STD * np.float32(255 / 128)
        shift = (MEAN * 255 - 127) / 128
        x = g.node("Mul", [pixels, self.floats("scene.scale", scale.reshape(1, 3, 1, 1))],
                   "scene.mul")  # fmt: skip
        return g.node("Add", [x, self.floats("scene.shift", shift.reshape(1, 3, 1, 1))], "scene")

    def classifier(self, x: str, tag: str = "") -> tuple[str, str, str]:
        """Return the names of the fine map, the coarse map and the pooled features (1, 1280).

        Args:
            x: (1, 3, T, T), normalised.
            tag: of this run, since the network is written once for each picture that it sees.
        """
        g = self.g
        x = self.conv(x, "classifier.stem" + tag, 2, "relu6", same=True)
        fine, inputs = "", STEM
        for i, (_, stride, expansion, outputs) in enumerate(BLOCKS):
            name, start = f"classifier.{i}", x
            if expansion > 1:
                x = self.conv(x, name + ".expand" + tag, 1, "relu6")
            x = self.conv(x, name + ".depthwise" + tag, stride, "relu6", same=True)
            x = self.conv(x, name + ".project" + tag)
            if stride == 1 and inputs == outputs:
                x = g.node("Add", [start, x], name + tag)
            inputs = outputs
            fine = x if i == FINE_BLOCK else fine
        head = self.conv(x, "classifier.head" + tag, 1, "relu6")
        pooled = g.node("GlobalAveragePool", [head], "classifier.pooled" + tag)
        return fine, x, self.reshape(pooled, [1, -1], "pooled" + tag)

    def stuff(self, fine: str, coarse: str) -> tuple[str, str]:
        """Return the names of (1, R, 7), area, certainty, there and box of each kind of stuff, and
        of the main thing's box (4,); that is the whole picture where nothing stands out."""
        g, v, side = self.g, self.v, 2 * self.v.grid
        up = self.resize_to(self.conv(coarse, "regions.coarse"), side, REGION_HIDDEN, "regions.up")
        hidden = g.node("Add", [self.conv(fine, "regions.fine"), up], "regions.sum")
        hidden = g.node("Relu", [hidden], "regions.hidden")
        logits = self.conv(hidden, "regions.classes")
        kinds = self.slice(logits, 0, v.regions + 1, 1, "regions.logits")
        shares = g.node("Softmax", [kinds], "regions.all", axis=1)
        shares = self.slice(shares, 0, v.regions, 1, "shares")
        mask = self.above(shares, 0.5, "regions.mask")  # (1, R, side, side)
        both = self.ints("regions.both", [2, 3])
        area = g.node("ReduceMean", [mask, both], "regions.area", keepdims=0)
        certain = g.node("ReduceMean", [shares, both], "regions.certain", keepdims=0)
        corners, there = self.box_of(mask, "regions")
        columns = [self.reshape(c, [1, -1, 1], f"regions.column{i}")
                   for i, c in enumerate([area, certain])]  # fmt: skip
        rows = g.node("Concat", [*columns, there, corners], "regions.rows", axis=2)
        main = self.slice(logits, v.regions + 1, v.regions + 2, 1, "main.logits")
        box, seen = self.box_of(self.above(main, 0.0, "main.mask"), "main")
        box = self.reshape(box, [4], "main.found")
        seen = g.node(
            "Greater", [self.reshape(seen, [1], "main.seen"), self.scalar(0.5)], "main.is"
        )
        whole = self.floats("main.whole", [0, 0, 1, 1])
        return rows, g.node("Where", [seen, box, whole], "main.box")

    def box_of(self, mask: str, name: str) -> tuple[str, str]:
        """Boxes (1, n, 4) around each mask, and whether there is one (1, n, 1)."""
        g = self.g
        edges = [self.span(mask, axis, name) for axis in (2, 3)]  # across, then down
        ends = [edges[0][0], edges[1][0], edges[0][1], edges[1][1]]
        columns = [self.reshape(c, [1, -1, 1], f"{name}.edge{i}") for i, c in enumerate(ends)]
        width = g.node("Sub", columns[2::-2], name + ".width")
        height = g.node("Sub", columns[3::-2], name + ".height")
        there = self.above(g.node("Min", [width, height], name + ".least"), 0.0, name + ".there")
        return g.node("Concat", columns, name + ".boxes", axis=2), there

    def span(self, mask: str, summed: int, of: str) -> tuple[str, str]:
        """First and last line (0..1) in which at least two cells belong to a kind, (1, n) each."""
        g, name, side = self.g, f"{of}.span{summed}", 2 * self.v.grid
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

    def window(self, box: str) -> str:
        """A box (4,) with a margin around it, kept in the picture."""
        g = self.g
        g.nodes("Split", [box, self.ints("window.parts", [2, 2])], ["window.from", "window.to"],
                axis=0)  # fmt: skip
        sides = g.node("Sub", ["window.to", "window.from"], "window.sides")
        sides = g.node("Mul", [sides, self.scalar(1 + 2 * MARGIN)], "window.wider")
        sides = g.node("Max", [sides, self.scalar(LEAST_SIDE)], "window.least")
        sides = g.node("Min", [sides, self.scalar(1.0)], "window.most")
        half = g.node("Mul", [sides, self.scalar(0.5)], "window.half")
        middle = g.node("Add", ["window.from", "window.to"], "window.twice")
        middle = g.node("Mul", [middle, self.scalar(0.5)], "window.middle")
        low = g.node("Max", [g.node("Sub", [middle, half], "window.free"), self.scalar(0.0)],
                     "window.low")  # fmt: skip
        high = g.node("Sub", [self.scalar(1.0), sides], "window.last")
        low = g.node("Min", [low, high], "window.start")
        return g.node("Concat", [low, g.node("Add", [low, sides], "window.end")], "window", axis=0)

    def cut(self, pixels: str, window: str) -> str:
        """(1, 3, T, T): what lies in a window (4,) of the picture, by bilinear samples."""
        g, side = self.g, self.v.scene_size
        at = (np.arange(side, dtype=np.float32) + 0.5) / side
        y, x = np.meshgrid(at, at, indexing="ij")
        grid = np.stack([x, y], -1)[None]  # (1, T, T, 2)
        low = self.slice(window, 0, 2, 0, "cut.low")
        sides = g.node("Sub", [self.slice(window, 2, 4, 0, "cut.high"), low], "cut.sides")
        points = g.node("Mul", [g.weight("cut.grid", grid), sides], "cut.scaled")
        points = g.node("Add", [points, low], "cut.points")
        points = g.node("Sub", [g.node("Mul", [points, self.scalar(2.0)], "cut.twice"),
                                self.scalar(1.0)], "cut.at")  # fmt: skip
        return g.node("GridSample", [pixels, points], "cut", mode="linear", padding_mode="border",
                      align_corners=0)  # fmt: skip

    def names(self, pooled: list[str], windows: list[str]) -> str:
        """The name of (1, n, names + 2 + BOX_FEATURES), a row a picture that was classified.

        Args:
            pooled: features (1, 1280) of each.
            windows: where each lies (4,).
        """
        g, v = self.g, self.v
        rows = g.node("Concat", pooled, "names.pooled", axis=0)
        weight = self.source.tensor(f"{self.prefix}names.weight")
        bias = self.source.tensor(f"{self.prefix}names.bias")
        group = self.source.tensor(f"{self.prefix}names.group").round().astype(int)
        logits = g.linear(rows, weight, bias, "fp32", "names.logits")
        shares = g.node("Softmax", [logits], "names.labels", axis=1)
        together = np.zeros((v.labels, v.names), np.float32)
        kept = group >= 0
        together[np.flatnonzero(kept), group[kept]] = 1
        shares = g.node("MatMul", [shares, self.floats("names.together", together)], "names.shares")
        best = ["names.best", "names.order"]
        g.nodes("TopK", [shares, self.ints("names.kept", [NAMED])], best, axis=1)
        nothing = g.node("Mul", [shares, self.scalar(0.0)], "names.nothing")
        told = g.node("ScatterElements", [nothing, best[1], best[0]], "names.told", axis=1)
        first = self.slice(best[0], 0, 1, 1, "names.first")
        boxes = [self.reshape(w, [1, 4], f"names.window{i}") for i, w in enumerate(windows)]
        box = g.node("Concat", boxes, "names.windows", axis=0)
        box = self.reshape(box, [1, -1, 4], "names.boxes")
        there = g.node("Mul", [box, self.scalar(0.0)], "names.zero")
        there = self.slice(there, 0, 1, 2, "names.column")
        there = g.node("Add", [there, self.scalar(1.0)], "names.there")
        told = self.reshape(told, [1, -1, v.names], "names.rows")
        first = self.reshape(first, [1, -1, 1], "names.score")
        return g.node("Concat", [told, first, there, self.waves(box, there, "names.waves")],
                      "name.features", axis=2)  # fmt: skip
