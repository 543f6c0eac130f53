"""Answers that come before the body: who is listened to further, and who is told to stop."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from server_process import Held, Server, admitted, inside, metric, serving

DESCRIBE = "/api/v1/describe"


@pytest.fixture(scope="module")
def full() -> Iterator[Server]:
    """A server whose only place is taken."""
    with serving("--texts", "1", "--queue", "0", "--max-body-mb", "4") as server:
        held = Held(server, {})
        admitted(server, 1)
        yield server
        held.connection.close()


def head(server: Server, *headers: str) -> bytes:
    lines = [f"POST {DESCRIBE} HTTP/1.1", f"Host: 127.0.0.1:{server.port}",
             "Content-Type: application/json", *headers]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode()


def answered(connection: socket.socket) -> tuple[int, http.client.HTTPMessage]:
    """Read an answer, and no byte behind it."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    found = json.loads(answer.read())
    assert found["error"]["code"] == answer.status
    return answer.status, answer.headers


def test_a_refusal_does_not_wait_for_the_body(full: Server) -> None:
    with socket.create_connection(("127.0.0.1", full.port)) as connection:
        connection.sendall(head(full, "Content-Length: 1000"))
        status, headers = answered(connection)
        assert (status, headers["connection"]) == (429, None)
        # The connection goes on, behind a body that nobody wanted.
        connection.sendall(bytes(1000) + head(full, "Content-Length: 2"))
        assert answered(connection)[0] == 429


@pytest.mark.parametrize(
    "header", ["Content-Length: 2000000", "Transfer-Encoding: chunked", "Content-Length: 99999999"]
)
def test_who_has_much_to_send_is_told_to_stop_and_gets_the_answer(
    full: Server, header: str
) -> None:
    with socket.create_connection(("127.0.0.1", full.port)) as connection:
        connection.sendall(head(full, header))
        # A part of the body is on its way: a server that hung up now would reset the connection.
        connection.sendall(b"f4240\r\n" + bytes(1_000_000))
        status, headers = answered(connection)
        assert (status, headers["connection"]) == (429, "close")
        assert int(headers["retry-after"]) >= 1
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_who_does_not_stop_is_hung_up_on(full: Server) -> None:
    with socket.create_connection(("127.0.0.1", full.port)) as connection:
        connection.sendall(head(full, f"Content-Length: {2**40}"))
        with pytest.raises(OSError):
            connection.sendall(bytes(2**26))  # more than it reads, and than sockets hold


def test_who_waits_to_be_asked_for_the_body_is_not(full: Server) -> None:
    with socket.create_connection(("127.0.0.1", full.port)) as connection:
        connection.sendall(head(full, "Content-Length: 9", "Expect: 100-continue"))
        status, headers = answered(connection)  # not "100 Continue"
        assert (status, headers["connection"]) == (429, "close")


def test_too_large_a_body_is_told_so_while_it_is_sent() -> None:
    with inside(max_body_mb=1) as (_, url):
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            lines = f"POST {DESCRIBE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
            connection.sendall(f"{lines}\r\nContent-Length: {2**23}\r\n\r\n".encode())
            connection.sendall(bytes(2**19))
            status, headers = answered(connection)
            assert (status, headers["connection"]) == (413, "close")


def test_refusals_and_the_loop_are_watched(full: Server) -> None:
    with full.client() as client:
        before = full.metric("kosmoscope_refusal_seconds_count")
        assert client.post(DESCRIBE, content=b"{}").status_code == 429
        text = client.get("/metrics").text
        assert metric(text, "kosmoscope_refusal_seconds_count") == before + 1
        assert metric(text, "kosmoscope_loop_lag_seconds_count") > 0
        assert metric(text, 'kosmoscope_loop_lag_seconds_bucket{le="+Inf"}') > 0
