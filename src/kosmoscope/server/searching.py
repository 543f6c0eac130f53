"""`/api/v1/search`: questions in words, asked of the folder of results of the server."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from PIL import Image
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kosmoscope.errors import OptionError
from kosmoscope.gallery.thumbnails import shrunk
from kosmoscope.images import read_image
from kosmoscope.scope import Scope
from kosmoscope.server.bodies import Strict, read_json
from kosmoscope.server.desk import Desk
from kosmoscope.server.drawing import MEDIA_TYPES, colours, encoded
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.pictures import NAME
from kosmoscope.server.schema import documented, refusals
from kosmoscope.server.verbs import MOST_CHARACTERS

MOST_HITS = 1000
SIDES_PX = (64, 2048)
SIDE_PX = 480
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    # Its address says what is in it.
    "Cache-Control": "private, max-age=86400, immutable",
}


class Search(Strict):
    """A question about all pictures of the folder."""

    question: Annotated[str, StringConstraints(max_length=MOST_CHARACTERS)] = Field(
        description='In words, such as "two dogs left of a car"; docs/search.md has the grammar.'
    )
    limit: int = Field(20, ge=0, le=MOST_HITS, description="How many pictures at most.")
    cut_off: float = Field(0.5, ge=0, le=1, description="From which probability on.")


def routes(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/v1/search", tags=["kosmoscope"])
    library = desk.library

    @router.post("", **documented(Search, None, multipart=False))
    async def search(request: Request) -> Response:
        body = await read_json(request, Search, desk.settings.max_body_mb * 2**20)
        found = await desk.aside(library.answer, body.question, body.limit, body.cut_off)
        return JSONResponse(found)

    @router.get("", responses=refusals())
    async def about() -> Response:
        """How many pictures there are, and what could be asked of them."""
        return JSONResponse(await desk.aside(library.about))

    @router.get("/pictures/{picture_id}", responses=refusals())
    async def said(picture_id: str) -> Response:
        """What was said of an answer's picture before, by task."""
        found = [
            {"task": task, **one.to_dict(), "colours": colours(e.phrase for e in one.entities)}
            for task, one in await desk.aside(library.said, picture_id)
        ]
        return JSONResponse({"picture_id": picture_id, "descriptions": found})

    @router.get(
        "/pictures/{picture_id}/image",
        responses=refusals("image/jpeg"),
        openapi_extra={"parameters": [_PX]},
    )
    async def image(request: Request, picture_id: str) -> Response:
        """An answer's picture, upright, its longer side `px` at most."""
        px = _px(request.query_params.get("px"))
        data = await desk.aside(library.file, picture_id)
        if data is None:
            raise RefusedError(404, "no answer had a picture with this picture_id; search again")
        small = await desk.aside(_small, data, px, desk.model())
        return Response(small, headers=_HEADERS, media_type=MEDIA_TYPES["jpeg"])

    return router


_PX: dict[str, Any] = {
    "name": "px", "in": "query", "required": False,
    "schema": {
        "type": "integer", "minimum": SIDES_PX[0], "maximum": SIDES_PX[1], "default": SIDE_PX,
    },
}  # fmt: skip


def _px(text: str | None) -> int:
    low, high = SIDES_PX
    if text is None:
        return SIDE_PX
    # As ASCII: int() would take other digits, underscores and spaces.
    if not (text.isascii() and text.isdigit() and len(text) < 9 and low <= int(text) <= high):
        raise OptionError(f"px is {text[:20]!r}; expected a whole number, {low} to {high}")
    return int(text)


def _small(data: bytes, px: int, scope: Scope) -> bytes:
    """Return a picture anew: pixels alone, nothing of what else was in its file."""
    picture = read_image(data, name=NAME, limits=scope.limits, at_least_wh=(2 * px, 2 * px))
    return encoded(Image.fromarray(shrunk(picture.rgb, px)), "jpeg")
