"""The checkpoint's config.json, checked and typed. Nothing is hard-coded to the released sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kosmoscope.errors import CheckpointError
from kosmoscope.files.checked import read_object
from kosmoscope.store.fields import MOST_LAYERS, ConfigReader

ACTIVATIONS = ("gelu", "quick_gelu")

CLIP_TOWER = "kosmos_2_vision_model"
DETECTOR_TOWER = "kosmoscope_detector_vision"

NO_REPEAT = "no_repeat_ngram_size"


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Sizes of the decoder."""

    vocab_size: int
    max_positions: int
    width: int
    layers: int
    ffn_width: int
    heads: int
    activation: str
    eps: float
    scale_embedding: bool
    bos: int
    pad: int
    eos: int
    no_repeat_ngram_size: int
    """No run of so many tokens twice in a text; 0 is off. generation_config.json goes before it."""

    @property
    def head_width(self) -> int:
        """Channels per attention head."""
        return self.width // self.heads


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """Sizes of the vision tower."""

    width: int
    ffn_width: int
    layers: int
    heads: int
    channels: int
    image_size: int
    patch_size: int
    activation: str
    eps: float

    @property
    def divisor(self) -> int | None:
        """None: pictures are squashed to a square."""
        return None

    @property
    def patches(self) -> int:
        """Number of patches, without the class token."""
        return (self.image_size // self.patch_size) ** 2


DETECTOR_CLASSES = 80
"""Of the detector (COCO's)."""
NAME_TOKENS = 2
"""Of a tower with a detector: what the whole picture is called, and what its main thing."""


@dataclass(frozen=True, slots=True)
class DetectorVisionConfig:
    """Sizes of the tower. The two networks' own are fixed."""

    width: int
    ffn_width: int
    layers: int
    heads: int
    image_size: int
    """S, a multiple of 32: the longer side of a picture, whose aspect is kept."""
    looks: tuple[int, ...]
    """Longer sides at which the detector sees it, multiples of 32; S is the largest."""
    scene_size: int
    """T, a multiple of 32; the classifier's input."""
    detections: int
    """Most tokens of the first kind; those not needed say so."""
    regions: int
    """Kinds of stuff."""
    labels: int
    """Classes of the classifier."""
    names: int
    """What they are called; several classes may have one name."""
    score_threshold: float
    """Candidates below it are no detections."""
    overlap_threshold: float
    """Of two candidates with a higher IoU, the lower-scored one is dropped."""
    class_overlap_threshold: float
    """The same of two that are likeliest of one class."""
    classes: tuple[str, ...]
    """What the detector's classes are called, in their order; what it finds is then an output of
    its own, beside the picture's embeddings. (): it is not."""
    causal: bool
    """Latent i of the resampler sees the tower's first i + 1 tokens, not all of them."""
    activation: str
    eps: float

    @property
    def divisor(self) -> int | None:
        """What both sides of a picture are multiples of."""
        return 32

    @property
    def grid(self) -> int:
        """Cells of the coarse map along a side."""
        return self.scene_size // 32

    @property
    def tokens(self) -> int:
        """Of all kinds."""
        return self.detections + self.regions + NAME_TOKENS + 2 + self.grid**2


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes of the whole model."""

    text: TextConfig
    vision: VisionConfig | DetectorVisionConfig
    latents: int
    tied: bool
    """The head is the embedding (no weights of its own)."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What a detector inside the vision tower calls its classes; () without one."""
        v = self.vision
        return v.classes if isinstance(v, DetectorVisionConfig) else ()

    @classmethod
    def from_file(cls, path: Path) -> ModelConfig:
        """Read config.json.

        Raises:
            CheckpointError: not JSON, another architecture, a key that nobody knows, or sizes
                that cannot belong together. The message names the file and the key.
        """
        data = read_object(path, CheckpointError)
        kind = data.get("model_type")
        if kind != "kosmos-2":
            raise CheckpointError(f"{path}: model_type is {kind!r}; this engine runs 'kosmos-2'")
        return _Reader(path).model(data)


def no_repeat_ngram_size(data: Mapping[str, Any], path: Path, default: int = 0) -> int:
    """Return what config.json's text_config or generation_config.json says; null is not given.

    Args:
        data: the section or the file.
        path: of the file, for the message.
        default: where it is not given.

    Raises:
        CheckpointError: it is no whole number from 0 to 1024.
    """
    given = {key: value for key, value in data.items() if value is not None}
    return ConfigReader(path).integer(given, NO_REPEAT, default, 1024, least=0)


class _Reader(ConfigReader):
    def model(self, data: Mapping[str, Any]) -> ModelConfig:
        self.known(data, "", {"model_type", "text_config", "vision_config", "latent_query_num",
                              "tie_word_embeddings", "bos_token_id", "eos_token_id",
                              "pad_token_id"})  # fmt: skip
        text = self.text(self.section(data, "text_config"))
        vision = self.vision(self.section(data, "vision_config"))
        latents = self.integer(data, "latent_query_num", 64)
        tied = self.flag(data, "tie_word_embeddings", True)
        return ModelConfig(text, vision, latents, tied)

    def text(self, data: Mapping[str, Any]) -> TextConfig:
        self.known(data, "text_config.", {
            "model_type", "vocab_size", "max_position_embeddings", "embed_dim", "layers",
            "ffn_dim", "attention_heads", "activation_function", "layer_norm_eps",
            "scale_embedding", "bos_token_id", "pad_token_id", "eos_token_id",
            "tie_word_embeddings", NO_REPEAT})  # fmt: skip
        if self.flag(data, "add_cross_attention", False):
            raise self.fail("text_config.add_cross_attention is true; this engine has no encoder")
        eos = data.get("eos_token_id", 2)
        first_eos = eos[0] if isinstance(eos, list) and eos else eos
        config = TextConfig(
            vocab_size=self.integer(data, "vocab_size", 65037),
            max_positions=self.integer(data, "max_position_embeddings", 2048),
            width=self.integer(data, "embed_dim", 2048),
            layers=self.integer(data, "layers", 24, MOST_LAYERS),
            ffn_width=self.integer(data, "ffn_dim", 8192),
            heads=self.integer(data, "attention_heads", 32),
            activation=self.activation(data, "activation_function", "gelu"),
            eps=self.number(data, "layer_norm_eps", 1e-5),
            scale_embedding=self.flag(data, "scale_embedding", True),
            bos=self.token(data, "bos_token_id", 0),
            pad=self.token(data, "pad_token_id", 1),
            eos=self.token({"eos_token_id": first_eos}, "eos_token_id", 2),
            no_repeat_ngram_size=no_repeat_ngram_size(data, self.path),
        )
        if config.width % config.heads:
            raise self.fail(
                f"embed_dim {config.width} cannot be split into {config.heads} attention_heads"
            )
        if config.head_width % 8:
            raise self.fail(
                f"embed_dim / attention_heads is {config.head_width}; "
                "the attention kernel needs a multiple of 8"
            )
        return config

    def vision(self, data: Mapping[str, Any]) -> VisionConfig | DetectorVisionConfig:
        kind = data.get("model_type", CLIP_TOWER)
        if kind == CLIP_TOWER:
            return self.clip(data)
        if kind == DETECTOR_TOWER:
            return self.detector(data)
        raise self.fail(f"vision_config.model_type is {kind!r}: no such vision tower here")

    def detector(self, data: Mapping[str, Any]) -> DetectorVisionConfig:
        self.known(data, "vision_config.", {
            "model_type", "hidden_size", "intermediate_size", "num_hidden_layers",
            "num_attention_heads", "image_size", "looks", "scene_size", "detections", "regions",
            "labels", "names", "classes", "causal", "score_threshold", "overlap_threshold",
            "class_overlap_threshold", "hidden_act", "layer_norm_eps"})  # fmt: skip
        config = DetectorVisionConfig(
            width=self.integer(data, "hidden_size", 192),
            ffn_width=self.integer(data, "intermediate_size", 768),
            layers=self.integer(data, "num_hidden_layers", 2),
            heads=self.integer(data, "num_attention_heads", 6),
            image_size=self.integer(data, "image_size", 544),
            looks=self.looks(data),
            scene_size=self.integer(data, "scene_size", 288),
            detections=self.integer(data, "detections", 32),
            regions=self.integer(data, "regions", 16),
            labels=self.integer(data, "labels", 1000),
            names=self.integer(data, "names", 1000),
            classes=self.classes(data),
            causal=self.flag(data, "causal", False),
            score_threshold=self.number(data, "score_threshold", 0.1),
            overlap_threshold=self.number(data, "overlap_threshold", 0.5),
            class_overlap_threshold=self.number(data, "class_overlap_threshold", 1.0),
            activation=self.activation(data, "hidden_act", "quick_gelu"),
            eps=self.number(data, "layer_norm_eps", 1e-5),
        )
        if config.width % config.heads:
            raise self.fail(f"hidden_size {config.width} cannot be split into {config.heads} heads")
        sizes = [("looks", side) for side in config.looks]
        for key, size in (*sizes, ("scene_size", config.scene_size)):
            if size % 32:
                raise self.fail(f"{key} is {size}; the networks need a multiple of 32")
        if max(config.looks) != config.image_size:
            raise self.fail(f"image_size is {config.image_size}; expected the largest of looks")
        return config

    def looks(self, data: Mapping[str, Any]) -> tuple[int, ...]:
        """Sizes, each once; the picture's own by default."""
        sides = data.get("looks", [data.get("image_size", 544)])
        if not isinstance(sides, list) or not sides or len(set(map(repr, sides))) != len(sides):
            raise self.fail(f"looks is {sides!r}; expected different sides in a list")
        return tuple(self.integer({"looks": side}, "looks", 0) for side in sides)

    def classes(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the detector's classes, each once; none by default."""
        names = data.get("classes", [])
        named = isinstance(names, list) and all(isinstance(n, str) and n.strip() for n in names)
        if not named or len(set(names)) != len(names):
            raise self.fail(f"classes is {names!r}; expected different names in a list")
        if names and len(names) != DETECTOR_CLASSES:
            raise self.fail(f"classes has {len(names)} names; the detector has {DETECTOR_CLASSES}")
        return tuple(names)

    def clip(self, data: Mapping[str, Any]) -> VisionConfig:
        self.known(data, "vision_config.", {
            "model_type", "hidden_size", "intermediate_size", "num_hidden_layers",
            "num_attention_heads", "num_channels", "image_size", "patch_size", "hidden_act",
            "layer_norm_eps", "bos_token_id", "pad_token_id", "eos_token_id",
            "tie_word_embeddings"})  # fmt: skip
        config = VisionConfig(
            width=self.integer(data, "hidden_size", 1024),
            ffn_width=self.integer(data, "intermediate_size", 4096),
            layers=self.integer(data, "num_hidden_layers", 24, MOST_LAYERS),
            heads=self.integer(data, "num_attention_heads", 16),
            channels=self.integer(data, "num_channels", 3),
            image_size=self.integer(data, "image_size", 224),
            patch_size=self.integer(data, "patch_size", 14),
            activation=self.activation(data, "hidden_act", "quick_gelu"),
            eps=self.number(data, "layer_norm_eps", 1e-5),
        )
        if config.width % config.heads:
            raise self.fail(f"hidden_size {config.width} cannot be split into {config.heads} heads")
        if config.image_size < config.patch_size:
            raise self.fail(
                f"image_size {config.image_size} is smaller than patch_size {config.patch_size}"
            )
        if config.channels != 3:
            raise self.fail(f"num_channels is {config.channels}; pictures here have 3")
        return config

    def activation(self, data: Mapping[str, Any], key: str, default: str) -> str:
        value = data.get(key, default)
        if value not in ACTIVATIONS:
            raise self.fail(f"{key} is {value!r}; known are {', '.join(ACTIVATIONS)}")
        return str(value)
