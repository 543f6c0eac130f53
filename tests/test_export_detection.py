"""COCO, YOLO, VOC, LabelMe, Label Studio, supervision: read back by other readers."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kosmoscope.export import (
    Report,
    Vocabulary,
    labelstudio_config,
    refine,
    to_coco,
    to_coco_captions,
    to_labelme,
    to_labelstudio,
    to_voc,
    to_yolo,
)
from kosmoscope.export.pictures import merge
from kosmoscope.results import Description
from kosmoscope.types import Box, ImageInfo
from test_export_cases import INF, MANY, NAN, describe

VOCABULARIES = st.sampled_from(
    (
        Vocabulary.phrases(),
        Vocabulary.heads(),
        Vocabulary.mapped({"a man": "person", "dog": "animal: #1", "unseen": 'a "b"'}),
        Vocabulary.mapped({"a man": "person"}, unmapped="drop"),
    )
)
MANY_EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TWO = describe(
    ("a snowman", [(0.25, 0.5, 0.75, 1.0)]),
    ("two  Dogs", [(0.0, 0.0, 0.1, 0.1), (0.5, 0.5, 0.6, 0.6)]),
)


def library(name: str) -> ModuleType:
    """An optional library, with the warnings that it gives when it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


# Merging


def test_descriptions_of_one_picture_are_merged_and_repeated_boxes_kept_once() -> None:
    first = describe(("a dog", [(0.0, 0.0, 0.5, 0.5)]), score=0.25)
    again = describe(("A  dog", [(0.0, 0.0, 0.5, 0.5), (0.0, 0.0, 0.5, 0.6)]), score=0.75)
    other = describe(("a dog", [(0.0, 0.0, 0.5, 0.5)]), path="other.jpg")
    report = Report()
    pictures = merge([first, other, again], Vocabulary.phrases(), report)
    assert [p.image.path for p in pictures] == ["photo.jpg", "other.jpg"]
    assert [(b.xyxy_px, b.score) for b in pictures[0].boxes] == [
        ((0, 0, 320, 240), 0.75),
        ((0, 0, 320, 288), 0.75),
    ]
    assert (report.descriptions, report.pictures, report.boxes, report.duplicates) == (3, 2, 3, 1)
    assert report.labels == {"a dog": 3}
    assert pictures[0].captions == ["An image of a dog", "An image of A  dog"]


def test_one_box_with_two_labels_stays_two() -> None:
    found = describe(("a dog", [(0.0, 0.0, 0.5, 0.5)]), ("a pet", [(0.0, 0.0, 0.5, 0.5)]))
    assert len(merge([found], Vocabulary.phrases())[0].boxes) == 2


def test_pictures_without_a_path_are_told_apart_by_their_info() -> None:
    info = ImageInfo("<array>", 640, 480)
    same = [describe(image=info, prompt="a"), describe(image=info, prompt="b")]
    other = describe(image=ImageInfo("<array>", 640, 480))
    assert [len(p.captions) for p in merge([*same, other], Vocabulary.phrases())] == [2, 1]
    files = to_yolo([*same, other])
    assert len([name for name in files if name.startswith("labels/")]) == 2


def test_boxes_are_clipped_and_unusable_ones_counted() -> None:
    found = describe(
        ("a", [(-0.5, 0.5, 1.5, 0.75), (NAN, 0.0, 1.0, 1.0), (0.5, 0.5, 0.5, 0.9)]),
        ("b", [(1.0, 0.0, 1.5, 1.0), (0.0, 0.0, INF, 1.0), (0.9, 0.1, 0.1, 0.9)]),
    )
    report = Report()
    (picture,) = merge([found], Vocabulary.phrases(), report)
    assert [b.xyxy_px for b in picture.boxes] == [(0.0, 240.0, 640.0, 360.0)]
    assert report.unusable == 5


