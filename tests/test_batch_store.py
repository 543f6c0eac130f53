"""The output folder: whole whatever happens, one writer, one set of settings."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kosmoscope.batch import (
    FolderBusyError,
    FolderMismatchError,
    OutputError,
    Source,
    Task,
    read_results,
)
from kosmoscope.batch.journal import Journal
from kosmoscope.batch.store import Store
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import OptionError, PromptError
from kosmoscope.files.writing import write_file
from kosmoscope.results import Description
from kosmoscope.types import ImageInfo

TASKS = (Task.describe(), Task.ground("a dog"))
OPTIONS = GenerationOptions(max_new_tokens=16)
MODEL = {"name": "tiny", "precision": "int8", "source_sha256": "0123456789abcdef"}
SHA = "ab" * 32


def opened(folder: Path, **changes: Any) -> Store:
    values = {"tasks": TASKS, "options": OPTIONS, **changes}
    return Store(folder, values.pop("tasks"), values.pop("options"), **values)


def key(path: str) -> str:
    return Source(path).key


def fill(folder: Path, count: int = 3) -> None:
    with opened(folder) as store:
        store.begin(MODEL, {})
        for i in range(count):
            store.add(Source(f"{i}.jpg"), f"{i:02}" * 32, [{"n": 0}, {"n": 1}])


def lines(folder: Path, name: str = "results.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_bytes().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "out"


def test_what_is_written_is_there_the_next_time(folder: Path) -> None:
    fill(folder)
    first = lines(folder)[0]
    assert list(first) == ["id", "sha256", "source", "base", "task", "description"]
    assert first["id"] == f"{'00' * 8}-brief"
    assert [r["task"] for r in lines(folder)[:2]] == [t.key for t in TASKS]
    with opened(folder) as store:
        store.begin(MODEL, {})
        assert (store.records, store.repaired) == (6, ())
        assert store.missing(key("0.jpg")) == 0
        assert store.missing(key("0.jpg"), bytes.fromhex("00" * 16)) == 0
        assert store.missing(key("0.jpg"), bytes.fromhex("ff" * 16)) == 3, "another content"
        assert store.missing(key("9.jpg")) == 3
        assert store.owner(bytes.fromhex("01" * 16)) == key("1.jpg")
        assert store.owner(bytes.fromhex("ff" * 16)) is None
        found = store.recorded(bytes.fromhex("01" * 16))
        assert [r["description"] for r in found] == [{"n": 0}, {"n": 1}]
        assert store.add(Source("0.jpg"), "00" * 32, [{}, {}]) == 0, "nothing twice"
    run = json.loads((folder / "run.json").read_text())
    assert run["sessions"] == 2
    assert run["model"] == MODEL
    assert run["counts"] == {"pictures": 3, "records": 6, "failed": 0}


@pytest.mark.parametrize("torn", [b"{", b'{"id": "x", "n": [1', b"\xff\xfe\0", b"x" * 200_000])
def test_a_torn_last_line_is_cut_off_and_reported(folder: Path, torn: bytes) -> None:
    fill(folder)
    whole = (folder / "results.jsonl").read_bytes()
    for name in ("results.jsonl", "errors.jsonl"):
        with (folder / name).open("ab") as file:
            file.write(torn)
    with opened(folder) as store:
        store.begin(MODEL, {})
        assert store.repaired == tuple(
            f"{name}: cut off an unfinished last line of {len(torn)} bytes"
            for name in ("results.jsonl", "errors.jsonl")
        )
    assert (folder / "results.jsonl").read_bytes() == whole
    assert (folder / "errors.jsonl").read_bytes() == b""


def test_cut_at_every_byte(folder: Path) -> None:
    """Whatever part of the file a kill left, the rest is written again and nothing twice."""
    fill(folder, 2)
    whole = (folder / "results.jsonl").read_bytes()
    for end in range(0, len(whole), 7):
        (folder / "results.jsonl").write_bytes(whole[:end])
        fill(folder, 2)
        assert (folder / "results.jsonl").read_bytes() == whole, end


def test_a_record_that_is_none_of_ours_is_named(folder: Path) -> None:
    fill(folder)
    whole = (folder / "results.jsonl").read_bytes()
    bad = [
        b"[]\n",
        b"\0\0\0\n",
        b'{"source": "x"}\n',
        b'{"source":"x","sha256":"zz","task":"brief"}\n',
    ]
    for line in bad:
        (folder / "results.jsonl").write_bytes(whole + line + whole)
        with opened(folder) as store, pytest.raises(OutputError, match=f"byte {len(whole)} is not"):
            store.begin(MODEL, {})
    with opened(folder, overwrite=True) as store:
        store.begin(MODEL, {})
    assert lines(folder) == []


def test_two_writers_are_refused(folder: Path) -> None:
    with opened(folder) as store:
        store.begin(MODEL, {})
        words = rf"another process \(pid {os.getpid()}\) is writing there"
        with pytest.raises(FolderBusyError, match=words), opened(folder):
            pass
        with pytest.raises(FolderBusyError), opened(folder, overwrite=True):
            pass
        store.add(Source("x"), SHA, [{}, {}])
    assert len(lines(folder)) == 2
    with opened(folder):
        pass


def test_a_writer_in_another_process_is_named_and_its_death_frees_the_folder(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from kosmoscope.files.locks import locked\n"
        "with locked(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    )
    folder.mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == b"locked"
    with pytest.raises(FolderBusyError, match=f"pid {holder.pid}"), opened(folder):
        pass
    holder.kill()
    holder.communicate()
    with opened(folder):
        pass


@pytest.mark.parametrize(
    ("changes", "model", "words"),
    [
        ({"options": replace(OPTIONS, max_new_tokens=9)}, {}, "max_new_tokens was 16, is now 9"),
        (
            {"options": replace(OPTIONS, stop_sequences=((3,),))},
            {},
            r"stop_sequences was \[\], is now \[\[3\]\]",
        ),
        ({"tasks": TASKS[:1]}, {}, "task ground-a-dog-[0-9a-f]{8} is missing"),
        ({"tasks": (*TASKS, Task.describe("detailed"))}, {}, "task detailed is new"),
        (
            {},
            {"precision": "fp32"},
            r"tiny \(int8, source 01234567\), is now tiny \(fp32, source 01234567\)",
        ),
        (
            {},
            {"name": "x", "source_sha256": "f"},
            r"\(int8, source 01234567\), is now x \(int8, source f\)",
        ),
    ],
)
def test_other_settings_are_refused(
    folder: Path, changes: dict[str, Any], model: dict[str, str], words: str
) -> None:
    fill(folder)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    store = opened(folder, **changes)
    with pytest.raises(FolderMismatchError, match=words), store:
        store.begin({**MODEL, **model}, {})
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    with opened(folder, overwrite=True, **changes) as store:
        store.begin({**MODEL, **model}, {})
    assert lines(folder) == []
    with opened(folder, **changes) as store:
        store.begin({**MODEL, **model}, {})


def test_tasks_keep_the_folders_order(folder: Path) -> None:
    fill(folder)
    with opened(folder, tasks=TASKS[::-1]) as store:
        assert store.tasks == TASKS


def test_the_same_model_under_another_name_is_the_same(folder: Path) -> None:
    fill(folder)
    with opened(folder) as store:
        store.begin({**MODEL, "name": "other"}, {})


def test_results_without_run_json_are_not_touched(folder: Path) -> None:
    fill(folder)
    (folder / "run.json").unlink()
    with pytest.raises(OutputError, match=r"has results\.jsonl but no run\.json"), opened(folder):
        pass
    for text in ("", "{}", "[]", '{"format": 99}'):
        (folder / "run.json").write_text(text)
        with pytest.raises(OutputError, match="not a run of format 1"), opened(folder):
            pass
    assert len(lines(folder)) == 6
    with opened(folder, overwrite=True) as store:
        store.begin(MODEL, {})


def test_errors_are_written_once_and_dropped_when_they_are_over(folder: Path) -> None:
    a, b = Source("a.jpg"), Source("b.jpg")
    with opened(folder) as store:
        store.begin(MODEL, {})
        assert store.fail(a, "CorruptImageError", "a.jpg: broken")
        assert not store.fail(a, "CorruptImageError", "a.jpg: broken")
        assert store.fail(b, "ImageNotFoundError", "b.jpg: no such file")
    with opened(folder) as store:
        store.begin(MODEL, {})
        assert set(store.failures) == {key("a.jpg"), key("b.jpg")}
        assert not store.fail(a, "CorruptImageError", "a.jpg: broken")
        store.add(b, SHA, [{}, {}])
        # As a kill would leave it: the record is written, the error is not dropped yet.
    assert len(lines(folder, "errors.jsonl")) == 2
    with opened(folder) as store:
        store.begin(MODEL, {})
        store.fail(a, "CorruptImageError", "a.jpg: broken in another way")
        store.settle()
    assert lines(folder, "errors.jsonl") == [
        {
            "source": "a.jpg",
            "base": str(Path.cwd()),
            "error": "a.jpg: broken in another way",
            "kind": "CorruptImageError",
        }
    ]


class _Full:
    """`os.write` on a disk that fills up in the middle of a line."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.write = os.write

    def __call__(self, handle: int, data: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self.write(handle, bytes(data)[: self.room])
        self.room -= written
        return written


def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(folder, 2)
    with opened(folder) as store:
        store.begin(MODEL, {})
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", _Full(50))
            with pytest.raises(OutputError, match=r"results\.jsonl: cannot be written: no space"):
                store.add(Source("2.jpg"), "02" * 32, [{"n": 0}, {"n": 1}])
        assert len(lines(folder)) == 4, "the half line is gone"
        store.add(Source("2.jpg"), "02" * 32, [{"n": 0}, {"n": 1}])
    assert len(lines(folder)) == 6


@pytest.mark.skipif(os.name == "nt", reason="no such limit")
def test_a_limited_file_size(folder: Path) -> None:
    """The same without a fake: the system itself refuses the rest of a line."""
    fill(folder, 2)
    size = (folder / "results.jsonl").stat().st_size
    code = f"""
import resource, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
import test_batch_store as t
with t.opened(Path(sys.argv[1])) as store:
    store.begin(t.MODEL, {{}})
    resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 300}, resource.RLIM_INFINITY))
    store.add(t.Source("2.jpg"), "02" * 32, [{{"n": "x" * 200}}, {{"n": 1}}])
"""
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True)
    assert "the file would be larger than allowed; what is there is whole" in done.stderr
    assert (folder / "results.jsonl").stat().st_size == size


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_an_output_that_cannot_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    folder.mkdir(parents=True)
    real = os.open

    def refuse(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & (os.O_CREAT | os.O_RDWR):
            raise OSError(code, os.strerror(code))
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match=r"read-only|permission denied"), opened(folder):
        pass


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for place in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(OutputError, match=r"expected a folder|not a folder"), opened(place):
            pass
    (tmp_path / "other" / "errors.jsonl").mkdir(parents=True)
    with pytest.raises(OutputError, match="expected a file"), opened(tmp_path / "other"):
        pass


