"""The classical segmenter, as the registry has to know it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kosmoscope.segment.kind import SegmenterKind

if TYPE_CHECKING:
    from kosmoscope.segment.protocol import Segmenter


def _load(name_or_folder: str | Path, threads: int | None) -> Segmenter:  # noqa: ARG001
    from kosmoscope.segment.classical.segmenter import ClassicalSegmenter

    return ClassicalSegmenter()


CLASSICAL_SEGMENTER = SegmenterKind(
    name="classical", summary="classical needs no weights", load=_load
)
