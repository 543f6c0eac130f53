"""Dual encoders, CLIP and SigLIP: pictures and texts as vectors in one space.

One tower reads a picture, the other a text, and what belongs together lies close together. What is
named here comes when it is first used: the kinds of models must be known at every start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kosmoscope.dual.kind import CLIP, SIGLIP

if TYPE_CHECKING:
    from kosmoscope.dual.encoder import DualEncoder, DualPrecision, load_dual_encoder

__all__ = ["CLIP", "SIGLIP", "DualEncoder", "DualPrecision", "load_dual_encoder"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kosmoscope.dual import encoder

    return getattr(encoder, name)
