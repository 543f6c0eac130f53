"""Exports of what several prompts said: one picture, its captions alone, each thing once."""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from kosmoscope.errors import ImageNotFoundError, OptionError
from kosmoscope.export import (
    FORMATS,
    Report,
    export,
    exported,
    formats,
    to_captions,
    to_coco,
    to_coco_captions,
    to_csv,
    to_html,
    to_labelstudio,
    to_markdown,
    to_voc,
    to_yolo,
)
from kosmoscope.export.saying import is_caption, without_lead
from kosmoscope.parsing import parse_tagged
from kosmoscope.results import Description
from kosmoscope.types import GroundedCaption, ImageInfo
from test_export_cases import describe

BOX, NEAR, FAR = (0.1, 0.1, 0.5, 0.5), (0.1, 0.1, 0.51, 0.5), (0.6, 0.6, 0.9, 0.9)
OBJECT = "<object><patch_index_0044><patch_index_0863></object>"
GROUNDED = f"<grounding><phrase> a purple elephant</phrase>{OBJECT}"
ASKED = "<grounding> Question: What is it? Answer: a scene"
REFERRED = f"<grounding><phrase> It</phrase>{OBJECT} is<phrase> a dog</phrase>{OBJECT}"
BRIEF = f"<grounding> An image of<phrase> a dog</phrase>{OBJECT}."
DETAILED = "<grounding> Describe this image in detail: The image shows a dog."


def said(tagged: str, prompt: str = "", *, echo: bool = True, path: str = "a.jpg") -> Description:
    return parse_tagged(tagged, (640, 480), path=path, prompt=prompt, echo=echo)


TASKS = [
    said(BRIEF, "An image of"),
    said(DETAILED, "Describe this image in detail:", echo=False),
    replace(said(GROUNDED, "a purple elephant"), finish_reason="complete"),
    said(ASKED, "Question: What is it? Answer:", echo=False),
    said(REFERRED, "It is"),
]
CAPTIONS = ["An image of a dog.", "The image shows a dog."]


@pytest.mark.parametrize("bare", [False, True])
def test_only_captions_are_captions(bare: bool) -> None:
    """Also of bare descriptions and of parsed text, which do not tell their prompt."""
    found = [replace(d, prompt="", finish_reason="stop") for d in TASKS] if bare else TASKS
    assert [is_caption(d) for d in found] == [True, True, False, False, False]
    data = to_coco_captions(found)
    assert [a["caption"] for a in data["annotations"]] == CAPTIONS
    assert len(data["images"]) == 1
    (task,) = to_labelstudio(found)
    texts = [
        r["value"]["text"] for r in task["predictions"][0]["result"] if r["type"] == "textarea"
    ]
    assert texts == [CAPTIONS]
    assert to_captions(found) == {"a.txt": "".join(f"{c}\n" for c in CAPTIONS)}


def test_a_phrase_that_was_cut_off_while_it_was_looked_for_is_no_caption() -> None:
    cut = "<grounding><phrase> a purple elephant</phrase><object><patch_index_0044>"
    assert not is_caption(said(cut, "a purple elephant"))
    assert is_caption(said("<grounding><phrase> A dog</phrase> runs."))


def test_pages_show_what_was_said_about_a_picture_together() -> None:
    html, text = to_html([*TASKS, said(BRIEF, path="b.jpg")]), to_markdown(TASKS)
    assert html.count("<tr><td>") == 2
    assert "<small>Looked for:</small> <mark" in html
    assert "<small>Question: What is it? Answer:</small> a scene" in html
    assert text.count("## ") == 1
    assert "Looked for\\: **a purple elephant**" in text


def test_label_studio_has_one_prediction_a_picture() -> None:
    found = [describe(("a dog", [BOX])), describe(("a dog", [NEAR]), ("grass", [FAR]), score=0.9)]
    (task,) = to_labelstudio(found)
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == "kosmos-2 fp32"
    boxes = [r for r in prediction["result"] if r["type"] == "rectanglelabels"]
    assert [(b["value"]["rectanglelabels"], b["score"]) for b in boxes] == [
        (["a dog"], 0.9),
        (["grass"], 0.9),
    ]
    assert prediction["score"] == 0.9


