"""Models from the Hugging Face hub: pulled into its cache.

Names, tokens, addresses, errors and the layout of the cache are huggingface_hub's, so what is
pulled here is found by other programs and the other way round. The transfer itself is done here:
huggingface_hub throws an unfinished file away when its process ends, and does not compare what
came with the hash that the hub states. For a file of 6.7 GB both matter.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from kosmoscope.errors import (
    CheckpointError,
    DownloadError,
    ModelError,
    ModelNotFoundError,
    OfflineError,
    OutputError,
)
from kosmoscope.files.text import reason
from kosmoscope.files.writing import write_text
from kosmoscope.store import folders
from kosmoscope.store.incoming import Part, RemoteFile
from kosmoscope.store.installed import cached, hub_name, not_here, packaged, unknown
from kosmoscope.store.kind import CONFIG, Kinds, kind_of
from kosmoscope.store.source import INDEX, WEIGHTS, no_weights, shard_names

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

Progress = Callable[[int, int], None]
"""Called with (bytes here, bytes in all) over all files of a model."""

_EXTRA = re.compile(
    r"(tokenizer_config|special_tokens_map)\.json|README\.md|LICENSE[\w-]*(\.md|\.txt|\.rst)?"
)
"""What no kind needs: for other programs, and for people."""
_TRANSIENT = {408, 416, 425, 429, 500, 502, 503, 504}
_LISTING_ATTEMPTS = 3
_ATTEMPTS = 6
"""How often in a row a transfer may fail without a single new byte."""
_WHERE = "; HF_HOME says where downloads lie"
_PAUSE_S = 1.0
"""Before the first new attempt; it doubles with each failure in a row."""


def pull(
    name: str, kinds: Kinds, *, revision: str | None = None, progress: Progress | None = None
) -> Path:
    """Download a model from the hub, or bring it up to date, and return its folder.

    Only safetensors weights and the small files around them are asked for, never a pickle. An
    unfinished file is kept and continued by the next pull, also by another process. Every file is
    compared with the size and the hash that the hub states before it gets its name.

    Args:
        name: an alias such as "kosmos-2", or "org/name".
        kinds: of which it may be; the repository's config.json says which one it is.
        revision: a branch, tag or commit; the main branch if None.
        progress: called as the bytes of the weights come in, from the calling thread; the last
            call has done == total. `done` falls only where a server cannot continue a file.

    Raises:
        ModelNotFoundError: no such repository or revision, or it is private or gated.
        CheckpointError: the repository is of another kind, has no safetensors weights, or lacks
            a needed file.
        OfflineError: not in the cache, and offline mode is on.
        DownloadError: the hub cannot be reached, a transfer broke off for good, a file is not
            what the hub says it is, or it cannot be written.
    """
    kinds = tuple(kinds)
    if (folder := packaged(name, kinds)) is not None:
        return folder
    repo = hub_name(name, kinds)
    if repo is None:
        raise ModelNotFoundError(unknown(name, kinds))
    if not folders.is_revision(revision or "main"):
        raise ModelNotFoundError(f"{name}: {revision!r} is not a branch, tag or commit")
    here = cached(name, kinds, revision)
    if folders.offline():
        if here is not None:
            return here
        raise not_here(name)
    if here is not None and here.name == revision:
        return here  # a commit never changes: nothing to ask the hub
    try:
        with _writing(name):
            return _Pull(name, repo, revision or "main", kinds).run(progress or (lambda *_: None))
    except DownloadError as e:
        if here is None or isinstance(e, OfflineError):
            raise
        raise DownloadError(f"{e} (the copy already on this machine still works)") from e.__cause__


def pull_file(name: str, kinds: Kinds, file: str, *, revision: str | None = None) -> Path:
    """Bring one more file of a model's repository into the hub's cache, and return its path.

    Resumed and compared with the hub's hash as the files of `pull` are; not asked for again.

    Args:
        name: an alias such as "kosmos-2", or "org/name".
        kinds: of which the model may be.
        file: a name at the top of the repository.
        revision: a branch, tag or commit; the main branch if None.

    Raises:
        ModelNotFoundError: no such repository or revision, or it is private or gated.
        CheckpointError: the repository has no such file.
        OfflineError: it is not in the cache, and offline mode is on.
        DownloadError: as `pull`.
    """
    kinds = tuple(kinds)
    repo = hub_name(name, kinds)
    if repo is None:
        raise ModelNotFoundError(unknown(name, kinds))
    snapshot = folders.hub_snapshot(repo, revision)
    if snapshot is not None and (snapshot / file).is_file():
        return snapshot / file
    if variable := folders.offline():
        raise OfflineError(f"{name}: {file} is not in the cache and {variable} is set; unset it")
    with _writing(name):
        return _Pull(name, repo, revision or "main", kinds).file(file)


@contextmanager
def _writing(name: str) -> Iterator[None]:
    """Say of what cannot be written that it belongs to a download, and where those lie."""
    try:
        yield
    except OutputError as e:
        raise DownloadError(f"{name}: {e}{_WHERE}") from e
    except OSError as e:
        place = e.filename or folders.hub_cache()
        raise DownloadError(f"{name}: cannot write {place}: {e.strerror or e}{_WHERE}") from e


class _Pull:
    """One pull: listing, small files, weights, and last the name of the revision."""

    def __init__(self, name: str, repo: str, revision: str, kinds: Kinds) -> None:
        self.name, self.repo, self.revision, self.kinds = name, repo, revision, kinds
        self.endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        self.storage = folders.hub_storage(repo)
        self.commit, self.folder = "", self.storage  # known once the hub has answered
        self.place = f"{name} on {self.endpoint.partition('://')[2]}"
        if not re.fullmatch(r"https?://(\[[0-9a-fA-F:]+\]|[^/\s:]+)(:\d+)?(/\S*)?", self.endpoint):
            raise DownloadError(f"HF_ENDPOINT is {self.endpoint!r}; expected http(s)://host")

    def run(self, progress: Progress) -> Path:
        files = self._listing()
        if CONFIG not in files:
            raise self._missing(CONFIG)
        self._get(files[CONFIG], lambda _: None)
        kind = kind_of(self.folder, self.kinds)
        for needed in kind.files:
            if needed not in files:
                raise self._missing(needed)
        small = {*kind.files, *kind.optional, *(n for n in files if _EXTRA.fullmatch(n))}
        weights = [WEIGHTS]
        if WEIGHTS not in files:
            if INDEX not in files:
                raise no_weights(self.place, files)
            small.add(INDEX)
            self._get(files[INDEX], lambda _: None)
            weights = list(shard_names(self.folder / INDEX))
            for shard in weights:
                if shard not in files:
                    raise self._missing(f"shard {shard}, which the index names,")
        wanted = [*(f for n, f in files.items() if n in small), *(files[n] for n in weights)]
        total, done = sum(f.size for f in wanted), 0
        for file in wanted:
            self._get(file, partial(_report, progress, done, total))
            done += file.size
        # Last, so that an interrupted pull of a new version leaves the old one in use.
        if self.revision != self.commit:
            ref = self.storage / "refs" / self.revision
            ref.parent.mkdir(parents=True, exist_ok=True)
            write_text(ref, self.commit)
        return self.folder

    def file(self, name: str) -> Path:
        files = self._listing()
        if name not in files:
            raise self._missing(name)
        self._get(files[name], lambda _: None)
        return self.folder / name

    def _missing(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.place}: {what} is missing")

    def _listing(self) -> dict[str, RemoteFile]:
        """Ask for the commit and for the size and hash of each file at the top of it."""
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.endpoint, library_name="kosmoscope")
        failures = 0
        while True:
            try:
                info = api.model_info(
                    self.repo,
                    revision=self.revision,
                    files_metadata=True,
                    timeout=_seconds("HF_HUB_ETAG_TIMEOUT"),
                )
                return self._read_listing(info)
            except _failures() as e:
                failures += 1
                if failures >= _LISTING_ATTEMPTS or not _transient(e):
                    raise self._error(e) from e
                _pause(failures)
            # What a login page of a hotel or a proxy sends: not JSON, or another JSON.
            except (ValueError, KeyError, TypeError, AttributeError) as e:
                raise DownloadError(
                    f"{self.name}: {self.endpoint} did not answer as a hub does ({reason(e)}); "
                    "check HF_ENDPOINT and the proxy"
                ) from e

    def _read_listing(self, info: ModelInfo) -> dict[str, RemoteFile]:
        files = {}
        for sibling in info.siblings or ():
            name = sibling.rfilename
            digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
            size = sibling.lfs.size if sibling.lfs else sibling.size
            # The digest and the commit become file names here: nothing but hex may pass.
            if size is None or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", digest or ""):
                raise ValueError(f"no size and hash of {name}")
            files[name] = RemoteFile(name, int(size), str(digest))
        if not folders.is_commit(info.sha or ""):
            raise ValueError("no commit")
        self.commit = str(info.sha)
        self.folder = self.storage / "snapshots" / self.commit
        return files

    def _get(self, file: RemoteFile, report: Callable[[int], None]) -> None:
        """Bring one file into the snapshot, unless it is there."""
        from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

        pointer = self.folder / file.name
        if folders.size_of(pointer) == file.size:
            report(file.size)
            return
        blob = self.storage / "blobs" / file.digest
        lock = folders.hub_cache() / ".locks" / self.storage.name / f"{file.digest}.lock"
        for folder in (blob.parent, pointer.parent, lock.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):
            if folders.size_of(blob) != file.size:
                blob.unlink(missing_ok=True)
                # Not huggingface_hub's own ".incomplete": `hf cache prune` may sweep those away.
                part_path = blob.with_name(f"{file.digest}.part")
                self._fetch(file, part_path, report)
                part_path.replace(blob)
            pointer.unlink(missing_ok=True)
            try:
                if folders.is_true(os.environ.get("HF_HUB_DISABLE_SYMLINKS", "")):
                    raise OSError("links are switched off")
                pointer.symlink_to(os.path.relpath(blob, pointer.parent))
            except OSError:
                blob.replace(pointer)  # no links on this file system: as huggingface_hub does
        report(file.size)

    def _fetch(self, file: RemoteFile, part_path: Path, report: Callable[[int], None]) -> None:
        part = Part(part_path, file)
        try:
            if part.size > file.size:
                part.restart()
            need = file.size - part.size
            if (free := shutil.disk_usage(self.storage).free) < need:
                where = f"{need:,} bytes more, {self.storage} has {free:,} free"
                raise DownloadError(f"{self.name}: {file.name} needs {where}{_WHERE}")
            best, failures = part.size, 0
            while part.size < file.size:
                error: Exception | None = None
                try:
                    self._stream(file, part, report)
                except _failures() as e:
                    if not _transient(e):
                        raise self._error(e, file.name) from e
                    error = e
                # Counted against the furthest point ever reached: a server that cannot continue a
                # file and drops it at the same place every time would otherwise be asked forever.
                failures = 0 if part.size > best else failures + 1
                best = max(best, part.size)
                if failures >= _ATTEMPTS:
                    raise self._error(error, file.name) from error
                if part.size < file.size:
                    _pause(failures)
        finally:
            good = part.close()
        if not good:
            part_path.unlink(missing_ok=True)
            raise DownloadError(
                f"{self.name}: {file.name} is not what the hub says it is (wrong size or hash); "
                "the damaged copy is removed, running again fetches it anew"
            )

    def _stream(self, file: RemoteFile, part: Part, report: Callable[[int], None]) -> None:
        from huggingface_hub import get_session, hf_hub_url, hf_raise_for_status
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        url = hf_hub_url(self.repo, file.name, revision=self.commit, endpoint=self.endpoint)
        # Identity: a range of a compressed body would be a range of something else.
        headers = build_hf_headers(library_name="kosmoscope") | {"Accept-Encoding": "identity"}
        if part.size:
            headers["Range"] = f"bytes={part.size}-"
        timeout = _seconds("HF_HUB_DOWNLOAD_TIMEOUT")
        with get_session().stream(
            "GET", url, headers=headers, timeout=timeout, follow_redirects=True
        ) as response:
            if response.status_code >= 400:
                response.read()
            if response.status_code == 416:
                part.restart()
            hf_raise_for_status(response)
            start = re.match(rf"bytes {part.size}-", response.headers.get("Content-Range", ""))
            if part.size and not (response.status_code == 206 and start):
                part.restart()
            for chunk in response.iter_bytes():
                part.write(chunk)
                if part.size > file.size:
                    break  # the hash will say no; an endless body must not fill the disk
                report(part.size)

    def _error(self, error: Exception | None, file: str = "") -> ModelError:
        """Say in one line why the hub did not give what was asked for."""
        from huggingface_hub import errors

        what = f"{self.name}: {file}" if file else self.name
        status = _status(error)
        if isinstance(error, errors.OfflineModeIsEnabled):
            return not_here(self.name, "HF_HUB_OFFLINE")
        if isinstance(error, errors.GatedRepoError):
            terms = f"{self.endpoint}/{self.repo}"
            return ModelNotFoundError(f"{what}: gated; accept its terms at {terms}, set HF_TOKEN")
        if isinstance(error, errors.RevisionNotFoundError):
            return ModelNotFoundError(f"{self.name}: no revision {self.revision!r} on the hub")
        if isinstance(error, errors.RepositoryNotFoundError) or (status == 404 and not file):
            return ModelNotFoundError(
                f"{self.repo}: no such model on {self.endpoint}, or it is private: then set "
                "HF_TOKEN to a token that may read it"
            )
        if status in (401, 403):
            return ModelNotFoundError(f"{what}: the hub refuses access ({status}); check HF_TOKEN")
        if status is not None:
            why = f"the hub answered {status}"
        elif file:
            why = f"the transfer broke off ({reason(error) if error else 'closed early'})"
        else:
            why = f"{self.endpoint} cannot be reached ({reason(error)})"
        return DownloadError(f"{what}: {why}; running again {'resumes' if file else 'may help'}")


def _report(progress: Progress, before: int, total: int, size: int) -> None:
    progress(before + size, total)


def _failures() -> tuple[type[Exception], ...]:
    """Return what a request may raise.

    The hub's library has changed its HTTP library more than once and names none of its errors in
    public. What has stayed is that its own public error derives from that library's base class.
    Its other base is OSError, which a full disk is too.
    """
    from huggingface_hub.errors import HfHubHTTPError

    bases = (c for c in HfHubHTTPError.__mro__ if issubclass(c, Exception))
    return (ConnectionError, *(c for c in bases if c not in OSError.__mro__))


def _seconds(variable: str) -> float:
    try:
        return max(float(os.environ.get(variable, "")), 0.1)
    except ValueError:
        return 10.0


def _pause(failures: int) -> None:
    time.sleep(min(_PAUSE_S * 2 ** max(failures - 1, 0), 16 * _PAUSE_S))


def _status(error: Exception | None) -> int | None:
    """Return the HTTP status that an error is about; None if no answer came at all."""
    return cast("int | None", getattr(getattr(error, "response", None), "status_code", None))


def _transient(error: Exception) -> bool:
    return _status(error) is None or _status(error) in _TRANSIENT
