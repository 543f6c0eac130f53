"""A server for the tests: as a real process, or in this one with the model's passes held back."""

from __future__ import annotations

import http.client
import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

import kosmoscope
from cli_runner import POCKET, PROGRAM
from kosmoscope.engine.batch import Batch
from kosmoscope.engine.branch import Token
from kosmoscope.scope import Scope
from kosmoscope.server import Settings
from kosmoscope.server.app import application
from kosmoscope.server.desk import Desk
from kosmoscope.server.process import listening

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"
LONG = {"min_new_tokens": 1800, "max_new_tokens": 1800, "temperature": 5.0}
"""Options of a text that takes thousands of passes: nothing of it can be guessed."""


class Server:
    """A running `kosmoscope serve`.

    Args:
        args: more for its command line.
        env: more for its environment.
    """

    def __init__(self, *args: str, env: dict[str, str] | None = None) -> None:
        self.child = subprocess.Popen(
            [*PROGRAM, "serve", "--port", "0", *POCKET, *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.lines: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        found = self.said(r"listening on http://(\S+):(\d+)")
        self.host, self.port = found[1], int(found[2])
        self.url = f"http://127.0.0.1:{self.port}"
        self.said(r"is ready")

    def _read(self) -> None:
        assert self.child.stderr is not None
        for line in self.child.stderr:
            self.lines.append(line)
            self._new.put(line)
        self._new.put(None)

    def said(self, pattern: str) -> re.Match[str]:
        """Wait for a line on stderr."""
        while True:
            line = self._new.get(timeout=120)
            assert line is not None, "".join(self.lines)
            if found := re.search(pattern, line):
                return found

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=120, **options)

    def metric(self, name: str) -> float:
        """Return a counter without labels."""
        with self.client() as client:
            return metric(client.get("/metrics").text, name)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.child.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        status = self.child.wait(120)
        self._reader.join()
        for stream in (self.child.stdout, self.child.stderr):
            assert stream is not None
            stream.close()
        return status


def metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1])


class Held:
    """A request that was let in and whose body has yet to come: it takes room until then."""

    def __init__(self, server: Server, body: dict[str, Any]) -> None:
        self.body = json.dumps(body).encode()
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        self.connection.putrequest("POST", "/api/v1/describe")
        self.connection.putheader("Content-Type", "application/json")
        self.connection.putheader("Content-Length", str(len(self.body)))
        self.connection.endheaders()

    def send(self) -> None:
        self.connection.send(self.body)

    def answer(self) -> str:
        answer = self.connection.getresponse()
        assert answer.status == 200
        text = answer.read().decode()
        self.connection.close()
        return text


def admitted(server: Server, count: int) -> None:
    until(lambda: server.metric("kosmoscope_requests_admitted") == count)


@contextmanager
def serving(*args: str, env: dict[str, str] | None = None) -> Iterator[Server]:
    server = Server(*args, env=env)
    try:
        yield server
    finally:
        if server.child.poll() is None:
            server.child.kill()
            server.ended()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The process that most tests ask."""
    with serving("--max-body-mb", "8") as started:
        yield started
        assert started.stop() == 0


@cache
def pocket() -> Scope:
    return kosmoscope.load("pocket", threads=1)


class Gate:
    """Holds a batch's passes until they are let through, and counts those that began."""

    def __init__(self) -> None:
        self.began = 0
        self._changed = threading.Condition()
        self._allowed = 0
        self._open = False

    def let(self, count: int) -> None:
        """Let so many passes through."""
        with self._changed:
            self._allowed += count
            self._changed.notify_all()

    def open(self) -> None:
        """Let all through."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def wait_for(self, began: int) -> None:
        """Wait until so many passes have begun; the last of them may be held."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.began >= began, 120)

    def hold(self, step: Callable[[], list[Token]]) -> list[Token]:
        with self._changed:
            self.began += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._open or self._allowed > 0, 120)
            self._allowed -= 1
        return step()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Every batch in this process waits at it."""
    gate = Gate()
    step = Batch.step
    monkeypatch.setattr(Batch, "step", lambda batch: gate.hold(lambda: step(batch)))
    yield gate
    gate.open()


@contextmanager
def inside(load: Callable[[], Scope] = pocket, **settings: Any) -> Iterator[tuple[Desk, str]]:
    """Serve from a thread of this process; yields the desk and the address."""
    desk = Desk(Settings(port=0, **settings), load)
    config = uvicorn.Config(
        application(desk), log_config=None, lifespan="off", ws="none", loop="asyncio", http="h11"
    )
    server = uvicorn.Server(config)
    with listening(desk.settings) as door:
        port = door.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([door],))
        thread.start()
        desk.worker.start()
        try:
            if load is pocket:
                until(lambda: desk.worker.state == "ready")
            yield desk, f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()
            desk.close()


def until(condition: Callable[[], object]) -> None:
    """Wait, however long it takes; pytest's limit is the net."""
    while not condition():
        time.sleep(0.005)
