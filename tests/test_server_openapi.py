"""The OpenAPI document: it is whole, and no request that it allows is answered with a defect."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings

from kosmoscope.types import Box, Entity, GroundedCaption, ImageInfo
from server_process import PHOTOS, Server, serving

CHINA = base64.b64encode((PHOTOS / "china.jpg").read_bytes()).decode()
SHORT = {"max_new_tokens": 3}
CONFIG = (
    '<View><Image name="i" value="$image"/>'
    '<RectangleLabels name="b" toName="i"><Label value="Sky"/></RectangleLabels></View>'
)
GIVEN = GroundedCaption(
    ImageInfo("", 640, 427), "pocket", "int8", "", "A house", "", "", "", "",
    (Entity("A house", (0, 7), (Box.of((0.1, 0.1, 0.9, 0.9), (640, 427)),)),), (), "stop",
).to_dict()  # fmt: skip


@pytest.fixture(scope="module")
def small() -> Iterator[Server]:
    with serving("--texts", "4") as started:
        yield started


def test_no_request_meets_a_defect(small: Server, document: dict[str, Any]) -> None:
    # Its own decorator for pytest does not know this pytest.
    api = schemathesis.openapi.from_dict(document)
    api.config.update(base_url=small.url)
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) == sum(len(path) for path in document["paths"].values())
    for operation in operations:
        meet(operation.as_strategy(), {200, 201, 400, 404, 413, 415, 422})
        if operation.body:
            wrong = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
            meet(wrong, {400, 404, 413, 415, 422})


def meet(
    cases: hypothesis.strategies.SearchStrategy[schemathesis.Case], statuses: set[int]
) -> None:
    @settings(
        max_examples=4, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @hypothesis.given(cases)
    def check(case: schemathesis.Case) -> None:
        answer = case.call(timeout=120)
        assert answer.status_code in statuses, answer.text
        assert answer.headers["x-request-id"]

    check()


JSON = hypothesis.strategies.recursive(
    hypothesis.strategies.none() | hypothesis.strategies.booleans()
    | hypothesis.strategies.integers() | hypothesis.strategies.floats(allow_nan=False)
    | hypothesis.strategies.text(max_size=20),
    lambda inner: hypothesis.strategies.lists(inner, max_size=4)
    | hypothesis.strategies.dictionaries(hypothesis.strategies.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
ROUTES: dict[str, dict[str, Any]] = {
    "/api/v1/describe": {"image": CHINA, "options": SHORT},
    "/api/v1/ground": {"image": CHINA, "phrase": "the sky", "options": SHORT},
    "/api/v1/refer": {"image": CHINA, "box": [0, 0, 1, 1], "options": SHORT},
    "/api/v1/ask": {"image": CHINA, "question": "What?", "options": SHORT},
    "/api/v1/segment": {"image": CHINA, "options": SHORT},
    "/api/v1/encode": {"image": CHINA},
    "/api/v1/export": {"image": CHINA, "description": GIVEN, "to": "coco"},
    "/v1/chat/completions": {"max_tokens": 3, "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": CHINA}}]}]},
    "/api/generate": {"images": [CHINA], "options": {"num_predict": 3}},
    "/api/chat": {"messages": [{"role": "user", "content": "a", "images": [CHINA]}]},
    "/api/show": {"model": "pocket"},
    "/api/v1/vision/caption": {"images": [CHINA]},
    "/api/v1/vision/labels": {"images": [CHINA]},
    "/predict": {"tasks": [{"id": 1, "data": {"image": CHINA}}], "label_config": CONFIG},
    "/setup": {"project": "1.17"},
    "/webhook": {"action": "PROJECT_UPDATED"},
}  # fmt: skip


@pytest.fixture(scope="module")
def document(small: Server) -> dict[str, Any]:
    return dict(httpx.get(f"{small.url}/openapi.json").json())


@pytest.mark.parametrize("path", ROUTES)
def test_one_field_that_is_anything(small: Server, document: dict[str, Any], path: str) -> None:
    """A good request with one field replaced: it gets further than a made-up one does."""
    good = ROUTES[path]
    with small.client() as client:
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        name = body["schema"]["$ref"].rpartition("/")[2]
        fields = sorted(document["components"]["schemas"][name]["properties"])
        assert set(good) <= set(fields)
        assert client.post(path, json=good).status_code == 200

        @settings(max_examples=10, deadline=None, derandomize=True, database=None)
        @hypothesis.given(hypothesis.strategies.sampled_from(fields), JSON)
        def check(field: str, value: Any) -> None:
            text = json.dumps({**good, field: value})
            answer = client.post(path, content=text, headers={"Content-Type": "application/json"})
            assert answer.status_code in (200, 201, 400, 404, 413, 415, 422), answer.text

        check()


def test_the_document_has_every_route_and_resolves(document: dict[str, Any]) -> None:
    assert set(ROUTES) | {"/v1/models", "/api/tags", "/api/version", "/health", "/metrics"} <= set(
        document["paths"]
    )
    schemas = document["components"]["schemas"]
    waiting: list[Any] = [document]
    found = 0
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                assert part["$ref"].rpartition("/")[2] in schemas
                found += 1
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    assert found > 20
    assert {"entities", "caption", "picture_id"} <= schemas["Description"]["properties"].keys()
