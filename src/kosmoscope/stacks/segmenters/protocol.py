"""What a segmenter of stacks takes and gives, and how one is known by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from kosmoscope.stacks.seeds import Marked
from kosmoscope.stacks.segmented import Segmented
from kosmoscope.stacks.volume import Volume


class StackSegmenter(Protocol):
    """Anything that turns marks on a few slices into labels of all voxels."""

    @property
    def name(self) -> str:
        """A short name for results and tables."""
        ...

    def segment(self, volume: Volume, marked: Marked) -> Segmented:
        """Return every voxel's label.

        Args:
            volume: may be mapped from a file; read it slice by slice.
            marked: labels' names, and the voxels that carry them already.

        Raises:
            InputError: the marks are not enough for this segmenter.
        """
        ...


@runtime_checkable
class CorrectingSegmenter(StackSegmenter, Protocol):
    """A segmenter that goes on from what it did before."""

    def correct(self, before: Segmented, more: Marked) -> Segmented:
        """Return a segmentation with marks added, computed anew where they change something."""
        ...


@dataclass(frozen=True, slots=True)
class StackSegmenterKind:
    """A segmenter of stacks that people can ask for by its name."""

    name: str
    """What people type."""
    summary: str
    """A clause for the help."""
    make: Callable[[], StackSegmenter]
    """With what it does unless told otherwise."""
