"""Answers that come piece by piece; closing the connection stops the model."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from starlette.responses import StreamingResponse

from kosmoscope.server.failures import RefusedError, error_body, refusal

PING_S = 15.0
"""Something is sent as often, for proxies and clients that hang up on silence."""
_NO_STORE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def sse(data: Any, event: str | None = None) -> str:
    """Return a server-sent event; `data` is JSON or a text of one line."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {event}\n" if event else "") + f"data: {text}\n\n"


def ndjson(data: Any) -> str:
    """Return a line of newline-delimited JSON."""
    return json.dumps(data) + "\n"


def event_stream(path: str, pieces: AsyncGenerator[str, None]) -> StreamingResponse:
    """Return a stream of server-sent events, with a comment now and then while there are none."""

    def failed(error: RefusedError) -> str:
        named = None if path.startswith("/v1/") else "error"
        return sse(error_body(path, error), named)

    return StreamingResponse(
        _pinged(_ending(pieces, failed)), media_type="text/event-stream", headers=_NO_STORE
    )


def line_stream(path: str, pieces: AsyncGenerator[str, None]) -> StreamingResponse:
    """Return a stream of JSON lines."""

    def failed(error: RefusedError) -> str:
        return ndjson(error_body(path, error))

    return StreamingResponse(
        _ending(pieces, failed), media_type="application/x-ndjson", headers=_NO_STORE
    )


async def _ending(pieces: AsyncGenerator[str, None], failed: Any) -> AsyncGenerator[str, None]:
    """Yield the pieces; what goes wrong in their midst is the last one."""
    async with contextlib.aclosing(pieces):
        try:
            async for piece in pieces:
                yield piece
        except Exception as e:  # noqa: BLE001 (the status is sent already)
            yield failed(refusal(e))


async def _pinged(pieces: AsyncGenerator[str, None]) -> AsyncIterator[str]:
    async with contextlib.aclosing(pieces):
        following: asyncio.Future[str] | None = None
        try:
            while True:
                following = following or asyncio.ensure_future(anext(pieces))
                await asyncio.wait({following}, timeout=PING_S)
                if not following.done():
                    yield ": still here\n\n"
                    continue
                done, following = following, None
                try:
                    piece = done.result()
                except StopAsyncIteration:
                    return
                yield piece
        finally:
            if following is not None:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
