"""The segmenters that there are: one line each."""

from __future__ import annotations

from kosmoscope.registry import Registry
from kosmoscope.segment.classical.segmenter_kind import CLASSICAL_SEGMENTER
from kosmoscope.segment.kind import SegmenterKind
from kosmoscope.segment.sam.segmenter_kind import SAM_SEGMENTER

SEGMENTERS: Registry[SegmenterKind] = Registry(
    "segmenter",
    CLASSICAL_SEGMENTER,
    SAM_SEGMENTER,
)
