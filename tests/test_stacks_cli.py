"""`kosmoscope stack` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from cli_runner import POCKET, one_error, run
from kosmoscope.cli.stack_command import _MESHES, _NAMES
from kosmoscope.stacks import STACK_SEGMENTERS
from kosmoscope.stacks.out.mesh_files import MESHES
from stack_cases import ball, made, series


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A ball as a NIfTI file, and marks of it."""
    one = made(ball(9), (1, 1, 2), noise=4, kind=np.int16)
    image = nibabel.Nifti1Image(np.asarray(one.volume.stored).T, one.volume.affine)
    image.to_filename(tmp_path / "ball.nii.gz")
    labels = [
        {"name": "background", "points": [[2, 2, 5]]},
        {"name": "ball", "points": [one.near(0, 0, 0)]},
    ]
    (tmp_path / "seeds.json").write_text(json.dumps({"labels": labels}))
    return tmp_path


def test_marks_become_files_and_a_table(stack: Path) -> None:
    out = stack / "out"
    result = run("stack", stack / "ball.nii.gz", "-o", out, "--seeds", stack / "seeds.json")
    assert result.exit_code == 0
    title, row = result.stdout.splitlines()
    assert title.split() == ["label", "volume", "90", "%", "interval", "surface", "mean"]
    assert row.startswith("ball")
    (note,) = result.stderr.splitlines()
    assert "index.html" in note
    assert "not a medical device" in note
    (figures,) = json.loads((out / "measures.json").read_text())["labels"]
    assert figures["volume_ml"] == pytest.approx(4 / 3 * np.pi * 9**3 / 1000, rel=0.01)
    (kept,) = out.glob("corrections-*.zip")
    assert {p.name for p in out.iterdir()} == {
        ".kosmoscope", kept.name, "labels.nii.gz", "measures.json", "measures.csv", "contours.json",
        "1-ball.stl", "overlay.jpg", "index.html",
    }  # fmt: skip


def test_json_is_what_the_file_says(stack: Path) -> None:
    result = run(
        "stack", stack / "ball.nii.gz", "-o", stack / "o", "--seeds", stack / "seeds.json",
        "--format", "json", "--mesh", "none", "-q",
    )  # fmt: skip
    assert result.stderr == ""
    assert json.loads(result.stdout) == json.loads((stack / "o" / "measures.json").read_text())
    assert not list((stack / "o").glob("*.stl"))


def test_thresholds(stack: Path) -> None:
    result = run(
        "stack", stack / "ball.nii.gz", "-o", stack / "o", "--threshold", "inside=150:",
        "--threshold", "rim=130:149", "--largest", "1", "--mesh", "ply", "--mesh", "obj", "-q",
    )  # fmt: skip
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == ["inside", "rim"]
    assert {p.name for p in (stack / "o").glob("?-*")} == {
        "1-inside.ply", "1-inside.obj", "2-rim.ply", "2-rim.obj",
    }  # fmt: skip
    otsu = run("stack", stack / "ball.nii.gz", "-o", stack / "p", "--threshold", "otsu", "-q")
    assert otsu.stdout.splitlines()[1].startswith("bright")


def test_corrections_are_added(stack: Path) -> None:
    wrong = {"labels": [{"name": "ball", "points": [[3, 12, 5]]}]}
    (stack / "more.json").write_text(json.dumps({**wrong, "radius_mm": 2}))
    common = ("stack", stack / "ball.nii.gz", "--seeds", stack / "seeds.json", "--mesh", "none")
    run(*common, "-o", stack / "a")
    run(*common, "-o", stack / "b", "--correct", stack / "more.json")
    a, b = (np.asarray(nibabel.load(stack / n / "labels.nii.gz").dataobj) for n in ("a", "b"))
    assert (a[3, 12, 5], b[3, 12, 5]) == (0, 1)


