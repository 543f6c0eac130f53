"""NanoDet at several sizes of a picture, and the candidates that its looks agree on.

A picture keeps its aspect: squashed to a square, the same network finds a sixth less. What it sees
at one size it often misses at another, and what it sees at several is seldom wrong, so that the
looks vote: a candidate's score is the mean over the looks of the best score of that class among the
anchors that overlap it, its box their mean (docs/pocket.md has the figures).
"""

from __future__ import annotations

import numpy as np

from kosmoscope.model.detector.layers import Layers
from kosmoscope.model.detector.shapes import BINS, CLASSES, STAGES, STRIDES

ANCHORS = 200
"""Of each look that take part: the best by score."""
CANDIDATES = 64
"""Boxes that are voted on."""
AGREES = 0.5
"""Overlap (IoU) from which an anchor speaks for a candidate."""
TWIN = 0.6
"""Overlap above which the lower-scored of two candidates is dropped, whatever their classes."""


class Looks(Layers):
    """Writes the detector."""

    def at(self, pixels: str, side: int) -> str:
        """The picture at another size: `side` pixels the longer way, multiples of 32."""
        g, name = self.g, f"look{side}"
        if side == self.v.image_size:
            return pixels
        shape = self.g.node("Shape", [pixels], name + ".shape", start=2, end=4)
        sides = self.number(shape, name + ".sides")
        cells = g.node("Mul", [sides, self.floats(name + ".ratio", side / self.v.image_size / 32)],
                       name + ".cells")  # fmt: skip
        # Half a cell more goes up: `round` of Python and of ONNX differ from Pillow's callers'.
        cells = g.node("Floor", [g.node("Add", [cells, self.floats(name + ".half", 0.5)],
                                        name + ".raised")], name + ".floor")  # fmt: skip
        cells = g.node("Max", [cells, self.floats(name + ".one", 1.0)], name + ".least")
        sides = g.node("Mul", [cells, self.floats(name + ".stride", 32.0)], name + ".wanted")
        sides = g.node("Cast", [sides], name + ".whole", to=7)
        sizes = g.node(
            "Concat", [self.ints(name + ".head", [1, 3]), sides], name + ".sizes", axis=0
        )
        return self.resize(pixels, sizes, name, smooth=True)

    def look(self, pixels: str, side: int) -> tuple[str, str]:
        """Return the names of scores (1, N, 80) and boxes (1, N, 4), x1 y1 x2 y2 in 0..1."""
        g, index, tag = self.g, iter(range(100)), f"@{side}"

        def conv(x: str, stride: int = 1, act: str = "leaky") -> str:
            return self.conv(x, f"detector.{next(index)}{tag}", stride, act)

        x = g.node("MaxPool", [conv(pixels, 2)], "detector.pool" + tag, kernel_shape=[3, 3],
                   strides=[2, 2], pads=[1, 1, 1, 1])  # fmt: skip
        outs = []
        for stage, (_, pairs) in enumerate(STAGES):
            first = inner = conv(x, 2 if stage else 1)
            for pair in range(pairs):
                left = conv(inner)
                inner = g.node(
                    "Concat", [conv(left), left], f"detector.stage{stage}.{pair}{tag}", axis=1
                )
            x = g.node("Concat", [conv(inner), first], f"detector.stage{stage}{tag}", axis=1)
            outs.append(x)
        low, mid, high = (conv(out, act="") for out in outs[1:])

        def merge(x: str, onto: str, name: str) -> str:
            sizes = g.node("Shape", [onto], name + ".sizes")
            return g.node("Add", [onto, self.resize(x, sizes, name + ".resized")], name)

        top = merge(high, mid, "neck.1" + tag)
        maps = [merge(top, low, "neck.0" + tag)]
        maps.append(merge(maps[0], top, "neck.2" + tag))
        maps.append(merge(maps[1], high, "neck.3" + tag))
        whole = [self.number(self.side(pixels, axis, f"pixels.{axis}{tag}"), f"extent.{axis}{tag}")
                 for axis in (3, 2)]  # fmt: skip
        extent = g.node("Concat", [*whole, *whole], "extent" + tag, axis=0)  # W, H, W, H
        found = [
            self.decode(conv(conv(m), act=""), m, stride, extent, f"level{stride}{tag}")
            for m, stride in zip(maps, STRIDES, strict=True)
        ]
        scores = g.node("Concat", [s for s, _ in found], "detector.scores" + tag, axis=1)
        boxes = g.node("Concat", [b for _, b in found], "detector.boxes" + tag, axis=1)
        return scores, boxes

    def decode(self, raw: str, level: str, stride: int, extent: str, name: str) -> tuple[str, str]:
        g = self.g
        flat = self.reshape(raw, [1, CLASSES + 4 * BINS, -1], name + ".rows")
        rows = g.node("Transpose", [flat], name + ".anchors", perm=[0, 2, 1])
        sizes = self.ints(name + ".sizes", [CLASSES, 4 * BINS])
        g.nodes("Split", [rows, sizes], [name + ".logits", name + ".bins"], axis=-1)
        scores = g.node("Sigmoid", [name + ".logits"], name + ".scores")
        bins = self.reshape(name + ".bins", [1, -1, 4, BINS], name + ".bins4")
        shares = g.node("Softmax", [bins], name + ".shares", axis=-1)
        # Distances to the left, top, right and bottom edge, in pixels.
        reach = np.arange(BINS, dtype=np.float32)[:, None] * stride
        edges = g.node("MatMul", [shares, self.floats(name + ".reach", reach)], name + ".edges1")
        edges = self.reshape(edges, [1, -1, 4], name + ".edges")
        edges = g.node("Mul", [edges, self.floats(name + ".signs", [-1, -1, 1, 1])],
                       name + ".offsets")  # fmt: skip
        boxes = g.node("Add", [edges, self.centres(level, stride, name)], name + ".px")
        boxes = g.node("Div", [boxes, extent], name + ".free")
        return scores, g.node("Clip", [boxes, self.scalar(0.0), self.scalar(1.0)], name + ".boxes")

    def centres(self, level: str, stride: int, name: str) -> str:
        """(h w, 4): x, y, x, y of the middle of each of a map's cells, in pixels."""
        g = self.g
        zero, one = g.once("range.zero", np.array(0)), g.once("range.one", np.array(1))
        lines = []
        for axis, shape in ((3, [1, -1]), (2, [-1, 1])):
            count = g.node("Squeeze", [self.side(level, axis, f"{name}.side{axis}")],
                           f"{name}.count{axis}")  # fmt: skip
            cells = g.node("Range", [zero, count, one], f"{name}.range{axis}")
            at = self.number(cells, f"{name}.at{axis}")
            at = g.node("Add", [at, self.scalar(0.5)], f"{name}.mid{axis}")
            at = g.node("Mul", [at, self.scalar(float(stride))], f"{name}.line{axis}")
            lines.append(self.reshape(at, shape, f"{name}.lines{axis}"))
        flat = g.node("Mul", [lines[0], self.scalar(0.0)], name + ".nox")
        high = g.node("Mul", [lines[1], self.scalar(0.0)], name + ".noy")
        x = self.reshape(g.node("Add", [lines[0], high], name + ".x"), [-1, 1], name + ".xs")
        y = self.reshape(g.node("Add", [lines[1], flat], name + ".y"), [-1, 1], name + ".ys")
        return g.node("Concat", [x, y, x, y], name + ".centres", axis=1)

    # --- candidates -------------------------------------------------------------------------

    def candidates(self, looks: list[tuple[str, str]]) -> dict[str, str]:
        """Let the looks vote.

        Returns:
            the values' names, best candidates first and zeros behind them: "shares" (K, 80), the
            mean score of each class; "score" (K, 1), that of the likeliest; "boxes" (K, 4).
        """
        g, v = self.g, self.v
        best = [self.best(scores, boxes, f"best{i}") for i, (scores, boxes) in enumerate(looks)]
        boxes = g.node("Concat", [b["boxes"] for b in best], "union.boxes", axis=0)  # (M, 4)
        scores = g.node("Concat", [b["best"] for b in best], "union.scores", axis=0)  # (M,)
        chosen = self.suppressed(boxes, scores, CANDIDATES, 0.0, TWIN, "nms")
        here = g.node("Gather", [boxes, chosen], "candidate.boxes", axis=0)  # (n, 4)
        agree = [self.agreement(here, b["boxes"], f"agree{i}") for i, b in enumerate(best)]
        votes = []
        for i, b in enumerate(best):
            near = g.node("Unsqueeze", [agree[i], self.ints(f"vote{i}.last", [2])], f"vote{i}.near")
            heard = g.node("Mul", [near, b["scores"]], f"vote{i}.heard")  # (n, m, 80)
            votes.append(g.node("ReduceMax", [heard, self.ints(f"vote{i}.axis", [1])],
                                f"vote{i}", keepdims=0))  # fmt: skip
        shares = votes[0] if len(votes) == 1 else g.node("Mean", votes, "vote.mean")  # (n, 80)
        g.nodes("TopK", [shares, self.ints("vote.one", [1])], ["vote.score", "vote.kind"], axis=1)
        moved = self.mean_boxes(agree, best)
        flat = self.reshape("vote.score", [-1], "vote.flat")
        kept = self.each_once(moved, flat)
        # K rows of zeros stand behind the candidates: what is missing points there.
        spare = self.ints("last.spare", [-1] * v.detections)
        index = g.node("Concat", [kept, spare], "last.padded", axis=0)
        index = self.slice(index, 0, v.detections, 0, "last.index")
        found = {}
        for name, value, width in (("shares", shares, CLASSES), ("score", "vote.score", 1),
                                   ("boxes", moved, 4)):  # fmt: skip
            zeros = self.floats(f"last.{name}.zero", np.zeros((1, width)))
            rows = g.node("Concat", [value, zeros], f"last.{name}.rows", axis=0)
            found[name] = g.node("Gather", [rows, index], f"found.{name}", axis=0)
        return found

    def each_once(self, boxes: str, scores: str) -> str:
        """Indices of at most K candidates: one of those of a class that overlap, then one of those
        that overlap more, whatever their classes."""
        g, v = self.g, self.v
        # Classes lie side by side, two pictures apart, so that they cannot overlap.
        kinds = self.number("vote.kind", "each.kinds")  # (n, 1)
        apart = g.node("Mul", [kinds, self.floats("each.far", 2.0)], "each.apart")
        places = g.node("Add", [boxes, apart], "each.places")
        first = self.suppressed(places, scores, CANDIDATES, v.score_threshold,
                                v.class_overlap_threshold, "each")  # fmt: skip
        boxes = g.node("Gather", [boxes, first], "each.left", axis=0)
        scores = g.node("Gather", [scores, first], "each.scored", axis=0)
        last = self.suppressed(
            boxes, scores, v.detections, v.score_threshold, v.overlap_threshold, "last"
        )
        return g.node("Gather", [first, last], "each.last", axis=0)

    def best(self, scores: str, boxes: str, name: str) -> dict[str, str]:
        """The look's best anchors, whatever their class: scores (m, 80), best (m,), boxes."""
        g = self.g
        first = self.ints(name + ".batch", [0])
        rows = g.node("Squeeze", [scores, first], name + ".all")
        boxes = g.node("Squeeze", [boxes, first], name + ".places")
        high = g.node("ReduceMax", [rows, self.ints(name + ".axis", [1])], name + ".high",
                      keepdims=0)  # fmt: skip
        most = [self.ints(name + ".most", [ANCHORS]), self.side(high, 0, name + ".n")]
        count = g.node("Min", most, name + ".count")
        g.nodes("TopK", [high, count], [name + ".best", name + ".index"])
        return {
            "best": name + ".best",
            "scores": g.node("Gather", [rows, name + ".index"], name + ".scores", axis=0),
            "boxes": g.node("Gather", [boxes, name + ".index"], name + ".boxes", axis=0),
        }

    def suppressed(
        self, boxes: str, scores: str, most: int, least: float, overlap: float, name: str
    ) -> str:
        """Indices (n,) of the boxes left by non-maximum suppression, best first."""
        g = self.g
        inputs = [
            g.node("Unsqueeze", [boxes, self.ints(name + ".batch", [0])], name + ".boxes"),
            g.node("Unsqueeze", [scores, self.ints(name + ".axes", [0, 1])], name + ".scores"),
            self.ints(name + ".limit", [most]), self.floats(name + ".overlap", [overlap]),
            self.floats(name + ".score", [least]),
        ]  # fmt: skip
        chosen = g.node("NonMaxSuppression", inputs, name)  # (n, 3): batch, class, index
        column = self.slice(chosen, 2, 3, 1, name + ".column")
        return self.reshape(column, [-1], name + ".chosen")

    def agreement(self, here: str, there: str, name: str) -> str:
        """(n, m): 1 where two boxes overlap enough to be of one thing."""
        g = self.g
        row, column = self.ints(name + ".row", [1]), self.ints(name + ".column", [0])
        a = g.node("Unsqueeze", [here, row], name + ".a")  # (n, 1, 4)
        b = g.node("Unsqueeze", [there, column], name + ".b")  # (1, m, 4)
        low = g.node("Max", [self.slice(a, 0, 2, 2, name + ".a1"),
                             self.slice(b, 0, 2, 2, name + ".b1")], name + ".low")  # fmt: skip
        high = g.node("Min", [self.slice(a, 2, 4, 2, name + ".a2"),
                              self.slice(b, 2, 4, 2, name + ".b2")], name + ".high")  # fmt: skip

        def area(low: str, high: str, of: str) -> str:
            sides = g.node("Relu", [g.node("Sub", [high, low], of + ".free")], of + ".sides")
            return g.node("ReduceProd", [sides, self.ints(of + ".axis", [2])], of, keepdims=0)

        shared = area(low, high, name + ".shared")  # (n, m)
        areas = [area(f"{name}.{k}1", f"{name}.{k}2", f"{name}.{k}.area") for k in "ab"]
        either = g.node("Sub", [g.node("Add", areas, name + ".both"), shared], name + ".either")
        least = g.node("Mul", [either, self.floats(name + ".least", AGREES)], name + ".needed")
        # Not where both are empty: neither says anything.
        return g.node("Cast", [g.node("Greater", [shared, least], name + ".bool")], name, to=1)

    def mean_boxes(self, agree: list[str], best: list[dict[str, str]]) -> str:
        """(n, 4): each look's best anchor of the candidate's class, by its squared score."""
        g = self.g
        kind = self.reshape("vote.kind", [-1], "vote.kinds")
        boxes, weights = [], []
        for i, b in enumerate(best):
            mine = g.node("Gather", [b["scores"], kind], f"mean{i}.columns", axis=1)  # (m, n)
            mine = g.node("Transpose", [mine], f"mean{i}.rows", perm=[1, 0])
            heard = g.node("Mul", [mine, agree[i]], f"mean{i}.heard")  # (n, m)
            names = [f"mean{i}.score", f"mean{i}.anchor"]
            g.nodes("TopK", [heard, self.ints(f"mean{i}.one", [1])], names, axis=1)
            anchor = self.reshape(names[1], [-1], f"mean{i}.index")
            weight = g.node("Mul", [names[0], names[0]], f"mean{i}.weight")  # (n, 1)
            box = g.node("Gather", [b["boxes"], anchor], f"mean{i}.box", axis=0)
            boxes.append(g.node("Mul", [box, weight], f"mean{i}.part"))
            weights.append(weight)
        total = g.node("Sum", weights, "mean.total")
        total = g.node("Max", [total, self.floats("mean.least", 1e-12)], "mean.safe")
        return g.node("Div", [g.node("Sum", boxes, "mean.sum"), total], "mean.boxes")
