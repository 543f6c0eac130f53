"""Pictures from addresses: off unless asked for, and then from the public internet alone."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest

from kosmoscope.server import fetching
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.fetching import Fetcher, is_public
from made_site import Quiet, listening
from server_process import PHOTOS, inside, pocket

CHINA = (PHOTOS / "china.jpg").read_bytes()


def here(address: str) -> bool:
    """Lets tests fetch from this machine."""
    return address == "127.0.0.1"


@contextmanager
def site(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server on this machine; yields its address."""

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

    with listening(Handler) as address:
        yield address


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def refused(fetcher: Fetcher, url: str, status: int = 422) -> str:
    with pytest.raises(RefusedError) as caught:
        fetcher.fetch(url)
    assert caught.value.status == status
    message = caught.value.message
    assert message.isprintable()
    assert "127.0.0.1" not in message
    assert "Errno" not in message
    return message


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.0.1",
        "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255",
        "240.0.0.1", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "2001::1", "2001:db8::1", "nonsense", "",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1",
     "[::ffff:127.0.0.1]", "0", "169.254.169.254"],
)  # fmt: skip
def test_every_way_to_write_this_machine_is_refused(host: str) -> None:
    with site(lambda h: reply(h, 200, CHINA)) as url:
        port = url.rpartition(":")[2]
        refused(Fetcher(10**7), f"http://{host}:{port}/a.jpg")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://8.8.8.8/a", "http://", "gopher://x", "http://user@8.8.8.8/",
            "http://8.8.8.8:99999/", "http://[::1", "http:///a"],
)  # fmt: skip
def test_what_is_no_address_of_a_picture(url: str) -> None:
    refused(Fetcher(10**7), url)


def test_a_picture_is_fetched_from_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosts: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        hosts.append(handler.headers["Host"])
        reply(handler, 200, CHINA)

    lookups: list[str] = []
    resolve = socket.getaddrinfo

    def rebinding(host: str, port: int, **options: Any) -> Any:
        lookups.append(host)
        assert len(lookups) == 1, "asked once; a second answer could be another"
        return resolve("127.0.0.1", port, **options)

    with site(answer) as url:
        port = url.rpartition(":")[2]
        monkeypatch.setattr(fetching.socket, "getaddrinfo", rebinding)
        data = Fetcher(10**7, allowed=here).fetch(f"http://photos.example:{port}/a.jpg?b=c")
        monkeypatch.undo()
    assert data == CHINA
    assert hosts == [f"photos.example:{port}"]


def test_one_address_of_several_that_is_not_public_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = [(2, 1, 6, "", ("8.8.8.8", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]
    monkeypatch.setattr(fetching.socket, "getaddrinfo", lambda *_, **__: both)
    assert "not a public one" in refused(Fetcher(10**7), "http://both.example/")


def test_redirects(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        kind, _, rest = handler.path[1:].partition("/")
        match kind:
            case "times":
                left = int(rest)
                target = f"/times/{left - 1}" if left else "/picture"
                reply(handler, 302, b"", Location=target)
            case "to":
                reply(handler, 307, b"", Location=rest)
            case "nowhere":
                reply(handler, 301, b"")
            case _:
                reply(handler, 200, CHINA)

    with site(answer) as url:
        fetcher = Fetcher(10**7, allowed=here)
        assert fetcher.fetch(f"{url}/times/4") == CHINA
        assert "more than 5" in refused(fetcher, f"{url}/times/5")
        for inner in ("http://10.0.0.1/", "file:///etc/passwd", "http://[::1]/", "http://2/"):
            refused(fetcher, f"{url}/to/{inner}")
        refused(fetcher, f"{url}/nowhere")


def test_bodies_are_bounded() -> None:
    stop = threading.Event()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        match handler.path:
            case "/endless":
                handler.send_response(200)
                handler.end_headers()
                try:
                    while not stop.is_set():
                        handler.wfile.write(bytes(2**16))
                except OSError:
                    pass
            case "/slow":
                handler.send_response(200)
                handler.end_headers()
                stop.wait(120)
            case "/drip":  # headers without end, each in time
                handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
                try:
                    while not stop.wait(0.02):
                        handler.wfile.write(b"A: b\r\n" if stop.is_set() else b"A")
                except OSError:
                    pass
            case "/gzip":
                reply(handler, 200, b"\x1f\x8b", Content_Encoding="gzip")
            case "/short":
                handler.send_response(200)
                handler.send_header("Content-Length", "1000")
                handler.end_headers()
                handler.wfile.write(b"few")
            case _:
                reply(handler, 404, b"a secret page")

    with site(answer) as url:
        try:
            assert "more than 100000 bytes" in refused(
                Fetcher(100_000, allowed=here), f"{url}/endless", 413
            )
            hasty = Fetcher(10**7, seconds=0.3, allowed=here)
            refused(hasty, f"{url}/slow")
            refused(hasty, f"{url}/drip")
            fetcher = Fetcher(10**7, allowed=here)
            assert "compressed" in refused(fetcher, f"{url}/gzip")
            refused(fetcher, f"{url}/short")
            assert "secret" not in refused(fetcher, f"{url}/nothing")
        finally:
            stop.set()


def test_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    with site(lambda h: reply(h, 200, CHINA)) as url:
        with inside(allow_urls=True) as (desk, api):
            ask = f"{api}/api/v1/describe"
            answer = httpx.post(ask, json={"image": f"{url}/a.jpg"}, timeout=120)
            assert answer.status_code == 422
            assert "not a public one" in answer.json()["error"]["message"]
            desk.fetcher = Fetcher(10**7, allowed=here)
            answer = httpx.post(ask, json={"image": f"{url}/a.jpg"}, timeout=120)
            assert answer.json()["caption"] == pocket().describe(CHINA).caption
        with inside() as (_, api):
            ask = f"{api}/api/v1/describe"
            answer = httpx.post(ask, json={"image": f"{url}/a.jpg"}, timeout=120)
            assert "not fetched" in answer.json()["error"]["message"]
