"""A Segment Anything checkpoint's graphs, and its converted folder opened.

Of its own it has encoder.onnx and decoder.onnx, and the weights beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kosmoscope.model.quantization import PRECISIONS
from kosmoscope.segment.sam.config import SamConfig
from kosmoscope.segment.sam.decoder import write_decoder
from kosmoscope.segment.sam.encoder import write_encoder
from kosmoscope.segment.sam.names import DECODER, ENCODER
from kosmoscope.segment.sam.pictures import SquareSpec
from kosmoscope.segment.sam.tensors import SamCheckpoint
from kosmoscope.store.kind import CONFIG, PREPROCESSOR, Step
from kosmoscope.store.manifest import Manifest
from kosmoscope.store.source import SourceFiles


@dataclass(frozen=True, slots=True)
class ConvertedSam:
    """An opened converted folder: checked, nothing loaded yet."""

    folder: Path
    manifest: Manifest
    config: SamConfig
    square: SquareSpec

    @classmethod
    def of(cls, folder: Path, manifest: Manifest) -> ConvertedSam:
        """Open a folder whose manifest is read and whose files are all there.

        Raises:
            CheckpointError: a file is not what it should be; the message names it.
        """
        return cls(folder, manifest, *_checked(folder))


def write(stage: Path, source: SourceFiles, precision: str, step: Step) -> None:
    """Check a checkpoint and write its graphs; see `ModelKind.write`.

    The precision is that of the encoder's large matrices; the decoder is small and stays fp32.
    """
    config, _ = _checked(source.folder)
    checkpoint = SamCheckpoint(source.weights, config)
    step("mask decoder")
    write_decoder(stage / DECODER, config, checkpoint)
    step("image encoder")
    kept = next(p for p in PRECISIONS if p == precision)
    write_encoder(stage / ENCODER, config, checkpoint, kept)


def _checked(folder: Path) -> tuple[SamConfig, SquareSpec]:
    config = SamConfig.from_file(folder / CONFIG)
    return config, SquareSpec.from_file(folder / PREPROCESSOR, config.encoder.image_size)
