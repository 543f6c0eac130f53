"""OpenAI's and Ollama's own clients, and PhotoPrism's request, against a real process."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from server_process import PHOTOS, Server, pocket

CHINA = (PHOTOS / "china.jpg").read_bytes()
B64 = base64.b64encode(CHINA).decode()
URI = f"data:image/jpeg;base64,{B64}"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as opened:
        yield opened


@pytest.fixture(scope="module")
def llama(server: Server) -> Iterator[ollama.Client]:
    opened = ollama.Client(host=server.url)
    yield opened
    opened._client.close()


def user(text: str, uri: str | None = URI) -> ChatCompletionMessageParam:
    parts: list[Any] = [{"type": "text", "text": text}]
    if uri is not None:
        parts.append({"type": "image_url", "image_url": {"url": uri}})
    return {"role": "user", "content": parts}


# OpenAI


def test_openai_models(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert model.id == "pocket"
    extra: Any = model.model_extra
    assert extra["architecture"]["input_modalities"] == ["text", "image"]
    assert client.models.retrieve("pocket") == model
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4")


def test_openai_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.with_raw_response.create(
        model="pocket", messages=[user("Describe this image.")]
    )
    assert answer.headers["x-kosmoscope-verb"] == "describe"
    found = answer.parse()
    wanted = pocket().describe(CHINA)
    assert found.object == "chat.completion"
    assert found.choices[0].message.content == wanted.caption
    assert found.choices[0].finish_reason == "stop"
    assert found.usage is not None
    assert found.usage.completion_tokens == len(wanted.token_ids)
    assert found.usage.total_tokens == found.usage.prompt_tokens + len(wanted.token_ids)
    cut = client.chat.completions.create(
        model="pocket", messages=[user("Describe it in detail")], max_completion_tokens=3
    )
    assert cut.choices[0].finish_reason == "length"


def test_openai_several_turns(client: openai.OpenAI) -> None:
    found = client.chat.completions.create(
        model="",
        messages=[
            {"role": "system", "content": "You are terse."},
            user("Describe this image."),
            {"role": "assistant", "content": "An image of a house"},
            {"role": "user", "content": "Where is the sky?"},
        ],
    )
    wanted = pocket().ground(CHINA, "the sky")
    boxes = " ".join(
        f"[{', '.join(f'{v:.3f}' for v in box.xyxy)}]" for box in wanted.entities[0].boxes
    )
    assert found.choices[0].message.content == f"the sky {boxes}"


@pytest.mark.parametrize("text", ["Describe this image in detail.", "Where is the sky?", "Who?"])
def test_openai_streaming(client: openai.OpenAI, text: str) -> None:
    messages = [user(text)]
    whole = client.chat.completions.create(model="pocket", messages=messages)
    chunks = list(
        client.chat.completions.create(
            model="pocket", messages=messages, stream=True, stream_options={"include_usage": True}
        )
    )
    *others, usage = chunks
    assert usage.choices == []
    assert usage.usage is not None
    assert whole.usage is not None
    assert usage.usage.total_tokens == whole.usage.total_tokens
    assert others[0].choices[0].delta.role == "assistant"
    assert others[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    said = "".join(c.choices[0].delta.content or "" for c in others)
    assert said == whole.choices[0].message.content


class Found(BaseModel):
    phrase: str
    box: list[float]


class Scene(BaseModel):
    caption: str
    objects: list[Found]


def test_openai_structured_output(client: openai.OpenAI) -> None:
    messages = [user("Describe this image in detail")]
    found = client.chat.completions.parse(model="pocket", messages=messages, response_format=Scene)
    scene = found.choices[0].message.parsed
    wanted = pocket().describe(CHINA, "detailed")
    assert scene is not None
    assert scene.caption == wanted.caption
    assert [(o.phrase, o.box) for o in scene.objects] == [
        (e.phrase, pytest.approx(b.xyxy, abs=1e-4)) for e in wanted.entities for b in e.boxes
    ]
    loose = client.chat.completions.create(
        model="pocket", messages=messages, response_format={"type": "json_object"}
    )
    whole = json.loads(loose.choices[0].message.content or "")
    assert whole.keys() == {"caption", "objects"}
    streamed = client.chat.completions.create(
        model="pocket", messages=messages, response_format={"type": "json_object"}, stream=True
    )
    text = "".join(c.choices[0].delta.content or "" for c in streamed)
    assert json.loads(text) == whole
    weather = {"type": "object", "properties": {"temperature": {"type": "number"}}}
    with pytest.raises(openai.UnprocessableEntityError, match="this server fills"):
        client.chat.completions.create(
            model="pocket", messages=messages,
            response_format={"type": "json_schema",
                             "json_schema": {"name": "weather", "schema": weather}},
        )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n": 2}, "n is 2"),
        ({"max_tokens": 0}, "max_new_tokens is 0"),
        ({"max_tokens": 10**9}, "max_new_tokens is 1000000000"),
        ({"temperature": -1}, "temperature is -1"),
        ({"messages": [user("a", None)]}, "expected a picture"),
        ({"messages": [{"role": "system", "content": "a"}]}, "one of the user"),
        ({"messages": [user("What is <image>?")]}, "markup"),
        ({"messages": [user("What " * 50_000)]}, "expected 100000"),
        ({"messages": [user("a", "http://127.0.0.1/a.jpg")]}, "not fetched"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ],
)
def test_openai_refused(client: openai.OpenAI, options: dict[str, Any], says: str) -> None:
    whole = {"model": "pocket", "messages": [user("What is this?")], **options}
    with pytest.raises(openai.UnprocessableEntityError, match=says):
        client.chat.completions.create(**whole)
    with pytest.raises(openai.UnprocessableEntityError, match=says):
        client.chat.completions.create(**whole, stream=True)


@pytest.mark.parametrize(
    "uri",
    [
        URI, B64, f"DATA:image/jpeg;BASE64,{B64}", f"data:image/jpeg;charset=utf-8;base64,{B64}",
        f"data:;base64,{B64.rstrip('=')}", f"data:image/jpeg;base64,\n{B64[:76]}\r\n{B64[76:]}\n",
        f"data:image/jpeg;base64,{base64.urlsafe_b64encode(CHINA).decode()}",
    ],
    ids=lambda u: u[:40],
)  # fmt: skip
def test_pictures_as_clients_write_them(client: openai.OpenAI, uri: str) -> None:
    found = client.chat.completions.create(model="pocket", messages=[user("Describe it", uri)])
    assert found.choices[0].message.content == pocket().describe(CHINA).caption


# Ollama


def test_ollama_lists_its_model(llama: ollama.Client) -> None:
    (model,) = llama.list().models
    assert model.model == "pocket"
    shown = llama.show("pocket")
    assert shown.capabilities == ["completion", "vision"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["kosmos-2.context_length"] == 2048
    with pytest.raises(ollama.ResponseError, match="no model 'llama3' here"):
        llama.show("llama3")
    answer = llama._client.get("/api/version")
    assert answer.json().keys() == {"version"}


def test_ollama_generate(llama: ollama.Client) -> None:
    found = llama.generate("pocket", "Describe this image", images=[CHINA])
    wanted = pocket().describe(CHINA)
    assert (found.response, found.done, found.done_reason) == (wanted.caption, True, "stop")
    assert found.eval_count == len(wanted.token_ids)
    assert found.total_duration is not None
    assert found.total_duration > 0
    loading = llama.generate("pocket")
    assert (loading.response, loading.done_reason) == ("", "load")


def test_ollama_chat_streams(llama: ollama.Client) -> None:
    messages = [
        {"role": "user", "content": "Describe it", "images": [CHINA]},
        {"role": "assistant", "content": "An image of a house"},
        {"role": "user", "content": "What is this?"},
    ]
    whole = llama.chat("pocket:latest", messages)
    assert whole.message.content == pocket().ask(CHINA, "What is this?").caption
    parts = list(llama.chat("pocket", messages, stream=True))
    assert "".join(p.message.content or "" for p in parts) == whole.message.content
    assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True]


def test_ollama_formats_and_options(llama: ollama.Client) -> None:
    found = llama.generate("pocket", "describe", images=[CHINA], format="json",
                           options={"num_predict": 40, "num_ctx": 9, "temperature": 0})  # fmt: skip
    assert json.loads(found.response).keys() == {"caption", "objects"}
    message = {"role": "user", "content": "describe", "images": [CHINA]}
    chat = llama.chat("pocket", [message], format=Scene.model_json_schema())
    Scene.model_validate_json(chat.message.content or "")
    cut = llama.generate("pocket", "describe", images=[CHINA], options={"num_predict": 2})
    assert (cut.done_reason, cut.eval_count) == ("length", 2)


@pytest.mark.parametrize("images", [[], [CHINA, CHINA], [b"no picture"]])
def test_ollama_refused(llama: ollama.Client, images: list[bytes]) -> None:
    with pytest.raises(ollama.ResponseError) as caught:
        llama.generate("pocket", "What is this?", images=images)
    assert caught.value.status_code in (415, 422)
    assert "expected" in caught.value.error


# PhotoPrism


def photoprism(server: Server, path: str, body: dict[str, Any]) -> httpx.Response:
    """Send what PhotoPrism's PerformApiRequest (internal/ai/vision) does."""
    headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
    return httpx.post(f"{server.url}/api/v1/vision/{path}", json=body, headers=headers, timeout=120)


