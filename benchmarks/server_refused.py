"""Requests that a full server refuses, from as little of a client as there can be.

    python benchmarks/server_refused.py < task.json

Used by benchmarks/server.py. A few sockets that stay open, a thread each, send the same request at
a fixed pace: what they cost must not be what is measured. The answer is a list of `[status,
seconds]`, from the first byte that was sent to the first that came back.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from typing import Any

from server_clients import PHOTOS, multipart

Refused = tuple[int, float]


class Raw:
    """A connection that is opened again where the server closes it.

    Args:
        port: of the server.
        request: sent each time, head and body.
    """

    def __init__(self, port: int, request: bytes) -> None:
        self._address, self._request = ("127.0.0.1", port), request
        self._socket = socket.create_connection(self._address)

    def send(self) -> Refused:
        """Send the request, read all of the answer."""
        began = time.perf_counter()
        self._socket.sendall(self._request)
        came = self._socket.recv(65536)
        seconds = time.perf_counter() - began
        while b"\r\n\r\n" not in came:
            came += self._more()
        head, _, body = came.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        assert length is not None, head
        while len(body) < int(length[1]):
            body += self._more()
        if b"\r\nconnection: close" in head.lower():
            self._socket.close()
            self._socket = socket.create_connection(self._address)
        return int(head.split(b" ", 2)[1]), seconds

    def _more(self) -> bytes:
        came = self._socket.recv(65536)
        assert came, "the connection ended within an answer"
        return came


def refused(task: dict[str, Any]) -> list[Refused]:
    """Send requests for so many `seconds`, from so many `sockets`, each at its `pace`."""
    body, headers = multipart({}, PHOTOS[0].read_bytes())
    head = f"POST {task['path']} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = head.encode() + b"\r\n" + body
    found: list[Refused] = []
    until = time.perf_counter() + task["seconds"]

    def run(number: int) -> None:
        raw = Raw(task["port"], request)
        following = time.perf_counter() + task["pace"] * number / task["sockets"]
        while following < until:
            time.sleep(max(0.0, following - time.perf_counter()))
            found.append(raw.send())
            following = max(following + task["pace"], time.perf_counter())

    threads = [threading.Thread(target=run, args=(n,)) for n in range(task["sockets"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


if __name__ == "__main__":
    json.dump(refused(json.load(sys.stdin)), sys.stdout)
