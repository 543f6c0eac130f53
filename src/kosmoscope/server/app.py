"""The server's routes, put together."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from kosmoscope._version import __version__
from kosmoscope.errors import KosmoscopeError
from kosmoscope.server import (
    exporting,
    labelstudio,
    native,
    ollama,
    openai,
    photoprism,
    searching,
    website,
)
from kosmoscope.server.desk import Desk, GoneError
from kosmoscope.server.door import Door
from kosmoscope.server.failures import RefusedError, error_response, refusal
from kosmoscope.server.schema import COMPONENTS


def application(desk: Desk) -> ASGIApp:
    """Return the ASGI application of a desk."""
    # The pages that show the document load their scripts from elsewhere: left out.
    app = FastAPI(
        title="kosmoscope", version=__version__, docs_url=None, redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            KosmoscopeError: _failed, RefusedError: _failed, Exception: _failed,
            HTTPException: _missed, GoneError: _left,
        },
    )  # fmt: skip
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]

    # Last, as their paths begin with it: PhotoPrism's before ours.
    for group in (openai, ollama, labelstudio, photoprism, native, exporting, searching):
        app.include_router(group.routes(desk))
    app.include_router(website.routes())

    @app.get("/health", tags=["server"])
    @app.get("/v1/health", include_in_schema=False)
    async def health() -> Response:
        scope = desk.worker.model()  # says why not, if it is not ready
        return JSONResponse({"status": "ok", **labelstudio.UP, "model_version": scope.model})

    @app.get("/metrics", tags=["server"])
    async def metrics() -> Response:
        return Response(desk.metrics.text(), media_type="text/plain; version=0.0.4")

    inner: ASGIApp = app
    if desk.settings.cors:
        inner = CORSMiddleware(
            app, allow_origins=desk.settings.cors, allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )  # fmt: skip
    return Door(inner, desk, frozenset(_document(app)["paths"]))


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        document.setdefault("components", {}).setdefault("schemas", {}).update(COMPONENTS)
        app.openapi_schema = document
    return app.openapi_schema


async def _failed(request: Request, error: Exception) -> Response:
    return error_response(request.scope["path"], refusal(error))


async def _missed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {404: "no such address here", 405: "not a method of this address"}
    message = words.get(error.status_code, str(error.detail))
    return error_response(
        request.scope["path"], RefusedError(error.status_code, message, error.headers)
    )


async def _left(_: Request, __: Exception) -> Response:
    return Response(status_code=499)
