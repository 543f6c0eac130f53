"""JSON to checked values: one line says which file, which field, and what was expected there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from kosmoscope.errors import InputError, KosmoscopeError
from kosmoscope.files.text import reason, shown_name

T = TypeVar("T")


def read_object(path: Path, error: type[KosmoscopeError] = InputError) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        InputError: (or `error`) it cannot be read, or is something else; the message names it.
    """
    try:
        return json_object(path.read_bytes())
    except OSError as e:
        raise error(f"{shown_name(path)}: cannot be read: {e.strerror or e}") from e
    except InputError as e:
        raise error(f"{shown_name(path)}: {e}") from e


def json_object(text: str | bytes) -> dict[str, Any]:
    """Return the JSON object that a text is.

    Raises:
        InputError: it is something else.
    """
    try:
        data = json.loads(text)
    # ValueError: no JSON, or no UTF-8. RecursionError: a file of nothing but brackets.
    except (ValueError, RecursionError) as e:
        raise InputError(f"not JSON: {reason(e)}") from e
    if not isinstance(data, dict):
        raise InputError(f"expected a JSON object, got {type(data).__name__}")
    return data


def checked(data: Any, kind: type[T]) -> T:
    """Return plain data as a dataclass (or dict, list ...), every field of the type that it says.

    Lists become tuples where the class wants them; fields that the class does not have are passed
    over, so that files of later versions can be read.

    Raises:
        InputError: a field is missing or of another type or shape; the message names it.
    """
    import msgspec  # here: results are made far more often than they are read

    try:
        return msgspec.convert(data, kind, str_keys=True)  # JSON has no other keys
    except (msgspec.ValidationError, OverflowError) as e:
        raise InputError(reason(e).replace("`$.", "`")) from e
