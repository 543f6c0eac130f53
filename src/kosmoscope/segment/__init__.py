"""Boxes to masks: segmenters behind one small protocol.

`protocol` says what goes in and comes out, `registry` which there are; `classical` needs OpenCV and
no weights. `salience` needs no box: it tells what a picture is about. What is named here comes when
it is first used: the command line asks the registry for its help, and needs no NumPy for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kosmoscope.segment.protocol import BoxPrompt, Point, Proposal, Segmenter
    from kosmoscope.segment.run import load_segmenter
    from kosmoscope.segment.salience.subject import Salient, salient
    from kosmoscope.segment.segmentation import Segmentation

__all__ = [
    "BoxPrompt",
    "Point",
    "Proposal",
    "Salient",
    "Segmentation",
    "Segmenter",
    "load_segmenter",
    "salient",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kosmoscope.segment import protocol, run, segmentation
    from kosmoscope.segment.salience import subject

    rooms = {"load_segmenter": run, "Segmentation": segmentation, "Salient": subject}
    room = {**rooms, "salient": subject}.get(name, protocol)
    return getattr(room, name)
