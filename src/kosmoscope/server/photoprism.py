"""PhotoPrism's vision service: captions and labels.

The form is that of internal/ai/vision/api_request.go and api_response.go there.
"""

from __future__ import annotations

import uuid
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse

from kosmoscope.engine.options import GenerationOptions
from kosmoscope.export.nouns import head_noun
from kosmoscope.prompts import BRIEF, describe_prompt
from kosmoscope.results import Description
from kosmoscope.server.bodies import Loose, read_json
from kosmoscope.server.desk import Desk
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.schema import documented
from kosmoscope.server.worker import Done


class Vision(Loose):
    """What PhotoPrism sends; its model, prompt and options are its own models', passed over."""

    id: str = ""
    images: list[str] | None = None
    url: str = ""


def routes(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/v1/vision", tags=["PhotoPrism"])
    limit = desk.settings.max_body_mb * 2**20

    @router.post("/caption", **documented(Vision, None, multipart=False))
    async def caption(request: Request) -> JSONResponse:
        id, done = await _described(desk, request, limit)
        found = {
            "text": sentence(done.description.caption),
            "source": desk.model().model,
            "confidence": round(done.certainty, 4),
        }
        return _answer(desk, id, {"caption": found})

    @router.post("/labels", **documented(Vision, None, multipart=False))
    async def labels(request: Request) -> JSONResponse:
        id, done = await _described(desk, request, limit)
        return _answer(desk, id, {"labels": labels_of(done.description, desk.model().model)})

    return router


async def _described(desk: Desk, request: Request, limit: int) -> tuple[str, Done]:
    body = await read_json(request, Vision, limit)
    given = [*(body.images or ()), *([body.url] if body.url else ())]
    if len(given) != 1:
        raise RefusedError(422, f"expected one picture, in images or as url; got {len(given)}")
    shown = await desk.shown(given[0])
    done = await desk.told(request, shown, describe_prompt, GenerationOptions())
    return body.id or uuid.uuid4().hex, done


def _answer(desk: Desk, id: str, result: dict[str, Any]) -> JSONResponse:
    scope = desk.model()
    model = {
        "type": next(iter(result)), "name": scope.model, "version": scope.precision,
        "resolution": scope.engine.config.vision.image_size,
    }  # fmt: skip
    return JSONResponse({"id": id, "code": 200, "model": model, "result": result})


def sentence(caption: str) -> str:
    """Return a caption as a sentence, without "An image of"."""
    plain = caption.removeprefix(BRIEF).strip().rstrip(".")
    return plain[:1].upper() + plain[1:] + "." if plain else ""


def labels_of(description: Description, source: str) -> list[dict[str, Any]]:
    """Return a label for each noun of the phrases, the surest first.

    Its confidence is that of its best box; its topicality, the part of the picture which that has.
    """
    best: dict[str, tuple[float, float]] = {}
    for entity in description.entities:
        name = head_noun(entity.phrase)
        for box in entity.boxes:
            x1, y1, x2, y2 = box.xyxy
            found = (box.shown_score or 0.0, (x2 - x1) * (y2 - y1))
            if name:
                best[name] = max(best.get(name, found), found)
    return [
        {
            "name": name, "source": source, "priority": 0, "confidence": round(confidence, 4),
            "topicality": round(area, 4), "categories": [],
        }
        for name, (confidence, area) in sorted(best.items(), key=lambda item: -item[1][0])
    ]  # fmt: skip
