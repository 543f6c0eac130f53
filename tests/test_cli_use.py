"""draw, gallery and export on the command line: where pictures are, what is written where."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from PIL import Image

from cli_runner import POCKET, PROGRAM, one_error, run
from kosmoscope.files.marker import is_ours
from test_export_cases import describe

BOX, NEAR, FAR = (0.1, 0.1, 0.5, 0.5), (0.1, 0.1, 0.51, 0.5), (0.6, 0.6, 0.9, 0.9)
WH = (64, 48)


def picture(path: str | bytes | Path) -> str:
    name = os.fsdecode(path)
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", WH, (90, 120, 150)).save(io_ := io.BytesIO(), "PNG")
    Path(name).write_bytes(io_.getvalue())
    return name


def results(folder: Path, *paths: str, **options: float) -> Path:
    """A file of bare descriptions of these pictures."""
    file = folder / "lines.jsonl"
    found = [describe(("a dog", [BOX]), path=p, image_wh=WH, **options) for p in paths]
    file.write_text("".join(d.to_json() + "\n" for d in found))
    return file


@pytest.fixture
def three(tmp_path: Path) -> Path:
    return results(tmp_path, *(picture(tmp_path / f"{name}.png") for name in "abc"))


# Standard output


@pytest.mark.parametrize("to", ["csv", "jsonl", "html", "markdown", "tagged", "parquet"])
def test_a_file_goes_to_standard_output(
    to: str, three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("export", three, "--to", to, "-o", "-")
    assert result.exit_code == 0
    run("export", three, "--to", to, "-o", tmp_path / "file")
    assert result.stdout_bytes == (tmp_path / "file").read_bytes()
    assert not Path("-").exists()


@pytest.mark.parametrize(
    "call",
    [
        ("export", "--to", "coco", "-o"),
        ("export", "--to", "captions", "-o"),
        ("draw", "-o"),
        ("gallery", "-o"),
    ],
)
def test_a_folder_goes_not_to_standard_output(
    call: tuple[str, ...], three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = one_error(run(call[0], three, *call[1:], "-"), 2)
    assert "a folder" in error
    assert "--output" in error or "path" in error
    assert not Path("-").exists()


@pytest.mark.parametrize(
    "call", [("describe", "-o"), ("describe", "--save"), ("segment", "-o"), ("parse", "--save")]
)
def test_no_folder_is_ever_called_dash(
    call: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture("a.png")
    (tmp_path / "a.txt").write_text("An image of a dog")
    text = ["a.txt"] if call[0] == "parse" else []
    error = one_error(run(call[0], "a.png", *text, call[1], "-"), 2)
    assert "which standard output cannot hold" in error
    assert not Path("-").exists()


# Readers that go away


@pytest.mark.parametrize(
    ("call", "files"),
    [
        ("draw lines.jsonl -o out", 3),
        ("gallery lines.jsonl -o out", 1),
        ("export lines.jsonl --to coco -o out", 2),
        (f"describe a.png b.png c.png --save out {' '.join(POCKET)} --max-new-tokens 4", 3),
        ("segment a.png -o out --box 5,5,40,40", 4),
        ("segment a.png -o out --box 5,5,40,40 --format json", 4),
    ],
)
@pytest.mark.usefixtures("three")
def test_a_reader_that_stops_does_not_stop_the_work(call: str, files: int, tmp_path: Path) -> None:
    """The reader is gone before the first line."""
    gone = f"{' '.join(PROGRAM)} {call} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", gone], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == b"0\n", done.stderr
    assert done.stderr.count(b"error") == 0
    made = [p for p in (tmp_path / "out").glob("[!.]*") if p.is_file()]
    assert len(made) == files


def test_a_full_disk_behind_standard_output_does_not_stop_the_work(
    three: Path, tmp_path: Path
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, "draw", three, "-o", tmp_path / "d"], stdout=full, stderr=subprocess.PIPE
        )
    assert len(list((tmp_path / "d").glob("*.jpg"))) == 3
    assert done.stderr.splitlines() == [b"error: standard output: No space left on device"]


# Pictures that are not there


def test_a_picture_that_is_gone_is_reported_and_the_rest_goes_on(
    three: Path, tmp_path: Path
) -> None:
    (tmp_path / "b.png").unlink()
    result = run("export", three, "--to", "coco", "-o", tmp_path / "out", "--pictures", "copy")
    assert result.exit_code == 1
    assert result.stdout == f"{tmp_path / 'out'}\n"
    assert "b.png: is not a file" in result.stderr
    assert "--images FOLDER" in result.stderr
    assert len(list((tmp_path / "out" / "data").iterdir())) == 2
    for image_format in ("jpg", "svg"):
        out = tmp_path / image_format
        result = run("draw", three, "-o", out, "--image-format", image_format)
        assert (result.exit_code, len(result.stdout.splitlines())) == (1, 2)
        assert "b.png: no such file" in result.stderr
        assert "--images FOLDER" in result.stderr


def test_a_gallery_says_which_pictures_it_does_not_find(three: Path, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").rename(tmp_path / f"{name}.gone")
    many = tmp_path / "many.jsonl"
    many.write_text(three.read_text() + three.read_text().replace("/a.png", "/d.png"))
    result = run("gallery", many, "-o", tmp_path / "g")
    assert result.exit_code == 1
    assert result.stdout.startswith("file://")
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 4
    assert lines[3] == "error: and 1 more pictures"
    assert "--images FOLDER" in result.stderr


@pytest.mark.parametrize("command", ["export", "draw", "gallery"])
def test_pictures_that_moved_are_found_with_images(command: str, tmp_path: Path) -> None:
    file = results(tmp_path, "/elsewhere/sub/a.png")
    picture(tmp_path / "now" / "sub" / "a.png")
    more = ("--to", "coco", "--pictures", "copy") if command == "export" else ()
    args = (file, "-o", tmp_path / "out", *more, "--images")
    result = run(command, *args, tmp_path / "now")
    assert result.exit_code == 0
    wrong = run(command, file, "-o", tmp_path / "x", *more, "--images", tmp_path / "nowhere")
    assert "is not a folder" in one_error(wrong, 2)
    assert [p for p in (tmp_path / "out").rglob("*") if p.suffix in (".png", ".jpg", ".webp")]


def test_labelme_and_gallery_find_pictures_from_any_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "x" / "p" / "a.png")
    lines = results(tmp_path / "x", "p/a.png")
    (tmp_path / "y").mkdir()
    monkeypatch.chdir(tmp_path / "y")
    assert run("export", lines, "--to", "labelme", "-o", "lm").exit_code == 0
    path = json.loads(Path("lm/a.json").read_text())["imagePath"]
    assert (Path("lm") / path).is_file()
    result = run("gallery", lines, "-o", "g")
    assert result.exit_code == 0
    assert len(list(Path("g/thumbs").glob("*.webp"))) == 1
    assert "found elsewhere than the results say" in result.stderr


# Names


@pytest.mark.parametrize("letter", ["n", "\u96ea"])
@pytest.mark.parametrize("count", [79, 80, 240])
def test_pictures_with_long_names_are_drawn(letter: str, count: int, tmp_path: Path) -> None:
    name = (letter * count).encode()[:251].decode(errors="ignore")
    path = picture(tmp_path / "p" / f"{name}.png")
    file = results(tmp_path, path, path)
    for more in ((), ("--image-format", "svg"), ("--image-format", "webp")):
        assert run("draw", file, "-o", tmp_path / "d", *more).exit_code == 0
    for to in ("coco", "yolo", "voc", "labelme", "labelstudio", "captions"):
        assert run("export", file, "--to", to, "-o", tmp_path / to).exit_code == 0
    assert run("gallery", file, "-o", tmp_path / "g").exit_code == 0


@pytest.mark.parametrize(
    "name", [b"caf\xe9.png", b"a b#c?d%20e.png", b"quote\"'<&>.png", b"javascript:x.png"]
)
def test_drawings_in_vectors_find_their_picture(name: bytes, tmp_path: Path) -> None:
    path = picture(os.fsencode(tmp_path / "p") + b"/" + name)
    file = results(tmp_path, path)
    assert run("draw", file, "-o", tmp_path / "d", "--image-format", "svg").exit_code == 0
    (svg,) = (tmp_path / "d").glob("*.svg")
    (href,) = re.findall(r'<image href="([^"]*)"', svg.read_text())
    assert href.startswith("../p/")
    assert "?" not in href
    assert (tmp_path / "d" / os.fsdecode(unquote_to_bytes(href))).samefile(path)
    if b"\xe9" in name:
        assert "%E9" in href
    for to in ("labelme", "labelstudio", "html", "markdown", "coco", "csv", "yolo"):
        assert run("export", file, "--to", to, "-o", tmp_path / to).exit_code == 0
    (document,) = (tmp_path / "labelme").glob("*.json")
    image_path = json.loads(document.read_text())["imagePath"]
    assert (tmp_path / "labelme" / image_path).samefile(path)
    address = json.loads((tmp_path / "labelstudio" / "tasks.json").read_text())[0]["data"]["image"]
    assert unquote_to_bytes(address.partition("?d=")[2]) == os.fsencode(path).lstrip(b"/")


# Thresholds


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_boxes_below_the_least_score_are_left_out(tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    path = picture(tmp_path / "a.png")
    found = [
        describe(("a dog", [BOX]), ("a cat", [FAR]), path=path, image_wh=WH, score=0.3),
        describe(("a dog", [NEAR]), path=path, image_wh=WH, score=0.9, prompt="b"),
    ]
    lines.write_text("".join(d.to_json() + "\n" for d in found))

    def scores(*options: str) -> list[str]:
        result = run("export", lines, "--to", "csv", "-o", "-", *options)
        return [row["box_score"] for row in rows(result.stdout)]

    assert scores() == ["0.3", "0.3", "0.9"]
    assert scores("--min-score", "0.5") == ["", "0.9"]
    assert scores("--merge-boxes", "0.9") == ["0.3", "0.9"]
    data = {}
    for options in ((), ("--min-score", "0.95")):
        out = tmp_path / f"coco{len(options)}"
        run("export", lines, "--to", "coco", "-o", out, *options)
        data[options] = json.loads((out / "labels.json").read_text())
    assert [a["score"] for a in data[()]["annotations"]] == [0.9, 0.3]
    assert data["--min-score", "0.95"]["annotations"] == []
    assert len(data["--min-score", "0.95"]["images"]) == 1
    drawn = tmp_path / "d"
    run("draw", lines, "-o", drawn, "--image-format", "svg", "--min-score", "0.5")
    assert sum(f.read_text().count("data-entity") > 0 for f in drawn.glob("*.svg")) == 1
    run("gallery", lines, "-o", tmp_path / "g", "--min-score", "0.5")
    page = (tmp_path / "g" / "index.html").read_text()
    assert "300]" not in page.partition('class="pictures"')[2].partition("</script>")[0]


@pytest.mark.parametrize("option", ["--min-score", "--merge-boxes"])
@pytest.mark.parametrize("command", ["export", "draw", "gallery"])
def test_thresholds_out_of_range_are_called_as_typed(
    option: str, command: str, three: Path, tmp_path: Path
) -> None:
    more = ("--to", "csv") if command == "export" else ()
    result = run(command, three, "-o", tmp_path / "out", *more, option, "1.5")
    assert one_error(result, 2) == f"{option} is 1.5; expected 0 to 1"


# What helps


def test_errors_name_the_option_that_helps(three: Path, tmp_path: Path) -> None:
    for to in ("csv", "coco"):
        args = ("export", three, "--to", to, "-o", tmp_path / to)
        assert run(*args).exit_code == 0
        assert "--overwrite" in one_error(run(*args), 2)
        assert run(*args, "--overwrite").exit_code == 0

    def wrong(*args: str) -> str:
        return one_error(run("export", three, "-o", tmp_path / "x", *args), 2)

    assert "(did you mean labelme?)" in wrong("--to", "labelem")
    assert "kosmoscope segment --to yolo-seg" in wrong("--to", "yolo-seg")
    assert wrong("--to", "coco", "--pictures", "all") == "--pictures all: expected none, link, copy"
    assert "--drop-lead is of --to captions" in wrong("--to", "coco", "--drop-lead")
    assert "--prefix is of --to captions, labelstudio" in wrong("--to", "csv", "--prefix", "x")
    assert "only captions, coco" in wrong("--to", "csv", "--pictures", "copy")


@pytest.mark.parametrize("to", ["yolo", "voc", "coco", "captions"])
def test_a_data_set_without_its_pictures_says_so(to: str, three: Path, tmp_path: Path) -> None:
    bare = run("export", three, "--to", to, "-o", tmp_path / "bare")
    assert bare.exit_code == 0
    assert "--pictures copy" in bare.stderr
    whole = run("export", three, "--to", to, "-o", tmp_path / "whole", "--pictures", "link")
    assert "--pictures" not in whole.stderr


def test_captions_for_training(three: Path, tmp_path: Path) -> None:
    args = ("--to", "captions", "--pictures", "copy", "--drop-lead", "--prefix", "sks dog, ")
    assert run("export", three, "-o", tmp_path / "out", *args).exit_code == 0
    assert (tmp_path / "out" / "a.txt").read_text() == "sks dog, a dog\n"
    assert (tmp_path / "out" / "a.png").is_file()


def test_folders_that_are_written_are_marked_as_ours(three: Path, tmp_path: Path) -> None:
    run("draw", three, "-o", tmp_path / "d")
    run("gallery", three, "-o", tmp_path / "g")
    run("export", three, "--to", "yolo", "-o", tmp_path / "e", "--pictures", "copy")
    assert all(is_ours(tmp_path / name) for name in "dge")
    somebody = tmp_path / "theirs"
    picture(somebody / "photo.png")
    run("gallery", three, "-o", somebody)
    assert not is_ours(somebody)
    assert is_ours(somebody / "thumbs")
