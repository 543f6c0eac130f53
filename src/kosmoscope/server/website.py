"""The web page at `/`: files of this package and, for the stage, of the gallery's."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from kosmoscope.gallery.html import SHARED, shared
from kosmoscope.server.labelstudio import UP

OWN = (
    "index.html", "page.css", "answers.css", "search.css", "icon.svg",
    "main.js", "api.js", "asking.js", "result.js", "session.js", "view.js", "answers.js",
    "labels.js", "boxing.js", "intake.js", "saving.js", "search.js", "hits.js",
    "dogs.jpg", "mountain.jpg",
)  # fmt: skip
_TYPES = {
    "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml", "jpg": "image/jpeg",
}  # fmt: skip
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Asked each time, answered with 304: a new version of the package is seen at once.
    "Cache-Control": "no-cache",
}


def routes() -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def root(request: Request) -> Response:
        # A browser gets the page; a program that looks whether somebody is there, a word, in JSON
        # if it wants that: so do Label Studio's backends.
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"status": "UP", **UP}, headers={"Vary": "Accept"})
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse("kosmoscope is running", headers={"Vary": "Accept"})
        return _answer(request, "index.html", {"Vary": "Accept"})

    @router.api_route("/page/{name}", methods=["GET", "HEAD"])
    async def file(request: Request, name: str) -> Response:
        if name not in OWN and name not in SHARED:
            raise HTTPException(404)
        return _answer(request, name, {})

    return router


def _answer(request: Request, name: str, more: dict[str, str]) -> Response:
    data, tag = _file(name)
    headers = {**_HEADERS, **more, "ETag": tag}
    known = request.headers.get("if-none-match", "").split(",")
    if {tag, "*"} & {one.strip().removeprefix("W/") for one in known}:
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=_TYPES[name.rpartition(".")[2]])


@cache
def _file(name: str) -> tuple[bytes, str]:
    """Return a file and its tag."""
    if name in SHARED:
        data = shared(name)
    else:
        data = (files("kosmoscope.server") / "page" / name).read_bytes()
    return data, f'"{hashlib.sha256(data).hexdigest()[:32]}"'
