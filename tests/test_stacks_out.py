"""What is written: on the input's grid, in the patient's millimetres, and nothing of persons."""

from __future__ import annotations

import json
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
import trimesh
from PIL import Image

from kosmoscope.errors import InputError, OptionError, OutputError
from kosmoscope.stacks import Seeds, Segmented, Volume, read_stack, save_stack, segment_stack
from kosmoscope.stacks.out.contours import contours
from kosmoscope.stacks.out.dicom_seg import write_dicom_seg
from kosmoscope.stacks.volume import affine_of
from stack_cases import ball, made, rotation, series

SECRETS = ("Secret", "Sally", "SECRET", "19700101", "Doctor", "Hospital")


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> Segmented:
    """A ball in a CT series of a person with a name."""
    folder = tmp_path_factory.mktemp("series")
    one = made(ball(9), (0.6, 0.8, 2.5), noise=5, low=400, high=520, kind=np.int16)
    series(folder, one.volume.stored)
    seeds = Seeds.of({"background": [(2, 2, 2)], "a <ball>": [one.near(0, 0, 0)]}, radius_mm=2)
    return segment_stack(read_stack(folder), seeds)


@pytest.fixture(scope="module")
def saved(ct: Segmented, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "new"
    report = save_stack(ct, folder, meshes=("stl", "ply", "obj"), title="A <ball> & more")
    assert {p.name for p in report.files} == {p.name for p in folder.iterdir()} - {".kosmoscope"}
    return folder


def test_nothing_of_persons_reaches_a_file(saved: Path, ct: Segmented) -> None:
    one = ct.volume.files[0].read_bytes()
    assert all(secret.encode() in one for secret in SECRETS), "or this would show nothing"
    for file in saved.iterdir():
        data = file.read_bytes()
        for secret in SECRETS:
            assert secret.encode() not in data, file.name
            assert secret.encode("utf-16-le") not in data, file.name
        assert b"2020" + b"0102" not in data, file.name


def test_labels_lie_on_the_inputs_grid(saved: Path, ct: Segmented) -> None:
    theirs = nibabel.load(saved / "labels.nii.gz")
    np.testing.assert_array_equal(np.asarray(theirs.dataobj), ct.labels.T)
    np.testing.assert_allclose(theirs.affine, ct.volume.affine, atol=1e-4)
    itk = SimpleITK.ReadImage(str(saved / "labels.nii.gz"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(itk), ct.labels)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(f) for f in ct.volume.files])
    source = reader.Execute()
    np.testing.assert_allclose(itk.GetOrigin(), source.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(itk.GetDirection(), source.GetDirection(), atol=1e-4)
    again = read_stack(saved / "labels.nii.gz")
    np.testing.assert_array_equal(again.stored, ct.labels)


def test_labels_of_an_oblique_grid(tmp_path: Path) -> None:
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[3, 1, 5] = 1
    affine = affine_of((0.8, 1.1, 2.5), (5, -7, 9), rotation(15, -40, 70))
    volume = Volume(labels.astype(np.float32), affine)
    save_stack(Segmented(volume, labels, ("background", "dot"), "x"), tmp_path, meshes=())
    for affine_ in (nibabel.load(tmp_path / "labels.nii.gz").affine,
                    nibabel.load(tmp_path / "labels.nii.gz").header.get_qform()):  # fmt: skip
        np.testing.assert_allclose(affine_, affine, atol=1e-4)


def test_the_same_labels_are_the_same_bytes(saved: Path, ct: Segmented, tmp_path: Path) -> None:
    save_stack(ct, tmp_path, meshes=("stl", "ply", "obj"), title="A <ball> & more")
    for file in saved.iterdir():
        if file.suffix not in (".dcm", "") and file.name != "measures.json":  # new UIDs each time
            assert file.read_bytes() == (tmp_path / file.name).read_bytes(), file.name


def test_dicom_seg_is_the_same_labels_in_the_same_place(saved: Path, ct: Segmented) -> None:
    seg = highdicom.seg.segread(saved / "labels.dcm")
    volume = seg.get_volume(combine_segments=True)
    # Its frames need not begin with the first slice.
    lps = np.diag([-1, -1, 1, 1]) @ ct.volume.affine
    at = np.argwhere(volume.array == 1)
    places = (volume.affine @ np.c_[at, np.ones(len(at))].T).T[:, :3]
    ours = np.argwhere(ct.labels == 1)[:, ::-1]
    expected = (lps @ np.c_[ours, np.ones(len(ours))].T).T[:, :3]
    assert len(places) == len(expected)
    np.testing.assert_allclose(
        places[np.lexsort(places.round(3).T)], expected[np.lexsort(expected.round(3).T)], atol=1e-3
    )
    (segment,) = seg.SegmentSequence
    assert segment.SegmentLabel == "a <ball>"
    assert (seg.PatientName, seg.PatientID, seg.PatientBirthDate) == ("", "", "")
    source = pydicom.dcmread(ct.volume.files[0])
    assert seg.StudyInstanceUID == source.StudyInstanceUID
    assert seg.FrameOfReferenceUID == source.FrameOfReferenceUID


def test_a_dicom_seg_needs_slices(tmp_path: Path) -> None:
    one = made(ball(6))
    found = segment_stack(
        one.volume, Seeds.of({"background": [(1, 1, 1)], "b": [one.near(0, 0, 0)]})
    )
    with pytest.raises(InputError, match="no DICOM slices"), (tmp_path / "a.dcm").open("wb") as f:
        write_dicom_seg(found, f)


@pytest.mark.parametrize("kind", ["stl", "ply", "obj"])
def test_meshes_are_as_other_libraries_read_them(saved: Path, ct: Segmented, kind: str) -> None:
    path = saved / f"1-a-ball.{kind}"
    assert b"SPACE=RAS" in path.read_bytes()[:200]
    theirs = trimesh.load(path, process=False)
    theirs.merge_vertices()
    assert theirs.is_watertight
    (figures,) = json.loads((saved / "measures.json").read_text())["labels"]
    assert theirs.volume / 1000 == pytest.approx(figures["volume_ml"], rel=1e-3)
    assert theirs.area == pytest.approx(figures["surface_mm2"], rel=1e-3)
    np.testing.assert_allclose(theirs.center_mass, figures["centroid_mm"], atol=0.2)


def test_contours_hold_the_label(saved: Path, ct: Segmented) -> None:
    data = json.loads((saved / "contours.json").read_text())
    assert (data["space"], data["unit"]) == ("ras", "mm")
    (label,) = data["labels"]
    inverse = np.linalg.inv(ct.volume.affine)
    pixel = ct.volume.voxel_mm3 / ct.volume.spacing_mm[0]
    for one in label["slices"]:
        area = 0.0
        for line in one["lines"]:
            ras = np.array(line["points"])
            ijk = (inverse @ np.c_[ras, np.ones(len(ras))].T).T
            np.testing.assert_allclose(ijk[:, 2], one["slice"], atol=1e-2)
            x, y = ijk[:, 0], ijk[:, 1]
            part = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2 * pixel
            area += -part if line["hole"] else part
        voxels = int((ct.labels[one["slice"]] == 1).sum())
        assert area == pytest.approx(voxels * pixel, rel=0.12, abs=6 * pixel)


def test_contours_of_a_ring_have_a_hole() -> None:
    labels = np.zeros((2, 9, 9), np.uint8)
    labels[0, 1:8, 1:8] = 1
    labels[0, 3:6, 3:6] = 0
    found = Segmented(Volume(labels, affine_of((1, 1, 1))), labels, ("background", "r"), "x")
    (one,) = contours(found)["labels"][0]["slices"]
    assert [line["hole"] for line in one["lines"]] == [False, True]


def test_the_overlay_shows_labels(saved: Path) -> None:
    with Image.open(saved / "overlay.jpg") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    coloured = np.ptp(pixels, axis=2) > 40
    assert 0.02 < coloured.mean() < 0.5


def test_what_cannot_be_written(ct: Segmented, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="mesh 'glb': expected stl, ply, obj"):
        save_stack(ct, tmp_path, meshes=("glb",))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        save_stack(ct, tmp_path / "file")
    assert not list(tmp_path.glob("*.json"))


def test_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    one = made(ball(5))
    found = segment_stack(
        one.volume, Seeds.of({"background": [(1, 1, 1)], "b": [one.near(0, 0, 0)]})
    )
    save_stack(found, tmp_path, meshes=())
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not list(tmp_path.glob("*.stl"))
