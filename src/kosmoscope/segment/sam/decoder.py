"""The decoder's graph: embeddings and prompts in, masks out; once per question.

Every prompt is a row of tokens: clicks and the two corners of a box, each a place and a kind. A
prompt of clicks alone ends with a token of the kind `NONE`, as the model was trained.

Source: transformers, models/sam/modeling_sam.py (SamPromptEncoder, SamMaskDecoder);
arXiv:2304.02643, appendix A.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kosmoscope.model.graph import INT32, GraphWriter
from kosmoscope.model.quantization import Float
from kosmoscope.segment.sam.config import SamConfig
from kosmoscope.segment.sam.tensors import DECODER, PROMPTS, SamCheckpoint

NEGATIVE, POSITIVE, UPPER_LEFT, LOWER_RIGHT, NONE = range(5)
"""Kinds of prompt tokens; the first four are rows of the checkpoint's `point_embed`."""

_FINAL_EPS = 1e-5
_UPSCALE_EPS = 1e-6
"""Fixed in the reference, whatever config.json says."""


def write_decoder(path: Path, config: SamConfig, source: SamCheckpoint) -> None:
    """Write the graph and its weights to `path` and beside it.

    Inputs: embeddings float32 (1, C, g, g); places float32 (B, N, 2), x and y in pixels of the
    S x S square; kinds int32 (B, N). Outputs: masks float32 (B, M, 4g, 4g), logits; ious float32
    (B, M), the model's estimates of their quality. The single mask comes first.
    """
    with GraphWriter(path) as g:
        _Decoder(g, config, source).write()


