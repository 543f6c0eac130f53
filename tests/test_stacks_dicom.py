"""DICOM series: told apart, sorted, rescaled, placed; broken ones are refused.

Real files are those that pydicom and pydicom-data carry; broken ones are made here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.data import get_testdata_file

from kosmoscope.errors import StackError
from kosmoscope.stacks import Volume, read_stack
from stack_cases import VOXELS, series


def corner_mm(volume: Volume) -> np.ndarray:
    """Where the last voxel lies, RAS."""
    return volume.to_patient([[n - 1 for n in volume.shape[::-1]]])[0]


def test_a_made_series_is_sorted_rescaled_and_placed(tmp_path: Path) -> None:
    series(tmp_path, VOXELS)
    volume = read_stack(tmp_path)
    assert (volume.unit, volume.shape) == ("HU", (6, 8, 10))
    np.testing.assert_array_equal(volume.values(), VOXELS * 2.0 - 1000)
    assert volume.spacing_mm == (2.5, 0.8, 0.6)
    # As ITK reads it, in its own frame.
    itk = SimpleITK.ImageSeriesReader()
    itk.SetFileNames(itk.GetGDCMSeriesFileNames(str(tmp_path)))
    image = itk.Execute()
    lps = image.TransformContinuousIndexToPhysicalPoint((9.0, 7.0, 5.0))
    np.testing.assert_allclose(corner_mm(volume) * (-1, -1, 1), lps, atol=1e-6)
    assert [p.name[-5] for p in volume.files] == list("012345")


def real_series(name: str) -> Path:
    return Path(str(get_testdata_file("DICOMDIR"))).parent / name


def test_a_real_ct_series() -> None:
    volume = read_stack(real_series("98892001/CT5N"))
    assert volume.unit == "HU"
    assert volume.shape[0] == 5
    np.testing.assert_allclose(volume.spacing_mm, (2.5, 0.488281, 0.488281))
    slices = [pydicom.dcmread(p) for p in volume.files]
    heights = [float(s.ImagePositionPatient[2]) for s in slices]
    assert heights == sorted(heights)
    first = slices[0].pixel_array * float(slices[0].RescaleSlope)
    np.testing.assert_allclose(volume.values()[0], first + float(slices[0].RescaleIntercept))
    # The corner that the file names, in the frame of RAS.
    np.testing.assert_allclose(
        volume.to_patient([[0, 0, 0]])[0] * (-1, -1, 1),
        [float(v) for v in slices[0].ImagePositionPatient],
    )


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm"])
def test_a_real_single_slice(name: str) -> None:
    path = Path(str(get_testdata_file(name)))
    volume = read_stack(path)
    data = pydicom.dcmread(path)
    assert volume.shape == (1, data.Rows, data.Columns)
    scaled = data.pixel_array * float(data.get("RescaleSlope", 1))
    np.testing.assert_allclose(volume.values()[0], scaled + float(data.get("RescaleIntercept", 0)))


def test_several_series_are_told_apart(tmp_path: Path) -> None:
    series(tmp_path, VOXELS, number=3, uid="1.2.3.1", name="a")
    series(tmp_path, VOXELS[:4] + 1, number=4, uid="1.2.3.2", name="b")
    with pytest.raises(StackError, match=r"2 series: choose one .*: 3 \(CT, 6 slices.*4 \(CT, 4"):
        read_stack(tmp_path)
    assert read_stack(tmp_path, series="4").shape[0] == 4
    assert read_stack(tmp_path, series="1.2.3.1").shape[0] == 6
    with pytest.raises(StackError, match="no series 5"):
        read_stack(tmp_path, series="5")


def test_echoes_at_the_same_places_are_volumes(tmp_path: Path) -> None:
    series(tmp_path, VOXELS, uid="1.2.3", name="a")
    series(tmp_path, VOXELS + 500, uid="1.2.3", name="b")
    with pytest.raises(StackError, match="2 volumes at the same places"):
        read_stack(tmp_path)
    second = read_stack(tmp_path, volume=1)
    np.testing.assert_array_equal(second.values(), (VOXELS + 500) * 2.0 - 1000)


def test_slices_of_their_own_scale_each(tmp_path: Path) -> None:
    def scaled(data: pydicom.Dataset, k: int) -> None:
        data.RescaleSlope = k + 1

    series(tmp_path, VOXELS, change=scaled)
    factors = np.arange(1, 7).reshape(6, 1, 1)
    np.testing.assert_array_equal(read_stack(tmp_path).values(), VOXELS * factors - 1000.0)


def changed(**values: Any) -> Callable[[Path], None]:
    """One slice, the third, is other than the rest."""

    def make(folder: Path) -> None:
        def change(data: pydicom.Dataset, k: int) -> None:
            for name, value in values.items():
                if k == 2:
                    setattr(data, name, value)

        series(folder, VOXELS, change=change)

    return make


def missing(folder: Path) -> None:
    series(folder, VOXELS)[2].unlink()


def doubled(folder: Path) -> None:
    files = series(folder, VOXELS)
    shutil.copy(files[2], folder / "again.dcm")


def moved(offsets: dict[int, tuple[float, float, float]]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        def change(data: pydicom.Dataset, k: int) -> None:
            at = np.array(data.ImagePositionPatient, float) + offsets.get(k, (0, 0, 0))
            data.ImagePositionPatient = [float(v) for v in at]

        series(folder, VOXELS, change=change)

    return make


def smaller(folder: Path) -> None:
    def change(data: pydicom.Dataset, k: int) -> None:
        if k == 2:
            data.Rows, data.PixelData = 6, data.PixelData[: 6 * 10 * 2]

    series(folder, VOXELS, change=change)


def in_colour(folder: Path) -> None:
    shutil.copy(str(get_testdata_file("SC_rgb_rle.dcm")), folder / "a.dcm")


def palette(folder: Path) -> None:
    shutil.copy(str(get_testdata_file("examples_palette.dcm")), folder / "a.dcm")


def lossless_jpeg(folder: Path) -> None:
    shutil.copy(str(get_testdata_file("JPEG-LL.dcm")), folder / "a.dcm")


def truncated(folder: Path) -> None:
    shutil.copy(str(get_testdata_file("MR_truncated.dcm")), folder / "a.dcm")


def frames(folder: Path) -> None:
    shutil.copy(str(get_testdata_file("rtdose.dcm")), folder / "a.dcm")


def nowhere(folder: Path) -> None:
    shutil.copy(str(get_testdata_file("RG1_UNCI.dcm")), folder / "a.dcm")


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (missing, "missing slices: 1 between slice-07-1.dcm and slice-10-3.dcm"),
    "doubled": (doubled, "doubled slices: again.dcm and slice-03-2.dcm lie at the same place"),
    "uneven": (moved({2: (0, 0, 0.7)}), "uneven gaps: 3.20 mm between"),
    "uneven at the end": (moved({5: (0, 0, 1.0)}), "uneven gaps: 3.50 mm between"),
    "tilted": (moved({k: (0, 0.5 * k, 0) for k in range(6)}), "gantry tilt of 11.3 degrees"),
    "beside": (moved({2: (0, 4, 0)}), "beside the line"),
    "mixed sizes": (smaller, "mixed sizes: .* has 10x6 pixels, .* 10x8"),
    "mixed spacing": (changed(PixelSpacing=[0.9, 0.6]), "mixed sizes: pixels of"),
    "mixed orientations": (
        changed(ImageOrientationPatient=[0, 1, 0, 0, 0, -1]),
        "several orientations",
    ),
    "in colour": (in_colour, "a colour picture"),
    "palette": (palette, "a colour picture"),
    "no decoder": (lossless_jpeg, "compressed as JPEG Lossless.*without a decoder"),
    "truncated": (truncated, "pixels cannot be read"),
    "frames": (frames, "15 frames in a file, and nothing says where each lies"),
    "nowhere": (nowhere, "does not say where it lies"),
    "no place": (changed(ImagePositionPatient=[]), "does not say where it lies"),
    "no slices": (lambda f: (f / "a.txt").write_text("x") and None, "expected a stack of two"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_series_is_refused(name: str, tmp_path: Path) -> None:
    make, problem = BROKEN[name]
    make(tmp_path)
    with pytest.raises(StackError, match=problem) as caught:
        read_stack(tmp_path, spacing_mm=(1, 1, 1) if name == "no slices" else None)
    assert "Secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "problem"),
    [("77654033/CT2", "slices|gaps"), ("98892001/CT2N", "orientations"), ("77654033", "series")],
)
def test_real_folders_that_are_no_stack(name: str, problem: str) -> None:
    with pytest.raises(StackError, match=problem):
        read_stack(real_series(name))
