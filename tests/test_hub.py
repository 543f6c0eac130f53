"""Models by name: pulled end to end from a hub on this machine, found in the caches, listed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError

from cli_runner import wait_until
from hub_server import WEIGHTS, Fault, HubServer, Repo, sha256, write_model
from kosmoscope import errors
from kosmoscope.kinds import KINDS
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.store import folders, hub
from kosmoscope.store.installed import cached, installed, packaged, resolve
from kosmoscope.store.manifest import MANIFEST, is_converted
from kosmoscope.store.source import INDEX

Patch = pytest.MonkeyPatch
NAME = "acme/tiny-kosmos"
BIG = "model.safetensors"
PULL = (
    "from kosmoscope.kinds import KINDS; from kosmoscope.store.hub import pull; "
    f"pull({NAME!r}, KINDS)"
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: Patch) -> Iterator[Path]:
    """An empty home of our own, quick retries, and no connection left over from another test."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGING")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name in ("TRANSFORMERS_OFFLINE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("KOSMOSCOPE_HOME", str(tmp_path / "kosmoscope"))
    monkeypatch.setenv("PYTHONPATH", str(Path(errors.__file__).parents[1]))
    monkeypatch.setattr(hub, "_PAUSE_S", 0.01)
    huggingface_hub.close_session()
    yield tmp_path
    huggingface_hub.close_session()


@pytest.fixture
def server(home: Path, monkeypatch: Patch) -> Iterator[HubServer]:
    with HubServer() as running:
        running.repos[NAME] = Repo(write_model(home / "remote"))
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


def part(home: Path) -> Path:
    return folders.hub_storage(NAME) / "blobs" / f"{sha256(WEIGHTS)}.part"


def refused(kind: type[Exception], match: str, name: str = NAME, **options: Any) -> None:
    """Assert that a pull raises exactly this class, in one line."""
    with pytest.raises(kind, match=match) as info:
        hub.pull(name, KINDS, **options)
    assert type(info.value) is kind
    assert "\n" not in str(info.value)
    assert len(str(info.value)) < 400


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_a_fresh_pull_brings_the_needed_files_and_nothing_else(server: HubServer) -> None:
    folder = hub.pull(NAME, KINDS)
    configs = {"config.json", "generation_config.json", "preprocessor_config.json"}
    needed = {*configs, "tokenizer.json", BIG, "LICENSE", "README.md"}
    assert {p.name for p in folder.iterdir()} == needed
    assert {s.file for s in server.seen} == {*needed, "api"}
    assert (folder / BIG).read_bytes() == WEIGHTS
    assert cached(NAME, KINDS) == resolve(NAME, KINDS).folder == folder


@pytest.mark.parametrize("off", ["0", "1"])
def test_a_second_pull_brings_nothing(server: HubServer, monkeypatch: Patch, off: str) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_SYMLINKS", off)
    first = hub.pull(NAME, KINDS)
    assert (first / BIG).is_symlink() == (off == "0")
    server.seen.clear()
    assert hub.pull(NAME, KINDS) == first
    assert [s.file for s in server.seen] == ["api"]


def test_a_new_version_fetches_only_what_changed(server: HubServer, home: Path) -> None:
    old = hub.pull(NAME, KINDS)
    (home / "remote" / "config.json").write_text('{"model_type": "kosmos-2", "new": 1}')
    server.seen.clear()
    new = hub.pull(NAME, KINDS)
    assert {s.file for s in server.seen} == {"api", "config.json"}
    assert (cached(NAME, KINDS), cached(NAME, KINDS, old.name)) == (new, old)
    write_model(home / "remote", weights=WEIGHTS[::-1])
    server.inject(BIG, Fault("drop", times=99))
    refused(errors.DownloadError, "still works")
    assert cached(NAME, KINDS) == new


def test_progress_rises_to_the_total(server: HubServer) -> None:
    calls: list[tuple[int, int]] = []
    folder = hub.pull(NAME, KINDS, progress=lambda *call: calls.append(call))
    size = sum(p.stat().st_size for p in folder.iterdir())
    done = [d for d, _ in calls]
    assert {total for _, total in calls} == {size}
    assert done == sorted(done)
    assert any(size - len(WEIGHTS) < d < size for d in done)  # steps inside the large file
    again: list[tuple[int, int]] = []
    hub.pull(NAME, KINDS, progress=lambda *call: again.append(call))
    assert calls[-1] == again[-1] == (size, size)


def test_shards_are_those_of_the_index(server: HubServer, home: Path) -> None:
    remote = write_model(home / "sharded", shards=3)
    (remote / "model-extra.safetensors").write_bytes(b"not in the index")
    server.repos[NAME] = Repo(remote)
    source = KOSMOS2.find(hub.pull(NAME, KINDS))
    assert [p.read_bytes()[0] for p in source.weights] == [0, 1, 2]
    assert not server.gets("model-extra.safetensors")


@pytest.mark.parametrize(
    ("shards", "missing", "match"),
    [
        (3, "model-00002-of-00003.safetensors", "model-00002-of-00003.* is missing"),
        (3, INDEX, "no weights: neither"),
        (0, BIG, r"pytorch_model\.bin.*run code"),
        (0, "tokenizer.json", r"tokenizer\.json is missing"),
    ],
)
def test_an_incomplete_repository_is_refused_before_any_weights(
    server: HubServer, home: Path, shards: int, missing: str, match: str
) -> None:
    server.repos[NAME] = Repo(write_model(home / "other", shards=shards))
    (home / "other" / missing).unlink()
    refused(errors.CheckpointError, match)
    assert not server.gets("*.safetensors")
    assert not server.gets("*.bin")
    with pytest.raises(errors.CheckpointError, match=match):
        KOSMOS2.find(home / "other")


def test_other_programs_find_what_was_pulled(server: HubServer) -> None:
    """huggingface_hub itself, in a process of its own, transfers nothing again."""
    folder = hub.pull(NAME, KINDS)
    server.seen.clear()
    run = python(
        "from huggingface_hub import hf_hub_download, snapshot_download\n"
        f"print(snapshot_download({NAME!r}, allow_patterns=['*.json', '*.safetensors']))\n"
        f"print(hf_hub_download({NAME!r}, {BIG!r}, local_files_only=True))"
    )
    assert run.stdout.splitlines() == [str(folder), str(folder / BIG)]
    assert {s.file for s in server.seen} == {"api"}


def test_what_other_programs_pulled_is_not_fetched_again(server: HubServer) -> None:
    run = python(f"from huggingface_hub import hf_hub_download as d; d({NAME!r}, {BIG!r})")
    assert run.returncode == 0, run.stderr
    assert server.gets(BIG, "cdn")
    assert cached(NAME, KINDS) is None  # not all of it
    server.seen.clear()
    hub.pull(NAME, KINDS)
    assert not server.gets(BIG)


@pytest.mark.parametrize(
    ("faults", "ranges"),
    [
        ([Fault("drop", 2, after=100_000)], [None, "bytes=100000-", "bytes=200000-"]),
        ([Fault("short", after=50_000)], [None, "bytes=50000-"]),
        ([Fault("stall", after=1000)], [None, "bytes=1000-"]),
        ([Fault("drop", after=7000), Fault("ignore_range")], [None, "bytes=7000-"]),
        ([Fault("slow", seconds=0.1)], [None]),
    ],
    ids=["dropped", "short", "silent", "cannot resume", "slow"],
)
def test_a_broken_transfer_is_resumed(
    server: HubServer, monkeypatch: Patch, faults: list[Fault], ranges: list[str]
) -> None:
    # Impatient only until the silence: no answer after it is late, on any machine.
    silent = faults[0].kind == "stall"
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1" if silent else "60")
    server.on_stall = lambda: monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "60")
    for fault in faults:
        server.inject(BIG, Fault(**vars(fault)))
    assert (hub.pull(NAME, KINDS) / BIG).read_bytes() == WEIGHTS
    assert [s.range for s in server.gets(BIG, "cdn")][-len(ranges) :] == ranges


