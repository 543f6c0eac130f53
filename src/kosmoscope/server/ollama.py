"""Ollama's routes: generate, chat, tags, version, show; streams are lines of JSON."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kosmoscope._version import __version__
from kosmoscope.errors import OptionError
from kosmoscope.server.bodies import Loose, generation, read_json
from kosmoscope.server.chat import Form, Picked, Talk, form_of, place, said_of
from kosmoscope.server.desk import Desk
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.openai import VERB, sampling
from kosmoscope.server.schema import documented
from kosmoscope.server.streaming import line_stream, ndjson
from kosmoscope.server.verbs import wish
from kosmoscope.server.worker import Done
from kosmoscope.telling import EntityFound, TextDelta


class Tuning(Loose):
    """Options that mean something here; others are passed over."""

    num_predict: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None

    def options(self) -> dict[str, Any]:
        """Return them as ours; a number of tokens below 1 is as many as usual."""
        longest = self.num_predict
        if longest is not None and longest < 0:
            longest = None
        return sampling(longest, self.temperature, self.top_p, self.seed)


class Named(Loose):
    """A model."""

    model: str = ""
    name: str = ""


class Generate(Named):
    """A prompt and a picture."""

    prompt: str = ""
    images: list[str] | None = None
    stream: bool = True
    format: dict[str, Any] | str | None = None
    options: Tuning | None = None


class Turn(Loose):
    """A turn."""

    role: str
    content: str = ""
    images: list[str] | None = None


class Chat(Named):
    """A conversation."""

    messages: list[Turn]
    stream: bool = True
    format: dict[str, Any] | str | None = None
    options: Tuning | None = None
    tools: list[Any] | None = None


def routes(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api", tags=["Ollama"])
    limit = desk.settings.max_body_mb * 2**20
    modified = _now()

    @router.get("/version")
    async def version() -> JSONResponse:
        return JSONResponse({"version": __version__})

    @router.get("/tags")
    async def tags() -> JSONResponse:
        scope = desk.model()
        model = {
            "name": scope.model, "model": scope.model, "modified_at": modified,
            "digest": scope.source_sha256,
            "details": _details(desk),
        }  # fmt: skip
        return JSONResponse({"models": [model]})

    @router.post("/show", **documented(Named, None, multipart=False))
    async def show(request: Request) -> JSONResponse:
        body = await read_json(request, Named, limit)
        desk.check_model(body.model or body.name)
        text = desk.model().engine.config.text
        info = {
            "general.architecture": "kosmos-2",
            "kosmos-2.context_length": text.max_positions,
            "kosmos-2.embedding_length": text.width,
        }
        return JSONResponse({
            "modelfile": "", "parameters": "", "template": "", "details": _details(desk),
            "model_info": info, "capabilities": ["completion", "vision"],
            "modified_at": modified,
        })  # fmt: skip

    @router.post("/generate", **documented(Generate, None, multipart=False))
    async def generate(request: Request) -> Response:
        body = await read_json(request, Generate, limit)
        desk.check_model(body.model)
        if not body.prompt and not body.images:  # how clients load a model
            return JSONResponse(
                {**_head(desk), "response": "", "done": True, "done_reason": "load"}
            )
        picked = Picked(body.prompt, _one(body.images))
        return await _answer(desk, request, body, picked, "response")

    @router.post("/chat", **documented(Chat, None, multipart=False))
    async def chat(request: Request) -> Response:
        body = await read_json(request, Chat, limit)
        desk.check_model(body.model)
        if body.tools:
            raise OptionError("tools: this model calls none")
        users = [turn for turn in body.messages if turn.role == "user"]
        if not users:
            raise RefusedError(422, "messages: expected one of the user")
        images = next((turn.images for turn in reversed(users) if turn.images), None)
        return await _answer(
            desk, request, body, Picked(users[-1].content, _one(images)), "message"
        )

    return router


def _one(images: list[str] | None) -> str:
    if not images or len(images) != 1:
        raise RefusedError(422, f"images: expected one picture; got {len(images or ())}")
    return images[0]


async def _answer(
    desk: Desk, request: Request, body: Generate | Chat, picked: Picked, field: str
) -> Response:
    began = time.perf_counter_ns()
    options = generation((body.options or Tuning()).options())
    form = _form(body.format)
    wanted = wish(picked.text)
    desk.check(wanted.prompt)
    shown = await desk.shown(picked.image)
    talk = Talk(wanted, shown, options, form)
    headers = {VERB: wanted.verb}
    if body.stream:
        answer = line_stream(request.scope["path"], _lines(desk, talk, field, began))
        answer.headers.update(headers)
        return answer
    done = await desk.told(request, shown, wanted.prompt, options)
    text = said_of(wanted.verb, done.description, form)
    return JSONResponse(_last(desk, done, field, text, began), headers=headers)


def _form(wanted: dict[str, Any] | str | None) -> Form | None:
    if wanted is None or wanted == "":
        return None
    if isinstance(wanted, str) and wanted != "json":
        raise OptionError(f'format is {wanted!r}; expected "json" or a schema')
    return form_of(None if wanted == "json" else wanted)


async def _lines(desk: Desk, talk: Talk, field: str, began: int) -> AsyncGenerator[str, None]:
    def line(text: str) -> str:
        return ndjson({**_head(desk), field: _content(field, text), "done": False})

    async with aclosing(desk.said(talk.shown, talk.wish.prompt, talk.options)) as all_said:
        async for said in all_said:
            match said:
                case TextDelta(text) if talk.form is None:
                    yield line(text)
                case EntityFound(entity) if talk.form is None and talk.wish.verb == "ground":
                    yield line(place(entity))
                case Done(description):
                    if talk.form is not None:
                        yield line(said_of(talk.wish.verb, description, talk.form))
                    yield ndjson(_last(desk, said, field, "", began))


def _last(desk: Desk, done: Done, field: str, text: str, began: int) -> dict[str, Any]:
    timing = done.description.timing
    return {
        **_head(desk),
        field: _content(field, text),
        "done": True,
        "done_reason": "length" if done.description.finish_reason == "length" else "stop",
        "total_duration": time.perf_counter_ns() - began,
        "load_duration": 0,
        "prompt_eval_count": done.prompt_tokens,
        "prompt_eval_duration": int((timing.encode + timing.prefill) * 1e9),
        "eval_count": len(done.description.token_ids),
        "eval_duration": int(timing.decode * 1e9),
    }


def _content(field: str, text: str) -> Any:
    return {"role": "assistant", "content": text} if field == "message" else text


def _head(desk: Desk) -> dict[str, Any]:
    return {"model": desk.model().model, "created_at": _now()}


def _details(desk: Desk) -> dict[str, Any]:
    return {
        "parent_model": "", "format": "onnx", "family": "kosmos-2", "families": ["kosmos-2"],
        "parameter_size": "", "quantization_level": desk.model().precision,
    }  # fmt: skip


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")
