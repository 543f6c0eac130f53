"""Batches end to end with a tiny model. What it says is nobody's business here."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from copy import copy as copied
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import small_models as small
from kosmoscope.batch import (
    FolderMismatchError,
    OutputError,
    PictureDone,
    Progress,
    Source,
    Summary,
    Task,
    decoding,
    pipeline,
    run_batch,
)
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import CorruptImageError, ModelNotFoundError, OptionError, PromptError
from kosmoscope.files.marker import claim
from kosmoscope.images import Limits, pixel_tensor, read_image
from kosmoscope.results import Description
from kosmoscope.scope import Scope, load

OPTIONS = GenerationOptions(max_new_tokens=8)
TASKS = (Task.describe(), Task.ground("a dog"), Task.ask("What is this?", grounded=False))


@pytest.fixture(scope="module")
def scope() -> Scope:
    return copied(small.scope())  # tests put themselves into its place here and there


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(7):
        save(folder / f"{i}.png", i)
    return folder


def save(path: Path, seed: int) -> None:
    colours = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    picture = Image.fromarray(colours).resize((64, 48), Image.Resampling.BICUBIC)
    picture.save(path, "PNG")


def records(out: Path, name: str = "results.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / name).read_bytes().splitlines()]


def bare(out: Path) -> bytes:
    return re.sub(rb'"timing": \{[^}]*\}', b"", (out / "results.jsonl").read_bytes())


@pytest.fixture
def run(scope: Scope, pictures: Path, tmp_path: Path) -> Callable[..., Summary]:
    def call(*sources: str | Path, **changes: Any) -> Summary:
        values = {
            "tasks": TASKS[:1], "out": tmp_path / "out", "options": OPTIONS, "batch_size": 3,
            "decoders": 2, **changes,
        }  # fmt: skip
        return run_batch(values.pop("scope", scope), sources or [pictures], **values)

    return call


def test_results_are_those_of_the_verbs(
    run: Callable[..., Summary], scope: Scope, pictures: Path, tmp_path: Path
) -> None:
    summary = run(tasks=TASKS)
    assert (summary.described, summary.failed, summary.skipped, summary.records) == (7, 0, 0, 21)
    assert not summary.interrupted
    found = records(tmp_path / "out")
    paths = [str(pictures / f"{i}.png") for i in range(7)]
    assert [r["source"] for r in found] == [p for p in paths for _ in TASKS]
    assert [r["task"] for r in found] == [t.key for t in TASKS] * 7
    for record in found:
        sha256 = hashlib.sha256(Path(record["source"]).read_bytes()).hexdigest()
        assert record["sha256"] == sha256
        assert record["id"] == f"{sha256[:16]}-{record['task']}"
        result = Description.from_dict(record["description"])
        task = next(t for t in TASKS if t.key == record["task"])
        (alone,) = scope.complete([task.prompt(record["source"])], OPTIONS)
        assert result.token_ids == alone.token_ids
        assert (result.caption, result.image) == (alone.caption, alone.image)
        assert result.timing.preprocess > 0
        assert result.timing.encode > 0


def test_the_same_again_does_nothing(run: Callable[..., Summary], tmp_path: Path) -> None:
    run()
    before = (tmp_path / "out" / "results.jsonl").read_bytes()
    again = run()
    assert (again.described, again.skipped, again.records) == (0, 7, 0)
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == before
    described = json.loads((tmp_path / "out" / "run.json").read_text())
    assert described["state"] == "finished"
    assert described["sessions"] == 2
    assert described["rate"] > 0, "of the run that did something"
    assert described["finished"] >= described["started"]
    assert set(described["versions"]) >= {"kosmoscope", "onnxruntime", "python"}


@pytest.mark.parametrize("keep", [0, 1, 4, 7, 10, 20])
def test_resumed_results_equal_those_of_one_go(
    run: Callable[..., Summary], tmp_path: Path, keep: int
) -> None:
    run(tasks=TASKS)
    out = tmp_path / "out"
    whole = bare(out)
    lines = (out / "results.jsonl").read_bytes().splitlines(keepends=True)
    (out / "results.jsonl").write_bytes(b"".join(lines[:keep]) + lines[keep][:30])
    summary = run(tasks=TASKS)
    assert summary.records == 21 - keep
    assert len(summary.repaired) == 1
    assert bare(out) == whole


def test_decoders_do_not_change_results(run: Callable[..., Summary], tmp_path: Path) -> None:
    run(tasks=TASKS, out=tmp_path / "a", decoders=1)
    run(tasks=TASKS, out=tmp_path / "b", decoders=5)
    assert bare(tmp_path / "a") == bare(tmp_path / "b")


def test_bad_files_become_records_and_the_rest_goes_on(
    run: Callable[..., Summary], pictures: Path, tmp_path: Path
) -> None:
    (pictures / "1b.png").write_bytes((pictures / "1.png").read_bytes()[:90])
    (pictures / "2b.jpg").touch()
    (pictures / "2c.jpg").write_text("<html>")
    expected = {
        "1b.png": "CorruptImageError",
        "2b.jpg": "EmptyImageError",
        "2c.jpg": "UnsupportedImageError",
    }
    if os.name != "nt":
        (pictures / "3b.png").symlink_to(pictures / "nothing")
        (pictures / "3c.png").symlink_to(pictures / "3c.png")
        os.mkfifo(pictures / "3d.png")
        expected |= dict.fromkeys(("3b.png", "3c.png", "3d.png"), "ImageNotFoundError")
    listed = tmp_path / "list.jsonl"
    listed.write_text("{\n")
    summary = run(pictures, listed, pictures / "gone.png", tmp_path / "*.gif")
    out = tmp_path / "out"
    assert (summary.described, summary.failed) == (7, len(expected) + 3)
    errors = records(out, "errors.jsonl")
    assert {Path(e["source"]).name: e["kind"] for e in errors} == {
        **expected,
        "list.jsonl:1": "InputError",
        "gone.png": "ImageNotFoundError",
        "*.gif": "InputError",
    }
    for error in errors:
        assert error["source"] in error["error"]
        assert "\n" not in error["error"]
    # Tried again, recorded once; and gone from the list once they are well.
    assert run(pictures, listed, pictures / "gone.png", tmp_path / "*.gif").failed == len(errors)
    assert records(out, "errors.jsonl") == errors
    save(pictures / "2b.jpg", 99)
    again = run(pictures)
    assert (again.described, again.failed) == (1, len(expected) - 1)
    assert "2b.jpg" not in (out / "errors.jsonl").read_text()


@pytest.mark.skipif(os.name == "nt", reason="no permission bits")
@pytest.mark.usefixtures("permissions_count")
def test_an_unreadable_file(run: Callable[..., Summary], pictures: Path, tmp_path: Path) -> None:
    (pictures / "3.png").chmod(0)
    assert run().failed == 1
    assert "permission denied" in records(tmp_path / "out", "errors.jsonl")[0]["error"]


def test_a_file_that_vanishes(run: Callable[..., Summary], pictures: Path, tmp_path: Path) -> None:
    """It is found, and gone when its turn comes."""

    class Names(io.RawIOBase):
        parts = (b"%s/0.png\n%s/6.png\n" % ((os.fsencode(pictures),) * 2), b"")

        def read(self, _size: int = -1) -> bytes:
            part, self.parts = self.parts[0], self.parts[1:]
            if not part:  # a window is full, or the end has come: until then nothing is opened
                (pictures / "6.png").unlink()
            return part

    summary = run("-", stdin=Names(), batch_size=3)
    assert (summary.described, summary.failed) == (1, 1)
    assert "no such file" in records(tmp_path / "out", "errors.jsonl")[0]["error"]


@pytest.mark.skipif(os.name == "nt", reason="names that Windows cannot have")
def test_odd_names(run: Callable[..., Summary], pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    names = [b"-x.png", b"new\nline.png", "\N{SNOWMAN}\N{CAT FACE}.png".encode(), b"@y.png"]
    try:
        (folder / os.fsdecode(b"caf\xe9.png")).touch()
        names.append(b"caf\xe9.png")
    except OSError:
        pass  # macOS has no such names
    for i, name in enumerate(names):
        save(folder / "plain", i)
        (folder / "plain").replace(folder / os.fsdecode(name))
    assert run(folder).described == len(names)
    assert run(folder).skipped == len(names)
    found = {Path(r["source"]).name for r in records(tmp_path / "out")}
    assert found == {name.decode("utf-8", "backslashreplace") for name in names}
    for record in records(tmp_path / "out"):
        assert record["description"]["image"]["path"] == record["source"]


def test_the_same_content_is_computed_once_and_recorded_for_each(
    run: Callable[..., Summary], scope: Scope, pictures: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for copy in ("0b.png", "5b.png", "6b.png"):  # in the same window, and in later ones
        (pictures / copy).write_bytes((pictures / "0.png").read_bytes())
    encoded: list[object] = []
    encode = scope.engine.encode

    def counted(pixels: Any) -> Any:
        encoded.append(pixels)
        return encode(pixels)

    monkeypatch.setattr(scope.engine, "encode", counted)
    summary = run(tasks=TASKS)
    assert (summary.described, summary.copied, summary.records) == (10, 3, 30)
    assert len(encoded) == 7
    found = records(tmp_path / "out")
    same = [r for r in found if r["source"].endswith(("0.png", "0b.png", "5b.png", "6b.png"))]
    assert len(same) == 12
    assert len({r["id"] for r in same}) == 3
    for record in same:
        assert record["description"]["image"]["path"] == record["source"]
    whole = bare(tmp_path / "out")
    lines = (tmp_path / "out" / "results.jsonl").read_bytes().splitlines(keepends=True)
    for end in range(0, len(lines), 4):
        (tmp_path / "out" / "results.jsonl").write_bytes(b"".join(lines[:end]))
        run(tasks=TASKS)
        assert bare(tmp_path / "out") == whole


def test_changed_files_are_seen_if_asked_for(
    run: Callable[..., Summary], pictures: Path, tmp_path: Path
) -> None:
    run()
    save(pictures / "3.png", 77)
    assert run().skipped == 7, "a path with results is trusted"
    summary = run(skip_existing=False)
    assert (summary.described, summary.skipped) == (1, 6)
    last = records(tmp_path / "out")[-1]
    assert last["source"].endswith("3.png")
    assert last["sha256"] == hashlib.sha256((pictures / "3.png").read_bytes()).hexdigest()
    assert run(skip_existing=False).skipped == 7


def rotated(folder: Path, *names: str) -> None:
    """Let each file have the next one's content; the last one gets that of the first."""
    for name in names:
        (folder / name).rename(folder / f"{name}.old")
    for name, other in zip(names, (*names[1:], names[0]), strict=True):
        (folder / f"{other}.old").rename(folder / name)


