"""Pictures from public addresses, fetched so that nobody gets at what is not public.

A name is resolved once, every address of it is checked, and the connection goes to a checked
address: what the name says later does not matter. Each redirect is a new address to check.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from kosmoscope._version import __version__
from kosmoscope.server.failures import RefusedError

MOST_REDIRECTS = 5
_TRANSLATED = [
    ipaddress.ip_network(net)
    for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96")
]
"""IPv6 addresses that stand for IPv4 ones, which some gateway would go to."""


def is_public(address: str) -> bool:
    """Say whether an IP address belongs to the public internet."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None or any(ip in net for net in _TRANSLATED):
            return False
        if ip.is_site_local:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def is_origin(url: str) -> bool:
    """Say whether a text is the address of a server: http or https, with a host and no more."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    plain = not (parts.username or parts.password or parts.query or parts.fragment)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and plain


class AnswerError(RefusedError):
    """Somebody else's server answered, and not with a file.

    Args:
        answer: its status.
    """

    def __init__(self, answer: int) -> None:
        super().__init__(422, "the picture's address has no picture")
        self.answer = answer


class Fetcher:
    """Fetches files within bounds.

    Args:
        max_bytes: of a file.
        seconds: for all of it, redirects included.
        allowed: which IP addresses may be asked.
    """

    def __init__(
        self, max_bytes: int, seconds: float = 20.0, allowed: Callable[[str], bool] = is_public
    ) -> None:
        self._max_bytes, self.seconds, self._allowed = max_bytes, seconds, allowed

    def fetch(self, url: str) -> bytes:
        """Return the file at an address.

        Raises:
            RefusedError: it is not public, or could not be had; says nothing of what is inside.
        """
        end = time.monotonic() + self.seconds
        for _ in range(MOST_REDIRECTS + 1):
            try:
                found = self.once(url, end)
            except (OSError, http.client.HTTPException, ValueError):
                raise RefusedError(422, "the picture's address could not be fetched") from None
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
        raise RefusedError(422, f"the picture's address redirects more than {MOST_REDIRECTS} times")

    def may_ask(self, parts: SplitResult, ip: str) -> bool:  # noqa: ARG002
        """Say whether a host may be asked at this IP address of it."""
        return self._allowed(ip)

    def headers(self, parts: SplitResult) -> dict[str, str]:  # noqa: ARG002
        """Return what a host is told beside the usual."""
        return {}

    def once(self, url: str, end: float, body: bytes | None = None) -> bytes | str:
        """Return the file, or where it is said to be instead.

        Args:
            url: of it.
            end: when it must be there, by `time.monotonic`.
            body: JSON to post there; None gets.

        Raises:
            OSError, HTTPException, ValueError: it could not be had.
            RefusedError: as `fetch`.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise RefusedError(422, "expected an http or https address of a picture")
        connection = self._connect(parts, end)
        # A server that sends a byte now and then would pass every time-out of a single read.
        watch = threading.Timer(_left(end), _cut, [connection.sock])
        watch.start()
        try:
            path = parts.path or "/"
            connection.request(
                "GET" if body is None else "POST",
                f"{path}?{parts.query}" if parts.query else path,
                body,
                {
                    "User-Agent": f"kosmoscope/{__version__}",
                    "Accept": "image/*",
                    "Accept-Encoding": "identity",
                    **({} if body is None else {"Content-Type": "application/json"}),
                    **self.headers(parts),
                },
            )
            with connection.getresponse() as answer:
                if answer.status in (301, 302, 303, 307, 308):
                    return answer.headers.get("Location") or ""
                if answer.status != 200:
                    raise AnswerError(answer.status)
                if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
                    raise RefusedError(422, "the picture's address sends a compressed body")
                return self._body(answer, end)
        finally:
            watch.cancel()
            connection.close()

    def _connect(self, parts: SplitResult, end: float) -> http.client.HTTPConnection:
        """Connect to an address of the host that was checked; the name is not asked for again."""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        assert parts.hostname is not None
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        if not found or not all(self.may_ask(parts, str(address[0])) for *_, address in found):
            raise RefusedError(422, "the picture's address is not a public one")
        connected = _first(found, end)
        if parts.scheme == "https":
            try:
                context = ssl.create_default_context()
                connected = context.wrap_socket(connected, server_hostname=parts.hostname)
            except BaseException:
                connected.close()
                raise
        connection = http.client.HTTPConnection(parts.hostname, port)
        connection.sock = connected
        return connection

    def _body(self, answer: http.client.HTTPResponse, end: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        while part := answer.read1(2**16):
            size += len(part)
            if size > self._max_bytes:
                raise RefusedError(413, f"the picture has more than {self._max_bytes} bytes")
            parts.append(part)
        _left(end)  # else it may have been cut
        if answer.length:  # what was promised and did not come
            raise OSError
        return b"".join(parts)


def _first(addresses: list[Any], end: float) -> socket.socket:
    """Connect to the first address that takes the call."""
    refused: OSError = OSError("no address")
    for family, kind, protocol, _, address in addresses:
        connected = socket.socket(family, kind, protocol)
        try:
            connected.settimeout(_left(end))
            connected.connect(address)
        except OSError as e:
            connected.close()
            refused = e
        except BaseException:
            connected.close()
            raise
        else:
            return connected
    raise refused


def _cut(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _left(end: float) -> float:
    """Return how many seconds are left. Raises `TimeoutError` where there are none."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
