"""Servers and their clients as processes, for benchmarks/server.py."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import server_clients

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")
DESCRIBE = "/api/v1/describe"
Answers = list[server_clients.Answer]
Histogram = dict[float, float]
"""Upper bound in seconds -> how many were within it, one within the other."""


def within(after: Histogram, before: Histogram | None = None) -> str:
    """Return bounds of the median, of 95 %, and of all of what came between two readings."""
    counts = {b: n - (before or {}).get(b, 0) for b, n in after.items()}
    most = max(counts.values())
    bounds = [min(b for b, n in counts.items() if n >= share * most) for share in (0.5, 0.95, 1)]
    return f"{' / '.join(f'<={1000 * b:g} ms' for b in bounds)} of {most:.0f}"


class Server:
    """A server process.

    Args:
        command: starts it; "PORT" in it is replaced by a free port.
    """

    def __init__(self, command: list[str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [str(self.port) if word == "PORT" else word for word in command]
        self.child = subprocess.Popen(command, cwd=HERE, stderr=subprocess.DEVNULL)
        while not self._is_ready():
            if self.child.poll() is not None:
                raise SystemExit(f"{command}: ended with {self.child.returncode}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            self._read("/health").close()
        except urllib.error.HTTPError as e:
            return e.code == 404  # the other server has no such address; it loads, then listens
        except OSError:
            return False
        return True

    def _read(self, path: str) -> Any:
        return urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}")

    def metric(self, name: str) -> float:
        """Return a counter without labels."""
        with self._read("/metrics") as answer:
            found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
        assert found is not None, name
        return float(found[1])

    def histogram(self, name: str) -> Histogram:
        """Return how many were within each of its bounds."""
        with self._read("/metrics") as answer:
            text = answer.read().decode()
        lines = re.findall(rf'^{name}_bucket{{le="(\S+)"}} (\S+)$', text, re.MULTILINE)
        return {float(bound): float(count) for bound, count in lines}

    def statuses(self) -> dict[int, int]:
        """Return how many requests that describe had which status."""
        with self._read("/metrics") as answer:
            text = answer.read().decode()
        pattern = rf'^kosmoscope_requests_total{{route="{DESCRIBE}",status="(\d+)"}} (\S+)$'
        return {int(status): int(float(n)) for status, n in re.findall(pattern, text, re.MULTILINE)}

    def cpu(self) -> float:
        """Return seconds of processor time so far."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_mb(self) -> float:
        """Return its memory."""
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.child.pid}/status").read_text())
        assert found is not None
        return int(found[1]) / 1024


def ours(model: str, *more: str) -> list[str]:
    """Return how `kosmoscope serve` is started."""
    command = [sys.executable, "-m", "kosmoscope.cli", "serve", "--port", "PORT"]
    return [*command, "--model", model, *more]


def locked(model: str) -> list[str]:
    """Return how the other server is started."""
    return [sys.executable, "server_locked.py", model, "PORT"]


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[Server]:
    """Start a server, and end it."""
    server = Server(command)
    try:
        yield server
    finally:
        server.child.kill()
        server.child.wait()


class Clients:
    """Clients that send requests, from now on; a task is what server_clients.py reads."""

    def __init__(self, server: Server, clients: int, requests: int, **task: Any) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "server_clients.py"],
            cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        task |= {"port": server.port, "clients": clients, "requests": requests}
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"path": DESCRIBE, "fields": {}, **task}))
        self._child.stdin.close()

    def give_up(self) -> None:
        """Let them go in the middle."""
        self._child.kill()
        self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()

    def end(self) -> tuple[Answers, float]:
        """Wait for them; return their answers, and the seconds from the first to the last."""
        assert self._child.stdout is not None
        found = json.loads(self._child.stdout.read())
        self._child.stdout.close()
        self._child.wait()
        return [tuple(a) for a in found["answers"]], found["seconds"]


def refused(server: Server, **task: Any) -> list[tuple[int, float]]:
    """Let server_refused.py ask a server; return what it saw."""
    done = subprocess.run(
        [sys.executable, "server_refused.py"], cwd=HERE, check=True, text=True,
        input=json.dumps({"port": server.port, "path": DESCRIBE, **task}), stdout=subprocess.PIPE,
    )  # fmt: skip
    return [tuple(answer) for answer in json.loads(done.stdout)]
