"""The vision graph: pixels in, image embeddings out.

pixels (1, 3, S, S) -> CLIP's vision transformer over P + 1 tokens of width W -> L2-normalised
features (P + 1, W) -> resampler -> image embeddings (latents, D), the decoder's width. One picture
at a time: its 257 rows keep the arithmetic as busy as those of eight (docs/engine.md).

Source: transformers, models/kosmos2/modeling_kosmos2.py (Kosmos2VisionTransformer,
Kosmos2ImageToTextProjection); the resampler's single cross-attention has neither norm nor mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kosmoscope.model.checkpoint import RESAMPLER, VISION, Checkpoint
from kosmoscope.model.config import DetectorVisionConfig, ModelConfig, VisionConfig
from kosmoscope.model.detector import Tower
from kosmoscope.model.graph import CONTRIB, GraphWriter
from kosmoscope.model.quantization import Float, Precision, smooth

_HIDDEN = -1e9
"""Added to the score of what must not be seen."""


def write_vision(path: Path, config: ModelConfig, source: Checkpoint, kind: Precision) -> None:
    """Write the graph and its weights to `path` and beside it.

    Inputs: pixels float32 (1, 3, S, S). Outputs: embeddings float32 (latents, D).
    """
    with GraphWriter(path) as g:
        builder = _Vision(g, config, source, kind)
        features = builder.tower()
        builder.resampler(features)


class _Vision:
    def __init__(
        self, g: GraphWriter, config: ModelConfig, source: Checkpoint, kind: Precision
    ) -> None:
        self.g, self.config, self.source, self.kind = g, config, source, kind

    def tensor(self, name: str) -> Float:
        return self.source.tensor(name)

    def pair(self, name: str) -> tuple[Float, Float]:
        return self.tensor(name + ".weight"), self.tensor(name + ".bias")

    def tower(self) -> str:
        v = self.config.vision
        return self.detector(v) if isinstance(v, DetectorVisionConfig) else self.clip(v)

    def detector(self, v: DetectorVisionConfig) -> str:
        x = Tower(self.g, v, self.source, VISION).tokens()
        for i in range(v.layers):
            x = self.layer(i, x)
        return self.g.norm(x, *self.pair(VISION + "post_layernorm"), v.eps, "features")

    def clip(self, v: VisionConfig) -> str:
        g = self.g
        side = v.image_size
        pixels = g.input("pixels", [1, v.channels, side, side])
        kernel = g.weight(
            "patch_embedding", self.tensor(VISION + "embeddings.patch_embedding.weight")
        )
        patches = g.node(
            "Conv", [pixels, kernel], "patches",
            kernel_shape=[v.patch_size] * 2, strides=[v.patch_size] * 2,
        )  # fmt: skip
        flat = g.node(  # (1, W, rows, columns) -> (W, P)
            "Reshape", [patches, g.weight("flat_shape", np.array([v.width, -1]))], "patches.flat"
        )
        tokens = g.node("Transpose", [flat], "patches.tokens", perm=[1, 0])  # (P, W)
        class_token = self.tensor(VISION + "embeddings.class_embedding").reshape(1, -1)
        class_row = g.weight("class_embedding", class_token)
        x = g.node("Concat", [class_row, tokens], "tokens", axis=0)  # (P + 1, W)
        positions = self.tensor(VISION + "embeddings.position_embedding.weight")
        x = g.node("Add", [x, g.weight("positions", positions)], "tokens.placed")
        x = g.norm(x, *self.pair(VISION + "pre_layrnorm"), v.eps, "vision.0")
        for i in range(v.layers):
            x = self.layer(i, x)
        x = g.norm(x, *self.pair(VISION + "post_layernorm"), v.eps, "vision.normed")
        return g.node("LpNormalization", [x], "features", axis=-1, p=2)

    def layer(self, i: int, x: str) -> str:
        g, v = self.g, self.config.vision
        source, name = f"{VISION}encoder.layers.{i}.", f"vision.{i + 1}"

        parts = [self.pair(f"{source}self_attn.{p}_proj") for p in "qkv"]
        weight = np.concatenate([w for w, _ in parts])
        bias = np.concatenate([b for _, b in parts])
        h, weight = self.fed_by_norm(x, source + "layer_norm1", weight, name + ".attn.norm")
        qkv = g.linear(h, weight, bias, self.kind, name + ".qkv")  # (P + 1, 3 W)
        split = [f"{name}.{p}" for p in "qkv"]
        g.nodes("Split", [qkv], split, axis=-1, num_outputs=3)
        attended = self.attention(split, v.heads, name + ".attended")
        out = g.linear(attended, *self.pair(source + "self_attn.out_proj"), self.kind, name + ".o")
        x = g.node("Add", [x, out], name + ".mid")

        fc1, fc1_bias = self.pair(source + "mlp.fc1")
        h, fc1 = self.fed_by_norm(x, source + "layer_norm2", fc1, name + ".mlp.norm")
        h = g.linear(h, fc1, fc1_bias, self.kind, name + ".fc1")
        h = g.activation(v.activation, h, name + ".act")
        h = g.linear(h, *self.pair(source + "mlp.fc2"), self.kind, name + ".fc2")
        return g.node("Add", [x, h], name)

    def fed_by_norm(self, x: str, norm: str, weight: Float, name: str) -> tuple[str, Float]:
        """Add the norm; where numbers get rounded, even out its channels first."""
        gain, shift = self.pair(norm)
        if self.kind != "fp32":
            gain, shift, (weight,) = smooth(gain, shift, [weight])
        return self.g.norm(x, gain, shift, self.config.vision.eps, name), weight

    def attention(
        self, qkv: Sequence[str], heads: int, name: str, bias: Float | None = None
    ) -> str:
        """Attention of queries to keys and values, each (rows, heads * width) -> the queries'.

        `bias` (queries, keys) is added to the scores.
        """
        g, first = self.g, self.g.once("axis.first", np.array([0]))
        parts = [g.node("Unsqueeze", [x, first], f"{name}.{p}")
                 for p, x in zip("qkv", qkv, strict=True)]  # fmt: skip
        if bias is not None:
            parts += ["", "", g.weight(name + ".bias", bias[None, None])]
        g.node("MultiHeadAttention", parts, name + ".one", CONTRIB, num_heads=heads)
        return g.node("Squeeze", [name + ".one", first], name)

    def resampler(self, features: str) -> None:
        g, t = self.g, self.config.text
        dense = g.linear(features, *self.pair(RESAMPLER + "dense"), self.kind, "resampler.dense")
        latents = self.tensor(RESAMPLER + "latent_query")
        projections = {p: self.pair(f"{RESAMPLER}x_attn.{p}_proj") for p in "qkv"}
        # What the latents contribute is the same for every picture: computed here, once.
        rows = {
            p: g.weight(f"resampler.{p}.latents", latents @ w.T + b)
            for p, (w, b) in projections.items()
        }
        both = [rows["q"]]
        for p in "kv":
            seen = g.linear(dense, *projections[p], self.kind, f"resampler.{p}.seen")
            both.append(g.node("Concat", [seen, rows[p]], f"resampler.{p}", axis=0))
        v = self.config.vision
        causal = isinstance(v, DetectorVisionConfig) and v.causal
        hidden = self.later() if causal else None
        attended = self.attention(both, t.heads, "resampler.attended", hidden)
        out = self.pair(RESAMPLER + "x_attn.out_proj")
        g.linear(attended, *out, self.kind, "embeddings", rows="latents")
        g.output("embeddings", [self.config.latents, t.width])

    def later(self) -> Float:
        """(latents, tokens + latents): what hides from latent i all but the first i + 1 rows."""
        v, count = self.config.vision, self.config.latents
        assert isinstance(v, DetectorVisionConfig)
        latent, row = np.ogrid[:count, : v.tokens + count]
        return np.where(row <= latent, 0, _HIDDEN).astype(np.float32)
