"""pull, convert, models, info and parity."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kosmoscope
from cli_runner import POCKET, one_error, results, run
from hub_server import Fault, HubServer, Repo, write_model
from kosmoscope.cli.progress import Download, Steps
from kosmoscope.kinds import KINDS
from kosmoscope.store import hub as hub_module
from kosmoscope.store.folders import converted_root
from kosmoscope.store.installed import cached, packaged
from kosmoscope.store.manifest import Manifest, is_converted


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine: no conversions, nothing from the hub."""
    monkeypatch.setenv("KOSMOSCOPE_HOME", str(tmp_path / "kosmoscope"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub on this machine, whose kosmos-2 is the model that ships with the package."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(hub_module, "_PAUSE_S", 0.0)
    shipped = packaged("pocket", KINDS)
    assert shipped is not None
    folder = home / "repository"
    shutil.copytree(shipped, folder)
    with HubServer() as server:
        server.repos["microsoft/kosmos-2-patch14-224"] = Repo(folder)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def test_pull_downloads_converts_and_becomes_the_default(hub: HubServer, photos: Path) -> None:
    result = run("pull", "kosmos-2")
    assert result.exit_code == 0
    (folder,) = result.stdout.splitlines()
    assert is_converted(Path(folder))
    *bytes_lines, last, offer = result.stderr.splitlines()
    assert offer == "note: `kosmoscope verify kosmos-2` compares it with published results"
    assert all(line.startswith("note: kosmos-2: ") for line in bytes_lines)
    assert 1 <= len(bytes_lines) <= 11
    assert last == "note: converting kosmos-2 to int8"
    described = run("describe", photos / "china.jpg", "-n", "3", "-f", "json")
    assert described.stderr == ""  # converted already, and nothing to say about the model
    assert results(described.stdout)[0].model == "kosmos-2"
    assert run("describe", photos / "china.jpg", "-n", "3", "-m", folder).exit_code == 0
    again = run("pull", "kosmos-2")
    assert (again.exit_code, again.stdout) == (0, result.stdout)
    assert "converting" not in again.stderr


def test_pull_without_conversion(hub: HubServer) -> None:
    result = run("pull", "kosmos-2", "--precision", "none", "--revision", "main")
    assert result.exit_code == 0
    assert result.stdout == f"{cached('kosmos-2', KINDS)}\n"
    assert not converted_root().exists()


def test_pull_that_fails(hub: HubServer, home: Path) -> None:
    hub.repos["some/thing"] = Repo(write_model(home / "thing"))
    assert "no revision 'v9'" in one_error(run("pull", "kosmos-2", "--revision", "v9"), 1)
    assert "no such model" in one_error(run("pull", "no/thing"), 1)
    assert "did you mean kosmos-2" in one_error(run("pull", "kosmos2"), 1)
    assert "--precision 'int9'" in one_error(run("pull", "kosmos-2", "-p", "int9"), 2)
    broken = run("pull", "some/thing")  # its files are no model
    assert (broken.exit_code, broken.stdout) == (1, "")
    assert broken.stderr.splitlines()[-1].startswith("error: ")
    hub.inject("model.safetensors", Fault("drop", times=100))
    dropped = run("pull", "kosmos-2")
    assert (dropped.exit_code, dropped.stdout) == (1, "")
    assert dropped.stderr.splitlines()[-1].endswith("resumes")


def test_pull_that_is_interrupted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*args: Any, **options: Any) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(hub_module, "pull", stop)
    result = run("pull", "kosmos-2")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "goes on where it stopped" in result.stderr


def test_pull_offline_and_pull_of_what_is_here(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in one_error(run("pull", "kosmos-2"), 1)
    result = run("pull", "pocket")
    assert result.exit_code == 0
    assert "ships with kosmoscope" in result.stderr
    assert is_converted(Path(result.stdout.strip()))


def test_convert(home: Path, photos: Path) -> None:
    target = home / "out"
    result = run("convert", "pocket", target, "--precision", "int4", "--name", "mine\x1b")
    assert (result.exit_code, result.stdout) == (0, f"{target}\n")
    assert result.stderr == "note: converting mine\\x1b to int4\n"
    (d,) = results(run("describe", photos / "china.jpg", "-m", target, "-f", "json").stdout)
    assert (d.model, d.precision) == ("mine\x1b", "int4")
    wrong = run("describe", photos / "china.jpg", "-m", target, "-p", "int8")
    assert "converted to int4, asked for int8" in one_error(wrong, 2)
    assert "overwrite replaces" in one_error(run("convert", "pocket", target), 2)
    assert run("convert", "pocket", target, "--overwrite").exit_code == 0
    assert Manifest.read(target).precision == "int8"
    assert Manifest.read(target).name == "pocket"
    assert "converted already" in one_error(run("convert", target, home / "b"), 2)
    assert "no such folder" in one_error(run("convert", home / "nope", home / "b"), 1)


def test_convert_replaces_nothing_but_models(home: Path) -> None:
    shipped = packaged("pocket", KINDS)
    assert shipped is not None
    source = home / "keep" / "source"
    shutil.copytree(shipped, source)
    before = sorted(p.name for p in source.iterdir())
    for target in (source, source.parent):
        error = one_error(run("convert", source, target, "--overwrite"), 2)
        assert "not a converted model" in error
    (home / "notes").mkdir()
    (home / "notes" / "diary.txt").write_text("dear diary")
    error = one_error(run("convert", source, home / "notes", "--overwrite"), 2)
    assert "not a converted model" in error
    assert (home / "notes" / "diary.txt").exists()
    assert sorted(p.name for p in source.iterdir()) == before
    (home / "empty").mkdir()
    assert run("convert", source, home / "empty", "--overwrite").exit_code == 0


def test_models(home: Path) -> None:
    odd = converted_root() / "odd\x1b[31m"
    odd.mkdir(parents=True)
    run("pull", "pocket")
    result = run("models")
    assert result.exit_code == 0
    assert "kosmoscope pull kosmos-2" in result.stderr
    header, first, *_ = result.stdout.splitlines()
    assert header.split() == ["name", "kind", "where", "precision", "size", "detail", "folder"]
    assert first.startswith("pocket    ")
    assert "\x1b" not in result.stdout
    assert str(odd).replace("\x1b", "\\x1b") in result.stdout
    data = [json.loads(line) for line in run("models", "--format", "json").stdout.splitlines()]
    assert [(m["where"], m["kind"], m["precision"]) for m in data] == [
        ("packaged", "kosmos-2", None),
        ("converted", None, None),
        ("converted", "kosmos-2", "int8"),
    ]  # fmt: skip
    assert data[1]["path"] == str(odd)
    assert "damaged" in data[1]["detail"]
    assert all(m["size_bytes"] > 1_000_000 for m in (data[0], data[2]))


def test_info(home: Path) -> None:
    result = run("info")
    assert (result.exit_code, result.stderr) == (0, "")
    for key in (
        "kosmoscope",
        "python",
        "processor",
        "onnxruntime",
        "numpy",
        "threads",
        "providers",
    ):
        assert f"\n{key} " in f"\n{result.stdout}"
    assert str(home / "kosmoscope") in result.stdout
    (line,) = run("info", "--format", "json").stdout.splitlines()
    data = json.loads(line)
    assert data["kosmoscope"] == kosmoscope.__version__
    assert data["threads"] >= 1
    assert "CPUExecutionProvider" in data["providers"]
    assert data["packages"]["onnxruntime"]
    assert data["default_model"] == "pocket"
    assert data["caches"]["hub"] == str(home / "hf" / "hub")
    assert data["models"][0]["name"] == "pocket"


def test_parity(photos: Path, tmp_path: Path) -> None:
    common = ("parity", *POCKET, "--max-new-tokens", "8", photos / "china.jpg")
    result = run(*common, "--format", "json", "--precision", "int8")
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    data = json.loads(line)
    assert (data["model"], data["images"]) == ("pocket", 1)
    assert [drift["precision"] for drift in data["drifts"]] == ["int8"]
    text = run(*common, tmp_path / "nope.jpg")
    assert text.exit_code == 1
    assert f"error: {tmp_path / 'nope.jpg'}: no such file" in text.stderr.splitlines()
    assert "pocket, 2 texts about 1 picture\n" in text.stdout
    assert text.stdout.splitlines()[2].split() == ["int8", "int4"]
    assert "no such file" in one_error(run("parity", *POCKET, tmp_path / "nope.jpg"), 1)
    fp32 = run(*common, "--precision", "fp32")
    assert (fp32.exit_code, fp32.stdout) == (2, "")
    assert "--max-new-tokens is 0" in one_error(run("parity", "x", "-n", "0"), 2)


class _Terminal:
    """What a terminal on stderr would get."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.written = ""

    def write(self, text: str) -> int:
        self.written += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Download("some[red]\x1b") as download:
        download(500_000, 1_000_000)
        download(1_000_000, 1_000_000)
    assert "some[red]\\x1b" in terminal.written
    assert "1.0/1.0 MB" in terminal.written
    terminal.written = ""
    with Steps("loading", "converting [bold]x") as steps:
        steps("decoder")
    assert "converting [bold]x: decoder" in terminal.written
    assert terminal.written.count("\x1b[?25l") == terminal.written.count("\x1b[?25h")


def test_progress_on_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with Download("m") as download:
        for done in range(0, 1001, 5):
            download(done * 1_000_000, 1_000_000_000)
    with Steps("loading", "converting m") as steps:
        steps("a")
        steps("b")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 12
    assert lines[5] == "note: m: 500.0 MB of 1.0 GB"
    assert lines[-1] == "note: converting m"
