"""Tiny random Segment Anything checkpoints, and transformers' own model of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import SamConfig, SamModel, SamProcessor
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

# Models this small only lose by threads, and a busy machine makes them lose a lot.
torch.set_num_threads(1)


@dataclass(frozen=True)
class Shape:
    """Sizes of a random checkpoint."""

    name: str
    image: tuple[int, int] = (96, 16)  # size, patch
    channels: int = 32
    vision: dict[str, Any] = field(default_factory=dict)
    decoder: dict[str, Any] = field(default_factory=dict)
    mask_channels: int = 8

    def config(self) -> SamConfig:
        size, patch = self.image
        vision = {
            "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "mlp_dim": 40,
            "window_size": 4, "global_attn_indexes": [1], "output_channels": self.channels,
            "num_pos_feats": self.channels // 2, "image_size": size, "patch_size": patch,
        }  # fmt: skip
        decoder = {
            "hidden_size": self.channels, "mlp_dim": 24, "num_attention_heads": 2,
            "iou_head_hidden_dim": 12,
        }  # fmt: skip
        prompts = {
            "hidden_size": self.channels, "image_size": size, "patch_size": patch,
            "mask_input_channels": self.mask_channels,
        }  # fmt: skip
        return SamConfig(
            vision_config={**vision, **self.vision},
            mask_decoder_config={**decoder, **self.decoder},
            prompt_encoder_config=prompts,
        )


SHAPES = (
    Shape("base"),  # 6 x 6 patches in windows of 4: the last ones stick out
    Shape("slim", vision={"hidden_size": 42, "num_attention_heads": 3, "mlp_dim": 31,
                          "window_size": 3, "num_hidden_layers": 4, "global_attn_indexes": [1, 3]},
          channels=16),
    Shape("odd", image=(80, 8), channels=24,
          vision={"window_size": 14, "use_abs_pos": False, "qkv_bias": False,
                  "layer_norm_eps": 1e-3},
          decoder={"num_hidden_layers": 3, "attention_downsample_rate": 1, "iou_head_depth": 4,
                   "num_multimask_outputs": 2, "layer_norm_eps": 1e-3}, mask_channels=4),
    Shape("plain", image=(64, 16),
          vision={"use_rel_pos": False, "window_size": 0, "mlp_dim": None, "mlp_ratio": 1.5},
          decoder={"iou_head_depth": 2, "num_hidden_layers": 1}),
)  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A checkpoint folder and the reference that reads it."""

    folder: Path
    shape: Shape

    @cached_property
    def model(self) -> Any:
        return SamModel.from_pretrained(self.folder).eval()

    @cached_property
    def processor(self) -> Any:
        return SamProcessor(SamImageProcessorPil.from_pretrained(self.folder))

    def inputs(self, picture: np.ndarray, **prompts: Any) -> Any:
        # The format is said, because the reference guesses wrong for pictures 1 or 3 pixels high.
        return self.processor(
            images=picture, return_tensors="pt", input_data_format="channels_last", **prompts
        )

    @torch.no_grad()
    def ask(self, picture: np.ndarray, *, multimask: bool = True, **prompts: Any) -> Any:
        """Return transformers' outputs, low-resolution masks included."""
        inputs = self.inputs(picture, **prompts)
        sizes = {k: inputs.pop(k) for k in ("original_sizes", "reshaped_input_sizes")}
        out = self.model(**_floats(inputs), multimask_output=multimask)
        out["masks"] = self.full(out.pred_masks, sizes, binarize=True)
        out["logits"] = self.full(out.pred_masks, sizes, binarize=False)
        return out

    def full(self, masks: Any, sizes: Any, *, binarize: bool) -> np.ndarray:
        (found,) = self.processor.image_processor.post_process_masks(
            masks, sizes["original_sizes"], sizes["reshaped_input_sizes"], binarize=binarize,
            pad_size=self.processor.image_processor.pad_size,
        )  # fmt: skip
        return found.numpy()


def _floats(inputs: Any) -> dict[str, Any]:
    return {k: v.float() if v.is_floating_point() else v for k, v in inputs.items()}


def make(
    folder: Path, shape: Shape = SHAPES[0], seed: int = 0, dtype: torch.dtype = torch.float32
) -> Made:
    """Write a checkpoint with random weights whose norms and biases are far from trivial."""
    torch.manual_seed(seed)
    model = SamModel(shape.config())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            if "layer_norm" in name:
                parameter.copy_(0.2 * noise + (1 if name.endswith("weight") else 0))
            elif name.endswith("bias"):
                parameter.copy_(0.1 * noise)
            elif "positional_embedding" in name:
                parameter.copy_(noise)
            elif "embed." in name or "token" in name.split(".")[-2] or "pos" in name:
                parameter.copy_(0.5 * noise)
            else:
                parameter.copy_(1.5 * noise * parameter[0].numel() ** -0.5)
    model.to(dtype).save_pretrained(folder)
    size = shape.image[0]
    processor = SamImageProcessorPil(
        size={"longest_edge": size}, pad_size={"height": size, "width": size}
    )
    processor.save_pretrained(folder)
    return Made(folder, shape)


def picture(seed: int = 0, wh: tuple[int, int] = (90, 60)) -> np.ndarray:
    """Return a random picture, (H, W, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (wh[1], wh[0], 3), dtype=np.uint8)
