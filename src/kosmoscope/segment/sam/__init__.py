"""Segment Anything through ONNX Runtime: a picture encoded once, a mask for each box or click."""

from kosmoscope.segment.sam.segmenter import (
    Answer,
    EncodedPicture,
    SamPrecision,
    SamSegmenter,
    load_sam,
)
from kosmoscope.segment.sam.source import KNOWN

__all__ = ["KNOWN", "Answer", "EncodedPicture", "SamPrecision", "SamSegmenter", "load_sam"]
