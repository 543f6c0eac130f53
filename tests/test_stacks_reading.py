"""NIfTI, NRRD and MetaImage come in with their voxels in the right places, or not at all.

Real files are those that nibabel carries; broken ones are made here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from kosmoscope.errors import OptionError, StackError
from kosmoscope.stacks import Volume, read_stack
from kosmoscope.stacks.reading import request
from stack_cases import VOXELS, rotation

NIBABEL = Path(nibabel.__file__).parent / "tests" / "data"


def test_a_real_nifti_is_as_nibabel_has_it() -> None:
    volume = read_stack(NIBABEL / "anatomical.nii")
    theirs = nibabel.load(NIBABEL / "anatomical.nii")
    assert volume.shape == theirs.shape[::-1]
    np.testing.assert_array_equal(volume.values().T, theirs.get_fdata(dtype=np.float32))
    np.testing.assert_array_equal(volume.affine, theirs.affine)
    assert volume.spacing_mm == (2, 2, 2)
    assert mapped(volume)


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


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mgz", "a.nii"])
def test_large_packed_files_are_unpacked_into_a_mapped_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "_IN_MEMORY", 100)
    kind = nibabel.MGHImage if name == "a.mgz" else nibabel.Nifti1Image
    voxels = np.stack([VOXELS.T, VOXELS.T + 1, VOXELS.T + 2], axis=-1)
    kind(voxels, np.eye(4)).to_filename(tmp_path / name)
    for chosen in range(3):
        volume = read_stack(tmp_path / name, volume=chosen)
        np.testing.assert_array_equal(volume.values(), VOXELS + chosen)
        assert mapped(volume)


def mapped(volume: Volume) -> bool:
    array: object = volume.stored
    while isinstance(array, np.ndarray) and not isinstance(array, np.memmap):
        array = array.base
    return isinstance(array, np.memmap)


def itk_file(path: Path, *, packed: bool = False, kind: type = np.int16) -> None:
    image = SimpleITK.GetImageFromArray(VOXELS.astype(kind))
    image.SetSpacing((0.5, 0.75, 2))
    SimpleITK.WriteImage(image, str(path), packed)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
def test_itk_files_are_mapped_unless_they_are_packed(
    name: str, kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for packed in (False, True):
        (tmp_path / str(packed)).mkdir()
        path = tmp_path / str(packed) / name
        itk_file(path, packed=packed, kind=kind)
        volume = read_stack(path)
        np.testing.assert_array_equal(volume.values(), VOXELS.astype(kind))
        assert volume.spacing_mm == (2, 0.75, 0.5)
        assert mapped(volume) is not packed
    monkeypatch.setattr(request, "_IN_MEMORY", 100)
    assert mapped(read_stack(path)), "a large packed one, in a file without a name"


HEADS = {
    "big.nrrd": b"NRRD0004\n# of teem\ntype: short\ndimension: 3\nsizes: 10 8 6\nendian: big\n"
    b"encoding: raw\nspacings: 1 1 2\n\n",
    "big.mha": b"ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = True\n"
    b"DimSize = 10 8 6\nElementSpacing = 1 1 2\nElementType = MET_SHORT\nElementDataFile = LOCAL\n",
    "lines.mha": b"NDims = 3\r\nBinaryData = True\r\nElementByteOrderMSB = True\r\nDimSize = 10 8 6"
    b"\r\nElementSpacing = 1 1 2\r\nElementType = MET_SHORT\r\nElementDataFile = LOCAL\r\n",
}


@pytest.mark.parametrize("name", HEADS)
def test_files_of_other_writers_are_mapped_too(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(HEADS[name] + VOXELS.astype(">i2").tobytes())
    volume = read_stack(tmp_path / name)
    assert mapped(volume)
    np.testing.assert_array_equal(volume.values(), VOXELS)
    theirs = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / name)))
    np.testing.assert_array_equal(theirs, VOXELS)


def test_itk_files_whose_voxels_lie_otherwise_are_read_by_itk(tmp_path: Path) -> None:
    text = " ".join(str(v) for v in VOXELS.ravel())
    head = HEADS["big.nrrd"].decode()
    (tmp_path / "a.nrrd").write_text(head.replace("encoding: raw", "encoding: ascii") + text)
    skipped = head.replace("encoding: raw", "encoding: raw\nbyte skip: -1")
    (tmp_path / "b.nrrd").write_bytes(
        skipped.encode() + b"something else" + VOXELS.astype(">i2").tobytes()
    )
    for name in ("a.nrrd", "b.nrrd"):
        volume = read_stack(tmp_path / name)
        assert not mapped(volume)
        np.testing.assert_array_equal(volume.values(), VOXELS)


@pytest.mark.parametrize("packed", [False, True])
def test_one_of_several_volumes_in_an_itk_file(packed: bool, tmp_path: Path) -> None:
    parts = [SimpleITK.GetImageFromArray(VOXELS + np.int16(n)) for n in range(3)]
    SimpleITK.WriteImage(SimpleITK.JoinSeries(parts), str(tmp_path / "a.mha"), packed)
    np.testing.assert_array_equal(read_stack(tmp_path / "a.mha", volume=2).values(), VOXELS + 2)


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
        read_stack(path, volume=1 if path.name == "cut.nii.gz" else None)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spacing_is_for_files_that_do_not_say_it() -> None:
    with pytest.raises(OptionError, match="says its own spacing"):
        read_stack(NIBABEL / "anatomical.nii", spacing_mm=(1, 1, 1))
    with pytest.raises(OptionError, match="another kind"):
        read_stack(NIBABEL / "anatomical.nii", series="3")
