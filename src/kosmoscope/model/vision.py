"""The vision graph: pixels in, image embeddings out.

pixels (1, 3, S, S) -> CLIP's vision transformer over P + 1 tokens of width W -> L2-normalised
features (P + 1, W) -> resampler -> image embeddings (latents, D), the decoder's width. One picture
at a time: its 257 rows keep the arithmetic as busy as those of eight (docs/engine.md).

Source: transformers, models/kosmos2/modeling_kosmos2.py (Kosmos2VisionTransformer,
Kosmos2ImageToTextProjection); the resampler's single cross-attention has neither norm nor mask.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kosmoscope.model.checkpoint import RESAMPLER, VISION, Checkpoint
from kosmoscope.model.config import DetectorVisionConfig, ModelConfig, VisionConfig
from kosmoscope.model.detector import Tower
from kosmoscope.model.graph import GraphWriter
from kosmoscope.model.layers import Layers, attention
from kosmoscope.model.quantization import Float, Precision

_HIDDEN = -1e9
"""Added to the score of what must not be seen."""


def write_vision(path: Path, config: ModelConfig, source: Checkpoint, kind: Precision) -> None:
    """Write the graph and its weights to `path` and beside it.

    Inputs: pixels float32 (1, 3, S, S). Outputs: embeddings float32 (latents, D); of a tower whose
    detector's classes have names also candidates float32 (K, classes + 4), scores and box.
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
        v = config.vision
        self.layers = Layers(g, source, kind, v.heads, v.eps, v.activation)

    def tensor(self, name: str) -> Float:
        return self.source.tensor(name)

    def pair(self, name: str) -> tuple[Float, Float]:
        return self.layers.pair(name)

    def tower(self) -> str:
        v = self.config.vision
        return self.detector(v) if isinstance(v, DetectorVisionConfig) else self.clip(v)

    def detector(self, v: DetectorVisionConfig) -> str:
        x = Tower(self.g, v, self.source, VISION).tokens()
        for i in range(v.layers):
            x = self.layers.layer(f"{VISION}encoder.layers.{i}.", x, f"vision.{i + 1}")
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
            x = self.layers.layer(f"{VISION}encoder.layers.{i}.", x, f"vision.{i + 1}")
        x = g.norm(x, *self.pair(VISION + "post_layernorm"), v.eps, "vision.normed")
        return g.node("LpNormalization", [x], "features", axis=-1, p=2)

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
        attended = attention(g, both, t.heads, "resampler.attended", hidden)
        out = self.pair(RESAMPLER + "x_attn.out_proj")
        g.linear(attended, *out, self.kind, "embeddings", rows="latents")
        g.output("embeddings", [self.config.latents, t.width])

    def later(self) -> Float:
        """(latents, tokens + latents): what hides from latent i all but the first i + 1 rows."""
        v, count = self.config.vision, self.config.latents
        assert isinstance(v, DetectorVisionConfig)
        latent, row = np.ogrid[:count, : v.tokens + count]
        return np.where(row <= latent, 0, _HIDDEN).astype(np.float32)