class _Decoder:
    def __init__(self, g: GraphWriter, config: SamConfig, source: SamCheckpoint) -> None:
        self.g, self.source = g, source
        self.side, self.grid = config.encoder.image_size, config.encoder.grid
        self.d = config.decoder

    def write(self) -> None:
        g, d = self.g, self.d
        waves = self.source.waves()
        tokens = self.tokens(waves)
        embeddings = g.input("embeddings", [1, d.width, self.grid, self.grid])
        flat = self.reshape(embeddings, [1, d.width, -1], "cells.flat")
        keys = g.node("Transpose", [flat], "cells", perm=[0, 2, 1])  # (1, g^2, C)
        no_mask = self.source.tensor(PROMPTS + "no_mask_embed.weight")[None]
        keys = g.node("Add", [keys, g.weight("no_mask", no_mask)], "keys.0")
        places = g.weight("cells.places", self.cell_places(waves))

        queries = tokens
        for i in range(d.layers):
            queries, keys = self.layer(i, queries, keys, tokens, places)
        q = g.node("Add", [queries, tokens], "final.tokens")
        k = g.node("Add", [keys, places], "final.cells")
        transformer = DECODER + "transformer."
        out = self.attention(transformer + "final_attn_token_to_image", q, k, keys, "final.attn")
        queries = g.node("Add", [queries, out], "final.sum")
        final = self.source.pair(transformer + "layer_norm_final_attn")
        queries = g.norm(queries, *final, _FINAL_EPS, "final")

        self.masks(self.part(queries, 1, 1 + d.masks, "mask_tokens"), keys)
        self.ious(self.part(queries, 0, 1, "iou_token"))

    def tokens(self, waves: Float) -> str:
        """The model's own M + 1 tokens, then the prompts': (B, M + 1 + N, C)."""
        g, d = self.g, self.d
        places = g.input("places", ["prompts", "tokens", 2])
        kinds = g.input("kinds", ["prompts", "tokens"], INT32)
        half = g.weight("half", np.array(0.5, np.float32))
        centred = g.node("Add", [places, half], "places.centred")
        # 2 pi (2 p / S - 1) @ waves, in the reference's order of operations.
        norm = g.node(
            "Div", [centred, g.weight("side", np.array(self.side, np.float32))], "places.norm"
        )
        double = g.node("Mul", [norm, g.weight("two", np.array(2, np.float32))], "places.double")
        signed = g.node("Sub", [double, g.weight("one", np.array(1, np.float32))], "places.signed")
        angles = g.node("MatMul", [signed, g.weight("waves", waves)], "places.waves")
        turn = g.weight("turn", np.array(2 * np.pi, np.float32))
        angles = g.node("Mul", [angles, turn], "places.angles")
        parts = [g.node(op, [angles], f"places.{op.lower()}") for op in ("Sin", "Cos")]
        known = g.node("Concat", parts, "places.known", axis=-1)  # (B, N, C)

        located = g.node("Less", [kinds, g.weight("none", np.array(NONE, np.int32))], "located")
        located = g.node("Unsqueeze", [located, g.weight("last", np.array([-1]))], "located.column")
        zero = g.weight("zero", np.array(0, np.float32))
        known = g.node("Where", [located, known, zero], "places.used")
        rows = [f"point_embed.{i}" for i in range(NONE)] + ["not_a_point_embed"]
        table = np.concatenate([self.source.tensor(f"{PROMPTS}{r}.weight") for r in rows])
        named = g.node("Gather", [g.weight("kinds.table", table), kinds], "kinds.rows", axis=0)
        prompts = g.node("Add", [known, named], "prompts")

        own = [self.source.tensor(f"{DECODER}{n}.weight") for n in ("iou_token", "mask_tokens")]
        constant = g.weight("own.table", np.concatenate(own)[None])
        batch = g.node("Shape", [kinds], "batch", start=0, end=1)
        tail = g.weight("own.shape", np.array([1 + d.masks, d.width]))
        shape = g.node("Concat", [batch, tail], "own.sizes", axis=0)
        constant = g.node("Expand", [constant, shape], "own")
        return g.node("Concat", [constant, prompts], "tokens", axis=1)

    def cell_places(self, waves: Float) -> Float:
        """The cells' centres as waves, (1, g^2, C): the same for every picture."""
        at = (np.arange(self.grid, dtype=np.float32) + np.float32(0.5)) / np.float32(self.grid)
        x, y = np.meshgrid(at, at)
        signed = 2 * np.stack([x, y], -1).reshape(-1, 2) - 1
        angles = np.float32(2 * np.pi) * (signed @ waves)
        return np.concatenate([np.sin(angles), np.cos(angles)], -1)[None].astype(np.float32)

    def layer(self, i: int, queries: str, keys: str, tokens: str, places: str) -> tuple[str, str]:
        g, name = self.g, f"decoder.{i}"
        source = f"{DECODER}transformer.layers.{i}."

        def norm(x: str, k: int, output: str) -> str:
            return g.norm(x, *self.source.pair(f"{source}layer_norm{k}"), self.d.eps, output)

        if i == 0:  # the first layer's queries are the tokens themselves
            x = self.attention(source + "self_attn", queries, queries, queries, name + ".self")
        else:
            q = g.node("Add", [queries, tokens], name + ".self.placed")
            out = self.attention(source + "self_attn", q, q, queries, name + ".self")
            x = g.node("Add", [queries, out], name + ".self.sum")
        x = norm(x, 1, name + ".norm1")

        q = g.node("Add", [x, tokens], name + ".look.tokens")
        k = g.node("Add", [keys, places], name + ".look.cells")
        out = self.attention(source + "cross_attn_token_to_image", q, k, keys, name + ".look")
        x = norm(g.node("Add", [x, out], name + ".look.sum"), 2, name + ".norm2")

        h = self.linear(x, source + "mlp.lin1", name + ".lin1")
        h = g.node("Relu", [h], name + ".act")
        h = self.linear(h, source + "mlp.lin2", name + ".lin2")
        x = norm(g.node("Add", [x, h], name + ".mlp.sum"), 3, name + ".norm3")

        q = g.node("Add", [x, tokens], name + ".tell.tokens")
        out = self.attention(source + "cross_attn_image_to_token", k, q, x, name + ".tell")
        keys = norm(g.node("Add", [keys, out], name + ".tell.sum"), 4, name + ".norm4")
        return x, keys

    def attention(self, source: str, q: str, k: str, v: str, name: str) -> str:
        """(B, L, C), (B, T, C), (B, T, C) -> (B, L, C).

        Written out, because it broadcasts: before the picture's cells have seen a prompt they are
        one row for all prompts.
        """
        g, heads = self.g, self.d.heads
        weight, _ = self.source.pair(source + ".q_proj")
        inner = weight.shape[0] // heads

        def split(x: str, part: str, perm: list[int]) -> str:
            x = self.linear(x, f"{source}.{part}_proj", f"{name}.{part}")
            x = self.reshape(x, [0, 0, heads, inner], f"{name}.{part}.heads")
            return g.node("Transpose", [x], f"{name}.{part}.rows", perm=perm)

        scores = g.node("MatMul", [split(q, "q", [0, 2, 1, 3]), split(k, "k", [0, 2, 3, 1])],
                        name + ".scores")  # fmt: skip
        scale = g.weight(name + ".scale", np.array(inner**-0.5, np.float32))
        scores = g.node("Mul", [scores, scale], name + ".scaled")
        shares = g.node("Softmax", [scores], name + ".shares", axis=-1)
        x = g.node("MatMul", [shares, split(v, "v", [0, 2, 1, 3])], name + ".heads")
        x = g.node("Transpose", [x], name + ".rows", perm=[0, 2, 1, 3])
        x = self.reshape(x, [0, 0, heads * inner], name + ".whole")
        return self.linear(x, source + ".out_proj", name + ".out")

    def ious(self, token: str) -> None:
        g, depth = self.g, self.d.iou_depth
        layers = ["proj_in", *(f"layers.{i}" for i in range(depth - 2)), "proj_out"]
        x = token  # (B, 1, C)
        for i, layer in enumerate(layers):
            x = self.linear(x, f"{DECODER}iou_prediction_head.{layer}", f"iou.{i}")
            if i < depth - 1:
                x = g.node("Relu", [x], f"iou.{i}.act")
        self.reshape(x, [-1, self.d.masks], "ious")
        g.output("ious", ["prompts", self.d.masks])

    def masks(self, tokens: str, keys: str) -> None:
        """Upscale the cells fourfold and multiply them with what each mask's token asks for."""
        g, d = self.g, self.d
        grid = self.grid
        # A 2x2 transposed convolution of stride 2 is a matrix product per cell. The four parts of
        # a cell stay beside each other, channels last, until the masks are put together.
        x = self.upscale(1, keys)  # (B, g^2 * 4, C / 4)
        x = g.norm(
            x, *self.source.pair(DECODER + "upscale_layer_norm"), _UPSCALE_EPS, "upscale.1.norm"
        )
        x = g.node("Gelu", [x], "upscale.1.act")
        x = g.node("Gelu", [self.upscale(2, x)], "upscale.2.act")  # (B, g^2 * 16, C / 8)

        h = g.node("Transpose", [tokens], "hyper.tokens", perm=[1, 0, 2])  # (M, B, C)
        for k, layer in enumerate(("proj_in", "layers.0", "proj_out")):
            pairs = [
                self.source.pair(f"{DECODER}output_hypernetworks_mlps.{m}.{layer}")
                for m in range(d.masks)
            ]
            weights = g.weight(f"hyper.{k}.weight", np.stack([w.T for w, _ in pairs]))
            biases = g.weight(f"hyper.{k}.bias", np.stack([b[None] for _, b in pairs]))
            h = g.node("MatMul", [h, weights], f"hyper.{k}.product")
            h = g.node("Add", [h, biases], f"hyper.{k}")
            if k < 2:
                h = g.node("Relu", [h], f"hyper.{k}.act")
        h = g.node("Transpose", [h], "hyper", perm=[1, 2, 0])  # (B, C / 8, M)
        x = g.node("MatMul", [x, h], "masks.cells")
        x = self.reshape(x, [-1, grid, grid, 2, 2, 2, 2, d.masks], "masks.parts")
        # (B, y, x, y', x', y'', x'', M) -> (B, M, y, y', y'', x, x', x'')
        x = g.node("Transpose", [x], "masks.apart", perm=[0, 7, 1, 3, 5, 2, 4, 6])
        self.reshape(x, [-1, d.masks, 4 * grid, 4 * grid], "masks")
        g.output("masks", ["prompts", d.masks, 4 * grid, 4 * grid])

    def upscale(self, k: int, x: str) -> str:
        kernel, bias = self.source.pair(f"{DECODER}upscale_conv{k}")  # (in, out, 2, 2)
        inputs, outputs = kernel.shape[:2]
        weight = kernel.transpose(2, 3, 1, 0).reshape(4 * outputs, inputs)
        x = self.g.linear(x, weight, np.tile(bias, 4), "fp32", f"upscale.{k}.cells")
        return self.reshape(x, [-1, (4**k) * self.grid**2, outputs], f"upscale.{k}")

    # --- small things -----------------------------------------------------------------------

    def part(self, x: str, start: int, stop: int, name: str) -> str:
        limits = [
            self.g.weight(f"{name}.{key}", np.array([value]))
            for key, value in (("start", start), ("stop", stop), ("axis", 1))
        ]
        return self.g.node("Slice", [x, *limits], name)

    def linear(self, x: str, source: str, name: str) -> str:
        return self.g.linear(x, *self.source.pair(source), "fp32", name)

    def reshape(self, x: str, shape: list[int], name: str) -> str:
        return self.g.node("Reshape", [x, self.g.weight(name + ".shape", np.array(shape))], name)
