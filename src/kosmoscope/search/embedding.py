"""Models that turn pictures into vectors, and some of them texts: one small interface for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.geometry import XYXY
from kosmoscope.images import ImageSource
from kosmoscope.scope import Scope

Float = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Embedder:
    """A model as far as vectors are concerned."""

    name: str
    """By which it is loaded."""
    key: str
    """Which weights at which precision: vectors of two keys are never compared."""
    picture: Callable[[ImageSource, XYXY | None], Float]
    """The vector (D,) of a picture, or of what lies in a normalised box of it.
    Raises `ImageError` where it cannot be read."""
    text: Callable[[str], Float] | None = None
    """The vector (D,) of a text, in the pictures' space; None: it has none."""


def scope_embedder(scope: Scope) -> Embedder:
    """Return a loaded Kosmos-2 or pocket as an embedder; see `Scope.embed`."""
    return Embedder(scope.model, scope.engine.key, scope.embed)
