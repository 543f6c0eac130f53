"""CLIP and SigLIP as kinds of models: what the store has to know of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kosmoscope.dual.names import LOGITS, TEXT, TOKENIZER, TOKENIZER_CONFIG, VISION
from kosmoscope.store.kind import CONFIG, PREPROCESSOR, ModelKind, Step
from kosmoscope.store.manifest import Manifest
from kosmoscope.store.source import SourceFiles

if TYPE_CHECKING:
    from kosmoscope.dual.converted import ConvertedDual


def _write(stage: Path, source: SourceFiles, precision: str, step: Step) -> None:
    from kosmoscope.dual.converted import write

    write(stage, source, precision, step)


def _open(folder: Path, manifest: Manifest) -> ConvertedDual:
    from kosmoscope.dual.converted import ConvertedDual

    return ConvertedDual.of(folder, manifest)


CLIP: ModelKind[ConvertedDual] = ModelKind(
    name="clip",
    title="CLIP",
    files=(CONFIG, TOKENIZER, PREPROCESSOR),
    graphs=(VISION, TEXT, LOGITS),
    precisions=("fp32", "int8"),
    default="fp32",
    version=1,
    write=_write,
    open=_open,
    aliases={  # MIT
        "clip-vit-base-patch32": "openai/clip-vit-base-patch32",
        "clip-vit-large-patch14": "openai/clip-vit-large-patch14",
    },
)

SIGLIP: ModelKind[ConvertedDual] = ModelKind(
    name="siglip",
    title="SigLIP",
    # Which token pads a text, and what is done to it first, only the tokenizer's config says.
    files=(CONFIG, TOKENIZER, TOKENIZER_CONFIG, PREPROCESSOR),
    graphs=(VISION, TEXT, LOGITS),
    precisions=("fp32", "int8"),
    default="fp32",
    version=1,
    write=_write,
    open=_open,
    aliases={  # Apache-2.0
        "siglip-base-patch16-224": "google/siglip-base-patch16-224",
        "siglip2-base-patch16-224": "google/siglip2-base-patch16-224",
    },
)
