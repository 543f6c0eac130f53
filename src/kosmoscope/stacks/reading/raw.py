"""Where a NRRD or MetaImage file keeps its voxels, if as they are: then they can be mapped.

SimpleITK reads geometry and types of both, and does not say this. Both heads are lines of text
(teem's NRRD format, ITK's MetaImage); what is not read here is read by SimpleITK as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_LINE = re.compile(r"\s*([^:=]+?)\s*(?::|=)\s*(.*?)\s*\Z")
_SKIPS = frozenset(("line skip", "lineskip", "byte skip", "byteskip"))
_MOST_LINES = 1000
_MOST_BYTES = 10_000
"""Of a line; one line holds a matrix or a comment."""

Order = Literal["<", ">"]


@dataclass(frozen=True, slots=True)
class Raw:
    """Voxels in one piece."""

    path: Path
    offset: int
    """Bytes before the first one."""
    order: Order
    """Of bytes, as NumPy has it: "<" or ">"."""


def raw_voxels(path: Path, size: int) -> Raw | None:
    """Return where the voxels are; None where they are packed, text, or in several files.

    Args:
        path: the file with the head.
        size: of all voxels, in bytes; a file with fewer is not mapped.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        nrrd = file.read(4) == b"NRRD"
        file.seek(0)
        said: dict[str, str] = {}
        for _ in range(_MOST_LINES):
            line = file.readline(_MOST_BYTES)
            if nrrd and line in (b"\n", b"\r\n", b""):
                break
            key, value = _told(line)
            said[key] = value
            if not nrrd and (key == "elementdatafile" or not line):
                break
        found = (_nrrd if nrrd else _meta)(said, path, file.tell())
    if found is None or not found.path.is_file():
        return None
    return found if found.path.stat().st_size >= found.offset + size else None


def _told(line: bytes) -> tuple[str, str]:
    match = _LINE.match(line.decode("ascii", "replace"))
    return (match[1].lower(), match[2]) if match else ("", "")


def _nrrd(said: dict[str, str], path: Path, after: int) -> Raw | None:
    if said.get("encoding") != "raw" or _SKIPS & said.keys():
        return None
    order: Order = ">" if said.get("endian") == "big" else "<"
    return _placed(said.get("data file", said.get("datafile", "")), path, after, order)


def _meta(said: dict[str, str], path: Path, after: int) -> Raw | None:
    def true(*names: str) -> bool:
        return any(said.get(name, "").lower() == "true" for name in names)

    if true("compresseddata") or not true("binarydata") or int(said.get("headersize") or 0):
        return None
    order: Order = ">" if true("binarydatabyteordermsb", "elementbyteordermsb") else "<"
    name = said.get("elementdatafile", "LIST")
    return _placed("" if name == "LOCAL" else name, path, after, order)


def _placed(name: str, path: Path, after: int, order: Order) -> Raw | None:
    """Return voxels of a file beside the head, or, without a name, of the same one after it."""
    if not name:
        return Raw(path, after, order)
    if name.upper().startswith("LIST") or "%" in name:  # one file a slice
        return None
    return Raw(path.parent / name, 0, order)
