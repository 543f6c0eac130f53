"""`/api/v1/export`: a result as a file: other programs' formats, annotated pictures, cut-outs."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from fastapi import APIRouter
from PIL import Image
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from kosmoscope.errors import InputError, OptionError
from kosmoscope.export import FORMATS, export, formats
from kosmoscope.images import Picture, read_image
from kosmoscope.masks import Mask, cut_out
from kosmoscope.results import Description
from kosmoscope.scope import Scope
from kosmoscope.segment import Segmentation
from kosmoscope.segment.registry import SEGMENTERS
from kosmoscope.segment.run import segment_description
from kosmoscope.server.bodies import read_either
from kosmoscope.server.desk import Desk
from kosmoscope.server.drawing import MEDIA_TYPES, Drawn, drawn, encoded
from kosmoscope.server.given import given
from kosmoscope.server.native import OfPicture, Text
from kosmoscope.server.pictures import NAME, Shown
from kosmoscope.server.schema import documented

CUT_OUT = "cutout"
_TYPES = {
    ".json": "application/json", ".jsonl": "application/x-ndjson", ".csv": "text/csv",
    ".html": "text/html", ".md": "text/markdown", ".txt": "text/plain", ".xml": "text/xml",
    ".yaml": "text/yaml",
}  # fmt: skip
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""ZIP's first day: equal results are equal files."""


class Export(OfPicture):
    """A result, and what is to be made of it."""

    description: dict[str, Any] = Field(description="A result, as a verb answered it.")
    to: str = Field(
        description="png, jpeg, svg: the annotated picture; cutout: what has a box, on nothing, "
        "as PNG; or a format of `kosmoscope export`. A folder comes as a ZIP file."
    )
    file: Text = Field("", description="Of a folder, this file alone, such as labels.json of coco.")
    name: Text = Field("", description="What the picture is called in it.")
    min_score: float | None = Field(None, description="Leave out boxes of lower scores, 0..1.")
    entity: int | None = Field(None, description="Of a cut-out: this one alone, from 0.")
    segmenter: str = Field("classical", description="For cut-outs, and formats that have masks.")


def routes(desk: Desk) -> APIRouter:
    """Return the route."""
    router = APIRouter(prefix="/api/v1", tags=["kosmoscope"])
    limit = desk.settings.max_body_mb * 2**20

    @router.post("/export", **documented(Export, None))
    async def exported(request: Request) -> Response:
        body = await read_either(request, Export, limit)
        _check(body)
        shown = await desk.shown(body.image, body.picture_id)
        description = given(body.description, shown.image, PurePosixPath(body.name).name)
        if body.min_score is not None:
            description = description.chosen(min_score=body.min_score)
        name, content, kind = await desk.aside(_made, body, description, shown, desk.model())
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type=kind, headers=headers)

    return router


def _check(body: Export) -> None:
    known = (*MEDIA_TYPES, CUT_OUT, *formats(), *formats("segmentations"))
    if body.to not in known:
        raise OptionError(f"no format {body.to!r}; there are {', '.join(known)}")
    if body.segmenter not in SEGMENTERS:
        raise OptionError(f"no segmenter {body.segmenter!r}; there are {SEGMENTERS.names()}")
    if body.entity is not None and body.to != CUT_OUT:
        raise OptionError("entity is of cut-outs")


def _made(
    body: Export, description: Description, shown: Shown, scope: Scope
) -> tuple[str, bytes, str]:
    """Return a file's name, its contents and their type."""
    for format, kind in MEDIA_TYPES.items():
        if body.to == format:
            return f"annotated.{format}", drawn(description, shown, format, scope), kind
    if body.to == CUT_OUT:
        png: Drawn = "png"
        return "cutout.png", encoded(_cut_out(body, description, shown, scope), png), "image/png"
    found: list[Any] = [description]
    if FORMATS.get(body.to).takes == "segmentations":
        picture = read_image(shown.data, name=description.image.path, limits=scope.limits)
        found = [_segmented(body, description, picture, scope)]
    return _packed(found, body.to, body.file)


def _segmented(
    body: Export, description: Description, picture: Picture, scope: Scope
) -> Segmentation:
    return segment_description(
        description, picture.rgb, picture.rgb_info, body.segmenter, threads=scope.engine.threads
    )


def _cut_out(body: Export, description: Description, shown: Shown, scope: Scope) -> Image.Image:
    """Return what has a name, or one entity of it, on nothing."""
    if body.entity is not None and not 0 <= body.entity < len(description.entities):
        raise OptionError(f"entity {body.entity}; there are {len(description.entities)}, from 0")
    picture = read_image(shown.data, name=NAME, limits=scope.limits, alpha=True)
    found = _segmented(body, description, picture, scope)
    wanted = body.entity
    mask = Mask(found.labels > 0) if wanted is None else found.entity_mask(wanted)
    if mask.xyxy_px is None:
        raise InputError("nothing to cut out: no box")
    return cut_out(picture.rgb, mask, alpha=picture.alpha)


def _packed(found: list[Any], to: str, wanted: str) -> tuple[str, bytes, str]:
    """Return what is exported; of a folder of several files the one that is wanted, or a ZIP."""
    with tempfile.TemporaryDirectory(prefix="kosmoscope-") as scratch:
        path = Path(scratch) / f"{to}{FORMATS.get(to).suffix}"
        export(found, path, to)
        paths = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        files = {p.relative_to(path).as_posix(): p for p in paths if p.name[0] != "."}
        if wanted and wanted not in files:
            raise OptionError(f"no file {wanted!r} in {to}; there are {', '.join(files)}")
        if wanted or len(files) == 1:
            file = files.get(wanted) or next(iter(files.values()))
            kind = _TYPES.get(file.suffix, "application/octet-stream")
            return f"{to}{file.suffix}", file.read_bytes(), kind
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, file in files.items():
                packed.writestr(zipfile.ZipInfo(name, _EPOCH), file.read_bytes())
        return f"{to}.zip", out.getvalue(), "application/zip"
