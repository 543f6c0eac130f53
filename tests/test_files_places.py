"""One file under all its names; what is our own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kosmoscope.errors import OutputError
from kosmoscope.files.marker import MARKER, claim, is_ours, mark, our_names
from kosmoscope.files.places import find_file, place


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("x/p/a.png", "y/z.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path / "x")
    return tmp_path


def test_every_spelling_of_a_file_is_one_place(here: Path) -> None:
    (here / "x/link").symlink_to("p")
    spellings = ["p/a.png", "./p/a.png", "p//a.png", "p/../p/a.png", "../x/p/a.png", "link/a.png"]
    assert {place(s) for s in [*spellings, str(here / "x/p/a.png")]} == {str(here / "x/p/a.png")}
    assert place("x/p/a.png", str(here)) == place("p/a.png")
    assert place(".") == place("p/..") == place("") == str(here / "x")


def test_a_link_to_a_file_is_a_name_of_its_own(here: Path) -> None:
    (here / "x/p/b.png").symlink_to("a.png")
    assert place("p/b.png") != place("p/a.png")


@pytest.mark.parametrize("path", ["p/\0", "\ud800.png", "p/\udce9.png", "gone/a.png", "/"])
def test_what_is_no_file_has_a_place_too(here: Path, path: str) -> None:
    assert place(path) == place(path, real={})


def test_a_file_is_found_from_another_folder(here: Path) -> None:
    assert find_file("p/a.png", [here / "x"]) == "p/a.png", "as written, where that leads there"
    os.chdir(here / "y")
    assert find_file("p/a.png", [here / "y", here / "x"]) == str(here / "x/p/a.png")
    assert find_file("p/gone.png", [here / "x"]) == "p/gone.png"
    (here / "y/p").mkdir()
    (here / "y/p/a.png").touch()
    found = find_file("p/a.png", [here / "x"])
    assert found == str(here / "x/p/a.png"), "another file of the same name is not it"


def test_a_file_is_found_among_pictures_that_were_moved(here: Path) -> None:
    assert find_file("/old/x/p/a.png", images=here / "x") == str(here / "x/p/a.png")
    assert find_file("../q/p/a.png", images=here / "x") == str(here / "x/p/a.png")
    assert find_file("q/z.png", images=here / "y") == str(here / "y/z.png")
    assert find_file("q/gone.png", images=here / "y") == str(here / "y/gone.png")


def test_a_folder_that_is_new_or_empty_is_ours(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new/out", tmp_path / "empty"):
        assert claim(folder).whole
        assert is_ours(folder)
        claim(folder).note(folder / "a.png")
        assert our_names(folder) == frozenset()
        assert claim(folder).whole, "also the second time"
    mark(tmp_path)
    assert is_ours(tmp_path)


def test_a_folder_with_files_of_others_stays_theirs(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    one = claim(tmp_path)
    assert not one.whole
    assert not (tmp_path / MARKER).exists()
    odd = ["a.png", "new\nline.png", "caf\udce9.png"]
    one.note(*(tmp_path / name for name in odd))
    one.note(tmp_path / "a.png")
    claim(tmp_path).note(tmp_path / "a.png", tmp_path / "b.png")
    assert our_names(tmp_path) == {*odd, "b.png"}
    assert len((tmp_path / MARKER).read_text().splitlines()) == 5
    with (tmp_path / MARKER).open("a") as file:
        file.write('"torn by a ki')
    assert our_names(tmp_path) == {*odd, "b.png"}
    assert not is_ours(tmp_path)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file/out"):
        with pytest.raises(OutputError, match="cannot be written"):
            claim(folder)
