"""The decoder graph and the head.

The decoder reads S rows of one packed sequence at a time. Which earlier positions a row may see is
told by `bias`, so that one pass can serve any mix of prompts, questions about one picture, beams
and forced tokens: a batch is one sequence with a mask (see `kosmoscope.engine`). Keys and values
lie in buffers of fixed capacity that the graph reads and extends in place.

Source: transformers, models/kosmos2/modeling_kosmos2.py (Kosmos2TextTransformer; Magneto's
sub-layer norms, arXiv:2210.06423).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kosmoscope.model.checkpoint import TEXT, Checkpoint, head_name
from kosmoscope.model.config import ModelConfig
from kosmoscope.model.graph import CONTRIB, INT32, INT64, GraphWriter
from kosmoscope.model.quantization import (
    Float,
    Precision,
    columns_of,
    smooth,
    smoothing,
)
from kosmoscope.tokens import TokenSet

_HEAD_ROWS = 4096


def write_decoder(
    path: Path, config: ModelConfig, source: Checkpoint, kind: Precision, evened: Float
) -> None:
    """Write the graph and its weights to `path` and beside it.

    Args:
        path: the graph's file.
        config, source: the checkpoint.
        kind: of the linear layers.
        evened: `head_smoothing`, which the hidden states come divided by.

    Inputs: x float32 (S, D), embedded rows; rows int64 (S,) = 0..S-1; attending int64 (A,), the
    same, or 0, 0 for a single row; wanted int64 (n,), which rows to return; bias float32 (1, 1,
    A, T), 0 where a row may see a position and very negative where not, T = past + A; last int32
    (1,) = T - 1; total int32 (1,) = T; key.i and value.i float32 (1, heads, capacity, D / heads).
    Outputs: hidden float32 (n, D) after the last norm; new_key.i and new_value.i, to be bound to
    the same buffers.
    """
    with GraphWriter(path) as g:
        _Decoder(g, config, source, kind).write(evened)


class _Decoder:
    def __init__(
        self, g: GraphWriter, config: ModelConfig, source: Checkpoint, kind: Precision
    ) -> None:
        self.g, self.t, self.source, self.kind = g, config.text, source, kind

    def pair(self, name: str) -> tuple[Float, Float]:
        return self.source.tensor(name + ".weight"), self.source.tensor(name + ".bias")

    def write(self, evened: Float) -> None:
        g, t = self.g, self.t
        x = g.input("x", ["row_count", t.width])
        g.input("rows", ["row_count"], INT64)
        g.input("wanted", ["wanted_count"], INT64)
        g.input("attending", ["attending_count"], INT64)
        g.input("bias", [1, 1, "attending_count", "total_positions"])
        g.input("last", [1], INT32)
        g.input("total", [1], INT32)
        for i in range(t.layers):
            x = self.layer(i, x)
        gain, shift = self.pair(TEXT + "layer_norm")
        g.norm(x, gain / evened, shift / evened, t.eps, "hidden")
        g.output("hidden", ["wanted_count", t.width])

    def layer(self, i: int, x: str) -> str:
        g, t = self.g, self.t
        source, name = f"{TEXT}layers.{i}.", f"layer.{i}"
        first = g.once("axis.first", np.array([0]))
        buffers: list[int | str] = [1, t.heads, "capacity", t.head_width]
        g.input(f"key.{i}", buffers)
        g.input(f"value.{i}", buffers)

        parts = [self.pair(f"{source}self_attn.{p}_proj") for p in "qkv"]
        weight = np.concatenate([w for w, _ in parts])
        bias = np.concatenate([b for _, b in parts])
        h, weight = self.fed_by_norm(x, source + "self_attn_layer_norm", weight, name + ".attn")
        qkv = g.linear(h, weight, bias, self.kind, name + ".qkv")  # (S, 3 D)
        # A single row may attend twice: see `kosmoscope.engine.pack.Pack`.
        qkv = g.node("Gather", [qkv, "attending"], name + ".attending", axis=0)
        qkv = g.node("Unsqueeze", [qkv, first], name + ".sequence")  # (1, A, 3 D)
        g.nodes(
            "GroupQueryAttention",
            [qkv, "", "", f"key.{i}", f"value.{i}", "last", "total", "", "", "", "bias"],
            [name + ".attended.sequence", f"new_key.{i}", f"new_value.{i}"],
            CONTRIB,
            num_heads=t.heads,
            kv_num_heads=t.heads,
            do_rotary=0,
        )
        g.output(f"new_key.{i}", buffers)
        g.output(f"new_value.{i}", buffers)
        attended = g.node("Squeeze", [name + ".attended.sequence", first], name + ".attended.all")
        rows = "rows"
        if i == t.layers - 1:
            # Nothing attends to what the last layer makes of a row: only the wanted ones go on.
            rows = "wanted"
            x = g.node("Gather", [x, rows], name + ".wanted", axis=0)
        attended = g.node("Gather", [attended, rows], name + ".attended", axis=0)
        out, out_bias = self.pair(source + "self_attn.out_proj")
        h, out = self.fed_by_norm(
            attended, source + "self_attn.inner_attn_ln", out, name + ".inner"
        )
        h = g.linear(h, out, out_bias, self.kind, name + ".o", rows)
        x = g.node("Add", [x, h], name + ".mid")

        fc1, fc1_bias = self.pair(source + "ffn.fc1")
        h, fc1 = self.fed_by_norm(x, source + "final_layer_norm", fc1, name + ".ffn")
        h = g.linear(h, fc1, fc1_bias, self.kind, name + ".fc1", rows)
        h = g.activation(t.activation, h, name + ".act")
        fc2, fc2_bias = self.pair(source + "ffn.fc2")
        h, fc2 = self.fed_by_norm(h, source + "ffn.ffn_layernorm", fc2, name + ".ffn_inner")
        h = g.linear(h, fc2, fc2_bias, self.kind, name + ".fc2", rows)
        return g.node("Add", [x, h], name)

    def fed_by_norm(self, x: str, norm: str, weight: Float, name: str) -> tuple[str, Float]:
        """Add the norm; where numbers get rounded, even out its channels first."""
        gain, shift = self.pair(norm)
        if self.kind != "fp32":
            gain, shift, (weight,) = smooth(gain, shift, [weight])
        return self.g.norm(x, gain, shift, self.t.eps, name), weight


def head_rows(config: ModelConfig, source: Checkpoint) -> Iterator[Float]:
    """Yield the head's matrix (vocabulary, D) in blocks of rows."""
    name = head_name(config)
    for start in range(0, config.text.vocab_size, _HEAD_ROWS):
        yield source.rows(name, start, min(start + _HEAD_ROWS, config.text.vocab_size))


