"""U2-Net-p on ONNX Runtime: which pixels are of what the picture is about.

The graph (`recipes/salience` makes it) takes any size whose sides are multiples of 32. The authors
squash pictures to 320 x 320; here the aspect is kept, which is as good and fewer pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.engine.sessions import open_session, thread_count
from kosmoscope.errors import OptionError
from kosmoscope.images import PixelSpec, fitting, pixel_tensor
from kosmoscope.segment.protocol import check_picture
from kosmoscope.segment.salience.edges import refined

GRAPH: Final = Path(__file__).parent / "u2netp.onnx"
SIDE: Final = 320
"""Longer side of what the network sees: docs/salient.md has overlap and time of others."""
STRIDE: Final = 32
LARGEST: Final = 1024
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SHARPER: Final = 2.0
"""Logits are multiplied: the network's ramps are wider than true edges are."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What the network makes of a picture."""

    matte: NDArray[np.uint8] = field(repr=False)
    """(H, W) of the upright picture, 0..255: how much of each pixel belongs to it."""
    score: float
    """0..1: the overlap (IoU) to be expected of the mask, if the network's map is true.

    It tells how sure the network is of the outline of what it chose, not that people would choose
    the same: docs/salient.md has how far it is off."""


class Salience:
    """The loaded network. Safe to use from several threads.

    Args:
        threads: for arithmetic; None for one per processor.
        side: of what the network sees, the longer one, in pixels.

    Raises:
        OptionError: a side that is no multiple of 32 from 32 to 1024, or threads out of range.
        CheckpointError: the runtime refuses the graph.
    """

    name = "salient"

    def __init__(self, *, threads: int | None = None, side: int = SIDE) -> None:
        count = thread_count(threads)
        if isinstance(side, bool) or side not in range(STRIDE, LARGEST + 1, STRIDE):
            raise OptionError(f"side is {side!r}; expected a multiple of {STRIDE} to {LARGEST}")
        self.side = side
        self._session: Any = open_session(GRAPH, count, optimize=True)

    def look(self, picture: NDArray[np.uint8]) -> Look:
        """Tell what a picture is about.

        Args:
            picture: (H, W, 3) uint8 RGB, upright.

        Raises:
            InputError: it is not such an array.
        """
        check_picture(picture)
        small = shrunk(picture, self.side)
        logits = self.logits(small)
        score = expected_overlap(_sigmoid(logits))
        return Look(refined(picture, _sigmoid(_SHARPER * logits), small), score)

    def logits(self, small: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the network's answer, (h, w) float32, to a picture whose sides fit.

        Args:
            small: (h, w, 3) uint8 as `shrunk` makes it.
        """
        height, width = small.shape[:2]
        # The brightest value is 1, as the authors have it.
        factor = 1 / max(int(small.max()), 1)
        spec = PixelSpec((width, height), int(Image.Resampling.LANCZOS), _MEAN, _STD, factor)
        (out,) = self._session.run(None, {"pixels": pixel_tensor(small, spec)[None]})
        found: NDArray[np.float32] = out[0, 0]
        return found


@lru_cache(maxsize=4)
def shared_salience(threads: int | None = None, side: int = SIDE) -> Salience:
    """Return the network, the same one each time: who asks picture by picture loads it once."""
    return Salience(threads=threads, side=side)


def shrunk(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the picture at the size nearest to `side` whose sides are multiples of `STRIDE`."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize(fitting(image.size, side, STRIDE), Image.Resampling.LANCZOS))


def expected_overlap(likely: NDArray[np.float32]) -> float:
    """Return the overlap (IoU) to be expected of the mask over one half, if a map is true.

    That is the sum of what lies inside, over its area plus the sum of what lies outside: 0..1, and
    0 of an empty mask.

    Args:
        likely: (h, w), 0..1.
    """
    inside = likely > 0.5
    within, without = float(likely[inside].sum()), float(likely[~inside].sum())
    return within / (int(inside.sum()) + without) if within else 0.0


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    # Of large negative numbers exp overflows, and 1 / infinity is right.
    with np.errstate(over="ignore"):
        found = np.float32(1) / (np.float32(1) + np.exp(-x))
    return found.astype(np.float32, copy=False)
