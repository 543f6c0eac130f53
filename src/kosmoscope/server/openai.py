"""OpenAI's chat completions, as far as a model that looks at one picture has use for them."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kosmoscope.errors import OptionError
from kosmoscope.results import Description
from kosmoscope.server.bodies import Loose, generation, read_json
from kosmoscope.server.chat import Form, Picked, Talk, form_of, place, said_of
from kosmoscope.server.desk import Desk
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.schema import documented
from kosmoscope.server.streaming import event_stream, sse
from kosmoscope.server.verbs import wish
from kosmoscope.server.worker import Done, Looked
from kosmoscope.telling import EntityFound, TextDelta

VERB = "X-Kosmoscope-Verb"


class Part(Loose):
    """A part of a message."""

    type: str
    text: str = ""
    image_url: dict[str, Any] | str | None = None


class Message(Loose):
    """A turn."""

    role: str
    content: str | list[Part] | None = None


class Format(Loose):
    """How the answer should be written."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: dict[str, Any] | None = None


class StreamOptions(Loose):
    """What a stream should have beside the text."""

    include_usage: bool = False


class Completion(Loose):
    """A request for a chat completion; fields that are not here are passed over."""

    model: str = ""
    messages: list[Message]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    n: int | None = None
    response_format: Format | None = None
    tools: list[Any] | None = None

    def options(self) -> dict[str, Any]:
        """Return what of it is an option of ours."""
        longest = self.max_completion_tokens
        return sampling(
            self.max_tokens if longest is None else longest, self.temperature, self.top_p, self.seed
        )


def sampling(
    max_new_tokens: int | None, temperature: float | None, top_p: float | None, seed: int | None
) -> dict[str, Any]:
    """Return options from what other protocols call alike; `top_p` says nothing without heat."""
    values: dict[str, Any] = {"temperature": temperature or 0.0}
    if max_new_tokens is not None:
        values["max_new_tokens"] = max_new_tokens
    if temperature and top_p is not None:
        values["top_p"] = top_p
    if seed is not None:
        values["seed"] = seed
    return values


def routes(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v1", tags=["OpenAI"])
    limit = desk.settings.max_body_mb * 2**20
    created = int(time.time())

    @router.get("/models")
    async def models() -> JSONResponse:
        return JSONResponse({"object": "list", "data": [_model(desk, created)]})

    @router.get("/models/{name:path}")
    async def model(name: str) -> JSONResponse:
        desk.check_model(name)
        return JSONResponse(_model(desk, created))

    @router.post("/chat/completions", **documented(Completion, None, multipart=False))
    async def complete(request: Request) -> Response:
        body = await read_json(request, Completion, limit)
        desk.check_model(body.model)
        if body.n not in (None, 1):
            raise OptionError(f"n is {body.n}; expected 1: the likeliest answer is always the same")
        if body.tools:
            raise OptionError("tools: this model calls none")
        form = _form(body.response_format)
        options = generation(body.options())
        picked = _picked(body.messages)
        wanted = wish(picked.text)
        desk.check(wanted.prompt)
        shown = await desk.shown(picked.image)
        talk = Talk(wanted, shown, options, form)
        headers = {VERB: wanted.verb}
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()),
            "model": desk.model().model,
        }  # fmt: skip
        if body.stream:
            usage = body.stream_options is not None and body.stream_options.include_usage
            answer = event_stream(request.scope["path"], _chunks(desk, talk, head, usage))
            answer.headers.update(headers)
            return answer
        looked = shown.encoded is not None
        done = await desk.told(request, shown, wanted.prompt, options)
        message = {"role": "assistant", "content": said_of(wanted.verb, done.description, form)}
        content = {
            **head,
            "object": "chat.completion",
            "choices": [
                {"index": 0, "message": message, "finish_reason": _finish(done.description)}
            ],
            "usage": _usage(desk, done, looked),
        }
        return JSONResponse(content, headers=headers)

    return router


def _model(desk: Desk, created: int) -> dict[str, Any]:
    scope = desk.model()
    return {
        "id": scope.model, "object": "model", "created": created, "owned_by": "kosmoscope",
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "meta": {"precision": scope.precision,
                 "n_ctx_train": scope.engine.config.text.max_positions},
    }  # fmt: skip


def _picked(messages: list[Message]) -> Picked:
    """Return the last user's text, and the latest picture up to it."""
    users = [m for m in messages if m.role == "user"]
    if not users:
        raise RefusedError(422, "messages: expected one of the user")
    text, image = "", None
    for message in users:
        parts = message.content or ""
        if isinstance(parts, str):
            text = parts
            continue
        text = " ".join(p.text for p in parts if p.type == "text")
        found = [p.image_url for p in parts if p.type == "image_url"]
        if len(found) > 1:
            raise RefusedError(422, "messages: expected one picture a message")
        if found:
            address = found[0].get("url") if isinstance(found[0], dict) else found[0]
            if not isinstance(address, str):
                raise RefusedError(422, "image_url: expected a URL with a picture's data")
            image = address
    if image is None:
        raise RefusedError(422, "messages: expected a picture (image_url) in one of them")
    return Picked(text, image)


def _form(wanted: Format | None) -> Form | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return form_of(None)
    return form_of((wanted.json_schema or {}).get("schema"))


async def _chunks(
    desk: Desk, talk: Talk, head: dict[str, Any], include_usage: bool
) -> AsyncGenerator[str, None]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return sse({**head, "object": "chat.completion.chunk", "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    looked = False
    async with aclosing(desk.said(talk.shown, talk.wish.prompt, talk.options)) as all_said:
        async for said in all_said:
            match said:
                case Looked():
                    looked = said.was_kept
                case TextDelta(text) if talk.form is None:
                    yield chunk({"content": text})
                case EntityFound(entity) if talk.form is None and talk.wish.verb == "ground":
                    yield chunk({"content": place(entity)})
                case Done(description):
                    if talk.form is not None:
                        yield chunk({"content": said_of(talk.wish.verb, description, talk.form)})
                    yield chunk({}, _finish(description))
                    if include_usage:
                        usage = _usage(desk, said, looked)
                        end = {"object": "chat.completion.chunk", "choices": [], "usage": usage}
                        yield sse({**head, **end})
    yield sse("[DONE]")


def _finish(description: Description) -> str:
    return "length" if description.finish_reason == "length" else "stop"


def _usage(desk: Desk, done: Done, looked: bool) -> dict[str, Any]:
    said = len(done.description.token_ids)
    cached = len(desk.model().engine.prefix_ids) if looked else 0
    return {
        "prompt_tokens": done.prompt_tokens, "completion_tokens": said,
        "total_tokens": done.prompt_tokens + said,
        "prompt_tokens_details": {"cached_tokens": cached},
    }  # fmt: skip