def head_smoothing(config: ModelConfig, source: Checkpoint, kind: Precision) -> Float:
    """Return what the hidden states are divided by and the head's columns multiplied with, (D,).

    Ones at fp32; elsewhere it evens out the channels of the last norm (see `smooth`).
    """
    gain, shift = (source.tensor(f"{TEXT}layer_norm.{part}") for part in ("weight", "bias"))
    if kind == "fp32":
        return np.ones_like(gain)
    reach = np.max([np.abs(rows).max(0) for rows in head_rows(config, source)], axis=0)
    return smoothing(gain, shift, reach)


def write_head(
    path: Path, config: ModelConfig, source: Checkpoint, kind: Precision, evened: Float
) -> None:
    """Write the head's graph: hidden float32 (R, D) -> logits float32 (R, vocabulary)."""
    t = config.text
    with GraphWriter(path) as g:
        hidden = g.input("hidden", ["rows", t.width])
        rows = (block * evened for block in head_rows(config, source))
        if kind == "fp32":
            weight = g.weight_rows("head.weight", (t.vocab_size, t.width), rows)
            g.node("Gemm", [hidden, weight], "logits", transB=1)
        else:
            g.row_scaled(hidden, columns_of(rows), "logits")
        g.output("logits", ["rows", t.vocab_size])


def write_structure(
    path: Path, config: ModelConfig, tokens: TokenSet, source: Checkpoint, evened: Float
) -> None:
    """Write the head's rows for all that can follow ``<object>``, exact at every precision.

    hidden float32 (R, D) -> logits float32 (R, locations + 2): the location tokens, ``</object>``,
    the delimiter. A graph and not a product in NumPy, whose own threads would fight the runtime's
    (measured: 8 ms in place of 0.1).
    """
    name, width = head_name(config), config.text.width
    first, stop = tokens.first_location, tokens.first_location + tokens.location_count
    rows = [source.rows(name, first, stop)]
    rows += [source.rows(name, i, i + 1) for i in (tokens.object_close, tokens.delimiter)]
    with GraphWriter(path) as g:
        hidden = g.input("hidden", ["rows", width])
        weight = g.weight("structure.weight", np.concatenate(rows) * evened)
        g.node("Gemm", [hidden, weight], "logits", transB=1)
        g.output("logits", ["rows", tokens.location_count + 2])