def test_a_host_that_always_drops_and_cannot_resume_is_left(server: HubServer) -> None:
    server.inject(BIG, Fault("ignore_range", times=999))
    server.inject(BIG, Fault("drop", times=999, after=1000))
    refused(errors.DownloadError, "the transfer broke off")
    assert len(server.gets(BIG, "cdn")) == hub._ATTEMPTS + 1


def test_a_broken_pull_is_continued_by_the_next(server: HubServer, home: Path) -> None:
    server.inject(BIG, Fault("drop", after=70_000))
    server.inject(BIG, Fault("drop", times=hub._ATTEMPTS))
    refused(errors.DownloadError, "running again resumes")
    assert part(home).stat().st_size == 70_000
    assert cached(NAME, KINDS) is None
    server.seen.clear()
    assert (hub.pull(NAME, KINDS) / BIG).read_bytes() == WEIGHTS
    assert {s.file for s in server.seen} == {"api", BIG}
    assert [s.range for s in server.gets(BIG, "cdn")] == ["bytes=70000-"]


def test_a_killed_process_is_continued_by_the_next(server: HubServer, home: Path) -> None:
    server.inject(BIG, Fault("stall", after=90_000))
    process = subprocess.Popen([sys.executable, "-c", PULL])
    try:
        wait_until(lambda: folders.size_of(part(home)) == 90_000, process)
    finally:
        process.kill()
        process.wait()
    server.seen.clear()
    assert (hub.pull(NAME, KINDS) / BIG).read_bytes() == WEIGHTS
    assert [s.range for s in server.gets(BIG, "cdn")] == ["bytes=90000-"]


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("file", ["api", BIG, "config.json"])
def test_server_errors_are_waited_out_or_told(server: HubServer, file: str, status: int) -> None:
    server.inject(file, Fault("status", times=2, status=status))
    assert (hub.pull(NAME, KINDS) / BIG).read_bytes() == WEIGHTS
    shutil.rmtree(folders.hub_storage(NAME))
    server.inject(file, Fault("status", times=99, status=status))
    refused(errors.DownloadError, f"{NAME}.*{status}")


