"""config.json of a Segment Anything checkpoint, checked and typed.

Source: transformers, models/sam/configuration_sam.py (`SamConfig`); so are the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kosmoscope.errors import CheckpointError
from kosmoscope.files.checked import read_object
from kosmoscope.store.fields import MOST_LAYERS, ConfigReader

_MOST_PIXELS = 4096
"""Along a side: no such model takes more, and a typing error must not allocate gigabytes."""


LAYERS_DOWNSAMPLE = 2
"""The same for the decoder's layers, where the reference takes 2 whatever config.json says."""


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Sizes of the vision transformer."""

    width: int
    ffn_width: int
    layers: int
    heads: int
    channels_out: int
    """C: channels of the embeddings."""
    image_size: int
    """S: side of the square that it sees, in pixels."""
    patch_size: int
    eps: float
    window: int
    """Side of an attention window in patches; 0: every layer sees everything."""
    global_layers: frozenset[int]
    """Layers that see everything in spite of `window`."""
    qkv_bias: bool
    absolute: bool
    """Has a table of absolute positions."""
    relative: bool
    """Has tables of relative positions in every layer."""
    waves: int
    """Rows of the random matrix that turns coordinates into sines and cosines: C / 2."""

    @property
    def grid(self) -> int:
        """g: patches along a side."""
        return self.image_size // self.patch_size

    @property
    def head_width(self) -> int:
        """Channels per attention head."""
        return self.width // self.heads

    def window_of(self, layer: int) -> int:
        """Return the side in patches of what a token of this layer sees."""
        whole = self.window == 0 or layer in self.global_layers
        return self.grid if whole else self.window


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Sizes of the mask decoder; its width is the embeddings' C."""

    width: int
    ffn_width: int
    layers: int
    heads: int
    downsample: int
    """The last attention works on `width / downsample` channels; see `LAYERS_DOWNSAMPLE`."""
    multimasks: int
    """Masks beside the single one: 3 in all released checkpoints."""
    iou_depth: int
    iou_width: int
    eps: float

    @property
    def masks(self) -> int:
        """M: all masks, the single one first."""
        return self.multimasks + 1


@dataclass(frozen=True, slots=True)
class SamConfig:
    """Sizes of the whole model."""

    encoder: EncoderConfig
    decoder: DecoderConfig
    mask_channels: int
    """Of the mask prompt's network, which is checked and not used: no prompt here is a mask."""

    @classmethod
    def from_file(cls, path: Path) -> SamConfig:
        """Read config.json.

        Raises:
            CheckpointError: not JSON, another architecture, a key that nobody knows, or sizes
                that cannot belong together. The message names the file and the key.
        """
        data = read_object(path, CheckpointError)
        kind = data.get("model_type")
        if kind != "sam":
            raise CheckpointError(f"{path}: model_type is {kind!r}; this segmenter runs 'sam'")
        return _SamReader(path).sam(data)


