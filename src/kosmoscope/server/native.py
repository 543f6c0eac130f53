"""The server's own routes, `/api/v1/`: the verbs, with the package's own JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kosmoscope.draw import segment_colours
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import OptionError
from kosmoscope.images import read_image
from kosmoscope.prompts import ask_prompt, describe_prompt, ground_prompt, refer_prompt
from kosmoscope.results import Description
from kosmoscope.scope import Scope
from kosmoscope.segment import Segmentation
from kosmoscope.segment.registry import SEGMENTERS
from kosmoscope.segment.run import segment_description
from kosmoscope.server.bodies import Strict, generation, read_either
from kosmoscope.server.desk import Ask, Desk
from kosmoscope.server.drawing import MEDIA_TYPES, Drawn, colours, drawn, encoded, hexadecimal
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.given import given
from kosmoscope.server.pictures import NAME, Shown
from kosmoscope.server.schema import DESCRIPTION, SEGMENTATION, documented
from kosmoscope.server.streaming import event_stream, sse
from kosmoscope.server.verbs import MOST_CHARACTERS
from kosmoscope.server.worker import Done, Looked
from kosmoscope.telling import EntityFound, TextDelta

Text = Annotated[str, StringConstraints(max_length=MOST_CHARACTERS)]
Format = Literal["json", "stream"] | Drawn
_DRAWN: dict[str, Drawn] = {
    "image/png": "png", "image/jpeg": "jpeg", "image/svg+xml": "svg", "image/*": "png",
}  # fmt: skip
PICTURE_ID = "X-Picture-Id"


class OfPicture(Strict):
    """A picture: its file in base64, a data URI or multipart; or the id of one sent before."""

    image: str | bytes | None = Field(None, description="Base64, a data URI; a file in multipart.")
    picture_id: str | None = Field(None, description="Of a picture that was sent before.")


class Asking(OfPicture):
    """What every verb takes."""

    options: dict[str, Any] = Field({}, description="Of the generation, such as max_new_tokens.")
    stream: bool = Field(False, description="Server-sent events: text, entity, then result.")
    draw: bool = Field(False, description="Answer with the annotated picture.")


class Describe(Asking):
    """A description."""

    prompt: Text = Field("brief", description='"brief", "detailed", or how the text should begin.')
    grounded: bool = Field(True, description="Ask for boxes.")


class Ground(Asking):
    """Where a phrase is."""

    phrase: Text


class Refer(Asking):
    """What is in a box."""

    box: list[float] = Field(description="x1, y1, x2, y2, normalised to 0..1.")


class Question(Asking):
    """A question."""

    question: Text = Field(description="With a box, square brackets may mark what it belongs to.")
    box: list[float] | None = None
    grounded: bool = True


class Segment(OfPicture):
    """A description or a phrase, as pixels."""

    description: dict[str, Any] | None = Field(
        None, description="A result, as a verb answered it; else the model is asked."
    )
    prompt: Text | None = None
    phrase: Text | None = None
    segmenter: str = "classical"
    regions: bool = False
    options: dict[str, Any] = Field({})
    draw: bool = False


def routes(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/v1", tags=["kosmoscope"])
    limit = desk.settings.max_body_mb * 2**20

    @router.post("/describe", **documented(Describe, DESCRIPTION))
    async def describe(request: Request) -> Response:
        body = await read_either(request, Describe, limit)
        return await _answer(
            desk, request, body, lambda i: describe_prompt(i, body.prompt, grounded=body.grounded)
        )

    @router.post("/ground", **documented(Ground, DESCRIPTION))
    async def ground(request: Request) -> Response:
        body = await read_either(request, Ground, limit)
        return await _answer(desk, request, body, lambda i: ground_prompt(i, body.phrase))

    @router.post("/refer", **documented(Refer, DESCRIPTION))
    async def refer(request: Request) -> Response:
        body = await read_either(request, Refer, limit)
        return await _answer(desk, request, body, lambda i: refer_prompt(i, body.box))

    @router.post("/ask", **documented(Question, DESCRIPTION))
    async def ask(request: Request) -> Response:
        body = await read_either(request, Question, limit)
        return await _answer(
            desk, request, body,
            lambda i: ask_prompt(i, body.question, body.box, grounded=body.grounded),
        )  # fmt: skip

    @router.post("/segment", **documented(Segment, SEGMENTATION))
    async def segment(request: Request) -> Response:
        body = await read_either(request, Segment, limit)
        return await _segment(desk, request, body)

    @router.post("/encode", **documented(OfPicture, None))
    async def encode(request: Request) -> Response:
        body = await read_either(request, OfPicture, limit)
        shown = await desk.shown(body.image, body.picture_id)
        looked = await desk.looked(request, shown)
        found = {
            "picture_id": shown.id,
            "image": asdict(looked.image.info),
            "was_kept": looked.was_kept,
        }
        return JSONResponse(found, headers={PICTURE_ID: shown.id})

    return router


async def _answer(desk: Desk, request: Request, body: Asking, ask: Ask) -> Response:
    options = generation(body.options)
    format = _format(request, body.draw, body.stream)
    desk.check(ask)
    shown = await desk.shown(body.image, body.picture_id)
    if format == "stream":
        return event_stream(request.scope["path"], _events(desk, shown, ask, options))
    done = await desk.told(request, shown, ask, options)
    if format == "json":
        return JSONResponse(_result(done, shown), headers={PICTURE_ID: shown.id})
    picture = await desk.aside(drawn, done.description, shown, format, desk.model())
    return Response(picture, media_type=MEDIA_TYPES[format], headers={PICTURE_ID: shown.id})


def _result(done: Done, shown: Shown) -> dict[str, Any]:
    description = done.description
    found = colours(e.phrase for e in description.entities)
    return {**description.to_dict(), "picture_id": shown.id, "colours": found}


async def _events(
    desk: Desk, shown: Shown, ask: Ask, options: GenerationOptions
) -> AsyncGenerator[str, None]:
    phrases: list[str] = []
    async with aclosing(desk.said(shown, ask, options)) as all_said:
        async for said in all_said:
            match said:
                case Looked():
                    yield sse({"picture_id": shown.id}, "picture")
                case TextDelta(text):
                    yield sse({"text": text}, "text")
                case EntityFound(entity):
                    phrases.append(entity.phrase)
                    colour = colours(phrases)[entity.phrase]
                    yield sse({**asdict(entity), "colour": colour}, "entity")
                case Done():
                    yield sse(_result(said, shown), "result")


async def _segment(desk: Desk, request: Request, body: Segment) -> Response:
    if sum(v is not None for v in (body.phrase, body.prompt, body.description)) > 1:
        raise OptionError("a picture is segmented by a prompt, a phrase or a result: by one")
    if body.segmenter not in SEGMENTERS:
        raise OptionError(f"no segmenter {body.segmenter!r}; there are {SEGMENTERS.names()}")
    options = generation(body.options)
    format = _format(request, body.draw, False)
    if format not in ("json", "png", "jpeg"):
        raise RefusedError(422, "a segmentation comes as JSON, PNG or JPEG")

    def ask(image: Any) -> Any:
        if body.phrase is not None:
            return ground_prompt(image, body.phrase)
        return describe_prompt(image, body.prompt)

    if body.description is not None:
        shown = await desk.shown(body.image, body.picture_id)
        description = given(body.description, shown.image)
    else:
        desk.check(ask)
        shown = await desk.shown(body.image, body.picture_id)
        description = (await desk.told(request, shown, ask, options)).description
    headers = {PICTURE_ID: shown.id}
    found = await desk.aside(_segmented, description, shown, body, desk.model())
    if format != "json":
        picture = await desk.aside(_painted, found, shown, format, desk.model())
        return Response(picture, media_type=MEDIA_TYPES[format], headers=headers)
    content = await desk.aside(_segments, found, shown)
    return Response(content, media_type="application/json", headers=headers)


def _segments(found: Segmentation, shown: Shown) -> str:
    by_label = [hexadecimal(colour) for colour in segment_colours(found)]
    content = {**found.to_dict(), "picture_id": shown.id, "colours": by_label}
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _segmented(description: Description, shown: Shown, body: Segment, scope: Scope) -> Segmentation:
    picture = read_image(shown.data, name=NAME, limits=scope.limits)
    return segment_description(
        description, picture.rgb, picture.rgb_info, body.segmenter, regions=body.regions,
        threads=scope.engine.threads,
    )  # fmt: skip


def _painted(found: Segmentation, shown: Shown, format: Drawn, scope: Scope) -> bytes:
    picture = read_image(shown.data, name=NAME, limits=scope.limits)
    return encoded(found.draw(picture.rgb), format)


def _format(request: Request, draw: bool, stream: bool) -> Format:
    """Return how a request wants its answer. Raises `RefusedError` for two ways at once."""
    accepted = [
        part.partition(";")[0].strip().lower()
        for part in request.headers.get("accept", "").split(",")
    ]
    # The first that is ours; a browser's "text/html, ..., image/png" means no picture.
    named = next((a for a in accepted if a not in ("*/*", "")), "")
    drawn = _DRAWN.get(named)
    if stream or named == "text/event-stream":
        if draw or drawn:
            raise RefusedError(422, "a picture is not streamed: expected draw or stream, not both")
        return "stream"
    return drawn or ("png" if draw else "json")
