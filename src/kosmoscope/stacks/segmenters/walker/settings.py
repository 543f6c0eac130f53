"""How the walker works: what can be chosen."""

from __future__ import annotations

from dataclasses import dataclass

from kosmoscope.errors import OptionError


@dataclass(frozen=True, slots=True)
class WalkerOptions:
    """Options of the random walker.

    Raises:
        OptionError: a value is out of its range.
    """

    work_voxels: int = 1_500_000
    """The whole is solved on a grid of at most so many voxels; borders then at full resolution."""
    data: float = 1.0
    """How much a voxel's own value counts beside its neighbours, 0 (the plain random walker) and
    up; 1 is as much as one neighbour in a flat place."""
    edge: float = 0.2
    """A step of the values by this part of the contrast between labels makes an edge weak."""
    connected: bool = True
    """Keep of each label what hangs together with a seed of it; islands get the next likely one."""

    def __post_init__(self) -> None:
        if self.work_voxels < 1000:
            raise OptionError(f"work_voxels is {self.work_voxels}; expected 1000 or more")
        if not 0 <= self.data <= 100:
            raise OptionError(f"data is {self.data:g}; expected 0 to 100")
        if not 0.01 <= self.edge <= 10:
            raise OptionError(f"edge is {self.edge:g}; expected 0.01 to 10")
