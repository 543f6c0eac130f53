"""Stacks: real anatomy beside scikit-image's random walker, and what it costs.

    python benchmarks/stacks.py anatomy
    python benchmarks/stacks.py walker [--step 2] [--minutes 9]
    python benchmarks/stacks.py cost
    python benchmarks/stacks.py frames

anatomy: the MNI T1 template that nilearn carries with its tissue maps: white matter from nine
points on three slices, brain from six on two. walker: scikit-image's plain random walker from the
same marks beside ours, on every so many voxels. cost: time and memory of cubes of 128 to 384
voxels, each in a process of its own, and of a correction. frames: a thing followed over thirty
frames of five made time lapses from a box on the first one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import nilearn
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

import machine
from kosmoscope.stacks import Box, Label, Seeds, Volume, Walker, measure, read_stack, segment_stack
from kosmoscope.stacks.segmenters.walker import WalkerOptions
from kosmoscope.stacks.volume import affine_of
from stacks_cases import lapse

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
        "background": [(5, 5, 80), (190, 225, 80)],
        "brain": [(127, 166, 80), (56, 132, 80), (73, 125, 60), (98, 60, 60)],
    },
    radius_mm=1.0,
)
SIZES = (128, 192, 256, 320, 384)


def template() -> tuple[Volume, dict[str, NDArray[np.bool_]], dict[str, float]]:
    """Return the T1, and of both tasks the true labels and the true ml."""
    white, grey = (
        np.asarray(nibabel.load(DATA / NAME.format(n)).dataobj).T.astype(np.float32) / 255
        for n in ("wm", "gm")
    )
    truth = {"white matter": white > 0.5, "brain": white + grey > 0.5}
    ml = {"white matter": float(white.sum() / 1000), "brain": float((white + grey).sum() / 1000)}
    return read_stack(DATA / NAME.format("t1")), truth, ml


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def anatomy() -> None:
    volume, truth, ml = template()
    for name, seeds in (("white matter", WHITE), ("brain", BRAIN)):
        marks = sum(len(label.points) for label in seeds.labels)
        slices = len({point[2] for label in seeds.labels for point in label.points})
        found = segment_stack(volume, seeds)
        (figures,) = measure(found)
        low, high = figures.interval_ml
        print(
            f"{name}: {marks} points on {slices} slices, Dice "
            f"{dice(found.labels == 1, truth[name]):.3f}, {found.seconds:.1f} s; "
            f"{figures.volume_ml:.0f} ml ({low:.0f} to {high:.0f}), whole voxels "
            f"{figures.label_ml:.0f}; the maps add up to {ml[name]:.0f}"
        )


def walker(step: int, minutes: float) -> None:
    """Run the other walker in a process that can be stopped."""
    for name in ("white matter", "brain"):
        child = multiprocessing.get_context("spawn").Process(target=_both, args=(name, step))
        child.start()
        child.join(minutes * 60)
        if child.is_alive():
            child.kill()
            print(f"{name}: theirs is not done after {minutes:g} minutes", flush=True)


def _both(name: str, step: int) -> None:
    from skimage.segmentation import random_walker

    whole, truths, _ = template()
    values = np.ascontiguousarray(whole.values()[::step, ::step, ::step])
    truth = truths[name][::step, ::step, ::step]
    volume = Volume(values, whole.affine @ np.diag([step, step, step, 1]))
    seeds = {"white matter": WHITE, "brain": BRAIN}[name]
    points = {label.name: whole.to_patient(label.points) for label in seeds.labels}
    marked = Seeds.of(points, space="ras", radius_mm=seeds.radius_mm).on(volume)
    ours = segment_stack(volume, marked)
    print(
        f"{name}, {values.size} voxels: ours Dice {dice(ours.labels == 1, truth):.3f}, "
        f"{ours.seconds:.1f} s",
        flush=True,
    )
    marks = np.zeros(values.shape, np.int32)
    marks[tuple(marked.kji.T)] = marked.labels + 1
    began = time.perf_counter()
    found = random_walker(values, marks, mode="cg_j", tol=1e-3)
    seconds = time.perf_counter() - began
    print(
        f"{name}: theirs Dice {dice(found == 2, truth):.3f}, {seconds:.0f} s, "
        f"{machine.peak_gb():.1f} GiB",
        flush=True,
    )


def frames() -> None:
    for seed in range(5):
        pictures, truth = lapse(30, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            for k, picture in enumerate(pictures):
                Image.fromarray(picture).save(Path(folder) / f"{k:03d}.png")
            volume = read_stack(folder, spacing_mm=(1, 1, 1))
            rows, columns = np.nonzero(truth[0])
            box = Box(0, (columns.min() - 2, rows.min() - 2, columns.max() + 2, rows.max() + 2))
            found = segment_stack(volume, Seeds((Label("cell", boxes=(box,)),)), "slices")
        overlaps = [
            float((a & b).sum() / (a | b).sum())
            for a, b in zip(found.labels == 1, truth, strict=True)
        ]
        print(
            f"time lapse {seed}: IoU {np.mean(overlaps):.3f} on average, {min(overlaps):.3f} at "
            f"least, {found.seconds / 30:.2f} s a frame"
        )


def phantom(side: int) -> tuple[Volume, Seeds]:
    """A cube of voxels with folded matter in it, as much border as a brain has."""
    rng = np.random.default_rng(side)
    axis = (np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1
    away = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None] ** 2)
    coarse = ndimage.gaussian_filter(rng.normal(size=(32, 32, 32)), 1.2).astype(np.float32)
    folds = ndimage.zoom(coarse / coarse.std(), side / 32, order=1)
    inner = away + 0.12 * folds < 0.62
    values = np.where(away < 0.85, np.float32(160), np.float32(10))
    values[inner] = 220
    values = ndimage.gaussian_filter(values, 0.6)
    values += rng.normal(0, 8, values.shape).astype(np.float32)
    inside = np.argwhere(inner & (away < 0.3))[::9001][:4, ::-1]
    middle = side // 2
    rim = int(side * (1 + 0.8) / 2)
    marks = {
        "background": [(2, 2, 2), (rim, middle, middle), (middle, rim, middle)],
        "matter": [tuple(float(v) for v in at) for at in inside],
    }
    return Volume(values.astype(np.int16), affine_of((1, 1, 1))), Seeds.of(marks, radius_mm=1.0)


def cost() -> None:
    print("| voxels | seconds | correction | peak memory |\n|---|---|---|---|")
    for side in SIZES:
        subprocess.run([sys.executable, __file__, "one", str(side)], check=True)


def one(side: int) -> None:
    volume, seeds = phantom(side)
    tool = Walker(WalkerOptions())
    # The peak so far is the making of the phantom: its own memory counts from here.
    found = segment_stack(volume, seeds, tool)
    middle = side // 2
    stroke = Seeds.of({"background": [(middle + n, middle, middle) for n in range(8)]})
    better = tool.correct(found, stroke.on(volume))
    print(
        f"| {side}^3 | {found.seconds:.1f} | {better.seconds:.2f} | "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB |",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("anatomy", "walker", "cost", "frames", "one"))
    parser.add_argument("side", type=int, nargs="?", default=256)
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=9)
    arguments = parser.parse_args()
    if arguments.task == "one":
        one(arguments.side)
    else:
        print(machine.describe())
        tasks = {
            "anatomy": anatomy,
            "cost": cost,
            "frames": frames,
            "walker": lambda: walker(arguments.step, arguments.minutes),
        }
        tasks[arguments.task]()
