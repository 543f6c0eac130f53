"""What of Label Studio a backend meets: its pictures, behind its ways to ask who is there."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote

from made_site import Quiet, listening

KEY = "0123456789abcdef"


def web_token(**claims: Any) -> str:
    """A JSON web token, unsigned."""
    parts = [{"alg": "none"}, claims]
    coded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*coded, "x"])


LATER = 4_102_444_800
"""A time that no test sees, in seconds since 1970: the year 2100."""
PERSONAL = web_token(token_type="refresh", exp=LATER)


class LabelStudioSite:
    """Serves files to whoever has its key.

    Args:
        files: by path, unescaped; a text redirects there, a number is a status.
    """

    def __init__(self, files: Mapping[str, bytes | str | int]) -> None:
        self.files = dict(files)
        self.asked: list[tuple[str, str | None, str | None]] = []
        """Path, Authorization and Accept of each request."""
        self.exchanged = 0
        self.access_ends = LATER
        """Of an access token."""
        self.access = ""
        self.url = ""

    @classmethod
    @contextmanager
    def running(cls, files: Mapping[str, bytes | str | int]) -> Iterator[LabelStudioSite]:
        site = cls(files)

        class Handler(Quiet, BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def do_POST(self) -> None:
                site.exchange(self)

        with listening(Handler) as site.url:
            yield site

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        given = handler.headers["Authorization"]
        self.asked.append((handler.path, given, handler.headers["Accept"]))
        known = {f"Token {KEY}", *([f"Bearer {self.access}"] if self.access else [])}
        if given not in known:
            self._send(handler, 401, b"")
            return
        found = self.files.get(unquote(handler.path), 404)
        match found:
            case int():
                self._send(handler, found, b"")
            case str():
                self._send(handler, 302, b"", Location=found)
            case bytes():
                self._send(handler, 200, found)

    def exchange(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        right = (handler.path, body) == ("/api/token/refresh/", {"refresh": PERSONAL})
        if not right or handler.headers["Authorization"]:
            self._send(handler, 401, b"{}")
            return
        self.exchanged += 1
        self.access = web_token(token_type="access", exp=self.access_ends)
        self._send(handler, 200, json.dumps({"access": self.access}).encode())

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
