"""Models that turn pictures into vectors, and some of them texts: one small interface for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.dual import CLIP, SIGLIP, DualEncoder, load_dual_encoder
from kosmoscope.errors import OptionError
from kosmoscope.geometry import XYXY
from kosmoscope.images import ImageSource, part_of, read_image
from kosmoscope.kinds import KINDS
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.scope import Scope, default_model, load
from kosmoscope.store.installed import resolve
from kosmoscope.store.kind import Step, kind_of

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


def dual_embedder(encoder: DualEncoder) -> Embedder:
    """Return a loaded CLIP or SigLIP as an embedder, of texts too."""

    def picture(image: ImageSource, box: XYXY | None) -> Float:
        if box is None:
            return encoder.embed_picture(image)
        return encoder.embed_picture(part_of(read_image(image, limits=encoder.limits).rgb, box))

    return Embedder(encoder.name, encoder.key, picture, lambda text: encoder.embed_text(text)[0])


def load_embedder(
    name_or_folder: str | Path | None = None,
    *,
    precision: str | None = None,
    threads: int | None = None,
    progress: Step | None = None,
) -> Embedder:
    """Load any model that makes vectors of pictures, by its name or folder.

    Args:
        name_or_folder: of a Kosmos-2, CLIP or SigLIP model; None for `default_model()`.
        precision: one of its kind's.
        threads: for arithmetic; None for one per processor.
        progress: called with the name of each step of a conversion.

    Raises:
        ModelNotFoundError: no such name or folder, or not downloaded yet.
        CheckpointError: a file of the model is wrong; the message names it.
        OptionError: a precision that it does not have, or a model that makes no vectors.
    """
    name = default_model() if name_or_folder is None else name_or_folder
    kind = kind_of(resolve(name, KINDS).folder, KINDS)
    if precision is not None:
        kind.check_precision(precision)
    if kind is KOSMOS2:
        chosen: Any = precision
        return scope_embedder(load(name, chosen, threads=threads, progress=progress))
    if kind in (CLIP, SIGLIP):
        chosen = precision
        return dual_embedder(load_dual_encoder(name, threads, progress, precision=chosen))
    raise OptionError(f"{name}: {kind.title} makes no vectors of pictures")
