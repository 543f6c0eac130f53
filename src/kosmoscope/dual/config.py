"""config.json of a CLIP or SigLIP checkpoint, checked and typed.

Source: transformers, models/clip/configuration_clip.py (`CLIPConfig`) and
models/siglip/configuration_siglip.py (`SiglipConfig`); so are the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kosmoscope.errors import CheckpointError
from kosmoscope.files.checked import read_object
from kosmoscope.store.fields import MOST_LAYERS, ConfigReader

Family = Literal["clip", "siglip"]

_MOST_PIXELS = 4096
"""Along a side: no such model takes more, and a typing error must not allocate gigabytes."""

_ACTIVATIONS = ("gelu", "gelu_pytorch_tanh", "quick_gelu")

_LEAST_POSITIONS = 4
"""Room for a token between those that begin and end a text."""

HIGHEST_ENDS = 2
"""The `eos_token_id` of CLIP's first files, which names no token of theirs: a text ends at its
highest id instead, as transformers has it (`CLIPTextModel.forward`)."""


@dataclass(frozen=True, slots=True)
class TowerConfig:
    """Sizes of a transformer."""

    width: int
    """W: channels."""
    ffn_width: int
    layers: int
    heads: int
    activation: str
    """One of gelu, gelu_pytorch_tanh and quick_gelu."""
    eps: float


@dataclass(frozen=True, slots=True)
class VisionConfig(TowerConfig):
    """The tower that reads pictures."""

    image_size: int
    """S: side of the square that it sees, in pixels."""
    patch_size: int

    @property
    def patches(self) -> int:
        """P: patches of a picture; what is left at the right and the bottom is not seen."""
        return (self.image_size // self.patch_size) ** 2


@dataclass(frozen=True, slots=True)
class TextConfig(TowerConfig):
    """The tower that reads texts."""

    vocab_size: int
    positions: int
    """T: tokens of the longest text."""
    end: int | None
    """The id of the token that ends a text, or `HIGHEST_ENDS`; None for SigLIP, which fills texts
    up and does not look for it."""


@dataclass(frozen=True, slots=True)
class DualConfig:
    """Sizes of the whole model."""

    family: Family
    vision: VisionConfig
    text: TextConfig
    dimensions: int
    """D: length of the vectors."""

    @classmethod
    def from_file(cls, path: Path) -> DualConfig:
        """Read config.json.

        Raises:
            CheckpointError: not JSON, another architecture, a key that nobody knows, or sizes
                that cannot belong together. The message names the file and the key.
        """
        data = read_object(path, CheckpointError)
        kind = data.get("model_type")
        if kind == "clip":
            return _ClipReader(path).clip(data)
        if kind == "siglip":
            return _SiglipReader(path).siglip(data)
        raise CheckpointError(f"{path}: model_type is {kind!r}; expected 'clip' or 'siglip'")


class _Reader(ConfigReader):
    _COMMON = frozenset({"model_type", "hidden_size", "intermediate_size", "num_hidden_layers",
                         "num_attention_heads", "hidden_act", "layer_norm_eps",
                         # In the sections for pictures too: older versions wrote all they knew.
                         "bos_token_id", "eos_token_id", "pad_token_id",
                         "tie_word_embeddings"})  # fmt: skip
    _VISION = _COMMON | {"num_channels", "image_size", "patch_size"}
    _TEXT = _COMMON | {"vocab_size", "max_position_embeddings"}

    def part(
        self, data: Mapping[str, Any], where: str, kind: str, keys: frozenset[str]
    ) -> Mapping[str, Any]:
        """Return a section of which every key is known."""
        part = self.section(data, where)
        self.known(part, where + ".", set(keys))
        # Older files have an empty name there.
        if (found := part.get("model_type") or kind) != kind:
            raise self.fail(f"{where}.model_type is {found!r}; expected {kind!r}")
        return part

    def tower(
        self, data: Mapping[str, Any], where: str, width: int, heads: int, act: str, eps: float
    ) -> TowerConfig:
        activation = data.get("hidden_act", act)
        if activation not in _ACTIVATIONS:
            raise self.fail(
                f"{where}.hidden_act is {activation!r}; expected one of {', '.join(_ACTIVATIONS)}"
            )
        found = TowerConfig(
            width=self.integer(data, "hidden_size", width),
            ffn_width=self.integer(data, "intermediate_size", 4 * width),
            layers=self.integer(data, "num_hidden_layers", 12, MOST_LAYERS),
            heads=self.integer(data, "num_attention_heads", heads),
            activation=activation,
            eps=self.number(data, "layer_norm_eps", eps),
        )
        if found.width % found.heads:
            raise self.fail(
                f"{where}.hidden_size {found.width} cannot be split into {found.heads} "
                "attention heads"
            )
        return found

    def vision(self, data: Mapping[str, Any], tower: TowerConfig, patch: int) -> VisionConfig:
        if (channels := self.integer(data, "num_channels", 3)) != 3:
            raise self.fail(f"vision_config.num_channels is {channels}; pictures here have 3")
        side = self.integer(data, "image_size", 224, _MOST_PIXELS)
        patch = self.integer(data, "patch_size", patch, _MOST_PIXELS)
        if patch > side:
            raise self.fail(f"vision_config.patch_size {patch} is larger than image_size {side}")
        return VisionConfig(*_values(tower), image_size=side, patch_size=patch)

    def text(
        self,
        data: Mapping[str, Any],
        tower: TowerConfig,
        vocab: int,
        positions: int,
        end: int | None = None,
    ) -> TextConfig:
        return TextConfig(
            *_values(tower),
            vocab_size=self.integer(data, "vocab_size", vocab),
            positions=self.integer(
                data, "max_position_embeddings", positions, least=_LEAST_POSITIONS
            ),
            end=end,
        )


class _ClipReader(_Reader):
    def clip(self, data: Mapping[str, Any]) -> DualConfig:
        self.known(data, "", {"model_type", "text_config", "vision_config", "projection_dim",
                              "text_config_dict", "vision_config_dict", "logit_scale_init_value",
                              "tie_word_embeddings", "bos_token_id", "eos_token_id",
                              "pad_token_id"})  # fmt: skip
        v = self.chosen(data, "vision_config", "clip_vision_model", self._VISION)
        t = self.chosen(data, "text_config", "clip_text_model", self._TEXT)
        vision = self.vision(v, self.tower(v, "vision_config", 768, 12, "quick_gelu", 1e-5), 32)
        end = self.token(t, "eos_token_id", 49407)
        tower = self.tower(t, "text_config", 512, 8, "quick_gelu", 1e-5)
        text = self.text(t, tower, 49408, 77, end)
        return DualConfig("clip", vision, text, self.integer(data, "projection_dim", 512))

    def chosen(
        self, data: Mapping[str, Any], where: str, kind: str, keys: frozenset[str]
    ) -> Mapping[str, Any]:
        """Return a section as transformers sees it: old files have it twice, as `where` and as
        `where`_dict, of which the latter counts, with defaults for what it does not say."""
        twice = data.get(where + "_dict")
        return self.part(data, where if twice is None else where + "_dict", kind, keys)


class _SiglipReader(_Reader):
    def siglip(self, data: Mapping[str, Any]) -> DualConfig:
        self.known(data, "", {"model_type", "text_config", "vision_config",
                              "tie_word_embeddings"})  # fmt: skip
        v = self.part(data, "vision_config", "siglip_vision_model",
                      self._VISION | {"vision_use_head"})  # fmt: skip
        t = self.part(data, "text_config", "siglip_text_model", self._TEXT | {"projection_size"})
        if not self.flag(v, "vision_use_head", True):
            raise self.fail("vision_config.vision_use_head is false; without it there is no vector")
        act = "gelu_pytorch_tanh"
        vision = self.vision(v, self.tower(v, "vision_config", 768, 12, act, 1e-6), 16)
        text = self.text(t, self.tower(t, "text_config", 768, 12, act, 1e-6), 32000, 64)
        out = text.width
        if t.get("projection_size") is not None:
            out = self.integer(t, "projection_size", out)
        if out != vision.width:
            raise self.fail(
                f"text_config.projection_size is {out}; vision_config.hidden_size is {vision.width}"
            )
        return DualConfig("siglip", vision, text, out)


def _values(tower: TowerConfig) -> tuple[int, int, int, int, str, float]:
    return (tower.width, tower.ffn_width, tower.layers, tower.heads, tower.activation, tower.eps)
