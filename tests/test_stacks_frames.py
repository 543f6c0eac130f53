"""Enhanced CT and MR: the frames of one DICOM file are slices, as those of many files are.

highdicom makes the files, SimpleITK and highdicom read them beside us; one is a real scanner's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.data import get_testdata_file
from pydicom.uid import RLELossless, generate_uid

from kosmoscope.errors import StackError
from kosmoscope.stacks import Segmented, read_stack, save_stack
from stack_cases import VOXELS, enhanced, series

Change = Callable[[pydicom.Dataset], None]
STORED = VOXELS * 2.0 - 1000


def test_frames_are_sorted_rescaled_and_placed(tmp_path: Path) -> None:
    volume = read_stack(enhanced(tmp_path))
    series(tmp_path / "files")
    by_file = read_stack(tmp_path / "files")
    np.testing.assert_array_equal(volume.values(), STORED)
    np.testing.assert_array_equal(volume.affine, by_file.affine)
    assert (volume.unit, volume.spacing_mm) == ("HU", (2.5, 0.8, 0.6))
    # ITK leaves the frames in the file's order, from the head down.
    itk = SimpleITK.ReadImage(str(tmp_path / "frames.dcm"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(itk)[::-1], volume.values())
    lps = itk.TransformContinuousIndexToPhysicalPoint((9.0, 7.0, 0.0))
    np.testing.assert_allclose(volume.to_patient([[9, 7, 5]])[0] * (-1, -1, 1), lps, atol=1e-6)


def test_a_real_file_of_frames() -> None:
    path = Path(str(get_testdata_file("eCT_Supplemental.dcm")))
    volume = read_stack(path)
    assert volume.shape == (2, 512, 512)
    assert volume.unit == "", "its values are blood flow, and not Hounsfield's"
    theirs = highdicom.imread(path).get_volume(apply_real_world_transform=False)
    at = np.argwhere(theirs.array > np.quantile(theirs.array, 0.999))
    places = theirs.map_indices_to_reference(at) * (-1, -1, 1)
    k, j, i = np.rint(volume.to_index(places)).astype(int)[:, ::-1].T
    np.testing.assert_array_equal(volume.values()[k, j, i], theirs.array[tuple(at.T)])


def test_compressed_frames(tmp_path: Path) -> None:
    path = enhanced(tmp_path, change=lambda data: data.compress(RLELossless))
    np.testing.assert_array_equal(read_stack(path).values(), STORED)


def test_frames_of_their_own_scale_each(tmp_path: Path) -> None:
    """Said of each frame, and not of all: the first is the highest."""

    def scaled(data: pydicom.Dataset) -> None:
        (shared,) = data.SharedFunctionalGroupsSequence
        for n, frame in enumerate(data.PerFrameFunctionalGroupsSequence):
            one = pydicom.Dataset()
            one.RescaleSlope, one.RescaleIntercept, one.RescaleType = n + 1, 0, "HU"
            frame.PixelValueTransformationSequence = [one]
        del shared.PixelValueTransformationSequence

    factors = np.arange(6, 0, -1).reshape(6, 1, 1)
    np.testing.assert_array_equal(
        read_stack(enhanced(tmp_path, change=scaled)).values(), VOXELS * factors
    )


def test_times_at_the_same_places_are_volumes(tmp_path: Path) -> None:
    def twice(data: pydicom.Dataset) -> None:
        """The same places again, frame after frame, with other values."""
        pixels = data.pixel_array
        data.NumberOfFrames = 12
        data.PerFrameFunctionalGroupsSequence = [
            frame for frame in data.PerFrameFunctionalGroupsSequence for _ in range(2)
        ]
        both = np.stack([pixels, pixels + 500], axis=1)
        data.PixelData = both.reshape(12, *pixels.shape[1:]).tobytes()

    path = enhanced(tmp_path, change=twice)
    with pytest.raises(StackError, match="2 volumes at the same places"):
        read_stack(path)
    np.testing.assert_array_equal(read_stack(path, volume=0).values(), STORED)
    np.testing.assert_array_equal(read_stack(path, volume=1).values(), STORED + 1000)


def test_several_files_of_frames_are_one_series_or_several(tmp_path: Path) -> None:
    enhanced(tmp_path, VOXELS)
    whole = pydicom.dcmread(tmp_path / "frames.dcm")
    other = pydicom.dcmread(tmp_path / "frames.dcm")
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    for data, frames in ((whole, slice(0, 2)), (other, slice(2, 6))):
        pixels = data.pixel_array[frames]
        data.PerFrameFunctionalGroupsSequence = data.PerFrameFunctionalGroupsSequence[frames]
        data.NumberOfFrames, data.PixelData = len(pixels), pixels.tobytes()
    whole.save_as(tmp_path / "frames.dcm")
    other.save_as(tmp_path / "more.dcm")
    np.testing.assert_array_equal(read_stack(tmp_path).values(), STORED)
    other.SeriesInstanceUID, other.SeriesNumber = generate_uid(), 10
    other.save_as(tmp_path / "more.dcm")
    with pytest.raises(StackError, match=r"2 series: .*10 \(CT, 4 slices.*9 \(CT, 2 slices"):
        read_stack(tmp_path)


def moved(n: int, by: tuple[float, float, float]) -> Change:
    def change(data: pydicom.Dataset) -> None:
        place = data.PerFrameFunctionalGroupsSequence[n].PlanePositionSequence[0]
        place.ImagePositionPatient = [
            float(v) + d for v, d in zip(place.ImagePositionPatient, by, strict=True)
        ]

    return change


def tilted(data: pydicom.Dataset) -> None:
    for n in range(6):
        moved(n, (0, 0.5 * n, 0))(data)


def dropped(data: pydicom.Dataset) -> None:
    """One frame is not there."""
    pixels = np.delete(data.pixel_array, 2, axis=0)
    del data.PerFrameFunctionalGroupsSequence[2]
    data.NumberOfFrames, data.PixelData = len(pixels), pixels.tobytes()


def turned(data: pydicom.Dataset) -> None:
    one = pydicom.Dataset()
    one.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    data.PerFrameFunctionalGroupsSequence[2].PlaneOrientationSequence = [one]


def coarser(data: pydicom.Dataset) -> None:
    one = pydicom.Dataset()
    one.PixelSpacing, one.SliceThickness = [0.9, 0.6], 2.5
    data.PerFrameFunctionalGroupsSequence[2].PixelMeasuresSequence = [one]


def nowhere(data: pydicom.Dataset) -> None:
    del data.PerFrameFunctionalGroupsSequence[4].PlanePositionSequence


def undescribed(data: pydicom.Dataset) -> None:
    del data.PerFrameFunctionalGroupsSequence[4]


def without_groups(data: pydicom.Dataset) -> None:
    del data.PerFrameFunctionalGroupsSequence


def cut(data: pydicom.Dataset) -> None:
    data.PixelData = data.PixelData[:-200]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (dropped, r"missing slices: 1 between frames\.dcm, frame 3 and frames\.dcm, frame 2"),
        (moved(2, (0, 0, 2.5)), "doubled slices: .*frame 2 and .*frame 3 lie at the same place"),
        (moved(2, (0, 0, 0.7)), "uneven gaps: 3.20 mm between .*frame 4 and .*frame 3"),
        (moved(2, (0, 4, 0)), "frame 3 lies beside the line"),
        (tilted, "gantry tilt of 11.3 degrees"),
        (turned, "several orientations"),
        (coarser, "mixed sizes: pixels of"),
        (nowhere, "frame 5: does not say where it lies"),
        (undescribed, "6 frames, of which 5 are described"),
        (without_groups, "6 frames in a file, and nothing says where each lies"),
        (cut, "pixels cannot be read"),
    ],
)
def test_broken_frames_are_refused(change: Change, problem: str, tmp_path: Path) -> None:
    path = enhanced(tmp_path, change=change)
    with pytest.raises(StackError, match=problem) as caught:
        read_stack(path)
    assert "Secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_frames_of_a_real_file_that_says_no_places() -> None:
    with pytest.raises(StackError, match="10 frames in a file, and nothing says where"):
        read_stack(str(get_testdata_file("emri_small.dcm")))


def test_the_segmentation_refers_to_frames(tmp_path: Path) -> None:
    def noted(data: pydicom.Dataset) -> None:
        content = data.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0]
        content.FrameComments = "Secret remark"

    volume = read_stack(enhanced(tmp_path, change=noted))
    labels = np.zeros(volume.shape, np.uint8)
    labels[1:4, 2:5, 3:7], labels[3:5, 6:8, :3] = 1, 2
    save_stack(Segmented(volume, labels, ("background", "a", "b"), "x"), tmp_path, meshes=())
    assert b"Secret remark" in (tmp_path / "frames.dcm").read_bytes()
    assert b"Secret" not in (tmp_path / "labels.dcm").read_bytes()
    seg = highdicom.seg.segread(tmp_path / "labels.dcm")
    theirs = seg.get_volume(combine_segments=True)
    for label in (1, 2):
        at = np.argwhere(theirs.array == label)
        places = theirs.map_indices_to_reference(at) * (-1, -1, 1)
        found = np.rint(volume.to_index(places)).astype(int)
        assert {*map(tuple, found[:, ::-1])} == {*map(tuple, np.argwhere(labels == label))}
    first = seg.PerFrameFunctionalGroupsSequence[0]
    (source,) = first.DerivationImageSequence[0].SourceImageSequence
    frames = pydicom.dcmread(tmp_path / "frames.dcm").PerFrameFunctionalGroupsSequence
    place = frames[int(source.ReferencedFrameNumber) - 1].PlanePositionSequence[0]
    assert place.ImagePositionPatient == first.PlanePositionSequence[0].ImagePositionPatient
