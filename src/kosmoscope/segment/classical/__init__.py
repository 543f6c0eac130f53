"""Boxes to masks by colour, texture, borders and place: needs OpenCV, no large model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kosmoscope.segment.classical.segmenter import ClassicalSegmenter

__all__ = ["ClassicalSegmenter"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kosmoscope.segment.classical import segmenter

    return getattr(segmenter, name)
