"""The trained half of the model: from the networks' features to text.

Projections, encoder and resampler's input are written here; the resampler and the decoder are
transformers' own Kosmos-2 modules, so that a checkpoint has their names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Kosmos2Config
from transformers.models.kosmos2.modeling_kosmos2 import (
    Kosmos2ImageToTextProjection,
    Kosmos2TextForCausalLM,
)

from kosmoscope.model.config import DETECTOR_TOWER, NAME_TOKENS, DetectorVisionConfig
from kosmoscope.model.detector.scenery import NAMED
from kosmoscope.model.detector.shapes import (
    CLASSES,
    COARSE,
    DETECTION_FEATURES,
    POOLED,
    REGION_FEATURES,
    WAVES,
    name_features,
)
from recipes.pocket.tokenizer import GRID, LOCATION_COUNT

# The pictures are few: without it the decoder learns them by heart.
_WHOLE_DROPOUT, _GRID_DROPOUT = 0.2, 0.1
_SPELT_WAVES, _COPY_GAIN = 16, 2.0


@dataclass(frozen=True)
class Sizes:
    """Of the decoder and the resampler."""

    width: int = 192
    layers: int = 3
    heads: int = 4
    ffn_width: int = 768
    latents: int = 64
    vocab_size: int = 4096


def waves(boxes: Tensor, there: Tensor) -> Tensor:
    """(..., 4) boxes -> (..., BOX_FEATURES); as in the graph."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    six = torch.stack([x1, y1, x2, y2, x2 - x1, y2 - y1], -1)
    orders = math.pi * torch.arange(1, WAVES + 1, device=boxes.device)
    angles = (boxes[..., None] * orders).flatten(-2)
    return torch.cat([six, angles.cos()], -1) * there


