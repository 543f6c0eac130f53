"""Segmentations drawn and exported."""

from __future__ import annotations

import io
import json
import warnings
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kosmoscope import ImageInfo, InputError
from kosmoscope.draw import DrawStyle, draw_segmentation, phrase_colour, segment_colours
from kosmoscope.errors import OptionError
from kosmoscope.export import (
    Report,
    Vocabulary,
    export,
    formats,
    to_coco_instances,
    to_coco_panoptic,
    to_labelme_polygons,
    to_yolo_seg,
)
from kosmoscope.masks import Segment
from kosmoscope.segment import Segmentation


@pytest.fixture
def found() -> Segmentation:
    labels = np.zeros((240, 320), np.uint16)
    labels[:90] = 1
    labels[100:200, 40:140] = 2
    labels[130:160, 70:100] = 0  # a hole
    labels[200:, 200:] = 3
    segments = (
        Segment(1, "the sky", "stuff", 0, (0, 0, 320, 95), 0.9),
        Segment(2, "a white dog", "thing", 1, (38, 98, 141, 203), 0.7),
        Segment(3, "region 1", "region"),
    )
    return Segmentation(ImageInfo("photo.jpg", 320, 240), "classical", labels, segments)


def test_fills_contours_and_the_rest(found: Segmentation) -> None:
    grey = np.full((240, 320, 3), 128, np.uint8)
    out = draw_segmentation(grey, found, DrawStyle(labels=False))
    assert out.shape == grey.shape
    assert (grey == 128).all()
    sky, dog = np.array(phrase_colour("the sky")), np.array(phrase_colour("a white dog"))
    assert np.abs(out[40, 160] - (0.6 * 128 + 0.4 * sky)).max() < 2
    assert (out[100, 90] == dog).all()  # the contour, just inside
    assert (out[95, 160] == 128).all()
    assert (out[145, 85] == 128).all()  # the hole
    assert (out[0, 160] != sky).any()  # no line along the picture's own edge
    assert len(segment_colours(found)) == 4


def test_plates_and_a_legend(found: Segmentation) -> None:
    grey = np.full((240, 320, 3), 128, np.uint8)
    plain = draw_segmentation(grey, found, DrawStyle(labels=False))
    labelled = draw_segmentation(grey, found, DrawStyle(caption=True))
    assert labelled.shape[0] > 240
    assert (labelled[:240] != plain).any()
    with pytest.raises(InputError, match="for a picture of 10x10"):
        draw_segmentation(np.zeros((10, 10, 3), np.uint8), found)