class _SamReader(ConfigReader):
    def sam(self, data: Mapping[str, Any]) -> SamConfig:
        self.known(data, "", {"model_type", "vision_config", "prompt_encoder_config",
                              "mask_decoder_config", "tie_word_embeddings"})  # fmt: skip
        encoder = self.encoder(self.section(data, "vision_config"))
        decoder = self.decoder(self.section(data, "mask_decoder_config"))
        channels = self.prompts(self.section(data, "prompt_encoder_config"), encoder)
        for what, size in (
            ("mask_decoder_config.hidden_size", decoder.width),
            ("twice vision_config.num_pos_feats", 2 * encoder.waves),
        ):
            if size != encoder.channels_out:
                raise self.fail(
                    f"{what} is {size}; vision_config.output_channels is {encoder.channels_out}"
                )
        return SamConfig(encoder, decoder, channels)

    def encoder(self, data: Mapping[str, Any]) -> EncoderConfig:
        prefix = "vision_config."
        self.part(data, prefix, "sam_vision_model", {
            "hidden_size", "output_channels", "num_hidden_layers", "num_attention_heads",
            "num_channels", "image_size", "patch_size", "qkv_bias", "mlp_ratio", "use_abs_pos",
            "use_rel_pos", "window_size", "global_attn_indexes", "num_pos_feats", "mlp_dim",
            # Written by transformers, read by nothing.
            "scale", "intermediate_size"})  # fmt: skip
        self.act(data, prefix, "gelu")
        width = self.integer(data, "hidden_size", 768)
        layers = self.integer(data, "num_hidden_layers", 12, MOST_LAYERS)
        found = EncoderConfig(
            width=width,
            ffn_width=self.ffn_width(data, width),
            layers=layers,
            heads=self.integer(data, "num_attention_heads", 12),
            channels_out=self.integer(data, "output_channels", 256),
            image_size=self.integer(data, "image_size", 1024, _MOST_PIXELS),
            patch_size=self.integer(data, "patch_size", 16, _MOST_PIXELS),
            eps=self.number(data, "layer_norm_eps", 1e-6),
            window=self.window(data),
            global_layers=self.global_layers(data, layers),
            qkv_bias=self.flag(data, "qkv_bias", True),
            absolute=self.flag(data, "use_abs_pos", True),
            relative=self.flag(data, "use_rel_pos", True),
            waves=self.integer(data, "num_pos_feats", 128),
        )
        if width % found.heads:
            raise self.fail(
                f"{prefix}hidden_size {width} cannot be split into {found.heads} attention heads"
            )
        if found.image_size % found.patch_size:
            raise self.fail(
                f"{prefix}image_size {found.image_size} is no multiple of patch_size "
                f"{found.patch_size}"
            )
        if (channels := self.integer(data, "num_channels", 3)) != 3:
            raise self.fail(f"{prefix}num_channels is {channels}; pictures here have 3")
        return found

    def decoder(self, data: Mapping[str, Any]) -> DecoderConfig:
        prefix = "mask_decoder_config."
        self.part(data, prefix, "sam_mask_decoder", {
            "hidden_size", "mlp_dim", "num_hidden_layers", "num_attention_heads",
            "attention_downsample_rate", "num_multimask_outputs", "iou_head_depth",
            "iou_head_hidden_dim"})  # fmt: skip
        self.act(data, prefix, "relu")
        found = DecoderConfig(
            width=self.integer(data, "hidden_size", 256),
            ffn_width=self.integer(data, "mlp_dim", 2048),
            layers=self.integer(data, "num_hidden_layers", 2, MOST_LAYERS),
            heads=self.integer(data, "num_attention_heads", 8),
            downsample=self.integer(data, "attention_downsample_rate", 2),
            multimasks=self.integer(data, "num_multimask_outputs", 3, 64),
            iou_depth=self.integer(data, "iou_head_depth", 3, MOST_LAYERS),
            iou_width=self.integer(data, "iou_head_hidden_dim", 256),
            eps=self.number(data, "layer_norm_eps", 1e-6),
        )
        for part in (found.downsample, LAYERS_DOWNSAMPLE):
            if found.width % (part * found.heads):
                raise self.fail(
                    f"{prefix}hidden_size {found.width} cannot be split into {found.heads} "
                    f"attention heads of 1/{part} of the channels"
                )
        if found.width % 8:
            raise self.fail(f"{prefix}hidden_size {found.width} is no multiple of 8")
        if found.iou_depth < 2:
            raise self.fail(f"{prefix}iou_head_depth is {found.iou_depth}; expected 2 or more")
        return found

    def prompts(self, data: Mapping[str, Any], encoder: EncoderConfig) -> int:
        """Check the prompt encoder against the encoder; return its mask channels."""
        prefix = "prompt_encoder_config."
        self.part(data, prefix, "sam_prompt_encoder", {
            "hidden_size", "image_size", "patch_size", "mask_input_channels",
            "num_point_embeddings", "image_embedding_size"})  # fmt: skip
        self.act(data, prefix, "gelu")
        for key, default, size in (
            ("hidden_size", 256, encoder.channels_out),
            ("image_size", 1024, encoder.image_size),
            ("patch_size", 16, encoder.patch_size),
            ("image_embedding_size", encoder.grid, encoder.grid),
            ("num_point_embeddings", 4, 4),
        ):
            if (found := self.integer(data, key, default)) != size:
                raise self.fail(f"{prefix}{key} is {found}; expected {size}")
        channels = self.integer(data, "mask_input_channels", 16)
        if channels % 4:
            raise self.fail(f"{prefix}mask_input_channels {channels} is no multiple of 4")
        return channels

    def part(self, data: Mapping[str, Any], prefix: str, kind: str, keys: set[str]) -> None:
        self.known(data, prefix, {*keys, "model_type", "hidden_act", "layer_norm_eps",
                                  "tie_word_embeddings"})  # fmt: skip
        # Older files have an empty name there.
        if (found := data.get("model_type") or kind) != kind:
            raise self.fail(f"{prefix}model_type is {found!r}; expected {kind!r}")

    def act(self, data: Mapping[str, Any], prefix: str, expected: str) -> None:
        if (found := data.get("hidden_act", expected)) != expected:
            raise self.fail(f"{prefix}hidden_act is {found!r}; this segmenter has {expected!r}")

    def ffn_width(self, data: Mapping[str, Any], width: int) -> int:
        if data.get("mlp_dim") is not None:
            return self.integer(data, "mlp_dim", width)
        ratio = data.get("mlp_ratio", 4.0)
        if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio <= 64:
            raise self.fail(f"vision_config.mlp_ratio is {ratio!r}; expected a number up to 64")
        return self.integer({"mlp_ratio": int(width * ratio)}, "mlp_ratio", width)

    def window(self, data: Mapping[str, Any]) -> int:
        if data.get("window_size") == 0 and data["window_size"] is not False:
            return 0
        return self.integer(data, "window_size", 14, _MOST_PIXELS)

    def global_layers(self, data: Mapping[str, Any], layers: int) -> frozenset[int]:
        found = data.get("global_attn_indexes", [2, 5, 8, 11])
        if not isinstance(found, list) or not all(type(i) is int and i >= 0 for i in found):
            raise self.fail(
                f"vision_config.global_attn_indexes is {str(found)[:80]}; expected layers' numbers"
            )
        return frozenset(i for i in found if i < layers)
