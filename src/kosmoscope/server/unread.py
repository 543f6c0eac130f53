"""Requests that have their answer before their body has come: what becomes of the rest of it.

A server may read on or hang up, and should say which (RFC 9110, 10.1.1; RFC 9112, 9.3). A short
body is read and dropped, so that the connection can be used again. Of a long one the client is
told that the connection closes, and can stop sending; but a socket that is closed while bytes lie
in it unread resets the connection, which can take the answer away from a client that still sends.
So it is read on for a moment, until the client has hung up (RFC 9112, 9.6).
"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Send

SHORT = 2**20
"""Bytes of a body that is not worth a connection."""
LINGER_S = 2.0
"""How long a client that was told to stop is listened to."""


def goes_on(headers: Headers) -> bool:
    """Whether the connection of a request goes on, though its body is not wanted."""
    if "transfer-encoding" in headers or "expect" in headers:
        return False  # of any length; it waits to be asked for its body, and will not be
    length = headers.get("content-length", "0")
    return length.isdecimal() and int(length) <= SHORT


class Lingering:
    """The two ends of a request; where its answer closes the connection, the rest is read first.

    Args:
        receive, send: the server's.
        limit: bytes to read on for.
    """

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive, self._send, self._limit = receive, send, limit
        self._came = False
        """All of the body."""
        self._closes = False

    async def receive(self) -> Message:
        """Return what comes next."""
        message = await self._receive()
        self._came |= not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.start":
            self._closes = (b"connection", b"close") in message.get("headers", ())
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not last or not self._closes or self._came:
            await self._send(message)
            return
        # With its length known, the client has all of the answer now.
        await self._send({**message, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                left = self._limit
                while not self._came and left > 0:
                    left -= len((await self.receive()).get("body", b""))
        await self._send({"type": "http.response.body"})
