"""Outlines as a DICOM RT Structure Set: valid, in the right places, and the labels again.

plastimatch, which shares no code with us, fills them; dicom3tools judge the file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from scipy import ndimage

from kosmoscope.errors import InputError, KosmoscopeWarning
from kosmoscope.masks import mask_polygons
from kosmoscope.stacks import Segmented, Threshold, Volume, read_stack, save_stack, segment_stack
from kosmoscope.stacks.out.dicom_seg import write_dicom_seg
from kosmoscope.stacks.out.keyhole import keyhole
from kosmoscope.stacks.out.labels_nifti import write_labels
from kosmoscope.stacks.out.rtstruct import write_rtstruct
from stack_cases import VOXELS, enhanced, rotation, series

NAMES = ("background", "ä <one>", "two")


def patches(shape: tuple[int, int, int]) -> np.ndarray:
    """Labels of many parts, with holes and islands in holes."""
    rng = np.random.default_rng(3)
    noise = ndimage.gaussian_filter(rng.normal(size=shape), (0, 2, 2))
    labels = np.zeros(shape, np.uint8)
    labels[noise > 0.03], labels[noise < -0.08] = 1, 2
    labels[0, 1:9, 1:9] = 1
    labels[0, 3:7, 3:7] = 0
    labels[0, 4, 4] = 1
    return labels


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Segmented, Path]:
    folder = tmp_path_factory.mktemp("rt")
    labels = patches((4, 48, 56))
    series(folder / "ct", labels.astype(np.int16))
    found = Segmented(read_stack(folder / "ct"), labels, NAMES, "x")
    (folder / "out").mkdir()
    files = {
        "labels.nii.gz": write_labels, "contours.dcm": write_rtstruct,
        "labels.dcm": write_dicom_seg,
    }  # fmt: skip
    for name, write in files.items():
        with (folder / "out" / name).open("wb") as file:
            write(found, file)
    return found, folder / "out"


def test_another_program_fills_them_to_the_same_labels(saved: tuple[Segmented, Path]) -> None:
    found, out = saved
    done = subprocess.run(
        [
            Path(sys.executable).with_name("plastimatch"), "convert",
            "--input", out / "contours.dcm", "--referenced-ct", found.volume.files[0].parent,
            "--fixed", out / "labels.nii.gz", "--output-prefix", out.parent / "filled",
            "--prefix-format", "nii.gz",
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    for label in (1, 2):
        (file,) = (out.parent / "filled").glob(f"*{NAMES[label][-2:]}*")
        theirs = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(file)))
        np.testing.assert_array_equal(theirs > 0, found.labels == label)


def judged(path: Path) -> list[str]:
    """What dicom3tools find wrong."""
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("judging DICOM files needs dciodvfy (dicom3tools)")
    said = subprocess.run([tool, path], capture_output=True, text=True, timeout=60).stderr
    assert "RTStructureSet" in said or "Segmentation" in said
    return [line for line in said.splitlines() if line.startswith("Error")]


def test_both_files_are_what_the_standard_wants(
    saved: tuple[Segmented, Path], tmp_path: Path
) -> None:
    assert judged(saved[1] / "contours.dcm") == []
    assert judged(saved[1] / "labels.dcm") == []
    volume = read_stack(enhanced(tmp_path))
    labels = (volume.stored > 100).astype(np.uint8)
    with (tmp_path / "frames-contours.dcm").open("wb") as file:
        write_rtstruct(Segmented(volume, labels, ("background", "a"), "x"), file)
    assert judged(tmp_path / "frames-contours.dcm") == []
    broken = pydicom.dcmread(saved[1] / "contours.dcm")
    del broken.StructureSetLabel
    broken.save_as(tmp_path / "broken.dcm")
    assert len(judged(tmp_path / "broken.dcm")) == 1, "or this would show nothing"


def test_regions_have_names_and_no_persons(saved: tuple[Segmented, Path]) -> None:
    found, out = saved
    data = pydicom.dcmread(out / "contours.dcm")
    assert [roi.ROIName for roi in data.StructureSetROISequence] == list(NAMES[1:])
    segments = pydicom.dcmread(out / "labels.dcm").SegmentSequence
    assert [segment.SegmentLabel for segment in segments] == list(NAMES[1:])
    for name in ("PatientName", "PatientID", "PatientBirthDate", "OperatorsName", "StudyDate"):
        assert data[name].value in ("", None)
    source = pydicom.dcmread(found.volume.files[0])
    (frame,) = data.ReferencedFrameOfReferenceSequence
    assert frame.FrameOfReferenceUID == data.FrameOfReferenceUID == source.FrameOfReferenceUID
    (study,) = frame.RTReferencedStudySequence
    (of_series,) = study.RTReferencedSeriesSequence
    assert of_series.SeriesInstanceUID == source.SeriesInstanceUID
    assert len(of_series.ContourImageSequence) == found.volume.shape[0]
    assert data.StudyInstanceUID == source.StudyInstanceUID
    assert data.ApprovalStatus == "UNAPPROVED"


def oblique(data: pydicom.Dataset, k: int) -> None:
    turn = rotation(20, -35, 50)
    data.ImageOrientationPatient = [float(v) for v in turn[:, :2].T.ravel().round(6)]
    data.ImagePositionPatient = [float(v) for v in (turn[:, 2] * 2.5 * k + (5, -9, 30)).round(4)]


@pytest.mark.parametrize("change", [None, oblique])
def test_contours_lie_on_the_slices_they_refer_to(change: Any, tmp_path: Path) -> None:
    files = series(tmp_path / "ct", change=change)
    by_uid = {str(one.SOPInstanceUID): one for one in map(pydicom.dcmread, files)}
    volume = read_stack(tmp_path / "ct")
    labels = (volume.stored % 7 > 2).astype(np.uint8)
    with (tmp_path / "a.dcm").open("wb") as file:
        write_rtstruct(Segmented(volume, labels, ("background", "a"), "x"), file)
    (region,) = pydicom.dcmread(tmp_path / "a.dcm").ROIContourSequence
    seen = set()
    for contour in region.ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        assert len(points) == contour.NumberOfContourPoints
        (image,) = contour.ContourImageSequence
        place = by_uid[image.ReferencedSOPInstanceUID]
        row, column = np.array(place.ImageOrientationPatient, float).reshape(2, 3)
        away = (points - np.array(place.ImagePositionPatient, float)) @ np.cross(row, column)
        np.testing.assert_allclose(away, 0, atol=2e-3)
        seen.add(image.ReferencedSOPInstanceUID)
    assert len(seen) == volume.shape[0]


def test_contours_of_frames_refer_to_frames(tmp_path: Path) -> None:
    """Of the second of two times at the same places."""

    def twice(data: pydicom.Dataset) -> None:
        pixels = data.pixel_array
        data.NumberOfFrames = 12
        data.PerFrameFunctionalGroupsSequence = [
            frame for frame in data.PerFrameFunctionalGroupsSequence for _ in range(2)
        ]
        data.PixelData = np.repeat(pixels, 2, axis=0).tobytes()

    path = enhanced(tmp_path, change=twice)
    volume = read_stack(path, volume=1)
    labels = np.zeros(volume.shape, np.uint8)
    labels[1, 2:5, 2:5] = 1
    with (tmp_path / "a.dcm").open("wb") as file:
        write_rtstruct(Segmented(volume, labels, ("background", "a"), "x"), file)
    (region,) = pydicom.dcmread(tmp_path / "a.dcm").ROIContourSequence
    (contour,) = region.ContourSequence
    (image,) = contour.ContourImageSequence
    # The first frames are the highest.
    assert image.ReferencedFrameNumber == 10
    frames = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    z = float(frames[9].PlanePositionSequence[0].ImagePositionPatient[2])
    assert {float(v) for v in contour.ContourData[2::3]} == {z}


@pytest.mark.parametrize("seed", range(5))
def test_a_keyhole_cuts_its_holes_out(seed: int) -> None:
    """By area, which counts what is cut out twice or not at all."""
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.normal(size=(60, 60)), 1.5) > -0.05
    parts = mask_polygons(mask)
    assert max(len(part.holes) for part in parts) > 5
    area = 0.0
    for part in parts:
        x, y = keyhole(part).T
        area += float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    assert area == int(mask.sum())


def without(name: str) -> Callable[[pydicom.Dataset, int], None]:
    return lambda data, _: delattr(data, name)


@pytest.mark.parametrize("name", ["FrameOfReferenceUID", "StudyInstanceUID", "SOPInstanceUID"])
def test_slices_without_uids_get_no_dicom_labels(name: str, tmp_path: Path) -> None:
    series(tmp_path / "ct", change=without(name))
    found = segment_stack(read_stack(tmp_path / "ct"), None, Threshold())
    with pytest.warns(KosmoscopeWarning, match=f"has no {name}.*without labels.dcm, contours.dcm"):
        save_stack(found, tmp_path / "out", meshes=())
    assert not list((tmp_path / "out").glob("*.dcm"))
    assert (tmp_path / "out" / "labels.nii.gz").is_file()


def test_other_stacks_and_no_label_are_refused(tmp_path: Path) -> None:
    labels = np.zeros(VOXELS.shape, np.uint8)
    found = Segmented(Volume(VOXELS, np.eye(4)), labels, ("background", "a"), "x")
    with (tmp_path / "a.dcm").open("wb") as file:
        with pytest.raises(InputError, match="no label has a voxel"):
            write_rtstruct(found, file)
        with pytest.raises(InputError, match="no DICOM slices"):
            write_rtstruct(Segmented(found.volume, labels + 1, found.names, "x"), file)
