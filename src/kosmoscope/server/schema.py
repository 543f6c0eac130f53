"""The OpenAPI document's parts that come from the package's own types."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, TypeAdapter

from kosmoscope.types import GroundedCaption

_REF = "#/components/schemas/{model}"
COMPONENTS: dict[str, Any] = {}
"""Schemas that the document's others refer to."""


def _component(name: str, schema: dict[str, Any]) -> dict[str, str]:
    COMPONENTS.update(schema.pop("$defs", {}))
    COMPONENTS[name] = schema
    return {"$ref": _REF.format(model=name)}


def _description() -> dict[str, str]:
    schema = TypeAdapter(GroundedCaption).json_schema(ref_template=_REF, mode="serialization")
    schema["properties"] |= {
        "schema": {"type": "integer"},
        "picture_id": {"type": "string"},
        "colours": {
            "type": "object",
            "description": "Of each phrase in annotated pictures, #rrggbb.",
            "additionalProperties": {"type": "string"},
        },
    }
    return _component("Description", schema)


DESCRIPTION = _description()
SEGMENTATION = _component(
    "Segmentation",
    {
        "type": "object",
        "description": "Every pixel with one name: segments with run lengths, as in COCO.",
        "properties": {
            "picture_id": {"type": "string"},
            "caption": {"type": "string"},
            "colours": {
                "type": "array",
                "description": "Of each label, from 0, #rrggbb.",
                "items": {"type": "string"},
            },
        },
    },
)
_ERROR = _component(
    "Error",
    {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "type", "message"],
                "properties": {
                    "code": {"type": "integer"},
                    "type": {"type": "string"},
                    "message": {"type": "string"},
                },
            }
        },
    },
)
_REFUSED = {
    400: "Not JSON, not base64, not multipart, no bytes.", 401: "No token, or a wrong one.",
    403: "A page of another origin, or another host's name.",
    404: "No such model or picture.", 408: "The body took too long.",
    413: "Too large, or compressed.", 415: "Not a kind of picture, or of body, that is read.",
    422: "A value that cannot be used.", 429: "Too many requests.",
    500: "A defect.", 501: "A library is missing.", 503: "Loading, or shutting down.",
    504: "Out of time.",
}  # fmt: skip


def documented(
    body: type[BaseModel], answer: dict[str, str] | None, *, multipart: bool = True
) -> dict[str, Any]:
    """Return what a route's decorator takes to describe it.

    Args:
        body: of the request.
        answer: the schema of a 200.
        multipart: the body may be a form, too.
    """
    schema = _component(body.__name__, body.model_json_schema(ref_template=_REF))
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if multipart:
        content["multipart/form-data"] = {"schema": schema}
    responses = refusals(error=_ERROR if multipart else {})
    responses[200]["content"]["application/json"]["schema"] = answer or {}
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
        "responses": responses,
    }


def refusals(
    answered: str = "application/json", error: dict[str, str] = _ERROR
) -> dict[int | str, dict[str, Any]]:
    """Return what a route may answer, by status.

    Args:
        answered: the type of a 200.
        error: the schema of all others.
    """
    said: dict[int | str, dict[str, Any]] = {
        status: {"description": words, "content": {"application/json": {"schema": error}}}
        for status, words in _REFUSED.items()
    }
    said[200] = {"description": "The answer.", "content": {answered: {"schema": {}}}}
    return said
