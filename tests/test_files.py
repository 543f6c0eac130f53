"""The bottom room: what is written is there whole or not at all, and shared as the user wants."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosmoscope.errors import (
    CheckpointError,
    FolderBusyError,
    InputError,
    OptionError,
    OutputError,
)
from kosmoscope.files.checked import checked, json_object, read_object
from kosmoscope.files.folders import new_folder
from kosmoscope.files.locks import locked, waiting_for
from kosmoscope.files.names import NAME_BYTES, fitted
from kosmoscope.files.text import markup, one_line, one_space, reason, shown_name, utf8
from kosmoscope.files.writing import replacing, write_file, write_text


def repr_start(value: object) -> str:
    return repr(value)[:12]


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_takes_its_place_at_the_end(tmp_path: Path, durable: bool) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with replacing(target, durable=durable) as file:
        file.write(b"new")
        file.flush()
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_the_old_file(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def broken() -> None:
        with replacing(target) as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)):
        broken()
    assert (target.read_text(), names(tmp_path)) == ("old", ["a.txt"])


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    code = (
        "import os, sys; from pathlib import Path\n"
        "from kosmoscope.files.writing import replacing\n"
        "with replacing(Path(sys.argv[1])) as f: f.write(b'half'); f.flush(); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(target)], check=False).returncode == 9
    assert target.read_text() == "old"
    assert all(n == "a.txt" or n.startswith(".") for n in names(tmp_path))


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_decides_who_may_read(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_file(tmp_path / "a", b"", durable=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_names_as_long_as_the_system_allows(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 255)
    write_text(target, ["a", "é"])
    assert target.read_bytes() == "aé".encode()


def test_what_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    for path, error, words in (
        (tmp_path / "folder", OptionError, "is a folder"),
        (tmp_path / "no" / "file", OutputError, "no such folder"),
        (tmp_path / "file" / "x", OutputError, "a part of the path is not a folder"),
        (tmp_path / "a\0b", OptionError, "NUL"),
    ):
        with pytest.raises(error, match=words) as caught:
            write_file(path, b"")
        assert "\n" not in str(caught.value)
        assert ".part" not in str(caught.value)
    with pytest.raises(OptionError, match="exists"):
        write_file(tmp_path / "file", b"", overwrite=False)
    assert names(tmp_path) == ["file", "folder"]


def test_a_full_disk_is_told(tmp_path: Path) -> None:

    def full() -> None:
        with replacing(tmp_path / "a"), Path("/dev/full").open("wb", buffering=0) as device:
            device.write(b"x")

    with pytest.raises(OutputError, match=r"a: cannot be written: no space left on the device$"):
        full()
    assert names(tmp_path) == []


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    with new_folder(target) as stage:
        (stage / "a").write_text("1")
        assert not target.exists()
    assert names(target) == ["a"]

    def broken() -> None:
        with new_folder(target, replace=True) as stage:
            (stage / "b").write_text("2")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert (names(target), names(target.parent)) == (["a"], ["folder"])
    with new_folder(target, replace=True) as stage:
        (stage / "b").write_text("2")
    assert (names(target), names(target.parent)) == (["b"], ["folder"])


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_appeared_meanwhile_is_kept(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "folder"

    def late() -> None:
        with new_folder(target) as stage:
            (stage / "mine").write_text("")
            if kind == "file":
                target.write_text("theirs")
            else:
                target.mkdir()
                (target / "theirs").write_text("")

    with pytest.raises(FileExistsError):
        late()
    assert names(tmp_path) == ["folder"]
    assert target.read_text() == "theirs" if kind == "file" else names(target) == ["theirs"]


def test_an_empty_folder_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with new_folder(tmp_path / "folder") as stage:
        (stage / "a").write_text("")
    assert names(tmp_path / "folder") == ["a"]


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    words = rf"\(pid {os.getpid()}\) is writing there"
    with locked(tmp_path), pytest.raises(FolderBusyError, match=words), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
    assert names(tmp_path) == [".lock"]


def test_a_dead_writer_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from kosmoscope.files.locks import locked\n"
        "with locked(Path(sys.argv[1])): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    with locked(tmp_path):
        pass


def test_waiting_for_a_lock(tmp_path: Path) -> None:
    lock, order = tmp_path / "locks" / "a", []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with waiting_for(lock):
            order.append(2)

    thread = threading.Thread(target=second)
    thread.start()
    with waiting_for(lock):
        inside.set()
        order.append(1)
    thread.join()
    assert order == [1, 2]


@given(st.text(st.characters(codec=None)))
def test_one_line_is_one_line(text: str) -> None:
    for shown in (one_line(text), one_line(text, limit=20), reason(ValueError(text))):
        assert "\n" not in shown
        shown.encode("utf-8")
        assert len(shown.splitlines()) <= 1
    assert len(one_line(text, limit=20)) <= 20
    utf8(text).encode("utf-8")
    assert utf8(utf8(text)) == utf8(text)
    assert not set(markup(text)) & set(map(chr, [*range(9), 11, 12, *range(14, 32), 127, 0xFFFF]))
    assert one_space(one_space(text)) == one_space(text)


def test_text_for_messages() -> None:
    assert one_line("a\nb\x1b\udcff") == "a\\nb\\x1b\\udcff"
    assert utf8("a\udcff\ud800") == "a\\xff\\ud800"
    assert shown_name(Path("x" * 600)) == "x" * 400 + "..." + "x" * 97
    assert reason(ValueError()) == "ValueError"
    assert reason(ValueError("a\n  b")) == "a b"


@dataclass(frozen=True, slots=True)
class Part:
    xyxy: tuple[float, float, float, float]
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True, slots=True)
class Whole:
    parts: tuple[Part, ...]
    name: str | None = None


def test_json_becomes_checked_values() -> None:
    data = {"parts": [{"xyxy": [0, 1, 2, 3.5], "later": 1}], "later": {}}
    assert checked(data, Whole) == Whole((Part((0, 1, 2, 3.5)),))


@pytest.mark.parametrize(("data", "words"), [
    ({}, "parts"), ({"parts": 5}, "`parts`"), ({"parts": [{}]}, r"`parts\[0\]`"),
    ({"parts": [{"xyxy": [1, 2, 3]}]}, "length 4"), ({"parts": [], "name": 5}, "`name`"),
    ({"parts": [{"xyxy": [1, 2, 3, True]}]}, "float"), ([], "object"),
    ({"parts": [{"xyxy": [1, 2, 3, 4], "kind": "c"}]}, "'c'"),
    ({"parts": [{"xyxy": [1, 2, 3, 10**400]}]}, "range"),
])  # fmt: skip
def test_json_of_another_shape_is_told(data: object, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        checked(data, Whole)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "5", "nul", "[" * 100_000, "9" * 5000, b"\xff\xfe"]
)
def test_texts_that_are_no_objects(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(InputError):
        json_object(text)
    file = tmp_path / "a\n.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CheckpointError, match=r"a\\n\.json: ") as caught:
        read_object(file, CheckpointError)
    assert "\n" not in str(caught.value)


def test_an_object_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"a": [1]}))
    assert read_object(tmp_path / "a.json") == {"a": [1]}
    with pytest.raises(InputError, match=r"b\.json: cannot be read: No such file"):
        read_object(tmp_path / "b.json")


@pytest.mark.parametrize("letter", ["n", "\u96ea", "\U0001f600", "\udce9"])
@pytest.mark.parametrize("count", [10, 63, 80, 240, 400])
def test_a_derived_name_never_gets_too_long_for_a_file_system(
    tmp_path: Path, letter: str, count: int
) -> None:
    ending = "-overlay.jpg"
    names = [fitted(letter * count + last, len(ending)) + ending for last in "ab"]
    assert len(set(names)) == 2, "names that begin alike stay different"
    for name in names:
        assert len(os.fsencode(name)) <= NAME_BYTES
        (tmp_path / name).touch()


def test_a_name_that_fits_is_kept_and_a_cut_one_is_always_cut_alike() -> None:
    assert fitted("n" * 251, 4) == "n" * 251
    assert fitted("n" * 252, 4) == fitted("n" * 252, 4) != "n" * 252
