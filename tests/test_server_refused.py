"""Bad requests: each gets its status and one JSON shape, over a real connection."""

from __future__ import annotations

import base64
import http.client
import io
import json
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import pictures
from server_process import PHOTOS, Server, inside

CHINA = (PHOTOS / "china.jpg").read_bytes()
B64 = base64.b64encode(CHINA).decode()
DESCRIBE = "/api/v1/describe"
KINDS = {
    400: "invalid_request_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "too_large_error",
    415: "unsupported_error",
    422: "invalid_request_error",
}


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


def refused(answer: httpx.Response, status: int) -> str:
    """Check status and form; return the message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    error = answer.json()["error"]
    assert error.keys() == {"code", "type", "message"}
    assert (error["code"], error["type"]) == (status, KINDS[status])
    message = str(error["message"])
    assert message.isprintable()
    assert "Traceback" not in message
    assert "/work" not in message
    return message


def png(**options: Any) -> bytes:
    return pictures.png(2, 2, b"\0" + bytes(6) + b"\0" + bytes(6), **options)


def jpeg(width: int = 64, height: int = 48) -> bytes:
    return pictures.encode(pictures.noise(width, height), "JPEG")


def huge_png() -> bytes:
    """Ten thousand pixels each way, in a few kilobytes."""
    return pictures.png(10_000, 10_000, b"")


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


UNSUPPORTED = {
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "PDF": b"%PDF-1.7\n",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "PSD": b"8BPS\0\1" + bytes(40),
    "FITS": b"SIMPLE  =                    T",
    "video": pictures.media(b"isom", b"mp42"),
    "HTML named .jpg": b"<!DOCTYPE html><html><body></body></html>",
}


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_kinds_that_are_not_read(client: httpx.Client, kind: str) -> None:
    data = UNSUPPORTED[kind]
    answer = client.post(DESCRIBE, files={"image": ("photo.jpg", data, "image/jpeg")})
    assert "expected JPEG, PNG" in refused(answer, 415)
    encoded = base64.b64encode(data).decode()
    refused(client.post(DESCRIBE, json={"image": encoded}), 415)


def test_heic_without_its_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    with inside() as (_, url):
        data = pictures.media(b"heic", b"mif1")
        message = refused(httpx.post(f"{url}{DESCRIBE}", files={"image": data}), 415)
        assert message.endswith("its plug-in pi_heif is not installed")


DAMAGED = {
    "truncated": lambda: cut(pictures.encode(pictures.noise(64, 48), "PNG")),
    "bad CRC": lambda: png(before=pictures.chunk(b"gAMA", bytes(4), crc=1)),
    "zero width": lambda: pictures.png(0, 5, b""),
    "header-only bomb": lambda: pictures.png(60_000, 60_000, b""),
    "more than the pixel limit": huge_png,
    "text-chunk bomb": pictures.text_bomb,
    "IFD loop": pictures.looping_tiff,
    "WebP bomb": lambda: pictures.webp_bomb(16000, 16000),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_pictures(client: httpx.Client, kind: str) -> None:
    refused(client.post(DESCRIBE, files={"image": DAMAGED[kind]()}), 422)


def test_zero_bytes(client: httpx.Client) -> None:
    assert "0 bytes" in refused(client.post(DESCRIBE, files={"image": b""}), 400)
    assert "0 bytes" in refused(client.post(DESCRIBE, json={"image": ""}), 400)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"nothing", b"[" * 100_000, b'{"a":}'])
def test_malformed_json(client: httpx.Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert "not JSON" in refused(client.post(DESCRIBE, content=body, headers=headers), 400)
    refused(client.post("/v1/chat/completions", content=body), 400)


@pytest.mark.parametrize("body", ["[]", "3", '"text"', "null"])
def test_json_that_is_no_object(client: httpx.Client, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    refused(client.post(DESCRIBE, content=body, headers=headers), 422)


@pytest.mark.parametrize("text", ["%%%", "a", "data:image/png,plain", "ä" * 20, "====", "ab=c"])
def test_malformed_base64(client: httpx.Client, text: str) -> None:
    message = refused(client.post(DESCRIBE, json={"image": text}), 400)
    assert "base64" in message or "0 bytes" in message


FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x--\r\n"),
        (FORM, b"nothing"),
        (FORM, b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nbroken off'),
        (FORM, b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n"),
        (FORM, b"--x\r\nNo header\r\n\r\n1\r\n--x--\r\n"),
        (FORM, b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na\r\n' * 2
         + b"--x--\r\n"),
    ],
)  # fmt: skip
def test_malformed_multipart(client: httpx.Client, kind: str, body: bytes) -> None:
    answer = client.post(DESCRIBE, content=body, headers={"Content-Type": kind})
    assert answer.status_code in (400, 422), answer.text
    refused(answer, answer.status_code)
    assert answer.status_code == 400 or body == b"nothing"


def test_nul_in_a_text(client: httpx.Client) -> None:
    assert "NUL" in refused(client.post(DESCRIBE, json={"image": B64, "prompt": "a\0b"}), 400)
    assert "NUL" in refused(client.post(DESCRIBE, files={"image": CHINA}, data={"prompt": "\0"}),
                            400)  # fmt: skip


def test_another_content_type(client: httpx.Client) -> None:
    refused(client.post(DESCRIBE, content=CHINA, headers={"Content-Type": "image/jpeg"}), 415)
    refused(client.post(DESCRIBE, content=CHINA), 415)


def raw(server: Server, headers: dict[str, str], parts: Iterator[bytes]) -> tuple[int, bytes]:
    """Send a body piece by piece; a server that has seen enough may hang up meanwhile."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.putrequest("POST", DESCRIBE)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        for part in parts:
            connection.send(part)
    except OSError:
        pass
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_too_large_with_and_without_a_length(server: Server) -> None:
    kind = {"Content-Type": "application/json"}
    status, body = raw(server, {**kind, "Content-Length": str(9 * 2**20)}, iter(()))
    assert (status, json.loads(body)["error"]["code"]) == (413, 413)
    chunk = b"%x\r\n" % 2**20 + bytes(2**20) + b"\r\n"
    status, body = raw(server, {**kind, "Transfer-Encoding": "chunked"}, iter([chunk] * 9))
    assert (status, json.loads(body)["error"]["code"]) == (413, 413)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_compressed_body(client: httpx.Client, coding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": coding}
    refused(client.post(DESCRIBE, content=zlib.compress(b"{}"), headers=headers), 413)


def test_too_many_parts(client: httpx.Client) -> None:
    fields = {f"field{n}": "1" for n in range(60)}
    refused(client.post(DESCRIBE, files={"image": CHINA}, data=fields), 413)
    two = [("image", ("a.jpg", CHINA)), ("image", ("b.jpg", CHINA))]
    refused(client.post(DESCRIBE, files=two), 413)


UNUSABLE: list[tuple[str, dict[str, Any], str]] = [
    ("refer", {"box": "[NaN, 0, 1, 1]"}, "not finite"),
    ("refer", {"box": "[0, 0, Infinity, 1]"}, "not finite"),
    ("refer", {"box": [0, 0, 2, 1]}, "leaves the picture"),
    ("refer", {"box": [-0.1, 0, 1, 1]}, "leaves the picture"),
    ("refer", {"box": [0.6, 0, 0.5, 1]}, "inverted"),
    ("refer", {"box": [0.5, 0, 0.5, 1]}, "empty"),
    ("refer", {"box": []}, "four numbers"),
    ("refer", {"box": "1,2"}, "box"),
    ("refer", {}, "box"),
    ("ask", {"question": "a <phrase> b"}, "markup"),
    ("ask", {"question": "</image>"}, "markup"),
    ("ground", {"phrase": "<patch_index_0001>"}, "markup"),
    ("ground", {"phrase": " "}, "empty"),
    ("ground", {"phrase": ""}, "empty"),
    ("ask", {"question": "word " * 5000}, "the model reads"),
    ("ask", {"question": "word " * 50_000}, "100000 characters"),
    ("ask", {"question": "a [b] [c]", "box": [0, 0, 1, 1]}, "brackets"),
    ("ask", {"question": '"\\ud800"'}, "unicode"),
    ("describe", {"options": {"max_new_tokens": 0}}, "max_new_tokens is 0"),
    ("describe", {"options": {"max_new_tokens": -1}}, "max_new_tokens is -1"),
    ("describe", {"options": "{\"max_new_tokens\": 1e9}"}, "max_new_tokens"),
    ("describe", {"options": {"temperature": "hot"}}, "temperature"),
    ("describe", {"options": {"nothing": 1}}, "unknown option 'nothing'"),
    ("describe", {"options": []}, "options"),
    ("describe", {"nothing": 1}, "nothing"),
    ("describe", {"stream": True, "draw": True}, "draw or stream"),
    ("describe", {"picture_id": "also"}, "one of image and picture_id"),
    ("describe", {"image": "http://example.org/a.jpg"}, "not fetched"),
    ("describe", {"image": "file:///etc/passwd"}, "file: addresses"),
    ("encode", {"prompt": "x"}, "prompt"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "body", "says"), UNUSABLE, ids=str)
def test_values_that_cannot_be_used(
    client: httpx.Client, verb: str, body: dict[str, Any], says: str
) -> None:
    # Strings that are JSON themselves go in as they are: what no JSON library would write.
    raw = {k: v for k, v in body.items() if isinstance(v, str) and v[:1] in '[{"' and v[1:]}
    text = json.dumps({"image": B64, **{k: v for k, v in body.items() if k not in raw}})
    for name, value in raw.items():
        text = f'{text[:-1]}, "{name}": {value}}}'
    headers = {"Content-Type": "application/json"}
    answer = client.post(f"/api/v1/{verb}", content=text, headers=headers)
    assert says in refused(answer, 422)


def test_no_picture(client: httpx.Client) -> None:
    assert "one of image" in refused(client.post(DESCRIBE, json={}), 422)
    refused(client.post(DESCRIBE, json={"picture_id": "0" * 32}), 404)


def test_models_addresses_and_methods_that_are_not_there(client: httpx.Client) -> None:
    body = {"model": "gpt-4", "messages": []}
    message = refused(client.post("/v1/chat/completions", json=body), 404)
    assert "there is 'pocket'" in message
    refused(client.get("/v1/models/gpt-4"), 404)
    for path in ("/nothing", "/api/v1/nothing", "/api/v1/../../etc/passwd", "/docs", "/%00"):
        refused(client.get(path), 404)
    for method, path in (("GET", DESCRIBE), ("DELETE", "/v1/models"), ("PUT", "/health")):
        answer = client.request(method, path)
        refused(answer, 405)
        assert answer.headers["allow"]


def test_each_protocol_has_its_own_form_of_an_error(client: httpx.Client) -> None:
    answer = client.post("/api/chat", json={"model": "llama3", "messages": []})
    assert answer.status_code == 404
    assert answer.json() == {"error": "no model 'llama3' here; there is 'pocket'"}
    answer = client.post("/api/v1/vision/caption", json={"images": []})
    assert answer.status_code == 422
    assert answer.json().keys() == {"id", "code", "error"}
    assert answer.json()["code"] == 422


def test_odd_pictures_that_work(client: httpx.Client) -> None:
    odd = [
        pictures.encode(Image.new("RGBA", (9, 9), (255, 0, 0, 0)), "PNG"),
        pictures.encode(Image.new("CMYK", (9, 9)), "JPEG"),
        pictures.encode(np.zeros((1, 1, 3), np.uint8), "PNG"),
        jpeg() + b"PK\3\4 and an archive",
    ]
    for data in odd:
        answer = client.post("/api/v1/encode", files={"image": ("wrong.gif", io.BytesIO(data))})
        assert answer.status_code == 200, answer.text
