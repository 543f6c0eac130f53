"""`describe -o`: folders in, results out, as the command line gives them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from cli_runner import POCKET, PROGRAM, run, wait_until
from kosmoscope.batch import Task, read_results

SHORT = [*POCKET, "--max-new-tokens", "8"]


def picture(path: Path, seed: int, size: tuple[int, int] = (64, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for i, name in enumerate(("a.png", "b.jpg", "sub/c.webp")):
        picture(folder / name, i)
    return folder


@pytest.fixture
def describe(tmp_path: Path) -> Callable[..., Result]:
    def call(*args: str | Path) -> Result:
        return run("describe", *SHORT, "-o", tmp_path / "out", *args)

    return call


def names(out: Path) -> list[tuple[str, str]]:
    return [(Path(r.description.image.path).name, r.task) for r in read_results(out)]


def test_folders_patterns_lists_and_files(
    describe: Callable[..., Result], pictures: Path, tmp_path: Path
) -> None:
    single = picture(tmp_path / "more" / "d.jpg", 8)
    picture(tmp_path / "globbed" / "e1.png", 9)
    listed = picture(tmp_path / "listed.png", 10)
    (tmp_path / "list.txt").write_text(f"{listed}\n")
    result = describe(
        pictures, single, tmp_path / "globbed" / "e*.png", f"@{tmp_path / 'list.txt'}"
    )
    assert (result.exit_code, result.stdout) == (0, "")
    assert "6 described" in result.stderr
    wanted = ["a.png", "b.jpg", "c.webp", "d.jpg", "e1.png", "listed.png"]
    assert names(tmp_path / "out") == [(name, "brief") for name in wanted]


def test_paths_on_standard_input(pictures: Path, tmp_path: Path) -> None:
    paths = f"{pictures / 'a.png'}\n{pictures / 'b.jpg'}\n"
    result = run("describe", *SHORT, "-o", tmp_path / "out", "-", input=paths)
    assert result.exit_code == 0
    assert [name for name, _ in names(tmp_path / "out")] == ["a.png", "b.jpg"]


def test_several_questions_go_on_and_are_not_asked_twice(
    describe: Callable[..., Result], pictures: Path, tmp_path: Path
) -> None:
    asked = ("--prompt", "brief", "--prompt", "detailed", "--ground", "a cat", "--ask", "What?")
    assert describe(pictures / "a.png", *asked).exit_code == 0
    tasks = [task for _, task in names(tmp_path / "out")]
    assert tasks[:2] == ["brief", "detailed"]
    assert [task.split("-")[0] for task in tasks[2:]] == ["ground", "ask"]
    first = (tmp_path / "out" / "results.jsonl").read_bytes()
    result = describe(pictures, *asked)
    assert "2 described, 1 were there already" in result.stderr
    assert (tmp_path / "out" / "results.jsonl").read_bytes().startswith(first)


def test_other_questions_are_refused_and_overwrite_forgets(
    describe: Callable[..., Result], pictures: Path, tmp_path: Path
) -> None:
    assert describe(pictures).exit_code == 0
    other = describe(pictures, "--ground", "a dog")
    assert other.exit_code == 1
    assert other.stderr.startswith("error: ")
    assert "ground-a-dog" in other.stderr
    assert describe(pictures, "--ground", "a dog", "--overwrite").exit_code == 0
    assert {task.split("-")[0] for _, task in names(tmp_path / "out")} == {"ground"}


def test_recheck_describes_what_changed(
    describe: Callable[..., Result], pictures: Path, tmp_path: Path
) -> None:
    assert describe(pictures).exit_code == 0
    picture(pictures / "a.png", 77)
    assert "0 described, 3 were there already" in describe(pictures).stderr
    assert "1 described, 2 were there already" in describe(pictures, "--recheck").stderr
    assert len(names(tmp_path / "out")) == 3  # of two records of a picture the later one counts


def test_a_bad_file_is_a_record_and_the_rest_goes_on(
    describe: Callable[..., Result], pictures: Path, tmp_path: Path
) -> None:
    (pictures / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    result = describe(pictures, tmp_path / "nowhere.png")
    assert result.exit_code == 1
    assert "2 described, 2 failed (see" in result.stderr
    errors = (tmp_path / "out" / "errors.jsonl").read_text().splitlines()
    assert [Path(json.loads(e)["source"]).name for e in errors] == ["b.jpg", "nowhere.png"]


def test_quiet_says_nothing(describe: Callable[..., Result], pictures: Path) -> None:
    result = describe(pictures, "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_annotated_pictures_and_a_gallery(
    describe: Callable[..., Result], pictures: Path, tmp_path: Path
) -> None:
    result = describe(pictures, "--annotate", "--image-format", "png", "--gallery")
    assert result.exit_code == 0
    drawn = sorted((tmp_path / "out" / "annotated").glob("*.png"))
    assert [p.name[:2] for p in drawn] == ["a-", "b-", "c-"]
    for file in drawn:
        with Image.open(file) as image:
            assert image.size == (64, 48)
    page = tmp_path / "out" / "gallery" / "index.html"
    assert result.stdout == page.as_uri() + "\n"
    assert page.is_file()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--annotate"], "--annotate goes with --output"),
        (["--watch"], "--watch goes with --output"),
        (["--batch-size", "4"], "--batch-size goes with --output"),
        (["-o", "x", "--save", "y"], "--save goes without --output"),
        (["-o", "x", "--format", "json"], "--format goes without --output"),
    ],
)
def test_options_that_exclude_each_other(
    args: list[str], message: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("describe", *SHORT, pictures / "a.png", *args)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_batch_size_out_of_range(describe: Callable[..., Result], pictures: Path) -> None:
    result = describe(pictures, "--batch-size", "0")
    assert result.exit_code == 2
    assert "batch_size is 0; expected 1 to" in result.stderr


def test_without_a_folder_sources_are_expanded(pictures: Path) -> None:
    result = run("describe", *SHORT, pictures, "--format", "json")
    found = [json.loads(line)["image"]["path"] for line in result.stdout.splitlines()]
    assert [Path(path).name for path in found] == ["a.png", "b.jpg", "c.webp"]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_killed_and_started_again(pictures: Path, tmp_path: Path) -> None:
    for i in range(20):
        picture(pictures / f"n{i:02}.png", 100 + i)
    out = tmp_path / "out"
    command = [*PROGRAM, "describe", *SHORT, str(pictures), "-o", str(out), "--batch-size", "2"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    results = out / "results.jsonl"
    wait_until(lambda: results.exists() and results.stat().st_size, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = results.read_bytes()
    assert before.count(b"\n") < 23
    done = subprocess.run(command, capture_output=True, check=True)
    assert b"were there already" in done.stderr
    found = names(out)
    assert len(found) == len(set(found)) == 23


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_watching_takes_what_comes_until_interrupted(pictures: Path, tmp_path: Path) -> None:
    def settled(path: Path) -> Path:
        """As if it had been there for long: what is new is looked at twice, seconds apart."""
        os.utime(path, (1, 1))
        return path

    for path in pictures.rglob("*.*"):
        settled(path)
    out = tmp_path / "out"
    command = [*PROGRAM, "describe", *SHORT, str(pictures), "-o", str(out), "--watch"]
    # Where tests run in the background, interrupts are ignored unless somebody asks for them.
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )

    def wait_for(count: int) -> None:
        results = out / "results.jsonl"
        wait_until(lambda: results.exists() and results.read_bytes().count(b"\n") >= count, process)

    wait_for(3)
    settled(picture(tmp_path / "new.png", 55)).rename(pictures / "new.png")
    wait_for(4)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0
    assert b"4 described" in stderr


def test_the_same_pictures_from_another_folder_are_not_described_again(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = run("describe", *SHORT, "pictures", f"./{pictures.name}", pictures, "-o", "out", "-q")
    assert (first.exit_code, first.stderr) == (0, "")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = run("describe", *SHORT, "../pictures", "-o", "../out", "--annotate", "--gallery")
    assert again.exit_code == 0
    assert "0 described, 3 were there already" in again.stderr
    assert len((tmp_path / "out/results.jsonl").read_text().splitlines()) == 3
    found = [r.description.image.path for r in read_results("../out")]
    assert all(Path(path).is_file() for path in found)


def test_what_commands_write_beside_photos_is_not_described(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("describe", *SHORT, "pictures", "-o", "pictures", "--annotate", "-q").exit_code == 0
    assert run("draw", "pictures", "-o", "pictures/drawn").exit_code == 0
    assert run("gallery", "pictures", "-o", "pictures/page").exit_code == 0
    assert run("describe", *SHORT, "pictures/a.png", "--save", "pictures/mine").exit_code == 0
    assert run("describe", *SHORT, pictures / "a.png", "--save", "pictures").exit_code == 0
    assert (pictures / "a.jpg").is_file(), "beside the photos"
    again = run("describe", *SHORT, "pictures", "-o", "pictures")
    assert again.exit_code == 0
    assert "0 described, 3 were there already" in again.stderr
    assert "4 folders that kosmoscope wrote, 1 picture that kosmoscope wrote" in again.stderr
    assert [n for n, _ in names(pictures)] == ["a.png", "b.jpg", "c.webp"]


def test_empty_folders_and_files_of_other_kinds_are_said(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for sink in ((), ("-o", tmp_path / "out"), ("-o", tmp_path / "out", "-q")):
        nothing = run("describe", *SHORT, tmp_path / "empty", *sink)
        assert nothing.exit_code == 1
        assert "error: " in nothing.stderr
        assert "empty: no pictures in it" in nothing.stderr
    for how in ((), ("--box", "1,1,9,9")):
        nothing = run("segment", *POCKET, tmp_path / "empty", *how)
        assert nothing.exit_code == 1
        assert "empty: no pictures in it" in nothing.stderr
    (pictures / "raw.dng").touch()
    (pictures / "film.mp4").touch()
    words = "note: 2 files of other kinds (.dng, .mp4) were passed over"
    for sink in ((), ("-o", tmp_path / "out2")):
        told = run("describe", *SHORT, pictures, *sink)
        assert told.exit_code == 0
        assert words in told.stderr.splitlines()
        assert run("describe", *SHORT, pictures, *sink, "-q").stderr == ""


def test_errors_name_the_options_that_help(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("describe", *SHORT, pictures, "-o", out, "-q").exit_code == 0
    other = run("describe", *SHORT, pictures, "-o", out, "-q", "--prompt", "detailed")
    assert other.exit_code == 1
    assert other.stderr.endswith("use another folder (--output), or --overwrite\n")
    for sink in ((), ("-o", tmp_path / "small")):
        small = run("describe", *SHORT, pictures / "a.png", "--max-pixels", "100", *sink, "-q")
        assert small.exit_code == 1
        assert "expected at most 100 (--max-pixels)" in small.stderr
    asked = run("ask", *SHORT, pictures / "a.png", "What?", "--max-pixels", "100")
    assert "(--max-pixels)" in asked.stderr
    assert run("ask", *SHORT, pictures / "a.png", "What?", "--max-pixels", "0").exit_code == 2


def test_output_is_never_a_folder_called_dash(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for option in ("--output", "--save"):
        refused = run("describe", *SHORT, pictures, option, "-")
        assert refused.exit_code == 2
        assert f"{option} -: " in refused.stderr
    assert not (tmp_path / "-").exists()


def test_a_tagged_prompt_is_another_task(pictures: Path, tmp_path: Path) -> None:
    tagged = "<grounding> An image of"
    asked = ("--prompt", tagged, "--tagged")
    result = run("describe", *SHORT, pictures / "a.png", *asked, "-o", tmp_path / "out", "-q")
    assert (result.exit_code, result.stderr) == (0, "")
    ((_, key),) = names(tmp_path / "out")
    assert key.endswith("-tagged")
    assert key != Task.describe(tagged).key
    plain = run("describe", *SHORT, pictures / "a.png", "-f", "json")
    marked = run("describe", *SHORT, pictures / "a.png", *asked, "-f", "json")
    assert json.loads(marked.stdout)["caption"] == json.loads(plain.stdout)["caption"]
    for wrong in (("--tagged",), (*asked, "--no-boxes")):
        assert run("describe", *SHORT, pictures / "a.png", *wrong).exit_code == 2


@pytest.mark.skipif(sys.platform != "linux", reason="names are any bytes on Linux alone")
def test_names_that_are_not_utf8_come_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / os.fsdecode(b"f\xf6lder")
    folder.mkdir()
    monkeypatch.chdir(folder)
    photo = picture(folder / os.fsdecode(b"caf\xe9.png"), 1)
    (folder / os.fsdecode(b"bad\xff.png")).write_bytes(b"none")
    out = os.fsdecode(b"out\xfc")
    result = run("describe", *SHORT, ".", "-o", out, "--annotate", "--gallery")
    assert result.exit_code == 1
    assert r"bad\udcff.png" in result.stderr, "as Python prints it"
    for name in ("results.jsonl", "errors.jsonl", "run.json"):
        text = (Path(out) / name).read_bytes().decode("utf-8")
        assert r"f\\xf6lder" in text, "escaped, as UTF-8 and JSON can have it"
        assert "_base64" in text
    monkeypatch.chdir(tmp_path)
    (found,) = read_results(folder / out)
    assert found.description.image.path == str(photo)
    monkeypatch.chdir(folder)
    again = run("describe", *SHORT, folder, "-o", out)
    assert "0 described, 1 were there already, 1 failed" in again.stderr
    printed = run("describe", *SHORT, photo, "-f", "json", "-q")
    assert json.loads(printed.stdout)["image"]["path"] == str(photo)


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("after", [0.05, 0.2, 0.4, 0.6, 0.9, 1.3])
def test_ctrl_c_at_any_early_moment_is_no_traceback(
    pictures: Path, tmp_path: Path, after: float
) -> None:
    # Tells when the interpreter has come as far as our code: before that it is not ours to mend.
    code = "import kosmoscope.cli as c; print(flush=True); c.main()"
    args = [sys.executable, "-c", code, "describe", *SHORT, *[str(pictures)] * 3, "-o", "out"]
    with subprocess.Popen(
        args, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        time.sleep(after)
        child.send_signal(signal.SIGINT)
        said = child.stderr.read()
        assert b"Traceback" not in said
        assert b"ignored" not in said
        assert child.wait(120) in (130, 0, -signal.SIGINT)
