"""What a segmenter of stacks gives: every voxel with exactly one name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import InputError
from kosmoscope.stacks.volume import Volume

REST = "background"
"""The name of label 0: what nobody named."""


@dataclass(frozen=True, slots=True, eq=False)
class Segmented:
    """Labels on a volume's own grid."""

    volume: Volume
    labels: NDArray[np.uint8]
    """(K, J, I), read-only: an index into `names`."""
    names: tuple[str, ...]
    """What each label stands for; the first is "background"."""
    segmenter: str
    seconds: float = 0.0
    sure: NDArray[np.uint8] | None = None
    """(K, J, I): the probability of each voxel's label, 0..255; None where the segmenter has
    none."""
    state: Any = field(default=None, repr=False)
    """What the segmenter needs for a correction."""

    def __post_init__(self) -> None:
        if self.labels.shape != self.volume.shape:
            raise InputError(
                f"labels of shape {self.labels.shape} on a volume of {self.volume.shape}"
            )
        if not self.names or self.names[0] != REST or len(set(self.names)) < len(self.names):
            raise InputError(f"names are {REST!r} first and each once; got {self.names}")
        if int(self.labels.max()) >= len(self.names):
            raise InputError(f"label {int(self.labels.max())} has no name")
        for array in (self.labels, self.sure):
            if array is not None:
                array.setflags(write=False)

    def __repr__(self) -> str:
        counts = self.voxels()
        parts = "\n".join(f"  {n}. {name!r}  {counts[n]}" for n, name in enumerate(self.names))
        return f"Segmented({self.volume!r} by {self.segmenter}\n{parts})"

    def voxels(self) -> list[int]:
        """Voxels of each label, from 0; they add up to the volume."""
        found = np.zeros(len(self.names), np.int64)
        for layer in self.labels:  # a layer at a time: bincount makes eight bytes of each voxel
            found += np.bincount(layer.ravel(), minlength=len(self.names))
        return [int(n) for n in found]

    def number(self, name: str) -> int:
        """Return the label of a name. Raises `InputError` if there is none."""
        try:
            return self.names.index(name)
        except ValueError:
            raise InputError(f"{name!r}: expected one of {', '.join(self.names)}") from None
