"""What every request passes: whose it is, whether there is room, and a line in the log.

Plain ASGI, so that a stream passes through untouched and a client that leaves is seen at once.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import re
import sys
import time
import uuid
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kosmoscope.server.desk import Desk
from kosmoscope.server.failures import RefusedError, error_response
from kosmoscope.server.settings import Settings
from kosmoscope.server.unread import Lingering, goes_on
from kosmoscope.server.worker import TOO_MANY

access = logging.getLogger("kosmoscope.access")
_OPEN = re.compile(r"(/v1)?/health$")
"""Asked by whatever keeps the server alive, without a token."""
_PAGE = re.compile(r"/$|/page/[^/]+$")
"""The same for everybody; it asks its visitor for the token."""
_RUNS_MODEL = re.compile(r"/api/v1/|/v1/chat/completions$|/api/(generate|chat)$|/predict$")
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class Door:
    """The outermost layer.

    Args:
        app: what is behind it.
        desk: of the server.
        routes: addresses that are counted by their names.
    """

    def __init__(self, app: ASGIApp, desk: Desk, routes: frozenset[str]) -> None:
        self._app, self._desk, self._routes = app, desk, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        ends = Lingering(receive, send, self._desk.settings.max_body_mb * 2**20)
        request = Request(scope, ends.receive)
        id = uuid.uuid4().hex[:16]
        status, size = 499, 0  # nobody was there to be answered

        async def noted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", id.encode())]
                message = {**message, "headers": headers}
                if status == TOO_MANY:
                    self._desk.metrics.refusals.observe(time.perf_counter() - began)
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await ends.send(message)

        admitted = False
        try:
            check(request, self._desk.settings)
            if request.method == "POST" and _RUNS_MODEL.match(request.scope["path"]):
                self._desk.worker.admit()
                admitted = True
            await self._app(scope, ends.receive, noted)
        except RefusedError as e:
            if not goes_on(request.headers):
                e.headers["Connection"] = "close"
            await error_response(request.scope["path"], e)(scope, ends.receive, noted)
        finally:
            if admitted:
                self._desk.worker.release()
            path = request.scope["path"]
            route = path if path in self._routes else getattr(scope.get("route"), "path", "")
            self._desk.metrics.requests.labels(route, str(status)).inc()
            self._log(request, id, status, size, time.perf_counter() - began)

    def _log(self, request: Request, id: str, status: int, size: int, spent: float) -> None:
        line = {
            "time": round(time.time(), 3), "id": id,
            "client": request.client.host if request.client else None,
            "method": request.method, "path": request.scope["path"], "status": status,
            "bytes": size, "ms": round(spent * 1000, 1),
        }  # fmt: skip
        access.info(json.dumps(line))


def check(request: Request, settings: Settings) -> None:
    """Refuse who has no token, and pages that a browser shows from somewhere else.

    Without a token the only wall is that nobody else reaches a loopback address, and a browser on
    this machine does: by another name for it (DNS rebinding), or by a form of another page.

    Raises:
        RefusedError: 401 or 403.
    """
    if _OPEN.match(request.scope["path"]):
        return
    origin = request.headers.get("origin")
    foreign = origin is not None and origin not in settings.cors and not _same(request, origin)
    if foreign and not (request.method == "OPTIONS" and settings.cors):
        raise RefusedError(
            403, "a page of another origin; start the server with --cors to allow it"
        )
    if settings.token is None:
        if _host(request) not in (*_LOCAL_NAMES, settings.host):
            raise RefusedError(403, "a name that is not this machine's; call it localhost")
        return
    if request.method in ("GET", "HEAD") and _PAGE.match(request.scope["path"]):
        return
    if request.method == "OPTIONS" and settings.cors:
        return  # browsers ask without a token whether they may send one
    given = _token(request.headers.get("authorization", ""))
    if not hmac.compare_digest(given.encode(), settings.token.encode()):
        raise RefusedError(
            401, "no token, or a wrong one; expected Authorization: Bearer TOKEN",
            {"WWW-Authenticate": "Bearer"},
        )  # fmt: skip


def _token(authorization: str) -> str:
    """Return what a client brings: a bearer's token, or any user's password (Label Studio)."""
    scheme, _, given = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return given.strip()
        case "basic":
            try:
                user = base64.b64decode(given.strip(), validate=True).decode()
            except ValueError:
                return ""
            return user.partition(":")[2]
    return ""


def _host(request: Request) -> str | None:
    """Return the name that the server was called by; None where that is none."""
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        return None


def _same(request: Request, origin: str) -> bool:
    return origin == f"{request.scope['scheme']}://{request.headers.get('host', '')}"


def log_to_stderr() -> None:
    """Write the access log, and what goes wrong, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("kosmoscope.access", "kosmoscope.server", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO if name == "kosmoscope.access" else logging.WARNING)
