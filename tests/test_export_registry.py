"""A format is one record: added in one place, it is known to `export`, results and the program."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_runner import run
from kosmoscope import ImageInfo
from kosmoscope.errors import OptionError
from kosmoscope.export import (
    FORMATS,
    Format,
    Job,
    Report,
    Vocabulary,
    export,
    exported,
    folder_format,
    formats,
    text_format,
)
from kosmoscope.export.format import Files
from kosmoscope.masks import Segment
from kosmoscope.segment import Segmentation
from test_export_cases import describe

DOCS = Path(__file__).parent.parent / "docs"
TWO = describe(
    ("a snowman", [(0.25, 0.5, 0.75, 1.0)]),
    ("two  Dogs", [(0.0, 0.0, 0.1, 0.1), (0.5, 0.5, 0.6, 0.6)]),
)


# A format of somebody else, from here to the next heading: nothing else knows of it.


def class_lines(job: Job) -> Iterator[str]:
    for found in job.labelled():
        yield f"{found.description.image.path}: {', '.join(box.label for box in found.boxes)}\n"


def area_files(job: Job) -> Files:
    for segmentation in job.found:
        named = {s.phrase: segmentation.areas_px()[s.id] for s in segmentation.segments}
        yield f"{Path(segmentation.image.path).stem}.json", named
    yield job.options.get("note", "note") + ".txt", "areas in pixels"


@pytest.fixture
def added() -> Iterator[None]:
    FORMATS.add(text_format("classes", "a line of classes a description", ".lst", class_lines))
    FORMATS.add(
        folder_format(
            "areas", "sizes", area_files, takes="segmentations", options=("note",), indent=None
        )
    )
    yield
    FORMATS.remove("classes")
    FORMATS.remove("areas")


# Used


LINE = "photo.jpg: snowman, dog, dog\n"


@pytest.fixture
def photo() -> Segmentation:
    labels = np.zeros((4, 6), np.uint16)
    labels[:2] = 1
    segments = (Segment(1, "the sky", "stuff"),)
    return Segmentation(ImageInfo("photo.jpg", 6, 4), "classical", labels, segments)


@pytest.mark.usefixtures("added")
def test_a_new_format_is_exported(tmp_path: Path) -> None:
    report = Report()
    out = tmp_path / "new" / "x"
    assert export([TWO], out, "classes", vocabulary=Vocabulary.heads(), report=report) == out
    assert out.read_text() == LINE
    assert (report.descriptions, report.boxes, report.labels["dog"]) == (1, 3, 2)
    assert exported(iter([TWO] * 2), "classes", vocabulary=Vocabulary.heads()) == LINE * 2
    assert "classes" in formats()


@pytest.mark.usefixtures("added")
def test_a_description_knows_a_new_format(tmp_path: Path) -> None:
    assert TWO.export("classes", vocabulary=Vocabulary.heads()) == LINE
    out = TWO.export("classes", str(tmp_path / "x"), vocabulary=Vocabulary.heads())
    assert out == tmp_path / "x"
    assert out.read_text() == LINE
    with pytest.raises(OptionError, match="overwrite is needed"):
        TWO.export("classes", out)
    assert TWO.export("classes", out, overwrite=True) == out


@pytest.mark.usefixtures("added")
def test_the_command_line_knows_a_new_format(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    export([TWO], results, "jsonl")
    args = ("--to", "classes", "--vocabulary", "heads")
    result = run("export", tmp_path, *args)
    assert result.stdout == f"{tmp_path / 'export-classes.lst'}\n"
    assert (tmp_path / "export-classes.lst").read_text() == LINE
    assert "3 boxes; 2 classes" in result.stderr
    wrong = run("export", results, "--to", "areas")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "--to areas: expected one of captions, classes, coco, csv" in wrong.stderr


@pytest.mark.usefixtures("added")
def test_a_new_format_for_segmentations(photo: Segmentation, tmp_path: Path) -> None:
    assert formats("segmentations")[0] == "areas"
    files = {"photo.json": {"the sky": 12}, "note.txt": "areas in pixels"}
    assert exported([photo], "areas") == photo.export("areas") == files
    out = photo.export("areas", tmp_path / "areas", note="read me")
    assert (out / "photo.json").read_text() == '{"the sky": 12}\n'
    assert (out / "read me.txt").is_file()


@pytest.mark.usefixtures("added")
def test_segment_knows_a_new_format(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    Image.new("RGB", (60, 40), (200, 30, 30)).save(tmp_path / "a.png")
    args = ("--box", "10,5,50,35", "-o", tmp_path / "out", "--to")
    assert run("segment", tmp_path / "a.png", *args, "areas").exit_code == 0
    assert (tmp_path / "out" / "areas" / "a.json").is_file()
    wrong = run("segment", tmp_path / "a.png", *args, "classes")
    assert wrong.exit_code == 2
    assert "--to classes: expected one of areas, coco-instances" in wrong.stderr


def test_a_format_that_was_removed_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="format 'classes': expected one of captions, coco, "):
        TWO.export("classes")
    assert "classes" not in run("export", tmp_path, "--to", "classes").stderr.split(":")[-1]
    with pytest.raises(OptionError, match="format 'coco' is there already"):
        FORMATS.add(FORMATS.get("coco"))


# Our own


def test_methods_are_the_formats_values(photo: Segmentation) -> None:
    heads = Vocabulary.heads()
    for to in ("coco", "yolo", "voc", "labelme", "labelstudio", "csv", "html", "markdown"):
        assert getattr(TWO, f"to_{to}")(vocabulary=heads) == TWO.export(to, vocabulary=heads)
    assert TWO.to_labelstudio(prefix="s3://")[0]["data"]["image"] == "s3://photo.jpg"
    instances = photo.export("coco-instances", vocabulary=heads)
    assert [c["name"] for c in instances["categories"]] == ["sky"]


def test_wrong_options_and_kinds_are_named(photo: Segmentation, tmp_path: Path) -> None:
    for call, message in (
        (lambda: TWO.export("csv", prefix="x"), "csv has no option 'prefix'$"),
        (lambda: TWO.to_coco(classes=1), "coco has no option 'classes'"),
        (lambda: TWO.export("labelstudio", x=1), "no option 'x'; its own are prefix"),
        (lambda: TWO.export("coco", pictures="link"), "no option 'pictures' without a path"),
        (lambda: TWO.export("csv", tmp_path / "x", pictures="link"), "csv has no place for"),
        (lambda: TWO.export("yolo-seg"), "expected segmentations, got a Description"),
        (lambda: photo.export("yolo"), "expected descriptions, got a Segmentation"),
        (lambda: photo.export("jsonl", tmp_path / "x"), "expected descriptions"),
    ):
        with pytest.raises(OptionError, match=message):
            call()
    assert list(tmp_path.iterdir()) == []


def test_segmentations_are_counted(photo: Segmentation, tmp_path: Path) -> None:
    report = Report()
    words = Vocabulary.mapped({"sky": "Sky"})
    export([photo], tmp_path / "x", "yolo-seg", vocabulary=words, report=report)
    assert (report.descriptions, report.pictures, report.boxes) == (1, 1, 1)
    assert report.labels == {"Sky": 1}


@pytest.mark.parametrize(
    ("page", "takes"), [("exports.md", "descriptions"), ("masks.md", "segmentations")]
)
def test_the_docs_table_is_the_registry(page: str, takes: str) -> None:
    def row(format: Format) -> str:
        out = f"file, `{format.suffix}`" if format.suffix else "folder"
        return f"| `{format.name}` | {out} | {format.summary} |"

    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r"^(\| `[\w-]+` \| (?:folder|file, `[.\w]+`) \| .*? \|)", text, re.MULTILINE)
    assert sorted(found) == sorted(row(format) for format in FORMATS if format.takes == takes)


def test_the_docs_format_works() -> None:
    text = (DOCS / "exports.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n([^`]*FORMATS\.add.*?)```", text, re.DOTALL)
    try:
        exec(block, {})
        assert TWO.export("classes") == "photo.jpg: ['a snowman', 'two dogs', 'two dogs']\n"
    finally:
        FORMATS.remove("classes")


def test_listing_the_formats_is_light() -> None:
    code = "import sys, kosmoscope.export as e; e.formats(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "PIL", "pyarrow", "pandas", "tokenizers"} & set(done.stdout.split())