def test_refine_takes_the_finer_corners() -> None:
    coarse = describe(("a dog", [(0.25, 0.25, 0.5, 0.5)]))
    box = Box.of((0.25, 0.25, 0.5, 0.5), (640, 480), 0.5, (0.26, 0.25, 0.5, 0.51))
    given_box = Box.of((0.0, 0.0, 0.5, 0.5), (640, 480))
    entity = coarse.entities[0]
    both = replace(coarse, entities=(replace(entity, boxes=(box, given_box)),))
    fine = refine(both).entities[0].boxes
    assert fine[0].xyxy == (0.26, 0.25, 0.5, 0.51)
    assert fine[0].xyxy_px == pytest.approx((166.4, 120.0, 320.0, 244.8))
    assert fine[0].score == 0.5
    assert fine[1] == given_box


# COCO


def test_coco_in_numbers() -> None:
    data = to_coco([TWO])
    assert data["categories"] == [
        {"id": 1, "name": "a snowman", "supercategory": "object"},
        {"id": 2, "name": "two dogs", "supercategory": "object"},
    ]
    assert data["annotations"][0] == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [160.0, 240.0, 320.0, 240.0],
        "area": 76800.0,
        "iscrowd": 0,
        "segmentation": [[160.0, 240.0, 480.0, 240.0, 480.0, 480.0, 160.0, 480.0]],
        "phrase": "a snowman",
        "score": 0.5,
    }
    assert [i["file_name"] for i in data["images"]] == ["photo.jpg"]
    captions = to_coco_captions([TWO])
    assert captions["images"] == data["images"]
    assert captions["annotations"] == [
        {"id": 1, "image_id": 1, "caption": "An image of a snowman two  Dogs"}
    ]


@MANY_EXAMPLES
@given(MANY, VOCABULARIES)
def test_coco_is_consistent(found: list[Description], vocabulary: Vocabulary) -> None:
    text = json.dumps(to_coco(found, vocabulary), ensure_ascii=False, allow_nan=False)
    data = json.loads(text.encode("utf-8"))  # neither NaN nor half a surrogate pair
    json.dumps(to_coco_captions(found), ensure_ascii=False, allow_nan=False).encode("utf-8")
    images = {image["id"]: image for image in data["images"]}
    categories = {c["id"]: c["name"] for c in data["categories"]}
    assert len(images) == len(data["images"])
    assert len(set(categories.values())) == len(data["categories"]) == len(categories)
    assert [a["id"] for a in data["annotations"]] == list(range(1, len(data["annotations"]) + 1))
    pictures = merge(found, vocabulary)
    wanted = [(i, b) for i, picture in enumerate(pictures, 1) for b in picture.boxes]
    for a, (image_id, box) in zip(data["annotations"], wanted, strict=True):
        x, y, w, h = a["bbox"]
        assert (a["image_id"], categories[a["category_id"]]) == (image_id, box.label)
        assert (x, y, x + w, y + h) == pytest.approx(box.xyxy_px, abs=1e-6)
        image = images[image_id]
        assert 0 <= x < x + w <= image["width"] + 1e-6
        assert 0 <= y < y + h <= image["height"] + 1e-6
        assert a["area"] == pytest.approx(w * h, abs=1e-3)
        assert a.get("score") == box.score


def test_coco_is_loaded_and_scored_by_faster_coco_eval(tmp_path: Path) -> None:
    library("faster_coco_eval")
    from faster_coco_eval import COCO, COCOeval_faster

    other = describe(("a snowman", [(0.1, 0.1, 0.2, 0.9)]), path="b/photo.jpg", score=0.9)
    file = tmp_path / "labels.json"
    file.write_text(json.dumps(to_coco([TWO, other])), encoding="utf-8")
    truth = COCO(str(file))
    assert [c["name"] for c in truth.loadCats(truth.getCatIds())] == ["a snowman", "two dogs"]
    assert len(truth.getAnnIds(imgIds=[1])) == 3
    keys = ("image_id", "category_id", "bbox", "score")
    said = [{key: a[key] for key in keys} for a in truth.loadAnns(truth.getAnnIds())]
    found = COCOeval_faster(truth, truth.loadRes(said), "bbox")
    found.evaluate()
    found.accumulate()
    found.summarize()
    assert found.stats[0] == pytest.approx(1.0)
    said[0]["bbox"] = [0, 0, 5, 5]  # the score can fall
    worse = COCOeval_faster(truth, truth.loadRes(said), "bbox")
    worse.evaluate()
    worse.accumulate()
    worse.summarize()
    assert worse.stats[0] < 0.9