def renamed_and_new(folder: Path) -> None:
    (folder / "1.png").rename(folder / "9.png")
    save(folder / "1.png", 50)


def renamed_onto_the_next_and_new(folder: Path) -> None:
    (folder / "1.png").replace(folder / "2.png")
    save(folder / "1.png", 50)


def moved_up_by_one(folder: Path) -> None:
    for i in reversed(range(7)):
        (folder / f"{i}.png").rename(folder / f"{i + 1}.png")
    save(folder / "0.png", 50)


def renamed_and_back_with_copies(folder: Path) -> None:
    (folder / "8.png").write_bytes((folder / "1.png").read_bytes())
    (folder / "1.png").write_bytes((folder / "2.png").read_bytes())
    save(folder / "2.png", 51)


CHANGES = [
    renamed_and_new, renamed_onto_the_next_and_new, moved_up_by_one, renamed_and_back_with_copies,
    lambda folder: rotated(folder, "1.png", "2.png"),
    lambda folder: rotated(folder, "6.png", "0.png", "3.png", "5.png"),
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_files_that_change_their_names_keep_their_content(
    run: Callable[..., Summary], pictures: Path, tmp_path: Path, change: Any, batch_size: int
) -> None:
    """An owner of records that was renamed, while another picture took its name."""
    asked = {"tasks": TASKS[:2], "batch_size": batch_size}
    run(**asked)
    before = {
        (r["sha256"], r["task"]): r["description"]["caption"] for r in records(tmp_path / "out")
    }
    change(pictures)
    summary = run(**asked, skip_existing=False)
    assert summary.failed == 0
    latest = {(r["source"], r["task"]): r for r in records(tmp_path / "out")}
    for path in pictures.glob("*.png"):
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        for task in TASKS[:2]:
            one = latest[str(path), task.key]
            assert one["sha256"] == sha
            assert one["description"]["image"]["path"] == str(path)
            known = before.get((sha, task.key))
            assert known is None or one["description"]["caption"] == known
    count = len(records(tmp_path / "out"))
    again = run(**asked, skip_existing=False)
    assert (again.described, again.records) == (0, 0), "nothing twice"
    change(pictures)
    assert run(**asked, skip_existing=False).failed == 0
    assert len(records(tmp_path / "out")) > count
    assert run(**asked, skip_existing=False).described == 0


def test_watching_sees_files_change_places(
    run: Callable[..., Summary], pictures: Path, tmp_path: Path
) -> None:
    for path in pictures.iterdir():
        os.utime(path, (1, 1))
    stop = threading.Event()

    def progress(state: Progress) -> None:
        if state.done == 7:
            rotated(pictures, "1.png", "2.png", "3.png")
            for i, name in enumerate(("1.png", "2.png", "3.png")):
                os.utime(pictures / name, (i + 5, i + 5))
        if state.done == 10:
            stop.set()

    summary = run(watch=True, poll=0.05, stop=stop, progress=progress, skip_existing=False)
    assert (summary.failed, summary.described, summary.copied) == (0, 10, 3)
    latest = {r["source"]: r["sha256"] for r in records(tmp_path / "out")}
    for path in pictures.iterdir():
        assert latest[str(path)] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_one_file_under_several_spellings_is_one_record(
    run: Callable[..., Summary], pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("pictures")
    assert run("pictures", "./pictures", pictures, "link").records == 7
    monkeypatch.chdir(pictures)
    for source in (".", "../pictures", pictures, "../link", "*.png"):
        summary = run(source, skip_existing=False)
        assert (summary.records, summary.skipped) == (0, 7)
    (pictures / "3.png").write_bytes(b"broken")
    assert run("3.png", skip_existing=False).failed == 1
    monkeypatch.chdir(tmp_path)
    assert run("pictures", skip_existing=False).failed == 1
    assert len(records(tmp_path / "out", "errors.jsonl")) == 1
    save(pictures / "3.png", 3)
    run("link", skip_existing=False)
    assert records(tmp_path / "out", "errors.jsonl") == []


def test_the_folder_of_pictures_may_be_the_output(
    run: Callable[..., Summary], pictures: Path
) -> None:
    for _ in range(2):
        run(out=pictures, on_picture=lambda _: claim(pictures / "annotated"))
        (pictures / "annotated/0.png").write_bytes(b"ours")
    assert len(records(pictures)) == 7
    assert run(out=pictures).skipped == 7
    (pictures / "own").mkdir()
    save(pictures / "own/8.png", 80)
    assert run(out=pictures / "own").described == 8, "photos in it too, others' or one's own"


def test_what_is_passed_over_and_what_is_wrong_is_said(
    run: Callable[..., Summary], pictures: Path, tmp_path: Path
) -> None:
    (pictures / "raw.dng").touch()
    (tmp_path / "empty").mkdir()
    summary = run(pictures, tmp_path / "empty", tmp_path / "gone.png")
    assert summary.passed_over == "1 file of other kinds (.dng) was passed over"
    assert (summary.described, summary.failed) == (7, 2)
    assert [p.rpartition("/")[2] for p in summary.problems] == [
        "empty: no pictures in it", "gone.png: no such file",
    ]  # fmt: skip
    for _ in range(2):
        run(pictures, tmp_path / "empty")
        assert len(records(tmp_path / "out", "errors.jsonl")) == 2, "told once"
    save(tmp_path / "empty/1.png", 70)
    save(tmp_path / "gone.png", 71)
    assert run(pictures, tmp_path / "empty", tmp_path / "gone.png").failed == 0
    assert records(tmp_path / "out", "errors.jsonl") == []


def test_new_pictures_are_added(
    run: Callable[..., Summary], pictures: Path, tmp_path: Path
) -> None:
    run()
    save(pictures / "2b.png", 50)
    summary = run()
    assert (summary.described, summary.skipped) == (1, 7)
    assert len(records(tmp_path / "out")) == 8


def test_other_settings_are_refused_before_the_model_is_loaded(
    run: Callable[..., Summary], tmp_path: Path
) -> None:
    run()

    def never() -> Scope:
        raise AssertionError("loaded")

    with pytest.raises(FolderMismatchError, match="max_new_tokens was 8, is now 9"):
        run(options=GenerationOptions(max_new_tokens=9), scope=never)
    with pytest.raises(
        FolderMismatchError, match=r"was base-0 \(fp32, .*\), is now base-0 \(int8, "
    ):
        run(scope=lambda: small.scope(precision="int8"))
    assert run(options=GenerationOptions(max_new_tokens=9), overwrite=True).described == 7
    assert len(records(tmp_path / "out")) == 7


def test_wrong_calls(run: Callable[..., Summary], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="at least one task"):
        run(tasks=[])
    with pytest.raises(OptionError, match="batch_size"):
        run(batch_size=0)
    with pytest.raises(OptionError, match="threads is 0"):
        run(decoders=0)
    with pytest.raises(OptionError, match="cannot be watched"):
        run("-", watch=True)
    assert not (tmp_path / "out").exists(), "nothing was begun"
    with pytest.raises(PromptError):
        run(tasks=[Task.ground("<phrase>")])
    with pytest.raises(PromptError, match="tokens; the model reads"):
        run(tasks=[Task.ask("why " * 3000)])
    with pytest.raises(ModelNotFoundError):
        run(scope=lambda: load("no-such-model"))
    assert not (tmp_path / "out" / "run.json").exists()
    assert run().described == 7


def test_results_are_handed_out_before_they_count(
    run: Callable[..., Summary], pictures: Path, tmp_path: Path
) -> None:
    (pictures / "0b.png").write_bytes((pictures / "0.png").read_bytes())
    seen: list[PictureDone] = []

    def hook(done: PictureDone) -> None:
        assert done.source.name not in (tmp_path / "out" / "results.jsonl").read_text()
        seen.append(done)
        if done.source.name.endswith("3.png"):
            raise CorruptImageError(done.source.name, "cannot be drawn")

    summary = run(tasks=TASKS, on_picture=hook, keep=lambda picture: picture.rgb.shape)
    assert (summary.described, summary.failed) == (8, 0)
    assert [d.source.name for d in seen] == [str(p) for p in sorted(pictures.iterdir())]
    for done in seen:
        assert done.kept == (48, 64, 3)
        assert done.tasks == TASKS
        assert [d.image.path for d in done.descriptions] == [done.source.name] * 3
    (error,) = records(tmp_path / "out", "errors.jsonl")
    assert error["stage"] == "picture"
    assert run(tasks=TASKS, on_picture=hook).skipped == 8
    assert len(seen) == 8
    assert records(tmp_path / "out", "errors.jsonl") == [error]


class BrokenError(Exception):
    """One that nobody raises on purpose."""


def broken(*_: Any, **__: Any) -> Any:
    raise BrokenError


@pytest.mark.parametrize("stage", ["decode", "model", "hook", "progress", "disk", "sources"])
def test_an_error_in_any_stage_stops_all_and_comes_out_once(
    run: Callable[..., Summary], scope: Scope, pictures: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, stage: str,
) -> None:  # fmt: skip
    changes: dict[str, Any] = {"batch_size": 1}
    with monkeypatch.context() as patch:
        if stage == "decode":
            changes["keep"] = broken
        elif stage == "model":
            patch.setattr(scope.engine, "encode", broken)
        elif stage == "disk":
            patch.setattr("kosmoscope.batch.journal.os.write", broken)
        elif stage == "sources":
            patch.setattr("kosmoscope.batch.sources.walk", broken)
        else:
            changes["on_picture" if stage == "hook" else "progress"] = broken
        with pytest.raises(BrokenError) as caught:
            run(**changes)
    assert caught.value.__context__ is None
    assert not [t for t in threading.enumerate() if t.name.startswith("kosmoscope")]
    if stage != "disk":
        assert json.loads((tmp_path / "out" / "run.json").read_text())["state"] == "failed"
    assert run().skipped + run().skipped >= 7, "and it can go on"


def test_a_disk_that_fills_up(
    run: Callable[..., Summary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from kosmoscope.batch.journal import Journal

    append, count = Journal.append, 0

    def fills(self: Journal, items: Any) -> list[int]:
        nonlocal count
        count += 1
        if count > 2:
            with monkeypatch.context() as patch:
                full = OSError(errno.ENOSPC, "full")
                patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(full))
                return append(self, items)
        return append(self, items)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", fills)
        with pytest.raises(OutputError, match="no space left on the device; what is there is"):
            run()
    assert len(records(tmp_path / "out")) == 2
    assert run().records == 5


def test_progress(run: Callable[..., Summary], pictures: Path) -> None:
    (pictures / "9.png").touch()
    states: list[Progress] = []
    run(progress=states.append)
    assert [s.done for s in states] == list(range(1, 9))
    assert {s.total for s in states} == {8}
    assert states[-1].failed == 1
    assert states[-1].eta == 0
    assert states[3].rate > 0
    assert states[0].source == str(pictures / "0.png")
    states.clear()
    save(pictures / "8.png", 8)
    run(progress=states.append)
    assert states[-1].skipped == 7
    assert states[-1].done == 9


def test_standard_input(run: Callable[..., Summary], pictures: Path) -> None:
    names = "".join(f"{p}\n" for p in sorted(pictures.iterdir())).encode()
    states: list[Progress] = []
    assert run("-", stdin=io.BytesIO(names), progress=states.append).described == 7
    assert states[0].total is None
    assert states[0].eta is None


def test_the_output_may_lie_in_the_folder(run: Callable[..., Summary], pictures: Path) -> None:
    out = pictures / "out"

    def draw(done: PictureDone) -> None:
        save(out / f"{Path(done.source.path).stem}-annotated.png", 3)

    assert run(out=out, on_picture=draw).described == 7
    assert run(out=out, on_picture=draw).skipped == 7


def test_watching(run: Callable[..., Summary], pictures: Path, tmp_path: Path) -> None:
    stop = threading.Event()
    states: list[Progress] = []

    def progress(state: Progress) -> None:
        states.append(state)
        if len(states) == 7:
            save(pictures / "later.png", 30)
        if len(states) == 8:
            stop.set()

    summary = run(watch=True, poll=0.05, stop=stop, progress=progress)
    assert summary.described == 8
    assert records(tmp_path / "out")[-1]["source"].endswith("later.png")


def test_stopping_from_another_thread(run: Callable[..., Summary], tmp_path: Path) -> None:
    stop = threading.Event()
    summary = run(batch_size=1, stop=stop, progress=lambda _: stop.set())
    assert summary.interrupted
    assert 0 < summary.described < 7
    assert json.loads((tmp_path / "out" / "run.json").read_text())["state"] == "interrupted"
    assert run().described == 7 - summary.described


@pytest.mark.skipif(os.name == "nt", reason="no signals between threads")
def test_sigint_leaves_the_model_in_the_middle_and_no_trace(
    run: Callable[..., Summary], scope: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete, calls, slept = scope.complete, 0, False

    def interrupted(*args: Any) -> Any:
        nonlocal calls, slept
        calls += 1
        if calls == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)  # the handler ends this at once
            slept = True
        return complete(*args)

    # It is ignored where tests run in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(scope, "complete", interrupted)
            summary = run()
        assert not slept
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert summary.interrupted
    assert summary.described == 3
    assert run().described == 4


def test_a_run_outside_the_main_thread(run: Callable[..., Summary]) -> None:
    found: list[Summary] = []
    thread = threading.Thread(target=lambda: found.append(run()))
    thread.start()
    thread.join()
    assert found[0].described == 7


def test_what_is_in_flight_is_bounded(
    run: Callable[..., Summary], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding stays at most AHEAD windows and the writer's queue in front of the writer."""
    for i in range(7, 40):
        save(pictures / f"{i:02}.png", i)
    decoded = written = most = 0

    def keep(_: Any) -> None:
        nonlocal decoded
        decoded += 1

    def slow(_: PictureDone) -> None:
        nonlocal written, most
        time.sleep(0.01)
        written += 1
        most = max(most, decoded - written)

    run(batch_size=2, keep=keep, on_picture=slow)
    assert written == 40
    # At the writer 1 window, in its queue 2, with the model 1, waiting to be put 0, ahead 3.
    assert most <= 2 * (1 + 2 + 1 + pipeline.AHEAD)


def test_pixels_are_those_of_read_image(tmp_path: Path) -> None:
    spec = load("pocket", threads=1).pixel_spec  # for a tiny one, JPEGs are decoded reduced
    rng = np.random.default_rng(0)
    path = tmp_path / "large.jpg"
    picture = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    picture.resize((1600, 1200)).save(path, quality=88)
    found = decoding.decode(Source(str(path)), Limits(), spec, None)
    assert isinstance(found, decoding.Decoded)
    expected = pixel_tensor(read_image(path).rgb, spec)
    assert np.array_equal(found.pixels, expected)
    failed = decoding.decode(Source(str(path)), Limits(max_bytes=1000), spec, None)
    assert isinstance(failed, decoding.Failed)
    assert failed.kind == "ImageTooLargeError"
