"""The encoder's graph: pixels in, embeddings out; once per picture.

pixels (1, 3, S, S) -> patches (1, g, g, W) -> layers, most of which attend within windows
-> neck -> embeddings (1, C, g, g).

Source: transformers, models/sam/modeling_sam.py (SamVisionEncoder); arXiv:2304.02643, appendix A.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kosmoscope.model.graph import CONTRIB, GraphWriter
from kosmoscope.model.quantization import Float, Precision, smooth
from kosmoscope.segment.sam.config import SamConfig
from kosmoscope.segment.sam.tensors import VISION, SamCheckpoint

_NECK_EPS = 1e-6
"""Fixed in the reference, whatever config.json says."""


def write_encoder(path: Path, config: SamConfig, source: SamCheckpoint, kind: Precision) -> None:
    """Write the graph and its weights to `path` and beside it.

    Inputs: pixels float32 (1, 3, S, S), normalised and padded. Outputs: embeddings float32
    (1, C, g, g).
    """
    with GraphWriter(path) as g:
        _Encoder(g, config, source, kind).write()


class _Encoder:
    def __init__(
        self, g: GraphWriter, config: SamConfig, source: SamCheckpoint, kind: Precision
    ) -> None:
        self.g, self.e, self.source, self.kind = g, config.encoder, source, kind
        self._made: set[str] = set()

    def write(self) -> None:
        g, e = self.g, self.e
        pixels = g.input("pixels", [1, 3, e.image_size, e.image_size])
        weight, bias = self.source.pair(VISION + "patch_embed.projection")
        x = g.node(
            "Conv", [pixels, g.weight("patch.weight", weight), g.weight("patch.bias", bias)],
            "patches", kernel_shape=[e.patch_size] * 2, strides=[e.patch_size] * 2,
        )  # fmt: skip
        x = g.node("Transpose", [x], "encoder.0", perm=[0, 2, 3, 1])  # (1, g, g, W)
        if e.absolute:
            table = g.weight("positions", self.source.tensor(VISION + "pos_embed"))
            x = g.node("Add", [x, table], "encoder.0.placed")
        for i in range(e.layers):
            x = self.layer(i, x)
        self.neck(x)

    def layer(self, i: int, x: str) -> str:
        """(1, g, g, W) -> the same."""
        g, source, name = self.g, f"{VISION}layers.{i}.", f"encoder.{i + 1}"
        out = self.attention(i, x, name + ".attn")
        x = g.node("Add", [x, out], name + ".mid")
        lin1, lin1_bias = self.source.pair(source + "mlp.lin1")
        h, lin1 = self.fed_by_norm(x, source + "layer_norm2", lin1, name + ".mlp.norm")
        h = self.reshape(h, [-1, self.e.width], name + ".mlp.rows")
        h = g.linear(h, lin1, lin1_bias, self.kind, name + ".lin1", "cells")
        h = g.node("Gelu", [h], name + ".act")
        lin2 = self.source.pair(source + "mlp.lin2")
        h = g.linear(h, *lin2, self.kind, name + ".lin2", "cells")
        h = self.reshape(h, [1, self.e.grid, self.e.grid, self.e.width], name + ".mlp")
        return g.node("Add", [x, h], name)

    def attention(self, i: int, x: str, name: str) -> str:
        g, e = self.g, self.e
        source, side, heads = f"{VISION}layers.{i}.", e.window_of(i), e.heads
        tokens, inner = side * side, e.head_width
        weight = self.source.tensor(source + "attn.qkv.weight")
        if e.qkv_bias:
            bias = self.source.tensor(source + "attn.qkv.bias")
        else:
            bias = np.zeros(3 * e.width, np.float32)
        h, weight = self.fed_by_norm(x, source + "layer_norm1", weight, name + ".norm")
        windows = -(-e.grid // side)  # along a side
        apart = side != e.grid
        rows = "window" if apart else "cells"
        if apart:
            h = self.partition(h, windows, side, name)
        h = self.reshape(h, [-1, e.width], name + ".rows")
        qkv = g.linear(h, weight, bias, self.kind, name + ".qkv", rows)
        qkv = self.reshape(qkv, [windows * windows, tokens, 3 * e.width], name + ".tokens")
        parts = [f"{name}.{p}" for p in "qkv"]
        g.nodes("Split", [qkv], parts, axis=-1, num_outputs=3)
        q, k, v = parts
        if e.relative:
            q, k = self.with_positions(q, k, i, windows, name)
        scale = inner**-0.5
        x = g.node("MultiHeadAttention", [q, k, v], name + ".attended", CONTRIB,
                   num_heads=heads, scale=scale)  # fmt: skip
        out = self.source.pair(source + "attn.proj")
        x = self.reshape(x, [-1, heads * inner], name + ".attended.rows")
        x = g.linear(x, *out, self.kind, name + ".proj", rows)
        if apart:
            return self.unpartition(x, windows, side, name)
        return self.reshape(x, [1, side, side, e.width], name)

    def with_positions(self, q: str, k: str, i: int, windows: int, name: str) -> tuple[str, str]:
        """Let the dot product of queries and keys contain the relative positions.

        The reference adds to the score of query (y, x) and key (v, u) what its tables say:
        ``q . row(y - v) + q . column(x - u)``. Here those products, one for each v and each u, are
        further channels of the query, and the keys' further channels are 1 at their v and u. The
        sum is the same, and the scores of 4,096 x 4,096 pairs need never be held at once.
        """
        g, e = self.g, self.e
        side, heads, inner = e.window_of(i), e.heads, e.head_width
        tokens, count = side * side, windows * windows
        steps = np.arange(side)[:, None] - np.arange(side)[None] + side - 1  # (query, key)
        added = []
        for axis in "hw":
            table = self.source.tensor(f"{VISION}layers.{i}.attn.rel_pos_{axis}")
            # Divided by what the attention multiplies all channels with: only q . k is scaled.
            table = table[steps].transpose(0, 2, 1) * np.float32(inner**0.5)
            # axis h: a matrix for each row of queries (y): (count, y, x * heads, inner) @
            # (y, inner, v); axis w: one for each column: (count * y, x, heads, inner) @
            # (x, inner, u).
            lead = [count, side, side * heads] if axis == "h" else [count * side, side, heads]
            rows = self.reshape(q, [*lead, inner], f"{name}.q.{axis}")
            matrices = g.weight(f"{name}.rel.{axis}", np.ascontiguousarray(table))
            found = g.node("MatMul", [rows, matrices], f"{name}.rel.{axis}.products")
            added.append(self.reshape(found, [count, tokens, heads, side], f"{name}.rel.{axis}.q"))
        wide = heads * (inner + 2 * side)
        q4 = self.reshape(q, [count, tokens, heads, inner], name + ".q.heads")
        q4 = g.node("Concat", [q4, *added], name + ".q.placed", axis=-1)
        places = np.zeros((side, side, 1, 2 * side), np.float32)
        for at in range(side):
            places[at, :, :, at] = 1
            places[:, at, :, side + at] = 1
        places = np.broadcast_to(places, (side, side, heads, 2 * side))
        ones = self.shared(f"places.{side}", places.reshape(1, tokens, heads, 2 * side))
        if count > 1:
            ones = self.expanded(ones, [count, 1, 1, 1], f"places.{side}.{count}")
        k4 = self.reshape(k, [count, tokens, heads, inner], name + ".k.heads")
        k4 = g.node("Concat", [k4, ones], name + ".k.placed", axis=-1)
        return (
            self.reshape(q4, [count, tokens, wide], name + ".q.all"),
            self.reshape(k4, [count, tokens, wide], name + ".k.all"),
        )

    def partition(self, x: str, windows: int, side: int, name: str) -> str:
        """(1, g, g, W) -> (windows, windows, side, side, W); more is zeros."""
        g, e = self.g, self.e
        more = windows * side - e.grid
        if more:
            pads = self.shared(f"pads.{more}", np.array([0, 0, 0, 0, 0, more, more, 0]))
            x = g.node("Pad", [x, pads], name + ".framed")
        x = self.reshape(x, [windows, side, windows, side, e.width], name + ".split")
        return g.node("Transpose", [x], name + ".windows", perm=[0, 2, 1, 3, 4])

    def unpartition(self, x: str, windows: int, side: int, name: str) -> str:
        g, e = self.g, self.e
        whole = windows * side
        x = self.reshape(x, [windows, windows, side, side, e.width], name + ".apart")
        x = g.node("Transpose", [x], name + ".joined", perm=[0, 2, 1, 3, 4])
        x = self.reshape(x, [1, whole, whole, e.width], name + ".framed.out")
        if whole == e.grid:
            return x
        limits = [
            self.shared("crop.start", np.array([0, 0])),
            self.shared("crop.end", np.array([e.grid, e.grid])),
            self.shared("crop.axes", np.array([1, 2])),
        ]
        return g.node("Slice", [x, *limits], name + ".cropped")

    def neck(self, x: str) -> None:
        g, e = self.g, self.e
        kernel = self.source.tensor(VISION + "neck.conv1.weight")[:, :, 0, 0]
        nothing = np.zeros(e.channels_out, np.float32)
        x = g.linear(x, kernel, nothing, "fp32", "neck.1")  # a 1x1 convolution
        x = g.norm(x, *self.source.pair(VISION + "neck.layer_norm1"), _NECK_EPS, "neck.1.norm")
        x = g.node("Transpose", [x], "neck.1.planes", perm=[0, 3, 1, 2])
        kernel = self.source.tensor(VISION + "neck.conv2.weight")
        x = g.node("Conv", [x, g.weight("neck.2.weight", kernel)], "neck.2",
                   kernel_shape=[3, 3], pads=[1, 1, 1, 1])  # fmt: skip
        x = g.node("Transpose", [x], "neck.2.cells", perm=[0, 2, 3, 1])
        x = g.norm(x, *self.source.pair(VISION + "neck.layer_norm2"), _NECK_EPS, "neck.2.norm")
        g.node("Transpose", [x], "embeddings", perm=[0, 3, 1, 2])
        g.output("embeddings", [1, e.channels_out, e.grid, e.grid])

    def fed_by_norm(self, x: str, norm: str, weight: Float, name: str) -> tuple[str, Float]:
        """Add the norm; where numbers get rounded, even out its channels first."""
        gain, shift = self.source.pair(norm)
        if self.kind != "fp32":
            gain, shift, (weight,) = smooth(gain, shift, [weight])
        return self.g.norm(x, gain, shift, self.e.eps, name), weight

    # --- small things -----------------------------------------------------------------------

    def reshape(self, x: str, shape: list[int], name: str) -> str:
        wanted = self.shared("shape." + "x".join(map(str, shape)), np.array(shape, np.int64))
        return self.g.node("Reshape", [x, wanted], name)

    def expanded(self, x: str, shape: list[int], name: str) -> str:
        if name not in self._made:
            sizes = self.g.weight(name + ".shape", np.array(shape, np.int64))
            self._made.add(self.g.node("Expand", [x, sizes], name))
        return name

    def shared(self, name: str, value: np.ndarray) -> str:
        """Store a constant that several layers use once."""
        if name not in self._made:
            self._made.add(self.g.weight(name, value))
        return name
