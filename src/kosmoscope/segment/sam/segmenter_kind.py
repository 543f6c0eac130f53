"""Segment Anything, as the registry of segmenters has to know it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kosmoscope.segment.kind import SegmenterKind
from kosmoscope.segment.sam.kind import SAM

if TYPE_CHECKING:
    from kosmoscope.segment.protocol import Segmenter


def _load(name_or_folder: str | Path, threads: int | None) -> Segmenter:
    from kosmoscope.segment.sam.segmenter import load_sam

    return load_sam(name_or_folder, threads)


SAM_SEGMENTER = SegmenterKind(
    name="sam",
    summary="sam those of a Segment-Anything checkpoint (`kosmoscope pull sam-vit-base`)",
    load=_load,
    model=SAM,
)
