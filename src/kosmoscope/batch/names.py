"""File names in JSON: every name that a file system can hold, in text that every parser reads."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

from kosmoscope.files.text import utf8


def named(path: str) -> dict[str, str]:
    """Return the fields that name a path in a record.

    ``source``, and where the name is not UTF-8 also ``source_base64``, its exact bytes.
    """
    name = utf8(path)
    if name == path:
        return {"source": name}
    try:
        raw = base64.b64encode(os.fsencode(path)).decode("ascii")
    except UnicodeEncodeError:
        return {"source": name}
    return {"source": name, "source_base64": raw}


def key_of(fields: Mapping[str, Any]) -> str:
    """Return what tells the paths of records apart, from the fields that `named` gives."""
    raw = fields.get("source_base64")
    if raw is not None:
        return f"\0{raw}"  # no path contains NUL
    return str(fields["source"])


def json_line(record: Mapping[str, Any]) -> bytes:
    """Return a record as one line of UTF-8 with its newline.

    Unicode's own line breaks are escaped, so that every splitter leaves the line whole.
    """
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    for mark in "\x85\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text.encode("utf-8") + b"\n"
