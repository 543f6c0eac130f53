"""Stacks come in with their voxels in the right places, or not at all.

Real files are those that pydicom, pydicom-data and nibabel carry; broken ones are made here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
import tifffile
from PIL import Image
from pydicom.data import get_testdata_file

from kosmoscope.errors import OptionError, StackError
from kosmoscope.stacks import Volume, read_stack
from stack_cases import rotation, series

NIBABEL = Path(nibabel.__file__).parent / "tests" / "data"
VOXELS = np.arange(6 * 8 * 10, dtype=np.int16).reshape(6, 8, 10)


def corner_mm(volume: Volume) -> np.ndarray:
    """Where the last voxel lies, RAS."""
    return volume.to_patient([[n - 1 for n in volume.shape[::-1]]])[0]


# NIfTI


def test_a_real_nifti_is_as_nibabel_has_it() -> None:
    volume = read_stack(NIBABEL / "anatomical.nii")
    theirs = nibabel.load(NIBABEL / "anatomical.nii")
    assert volume.shape == theirs.shape[::-1]
    np.testing.assert_array_equal(volume.values().T, theirs.get_fdata(dtype=np.float32))
    np.testing.assert_array_equal(volume.affine, theirs.affine)
    assert volume.spacing_mm == (2, 2, 2)
    assert isinstance(volume.stored.base, np.memmap) or isinstance(volume.stored, np.memmap)


@pytest.mark.parametrize("turn", [(0, 0, 0), (10, -25, 40)])
def test_orientation_by_a_marked_corner(tmp_path: Path, turn: tuple[float, ...]) -> None:
    """One bright voxel lies where nibabel and SimpleITK say it does, in each format."""
    voxels = np.zeros((5, 6, 7), np.int16)
    voxels[4, 1, 6] = 1000
    affine = np.eye(4)
    affine[:3, :3] = rotation(*turn) * (0.7, -0.9, 3)
    affine[:3, 3] = (11, -22, 33)
    nibabel.Nifti1Image(voxels.T, affine).to_filename(tmp_path / "a.nii.gz")
    volume = read_stack(tmp_path / "a.nii.gz")
    at = np.argwhere(volume.values() == 1000)[:, ::-1]
    ours = volume.to_patient(at)[0]
    np.testing.assert_allclose(ours, nibabel.affines.apply_affine(affine, (6, 1, 4)), atol=1e-4)

    itk = SimpleITK.ReadImage(str(tmp_path / "a.nii.gz"))
    lps = np.array(itk.TransformContinuousIndexToPhysicalPoint((6.0, 1.0, 4.0)))
    np.testing.assert_allclose(ours * (-1, -1, 1), lps, atol=1e-4)
    for name in ("a.nrrd", "a.mha"):
        SimpleITK.WriteImage(itk, str(tmp_path / name))
        same = read_stack(tmp_path / name)
        np.testing.assert_array_equal(same.values(), volume.values())
        np.testing.assert_allclose(same.affine, volume.affine, atol=1e-4)


def test_rescaled_and_big_endian_values(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VOXELS.T, np.eye(4), nibabel.Nifti1Header(endianness=">"))
    image.header.set_slope_inter(0.5, -7)
    image.to_filename(tmp_path / "a.nii")
    np.testing.assert_allclose(
        read_stack(tmp_path / "a.nii").values().T,
        nibabel.load(tmp_path / "a.nii").get_fdata(),
        atol=1e-3,
    )


def test_what_is_not_a_number_counts_as_0(tmp_path: Path) -> None:
    voxels = np.full((3, 3, 3), 5, np.float32)
    voxels[0, 0, 0], voxels[1, 1, 1] = np.nan, np.inf
    nibabel.Nifti1Image(voxels, np.eye(4)).to_filename(tmp_path / "a.nii")
    values = read_stack(tmp_path / "a.nii").values()
    assert (values[0, 0, 0], values[1, 1, 1], values[2, 2, 2]) == (0, 0, 5)


def test_metres_and_microns_become_millimetres(tmp_path: Path) -> None:
    for unit, times in (("meter", 1000), ("micron", 0.001)):
        image = nibabel.Nifti1Image(VOXELS.T, np.diag([2.0, 2, 2, 1]))
        image.header.set_xyzt_units(unit)
        image.to_filename(tmp_path / "a.nii")
        assert read_stack(tmp_path / "a.nii").spacing_mm[0] == pytest.approx(2 * times)


def test_of_several_volumes_one_must_be_chosen() -> None:
    with pytest.raises(StackError, match="20 volumes; choose one"):
        read_stack(NIBABEL / "functional.nii")
    with pytest.raises(StackError, match="volume 20 of 20; expected 0 to 19"):
        read_stack(NIBABEL / "functional.nii", volume=20)
    volume = read_stack(NIBABEL / "functional.nii", volume=3)
    theirs = nibabel.load(NIBABEL / "functional.nii").get_fdata()[..., 3]
    np.testing.assert_allclose(volume.values().T, theirs, rtol=1e-5)


def colours(folder: Path) -> Path:
    pixels = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.Nifti1Image(pixels, np.eye(4)).to_filename(folder / "rgb.nii")
    return folder / "rgb.nii"


def flat(folder: Path) -> Path:
    SimpleITK.WriteImage(SimpleITK.Image([4, 4], SimpleITK.sitkInt16), str(folder / "flat.mha"))
    return folder / "flat.mha"


def vectors(folder: Path) -> Path:
    image = SimpleITK.Image([4, 4, 4], SimpleITK.sitkVectorUInt8, 3)
    SimpleITK.WriteImage(image, str(folder / "vectors.nrrd"))
    return folder / "vectors.nrrd"


def cut(source: Path, folder: Path, name: str) -> Path:
    (folder / name).write_bytes(source.read_bytes()[:-400])
    return folder / name


def cut_nrrd(folder: Path) -> Path:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS), str(folder / "whole.nrrd"))
    return cut(folder / "whole.nrrd", folder, "cut.nrrd")


def text(folder: Path) -> Path:
    (folder / "text.nii").write_text("no header at all, in a file of some length" * 20)
    return folder / "text.nii"


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (colours, "colours or complex numbers"),
        (flat, "2 axes; expected three"),
        (vectors, "several numbers a voxel"),
        (lambda f: cut(NIBABEL / "anatomical.nii", f, "cut.nii"), "cannot be read"),
        (lambda f: cut(NIBABEL / "example4d.nii.gz", f, "cut.nii.gz"), "cannot be read"),
        (cut_nrrd, "cannot be read"),
        (text, "cannot be read"),
        (lambda f: f / "none.nii", "no such file or folder"),
        (lambda _: Path(__file__), "not a kind of stack"),
    ],
)
def test_what_is_no_volume_is_refused(
    make: Callable[[Path], Path], problem: str, tmp_path: Path
) -> None:
    path = make(tmp_path)
    with pytest.raises(StackError, match=problem) as caught:
        read_stack(path, volume=0 if "4d" in str(path) or path.name == "cut.nii.gz" else None)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spacing_is_for_files_that_do_not_say_it() -> None:
    with pytest.raises(OptionError, match="says its own spacing"):
        read_stack(NIBABEL / "anatomical.nii", spacing_mm=(1, 1, 1))
    with pytest.raises(OptionError, match="another kind"):
        read_stack(NIBABEL / "anatomical.nii", series="3")


# DICOM


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
    "frames": (frames, "several frames in a file"),
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


# TIFF and pictures


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