@pytest.mark.parametrize("kind", ["corrupt", "long", "stale"])
@pytest.mark.parametrize("file", [BIG, "tokenizer.json"])
def test_a_wrong_hash_is_refused_once(server: HubServer, home: Path, file: str, kind: Any) -> None:
    if kind == "stale":  # the beginning on disk is not that of the file
        file = BIG
        part(home).parent.mkdir(parents=True)
        part(home).write_bytes(b"\1" * 5000)
    else:
        server.inject(file, Fault(kind))
    refused(errors.DownloadError, f"{file} is not what the hub says")
    assert not list(part(home).parent.glob("*.part"))
    assert cached(NAME, KINDS) is None
    assert (hub.pull(NAME, KINDS) / file).read_bytes() == (home / "remote" / file).read_bytes()


def test_a_truncated_blob_in_the_cache_is_fetched_anew(server: HubServer, home: Path) -> None:
    folder = hub.pull(NAME, KINDS)
    part(home).with_suffix("").write_bytes(WEIGHTS[:1000])
    assert hub.pull(NAME, KINDS) == folder
    assert (folder / BIG).read_bytes() == WEIGHTS


def test_a_disk_that_is_full_or_closed(server: HubServer, home: Path, monkeypatch: Patch) -> None:
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda p: real(p)._replace(free=1000))
    refused(errors.DownloadError, r"model\.safetensors needs 512,000 bytes")
    assert not server.gets(BIG)
    (home / "file").write_text("")
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "file" / "hub"))
    refused(errors.DownloadError, "cannot write")