@pytest.mark.parametrize("to", ["coco", "yolo", "voc", "labelme", "labelstudio"])
def test_near_boxes_of_several_prompts_are_one(to: str, tmp_path: Path) -> None:
    found = [describe(("a dog", [BOX])), describe(("a dog", [NEAR]), score=0.9, prompt="b")]
    counts = []
    for merge_iou in (None, 0.5, 1.0):
        report = Report()
        export(found, tmp_path / str(merge_iou), to, merge_iou=merge_iou, report=report)
        counts.append(report.boxes)
    assert counts == [1, 1, 2]


@pytest.mark.parametrize("to", formats())
def test_a_least_score_holds_for_every_format(to: str, tmp_path: Path) -> None:
    found = [describe(("a dog", [BOX]), score=0.8), describe(("a cat", [FAR]), score=0.2, path="b")]
    if to == "parquet":
        pytest.importorskip("pyarrow")
    report = Report()
    export(found, tmp_path / "out", to, min_score=0.5, report=report)
    if to != "captions":
        assert report.boxes == 1
    if not FORMATS.get(to).suffix:
        return
    value = exported(found, to, min_score=0.5)
    if to in ("csv", "jsonl", "markdown", "html"):
        assert "0.8" in value
        assert "0.2" not in value
    with pytest.raises(OptionError, match="min_score is 2; expected"):
        exported(found, to, min_score=2)