def test_photoprism_captions(server: Server) -> None:
    request = {
        "id": "ps1", "model": "nasnet", "version": "latest", "suffix": "", "stream": False,
        "prompt": "In one sentence", "options": {"temperature": 0.1, "top_p": 0.9},
        "images": [URI],
    }  # fmt: skip
    answer = photoprism(server, "caption", request)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["id"], found["code"]) == ("ps1", 200)
    assert found["model"] == {
        "type": "caption", "name": "pocket", "version": "int8",
        "resolution": pocket().engine.config.vision.image_size,
    }  # fmt: skip
    caption = found["result"]["caption"]
    spoken = pocket().describe(CHINA).caption.removeprefix("An image of ")
    assert caption["text"] == f"{spoken[0].upper()}{spoken[1:]}."
    assert 0 < caption["confidence"] <= 1


def test_photoprism_labels(server: Server) -> None:
    answer = photoprism(server, "labels", {"id": "ps2", "images": [URI]})
    assert answer.status_code == 200, answer.text
    labels = answer.json()["result"]["labels"]
    boxes = [(e.phrase, b) for e in pocket().describe(CHINA).entities for b in e.boxes]
    assert boxes
    assert labels
    for label in labels:
        scores = [b.shown_score for phrase, b in boxes if label["name"] in phrase]
        assert label["confidence"] == pytest.approx(max(s for s in scores if s), abs=1e-3)
        assert 0 < label["topicality"] <= 1
        assert label["source"] == "pocket"


def test_photoprism_refused(server: Server) -> None:
    for body, status in (({"id": "a"}, 422), ({"images": [URI, URI]}, 422),
                         ({"url": "http://127.0.0.1/a"}, 422), ({"images": ["???"]}, 400),
                         ({"images": 3}, 422)):  # fmt: skip
        answer = photoprism(server, "caption", body)
        assert answer.status_code == status
        assert answer.json()["code"] == status
        assert answer.json()["error"]
