"""A small hub on this machine: the part of the Hugging Face hub's HTTP API that a pull meets.

Two servers on 127.0.0.1, each on a port of its own, because the real hub is two hosts too: the
hub itself answers for repositories and redirects, and large (LFS) files come from the other one,
which must never see a token. Xet headers are never sent. Faults are injected by file name.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".bin", ".pt")
WEIGHTS = bytes(range(256)) * 2000


@dataclass
class Fault:
    """What goes wrong with the next `times` answers for a file; "api" is the listing.

    drop: close the connection after `after` bytes of the answer's body, having promised all.
    short: the same, but Content-Length promises no more than comes.
    corrupt: right length, wrong bytes. long: more bytes than the file has.
    ignore_range: answer 200 with everything to a request for a range.
    stall: send `after` bytes, then nothing until the server closes.
    slow: wait `seconds` before answering. status: answer with this status.
    """

    kind: Literal["drop", "short", "corrupt", "long", "ignore_range", "stall", "slow", "status"]
    times: int = 1
    after: int = 0
    status: int = 503
    seconds: float = 0.0


@dataclass(frozen=True)
class Seen:
    """A request as it came in."""

    host: Literal["hub", "cdn"]
    method: str
    path: str
    file: str
    range: str | None
    token: str | None


@dataclass
class Repo:
    """A repository: the files at the top of a folder, read anew for every request."""

    folder: Path
    access: Literal["open", "gated", "private"] = "open"
    token: str = "hf_right"
    refs: tuple[str, ...] = ("main",)
    broken_listing: bytes | None = None

    def files(self) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in sorted(self.folder.iterdir()) if p.is_file()}

    def commit(self) -> str:
        text = "".join(f"{n}{hashlib.sha1(b).hexdigest()}" for n, b in self.files().items())
        return hashlib.sha1(text.encode()).hexdigest()


def write_model(folder: Path, *, shards: int = 0, weights: bytes = WEIGHTS) -> Path:
    """Write what a repository of a model looks like, with a few files that nobody needs."""
    folder.mkdir(parents=True, exist_ok=True)
    small = {
        "config.json": '{"model_type": "kosmos-2"}',
        "tokenizer.json": '{"version": "1.0"}',
        "preprocessor_config.json": '{"size": 224}',
        "generation_config.json": '{"eos_token_id": 2}',
        "README.md": "# tiny",
        "LICENSE": "MIT",
        "notes.txt": "nobody asks for this",
        "pytorch_model.bin": "pickle",
    }
    for name, text in small.items():
        (folder / name).write_text(text)
    if not shards:
        (folder / "model.safetensors").write_bytes(weights)
        return folder
    names = [f"model-{i:05}-of-{shards:05}.safetensors" for i in range(1, shards + 1)]
    for i, name in enumerate(names):
        (folder / name).write_bytes(bytes([i]) * 5000)
    index = {"metadata": {}, "weight_map": {f"w{i}": name for i, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def is_lfs(name: str) -> bool:
    return name.endswith(LFS_SUFFIXES)


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class HubServer:
    """Both servers; a context manager."""

    repos: dict[str, Repo] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    on_stall: Callable[[], None] = lambda: None
    closing: threading.Event = field(default_factory=threading.Event)
    _faults: list[tuple[str, Fault]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _servers: list[tuple[ThreadingHTTPServer, threading.Thread]] = field(default_factory=list)

    def __enter__(self) -> HubServer:
        for role in ("hub", "cdn"):
            handler = type("Handler", (_Handler,), {"hub": self, "role": role})
            server = _Server(("127.0.0.1", 0), handler)
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
            thread.start()
            self._servers.append((server, thread))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        for server, thread in self._servers:
            server.shutdown()
            thread.join()
            server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._servers[0][0].server_address[1]}"

    @property
    def cdn_url(self) -> str:
        return f"http://127.0.0.1:{self._servers[1][0].server_address[1]}"

    def inject(self, pattern: str, fault: Fault) -> None:
        self._faults.append((pattern, fault))

    def take(self, file: str, *kinds: str) -> Fault | None:
        """Use up one injected fault of these kinds for this file, if there is one."""
        with self._lock:
            for pattern, fault in self._faults:
                if fnmatch(file, pattern) and fault.kind in kinds and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def gets(self, pattern: str, host: str = "*") -> list[Seen]:
        """Return the GET requests for files of this pattern."""
        return [
            s
            for s in self.seen
            if s.method == "GET" and fnmatch(s.file, pattern) and fnmatch(s.host, host)
        ]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away in the middle is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet: apart, each answer waits 40 ms for the client
    hub: HubServer
    role: Literal["hub", "cdn"]

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        routes: list[tuple[str, Callable[..., None]]] = [
            (r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", self._listing),
            (r"/api/models/([^/]+/[^/]+)/tree/([^/]+)", self._tree),
            (r"/api/resolve-cache/models/([^/]+/[^/]+)/([^/]+)/(.+)", self._cache),
            (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self._resolve),
        ]
        if self.role == "cdn":
            routes = [(r"/([^/]+/[^/]+)/([0-9a-f]{64})/(.+)", self._blob)]
        for pattern, route in routes:
            if match := re.fullmatch(pattern, path):
                file = match[3] if match.re.groups == 3 else "api"
                self.hub.seen.append(
                    Seen(
                        host=self.role,
                        method=self.command,
                        path=self.path,
                        file=file,
                        range=self.headers.get("Range"),
                        token=self.headers.get("Authorization"),
                    )
                )
                if slow := self.hub.take(file, "slow"):
                    time.sleep(slow.seconds)
                if fault := self.hub.take(file, "status"):
                    self._send(fault.status, b"injected")
                else:
                    route(*match.groups())
                return
        self._send(404, b"no such route")

    # The hub's own answers

    def _open(self, name: str, revision: str | None, *, content: bool) -> Repo | None:
        """Return the repository, or send the error that the hub sends."""
        repo = self.hub.repos.get(name)
        allowed = repo is not None and self.headers.get("Authorization") == f"Bearer {repo.token}"
        if repo is None or (repo.access == "private" and not allowed):
            # The hub does not tell a stranger whether a repository exists.
            self._error(404 if allowed else 401, "RepoNotFound", "Repository not found")
        elif repo.access == "gated" and content and not allowed:
            self._error(401, "GatedRepo", f"Access to model {name} is restricted.")
        elif revision is not None and revision not in (*repo.refs, repo.commit()):
            self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return repo
        return None

    def _listing(self, name: str, revision: str | None) -> None:
        if (repo := self._open(name, revision, content=False)) is None:
            return
        if repo.broken_listing is not None:
            self._send(200, repo.broken_listing)
            return
        siblings = []
        for file, content in repo.files().items():
            entry: dict[str, Any] = {"rfilename": file}
            if "blobs=" in self.path:
                entry |= {"size": len(content), "blobId": git_sha1(content)}
                if is_lfs(file):
                    entry["lfs"] = {
                        "sha256": sha256(content),
                        "size": len(content),
                        "pointerSize": 134,
                    }
            siblings.append(entry)
        self._json(
            {
                "_id": "0" * 24,
                "id": name,
                "modelId": name,
                "sha": repo.commit(),
                "private": repo.access == "private",
                "gated": "auto" if repo.access == "gated" else False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": siblings,
            }
        )

    def _tree(self, name: str, revision: str) -> None:
        if (repo := self._open(name, revision, content=False)) is None:
            return
        rows: list[dict[str, Any]] = []
        for file, content in repo.files().items():
            row = {"type": "file", "path": file, "size": len(content), "oid": git_sha1(content)}
            if is_lfs(file):
                row["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": 134}
            rows.append(row)
        self._json(rows)

    def _resolve(self, name: str, revision: str, file: str) -> None:
        if (repo := self._open(name, revision, content=True)) is None:
            return
        content = repo.files().get(file)
        if content is None:
            self._error(404, "EntryNotFound", "Entry not found")
            return
        headers = {"X-Repo-Commit": repo.commit(), "X-Linked-Size": str(len(content))}
        if is_lfs(file):
            digest = sha256(content)
            headers["X-Linked-ETag"] = headers["ETag"] = f'"{digest}"'
            headers["Location"] = f"{self.hub.cdn_url}/{name}/{digest}/{file}"
            self._send(302, b"", headers)
        else:
            headers["X-Linked-ETag"] = headers["ETag"] = f'"{git_sha1(content)}"'
            headers["Location"] = f"/api/resolve-cache/models/{name}/{repo.commit()}/{file}"
            self._send(307, b"", headers)

    def _cache(self, name: str, revision: str, file: str) -> None:
        if (repo := self._open(name, revision, content=True)) is not None:
            content = repo.files()[file]
            headers = {"X-Repo-Commit": repo.commit(), "ETag": f'"{git_sha1(content)}"'}
            self._body(file, content, headers)

    def _blob(self, name: str, digest: str, file: str) -> None:
        content = self.hub.repos[name].files().get(file, b"")
        if sha256(content) != digest:
            self._send(404, b"gone")
            return
        self._body(file, content, {"ETag": f'"{digest}"'})

    # Sending

    def _body(self, file: str, content: bytes, headers: dict[str, str]) -> None:
        status, start = 200, 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and not self.hub.take(file, "ignore_range"):
            start = int(wanted[1])
            if start >= len(content):
                self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        fault = self.hub.take(file, "drop", "short", "corrupt", "long", "stall")
        if fault is None or self.command == "HEAD":
            self._send(status, body, headers)
            return
        if fault.kind == "corrupt":
            self._send(status, bytes(b ^ 0xFF for b in body), headers)
        elif fault.kind == "long":
            self._send(status, body + b"more", headers)
        elif fault.kind == "short":
            self._send(status, body[: fault.after], headers)
        else:
            self._send(status, body[: fault.after], headers, length=len(body))
            self.wfile.flush()
            if fault.kind == "stall":
                self.hub.on_stall()
                self.hub.closing.wait(30)
            self.close_connection = True

    def _json(self, data: Any) -> None:
        self._send(200, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