def test_replacing_a_file_is_all_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.json"
    write_file(path, b"old", durable=True)

    def fail(handle: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OutputError, match="no space left"):
            write_file(path, b"new", durable=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path], "no temporary file is left"


def test_a_journal_reads_from_an_offset(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    offsets = journal.append([{"n": 1}, {"n": "ä"}]) + journal.append([{"n": 3}])
    assert list(journal) == [(o, {"n": n}) for o, n in zip(offsets, (1, "ä", 3), strict=True)]
    assert [r["n"] for _, r in journal.read(offsets[1])] == ["ä", 3]
    journal.close()
    journal.close()


def test_task_keys() -> None:
    keys = [
        t.key
        for t in (
            Task.describe(),
            Task.describe("detailed", grounded=False),
            Task.describe("A photo of"),
            Task.ground("a red car"),
            Task.ground("A red car"),
            Task.ask("What is this?"),
            Task.ask("\N{CAT FACE}" * 50),
        )
    ]
    assert keys[:2] == ["brief", "detailed-plain"]
    assert keys[3].startswith("ground-a-red-car-")
    assert len(set(keys)) == len(keys)
    assert all(k.isascii() and len(k) < 60 and k == k.lower() for k in keys)


@pytest.mark.parametrize(
    "fields",
    [("describe", " "), ("ground", ""), ("ask", None), ("find", "x"), ("ground", "x", False)],
)
def test_bad_tasks(fields: tuple[Any, ...]) -> None:
    with pytest.raises((OptionError, PromptError)):
        Task(*fields)


def test_results_find_their_pictures_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("x/p/a.jpg", "y/p/a.jpg", "z"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path / "x")
    image, words = ImageInfo("p/a.jpg", 8, 8), ("", "", "", "", "")
    said = Description(image, "tiny", "int8", *words, "", (), (), "stop").to_dict()
    with opened(Path("out")) as store:
        store.begin(MODEL, {})
        store.add(Source("p/a.jpg"), SHA, [said, said])

    def found(source: object, **changes: Any) -> set[tuple[str, str]]:
        return {
            (r.description.image.path, r.source)
            for r in read_results(source, **changes)  # type: ignore[arg-type]
        }

    assert found("out") == {("p/a.jpg", "p/a.jpg")}
    right = {(str(tmp_path / "x/p/a.jpg"), "p/a.jpg")}
    for elsewhere in ("", "y"):
        monkeypatch.chdir(tmp_path / elsewhere)
        assert found(tmp_path / "x/out") == right
        assert found(tmp_path / "x/out/results.jsonl") == right
        with (tmp_path / "x/out/results.jsonl").open("rb") as stream:
            assert found(stream) == right
    there = found(tmp_path / "x/out", images=tmp_path / "y")
    assert there == {(str(tmp_path / "y/p/a.jpg"), "p/a.jpg")}
    (tmp_path / "x").rename(tmp_path / "moved")
    assert found(tmp_path / "moved/out") == {(str(tmp_path / "moved/p/a.jpg"), "p/a.jpg")}
    (tmp_path / "moved/out").rename(tmp_path / "alone")
    (tmp_path / "moved").rename(tmp_path / "x")
    assert found(tmp_path / "alone") == right
    monkeypatch.chdir(tmp_path / "x")
    with opened(tmp_path / "alone") as store:
        store.begin(MODEL, {})
        assert store.missing(key("p/a.jpg")) == 0, "and a run goes on there"
