"""Tiny random CLIP checkpoints, and transformers' own model of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import pre_tokenizers
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

# Models this small only lose by threads, and a busy machine makes them lose a lot.
torch.set_num_threads(1)

WORDS = ("a", "an", "the", "photo", "of", "dog", "cat", "tree", "two", "red", "sky", "on", "and",
         "snowman", "don't")  # fmt: skip
START, END = "<|startoftext|>", "<|endoftext|>"

TEXTS = (
    "a photo of a dog",
    "  Two RED\tcats, on 3 trees!  ",
    "don't",
    "Ærøskøbing: 東京 🙂 e\u0301",
    "a dog and a cat in the sky " * 12,  # longer than any model here reads
    "...",
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

    def config(self, vocabulary: int) -> CLIPConfig:
        size, patch = self.image
        vision = {
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
            "num_attention_heads": 4, "image_size": size, "patch_size": patch,
        }  # fmt: skip
        text = {
            "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
            "num_attention_heads": 3, "max_position_embeddings": 20, "vocab_size": vocabulary,
            "bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1,
        }  # fmt: skip
        return CLIPConfig(
            vision_config={**vision, **self.vision},
            text_config={**text, **self.text},
            projection_dim=self.dimensions,
        )


SHAPES = (
    Shape("base"),
    # As OpenAI's files: the end is the highest id, whatever eos_token_id says.
    Shape("first", text={"eos_token_id": 2, "bos_token_id": 0}),
    Shape("gelu", image=(50, 14), dimensions=33,  # the last two columns and rows are not seen
          vision={"hidden_act": "gelu", "layer_norm_eps": 1e-3, "num_hidden_layers": 1},
          text={"hidden_act": "gelu", "hidden_size": 42, "num_attention_heads": 2,
                "intermediate_size": 31, "max_position_embeddings": 9},
          processor={"size": {"shortest_edge": 57}, "resample": 2,
                     "image_mean": [0.1, 0.5, 0.7], "image_std": [0.2, 0.3, 0.4]}),
    Shape("squashed", image=(32, 8), vision={"hidden_act": "gelu_pytorch_tanh"},
          processor={"size": {"height": 40, "width": 36}}),
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A checkpoint folder and the reference that reads it."""

    folder: Path
    shape: Shape

    @cached_property
    def model(self) -> Any:
        return CLIPModel.from_pretrained(self.folder).eval().float()

    @cached_property
    def tokenizer(self) -> Any:
        return CLIPTokenizer.from_pretrained(self.folder)

    @cached_property
    def processor(self) -> Any:
        return CLIPImageProcessorPil.from_pretrained(self.folder)

    def pixels(self, picture: np.ndarray) -> torch.Tensor:
        # The format is said, because the reference guesses wrong for pictures 1 or 3 pixels high.
        return self.processor(
            images=picture, return_tensors="pt", input_data_format="channels_last"
        )["pixel_values"].float()

    def tokens(self, texts: list[str]) -> Any:
        length = self.model.config.text_config.max_position_embeddings
        return self.tokenizer(
            texts, padding=True, truncation=True, max_length=length, return_tensors="pt"
        )

    @torch.no_grad()
    def ask(self, picture: np.ndarray, texts: list[str]) -> Any:
        """Return transformers' outputs: `image_embeds`, `text_embeds` and the logits."""
        return self.model(**self.tokens(texts), pixel_values=self.pixels(picture))


def clip_tokenizer() -> CLIPTokenizer:
    """A byte-level vocabulary with a few whole words; the ends have the highest ids, as released.

    Of the bytes some are missing, so that there are unknown characters, which CLIP's tokenizer
    takes for the end of a text.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())[:200]
    pieces = [*letters, *(c + "</w>" for c in letters)]
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        *first, last = word
        known, parts = "", [*first, last + "</w>"]
        for part in parts:
            if known and (known, part) not in merges:
                merges.append((known, part))
                pieces.append(known + part)
            known += part
    vocabulary = {p: i for i, p in enumerate([*dict.fromkeys(pieces), START, END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def make(
    folder: Path, shape: Shape = SHAPES[0], seed: int = 0, dtype: torch.dtype = torch.float32
) -> Made:
    """Write a checkpoint with random weights whose norms and biases are far from trivial."""
    torch.manual_seed(seed)
    tokenizer = clip_tokenizer()
    model = CLIPModel(shape.config(len(tokenizer)))
    randomize(model)
    model.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = shape.image[0]
    sizes = {"size": {"shortest_edge": size}, "crop_size": {"height": size, "width": size}}
    CLIPImageProcessorPil(**{**sizes, **shape.processor}).save_pretrained(folder)
    return Made(folder, shape)


@torch.no_grad()
def randomize(model: Any) -> None:
    for name, parameter in model.named_parameters():
        noise = torch.randn_like(parameter)
        if "norm" in name or "layrnorm" in name:
            parameter.copy_(0.2 * noise + (1 if name.endswith("weight") else 0))
        elif name.endswith("bias"):
            parameter.copy_(0.1 * noise)
        elif "embedding" in name and "patch" not in name:
            parameter.copy_(0.5 * noise)
        elif parameter.dim() > 1:
            parameter.copy_(1.5 * noise * parameter[0].numel() ** -0.5)


def picture(seed: int = 0, wh: tuple[int, int] = (90, 60)) -> np.ndarray:
    """Return a random picture, (H, W, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (wh[1], wh[0], 3), dtype=np.uint8)
