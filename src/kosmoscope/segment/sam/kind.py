"""Segment Anything as a kind of model: what the store has to know of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kosmoscope.segment.sam.names import DECODER, ENCODER
from kosmoscope.store.kind import CONFIG, PREPROCESSOR, ModelKind, Step
from kosmoscope.store.manifest import Manifest
from kosmoscope.store.source import SourceFiles

if TYPE_CHECKING:
    from kosmoscope.segment.sam.converted import ConvertedSam


def _write(stage: Path, source: SourceFiles, precision: str, step: Step) -> None:
    from kosmoscope.segment.sam.converted import write

    write(stage, source, precision, step)


def _open(folder: Path, manifest: Manifest) -> ConvertedSam:
    from kosmoscope.segment.sam.converted import ConvertedSam

    return ConvertedSam.of(folder, manifest)


SAM: ModelKind[ConvertedSam] = ModelKind(
    name="sam",
    title="Segment Anything",
    files=(CONFIG, PREPROCESSOR),
    graphs=(ENCODER, DECODER),
    precisions=("fp32", "int8"),
    default="fp32",
    version=2,
    write=_write,
    open=_open,
    aliases={  # both Apache-2.0
        "sam-vit-base": "facebook/sam-vit-base",
        "slimsam-77": "nielsr/slimsam-77-uniform",
        "sam": "facebook/sam-vit-base",
    },
)
