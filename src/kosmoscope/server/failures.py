"""From an error to a status and one JSON shape: the only place that maps them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from kosmoscope import errors
from kosmoscope.files.text import one_line

STATUSES: dict[type[Exception], int] = {
    errors.EmptyImageError: 400,
    errors.UnsupportedImageError: 415,
    errors.ImageError: 422,
    errors.InputError: 422,
    errors.ModelNotFoundError: 404,
    errors.ModelError: 503,
    errors.KosmoscopeError: 501,  # a library that is not installed
}
_KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 405: "invalid_request_error", 408: "timeout_error",
    413: "too_large_error", 415: "unsupported_error", 422: "invalid_request_error",
    429: "rate_limit_error", 501: "not_installed_error", 503: "unavailable_error",
    504: "timeout_error",
}  # fmt: skip
_INSTALL = re.compile(r"(; install it with: | and cannot be loaded \().*")
"""What whoever runs the server may do; it names places on the machine."""
_OLLAMA = re.compile(r"/api/(generate|chat|tags|version|show)$")
_VISION = re.compile(r"/api/v1/vision/")
_LABEL_STUDIO = re.compile(r"/(predict|setup|webhook)$")


class RefusedError(Exception):
    """A request that is not answered as it wished.

    Args:
        status: of HTTP.
        message: one line: what is wrong, and what would be right.
        headers: more of the answer's.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, dict(headers or {})


def refusal(error: Exception) -> RefusedError:
    """Return what to answer; of an error that nobody raised on purpose, nothing is told."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, MemoryError):
        return RefusedError(
            503, "out of memory; try a smaller picture, or later", {"Retry-After": "5"}
        )
    for kind, status in STATUSES.items():
        if isinstance(error, kind):
            return RefusedError(status, _INSTALL.sub("", one_line(str(error))))
    return RefusedError(500, "internal error; the server's log has more")


def error_body(path: str, error: RefusedError) -> dict[str, Any]:
    """Return the JSON that the protocol of a path has for an error."""
    if _OLLAMA.search(path):
        return {"error": error.message}
    if _VISION.search(path):
        return {"id": "", "code": error.status, "error": error.message}
    if _LABEL_STUDIO.match(path):
        return {"status": error.status, "detail": error.message}
    kind = _KINDS.get(error.status, "internal_error")
    return {"error": {"code": error.status, "type": kind, "message": error.message}}


def error_response(path: str, error: RefusedError) -> Response:
    """Return the answer to a request that failed."""
    text = json.dumps(error_body(path, error))
    return Response(text, error.status, error.headers, media_type="application/json")
