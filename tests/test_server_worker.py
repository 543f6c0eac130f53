"""What the server does between requests and passes, with the passes held back: no race is left."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from kosmoscope.engine.batch import Batch
from kosmoscope.engine.core import PictureState
from kosmoscope.scope import EncodedImage, Scope
from kosmoscope.server import Settings
from kosmoscope.server.pictures import Cache, Shown
from kosmoscope.server.process import listening
from kosmoscope.types import ImageInfo
from server_process import LONG, PHOTOS, Gate, inside, metric, pocket, until

CHINA = (PHOTOS / "china.jpg").read_bytes()
B64 = base64.b64encode(CHINA).decode()
BODY: dict[str, Any] = {"image": B64}
LONG_BODY: dict[str, Any] = {**BODY, "options": LONG}


def passes(url: str) -> float:
    return metric(httpx.get(f"{url}/metrics").text, "kosmoscope_passes_total")


ROUTES = {
    "native": ("/api/v1/describe", LONG_BODY),
    "native stream": ("/api/v1/describe", {**LONG_BODY, "stream": True}),
    "openai": ("/v1/chat/completions", {"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": f"data:image/jpeg;base64,{B64}"}]}]}),
    "openai stream": ("/v1/chat/completions", {"stream": True, "messages": [
        {"role": "user", "content": [
            {"type": "image_url", "image_url": f"data:image/jpeg;base64,{B64}"}]}]}),
    "ollama": ("/api/generate", {"prompt": "", "images": [B64], "stream": False}),
    "ollama stream": ("/api/generate", {"prompt": "", "images": [B64]}),
    "photoprism": ("/api/v1/vision/caption", {"images": [B64]}),
    "segment": ("/api/v1/segment", BODY),
}  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
def test_after_a_client_left_no_pass_begins(gate: Gate, route: str) -> None:
    path, body = ROUTES[route]
    with inside() as (desk, url):
        gone = http.client.HTTPConnection(url.removeprefix("http://"))
        gone.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        gate.let(2)
        gate.wait_for(3)  # the third has begun, and is held
        gone.close()
        until(lambda: desk.worker.admitted == 0)  # it was seen that nobody waits any more
        gate.open()
        until(lambda: metric(httpx.get(f"{url}/metrics").text, "kosmoscope_cancelled_total") == 1)
        assert gate.began == 3, "none but the one that was under way"
        assert passes(url) == 3
        assert httpx.post(f"{url}/api/v1/describe", json=BODY, timeout=120).status_code == 200


def test_who_leaves_the_queue_is_never_begun(gate: Gate) -> None:
    with inside(texts=1) as (desk, url), ThreadPoolExecutor(1) as pool:
        first = pool.submit(httpx.post, f"{url}/api/v1/describe", json=BODY, timeout=120)
        gate.wait_for(1)
        gone = http.client.HTTPConnection(url.removeprefix("http://"))
        gone.request(
            "POST", "/api/v1/describe", json.dumps(LONG_BODY), {"Content-Type": "application/json"}
        )
        until(lambda: desk.worker.admitted == 2)
        gone.close()
        until(lambda: desk.worker.admitted == 1)
        gate.open()
        assert first.result().status_code == 200
        used = first.result().json()["timing"]["passes"]
        assert gate.began == used


def test_requests_join_a_batch_that_is_under_way(gate: Gate) -> None:
    with inside() as (desk, url), ThreadPoolExecutor(4) as pool:

        def ask(question: str) -> dict[str, Any]:
            body = {**BODY, "question": question, "options": options}
            answer = httpx.post(f"{url}/api/v1/ask", json=body, timeout=120)
            assert answer.status_code == 200
            return dict(answer.json())

        options: dict[str, Any] = {"min_new_tokens": 12, "max_new_tokens": 12}
        questions = ["What is this?", "Where is it?", "Who is there?", "What colour is it?"]
        found = []
        for n, question in enumerate(questions, 1):
            found.append(pool.submit(ask, question))
            until(lambda n=n: desk.worker.admitted == n)  # type: ignore[misc]
            gate.let(1)
            gate.wait_for(n)
        gate.open()
        said = [f.result() for f in found]
        scope = pocket()
        image = scope.encode((PHOTOS / "china.jpg").read_bytes())
        for question, answer in zip(questions, said, strict=True):
            assert answer["token_ids"] == list(scope.ask(image, question, **options).token_ids)
        assert gate.began < sum(s["timing"]["new_tokens"] for s in said)


def test_a_picture_is_told_of_once_it_can_be_asked_about_again(gate: Gate) -> None:
    with inside() as (desk, url), httpx.Client(base_url=url, timeout=120) as client:
        with client.stream("POST", "/api/v1/describe", json={**BODY, "stream": True}) as answer:
            gate.wait_for(1)  # the pass that reads it with the question
            assert len(desk.cache) == 0
            gate.let(1)
            lines = answer.iter_lines()
            assert next(lines) == "event: picture"
            id = json.loads(next(lines).removeprefix("data: "))["picture_id"]
            assert desk.cache.get(id) is not None
            gate.open()
            assert "event: result" in list(lines)
        again = client.post("/api/v1/describe", json={"picture_id": id})
        assert again.json()["token_ids"] == list(pocket().describe(CHINA).token_ids)


OUT_SOON: dict[str, Any] = {"timeout": 0.3}
"""Not a limit of the test's: passes are held until it is over, however long that takes."""


