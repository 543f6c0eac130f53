"""The two graphs: pixels to a vector, and a text's tokens to a vector in the same space.

CLIP's picture is what its class token has gathered, its text what the last token has, each behind a
projection. SigLIP's picture is what one learned query finds among all patches, its text the last of
all positions, padding or not, behind a linear layer. All vectors leave with length 1.

Source: transformers, models/clip/modeling_clip.py, models/siglip/modeling_siglip.py;
arXiv:2103.00020 and arXiv:2303.15343.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kosmoscope.dual.config import DualConfig, TowerConfig
from kosmoscope.dual.tensors import TEXT, VISION, DualCheckpoint
from kosmoscope.errors import CheckpointError
from kosmoscope.model.graph import FLOAT, INT64, GraphWriter
from kosmoscope.model.layers import Layers, attention
from kosmoscope.model.quantization import Precision

_ROWS = 4096
"""Of the tokens' table, read at a time."""


def write_vision(path: Path, config: DualConfig, source: DualCheckpoint, kind: Precision) -> None:
    """Write the graph of the tower for pictures to `path`, and its weights beside it.

    Inputs: pixels float32 (1, 3, S, S), normalised. Outputs: vector float32 (D,), of length 1.
    """
    with GraphWriter(path) as g:
        tower = _Tower(g, config, source, kind, config.vision)
        patches = tower.patches()
        if config.family == "clip":
            tower.class_token(patches)
        else:
            tower.pooled(patches)


def write_text(path: Path, config: DualConfig, source: DualCheckpoint, kind: Precision) -> None:
    """Write the graph of the tower for texts to `path`, and its weights beside it.

    Inputs: ids int64 (1, N): for CLIP N is what the text has, up to T, and the last is the token
    that ends it; for SigLIP N is T. Outputs: vector float32 (D,), of length 1.
    """
    with GraphWriter(path) as g:
        _Tower(g, config, source, kind, config.text).text()


