"""The store of models with a kind of one's own: pulled, converted once, opened, listed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from cli_runner import one_error, run, wait_until
from echo_kind import ECHO, Echo, write_checkpoint
from hub_server import HubServer, Repo, write_model
from kosmoscope.errors import (
    CheckpointError,
    KosmoscopeWarning,
    ModelError,
    ModelNotFoundError,
    OptionError,
)
from kosmoscope.kinds import KINDS
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.store import convert as convert_module
from kosmoscope.store.convert import convert, ensure_converted, load_model, open_converted
from kosmoscope.store.folders import cache_root, converted_root, hub_cache
from kosmoscope.store.installed import cached, installed, resolve
from kosmoscope.store.kind import kind_of
from kosmoscope.store.manifest import MANIFEST, is_converted

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: Patch) -> Iterator[Path]:
    """An empty machine that knows one kind more."""
    monkeypatch.setenv("KOSMOSCOPE_HOME", str(tmp_path / "kosmoscope"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("ECHO_LOG", str(tmp_path / "log"))
    huggingface_hub.close_session()
    KINDS.add(ECHO)
    yield tmp_path
    KINDS.remove(ECHO.name)
    huggingface_hub.close_session()


@pytest.fixture
def hub(home: Path, monkeypatch: Patch) -> Iterator[HubServer]:
    with HubServer() as server:
        server.repos["acme/echo-base"] = Repo(write_checkpoint(home / "remote"))
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def source(home: Path) -> Path:
    return write_checkpoint(home / "My Echo")


def conversions(home: Path) -> int:
    log = home / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


# A kind of one's own


def test_a_registered_kind_is_pulled_converted_listed_and_opened(hub: HubServer) -> None:
    pulled = run("pull", "echo")
    assert pulled.exit_code == 0, pulled.stderr
    folder = Path(pulled.stdout.strip())
    assert "note: converting echo-base to soft" in pulled.stderr.splitlines()
    assert {s.file for s in hub.seen} == {"api", "config.json", "words.txt", "model.safetensors"}
    there = {"config.json", "words.txt", "echo.txt", MANIFEST}
    assert {p.name for p in folder.iterdir()} == there

    for name in ("echo", "echo-base", "acme/echo-base", folder):
        found = load_model(ECHO, name, progress=pytest.fail)
        assert found == Echo(folder, "echo-base", "soft", "hello")
    assert load_model(ECHO, "echo", "loud").word == "HELLO"
    assert json.loads((folder / MANIFEST).read_text())["kind"] == "echo"

    listed = [json.loads(line) for line in run("models", "-f", "json").stdout.splitlines()]
    assert [(m["name"], m["kind"], m["where"], m["precision"]) for m in listed[1:]] == [
        ("acme/echo-base", "echo", "hub", None),
        ("echo-base", "echo", "converted", "loud"),
        ("echo-base", "echo", "converted", "soft"),
    ]
    (line,) = run("info", "-f", "json").stdout.splitlines()
    assert json.loads(line)["models"] == listed
    text = run("models")
    assert "echo" not in text.stderr
    assert "sam-vit-base (Segment Anything) is not on this machine" in text.stderr


def test_what_a_repository_is_its_config_says(hub: HubServer, home: Path) -> None:
    hub.repos["you/yours"] = hub.repos["acme/echo-base"]
    assert kind_of(Path(run("pull", "you/yours", "-p", "none").stdout.strip()), KINDS) is ECHO
    assert cached("you/yours", [KOSMOS2]) is None
    with pytest.raises(CheckpointError, match="model_type is 'echo'; expected 'kosmos-2'"):
        resolve("you/yours", [KOSMOS2])
    other = write_model(home / "bert")
    (other / "config.json").write_text('{"model_type": "bert"}')
    hub.repos["some/bert"] = Repo(other)
    result = run("pull", "some/bert")
    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        "model_type is 'bert'; expected 'kosmos-2' or 'sam' or 'clip' or 'siglip' or 'echo'"
        in result.stderr
    )
    assert not hub.gets("*.safetensors", "hub")[1:]


def test_the_command_line_converts_any_kind(source: Path, home: Path) -> None:
    target = home / "out"
    assert run("convert", source, target, "-p", "loud").stdout == f"{target}\n"
    assert open_converted(ECHO, target) == Echo(target, "My Echo", "loud", "HELLO")
    error = one_error(run("convert", source, home / "two", "-p", "int8"), 2)
    assert "precision 'int8': expected one of soft, loud" in error
    assert "soft, loud, none" in one_error(run("pull", "echo", "-p", "int8"), 2)
    assert "did you mean echo" in one_error(run("pull", "ecoh"), 1)
    assert "sam-vit-base: Segment Anything" in one_error(
        run("ask", "x", "y", "-m", "sam-vit-base"), 1
    )


@pytest.mark.parametrize(("name", "match"), [
    ("config.json", "config.json is missing"), ("words.txt", "words.txt is missing"),
    ("model.safetensors", "no weights"),
])  # fmt: skip
def test_what_a_kind_needs_is_asked_for(source: Path, name: str, match: str) -> None:
    (source / name).unlink()
    with pytest.raises(CheckpointError, match=match):
        load_model(ECHO, source)


def test_every_file_of_a_kind_decides_whether_it_is_converted_anew(source: Path) -> None:
    folders = {load_model(ECHO, source).folder}
    for name in ("config.json", "words.txt", "extra.txt", "model.safetensors"):
        file = source / name
        file.write_bytes(file.read_bytes() + b" " if file.exists() else b"new")
        folders.add(load_model(ECHO, source).folder)
    folders.add(load_model(replace(ECHO, version=8), source).folder)
    assert len(folders) == 6
    assert all(f.name.startswith("my-echo-") for f in folders)


def test_a_converted_folder_of_another_kind_or_version(source: Path, home: Path) -> None:
    folder = convert(ECHO, source, home / "out", "soft").folder
    with pytest.raises(CheckpointError, match="a 'echo' model; expected 'kosmos-2'"):
        open_converted(KOSMOS2, folder)
    with pytest.raises(CheckpointError, match="format 7; this version reads 8: convert again"):
        open_converted(replace(ECHO, version=8), folder)
    with pytest.raises(OptionError, match="converted to soft, asked for loud"):
        load_model(ECHO, folder, "loud")
    # As versions before there were kinds wrote it.
    data = json.loads((folder / MANIFEST).read_text())
    del data["kind"]
    (folder / MANIFEST).write_text(json.dumps(data))
    assert load_model(ECHO, folder).word == "hello"


# Once


def test_threads_that_want_a_model_at_once_convert_it_once(
    source: Path, home: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("ECHO_SECONDS", "0.3")
    barrier, found = threading.Barrier(4), list[Any]()

    def use() -> None:
        barrier.wait()
        found.append(load_model(ECHO, source))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert conversions(home) == 1
    assert len(found) == 4
    assert len(set(found)) == 1


USE = "import sys; from echo_kind import ECHO; from kosmoscope.store.convert import load_model; "
USE += "print(load_model(ECHO, sys.argv[1]).folder)"


def start(source: Path, **variables: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), **variables}
    return subprocess.Popen(
        [sys.executable, "-c", USE, str(source)], stdout=subprocess.PIPE, text=True, env=env
    )


def test_processes_that_want_a_model_at_once_convert_it_once(source: Path, home: Path) -> None:
    processes = [start(source, ECHO_SECONDS="1") for _ in range(3)]
    folders = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert conversions(home) == 1
    assert folders == {str(load_model(ECHO, source).folder)}


def test_whoever_waits_converts_when_the_first_is_killed(source: Path, home: Path) -> None:
    process = start(source, ECHO_SECONDS="60")
    wait_until(lambda: conversions(home) == 1, process)
    process.kill()
    process.communicate()
    assert load_model(ECHO, source).word == "hello"
    assert conversions(home) == 2


def test_a_conversion_that_is_there_needs_no_lock_and_no_writing(
    source: Path, permissions_count: None
) -> None:
    folder = load_model(ECHO, source).folder
    for file in (cache_root() / "locks").iterdir():
        file.unlink()
    (cache_root() / "locks").rmdir()
    cache_root().chmod(0o555)
    try:
        assert load_model(ECHO, source).folder == folder
        with pytest.raises(ModelError, match="cannot be written: permission denied"):
            load_model(ECHO, source, "loud")
    finally:
        cache_root().chmod(0o755)


# What appears meanwhile


def appearing(target: Path, name: str) -> Any:
    """Return the kind, with a folder that turns up at the target while it is written."""

    def write(stage: Path, *args: Any) -> None:
        target.mkdir()
        (target / name).write_text("{}")
        ECHO.write(stage, *args)

    return replace(ECHO, write=write)


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("name", ["photo.jpg", MANIFEST])
def test_a_target_that_appears_meanwhile_is_kept(
    source: Path, home: Path, overwrite: bool, name: str
) -> None:
    target = home / "out"
    kind = appearing(target, name)
    if overwrite and name == MANIFEST:  # a model may be replaced, whenever it was made
        convert(kind, source, target, "soft", overwrite=True)
        assert open_converted(ECHO, target).word == "hello"
    else:
        match = "not a converted model" if overwrite else "exists already"
        with pytest.raises(OptionError, match=match):
            convert(kind, source, target, "soft", overwrite=overwrite)
        assert [p.name for p in target.iterdir()] == [name]
    assert not list(home.glob(".*"))


def test_a_target_that_appears_at_the_last_moment_is_kept(
    source: Path, home: Path, monkeypatch: Patch
) -> None:
    target, rename = home / "out", Path.rename

    def late(self: Path, other: Path) -> Path:
        target.mkdir()
        (target / "photo.jpg").write_text("the only copy")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(OptionError, match="exists already"):
        convert(ECHO, source, target, "soft")
    assert [p.name for p in target.iterdir()] == ["photo.jpg"]


def test_a_checkpoint_that_is_wrong_leaves_nothing(source: Path, home: Path) -> None:
    (source / "config.json").write_text('{"model_type": "echo", "word": 5}')
    with pytest.raises(CheckpointError, match="word is 5"):
        ensure_converted(ECHO, source, "soft", name="x")
    assert not list(converted_root().iterdir())
    with pytest.raises(ModelNotFoundError, match="kosmoscope pull echo-base"):
        load_model(ECHO, "echo-base")
    assert [m.where for m in installed(KINDS)] == ["packaged"]
    assert not is_converted(source)


# A cache that cannot be written, or has what others left


@pytest.fixture
def no_cache(home: Path, monkeypatch: Patch) -> Path:
    """KOSMOSCOPE_HOME is where no folder can be."""
    (home / "file").write_text("in the way")
    monkeypatch.setenv("KOSMOSCOPE_HOME", str(home / "file" / "x"))
    return home / "file" / "x"


def full(*_: Any, **more: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("how", ["no folder", "disk full at first", "no locks"])
def test_a_model_that_ships_runs_without_a_cache(
    home: Path, monkeypatch: Patch, how: str, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(convert_module, "_own", {})
    if how == "no folder":
        request.getfixturevalue("no_cache")
    elif how == "no locks":
        monkeypatch.setattr(convert_module, "waiting_for", full)
    else:
        made, copied = shutil.copyfile, list[Path]()

        def copy(source: Path, target: Path) -> Any:
            copied.append(target)
            return full() if len(copied) == 1 else made(source, target)

        monkeypatch.setattr(shutil, "copyfile", copy)
    with pytest.warns(KosmoscopeWarning, match="KOSMOSCOPE_HOME says .* for this run alone"):
        first = load_model(KOSMOS2, "pocket")
    assert is_converted(first.folder)
    assert not list(home.rglob("*.part"))
    if how != "disk full at first":
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # said once
            assert load_model(KOSMOS2, "pocket").folder == first.folder


def test_without_any_place_the_error_names_the_variable(
    no_cache: Path, source: Path, monkeypatch: Patch
) -> None:
    with pytest.raises(ModelError, match=r"cannot be written: .*; KOSMOSCOPE_HOME says where"):
        load_model(ECHO, source)  # it does not ship
    monkeypatch.setattr(convert_module, "_own", {})
    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(ModelError, match="KOSMOSCOPE_HOME"):
        load_model(KOSMOS2, "pocket")


def test_the_command_line_tells_it_in_one_line(
    no_cache: Path, photos: Path, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(convert_module, "_own", {})
    result = run("describe", photos / "china.jpg", "--model", "pocket", "-n", "2")
    assert result.exit_code == 0
    assert [line for line in result.stderr.splitlines() if "for this run alone" in line]
    assert "Warning" not in result.stderr
    for command in ("models", "info"):
        assert run(command).exit_code == 0


def test_a_user_without_a_home(home: Path, monkeypatch: Patch) -> None:
    def none(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("KOSMOSCOPE_HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", none)
    assert "no-home-folder" in str(cache_root())
    assert "no-home-folder" in str(hub_cache())
    assert cached("echo-base", KINDS) is None


def test_a_pull_that_cannot_write_names_the_variable(hub: HubServer, home: Path) -> None:
    (home / "hf").write_text("in the way")
    assert "HF_HOME says where downloads lie" in one_error(run("pull", "acme/echo-base"), 1)


def test_what_a_killed_conversion_left_is_removed_by_the_next(source: Path, home: Path) -> None:
    other = write_checkpoint(home / "Other", "other")
    for folder in (source, other):
        process = start(folder, ECHO_SECONDS="60")
        wait_until(lambda: list(converted_root().glob(".*.part")), process)
        process.kill()
        process.communicate()
        (converted_root() / ".fedcba9876543210.part").mkdir(exist_ok=True)  # whose, nobody knows
        (converted_root() / ".mine").mkdir(exist_ok=True)
        load_model(ECHO, source, "loud")
        left = sorted(path.name for path in converted_root().glob(".*"))
        assert left == [".fedcba9876543210.part", ".mine"]
        shutil.rmtree(load_model(ECHO, source, "loud").folder)


def test_a_conversion_under_way_is_not_swept(source: Path, home: Path) -> None:
    other = write_checkpoint(home / "Other", "other")
    process = start(source, ECHO_SECONDS="60")
    wait_until(lambda: list(converted_root().glob(".*.part")), process)
    under_way = list(converted_root().glob(".*.part"))
    assert load_model(ECHO, other).word == "other"
    assert list(converted_root().glob(".*.part")) == under_way
    process.kill()
    process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_an_interrupted_conversion_leaves_nothing(source: Path, home: Path) -> None:
    process = start(source, ECHO_SECONDS="60")
    wait_until(lambda: list(converted_root().glob(".*.part")), process)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert not list(converted_root().iterdir())