def test_categories_of_a_map_file_keep_their_numbers() -> None:
    vocabulary = Vocabulary.mapped({"cat": "Cat", "snowman": "Snowman", "bird": "Bird"})
    names = [c["name"] for c in to_coco([TWO], vocabulary)["categories"]]
    assert names == ["Cat", "Snowman", "Bird", "two dogs"]
    names = [c["name"] for c in to_coco([], vocabulary)["categories"]]
    assert names == ["Cat", "Snowman", "Bird"]


# YOLO


def test_yolo_in_numbers() -> None:
    files = to_yolo([TWO, describe(path="b/photo.png")])
    assert len(files) == 4  # the same stem twice: two label files, beside data.yaml and a list
    (full,) = [text for name, text in files.items() if name.endswith(".txt") and text]
    assert full.splitlines()[0] == "0 0.500000 0.750000 0.500000 0.500000"
    assert full.splitlines()[1] == "1 0.050000 0.050000 0.100000 0.100000"
    assert yaml.safe_load(files["data.yaml"]) == {
        "train": "images",
        "val": "images",
        "nc": 2,
        "names": {0: "a snowman", 1: "two dogs"},
    }


@MANY_EXAMPLES
@given(MANY, VOCABULARIES)
def test_yolo_gives_the_boxes_back(found: list[Description], vocabulary: Vocabulary) -> None:
    files = to_yolo(found, vocabulary)
    config = yaml.safe_load(files["data.yaml"].encode("utf-8"))
    names = config["names"]
    assert list(names) == list(range(config["nc"]))
    assert all(isinstance(name, str) for name in names.values())
    labels = [text for name, text in files.items() if name.startswith("labels/")]
    pictures = merge(found, vocabulary)
    for picture, text in zip(pictures, labels, strict=True):
        w, h = picture.image.width, picture.image.height
        for line, box in zip(text.splitlines(), picture.boxes, strict=True):
            number, *numbers = line.split(" ")
            cx, cy, bw, bh = map(float, numbers)
            assert all(0 <= v <= 1 for v in (cx, cy, bw, bh))
            assert names[int(number)] == box.label
            corners = (cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2)
            px = tuple(v * size for v, size in zip(corners, (w, h, w, h), strict=True))
            assert px == pytest.approx(box.xyxy_px, abs=2e-6 * max(w, h))


# Pascal VOC


def test_voc_counts_whole_pixels_from_one() -> None:
    whole = describe(("all", [(0.0, 0.0, 1.0, 1.0), (0.1001, 0.1001, 0.2, 0.2)]))
    root = ElementTree.fromstring(to_voc([whole])["Annotations/photo.xml"])
    boxes = [[int(v.text or "") for v in b] for b in root.iter("bndbox")]
    assert boxes == [[1, 1, 640, 480], [65, 49, 128, 96]]
    assert root.findtext("filename") == "photo.jpg"
    assert (root.findtext("size/width"), root.findtext("size/height")) == ("640", "480")


@MANY_EXAMPLES
@given(MANY, VOCABULARIES)
def test_voc_gives_the_boxes_back(found: list[Description], vocabulary: Vocabulary) -> None:
    files = to_voc(found, vocabulary)
    pictures = merge(found, vocabulary)
    documents = [text for name, text in files.items() if name.startswith("Annotations/")]
    listed = files["ImageSets/Main/default.txt"].splitlines()
    assert [f"Annotations/{stem}.xml" for stem in listed] == list(files)[:-1]
    for picture, text in zip(pictures, documents, strict=True):
        root = ElementTree.fromstring(text.encode("utf-8"))
        objects = root.findall("object")
        for item, box in zip(objects, picture.boxes, strict=True):
            name = item.findtext("name") or ""
            assert name == box.label or "\\" in name  # control characters are escaped
            xmin, ymin, xmax, ymax = (
                int(item.findtext(f"bndbox/{k}") or "") for k in ("xmin", "ymin", "xmax", "ymax")
            )
            assert 1 <= xmin <= xmax <= picture.image.width
            assert 1 <= ymin <= ymax <= picture.image.height
            outer = (xmin - 1, ymin - 1, xmax, ymax)
            for got, want in zip(outer, box.xyxy_px, strict=True):
                assert abs(got - want) < 1


