"""The commands index and search, and describe --index."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_runner import QUIET, one_error, run
from kosmoscope.search import INDEX
from search_results import LEFT, RIGHT, SIZE, line, write

THINGS = [("a dog", 0.9, LEFT), ("a car", 0.7, RIGHT)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder of results about two pictures, of which one is there: red on the right."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    pixels[:, SIZE[0] // 2 :] = 255, 0, 0
    Image.fromarray(pixels).save(tmp_path / "1.png")
    results = [line(str(tmp_path / f"{n}.png"), THINGS) for n in (1, 2)]
    return write(tmp_path / "out", results)


def test_index_and_search(out: Path) -> None:
    made = run("index", out)
    assert (made.exit_code, made.stdout) == (0, "")
    assert "note: 2 pictures in the index, 2 new; " in made.stderr
    found = run("search", out, "a", "dog", "left of a car")
    assert found.exit_code == 0
    first, header, *rows = found.stdout.splitlines()
    assert first == "a dog left of a car: 2 of 2 pictures"
    assert header.split() == ["#", "sure", "picture", "evidence"]
    assert rows[0].split(maxsplit=4) == [
        "1", "63", "%", str(out.parent / "1.png"), "a dog (63 %) left of a car",
    ]  # fmt: skip
    assert run("index", out, "--quiet").stderr == ""


def test_nothing(out: Path) -> None:
    run("index", out)
    found = run("search", out, "three dogs left of a boat")
    assert found.exit_code == 0
    lines = found.stdout.splitlines()
    assert lines[:2] == ["3 dogs left of a boat: nothing", "What came nearest:"]
    assert lines[3].split()[:3] == ["1", "0", "%"]
    assert run("search", out, "a zebra").stdout == "a zebra: nothing\n"
    found = run("search", out, "a qwxz behind a zebra")
    assert found.stdout == "a qwxz, a zebra: nothing\n"
    assert [text[:20] for text in found.stderr.splitlines()] == [
        "note: boxes cannot t", "note: 'qwxz' is a wo",
    ]  # fmt: skip


def test_json(out: Path) -> None:
    run("index", out)
    found = json.loads(run("search", out, "(a dog near a dog) or a car", "-f", "json").stdout)
    assert (found["total"], found["pictures"], found["read_as"]) == (
        2, 2, "(a dog near a dog) or a car",
    )  # fmt: skip
    assert len(found["hits"]) == 2
    hit = found["hits"][0]
    assert hit["evidence"] == [
        {"part": "a car", "phrase": "a car", "box": list(RIGHT), "probability": 0.7}
    ]
    found = json.loads(run("search", out, "a dog left of a car", "-f", "json").stdout)
    assert found["hits"][0]["evidence"][0]["other_box"] == list(RIGHT)
    limited = json.loads(run("search", out, "a dog", "-f", "json", "--limit", "1").stdout)
    assert (len(limited["hits"]), limited["total"]) == (1, 2)


def test_colours_and_drawings(out: Path, tmp_path: Path) -> None:
    run("index", out)
    assert run("search", out, "a red car").stdout.startswith("a red car: nothing")
    made = run("index", out, "--pictures")
    assert "1 pictures could not be read" in made.stderr
    found = run("search", out, "a red car", "--draw", tmp_path / "drawn", "--image-format", "png")
    assert found.exit_code == 0
    assert found.stdout.splitlines()[0] == "a red car: 1 of 2 pictures"
    with Image.open(tmp_path / "drawn" / "1.png") as drawn, Image.open(tmp_path / "1.png") as given:
        changed = np.any(np.asarray(drawn) != np.asarray(given), axis=2)
    # The car is drawn, the dog is not.
    assert changed[:, SIZE[0] // 2 :].any()
    assert not changed[:, : SIZE[0] // 2].any()
    found = run("search", out, "a dog", "--draw", tmp_path / "dogs")
    assert found.exit_code == 1
    assert "2.png: no such file" in found.stderr
    assert found.stdout.splitlines()[0] == "a dog: 2 of 2 pictures"
    assert [p.name for p in (tmp_path / "dogs").glob("*.jpg")] == ["1.jpg"]


def test_pictures_that_are_gone_can_be_left_out(out: Path) -> None:
    run("index", out)
    made = run("index", out, "--drop-missing")
    assert "note: 1 pictures in the index, 1 dropped; " in made.stderr
    assert run("search", out, "a dog").stdout.startswith("a dog: 1 of 1 pictures")
    made = run("index", out)
    assert "note: 1 pictures in the index; " in made.stderr
    assert "2 pictures in the index" in run("index", out, "--rebuild").stderr


def test_wrong_calls(out: Path, tmp_path: Path) -> None:
    assert "has no index.sqlite; make it with" in one_error(run("search", out, "a dog"), 2)
    assert "expected a folder of `describe -o`" in one_error(run("index", tmp_path), 2)
    run("index", out)
    assert one_error(run("search", out, " "), 2).startswith("the question is empty")
    assert one_error(run("search", out, "x", "--limit", "0"), 2) == (
        "--limit is 0; expected 1 or more"
    )
    assert one_error(run("search", out, "x", "--cut-off", "2"), 2) == (
        "--cut-off is 2; expected 0 to 1"
    )
    assert "--draw FOLDER" in one_error(run("search", out, "x", "--draw", "-"), 2)
    (out / INDEX).write_bytes(b"no database " * 999)
    for command in (("search", out, "x"), ("index", out)):
        assert "index.sqlite: is no index, or a damaged one" in one_error(run(*command), 1)
    assert run("index", out, "--rebuild").exit_code == 0
    assert run("search", out, "a dog").exit_code == 0


def test_describe_with_an_index(photos: Path, tmp_path: Path) -> None:
    call = ("describe", photos / "china.jpg", "-o", tmp_path / "out", "--index", *QUIET)
    made = run(*call)
    assert made.exit_code == 0
    assert "note: 1 pictures in the index, 1 new; " in made.stderr
    assert run("search", tmp_path / "out", "something").stdout.startswith(
        "a thing: 1 of 1 pictures"
    )
    assert "--index goes with --output" in one_error(
        run("describe", photos / "china.jpg", "--index", *QUIET), 2
    )
