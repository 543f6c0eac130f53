"""TIFF files and folders of numbered pictures as stacks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from kosmoscope.errors import StackError
from kosmoscope.stacks import read_stack
from stack_cases import VOXELS


def test_imagej_says_the_size_of_its_voxels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, VOXELS, imagej=True, resolution=(1 / 0.25, 1 / 0.5),
        metadata={"spacing": 2.0, "unit": "um", "axes": "ZYX"},
    )  # fmt: skip
    volume = read_stack(path)
    np.testing.assert_array_equal(volume.values(), VOXELS)
    np.testing.assert_allclose(volume.spacing_mm, (0.002, 0.0005, 0.00025))


def test_ome_says_it_in_xml(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    units = {f"PhysicalSize{a}Unit": "mm" for a in "XYZ"}
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0}
    both = np.stack([VOXELS, VOXELS + 1])
    tifffile.imwrite(path, both, metadata={"axes": "CZYX", **units, **sizes})
    with pytest.raises(StackError, match="2 volumes"):
        read_stack(path)
    volume = read_stack(path, volume=1)
    np.testing.assert_array_equal(volume.values(), VOXELS + 1)
    assert volume.spacing_mm == (2.0, 0.5, 0.25)


@pytest.mark.parametrize("packed", [False, True])
def test_plain_pages_need_a_spacing(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, VOXELS, compression="zlib" if packed else None)
    with pytest.raises(StackError, match="says no size of its voxels"):
        read_stack(path)
    volume = read_stack(path, spacing_mm=(1, 2, 3))
    np.testing.assert_array_equal(volume.values(), VOXELS)
    assert volume.spacing_mm == (3, 2, 1)


def test_tiffs_that_are_no_stack(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 8, 8, 3), np.uint8), photometric="rgb")
    with pytest.raises(StackError, match="colour"):
        read_stack(path, spacing_mm=(1, 1, 1))
    with tifffile.TiffWriter(path) as file:
        for n in (8, 9):
            file.write(np.zeros((n, 8), np.uint8))
    with pytest.raises(StackError, match="several sizes"):
        read_stack(path, spacing_mm=(1, 1, 1))
    path.write_bytes(b"II*\0" + bytes(40))
    with pytest.raises(StackError, match=r"a\.tif"):
        read_stack(path, spacing_mm=(1, 1, 1))


def numbered(folder: Path, numbers: list[int], depth: int = 8, size: int = 12) -> None:
    for n in numbers:
        values = np.full((8, size), n, np.uint8) if depth == 8 else np.full((8, size), n * 300)
        Image.fromarray(values.astype(np.uint8 if depth == 8 else np.uint16)).save(
            folder / f"frame{n}.png"
        )


@pytest.mark.parametrize(("depth", "times"), [(8, 1), (16, 300)])
def test_pictures_go_by_their_numbers(tmp_path: Path, depth: int, times: int) -> None:
    numbered(tmp_path, list(range(8, 13)), depth)
    volume = read_stack(tmp_path, spacing_mm=(0.5, 0.5, 2))
    assert volume.values()[:, 0, 0].tolist() == [n * times for n in range(8, 13)]
    assert volume.spacing_mm == (2, 0.5, 0.5)


def test_pictures_that_are_no_stack(tmp_path: Path) -> None:
    numbered(tmp_path, [1, 2, 4])
    with pytest.raises(StackError, match="give it with spacing"):
        read_stack(tmp_path)
    with pytest.raises(StackError, match=r"missing slices: after frame2\.png comes frame4\.png"):
        read_stack(tmp_path, spacing_mm=(1, 1, 1))
    numbered(tmp_path, [3], size=13)
    with pytest.raises(StackError, match="mixed sizes: frame3"):
        read_stack(tmp_path, spacing_mm=(1, 1, 1))
    numbered(tmp_path, [3], depth=16)
    with pytest.raises(StackError, match="mixed kinds: frame3"):
        read_stack(tmp_path, spacing_mm=(1, 1, 1))
    shutil.copy(tmp_path / "frame4.png", tmp_path / "frame04.png")
    with pytest.raises(StackError, match="doubled slices: frame04"):
        read_stack(tmp_path, spacing_mm=(1, 1, 1))
    (tmp_path / "frame04.png").rename(tmp_path / "cover.png")
    with pytest.raises(StackError, match=r"cover\.png has no number"):
        read_stack(tmp_path, spacing_mm=(1, 1, 1))
