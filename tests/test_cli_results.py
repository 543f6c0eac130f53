"""draw, gallery, export, parse, --save, and the methods of a `Description`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_runner import POCKET, run
from kosmoscope import Description, InputError
from kosmoscope.batch import read_results
from kosmoscope.draw import DrawStyle
from kosmoscope.errors import ImageNotFoundError, OptionError
from kosmoscope.export import formats
from kosmoscope.parsing import parse_tagged

TAGGED = (
    "An image of<phrase> a snowman</phrase><object><patch_index_0044><patch_index_0863></object>"
    " and<phrase> two dogs</phrase><object><patch_index_0005><patch_index_0911>"
    "</delimiter_of_multi_objects/><patch_index_0033><patch_index_0300></object>."
)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x010F] = "A camera"
    Image.new("RGB", (320, 240), (90, 120, 150)).save(path, exif=exif)
    return path


@pytest.fixture
def description(photo: Path) -> Description:
    return parse_tagged(TAGGED, (320, 240), path=str(photo))


@pytest.fixture
def lines(description: Description, tmp_path: Path) -> Path:
    path = tmp_path / "lines.jsonl"
    path.write_text(description.to_json() + "\n")
    return path


def test_draw(lines: Path, photo: Path, tmp_path: Path) -> None:
    result = run("draw", lines, "-o", tmp_path / "drawn", "--caption", "--quality", "80")
    assert result.exit_code == 0
    file = tmp_path / "drawn" / "photo.jpg"
    assert result.stdout == f"{file}\n"
    with Image.open(file) as drawn, Image.open(photo) as original:
        assert drawn.width == 320
        assert drawn.height > 240  # the strip
        assert drawn.getexif()[0x010F] == "A camera"
        assert np.abs(np.asarray(drawn, int)[:240] - np.asarray(original, int)).max() > 50


def test_draw_from_standard_input_as_svg(description: Description, tmp_path: Path) -> None:
    result = run("draw", "-", "-o", tmp_path, "--image-format", "svg", input=description.to_json())
    assert result.exit_code == 0
    svg = (tmp_path / "photo.svg").read_text()
    assert 'href="photo.jpg"' in svg
    assert "two dogs" in svg


def test_draw_looks_for_pictures_elsewhere(lines: Path, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    photo.rename(tmp_path / "moved" / "photo.jpg")
    lost = run("draw", lines, "-o", tmp_path / "drawn")
    assert lost.exit_code == 1
    assert "no such file" in lost.stderr
    found = run("draw", lines, "-o", tmp_path / "drawn", "--images", tmp_path / "moved")
    assert found.exit_code == 0


def test_draw_never_replaces_the_picture(lines: Path, photo: Path, tmp_path: Path) -> None:
    before = photo.read_bytes()
    result = run("draw", lines, "-o", tmp_path)
    assert result.exit_code == 2
    assert "is the picture itself" in result.stderr
    assert photo.read_bytes() == before


def test_pictures_of_one_name_do_not_replace_each_other(
    description: Description, photo: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "photo.jpg"
    other.parent.mkdir()
    other.write_bytes(photo.read_bytes())
    both = [description, parse_tagged(TAGGED, (320, 240), path=str(other))]
    text = "".join(d.to_json() + "\n" for d in both)
    result = run("draw", "-", "-o", tmp_path / "drawn", input=text)
    assert [Path(line).name for line in result.stdout.splitlines()] == ["photo.jpg", "photo-2.jpg"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--scale", "99"], "--scale is 99.0; expected"),
        (["--box-width", "0"], "--box-width is 0.0; expected"),
        (["--quality", "0"], "--quality is 0; expected 1 to 100"),
    ],
)
def test_draw_options_out_of_range(
    args: list[str], message: str, lines: Path, tmp_path: Path
) -> None:
    result = run("draw", lines, "-o", tmp_path / "drawn", *args)
    assert result.exit_code == 2
    assert message in result.stderr


def test_gallery(lines: Path, tmp_path: Path) -> None:
    result = run("gallery", lines, "-o", tmp_path / "page", "--title", "Snow & dogs")
    assert result.exit_code == 0
    page = tmp_path / "page" / "index.html"
    assert result.stdout == page.as_uri() + "\n"
    assert "Snow &amp; dogs" in page.read_text("utf-8")
    assert run("gallery", lines).exit_code == 2


@pytest.mark.parametrize("to", formats())
def test_export(to: str, lines: Path, tmp_path: Path) -> None:
    out = tmp_path / f"out-{to}"
    result = run("export", lines, "--to", to, "-o", out, "--vocabulary", "heads")
    assert result.exit_code == 0
    assert result.stdout == f"{out}\n"
    assert "3 boxes" in result.stderr
    again = run("export", lines, "--to", to, "-o", out)
    assert again.exit_code != 0
    assert run("export", lines, "--to", to, "-o", out, "--overwrite").exit_code == 0


def test_export_with_a_map(lines: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.csv"
    words.write_text("phrase,class\ndog,animal\n")
    out = tmp_path / "coco"
    args = ("--vocabulary", words, "--unmapped", "drop")
    result = run("export", lines, "--to", "coco", "-o", out, *args)
    assert "1 left out: dropped by the map" in result.stderr
    assert "not in the map: a snowman" in result.stderr
    data = json.loads((out / "labels.json").read_text())
    assert [c["name"] for c in data["categories"]] == ["animal"]


def test_export_refuses_what_it_does_not_know(lines: Path) -> None:
    result = run("export", lines, "--to", "gif")
    assert result.exit_code == 2
    assert "--to gif: expected one of captions, coco, " in result.stderr


def test_parse_and_save(photo: Path, tmp_path: Path, description: Description) -> None:
    text = tmp_path / "text.txt"
    text.write_text(TAGGED + "\n")
    result = run("parse", photo, text, "--format", "json", "--save", tmp_path / "saved")
    assert result.exit_code == 0
    assert Description.from_json(result.stdout) == description
    assert (tmp_path / "saved" / "photo.jpg").is_file()
    shown = run("parse", photo, input=TAGGED)
    assert "a snowman" in shown.stdout


def test_describe_save(photo: Path, tmp_path: Path) -> None:
    result = run(
        "describe", *POCKET, photo, "--save", tmp_path / "saved", "--prompt", "brief",
        "--ground", "a dog", "--image-format", "png", "--max-new-tokens", "8",
    )  # fmt: skip
    assert result.exit_code == 0
    saved = sorted(p.name for p in (tmp_path / "saved").glob("[!.]*"))
    assert saved[0] == "photo-brief.png"
    assert saved[1].startswith("photo-ground-a-dog-")


def test_read_results_takes_torn_and_refuses_broken_lines(
    lines: Path, description: Description, tmp_path: Path
) -> None:
    whole = lines.read_text()
    lines.write_text(whole + whole[:50])
    assert [r.description for r in read_results(lines)] == [description]
    lines.write_text(whole[:50] + "\n" + whole)
    with pytest.raises(InputError, match="line 1: not JSON"):
        list(read_results(lines))
    lines.write_text('{"schema": 99}\n')
    with pytest.raises(InputError, match="line 1: description schema is 99"):
        list(read_results(lines))
    with pytest.raises(InputError, match=r"no results\.jsonl in it"):
        list(read_results(tmp_path))


# Methods of a description


def test_a_description_draws_itself(description: Description, photo: Path, tmp_path: Path) -> None:
    drawn = description.draw()
    assert drawn.size == (320, 240)
    with Image.open(photo) as original:
        assert description.draw(original, DrawStyle(caption=True)).height > 240
    with Image.open(description.save(tmp_path / "one.png")) as saved:
        assert np.array_equal(np.asarray(saved), np.asarray(drawn))
    assert "two dogs" in description.save(tmp_path / "one.svg").read_text()
    assert "<svg" in description.to_svg()
    with pytest.raises(OptionError, match="cannot write"):
        description.save(tmp_path / "one.bmp")
    photo.unlink()
    with pytest.raises(ImageNotFoundError):
        description.draw()


def exported(description: Description) -> Iterator[object]:
    yield description.to_coco()["annotations"]
    yield list(description.to_yolo())
    yield list(description.to_voc())
    yield list(description.to_labelme())
    yield description.to_labelstudio()[0]["predictions"]
    yield description.to_coco_captions()["annotations"]


def test_a_description_exports_itself(description: Description) -> None:
    assert all(exported(description))
    assert len(description.to_coco()["annotations"]) == 3
    assert description.to_csv().count("\n") == 4
    assert "a snowman" in description.to_markdown()
    assert "a snowman" in description.to_html()
    assert "[a snowman](" in description.to_links()
    assert description.to_arrow().num_rows == len(description.to_pandas()) == 3
    assert len(description.to_supervision()) == 3
