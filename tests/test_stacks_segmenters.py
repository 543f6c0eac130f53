"""Thresholds, slices led by slices, boxes, marks and phrases."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.stacks_cases import lapse
from kosmoscope.errors import InputError, OptionError
from kosmoscope.segment.run import load_segmenter
from kosmoscope.stacks import (
    STACK_SEGMENTERS,
    Between,
    Box,
    Label,
    Scribble,
    Seeds,
    Slices,
    SlicesOptions,
    Threshold,
    ThresholdOptions,
    Volume,
    correct,
    phrase_seeds,
    read_stack,
    segment_stack,
)
from kosmoscope.stacks.segmenters.threshold import otsu
from kosmoscope.stacks.volume import affine_of
from stack_cases import ball, dice, made


def block(values: NDArray[Any], spacing: tuple[float, float, float] = (1, 1, 1)) -> Volume:
    return Volume(values.astype(np.float32), affine_of(spacing))


# Thresholds


def test_otsu_is_scikit_images() -> None:
    from skimage.filters import threshold_otsu

    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(50, 14, 6000), rng.normal(120, 16, 2000)]).reshape(
        20, 20, 20
    )
    assert otsu(block(values)) == pytest.approx(threshold_otsu(values, 1024), abs=0.3)
    with pytest.raises(InputError, match="all voxels are 7"):
        otsu(block(np.full((3, 3, 3), 7)))


def test_windows_of_values_name_voxels() -> None:
    values = np.arange(-500, 500).reshape(10, 10, 10)
    options = ThresholdOptions((Between("soft", -100, 99.5), Between("bone", 300)))
    found = Threshold(options).segment(block(values))
    assert found.names == ("background", "soft", "bone")
    assert found.voxels() == [600, 200, 200]
    assert (values[found.labels == 2] >= 300).all()


def test_tidying_is_in_millimetres() -> None:
    values = np.zeros((20, 40, 40))
    values[4:16, 8:32, 8:32] = 1  # a block
    values[10, 20, 20] = 0  # with a hollow
    values[8:10, 18:20, 32:40] = 1  # a thin bar that leaves it
    values[1, 1, 1] = 1  # a speck
    spacing = (1.0, 1.0, 2.0)
    whole = np.zeros(values.shape, bool)
    whole[4:16, 8:32, 8:32] = True

    def tidied(**options: Any) -> NDArray[np.bool_]:
        windows = (Between("solid", 0.5),)
        tool = Threshold(ThresholdOptions(windows, **options))
        return tool.segment(block(values, spacing)).labels == 1

    assert tidied(largest=1).sum() == whole.sum() - 1 + 2 * 2 * 8
    assert tidied(fill=True, largest=1)[10, 20, 20]
    opened = tidied(open_mm=2.5, fill=True)
    assert not opened[9, 19, 36]
    assert not opened[1, 1, 1]
    assert dice(opened, whole) > 0.97
    assert tidied(close_mm=2.0)[10, 20, 20]


def test_marks_choose_parts_of_a_threshold() -> None:
    values = np.zeros((8, 8, 24))
    values[2:6, 2:6, 2:6] = values[2:6, 2:6, 14:20] = 9
    tool = Threshold(ThresholdOptions((Between("thing", 5),)))
    found = segment_stack(block(values), Seeds.of({"thing": [(3, 3, 3)]}), tool)
    assert found.voxels()[1] == 64
    with pytest.raises(InputError, match="'other' is no label"):
        segment_stack(block(values), Seeds.of({"other": [(3, 3, 3)]}), tool)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Between("bone", 5, 4), "nothing lies between"),
        (lambda: Between("background", 5), "another than 'background'"),
        (lambda: ThresholdOptions((Between("a", 1, 5), Between("b", 5, 9))), "share values"),
        (lambda: ThresholdOptions((Between("a", 1, 2), Between("a", 5, 9))), "each name once"),
        (lambda: ThresholdOptions(open_mm=-1), "open_mm"),
        (lambda: ThresholdOptions(largest=-1), "largest"),
        (lambda: SlicesOptions(reach=9), "reach"),
        (lambda: SlicesOptions(shape_weight=-1), "shape_weight"),
    ],
)
def test_options_that_cannot_be(make: Any, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        make()


# Slices


def test_a_thing_is_followed_over_thirty_frames(tmp_path: Path) -> None:
    pictures, truth = lapse(30)
    for k, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"frame{k:03d}.png")
    volume = read_stack(tmp_path, spacing_mm=(1, 1, 1))
    rows, columns = np.nonzero(truth[0])
    box = Box(0, (columns.min() - 2, rows.min() - 2, columns.max() + 2, rows.max() + 2))
    found = segment_stack(volume, Seeds((Label("cell", boxes=(box,)),)), "slices")
    overlaps = [
        (a & b).sum() / (a | b).sum() for a, b in zip(found.labels == 1, truth, strict=True)
    ]
    assert np.mean(overlaps) > 0.9
    assert min(overlaps) > 0.8


def test_slices_follow_from_the_nearest_marked_one_and_stop_where_the_thing_does() -> None:
    one = made(ball(14), noise=6)
    k = round(one.middle_ijk[2])
    mask = one.fractions[k] > 0.5
    stroke = [(float(i), float(j), float(k)) for j, i in np.argwhere(mask)]
    found = segment_stack(one.volume, Seeds.of({"ball": stroke}), Slices())
    assert dice(found.labels == 1, one.fractions > 0.5) > 0.9
    assert not found.labels[0].any()
    assert not found.labels[-1].any()
    with pytest.raises(InputError, match="no label is marked"):
        segment_stack(one.volume, Seeds.of({"background": [(1, 1, 1)]}), Slices())
    across = Seeds((Label("a", boxes=(Box(5, (5, 5, 20, 20), axis="i"),)),))
    with pytest.raises(InputError, match="expected slices along k"):
        segment_stack(one.volume, across, Slices())


def test_every_segmenter_of_the_registry_works_by_its_name() -> None:
    one = made(ball(10), noise=4)
    i, j, k = one.near(0, 0, 0)
    box = Box(int(k), (i - 11, j - 11, i + 11, j + 11))
    label = Label("bright", boxes=(box,))
    for kind in STACK_SEGMENTERS:
        seeds = None if kind.name == "threshold" else Seeds((label,))
        found = segment_stack(one.volume, seeds, kind.name)
        assert found.segmenter == kind.name
        assert dice(found.labels == 1, one.fractions > 0.5) > 0.9
    with pytest.raises(OptionError, match="expected one of walker"):
        segment_stack(one.volume, None, "other")
    with pytest.raises(InputError, match="walker needs seeds"):
        segment_stack(one.volume)
    by_value = segment_stack(one.volume, None, "threshold")
    with pytest.raises(InputError, match="by threshold cannot be corrected"):
        correct(by_value, Seeds.of({"bright": [(i, j, k)]}))


# Marks


def test_a_box_marks_the_thing_and_what_is_around_it() -> None:
    one = made(ball(12), (1, 1, 3), noise=6)
    i, j, k = one.near(0, 0, 0)
    box = Box(int(k), (i - 13, j - 13, i + 13, j + 13))
    found = segment_stack(one.volume, Seeds((Label("ball", boxes=(box,)),)))
    assert dice(found.labels == 1, one.fractions > 0.5) > 0.96


@pytest.mark.parametrize("axis", ["i", "j", "k"])
def test_marks_on_slices_along_each_axis(axis: str, tmp_path: Path) -> None:
    volume = block(np.zeros((10, 12, 14)))
    sizes = {"k": (12, 14), "j": (10, 14), "i": (10, 12)}  # rows, columns
    rows, columns = sizes[axis]
    painted = np.zeros((rows, columns), np.uint8)
    painted[3, 5] = 255
    Image.fromarray(painted).save(tmp_path / "m.png")
    label = {
        "name": "a",
        "scribbles": [{"slice": 4, "axis": axis, "line": [[2, 7], [6, 7]]}],
        "masks": [{"slice": 4, "axis": axis, "file": "m.png"}],
    }
    (tmp_path / "s.json").write_text(json.dumps({"labels": [label]}))
    marked = Seeds.read(tmp_path / "s.json").on(volume)
    ijk = {tuple(at[::-1]) for at in marked.kji.tolist()}
    expected = [(2 + n, 7) for n in range(5)] + [(5, 3)]
    place = {"k": lambda x, y: (x, y, 4), "j": lambda x, y: (x, 4, y), "i": lambda x, y: (4, x, y)}
    assert ijk == {place[axis](x, y) for x, y in expected}


def test_wide_scribbles_and_balls() -> None:
    volume = block(np.zeros((9, 40, 40)), (1, 1, 2))
    line = Scribble(4, ((10, 20), (30, 20)), width=5)
    marked = Seeds((Label("a", scribbles=(line,)),)).on(volume)
    rows = {j for _, j, _ in marked.kji.tolist()}
    assert rows == {18, 19, 20, 21, 22}
    points = Seeds.of({"a": [(20, 20, 4)]}, radius_mm=3).on(volume)
    away = (points.kji - (4, 20, 20)) * (2, 1, 1)
    assert len(points.kji) == 71
    assert ((away**2).sum(axis=1) <= 9).all()


def seeds_file(folder: Path, data: Any) -> Path:
    (folder / "seeds.json").write_text(data if isinstance(data, str) else json.dumps(data))
    return folder / "seeds.json"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("{", "not JSON"),
        ({"labels": []}, "expected labels"),
        ({"lables": []}, "unknown field 'lables'"),
        ({"labels": [{"name": "a", "point": [[1, 1, 1]]}]}, "'a' has no mark"),
        ({"labels": [{"name": "a", "points": [[1, 1]]}]}, "labels"),
        ({"labels": [{"name": " ", "points": [[1, 1, 1]]}]}, "each with a name"),
        ({"labels": [{"name": "a", "points": [[1, 1, 1]]}] * 2}, "'a' is there twice"),
        ({"labels": [{"name": "a", "points": [[1, 1, 1]]}], "radius_mm": -1}, "radius_mm"),
        ({"labels": [{"name": "a", "points": [[1, 1, 1]]}], "space": "mm"}, "space"),
        ({"labels": [{"name": "a", "points": [[1, 99, 1]]}]}, r"\(1, 99, 1\) of 'a' lies outside"),
        ({"labels": [{"name": "a", "boxes": [{"slice": 1, "xyxy": [5, 5, 1, 1]}]}]}, "x1,y1,x2,y2"),
        ({"labels": [{"name": "a", "boxes": [{"slice": 99, "xyxy": [1, 1, 5, 5]}]}]}, "slice 99"),
        ({"labels": [{"name": "a", "boxes": [{"slice": 1, "xyxy": [1, 1, 99, 5]}]}]}, "leaves"),
        ({"labels": [{"name": "a", "scribbles": [{"slice": 1, "line": []}]}]}, "no line"),
        ({"labels": [{"name": "a", "scribbles": [{"slice": 1, "line": [[1, 99]]}]}]}, "leaves"),
        ({"labels": [{"name": "a", "masks": [{"slice": 1, "file": "gone.png"}]}]}, "gone.png"),
        ({"labels": [{"name": "a", "masks": [{"slice": 1, "file": "small.png"}]}]}, "2x2 pixels"),
        (
            {"labels": [{"name": n, "points": [[1, 1, 1]]} for n in "ab"]},
            r"voxel \(1, 1, 1\) is marked both",
        ),
    ],
)
def test_seeds_that_cannot_be_used(tmp_path: Path, data: Any, problem: str) -> None:
    Image.new("L", (2, 2), 255).save(tmp_path / "small.png")
    with pytest.raises(InputError, match=problem) as caught:
        Seeds.read(seeds_file(tmp_path, data)).on(block(np.zeros((8, 8, 8))))
    assert "\n" not in str(caught.value)


# Phrases


@dataclass
class Said:
    """What of a description is needed."""

    entities: tuple[Any, ...]


@dataclass
class Finder:
    """Stands where a model would: it finds a thing where the picture is bright."""

    asked: Any = None

    def ground(self, image: Any, phrase: str) -> Any:
        from kosmoscope.types import Box as Found
        from kosmoscope.types import Entity

        self.asked = (image.shape, phrase)
        rows, columns = np.nonzero(image[..., 0] > 180)
        h, w = image.shape[:2]
        if not len(rows):
            return Said(())
        box = (columns.min() / w, rows.min() / h, (columns.max() + 1) / w, (rows.max() + 1) / h)
        px = (box[0] * w, box[1] * h, box[2] * w, box[3] * h)
        return Said((Entity(phrase, (0, len(phrase)), (Found(box, px),)),))


def test_a_phrase_on_one_slice_becomes_boxes() -> None:
    one = made(ball(12), noise=3, low=50, high=220, kind=np.uint8)
    k = round(one.middle_ijk[2])
    finder = Finder()
    seeds = phrase_seeds(finder, one.volume, "a ball", k)
    assert finder.asked == ((*one.volume.shape[1:], 3), "a ball")
    found = segment_stack(one.volume, seeds, "slices")
    assert found.names == ("background", "a ball")
    assert dice(found.labels == 1, one.fractions > 0.5) > 0.9
    with pytest.raises(InputError, match="slice 99"):
        phrase_seeds(finder, one.volume, "a ball", 99)
    with pytest.raises(InputError, match="not found on slice 0"):
        phrase_seeds(finder, one.volume, "a ball", 0)


def test_slices_take_any_segmenter_of_pictures() -> None:
    class Counting:
        name = "counting"
        asked = 0

        def segment(self, picture: Any, prompts: Any) -> Any:
            self.asked += 1
            return load_segmenter("classical").segment(picture, prompts)

    one = made(ball(8), noise=3)
    tool = Counting()
    i, j, k = one.near(0, 0, 0)
    seeds = Seeds((Label("a", boxes=(Box(int(k), (i - 9, j - 9, i + 9, j + 9)),)),))
    found = Slices(segmenter=tool).segment(one.volume, seeds.on(one.volume))
    assert tool.asked >= len(np.unique(np.nonzero(found.labels)[0]))
