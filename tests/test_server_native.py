"""`/api/v1/` of a real process: the verbs answer what the package says, in every form."""

from __future__ import annotations

import base64
import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from kosmoscope import Description
from kosmoscope.masks import LabelMap
from server_process import PHOTOS, Server, pocket, until

CHINA = (PHOTOS / "china.jpg").read_bytes()
B64 = base64.b64encode(CHINA).decode()


@pytest.fixture(scope="module")
def api(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        client.base_url = httpx.URL(f"{server.url}/api/v1/")
        yield client


def same(answer: httpx.Response, wanted: Description) -> None:
    assert answer.status_code == 200, answer.text
    found = Description.from_dict(answer.json())
    assert found.tagged == wanted.tagged
    assert found.token_ids == wanted.token_ids
    for a, b in zip(found.entities, wanted.entities, strict=True):
        assert (a.phrase, a.span) == (b.phrase, b.span)
        for one, other in zip(a.boxes, b.boxes, strict=True):
            assert one.xyxy_px == other.xyxy_px
            assert one.score == pytest.approx(other.score, abs=2e-3)


BOX = [0.25, 0.25, 0.75, 0.9]
VERBS: list[tuple[str, dict[str, Any], Any]] = [
    ("describe", {}, lambda s: s.describe(CHINA)),
    ("describe", {"prompt": "detailed", "options": {"max_new_tokens": 30}},
     lambda s: s.describe(CHINA, "detailed", max_new_tokens=30)),
    ("describe", {"prompt": "A photo of", "grounded": False},
     lambda s: s.describe(CHINA, "A photo of", grounded=False)),
    ("describe", {"options": {"num_beams": 2, "max_new_tokens": 12}},
     lambda s: s.describe(CHINA, num_beams=2, max_new_tokens=12)),
    ("ground", {"phrase": "the sky"}, lambda s: s.ground(CHINA, "the sky")),
    ("refer", {"box": BOX}, lambda s: s.refer(CHINA, BOX)),
    ("ask", {"question": "What is this?"}, lambda s: s.ask(CHINA, "What is this?")),
    ("ask", {"question": "What is [it] like?", "box": BOX},
     lambda s: s.ask(CHINA, "What is [it] like?", BOX)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "body", "call"), VERBS, ids=[f"{verb}-{n}" for n, (verb, *_) in enumerate(VERBS)]
)
def test_json_and_multipart_say_what_the_package_says(
    api: httpx.Client, verb: str, body: dict[str, Any], call: Any
) -> None:
    wanted = call(pocket())
    answer = api.post(verb, json={"image": B64, **body})
    same(answer, wanted)
    id = answer.json()["picture_id"]
    assert answer.headers["x-picture-id"] == id
    fields = {k: v if isinstance(v, str) else json.dumps(v) for k, v in body.items()}
    same(api.post(verb, files={"image": CHINA}, data=fields), wanted)
    same(api.post(verb, json={"picture_id": id, **body}), wanted)


def events(answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@pytest.mark.parametrize("how", ["stream", "accept"])
def test_a_stream_adds_up_to_the_result(api: httpx.Client, how: str) -> None:
    body: dict[str, Any] = {"image": B64, "prompt": "detailed"}
    headers = {}
    if how == "stream":
        body["stream"] = True
    else:
        headers["Accept"] = "text/event-stream"
    found = events(api.post("describe", json=body, headers=headers))
    assert found[0][0] == "picture"
    name, last = found[-1]
    assert name == "result"
    result = Description.from_dict(last)
    assert result.tagged == pocket().describe(CHINA, "detailed").tagged
    assert "".join(d["text"] for n, d in found if n == "text") == result.caption
    assert [d["phrase"] for n, d in found if n == "entity"] == [e.phrase for e in result.entities]
    assert found[0][1]["picture_id"] == last["picture_id"]


@pytest.mark.parametrize(
    ("accept", "draw", "kind"),
    [("image/png", False, "PNG"), ("image/jpeg", False, "JPEG"), ("*/*", True, "PNG")],
)
def test_the_annotated_picture(api: httpx.Client, accept: str, draw: bool, kind: str) -> None:
    body = {"image": B64, "draw": draw}
    answer = api.post("describe", json=body, headers={"Accept": accept})
    assert answer.headers["content-type"] == f"image/{kind.lower()}"
    id = answer.headers["x-picture-id"]
    with Image.open(io.BytesIO(answer.content)) as drawn, Image.open(io.BytesIO(CHINA)) as given:
        assert (drawn.format, drawn.size) == (kind, given.size)
        assert drawn.convert("RGB").tobytes() != given.tobytes()
    assert api.post("describe", json={"picture_id": id}).status_code == 200


def test_an_svg_holds_the_picture(api: httpx.Client) -> None:
    answer = api.post("describe", json={"image": B64}, headers={"Accept": "image/svg+xml"})
    root = ET.fromstring(answer.text)
    (image,) = root.iter("{http://www.w3.org/2000/svg}image")
    assert image.attrib["href"].startswith("data:image/png;base64,")


def test_a_picture_is_looked_at_once(api: httpx.Client, server: Server) -> None:
    data = Image.new("RGB", (40, 30), (7, 80, 200))
    out = io.BytesIO()
    data.save(out, "PNG")
    misses = server.metric("kosmoscope_picture_cache_misses_total")
    first = api.post("encode", files={"image": out.getvalue()}).json()
    assert first["was_kept"] is False
    assert (first["image"]["width"], first["image"]["height"]) == (40, 30)
    again = api.post("encode", json={"image": base64.b64encode(out.getvalue()).decode()}).json()
    assert again == {**first, "was_kept": True}
    assert api.post("ask", json={"picture_id": first["picture_id"], "question": "Why?"}).is_success
    assert server.metric("kosmoscope_picture_cache_misses_total") == misses + 1


def test_segment(api: httpx.Client) -> None:
    answer = api.post("segment", json={"image": B64, "phrase": "the sky"})
    found = LabelMap.from_dict(answer.json())
    assert (
        found.to_dict()["segments"]
        == pocket().segment(CHINA, phrase="the sky").to_dict()["segments"]
    )
    drawn = api.post(
        "segment", json={"picture_id": answer.json()["picture_id"]}, headers={"Accept": "image/png"}
    )
    with Image.open(io.BytesIO(drawn.content)) as image:
        assert image.format == "PNG"
    for body in ({"phrase": "a", "prompt": "b"}, {"segmenter": "nothing"}):
        assert api.post("segment", json={"image": B64, **body}).status_code == 422


def test_metrics_health_and_log(server: Server) -> None:
    with server.client() as client:
        assert client.get("/health").json()["status"] == "ok"
        answer = client.get("/v1/health")
        metrics = client.get("/metrics").text
    assert 'kosmoscope_requests_total{route="/health",status="200"}' in metrics
    for name in ("queue_depth", "batch_size", "first_token_seconds_bucket", "stage_seconds_total",
                 "picture_cache_hits_total"):  # fmt: skip
        assert f"kosmoscope_{name}" in metrics
    id = answer.headers["x-request-id"]
    until(lambda: any(id in line for line in server.lines))  # written after the answer
    line = next(json.loads(s) for s in server.lines if id in s)
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/health", 200)
