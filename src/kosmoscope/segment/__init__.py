"""Boxes to masks: segmenters behind one small protocol.

`protocol` says what goes in and comes out, `registry` which there are; `classical` needs OpenCV and
no weights. What is named here comes when it is first used: the command line asks the registry for
its help, and needs no NumPy for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kosmoscope.segment.protocol import BoxPrompt, Point, Proposal, Segmenter
    from kosmoscope.segment.run import load_segmenter
    from kosmoscope.segment.segmentation import Segmentation

__all__ = ["BoxPrompt", "Point", "Proposal", "Segmentation", "Segmenter", "load_segmenter"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kosmoscope.segment import protocol, run, segmentation

    room = {"load_segmenter": run, "Segmentation": segmentation}.get(name, protocol)
    return getattr(room, name)
