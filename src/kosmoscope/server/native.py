"""The server's own routes, `/api/v1/`: the verbs, with the package's own JSON."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from PIL import Image
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kosmoscope.draw import picture_address
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
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.pictures import NAME, Shown
from kosmoscope.server.schema import DESCRIPTION, SEGMENTATION, documented
from kosmoscope.server.streaming import event_stream, sse
from kosmoscope.server.verbs import MOST_CHARACTERS
from kosmoscope.server.worker import Done, Looked
from kosmoscope.telling import EntityFound, TextDelta

Text = Annotated[str, StringConstraints(max_length=MOST_CHARACTERS)]
Format = Literal["json", "stream", "png", "jpeg", "svg"]
_DRAWN: dict[str, Format] = {
    "image/png": "png", "image/jpeg": "jpeg", "image/svg+xml": "svg", "image/*": "png",
}  # fmt: skip
_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "svg": "image/svg+xml"}
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
        content = {**done.description.to_dict(), "picture_id": shown.id}
        return JSONResponse(content, headers={PICTURE_ID: shown.id})
    drawn = await desk.aside(_drawn, done.description, shown, format, desk.model())
    return Response(drawn, media_type=_TYPES[format], headers={PICTURE_ID: shown.id})


async def _events(
    desk: Desk, shown: Shown, ask: Ask, options: GenerationOptions
) -> AsyncGenerator[str, None]:
    async with aclosing(desk.said(shown, ask, options)) as all_said:
        async for said in all_said:
            match said:
                case Looked():
                    yield sse({"picture_id": shown.id}, "picture")
                case TextDelta(text):
                    yield sse({"text": text}, "text")
                case EntityFound(entity):
                    yield sse(asdict(entity), "entity")
                case Done(description):
                    yield sse({**description.to_dict(), "picture_id": shown.id}, "result")


async def _segment(desk: Desk, request: Request, body: Segment) -> Response:
    if body.phrase is not None and body.prompt is not None:
        raise OptionError("a picture is segmented by a prompt or by a phrase, not by both")
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

    desk.check(ask)
    shown = await desk.shown(body.image, body.picture_id)
    done = await desk.told(request, shown, ask, options)
    found, drawn = await desk.aside(
        _segmented, done.description, shown, body, None if format == "json" else format,
        desk.model(),
    )  # fmt: skip
    headers = {PICTURE_ID: shown.id}
    if drawn is not None:
        return Response(drawn, media_type=_TYPES[format], headers=headers)
    content = {**found.to_dict(), "picture_id": shown.id}
    return JSONResponse(content, headers=headers)


def _segmented(
    description: Description, shown: Shown, body: Segment, format: Format | None, scope: Scope
) -> tuple[Segmentation, bytes | None]:
    picture = read_image(shown.data, name=NAME, limits=scope.limits)
    found = segment_description(
        description, picture.rgb, picture.rgb_info, body.segmenter, regions=body.regions,
        threads=scope.engine.threads,
    )  # fmt: skip
    drawn = None if format is None else _encoded(found.draw(picture.rgb), format)
    return found, drawn


def _drawn(description: Description, shown: Shown, format: Format, scope: Scope) -> bytes:
    from kosmoscope.draw import DrawStyle, annotate_svg

    picture = read_image(shown.data, name=NAME, limits=scope.limits)
    if format == "svg":
        href = picture_address(picture.rgb, Path())
        return annotate_svg(description, image_href=href, style=DrawStyle()).encode()
    return _encoded(description.draw(picture.rgb), format)


def _encoded(image: Image.Image, format: Format) -> bytes:
    out = io.BytesIO()
    image.save(out, format.upper(), **({"quality": 90} if format == "jpeg" else {}))
    return out.getvalue()


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
