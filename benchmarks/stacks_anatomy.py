"""Real anatomy for the figures of stacks: the MNI template as nilearn has it, and marks on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel
import nilearn
import numpy as np
from numpy.typing import NDArray

from kosmoscope.stacks import Seeds, Volume, read_stack

DATA = Path(nilearn.__file__).parent / "datasets" / "data"
NAME = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
WHITE = Seeds.of(
    {
        "background": [(73, 125, 60), (56, 132, 80), (102, 106, 100), (29, 84, 80), (5, 5, 80)],
        "white matter": [(60, 99, 100), (127, 166, 80), (44, 102, 80), (119, 128, 100)],
    },
    radius_mm=1.0,
)
BRAIN = Seeds.of(
    {
        "background": [(5, 5, 80), (190, 225, 80), (95, 147, 80), (101, 147, 80)],
        "brain": [(127, 166, 80), (56, 132, 80), (73, 125, 60), (98, 60, 60)],
    },
    radius_mm=1.0,
)
HEAD_WHITE = Seeds.of(
    {
        "background": [(-85, 85, 20), (-8, 8, 20), (-66, 29, 20), (-73, -49, 20), (-77, -9, 20)],
        "white matter": [(-24, -20, 28), (28, -20, 28), (-36, -60, 0)],
    },
    space="ras",
    radius_mm=1.0,
)
HEAD_BRAIN = Seeds.of(
    {
        "background": [(-85, 85, 20), (-8, 8, 20), (8, 8, 20)],
        "brain": [(-24, -20, 28), (28, -20, 28), (-36, -60, 0), (0, 50, 20)],
    },
    space="ras",
    radius_mm=1.0,
)


@dataclass(frozen=True, eq=False)
class Task:
    """Something to be found, from marks of which the last label is its name."""

    name: str
    volume: Volume
    seeds: Seeds
    truth: NDArray[np.bool_]
    """(K, J, I): where the map says more than one half."""
    true_ml: float
    """What the map adds up to."""

    @property
    def marks(self) -> str:
        """How many points on how many slices."""
        points = [point for label in self.seeds.labels for point in label.points]
        return f"{len(points)} points, {len({point[2] for point in points})} slices"

    def every(self, step: int) -> Task:
        """Return the task on every so many voxels along each axis, the marks where they are."""
        whole = self.volume
        values = np.ascontiguousarray(whole.values()[::step, ::step, ::step])
        volume = Volume(values, whole.affine @ np.diag([step, step, step, 1]))
        points = {label.name: whole.to_patient(label.points) for label in self.seeds.labels}
        seeds = Seeds.of(points, space="ras", radius_mm=self.seeds.radius_mm)
        return Task(self.name, volume, seeds, self.truth[::step, ::step, ::step], self.true_ml)


def template() -> list[Task]:
    """Return the tasks on the template's T1."""
    white, grey = (
        np.asarray(nibabel.load(DATA / NAME.format(n)).dataobj).T.astype(np.float32) / 255
        for n in ("wm", "gm")
    )
    volume = read_stack(DATA / NAME.format("t1"))
    both = white + grey
    return [
        Task("white matter", volume, WHITE, white > 0.5, float(white.sum() / 1000)),
        Task("brain", volume, BRAIN, both > 0.5, float(both.sum() / 1000)),
    ]


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())