def test_a_failing_disk_is_no_failing_transfer() -> None:
    """Transfers are tried again, whatever HTTP library is below; other errors are not."""
    assert not issubclass(OSError, hub._failures())
    assert issubclass(HfHubHTTPError, hub._failures())
    assert issubclass(ConnectionResetError, hub._failures())


def test_what_the_hub_does_not_have(server: HubServer) -> None:
    refused(errors.ModelNotFoundError, r"no such model.*private", "acme/nothing")
    refused(errors.ModelNotFoundError, "no revision 'v9'", revision="v9")


@pytest.mark.parametrize("access", ["gated", "private"])
def test_a_token_goes_to_the_hub_alone(server: HubServer, monkeypatch: Patch, access: Any) -> None:
    server.repos[NAME].access = access
    refused(errors.ModelNotFoundError, f"{access}.*HF_TOKEN")
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    server.seen.clear()
    hub.pull(NAME, KINDS)
    assert {s.token for s in server.seen if s.host == "hub"} == {"Bearer hf_right"}
    assert {s.token for s in server.seen if s.host == "cdn"} == {None}


def test_a_branch_and_a_commit(server: HubServer) -> None:
    server.repos[NAME].refs = ("main", "refs/pr/1")
    folder = hub.pull(NAME, KINDS, revision="refs/pr/1")
    (folders.hub_cache() / "evil").write_text(folder.name)  # what "refs/../../evil" would read
    revisions = (None, "../../evil", "refs/pr/1")
    assert [cached(NAME, KINDS, revision) for revision in revisions] == [None, None, folder]
    server.seen.clear()
    assert hub.pull(NAME, KINDS, revision=folder.name) == folder
    assert not server.seen  # a commit never changes


