"""Requests' bodies, read within limits: JSON, or multipart with a picture's file in it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from kosmoscope.engine.options import GenerationOptions
from kosmoscope.files.text import one_line
from kosmoscope.server.failures import RefusedError

BODY_S = 60.0
"""How long a body may take to come."""
MOST_PARTS = 32

B = TypeVar("B", bound=BaseModel)


class Strict(BaseModel):
    """A body whose fields are all known: others are refused."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Loose(BaseModel):
    """A body of another protocol, whose clients send more than is used here."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())


async def read_json(request: Request, model: type[B], limit: int) -> B:
    """Return a JSON body.

    Args:
        request: whatever its Content-Type says: several clients say nothing, or form.
        model: what it should be.
        limit: of its bytes.

    Raises:
        RefusedError: too large, not JSON, or not as the model says.
    """
    return _checked(model, _json(await read_body(request, limit)))


async def read_either(request: Request, model: type[B], limit: int) -> B:
    """Return a body of JSON or multipart; in the latter, `image` is a file and others are text.

    Raises:
        RefusedError: as `read_json`, and for another Content-Type.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return await read_json(request, model, limit)
    if kind != "multipart/form-data":
        got = repr(kind) if kind else "missing"
        raise RefusedError(
            415, f"Content-Type is {got}; expected application/json or multipart/form-data"
        )
    body = await read_body(request, limit)
    boundary = re.search(r'boundary="?([^";]+)', request.headers["content-type"])
    if boundary is None or f"--{boundary[1].strip()}--".encode() not in body:
        raise RefusedError(400, "multipart body: broken off")

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body
        yield b""

    parser = MultiPartParser(
        request.headers, stream(), max_files=1, max_fields=MOST_PARTS, max_part_size=limit
    )
    try:
        form = await parser.parse()
    except MultiPartException as e:
        many = e.message.startswith(("Too many", "Part exceeded"))
        raise RefusedError(413 if many else 400, f"multipart body: {e.message}") from None
    except (KeyError, UnicodeError, ValueError, AssertionError):
        raise RefusedError(400, "multipart body: malformed") from None
    values: dict[str, Any] = {}
    try:
        for name, value in form.multi_items():
            if name in values:
                raise RefusedError(400, f"multipart body: {one_line(name)} occurs twice")
            if isinstance(value, UploadFile):
                values[name] = await value.read()
            else:
                values[name] = _text(name, value, model)
    finally:
        await form.close()
    return _checked(model, values)


async def read_body(request: Request, limit: int) -> bytes:
    """Return a body of at most so many bytes.

    Raises:
        RefusedError: it is larger, compressed, or takes too long.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RefusedError(413, "a compressed body; expected one as it is")
    said = request.headers.get("content-length", "")
    too_large = RefusedError(413, f"the body has more than {limit} bytes", {"Connection": "close"})
    if said.isdecimal() and int(said) > limit:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise too_large
                parts.append(part)
    except TimeoutError:
        raise RefusedError(408, f"the body did not come within {BODY_S:g} s") from None
    except ClientDisconnect:
        raise RefusedError(400, "the body broke off") from None
    return b"".join(parts)


def generation(values: dict[str, Any] | None) -> GenerationOptions:
    """Return the options of a request. Raises `OptionError`."""
    return GenerationOptions.of(**(values or {}))


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise RefusedError(422, "the body is not a JSON object")
    if _has_nul(value):
        raise RefusedError(400, "a NUL character in a text")
    return value


def _text(name: str, text: str, model: type[BaseModel]) -> Any:
    """Return a form's field: as JSON where the model has a list, an object or a number."""
    if "\0" in text:
        raise RefusedError(400, "a NUL character in a text")
    field = model.model_fields.get(name)
    if field is None or field.annotation in (str, str | None, str | bytes | None):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _has_nul(value: Any) -> bool:
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            if "\0" in found:
                return True
        elif isinstance(found, dict):
            waiting += [*found.keys(), *found.values()]
        elif isinstance(found, list):
            waiting += found
    return False


def _checked(model: type[B], value: Any) -> B:
    try:
        return model.model_validate(value)
    except ValidationError as e:
        first = e.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RefusedError(
            422, one_line(f"{where}: {first['msg']}" if where else first["msg"])
        ) from None
