"""The layer that CLIP's transformers are made of, and attention as a node.

norm, attention, sum; norm, two linear layers, sum. Kosmos-2's vision tower is made of them, and so
are both towers of CLIP and SigLIP; checkpoints call the tensors alike.

Source: transformers, models/clip/modeling_clip.py (`CLIPEncoderLayer`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kosmoscope.model.graph import CONTRIB, GraphWriter
from kosmoscope.model.quantization import Float, Precision, smooth
from kosmoscope.store.tensors import Tensors


@dataclass(frozen=True, slots=True)
class Layers:
    """Writes layers over one sequence into a graph.

    Args:
        g: the graph.
        source: the checkpoint.
        kind: of the products with weights.
        heads: of the attention.
        eps: of the norms.
        activation: between the two linear layers; see `GraphWriter.activation`.
        causal: a token attends to itself and those before it.
    """

    g: GraphWriter
    source: Tensors
    kind: Precision
    heads: int
    eps: float
    activation: str
    causal: bool = False

    def pair(self, name: str) -> tuple[Float, Float]:
        """Return a layer's weight and bias."""
        return self.source.tensor(name + ".weight"), self.source.tensor(name + ".bias")

    def layer(self, source: str, x: str, name: str) -> str:
        """Add one layer: x (R, W) -> (R, W), called `name`; `source` begins the tensors' names."""
        g = self.g
        parts = [self.pair(f"{source}self_attn.{p}_proj") for p in "qkv"]
        weight = np.concatenate([w for w, _ in parts])
        bias = np.concatenate([b for _, b in parts])
        h, weight = self.fed_by_norm(x, source + "layer_norm1", weight, name + ".attn.norm")
        qkv = g.linear(h, weight, bias, self.kind, name + ".qkv")  # (R, 3 W)
        split = [f"{name}.{p}" for p in "qkv"]
        g.nodes("Split", [qkv], split, axis=-1, num_outputs=3)
        attended = attention(g, split, self.heads, name + ".attended", causal=self.causal)
        out = g.linear(attended, *self.pair(source + "self_attn.out_proj"), self.kind, name + ".o")
        x = g.node("Add", [x, out], name + ".mid")
        return self.perceptron(x, source + "layer_norm2", source + "mlp", name)

    def perceptron(self, x: str, norm: str, mlp: str, name: str, rows: str = "rows") -> str:
        """Add the layer's second half: norm, two linear layers, sum; `rows` as in `linear`."""
        g = self.g
        fc1, fc1_bias = self.pair(mlp + ".fc1")
        h, fc1 = self.fed_by_norm(x, norm, fc1, name + ".mlp.norm")
        h = g.linear(h, fc1, fc1_bias, self.kind, name + ".fc1", rows)
        h = g.activation(self.activation, h, name + ".act")
        h = g.linear(h, *self.pair(mlp + ".fc2"), self.kind, name + ".fc2", rows)
        return g.node("Add", [x, h], name)

    def fed_by_norm(self, x: str, norm: str, weight: Float, name: str) -> tuple[str, Float]:
        """Add the norm; where numbers get rounded, even out its channels first."""
        gain, shift = self.pair(norm)
        if self.kind != "fp32":
            gain, shift, (weight,) = smooth(gain, shift, [weight])
        return self.g.norm(x, gain, shift, self.eps, name), weight


def attention(
    g: GraphWriter,
    qkv: Sequence[str],
    heads: int,
    name: str,
    bias: Float | None = None,
    *,
    causal: bool = False,
) -> str:
    """Attention of queries to keys and values, each (rows, heads * width) -> the queries'.

    `bias` (queries, keys) is added to the scores; `causal`: to oneself and those before.
    """
    first = g.once("axis.first", np.array([0]))
    parts = [g.node("Unsqueeze", [x, first], f"{name}.{p}")
             for p, x in zip("qkv", qkv, strict=True)]  # fmt: skip
    if bias is not None:
        parts += ["", "", g.weight(name + ".bias", bias[None, None])]
    more = {"unidirectional": 1} if causal else {}
    g.node("MultiHeadAttention", parts, name + ".one", CONTRIB, num_heads=heads, **more)
    return g.node("Squeeze", [name + ".one", first], name)