def test_a_series_of_a_folder(tmp_path: Path) -> None:
    series(tmp_path / "ct", number=3, uid="1.2.3", name="a")
    series(tmp_path / "ct", number=4, uid="1.2.4", name="b")
    both = run("stack", tmp_path / "ct", "-o", tmp_path / "o", "--threshold", "otsu")
    assert "2 series: choose one with series (--series)" in one_error(both, 1)
    result = run(
        "stack",
        tmp_path / "ct",
        "-o",
        tmp_path / "o",
        "--threshold",
        "dense=-500:",
        "--series",
        "4",
    )
    assert result.exit_code == 0
    assert "HU" in result.stdout
    assert (tmp_path / "o" / "labels.dcm").is_file()


def test_pictures_with_a_spacing(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for k in range(3):
        page = np.zeros((24, 30, 3), np.uint8)
        page[6:18, 8 + k : 20 + k] = 200
        Image.fromarray(page).save(folder / f"{k}.png")
    label = {"name": "square", "boxes": [{"slice": 0, "xyxy": [7, 5, 20, 18]}]}
    (tmp_path / "s.json").write_text(json.dumps({"labels": [label]}))
    result = run(
        "stack", folder, "-o", tmp_path / "o", "--spacing", "1,1,1", "--segmenter", "slices",
        "--seeds", tmp_path / "s.json", "--mesh", "none",
    )  # fmt: skip
    assert result.exit_code == 0
    labels = np.asarray(nibabel.load(tmp_path / "o" / "labels.nii.gz").dataobj)
    assert [int((labels[..., k] == 1).sum()) for k in range(3)] == pytest.approx([144] * 3, abs=20)


def test_a_phrase_in_the_place_of_marks(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    with Image.open(photos / "china.jpg") as photo:
        small = photo.convert("RGB").resize((320, 213))
    for k in range(2):
        small.save(folder / f"{k}.png")
    result = run(
        "stack", folder, "-o", tmp_path / "o", "--spacing", "1,1,1", "--phrase", "a house",
        "--mesh", "none", *POCKET, "-q",
    )  # fmt: skip
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].startswith("a house")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ([], "walker needs --seeds"),
        (["--segmenter", "other"], "expected walker, slices, threshold"),
        (["--threshold", "bone"], "NAME=LOW:HIGH"),
        (["--threshold", "bone=a:b"], "NAME=LOW:HIGH"),
        (["--threshold", "bone=5:1"], "nothing lies between"),
        (["--threshold", "otsu", "--threshold", "a=1:"], "goes alone"),
        (["--threshold", "otsu", "--segmenter", "walker"], "goes without"),
        (["--threshold", "otsu", "--correct", "x.json"], "of --segmenter walker"),
        (["--threshold", "otsu", "--masks", "sam"], "of --segmenter slices"),
        (["--threshold", "otsu", "--spacing", "1,2"], "three numbers"),
        (["--threshold", "otsu", "--mesh", "glb"], "expected stl, ply, obj"),
        (["--threshold", "otsu", "--faces", "5"], "faces is 5"),
        (["--threshold", "otsu", "--spacing", "1,1,1"], "says its own spacing"),
        (["--threshold", "otsu", "--series", "1"], "another kind"),
        (["--phrase", "a cell", "--seeds", "s.json"], "goes without --seeds"),
        (["--seeds", "none.json"], "none.json"),
    ],
)
def test_wrong_calls_are_one_line(stack: Path, options: list[str], problem: str) -> None:
    result = run("stack", stack / "ball.nii.gz", "-o", stack / "o", *options)
    assert problem in one_error(result, 2)


def test_a_file_that_is_none_fails(stack: Path) -> None:
    result = run("stack", stack / "gone.nii", "-o", stack / "o", "--threshold", "otsu")
    assert "gone.nii: no such file or folder" in one_error(result, 1)
    assert not (stack / "o").exists()


def test_the_help_knows_what_there_is() -> None:
    assert set(_NAMES) == set(STACK_SEGMENTERS.names())
    assert set(_MESHES) == set(MESHES)
    help_ = run("stack", "--help").stdout
    assert "Not a medical device" in help_