@dataclass(frozen=True)
class Seen:
    """What the frozen networks said of B pictures."""

    detections: Tensor
    """(B, K, 85): shares of the classes, lead, box."""
    region_measures: Tensor
    """(B, R, 2)"""
    region_boxes: Tensor
    """(B, R, 4)"""
    name_shares: Tensor
    """(B, 2, names): what the whole picture may be called, and what its main thing."""
    main_boxes: Tensor
    """(B, 4)"""
    whole: Tensor
    """(B, 1280)"""
    grid: Tensor
    """(B, COARSE, G, G)"""

    def to(self, device: str) -> Seen:
        """The same on a device."""
        return Seen(*(getattr(self, f.name).to(device) for f in fields(self)))

    def features(self) -> tuple[Tensor, Tensor, Tensor]:
        """The rows of detections, regions and names as the graph writes them."""
        shares, lead, boxes = torch.split(self.detections, [CLASSES, 1, 4], -1)
        best = shares.amax(-1, keepdim=True)
        there = (best > 0).float()
        found = torch.cat([shares, best, there, lead * there, waves(boxes, there)], -1)
        sizes = self.region_boxes[..., 2:] - self.region_boxes[..., :2]
        there = (sizes.amin(-1, keepdim=True) > 0).float()
        regions = torch.cat([self.region_measures, there, waves(self.region_boxes, there)], -1)
        likely, order = self.name_shares.topk(NAMED, -1)
        told = torch.zeros_like(self.name_shares).scatter(-1, order, likely)
        boxes = torch.stack([boxes.new_tensor([0, 0, 1, 1]).expand_as(self.main_boxes),
                             self.main_boxes], 1)  # fmt: skip
        there = torch.ones_like(boxes[..., :1])
        names = torch.cat([told, likely[..., :1], there, waves(boxes, there)], -1)
        return found, regions, names


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(width, width), nn.Linear(width, width)
        self.v_proj, self.out_proj = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = [
            p(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for p in (self.q_proj, self.k_proj, self.v_proj)
        ]
        out = functional.scaled_dot_product_attention(*parts)
        result: Tensor = self.out_proj(out.transpose(1, 2).flatten(2))
        return result


class _Mlp(nn.Module):
    def __init__(self, width: int, ffn_width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, ffn_width), nn.Linear(ffn_width, width)

    def forward(self, x: Tensor) -> Tensor:
        h = self.fc1(x)
        result: Tensor = self.fc2(h * torch.sigmoid(1.702 * h))
        return result


class _Layer(nn.Module):
    def __init__(self, v: DetectorVisionConfig) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(v.width, v.eps)
        self.self_attn = _Attention(v.width, v.heads)
        self.layer_norm2 = nn.LayerNorm(v.width, v.eps)
        self.mlp = _Mlp(v.width, v.ffn_width)
        for linear in (self.self_attn.out_proj, self.mlp.fc2):
            nn.init.normal_(linear.weight, std=0.3 * linear.in_features**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        result: Tensor = x + self.mlp(self.layer_norm2(x))
        return result


class _Embeddings(nn.Module):
    """The five kinds of tokens; statistics of what comes in are folded in at the export."""

    whole_mean: Tensor
    whole_std: Tensor
    grid_mean: Tensor
    grid_std: Tensor

    def __init__(self, v: DetectorVisionConfig) -> None:
        super().__init__()
        self.detection = nn.Linear(DETECTION_FEATURES, v.width)
        self.region = nn.Linear(REGION_FEATURES, v.width)
        self.name = nn.Linear(name_features(v), v.width)
        self.whole = nn.Linear(POOLED, 2 * v.width)
        self.grid = nn.Linear(COARSE, v.width)
        self.position_embedding = nn.Embedding(v.tokens, v.width)
        self.register_buffer("whole_mean", torch.zeros(POOLED))
        self.register_buffer("whole_std", torch.ones(POOLED))
        self.register_buffer("grid_mean", torch.zeros(COARSE))
        self.register_buffer("grid_std", torch.ones(COARSE))

    def forward(self, seen: Seen) -> Tensor:
        found, regions, names = seen.features()
        whole = (seen.whole - self.whole_mean) / self.whole_std
        whole = self.whole(functional.dropout(whole, _WHOLE_DROPOUT, self.training))
        grid = (seen.grid.flatten(2).transpose(1, 2) - self.grid_mean) / self.grid_std
        grid = functional.dropout(grid, _GRID_DROPOUT, self.training)
        parts = [self.detection(found), self.region(regions), self.name(names),
                 whole.unflatten(-1, (2, -1)), self.grid(grid)]  # fmt: skip
        return torch.cat(parts, 1) + self.position_embedding.weight


class Pocket(nn.Module):
    """Features in, image embeddings and text out."""

    def __init__(self, v: DetectorVisionConfig, sizes: Sizes) -> None:
        super().__init__()
        self.v, self.sizes = v, sizes
        self.embeddings = _Embeddings(v)
        self.layers = nn.ModuleList(_Layer(v) for _ in range(v.layers))
        self.post_layernorm = nn.LayerNorm(v.width, v.eps)
        kosmos: Any = Kosmos2Config(
            text_config={
                "vocab_size": sizes.vocab_size, "embed_dim": sizes.width, "layers": sizes.layers,
                "ffn_dim": sizes.ffn_width, "attention_heads": sizes.heads, "dropout": 0.0,
                "attention_dropout": 0.0, "max_position_embeddings": 2048,
            },
            vision_config={"hidden_size": v.width, "num_attention_heads": v.heads},
            latent_query_num=sizes.latents,
        )  # fmt: skip
        kosmos.text_config._attn_implementation = "sdpa"
        self.kosmos = kosmos
        projection: Any = Kosmos2ImageToTextProjection
        text: Any = Kosmos2TextForCausalLM
        self.projection = projection(kosmos)
        # Releases of transformers differ in whether it is; what is exported must not.
        self.projection.x_attn.is_causal = v.causal
        self.text = text(kosmos.text_config)
        self.text.lm_head.weight = self.text.model.embed_tokens.weight
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        """A start from which little training goes far.

        Each latent looks at one token, so that what the detector found reaches the decoder from
        the first step; locations are embedded smoothly; layers start as Magneto's do.
        """
        v, sizes = self.v, self.sizes
        decoder = self.text.model
        gain = math.sqrt(math.log(2 * sizes.layers))
        for layer in decoder.layers:
            for linear in (layer.self_attn.q_proj, layer.self_attn.k_proj):
                nn.init.xavier_normal_(linear.weight)
            for linear in (layer.self_attn.v_proj, layer.self_attn.out_proj,
                           layer.ffn.fc1, layer.ffn.fc2):  # fmt: skip
                nn.init.xavier_normal_(linear.weight, gain=gain)
        embedding = decoder.embed_tokens.weight
        embedding.normal_(std=sizes.width**-0.5)
        rotation, _ = torch.linalg.qr(torch.randn(sizes.width, sizes.width))
        locations = smooth_grid(GRID, sizes.width, rotation)
        embedding[-LOCATION_COUNT:] = sizes.width**-0.5 * locations
        # A third of the width says which token it is, the rest what it holds.
        code = v.width // 3
        places = self.embeddings.position_embedding.weight.zero_()
        places[:, :code].normal_(std=1.2)
        grid = smooth_grid(v.grid, v.width - code)
        places[-(v.grid**2) :, code:] = 0.7 * grid
        for linear, spread, named in (
            (self.embeddings.detection, 0.12, CLASSES + 1),
            (self.embeddings.region, 0.12, 2),
            (self.embeddings.name, 0.12, v.names),
            (self.embeddings.whole, 0.7 / POOLED**0.5, 0),
            (self.embeddings.grid, 0.5 / COARSE**0.5, 0),
        ):
            nn.init.normal_(linear.weight, std=spread)
            if named:
                nn.init.normal_(linear.weight[:, :named], std=1.0)
            nn.init.zeros_(linear.bias)
            for start in range(0, len(linear.weight), v.width):
                linear.weight[start : start + code] *= 0.05
        p = self.projection
        if v.width != sizes.width:
            return
        self._start_copying(rotation)
        p.dense.weight.copy_(torch.eye(v.width))
        p.dense.bias.zero_()
        ends = v.detections + v.regions + NAME_TOKENS + 2
        cells = ends + torch.randperm(v.grid**2)[: max(sizes.latents - ends, 0)]
        slots = torch.cat([torch.arange(min(ends, sizes.latents)), cells])
        latents = p.latent_query.normal_(std=0.02)
        latents[:, code : 2 * code] = places[slots, :code]
        mixed = torch.randn(v.width, code) * (1.3 / code**0.5)
        for linear, first in ((p.x_attn.q_proj, code), (p.x_attn.k_proj, 0)):
            linear.weight.normal_(std=0.01)
            linear.weight[:, first : first + code] = mixed
        p.x_attn.v_proj.weight.copy_(torch.eye(v.width))
        p.x_attn.out_proj.weight.copy_(sizes.width**-0.5 * torch.eye(v.width))

    def _start_copying(self, rotation: Tensor) -> None:
        """Let three heads of the last layer say what a latent holds, wherever they look.

        Of what a detection's token holds beside its place, a quarter is the waves of its upper left
        corner, a quarter those of its lower right one, half its class as the class's own word (see
        `spell`). One head takes each of the three back to the words and locations that it stands
        for. What is left to learn is where to look, which is the same for all classes and boxes.
        """
        v, layer = self.v, self.text.model.layers[-1]
        size = v.width // self.sizes.heads
        code, half = v.width // 3, min(_SPELT_WAVES, (v.width - v.width // 3) // 8, size // 2)
        frequencies = torch.arange(1, half + 1)
        self.word_rows = slice(code + 4 * half, v.width)
        for linear, before in (
            (self.embeddings.detection, CLASSES + 9),
            (self.embeddings.region, 9),
            (self.embeddings.name, v.names + 8),
        ):
            linear.weight[code : code + 4 * half] *= 0.1
            for part, edge in enumerate((1, 0, 3, 2)):  # y1, x1, y2, x2; rows come before columns
                rows = code + part * half + torch.arange(half)
                columns = before + edge * WAVES + torch.arange(half)
                linear.weight[rows, columns] = 2 / frequencies**0.5
            linear.weight[self.word_rows, before:] *= 0.1
        words = len(range(*self.word_rows.indices(v.width)))
        self.word_basis = torch.linalg.qr(torch.randn(v.width, words))[0].T  # (words, width)
        fewer = torch.linalg.qr(torch.randn(words, min(size, words)))[0]
        value, out = layer.self_attn.v_proj.weight, layer.self_attn.out_proj.weight
        count = min(v.width // 2, GRID)  # of an axis's waves in `smooth_grid`
        basis = torch.cat([rotation[:half], rotation[count : count + half]])  # (2 half, width)
        value[: 3 * size] *= 0.1
        out[:, : 3 * size] *= 0.1
        for head in range(2):
            rows = head * size + torch.arange(2 * half)
            value[rows, code + 2 * half * head + torch.arange(2 * half)] = 1.0
            out[:, rows] += _COPY_GAIN * basis.T
        rows = 2 * size + torch.arange(fewer.shape[1])
        value[rows, self.word_rows] += fewer.T
        out[:, rows] += _COPY_GAIN * (self.word_basis.T @ fewer)

    @torch.no_grad()
    def spell(self, classes: Sequence[int], names: Sequence[int]) -> None:
        """Write the detector's classes and the classifier's names as the embeddings of their words.

        Args:
            classes, names: for each the id of its name's first piece.
        """
        if self.v.width != self.sizes.width:
            return
        for linear, pieces in ((self.embeddings.detection, classes), (self.embeddings.name, names)):
            words = self.text.model.embed_tokens.weight[list(pieces)]  # (n, width)
            spelt = self.word_basis @ words.T * self.sizes.width**0.5
            linear.weight[self.word_rows, : len(pieces)] = spelt

    def look(self, seen: Seen) -> Tensor:
        """Image embeddings (B, latents, width)."""
        x = self.embeddings(seen)
        for layer in self.layers:
            x = layer(x)
        images: Tensor = self.projection(self.post_layernorm(x))[0]
        return images

    def read(self, images: Tensor, ids: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Hidden states (B, T, width); `mask` (B, 1, T, T) is added to the attention scores."""
        decoder = self.text.model
        words = decoder.embed_tokens(ids)
        rows = torch.cat([words[:, :2], images.to(words.dtype), words[:, 2 + images.shape[1] :]], 1)
        hidden = rows * decoder.embed_scale + decoder.embed_positions.weights[positions]
        for layer in decoder.layers:
            out = layer(hidden, mask)
            hidden = out[0] if isinstance(out, tuple) else out
        result: Tensor = decoder.layer_norm(hidden)
        return result

    def config_json(self) -> dict[str, Any]:
        """config.json."""
        v, s = self.v, self.sizes
        vision = {**asdict(v), "looks": list(v.looks), "classes": list(v.classes)}
        names = {"width": "hidden_size", "ffn_width": "intermediate_size", "eps": "layer_norm_eps",
                 "layers": "num_hidden_layers", "heads": "num_attention_heads",
                 "activation": "hidden_act"}  # fmt: skip
        return {
            "architectures": ["Kosmos2ForConditionalGeneration"],
            "dtype": "float16",
            "latent_query_num": s.latents,
            "model_type": "kosmos-2",
            "text_config": {
                "model_type": "kosmos_2_text_model", "vocab_size": s.vocab_size,
                "max_position_embeddings": 2048, "embed_dim": s.width, "layers": s.layers,
                "ffn_dim": s.ffn_width, "attention_heads": s.heads, "activation_function": "gelu",
                "layer_norm_eps": 1e-5, "scale_embedding": True, "bos_token_id": 0,
                "pad_token_id": 1, "eos_token_id": 2,
            },
            "tie_word_embeddings": True,
            "vision_config": {"model_type": DETECTOR_TOWER,
                              **{names.get(k, k): value for k, value in vision.items()}},
        }  # fmt: skip

    @torch.no_grad()
    def tensors(self) -> dict[str, Tensor]:
        """All trained tensors under a checkpoint's names; input statistics are folded in."""
        found: dict[str, Tensor] = {}
        for name, value in self.state_dict().items():
            if name.startswith("text.") and "lm_head" not in name:
                if "embed_positions" not in name:
                    found["text_model." + name.removeprefix("text.")] = value
            elif name.startswith("projection."):
                found["image_to_text_" + name] = value
            elif name.startswith(("embeddings.", "post_layernorm.")):
                if not name.endswith(("_mean", "_std")):
                    found["vision_model.model." + name] = value
            elif name.startswith("layers."):
                found["vision_model.model.encoder." + name] = value
        e = self.embeddings
        for kind, mean, std in (("whole", e.whole_mean, e.whole_std),
                                ("grid", e.grid_mean, e.grid_std)):  # fmt: skip
            key = f"vision_model.model.embeddings.{kind}"
            weight = found[key + ".weight"] / std
            found[key + ".weight"] = weight
            found[key + ".bias"] = found[key + ".bias"] - weight @ mean
        return found


def smooth_grid(side: int, dim: int, rotation: Tensor | None = None) -> Tensor:
    """(side * side, dim) with unit deviation: cosines of row and column, rotated.

    `rotation` (dim, dim), orthonormal, gives the directions of the rows' waves, then those of the
    columns'; without it they are random.
    """
    at = (torch.arange(side) + 0.5) * math.pi / side
    count = max(1, min(dim // 2, side))
    # Low frequencies weigh most: near cells are alike, far ones are not.
    wave = torch.stack([torch.cos(k * at) / k**0.5 for k in range(1, count + 1)], dim=1)
    rows = wave[:, None, :].expand(side, side, count)
    columns = wave[None, :, :].expand(side, side, count)
    grid = torch.cat([rows, columns], dim=2).reshape(side * side, 2 * count)
    if rotation is None:
        rotation, _ = torch.linalg.qr(torch.randn(dim, dim))
    mixed: Tensor = grid @ rotation[: 2 * count]
    return mixed / mixed.std()
