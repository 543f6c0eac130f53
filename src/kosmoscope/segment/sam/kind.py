"""Segment Anything as a kind of model and as a segmenter: what the registries know of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kosmoscope.segment.kind import SegmenterKind
from kosmoscope.store.kind import CONFIG, PREPROCESSOR, ModelKind, Step
from kosmoscope.store.manifest import Manifest
from kosmoscope.store.source import SourceFiles

if TYPE_CHECKING:
    from kosmoscope.segment.protocol import Segmenter
    from kosmoscope.segment.sam.converted import ConvertedSam

ENCODER = "encoder.onnx"
DECODER = "decoder.onnx"


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
    version=1,
    write=_write,
    open=_open,
    aliases={  # both Apache-2.0
        "sam-vit-base": "facebook/sam-vit-base",
        "slimsam-77": "nielsr/slimsam-77-uniform",
        "sam": "facebook/sam-vit-base",
    },
)


def _load(name_or_folder: str | Path, threads: int | None) -> Segmenter:
    from kosmoscope.segment.sam.segmenter import load_sam

    return load_sam(name_or_folder, threads)


SAM_SEGMENTER = SegmenterKind(
    name="sam",
    summary="sam those of a Segment-Anything checkpoint (`kosmoscope pull sam-vit-base`)",
    load=_load,
    model=SAM,
)