# LabelMe


@MANY_EXAMPLES
@given(MANY, VOCABULARIES)
def test_labelme_gives_the_boxes_back(found: list[Description], vocabulary: Vocabulary) -> None:
    files = to_labelme(found, vocabulary)
    for data, picture in zip(files.values(), merge(found, vocabulary), strict=True):
        text = json.dumps(data, ensure_ascii=False, allow_nan=False).encode("utf-8")
        read = json.loads(text)
        assert (read["imageWidth"], read["imageHeight"]) == (
            picture.image.width,
            picture.image.height,
        )
        assert read["imageData"] is None
        got = [(s["label"], *s["points"][0], *s["points"][1]) for s in read["shapes"]]
        assert got == [(b.label, *b.xyxy_px) for b in picture.boxes]
        assert all(s["shape_type"] == "rectangle" for s in read["shapes"])


# Label Studio


@MANY_EXAMPLES
@given(MANY, VOCABULARIES)
def test_label_studio_gives_the_boxes_back(
    found: list[Description], vocabulary: Vocabulary
) -> None:
    tasks = json.loads(
        json.dumps(to_labelstudio(found, vocabulary), ensure_ascii=False, allow_nan=False).encode()
    )
    predictions = [p for task in tasks for p in task["predictions"]]
    plain = merge(found, vocabulary)
    assert len(predictions) == len(tasks) == len(plain), "the editor shows one prediction"
    got, labels = [], set()
    for prediction, picture in zip(predictions, plain, strict=True):
        boxes = [item for item in prediction["result"] if item["type"] == "rectanglelabels"]
        assert len(prediction["result"]) == len(boxes) + bool(picture.captions)
        assert len({item["id"] for item in prediction["result"]}) == len(prediction["result"])
        for item in boxes:
            value = item["value"]
            labels.update(value["rectanglelabels"])
            w, h = item["original_width"] / 100, item["original_height"] / 100
            x, y = value["x"] * w, value["y"] * h
            got.append((x, y, x + value["width"] * w, y + value["height"] * h))
            assert 0 <= value["x"] < value["x"] + value["width"] <= 100 + 1e-3
    assert labels == {b.label for p in plain for b in p.boxes}
    for box in (b for p in plain for b in p.boxes):
        assert any(box.xyxy_px == pytest.approx(other, abs=0.15) for other in got)
    texts = [
        item["value"]["text"]
        for prediction in predictions
        for item in prediction["result"]
        if item["type"] == "textarea"
    ]
    assert [len(text) for text in texts] == [len(p.captions) for p in plain if p.captions]
    config = ElementTree.fromstring(labelstudio_config(sorted(labels)))
    names = {e.attrib["name"]: e.tag for e in config if "name" in e.attrib}
    assert names == {"image": "Image", "label": "RectangleLabels", "caption": "TextArea"}
    values = [e.attrib["value"] for e in config.iter("Label")]
    assert set(values) == labels, "a class is called alike in both files"


def test_label_studio_in_numbers() -> None:
    (task,) = to_labelstudio([TWO])
    assert task["data"] == {"image": "/data/local-files/?d=photo.jpg"}
    first = task["predictions"][0]["result"][0]
    assert first["value"] == {
        "x": 25.0,
        "y": 50.0,
        "width": 50.0,
        "height": 50.0,
        "rotation": 0,
        "rectanglelabels": ["a snowman"],
    }
    assert (first["from_name"], first["to_name"], first["score"]) == ("label", "image", 0.5)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/a b/ü&?.jpg", b"a b/\xc3\xbc&?.jpg"),
        ("./bytes\udcff.jpg", b"bytes\xff.jpg"),
        ("half\ud800.jpg", b"half\\ud800.jpg"),
    ],
)
def test_label_studio_addresses(path: str, wanted: bytes) -> None:
    (task,) = to_labelstudio([describe(path=path)])
    address = task["data"]["image"]
    assert address.isascii()
    assert unquote_to_bytes(address.removeprefix("/data/local-files/?d=")) == wanted
    (task,) = to_labelstudio([describe(path="https://host/a.jpg?b=1")], prefix="x")
    assert task["data"]["image"] == "https://host/a.jpg?b=1"
