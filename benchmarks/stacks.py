"""Stacks: real anatomy, shapes, what they cost, and a thing followed through frames.

    python benchmarks/stacks.py anatomy
    python benchmarks/stacks.py head FOLDER
    python benchmarks/stacks.py shapes
    python benchmarks/stacks.py cost
    python benchmarks/stacks.py frames

anatomy: the MNI T1 template that nilearn carries with its tissue maps, a few points on a few
slices. head: ch2.nii.gz of the folder of templates that Debian's mricron-data has, white matter,
and the brain beside its mask ch2bet.nii.gz. shapes: volumes, surfaces and meshes of spheres,
ellipsoids and a torus at three spacings, the grid turned, with noise where the contrast is 100; in
percent off what each is beside. cost: time and memory of cubes of 128 to 384 voxels, each in a
process of its own, and of a correction. frames: a thing followed over thirty frames of five made
time lapses from a box on the first one.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

import machine
from kosmoscope.stacks import (
    Box,
    Label,
    Seeds,
    Volume,
    Walker,
    measure,
    read_stack,
    segment_stack,
    solid,
)
from kosmoscope.stacks.segmenters.walker import WalkerOptions
from kosmoscope.stacks.volume import affine_of
from stacks_anatomy import HEAD_BRAIN, HEAD_WHITE, dice, template
from stacks_cases import lapse
from stacks_shapes import SHAPES, SPACINGS, made, rotation, seeds_of

SIZES = (128, 192, 256, 320, 384)


def anatomy() -> None:
    for task in template():
        found = segment_stack(task.volume, task.seeds)
        (figures,) = measure(found)
        low, high = figures.interval_ml
        print(
            f"{task.name}: {task.marks}, Dice {dice(found.labels == 1, task.truth):.3f}, "
            f"{found.seconds:.1f} s; {figures.volume_ml:.0f} ml ({low:.0f} to {high:.0f}), "
            f"whole voxels {figures.label_ml:.0f}; the map adds up to {task.true_ml:.0f}, "
            f"{task.truth.sum() / 1000:.0f} where it is more than one half"
        )


def head(folder: Path) -> None:
    volume = read_stack(folder / "ch2.nii.gz")
    mask = read_stack(folder / "ch2bet.nii.gz").values() > 0
    for seeds in (HEAD_WHITE, HEAD_BRAIN):
        found = segment_stack(volume, seeds)
        (figures,) = measure(found)
        low, high = figures.interval_ml
        beside = dice(found.labels == 1, mask)
        said = f"; Dice with its mask {beside:.2f}" if figures.name == "brain" else ""
        print(f"{figures.name}: {figures.volume_ml:.0f} ml ({low:.0f} to {high:.0f}){said}")


def shapes() -> None:
    print(
        "| shape | mm | noise | volume | 90 % interval | surface | mesh, measured volume "
        "| mesh, whole voxels |\n|---|---|---|---|---|---|---|---|"
    )
    for noise in (0, 8):
        for spacing, size in SPACINGS.items():
            for name, (shape, places) in SHAPES.items():
                turn = rotation(10, 20, 30)
                one = made(shape, size, noise=noise, seed=1, turn=turn)
                found = segment_stack(one.volume, seeds_of(one, places))
                mesh = solid(found, 1)
                assert mesh is not None
                (figures,) = measure(found, {"solid": mesh})
                true, held = shape.volume_mm3 / 1000, mesh.volume_mm3 / 1000
                low, high = (100 * (v / true - 1) for v in figures.interval_ml)
                print(
                    f"| {name} | {spacing} | {noise} | {_off(figures.volume_ml, true)} "
                    f"| {low:+.1f} to {high:+.1f} "
                    f"| {_off(figures.surface_mm2, shape.area_mm2)} "
                    f"| {_off(held, figures.volume_ml)} | {_off(held, figures.label_ml)} |",
                    flush=True,
                )


def _off(value: float, true: float) -> str:
    return f"{100 * (value / true - 1):+.2f}"


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
    parser.add_argument("task", choices=("anatomy", "head", "shapes", "cost", "frames", "one"))
    parser.add_argument("what", nargs="?", help="head: the folder; one: voxels along an axis")
    arguments = parser.parse_args()
    if arguments.task == "one":
        one(int(arguments.what))
    else:
        print(machine.describe())
        if arguments.task == "head":
            head(Path(arguments.what))
            sys.exit()
        {"anatomy": anatomy, "shapes": shapes, "cost": cost, "frames": frames}[arguments.task]()
