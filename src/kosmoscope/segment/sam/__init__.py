"""Segment Anything through ONNX Runtime: a picture encoded once, a mask for each box or click."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kosmoscope.segment.sam.kind import SAM

if TYPE_CHECKING:
    from kosmoscope.segment.sam.segmenter import (
        Answer,
        EncodedPicture,
        SamPrecision,
        SamSegmenter,
        load_sam,
    )

__all__ = ["SAM", "Answer", "EncodedPicture", "SamPrecision", "SamSegmenter", "load_sam"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kosmoscope.segment.sam import segmenter

    return getattr(segmenter, name)
