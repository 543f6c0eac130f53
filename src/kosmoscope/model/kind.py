"""Kosmos-2 as a kind of model: what the store has to know of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kosmoscope.calibration import CALIBRATION, DETAIL
from kosmoscope.model.names import EMBEDDINGS, GENERATION, TOKENIZER
from kosmoscope.store.kind import CONFIG, PREPROCESSOR, ModelKind, Step
from kosmoscope.store.manifest import Manifest
from kosmoscope.store.source import SourceFiles

if TYPE_CHECKING:
    from kosmoscope.model.converted import Converted


def _write(stage: Path, source: SourceFiles, precision: str, step: Step) -> None:
    from kosmoscope.model.convert import write

    write(stage, source, precision, step)


def _open(folder: Path, manifest: Manifest) -> Converted:
    from kosmoscope.model.converted import Converted

    return Converted.of(folder, manifest)


KOSMOS2: ModelKind[Converted] = ModelKind(
    name="kosmos-2",
    title="Kosmos-2",
    files=(CONFIG, TOKENIZER, PREPROCESSOR),
    optional=(GENERATION, CALIBRATION, DETAIL),
    graphs=("vision.onnx", "decoder.onnx", "head.onnx", "structure.onnx", EMBEDDINGS),
    precisions=("fp32", "int8", "int4"),
    default="int8",
    version=2,
    write=_write,
    open=_open,
    aliases={"kosmos-2": "microsoft/kosmos-2-patch14-224"},
    packaged=("pocket",),
)
