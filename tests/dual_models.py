"""Tiny random CLIP and SigLIP checkpoints, and transformers' own models of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

import dual_tokenizers

# Models this small only lose by threads, and a busy machine makes them lose a lot.
torch.set_num_threads(1)

TEXTS = (
    "a photo of a dog",
    "  Two RED\tcats, on 3 trees!  ",
    "don't",
    "Ærøskøbing: 東京 🙂 e\u0301",
    "a dog and a cat in the sky " * 12,  # longer than any model here reads
    "a ...",
)


@dataclass(frozen=True)
class Shape:
    """Sizes of a random checkpoint."""

    name: str
    image: tuple[int, int] = (48, 16)  # size, patch
    vision: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    dimensions: int = 20
    processor: dict[str, Any] = field(default_factory=dict)
    tokenizer: str = "clip"  # or siglip, siglip2

    @property
    def clip(self) -> bool:
        return self.tokenizer == "clip"

    def parts(self) -> tuple[dict[str, Any], dict[str, Any]]:
        size, patch = self.image
        vision = {
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
            "num_attention_heads": 4, "image_size": size, "patch_size": patch,
        }  # fmt: skip
        text = {
            "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
            "num_attention_heads": 3, "max_position_embeddings": 20,
        }  # fmt: skip
        return {**vision, **self.vision}, {**text, **self.text}

    def model(self, vocabulary: int) -> Any:
        vision, text = self.parts()
        if not self.clip:
            text = {"vocab_size": vocabulary, "projection_size": vision["hidden_size"], **text}
            return SiglipModel(SiglipConfig(vision_config=vision, text_config=text))
        ends = {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1}
        text = {"vocab_size": vocabulary, **ends, **text}
        config = CLIPConfig(vision_config=vision, text_config=text, projection_dim=self.dimensions)
        return CLIPModel(config)

    def image_processor(self) -> Any:
        side = {"height": self.image[0], "width": self.image[0]}
        if not self.clip:
            return SiglipImageProcessorPil(**{"size": side, **self.processor})
        sizes = {"size": {"shortest_edge": self.image[0]}, "crop_size": side}
        return CLIPImageProcessorPil(**{**sizes, **self.processor})


CLIPS = (
    Shape("base"),
    # As OpenAI's files: the end is the highest id, whatever eos_token_id says.
    Shape("first", text={"eos_token_id": 2, "bos_token_id": 0}),
    Shape("gelu", image=(50, 14), dimensions=33,  # the last eight columns and rows are not seen
          vision={"hidden_act": "gelu", "layer_norm_eps": 1e-3, "num_hidden_layers": 1},
          text={"hidden_act": "gelu", "hidden_size": 42, "num_attention_heads": 2,
                "intermediate_size": 31, "max_position_embeddings": 9},
          processor={"size": {"shortest_edge": 57}, "resample": 2,
                     "image_mean": [0.1, 0.5, 0.7], "image_std": [0.2, 0.3, 0.4]}),
    Shape("squashed", image=(32, 8), vision={"hidden_act": "gelu_pytorch_tanh"},
          processor={"size": {"height": 40, "width": 36}}),
)  # fmt: skip

SIGLIPS = (
    Shape("siglip", tokenizer="siglip"),
    # Another activation, an image that patches do not fill, Gemma's kind of tokenizer.
    Shape("siglip2", tokenizer="siglip2", image=(45, 14),
          vision={"hidden_size": 42, "num_attention_heads": 3, "hidden_act": "gelu",
                  "num_hidden_layers": 1, "layer_norm_eps": 1e-3},
          text={"hidden_size": 20, "num_attention_heads": 2, "max_position_embeddings": 11},
          processor={"resample": 2}),
)  # fmt: skip

SHAPES = (*CLIPS, *SIGLIPS)


@dataclass(frozen=True)
class Made:
    """A checkpoint folder and the reference that reads it."""

    folder: Path
    shape: Shape

    @cached_property
    def model(self) -> Any:
        kind = CLIPModel if self.shape.clip else SiglipModel
        return kind.from_pretrained(self.folder).eval().float()

    @cached_property
    def tokenizer(self) -> Any:
        return dual_tokenizers.reference(self.shape.tokenizer, self.folder)

    @cached_property
    def processor(self) -> Any:
        kind = CLIPImageProcessorPil if self.shape.clip else SiglipImageProcessorPil
        return kind.from_pretrained(self.folder)

    def pixels(self, picture: np.ndarray) -> torch.Tensor:
        # The format is said, because the reference guesses wrong for pictures 1 or 3 pixels high.
        return self.processor(
            images=picture, return_tensors="pt", input_data_format="channels_last"
        )["pixel_values"].float()

    def ids(self, texts: list[str]) -> torch.Tensor:
        """(n, N): padded to the longest for CLIP, to all that the model reads for SigLIP."""
        length = self.model.config.text_config.max_position_embeddings
        padding = True if self.shape.clip else "max_length"
        return self.tokenizer(
            texts, padding=padding, truncation=True, max_length=length, return_tensors="pt"
        )["input_ids"]

    @torch.no_grad()
    def ask(self, picture: np.ndarray, texts: list[str]) -> Any:
        """Return transformers' outputs: `image_embeds`, `text_embeds` and the logits."""
        return self.model(input_ids=self.ids(texts), pixel_values=self.pixels(picture))


def make(
    folder: Path, shape: Shape = SHAPES[0], seed: int = 0, dtype: torch.dtype = torch.float32
) -> Made:
    """Write a checkpoint with random weights whose norms and biases are far from trivial."""
    torch.manual_seed(seed)
    model = shape.model(dual_tokenizers.save(shape.tokenizer, folder))
    randomize(model)
    model.to(dtype).save_pretrained(folder)
    shape.image_processor().save_pretrained(folder)
    return Made(folder, shape)


@torch.no_grad()
def randomize(model: Any) -> None:
    for name, parameter in model.named_parameters():
        noise = torch.randn_like(parameter)
        if "norm" in name or "layrnorm" in name:
            parameter.copy_(0.2 * noise + (1 if name.endswith("weight") else 0))
        elif name.startswith("logit"):
            parameter.fill_(1.5 if name == "logit_scale" else -0.7)
        elif name.endswith("bias"):
            parameter.copy_(0.1 * noise)
        elif "embedding" in name and "patch" not in name:
            parameter.copy_(0.5 * noise)
        elif parameter.dim() > 1:
            parameter.copy_(1.5 * noise * parameter[0].numel() ** -0.5)


def picture(seed: int = 0, wh: tuple[int, int] = (90, 60)) -> np.ndarray:
    """Return a random picture, (H, W, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (wh[1], wh[0], 3), dtype=np.uint8)
