"""File names in JSON: every name that a file system can hold, in text that every parser reads."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

from kosmoscope.files.text import utf8


def named(path: str, base: str = "") -> dict[str, str]:
    """Return the fields that name a path in a record.

    ``source``, for a relative path ``base``, the folder that it is relative to, and for a name
    that is not UTF-8 also ``source_base64`` (``base_base64``), its exact bytes.
    """
    if not base or os.path.isabs(path):  # noqa: PTH117 (a str)
        return path_field("source", path)
    return {**path_field("source", path), **path_field("base", base)}


def path_field(field: str, path: str) -> dict[str, str]:
    """Return the field of a path, and where that is not UTF-8 one with its exact bytes."""
    name = utf8(path)
    if name == path:
        return {field: name}
    try:
        raw = base64.b64encode(os.fsencode(path)).decode("ascii")
    except UnicodeEncodeError:
        return {field: name}
    return {field: name, f"{field}_base64": raw}


def path_in(fields: Mapping[str, Any], field: str = "source") -> str:
    """Return the exact path in a record, from the fields that `named` gives.

    Raises:
        LookupError, TypeError, ValueError: there is none.
    """
    raw = fields.get(f"{field}_base64")
    if raw is not None:
        return os.fsdecode(base64.b64decode(raw, validate=True))
    path = fields[field]
    if not isinstance(path, str):
        raise TypeError(f"{field} is {type(path).__name__}; expected a text")
    return path


def json_line(record: Mapping[str, Any]) -> bytes:
    """Return a record as one line of UTF-8 with its newline.

    Unicode's own line breaks are escaped, so that every splitter leaves the line whole.
    """
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    for mark in "\x85\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text.encode("utf-8") + b"\n"
