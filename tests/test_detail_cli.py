"""`describe --detail` and `count`, in folders too; killed and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli_runner import POCKET, PROGRAM, one_error, process, results, run, wait_until
from kosmoscope.batch import FolderMismatchError, Task, read_results, run_batch
from kosmoscope.detail import Detail
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import OptionError
from kosmoscope.scope import Scope, load


@pytest.fixture(scope="module")
def scope() -> Scope:
    return load("pocket", threads=1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """Six small photographs."""
    folder = tmp_path_factory.mktemp("pictures")
    for i, path in enumerate(sorted(photos.glob("*.jpg"))[:3]):
        with Image.open(path) as image:
            image.thumbnail((480, 480))
            image.convert("RGB").save(folder / f"{2 * i}.png")
            image.convert("RGB").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
                folder / f"{2 * i + 1}.png"
            )
    return folder


def lines(out: Path) -> list[dict[str, Any]]:
    """The records without times."""
    found = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    for record in found:
        del record["description"]["timing"]
    return found


def test_describe_closely(pictures: Path, tmp_path: Path) -> None:
    file = pictures / "2.png"
    call = ("describe", file, "--detail", "2", "--format", "json", *POCKET)
    (found,) = results(run(*call, "--save", tmp_path / "drawn").stdout)
    assert found.entities
    assert {e.source for e in found.entities} <= {"whole", "tile", "regrounded"}
    assert (tmp_path / "drawn" / "2.jpg").exists()
    (once,) = results(run("describe", file, "--format", "json", *POCKET).stdout)
    assert once.caption == found.caption
    assert {e.source for e in once.entities} == {None}
    text = run("describe", file, "--detail", "auto", *POCKET).stdout
    assert found.caption.split()[-1] in text


def test_count(pictures: Path) -> None:
    file = pictures / "2.png"
    result = run("count", file, "houses", "people", "--format", "json", *POCKET)
    assert result.exit_code == 0
    houses, people = (json.loads(line) for line in result.stdout.splitlines())
    assert (houses["phrase"], people["phrase"]) == ("houses", "people")
    assert houses["low"] <= houses["number"] <= houses["high"]
    assert len(houses["boxes"]) <= houses["number"]
    assert houses["image"]["path"] == str(file)
    shown = run("count", file, "houses", *POCKET).stdout
    assert "houses" in shown
    assert str(houses["number"]) in shown
    data = file.read_bytes()
    piped = process("count", "-", "houses", "--format", "json", *POCKET, input=data)
    assert piped.returncode == 0
    again = json.loads(piped.stdout)
    assert (again["number"], again["image"]["path"]) == (houses["number"], "<stdin>")


CALLS: list[tuple[list[str], str]] = [
    (["describe", "x.jpg", "--detail", "0"], "--detail is 0; expected a whole number, 1 to 6"),
    (["describe", "x.jpg", "--detail", "-2"], "--detail is -2"),
    (["describe", "x.jpg", "--detail", "100"], "--detail is 100"),
    (["describe", "x.jpg", "--detail", "9" * 40], "--detail is '999"),
    (["describe", "x.jpg", "--detail", "much"], "--detail is 'much'"),
    (["describe", "x.jpg", "--detail", "2", "--looks", "0"], "--looks is 0"),
    (["describe", "x.jpg", "--looks", "3"], "--looks goes with --detail"),
    (["describe", "x.jpg", "--detail", "2", "--no-boxes"], "--no-boxes"),
    (["describe", "x.jpg", "--detail", "2", "--ask", "What?"], "--detail goes with descriptions"),
    (["count", "x.jpg", ""], "expected words"),
    (["count", "x.jpg", "dogs", "--detail", "0"], "--detail is 0"),
    (["count", "x.jpg"], "Missing argument 'PHRASE'"),
]


@pytest.mark.parametrize(("call", "words"), CALLS)
def test_wrong_calls(call: list[str], words: str) -> None:
    done = process(*call)
    assert done.returncode == 2
    assert done.stdout == b""
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_a_picture_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "no.jpg"
    file.write_bytes(b"no picture")
    assert "no.jpg" in one_error(run("describe", file, "--detail", "2", *POCKET), 1)
    done = process("count", file, "dogs", *POCKET)
    assert done.returncode == 1
    assert b"no.jpg" in done.stderr


def test_a_folder_is_told_from_others(pictures: Path, tmp_path: Path, scope: Scope) -> None:
    out, small = tmp_path / "out", GenerationOptions(max_new_tokens=16)

    def go(detail: Any) -> Any:
        tasks = [Task.describe(detail=detail), Task.ground("a dog")]
        return run_batch(scope, [pictures], tasks, out, small, batch_size=4)

    assert go(2).described == 6
    written = (out / "results.jsonl").read_bytes()
    assert go(2).skipped == 6
    assert (out / "results.jsonl").read_bytes() == written
    run_json = json.loads((out / "run.json").read_text())
    assert run_json["tasks"][0]["detail"]["tiles"] == 2
    assert "detail" not in run_json["tasks"][1]
    for other in (3, None, Detail(tiles=2, looks=5), "auto"):
        with pytest.raises(FolderMismatchError, match="detail-2 is missing"):
            go(other)
    found = [r for r in read_results(out) if r.task == "brief-detail-2"]
    assert len(found) == 6
    assert all(e.source is not None for r in found for e in r.description.entities)


def test_a_folder_of_an_earlier_version_goes_on(
    pictures: Path, tmp_path: Path, scope: Scope
) -> None:
    """Options that it does not know are as they always were."""
    out = tmp_path / "out"
    run_batch(scope, [pictures], [Task.describe()], out)
    file = out / "run.json"
    data = json.loads(file.read_text())
    del data["options"]["another"], data["options"]["max_boxes"]
    file.write_text(json.dumps(data))
    assert run_batch(scope, [pictures], [Task.describe()], out).skipped == 6
    with pytest.raises(FolderMismatchError, match="another was"):
        run_batch(scope, [pictures], [Task.describe()], out, GenerationOptions(another=0.2))


def test_a_batch_is_as_one_by_one(pictures: Path, tmp_path: Path, scope: Scope) -> None:
    run_batch(scope, [pictures], [Task.describe(detail=2)], tmp_path / "out", batch_size=6)
    for result in read_results(tmp_path / "out"):
        alone, there = scope.describe(result.description.image.path, detail=2), result.description
        assert there.caption == alone.caption
        assert [e.phrase for e in there.entities] == [e.phrase for e in alone.entities]
        for a, b in zip(there.entities, alone.entities, strict=True):
            for x, y in zip(a.boxes, b.boxes, strict=True):
                assert x.xyxy == pytest.approx(y.xyxy, abs=1e-3)


def test_large_pictures_are_kept_small_and_measured_whole(tmp_path: Path, scope: Scope) -> None:
    rng = np.random.default_rng(0)
    rgb = np.kron(rng.integers(0, 255, (30, 40, 3), np.uint8), np.ones((100, 100, 1), np.uint8))
    Image.fromarray(rgb).save(tmp_path / "large.png")
    run_batch(scope, [tmp_path / "large.png"], [Task.describe(detail=2)], tmp_path / "out")
    (result,) = read_results(tmp_path / "out")
    image = result.description.image
    assert (image.width, image.height) == (4000, 3000)
    for entity in result.description.entities:
        for box in entity.boxes:
            assert box.xyxy_px == pytest.approx(
                (box.xyxy[0] * 4000, box.xyxy[1] * 3000, box.xyxy[2] * 4000, box.xyxy[3] * 3000)
            )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_killed_and_gone_on_with(pictures: Path, tmp_path: Path) -> None:
    """The bytes are those of a run that nobody killed, but for times."""

    def call(out: Path) -> list[str]:
        common = ["--detail", "2", "--batch-size", "2", "--quiet", *POCKET]
        return [*PROGRAM, "describe", os.fspath(pictures), "-o", os.fspath(out), *common]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(call(whole), check=True, timeout=300)
    child = subprocess.Popen(call(killed))
    file = killed / "results.jsonl"
    wait_until(lambda: file.exists() and file.stat().st_size > 0, child)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert 0 < len(file.read_bytes().splitlines()) < 6
    subprocess.run(call(killed), check=True, timeout=300)
    assert lines(killed) == lines(whole)
    assert len(lines(killed)) == 6


def test_tasks_that_make_no_sense() -> None:
    with pytest.raises(OptionError, match="detail goes with a description"):
        Task("ground", "a dog", detail=Detail())
    with pytest.raises(OptionError, match="detail goes with a description"):
        Task.describe(grounded=False, detail=2)
    with pytest.raises(OptionError, match="detail is 0"):
        Task.describe(detail=0)


def test_a_gallery_lists_what_the_caption_does_not_have(
    pictures: Path, tmp_path: Path, scope: Scope
) -> None:
    out = tmp_path / "out"
    detail = Detail(tiles=2, least=0.0)
    run_batch(scope, [pictures], [Task.describe(), Task.describe(detail=detail)], out)
    done = run("gallery", out)
    assert done.exit_code == 0
    extra = {
        e.phrase
        for r in read_results(out)
        for e in r.description.entities
        if e.span[0] == e.span[1]
    }
    assert extra
    page = "".join(p.read_text(encoding="utf-8") for p in (out / "gallery").rglob("*.html"))
    page += "".join(p.read_text(encoding="utf-8") for p in (out / "gallery").rglob("*.js"))
    assert all(phrase in page for phrase in extra)
