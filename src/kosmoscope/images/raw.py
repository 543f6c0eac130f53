"""Cameras' raw files that are TIFFs: told from pictures, since what Pillow would read of them is a
small preview, or the sensor's mosaic.

DNG 1.7.1, chapter 2 (DNGVersion, CFA and LinearRaw); TIFF/EP (ISO 12234-2), which NEF, ARW, PEF,
SRW and others follow: the first directory is a reduced picture, the sensor's lies in SubIFDs.
"""

from __future__ import annotations

import struct

_NEW_SUBFILE_TYPE, _COMPRESSION, _PHOTOMETRIC, _SUB_IFDS = 0x00FE, 0x0103, 0x0106, 0x014A
_DNG_VERSION = 0xC612
_MOSAICS = {32803, 34892}
"""Photometric interpretations: a colour filter array, linear raw."""
_SENSORS = {32767, 32769, 32770, 34713, 65000, 65535}
"""Compressions of Sony, Epson, Samsung, Nikon, Kodak and Pentax."""
_TYPES = {1: (1, "B"), 3: (2, "H"), 4: (4, "I"), 13: (4, "I"), 16: (8, "Q"), 18: (8, "Q")}
"""Whole numbers, by the type of a field: their size, and how they are read."""
_MOST_DIRECTORIES, _MOST_ENTRIES, _MOST_VALUES = 32, 1024, 16

_Fields = dict[int, tuple[int, ...]]


def is_camera_raw(data: bytes) -> bool:
    """Say whether a TIFF is a camera's raw file. A damaged one is not, as far as that is seen."""
    try:
        return _is_raw(data)
    except (struct.error, OverflowError):
        return False


def _is_raw(data: bytes) -> bool:
    order = "<" if data[:2] == b"II" else ">"
    (magic,) = struct.unpack_from(order + "H", data, 2)
    big = magic == 43
    (first,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    waiting, seen = [first], set[int]()
    while waiting and len(seen) < _MOST_DIRECTORIES:
        at = waiting.pop(0)
        if not at or at in seen:
            continue
        fields, following = _directory(data, at, order, big)
        if _DNG_VERSION in fields or _MOSAICS.intersection(fields.get(_PHOTOMETRIC, ())):
            return True
        if _SENSORS.intersection(fields.get(_COMPRESSION, ())):
            return True
        below = fields.get(_SUB_IFDS, ())
        # A first picture that says it is a reduced one, with the whole one below it.
        if not seen and below and any(v & 1 for v in fields.get(_NEW_SUBFILE_TYPE, ())):
            return True
        seen.add(at)
        waiting += [*below, following]
    return False


def _directory(data: bytes, at: int, order: str, big: bool) -> tuple[_Fields, int]:
    """Return the fields that matter of a directory, and where the next one is."""
    count_format, entry_size, offset_format = ("Q", 20, "Q") if big else ("H", 12, "I")
    (count,) = struct.unpack_from(order + count_format, data, at)
    start = at + struct.calcsize(order + count_format)
    inline = struct.calcsize(order + offset_format)
    fields: _Fields = {}
    for entry in range(start, start + min(count, _MOST_ENTRIES) * entry_size, entry_size):
        tag, kind, values = struct.unpack_from(f"{order}HH{offset_format}", data, entry)
        if tag not in (_NEW_SUBFILE_TYPE, _COMPRESSION, _PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION):
            continue
        size, letter = _TYPES.get(kind, (0, ""))
        if not size or not values:
            continue
        place = entry + 4 + inline
        if size * values > inline:
            (place,) = struct.unpack_from(order + offset_format, data, place)
        number = min(values, _MOST_VALUES)
        fields[tag] = struct.unpack_from(f"{order}{number}{letter}", data, place)
    (following,) = struct.unpack_from(order + offset_format, data, start + count * entry_size)
    return fields, int(following)