def test_coco_instances_are_loaded(found: Segmentation, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from faster_coco_eval import COCO
    export([found], tmp_path / "out", "coco-instances", vocabulary=Vocabulary.heads())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        coco = COCO(str(tmp_path / "out" / "instances.json"))
        masks = [coco.annToMask(a) for a in coco.loadAnns(coco.getAnnIds())]
    assert np.array_equal(masks[0], found.labels == 1)
    assert np.array_equal(masks[1], found.labels == 2)
    assert {c["name"] for c in coco.cats.values()} == {"dog", "sky"}
    dog = to_coco_instances([found])["annotations"][1]
    assert (dog["area"], dog["bbox"], dog["score"]) == (9100, [40, 100, 100, 100], 0.7)


def test_panoptic_pictures_hold_the_ids(found: Segmentation) -> None:
    data, pictures = to_coco_panoptic([found])
    (annotation,) = data["annotations"]
    rgb = np.asarray(Image.open(io.BytesIO(pictures[annotation["file_name"]]))).astype(int)
    ids = rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
    assert [s["id"] for s in annotation["segments_info"]] == [1, 2]
    assert np.array_equal(ids, np.where(found.labels < 3, found.labels, 0))
    assert {c["name"]: c["isthing"] for c in data["categories"]} == {"a white dog": 1, "the sky": 0}


def test_outlines_of_yolo_and_labelme(found: Segmentation) -> None:
    files = to_yolo_seg([found])
    lines = files["labels/photo.txt"].splitlines()
    assert lines[0].split()[0] == "1"
    assert [float(v) for v in lines[1].split()[1:]] == pytest.approx(
        [0.125, 100 / 240, 0.4375, 100 / 240, 0.4375, 200 / 240, 0.125, 200 / 240], abs=1e-5
    )
    document = to_labelme_polygons([found])["photo.json"]
    assert [s["label"] for s in document["shapes"]] == ["the sky", "a white dog"]
    assert document["shapes"][1]["points"][0] == [40.0, 100.0]


@pytest.mark.parametrize("to", formats("segmentations"))
def test_folders_are_whole_and_not_replaced(to: str, found: Segmentation, tmp_path: Path) -> None:
    out = tmp_path / to
    export([found], out, to)
    for file in out.rglob("*.json"):
        assert json.loads(file.read_text())
    with pytest.raises(OptionError):
        export([found], out, to)
    with pytest.raises(OptionError, match="format 'gif': expected one of "):
        export([found], tmp_path / "x", "gif")


class Lazy:
    """Makes its segmentations when it is gone through, and counts how many live at a time."""

    def __init__(self, one: Segmentation, count: int) -> None:
        self.one, self.count = one, count
        self.made: list[weakref.ref[np.ndarray]] = []
        self.most = self.passes = 0

    def __iter__(self) -> Iterator[Segmentation]:
        self.passes += 1
        for i in range(self.count):
            image = replace(self.one.image, path=f"{i}.jpg")
            made = replace(self.one, image=image, labels=self.one.labels.copy())
            self.made.append(weakref.ref(made.labels))
            self.most = max(self.most, sum(ref() is not None for ref in self.made))
            yield made


@pytest.mark.parametrize("to", formats("segmentations"))
def test_one_picture_at_a_time_is_in_memory(to: str, found: Segmentation, tmp_path: Path) -> None:
    lazy = Lazy(found, 12)
    export(lazy, tmp_path / "lazy", to)
    assert lazy.passes == 2
    assert lazy.most <= 3
    export(iter(list(lazy)), tmp_path / "gathered", to)
    files = sorted(f.relative_to(tmp_path / "lazy") for f in (tmp_path / "lazy").rglob("*.*"))
    assert len(files) >= 1
    for file in files:
        assert (tmp_path / "lazy" / file).read_bytes() == (
            tmp_path / "gathered" / file
        ).read_bytes()


# One segment is one instance, one picture is one picture


def blobs(*areas: tuple[slice, slice], wh: tuple[int, int] = (320, 240)) -> Segmentation:
    labels = np.zeros(wh[::-1], np.uint16)
    for area in areas:
        labels[area] = 1
    segments = (Segment(1, "a dog", "thing", 0, (0, 0, 100, 100), 0.9),)
    return Segmentation(ImageInfo("photo.jpg", *wh), "classical", labels, segments)


LEFT, RIGHT = np.s_[20:120, 20:100], np.s_[40:200, 200:300]
BELOW, SPECK = np.s_[150:220, 30:90], np.s_[5:6, 310:313]


def filled(line: str, wh: tuple[int, int] = (320, 240)) -> np.ndarray:
    """What a trainer makes of a line: the ring, filled."""
    points = np.array(line.split()[1:], float).reshape(-1, 2) * wh
    page = Image.new("1", (wh[0] * 4, wh[1] * 4))
    ImageDraw.Draw(page).polygon([tuple(p * 4) for p in points], fill=1)
    return np.asarray(page)[2::4, 2::4]


@pytest.mark.parametrize("areas", [[LEFT], [LEFT, RIGHT], [LEFT, RIGHT, BELOW]])
def test_parts_of_a_segment_are_one_instance(areas: list[tuple[slice, slice]]) -> None:
    one = blobs(*areas)
    (line,) = to_yolo_seg([one])["labels/photo.txt"].splitlines()
    assert np.mean(filled(line) != (one.labels == 1)) < 0.01, "bridges have no width"
    assert len(to_coco_instances([one])["annotations"]) == 1
    shapes = to_labelme_polygons([one])["photo.json"]["shapes"]
    assert len(shapes) == len(areas)
    assert {shape["group_id"] for shape in shapes} == {1}


def test_specks_are_left_out_unless_they_are_wanted_or_all() -> None:
    one = blobs(LEFT, SPECK)
    for specks, count in ((False, 1), (True, 2)):
        (document,) = to_labelme_polygons([one], specks=specks).values()
        assert len(document["shapes"]) == count
        (line,) = to_yolo_seg([one], specks=specks)["labels/photo.txt"].splitlines()
        assert filled(line)[5, 311] == specks
    only = blobs(SPECK)
    assert len(to_yolo_seg([only])["labels/photo.txt"].splitlines()) == 1
    assert to_yolo_seg([blobs()])["labels/photo.txt"] == "", "an empty segment is none"
    assert to_coco_instances([blobs()])["annotations"] == []


def test_a_segments_formats_have_the_option_for_specks(tmp_path: Path) -> None:
    out = export([blobs(LEFT, SPECK)], tmp_path / "out", "labelme-polygons", specks=True)
    assert len(json.loads((out / "photo.json").read_text())["shapes"]) == 2
    with pytest.raises(OptionError, match="coco-instances has no option 'specks'"):
        export([blobs(LEFT)], tmp_path / "x", "coco-instances", specks=True)


def test_segmentations_of_one_picture_are_one_picture(found: Segmentation, tmp_path: Path) -> None:
    second = replace(
        found,
        labels=np.where(found.labels == 2, 1, 0).astype(np.uint16),
        segments=(replace(found.segments[1], id=1, score=0.95),),
    )
    other = replace(found, image=replace(found.image, path="b.jpg"))
    many = [found, other, second]  # not one after the other
    data = to_coco_instances(many)
    assert [image["file_name"] for image in data["images"]] == ["photo.jpg", "b.jpg"]
    told = [(a["image_id"], a["phrase"], a["score"]) for a in data["annotations"]]
    assert sorted(told) == [
        (1, "a white dog", 0.95),  # the other prompt's, as it is surer
        (1, "the sky", 0.9),
        (2, "a white dog", 0.7),
        (2, "the sky", 0.9),
    ]
    files = to_yolo_seg(many)
    assert sorted(files) == ["data.yaml", "labels/b.txt", "labels/photo.txt", "pictures.csv"]
    assert len(files["labels/photo.txt"].splitlines()) == 2
    document = to_labelme_polygons(many)["photo.json"]
    assert [shape["group_id"] for shape in document["shapes"]] == [1, 4]
    panoptic, pictures = to_coco_panoptic(many)
    assert len(pictures) == len(panoptic["annotations"]) == 2
    rgb = np.asarray(Image.open(io.BytesIO(pictures["photo.png"]))).astype(int)
    ids, areas = np.unique(rgb[..., 0], return_counts=True)
    assert dict(zip(ids.tolist(), areas.tolist(), strict=True)) == {
        0: 240 * 320 - 90 * 320 - 9100,
        1: 90 * 320,
        2: 9100,
    }
    report = Report()
    export(many, tmp_path / "out", "yolo-seg", min_score=0.8, report=report)
    assert (report.pictures, report.boxes) == (2, 3)


def test_polygons_find_their_picture_from_the_folder_they_are_in(
    found: Segmentation, tmp_path: Path
) -> None:
    picture = tmp_path / "p" / "photo.jpg"
    one = replace(found, image=replace(found.image, path=str(picture)))
    out = export([one], tmp_path / "a" / "b", "labelme-polygons")
    path = json.loads((out / "photo.json").read_text())["imagePath"]
    assert Path(path) == Path("../../p/photo.jpg")
