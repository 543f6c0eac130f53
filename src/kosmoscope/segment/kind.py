"""A segmenter that people can ask for by its name is one record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosmoscope.store.kind import ModelKind

if TYPE_CHECKING:
    from kosmoscope.segment.protocol import Segmenter


@dataclass(frozen=True, slots=True)
class SegmenterKind:
    """What `load_segmenter` and the command line have to know of a segmenter.

    Light on purpose: what is heavy is imported inside `load`.
    """

    name: str
    """What people type."""
    summary: str
    """A clause for the help."""
    load: Callable[[str | Path, int | None], Segmenter]
    """Called with `name`, or a name or folder of a model of `model`, and with the threads for
    arithmetic, None for one per processor."""
    model: ModelKind[Any] | None = None
    """The kind of model that it runs, whose names and folders then mean this segmenter too."""
