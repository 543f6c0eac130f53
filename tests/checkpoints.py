"""Small random checkpoints of the hub's format, and transformers' own model of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    Kosmos2Config,
    Kosmos2ForConditionalGeneration,
    Kosmos2Processor,
    XLMRobertaTokenizer,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

import tiny_tokenizer

# Models this small only lose by threads, and a busy machine makes them lose a lot.
torch.set_num_threads(1)

GOLDEN = (
    "<grounding> An image of<phrase> a forest with fog</phrase>"
    "<object><patch_index_0224><patch_index_1023></object>"
)
PROMPTS = {
    "brief": "<grounding> An image of",
    "detailed": "<grounding> Describe this image in detail:",
    "grounding": "<grounding><phrase> a snowman</phrase>",
    "region": "<grounding><phrase> It</phrase><object><patch_index_0044><patch_index_0863></object>"
    " is",
    "vqa": "<grounding> Question: What is special about this image? Answer:",
    "vqa_region": "<grounding> Question: Where is<phrase> the fire</phrase><object>"
    "<patch_index_0005><patch_index_0911></object> next to? Answer:",
    "plain": "An image of",
}


@dataclass(frozen=True)
class Shape:
    """Sizes of a random checkpoint."""

    name: str
    text: tuple[int, int, int, int] = (96, 3, 200, 4)  # width, layers, ffn, heads
    vision: tuple[int, int, int, int] = (64, 3, 128, 4)
    image: tuple[int, int] = (56, 14)  # size, patch
    latents: int = 9
    pieces: int = 120
    tied: bool = True
    scale_embedding: bool = True


SHAPES = (
    Shape("base"),
    Shape("deep", text=(64, 6, 96, 8), vision=(32, 5, 64, 2), image=(42, 14), latents=16),
    Shape("wide", text=(256, 2, 320, 4), vision=(96, 2, 384, 6), image=(64, 16), latents=5),
    Shape("untied", text=(48, 2, 130, 2), vision=(40, 1, 100, 5), image=(80, 8), latents=33,
          pieces=150, tied=False),
    Shape("odd", text=(120, 4, 72, 3), vision=(72, 4, 90, 3), image=(60, 12), latents=1,
          scale_embedding=False),
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A checkpoint folder and the reference that reads it."""

    folder: Path
    shape: Shape

    @cached_property
    def model(self) -> Any:
        return Kosmos2ForConditionalGeneration.from_pretrained(self.folder).eval()

    @cached_property
    def processor(self) -> Any:
        images = CLIPImageProcessorPil.from_pretrained(self.folder)
        tokenizer = XLMRobertaTokenizer.from_pretrained(self.folder)
        return Kosmos2Processor(images, tokenizer)

    def inputs(self, prompt: str, image: Image.Image) -> dict[str, torch.Tensor]:
        latents = self.shape.latents
        found = self.processor(
            text=prompt, images=image, return_tensors="pt", num_image_tokens=latents
        )
        return {k: found[k] for k in ("pixel_values", "input_ids", "attention_mask",
                                      "image_embeds_position_mask")}  # fmt: skip

    @torch.no_grad()
    def generate(self, prompt: str, image: Image.Image, tokens: int, **options: Any) -> list[int]:
        """Return transformers' generated ids, without the prompt."""
        inputs = self.inputs(prompt, image)
        ids = self.model.generate(**inputs, max_new_tokens=tokens, do_sample=False, **options)
        return ids[0, inputs["input_ids"].shape[1] :].tolist()


def make(folder: Path, shape: Shape, seed: int = 0, dtype: torch.dtype = torch.float32) -> Made:
    """Write a checkpoint with random weights whose norms and biases are far from trivial."""
    tokenizer = tiny_tokenizer.save(folder, shape.pieces)
    vocabulary = tiny_tokenizer.build_tokenizer(shape.pieces).get_vocab_size()
    assert tokenizer.exists()
    width, layers, ffn, heads = shape.text
    v_width, v_layers, v_ffn, v_heads = shape.vision
    size, patch = shape.image
    config = Kosmos2Config(
        text_config={
            "vocab_size": vocabulary, "embed_dim": width, "layers": layers, "ffn_dim": ffn,
            "attention_heads": heads, "scale_embedding": shape.scale_embedding,
            "max_position_embeddings": 512, "tie_word_embeddings": shape.tied,
        },
        vision_config={
            "hidden_size": v_width, "intermediate_size": v_ffn, "num_hidden_layers": v_layers,
            "num_attention_heads": v_heads, "image_size": size, "patch_size": patch,
        },
        latent_query_num=shape.latents,
        tie_word_embeddings=shape.tied,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = Kosmos2ForConditionalGeneration(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            if "norm" in name or "_ln" in name:
                parameter.add_(0.2 * noise)
            elif name.endswith("bias"):
                parameter.add_(0.1 * noise)
            elif "embed_tokens" in name:
                # Small beside what the layers add: with a tied head, a large embedding would make
                # every token predict itself.
                parameter.copy_(0.1 * noise * width**-0.5)
                parameter[1].zero_()
            elif parameter.ndim == 2:
                parameter.copy_(2 * noise * parameter.shape[1] ** -0.5)
    model.to(dtype).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor(size)))
    return Made(folder, shape)


def preprocessor(size: int) -> dict[str, Any]:
    """Return the released preprocessor_config.json at another size.

    Without its `use_square_size`, which makes transformers resize to 224 whatever `size` says.
    """
    return {
        "crop_size": {"height": size, "width": size},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_processor_type": "CLIPImageProcessor",
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "processor_class": "Kosmos2Processor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": size, "width": size},
    }


def picture(seed: int = 0, size: tuple[int, int] = (90, 60)) -> Image.Image:
    """Return a colourful random picture, smooth enough to survive resizing."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