@pytest.mark.parametrize("text", ["../../../evil", "/etc", "a b/c", "x/../y", "-x", "a/b/c/.."])
def test_nothing_leads_out_of_the_cache(server: HubServer, text: str) -> None:
    refused(errors.ModelNotFoundError, "not a branch", revision=text)
    refused(errors.ModelNotFoundError, "no model or folder", text)
    assert not server.seen
    assert cached(NAME, KINDS, text) is cached(text, KINDS) is None
    for field in ("sha", "digest"):
        at = {"sha": "0" * 40, "digest": "0" * 64, field: text}
        lfs = {"sha256": at["digest"], "size": 3, "pointerSize": 1}
        listing = {"id": NAME, "sha": at["sha"], "siblings": [{"rfilename": BIG, "lfs": lfs}]}
        server.repos[NAME].broken_listing = json.dumps(listing).encode()
        refused(errors.DownloadError, "did not answer as a hub")


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline(server: HubServer, monkeypatch: Patch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    refused(errors.OfflineError, f"{variable}.*kosmoscope pull {NAME}")
    # In a process of its own, where huggingface_hub has read the variable at its import.
    assert "\nkosmoscope.errors.OfflineError: " in python(PULL).stderr
    monkeypatch.setenv(variable, "0")
    folder = hub.pull(NAME, KINDS)
    monkeypatch.setenv(variable, "1")
    server.seen.clear()
    assert hub.pull(NAME, KINDS) == folder
    assert not server.seen


def test_a_server_that_is_down_or_none(monkeypatch: Patch) -> None:
    with HubServer() as stopped:
        monkeypatch.setenv("HF_ENDPOINT", stopped.url)
    refused(errors.DownloadError, f"{NAME}: {stopped.url} cannot be reached")
    for endpoint in ("hub.example", "ftp://x", "http://", "http://a:b"):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        refused(errors.DownloadError, "HF_ENDPOINT")


@pytest.mark.parametrize("answer", [b"<html>Please log in</html>", b"[]", b"{}", b'{"id": "x"}'])
def test_something_that_is_no_hub(server: HubServer, answer: bytes) -> None:
    server.repos[NAME].broken_listing = answer
    refused(errors.DownloadError, f"{NAME}.*did not answer as a hub")


BAD = ["../x.safetensors", "/x.safetensors", "a\\b.safetensors", "C:x.safetensors", "x.bin", 3]


@pytest.mark.parametrize("index", ["{", "[]", "{}", *({"weight_map": {"w": n}} for n in BAD)])
def test_an_index_that_is_none_or_leads_elsewhere(home: Path, index: Any) -> None:
    folder = write_model(home / "m", shards=2)
    (folder / INDEX).write_text(index if isinstance(index, str) else json.dumps(index))
    with pytest.raises(errors.CheckpointError, match=r"index\.json: "):
        KOSMOS2.find(folder)


def test_the_fingerprint_follows_every_file(home: Path) -> None:
    source = KOSMOS2.find(write_model(home / "My Model"))
    seen = {source.fingerprint(), source.fingerprint()}
    for name in ("config.json", "generation_config.json", "tokenizer.json", BIG):
        (source.folder / name).write_text("changed")
        seen.add(source.fingerprint())
    assert len(seen) == 5
    folder = KOSMOS2.converted_dir(source, "int8")
    assert folder.parent == home / "kosmoscope" / "converted"
    assert folder.name == f"my-model-{source.fingerprint()[:16]}-int8-v{KOSMOS2.version}"


def test_installed_lists_what_is_whole_and_what_is_damaged(server: HubServer) -> None:
    snapshot = hub.pull(NAME, KINDS)
    manifest = {"format_version": 1, "kosmoscope_version": "0.1.0", "name": "a",
                "precision": "int8", "source_sha256": "ab" * 32, "files": {}}  # fmt: skip
    for name, text in (("good", json.dumps(manifest)), ("bad", "{")):
        folder = folders.converted_root() / name
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_text(text)
        assert is_converted(folder)
    models = {(m.where, m.name, m.precision): m for m in installed(KINDS) if m.where != "packaged"}
    hub_key, bad_key = ("hub", NAME, None), ("converted", "bad", None)
    assert [*models] == [hub_key, bad_key, ("converted", "a", "int8")]
    one, bad, _ = models.values()
    assert one.path == snapshot
    assert one.size_bytes > len(WEIGHTS)
    assert bad.detail.startswith("damaged: kosmoscope.json: not JSON")


def test_resolve_says_what_to_do(home: Path) -> None:
    (home / "file").touch()
    hints = {
        "kosmos-2": "kosmoscope pull kosmos-2",
        NAME: f"kosmoscope pull {NAME}",
        "kosmos2": "did you mean kosmos-2",
        "./nowhere": "no such folder",
        str(home / "file"): "a file; expected",
    }
    for name, hint in hints.items():
        with pytest.raises(errors.ModelNotFoundError, match=hint):
            resolve(name, KINDS)
    assert resolve(str(home), KINDS).folder == resolve(home, KINDS).folder == home


def test_the_cache_root_follows_the_environment(monkeypatch: Patch) -> None:
    monkeypatch.delenv("KOSMOSCOPE_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setenv("LOCALAPPDATA", "/l")
    assert folders.cache_root() == Path("/x/kosmoscope")
    ends = {"linux": "/.cache", "darwin": "/Library/Caches", "win32": "/l/kosmoscope/Cache"}
    assert all(end in folders._platform_cache(system).as_posix() for system, end in ends.items())


def test_a_known_name_means_the_model_and_not_a_folder(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pocket", "kosmos-2"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("pocket", KINDS).folder == packaged("pocket", KINDS)
    assert resolve("./pocket", KINDS).folder == Path("pocket")
    with pytest.raises(errors.ModelNotFoundError, match="kosmoscope pull kosmos-2"):
        resolve("kosmos-2", KINDS)
