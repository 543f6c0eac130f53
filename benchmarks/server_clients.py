"""Clients of a server, in a process of their own: what they send, and how long answers take.

    python benchmarks/server_clients.py < task.json

Used by benchmarks/server.py. One thread a client, each with a connection that stays open. A task
names the address, the clients, the requests and what each sends; the answer is a list of
`[status, seconds, seconds to the first text or null]` and the seconds of all.
"""

from __future__ import annotations

import http.client
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PHOTOS = sorted((Path(__file__).parent.parent / "examples" / "photos").glob("*.jpg"))
TOO_MANY = 429
NOBODY, BROKEN = 0, -1
"""In a status' place: nobody listens; the connection ended without an answer."""
_EDGE = "kosmoscope-benchmark"
Answer = tuple[int, float, float | None]


def pictures(first: int = 0) -> Callable[[int], bytes]:
    """Return what makes the n-th picture's file: no two are the same, all can be decoded."""
    files = [path.read_bytes() for path in PHOTOS]
    # What follows a JPEG's end is ignored by decoders, but makes it another file.
    return lambda n: files[n % len(files)] + f"{first + n}".encode()


def multipart(fields: dict[str, str], file: bytes | None) -> tuple[bytes, dict[str, str]]:
    """Return a form's body and its headers."""
    parts = [
        f'--{_EDGE}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode()
        for k, v in fields.items()
    ]
    if file is not None:
        head = f'--{_EDGE}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
        parts += [head.encode() + b"Content-Type: image/jpeg\r\n\r\n", file, b"\r\n"]
    body = b"".join([*parts, f"--{_EDGE}--\r\n".encode()])
    return body, {"Content-Type": f"multipart/form-data; boundary={_EDGE}"}


class Client:
    """A connection that stays open, and opens again when the server closed it."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        self.picture_id = ""
        """What the server called the last picture."""

    def begin(self, path: str, fields: dict[str, str], file: bytes | None) -> Any:
        """Send a request; return the answer, of which its head has come."""
        body, headers = multipart(fields, file)
        self._connection.request("POST", path, body, headers)
        return self._connection.getresponse()

    def close(self) -> None:
        """Go away."""
        self._connection.close()

    def send(self, path: str, fields: dict[str, str], file: bytes | None) -> Answer:
        """Send a request, read its whole answer."""
        began = time.perf_counter()
        try:
            if self._connection.sock is None:
                self._connection.connect()
        except ConnectionError:
            return NOBODY, time.perf_counter() - began, None
        first = None
        try:
            response = self.begin(path, fields, file)
            self.picture_id = response.getheader("X-Picture-Id", self.picture_id)
            if response.getheader("Content-Type", "").startswith("text/event-stream"):
                for line in response:
                    if first is None and line.startswith(b"event: text"):
                        first = time.perf_counter() - began
                    if line.startswith(b'data: {"picture_id"'):
                        self.picture_id = json.loads(line[6:])["picture_id"]
            else:
                response.read()
        except (ConnectionError, http.client.HTTPException):
            self._connection.close()
            return BROKEN, time.perf_counter() - began, first
        return response.status, time.perf_counter() - began, first


def load(task: dict[str, Any]) -> dict[str, Any]:
    """Send `requests` requests from `clients` clients."""
    picture = pictures(task.get("first", 0))
    every = task.get("every", 1)  # with a `picture_id`, only each so many sends a picture
    numbers = itertools.count()
    answers: list[Answer] = []
    lock = threading.Lock()

    def run() -> None:
        client = Client(task["port"])
        while True:
            with lock:
                number = next(numbers)
            if number >= task["requests"]:
                return
            fields, file = dict(task["fields"]), None
            if "picture_id" in task and number % every:
                fields["picture_id"] = task["picture_id"]
            else:
                file = picture(number)
            answer = client.send(task["path"], fields, file)
            answers.append(answer)
            if answer[0] == TOO_MANY:
                time.sleep(0.5)

    threads = [threading.Thread(target=run) for _ in range(task["clients"])]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"answers": answers, "seconds": time.perf_counter() - began}


if __name__ == "__main__":
    json.dump(load(json.load(sys.stdin)), sys.stdout)