def test_coco_boxes_carry_an_outline_that_loaders_read(tmp_path: Path) -> None:
    sv = pytest.importorskip("supervision")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from faster_coco_eval import COCO
    Image.new("RGB", (640, 480)).save(tmp_path / "photo.jpg")
    found = [describe(("a dog", [BOX]), path=str(tmp_path / "photo.jpg"))]
    out = export(found, tmp_path / "out", "coco", pictures="copy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        coco = COCO(str(out / "labels.json"))
        (mask,) = [coco.annToMask(a) for a in coco.loadAnns(coco.getAnnIds())]
        loaded = sv.DetectionDataset.from_coco(
            str(out / "data"), str(out / "labels.json"), force_masks=True
        )
    x, y, w, h = to_coco(found)["annotations"][0]["bbox"]
    assert mask.sum() == pytest.approx(w * h, rel=0.02)
    (_, _, detections) = next(iter(loaded))
    assert detections.xyxy[0] == pytest.approx([x, y, x + w, y + h], abs=1)
    assert detections.mask.sum() == pytest.approx(w * h, rel=0.02)


def test_one_missing_picture_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    for name in "ac":
        Image.new("RGB", (64, 48)).save(tmp_path / f"{name}.png")
    found = [
        describe(("a dog", [BOX]), path=str(tmp_path / f"{n}.png"), image_wh=(64, 48))
        for n in "abc"
    ]
    for to in (f.name for f in FORMATS if f.takes == "descriptions" and f.pictures is not None):
        report = Report()
        out = export(found, tmp_path / to, to, pictures="copy", report=report)
        assert [e.source for e in report.missing] == [str(tmp_path / "b.png")]
        assert (report.pictures, report.boxes, report.labels) == (2, 2, {"a dog": 2})
        assert sorted(f.stem for f in out.rglob("*.png")) == ["a", "c"]
        assert not list(out.rglob("b.*")), "a data set names no picture that is not there"
        with pytest.raises(ImageNotFoundError, match=r"b\.png"):
            export(found, tmp_path / f"{to}-strict", to, pictures="copy")
        assert not (tmp_path / f"{to}-strict").exists()


@pytest.mark.parametrize(
    "to", [name for name in formats() if FORMATS.get(name).suffix and name != "parquet"]
)
def test_a_file_goes_to_a_stream_too(to: str, tmp_path: Path) -> None:
    stream = io.BytesIO()
    assert export(TASKS, stream, to) is stream
    assert stream.getvalue() == export(TASKS, tmp_path / "file", to).read_bytes()


def test_parquet_goes_to_a_stream_that_stays_open() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    stream = io.BytesIO()
    export(TASKS, stream, "parquet")
    table = parquet.read_table(io.BytesIO(stream.getvalue()))
    assert table.equals(exported(TASKS, "parquet"))


def test_a_folder_goes_to_no_stream() -> None:
    with pytest.raises(OptionError, match="coco is a folder, which no stream can hold"):
        export(TASKS, io.BytesIO(), "coco")


CONTROL = "a red\x07box\x85\ufffe\udcff"


def test_a_class_with_control_letters_is_called_alike_everywhere(tmp_path: Path) -> None:
    found = [describe((CONTROL, [BOX]))]
    name = "a red\\x07box \\ufffe\\xff"
    out = export(found, tmp_path / "ls", "labelstudio")
    (label,) = ElementTree.parse(out / "config.xml").iter("Label")
    (prediction,) = json.loads((out / "tasks.json").read_text())[0]["predictions"]
    assert prediction["result"][0]["value"]["rectanglelabels"] == [label.get("value")] == [name]
    assert to_coco(found)["categories"][0]["name"] == name
    (document,) = [ElementTree.fromstring(t) for n, t in to_voc(found).items() if n.endswith("xml")]
    assert document.findtext("object/name") == name
    assert name.replace("\\", "\\\\") in to_yolo(found)["data.yaml"]
    assert f",{name}," in to_csv(found)
    assert name in to_html(found)
    for text in (to_html(found), to_markdown(found), to_csv(found)):
        assert not set(text) & {"\x07", "\ufffe", "\udcff"}


# Captions beside the pictures


def test_captions_lie_beside_their_pictures(tmp_path: Path) -> None:
    for name in ("cat.jpg", "dog.png"):
        Image.new("RGB", (64, 48)).save(tmp_path / name)
    found = [
        replace(describe(path=str(tmp_path / n)), caption=c, text=c)
        for n, c in (
            ("cat.jpg", "An image of a cat\nasleep."),
            ("dog.png", "The image shows a dog."),
        )
    ]
    out = export(
        found, tmp_path / "out", "captions", pictures="link", prefix="sks, ", drop_lead=True
    )
    files = {p.name for p in out.iterdir() if not p.name.startswith(".")}
    assert files == {"cat.jpg", "cat.txt", "dog.png", "dog.txt"}
    assert (out / "cat.txt").read_text() == "sks, a cat asleep.\n"
    assert (out / "dog.txt").read_text() == "sks, a dog.\n"


def test_a_picture_without_a_caption_has_the_prefix_alone() -> None:
    (grounded,) = [d for d in TASKS if d.finish_reason == "complete"]
    assert to_captions([grounded], prefix="sks dog, ") == {"a.txt": "sks dog\n"}
    assert to_captions([grounded]) == {"a.txt": ""}


@pytest.mark.parametrize(
    ("caption", "left"),
    [
        ("An image of a dog.", "a dog."),
        ("The image shows a dog.", "a dog."),
        ("This is a dog.", "This is a dog."),
        ("A photo of a photo of a dog.", "a photo of a dog."),
        ("The picture features two dogs", "two dogs"),
        ("An image of", "An image of"),
        ("The imagery shows", "The imagery shows"),
        ("a dog", "a dog"),
    ],
)
def test_how_captions_begin(caption: str, left: str) -> None:
    assert without_lead(caption) == left


def test_nameless_pictures_stay_apart() -> None:
    found: list[GroundedCaption] = [
        describe(("a dog", [BOX]), image=ImageInfo("<bytes>", 64, 48)) for _ in range(2)
    ]
    data: dict[str, Any] = to_coco(found)
    assert len(data["images"]) == 2