def test_out_of_time(gate: Gate) -> None:
    with inside(**OUT_SOON) as (desk, url):
        answer = httpx.post(f"{url}/api/v1/describe", json=BODY, timeout=120)
        assert answer.status_code == 504
        assert answer.json()["error"]["type"] == "timeout_error"
        streamed = httpx.post(
            f"{url}/api/v1/describe", json={**BODY, "stream": True}, timeout=120
        ).text
        assert streamed.rstrip().split("\n\n")[-1].startswith("event: error\ndata: ")
        lines = httpx.post(f"{url}/api/generate", json={"images": [B64]}, timeout=120).text
        assert json.loads(lines.splitlines()[-1]) == {"error": "not done within 0.3 s"}
        gate.open()
        until(lambda: desk.worker.admitted == 0)


def test_loading_and_draining() -> None:
    loaded = threading.Event()

    def load() -> Scope:
        assert loaded.wait(120)
        return pocket()

    with inside(load) as (desk, url):
        for state, words in (("loading", "being loaded"), ("draining", "shutting down")):
            assert desk.worker.state == state
            for method, path in (("GET", "/health"), ("POST", "/api/v1/describe"),
                                 ("POST", "/v1/chat/completions")):  # fmt: skip
                answer = httpx.request(method, f"{url}{path}", json=BODY, timeout=120)
                assert answer.status_code == 503
                assert words in answer.json()["error"]["message"]
                assert "retry-after" in answer.headers
            if state == "loading":
                assert httpx.get(f"{url}/v1/models").status_code == 503
                assert httpx.get(f"{url}/metrics").status_code == 200
            loaded.set()
            until(lambda: desk.worker.state == "ready" or desk.worker.state == "draining")
            desk.worker.drain()


def test_a_pass_that_fails_costs_those_that_were_in_it_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    step = Batch.step
    failing = [True]

    def broken(batch: Batch) -> Any:
        if failing.pop() if failing else False:
            raise RuntimeError("a secret of the machine")
        return step(batch)

    monkeypatch.setattr(Batch, "step", broken)
    with inside() as (_, url):
        answer = httpx.post(f"{url}/api/generate", json={"images": [B64], "stream": True})
        assert "internal error" in answer.text
        assert "secret" not in answer.text
        failing.append(True)
        answer = httpx.post(f"{url}/api/v1/describe", json=BODY, timeout=120)
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert httpx.post(f"{url}/api/v1/describe", json=BODY, timeout=120).status_code == 200


def kept(id: str, size: int) -> tuple[Shown, EncodedImage]:
    state = PictureState(np.zeros(size // 4, np.float32), "model")
    info = ImageInfo("p", 1, 1)
    return Shown(id, b"", None, info), EncodedImage(info, state)


def test_the_cache_lets_go_of_what_was_not_used_for_longest() -> None:
    cache = Cache(1000)
    for id in "abc":
        cache.keep(*kept(id, 400))
        cache.get("a")
    assert cache.bytes == 800
    assert [cache.get(id) is not None for id in "abc"] == [True, False, True]
    cache.keep(*kept("d", 1200))
    assert cache.get("d") is None
    assert len(cache) == 2
    cache.keep(*kept("a", 400))
    assert cache.bytes == 800


def test_small_pieces_are_sent_at_once() -> None:
    # asyncio does so for sockets that name their protocol alone; without, 40 ms an answer.
    with listening(Settings(port=0)) as door:
        assert door.proto == socket.IPPROTO_TCP


def test_a_picture_that_is_gone_has_to_be_sent_again() -> None:
    with inside(cache_mb=0) as (_, url):
        answer = httpx.post(f"{url}/api/v1/encode", json=BODY, timeout=120)
        assert answer.status_code == 200
        id = answer.json()["picture_id"]
        gone = httpx.post(f"{url}/api/v1/describe", json={"picture_id": id})
        assert gone.status_code == 404
        assert "send it again" in gone.json()["error"]["message"]
