"""What a picture is about, as a soft mask: U2-Net-p, which ships; needs neither box nor model.

network    the picture through the graph: a coarse map, and how sure it is
edges      that map at the picture's own size, its border on the picture's edges
subject    `salient`, and its result, a `Segmentation` that keeps the soft mask
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kosmoscope.segment.salience.network import Look, Salience
    from kosmoscope.segment.salience.subject import Salient, salient, segment_salient

__all__ = ["Look", "Salience", "Salient", "salient", "segment_salient"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kosmoscope.segment.salience import network, subject

    return getattr(network if name in ("Look", "Salience") else subject, name)