class _Tower:
    def __init__(
        self,
        g: GraphWriter,
        config: DualConfig,
        source: DualCheckpoint,
        kind: Precision,
        tower: TowerConfig,
    ) -> None:
        self.g, self.config, self.source, self.kind, self.tower = g, config, source, kind, tower
        causal = config.family == "clip" and tower is config.text
        self.layers = Layers(g, source, kind, tower.heads, tower.eps, tower.activation, causal)

    def patches(self) -> str:
        """Pixels -> a row for each patch (P, W)."""
        g, v = self.g, self.config.vision
        parts = [
            g.input("pixels", [1, 3, v.image_size, v.image_size]),
            self.weight(VISION + "embeddings.patch_embedding.weight", "patch.weight"),
        ]
        if self.config.family == "siglip":
            parts.append(self.weight(VISION + "embeddings.patch_embedding.bias", "patch.bias"))
        seen = g.node(
            "Conv", parts, "patches",
            kernel_shape=[v.patch_size] * 2, strides=[v.patch_size] * 2,
        )  # fmt: skip
        shape = g.weight("patches.shape", np.array([v.width, -1]))
        flat = g.node("Reshape", [seen, shape], "patches.flat")  # (1, W, rows, columns) -> (W, P)
        return g.node("Transpose", [flat], "patches.rows", perm=[1, 0])

    def class_token(self, patches: str) -> None:
        """CLIP: (P, W) -> vector."""
        g, v = self.g, self.config.vision
        token = self.source.tensor(VISION + "embeddings.class_embedding").reshape(1, -1)
        x = g.node("Concat", [g.weight("class", token), patches], "tokens", axis=0)  # (P + 1, W)
        table = self.weight(VISION + "embeddings.position_embedding.weight", "positions")
        x = g.node("Add", [x, table], "tokens.placed")
        x = g.norm(x, *self.layers.pair(VISION + "pre_layrnorm"), v.eps, "vision.0")
        x = self.all_layers(x, VISION, "vision")
        x = self.row(x, 0, "seen")
        x = g.norm(x, *self.layers.pair(VISION + "post_layernorm"), v.eps, "seen.normed")
        projection = self.source.tensor("visual_projection.weight")
        self.vector(g.linear(x, projection, None, "fp32", "projected"))

    def pooled(self, patches: str) -> None:
        """SigLIP: (P, W) -> vector."""
        g, v, head = self.g, self.config.vision, VISION + "head."
        table = self.weight(VISION + "embeddings.position_embedding.weight", "positions")
        x = g.node("Add", [patches, table], "vision.0")
        x = self.all_layers(x, VISION, "vision")
        weights = self.source.tensor(head + "attention.in_proj_weight")
        biases = self.source.tensor(head + "attention.in_proj_bias")
        # What the learned query is projected to is the same for every picture.
        probe = self.source.tensor(head + "probe").reshape(1, -1)
        query = probe @ weights[: v.width].T + biases[: v.width]
        x, seen = self.layers.fed_by_norm(
            x, VISION + "post_layernorm", weights[v.width :], "vision.normed"
        )
        both = g.linear(x, seen, biases[v.width :], self.kind, "pool.kv")  # (P, 2 W)
        g.nodes("Split", [both], ["pool.k", "pool.v"], axis=-1, num_outputs=2)
        parts = [g.weight("pool.q", query), "pool.k", "pool.v"]
        x = attention(g, parts, v.heads, "pool.attended")  # (1, W)
        out = self.layers.pair(head + "attention.out_proj")
        x = g.linear(x, *out, self.kind, "pool.o", "one")
        self.vector(self.layers.perceptron(x, head + "layernorm", head + "mlp", "pooled", "one"))

    def text(self) -> None:
        g, t = self.g, self.config.text
        clip = self.config.family == "clip"
        ids = g.input("ids", [1, "N" if clip else t.positions], INT64)
        x = g.node("Gather", [self.table(), ids], "tokens.found", axis=0)  # (1, N, W)
        if self.kind != "fp32":
            x = g.node("Cast", [x], "tokens.float", to=FLOAT)
        x = g.node("Squeeze", [x, g.once("axis.first", np.array([0]))], "tokens")
        places = self.weight(TEXT + "embeddings.position_embedding.weight", "positions")
        if clip:
            shape = g.node("Shape", [ids], "ids.count", start=1)
            begin = g.once("axis.first", np.array([0]))
            places = g.node("Slice", [places, begin, shape], "positions.first")
        x = g.node("Add", [x, places], "text.0")
        x = self.all_layers(x, TEXT, "text")
        x = self.row(x, -1, "read")
        x = g.norm(x, *self.layers.pair(TEXT + "final_layer_norm"), t.eps, "read.normed")
        if clip:
            weight, bias = self.source.tensor("text_projection.weight"), None
        else:
            weight, bias = self.layers.pair(TEXT + "head")
        self.vector(g.linear(x, weight, bias, "fp32", "projected"))

    def all_layers(self, x: str, part: str, name: str) -> str:
        for i in range(self.tower.layers):
            x = self.layers.layer(f"{part}encoder.layers.{i}.", x, f"{name}.{i + 1}")
        return x

    def table(self) -> str:
        """The tokens' embeddings (V, W): half the bytes where numbers get rounded anyway."""
        t, name = self.config.text, TEXT + "embeddings.token_embedding.weight"
        dtype = np.dtype(np.float32 if self.kind == "fp32" else np.float16)

        def rows() -> Iterator[Any]:
            for start in range(0, t.vocab_size, _ROWS):
                found = self.source.rows(name, start, min(start + _ROWS, t.vocab_size))
                with np.errstate(over="ignore"):  # told here, with the file's name
                    found = found.astype(dtype)
                if not np.isfinite(found).all():
                    raise CheckpointError(
                        f"{self.source.files[0]}: {name} has values beyond {dtype}"
                    )
                yield found

        return self.g.weight_rows("table", (t.vocab_size, t.width), rows(), dtype)

    def row(self, x: str, which: int, name: str) -> str:
        """Return one row of (R, W), as (1, W)."""
        index = self.g.weight(name + ".row", np.array([which]))
        return self.g.node("Gather", [x, index], name, axis=0)

    def vector(self, x: str) -> None:
        """Give (1, D) length 1 and hand it out."""
        g = self.g
        x = g.node("LpNormalization", [x], "vector.row", axis=-1, p=2)
        g.node("Squeeze", [x, g.once("axis.first", np.array([0]))], "vector")
        g.output("vector", [self.config.dimensions])

    def weight(self, tensor: str, name: str) -> str:
        return self.g.weight(name, self.source.tensor(tensor))
