"""Damage that decoders overlook, and frames counted without decoding.

Pillow does not verify the checksums of PNG pixel data, ends quietly where the pages of a TIFF run
in a circle, and needs time that grows with the square of the pages to count them. These walks
look at the containers' skeletons only: linear in the file, no allocation that a header could ask
for. All raise ValueError with a phrase that fits behind "damaged PNG: ".
"""

from __future__ import annotations

import struct
import zlib

_MAX_PAGES = 65_536
"""More pages than this are an attack on the reader's patience, not a document."""

_CUT_OFF = "the file is cut off"


def check_png(data: bytes) -> None:
    """Check every chunk's length and CRC up to IEND; what follows IEND (say, a ZIP) is ignored."""
    view = memoryview(data)
    at, first = 8, True
    while True:
        if at + 12 > len(data):
            raise ValueError(_CUT_OFF)
        (length,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8]
        end = at + 12 + length
        if first and name != b"IHDR":
            raise ValueError("it does not begin with an IHDR chunk")
        if end > len(data):
            raise ValueError(_CUT_OFF)
        (crc,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(view[at + 4 : end - 4]) != crc:
            raise ValueError(f"the chunk {name.decode('ascii', 'replace')!r} has a wrong checksum")
        if name == b"IEND":
            return
        at, first = end, False


def gif_frames(data: bytes) -> int:
    """Count the frames (https://www.w3.org/Graphics/GIF/spec-gif89a.txt).

    A missing trailer is forgiven, as browsers do; a frame that breaks off is not.
    """
    frames = 0
    try:
        at = 13 + _colours(data[10])
        while at < len(data) and data[at] in b"!,":
            if data[at] == 0x2C:
                frames += 1
                at += 11 + _colours(data[at + 9])
            else:
                at += 2
            while data[at]:
                at += data[at] + 1
            at += 1
    except IndexError:
        raise ValueError(_CUT_OFF) from None
    if not frames:
        raise ValueError("there is no picture in it")
    return frames


def _colours(flags: int) -> int:
    """Bytes of the colour table that a GIF's flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def tiff_pages(data: bytes, *, only_first: bool = False) -> int:
    """Follow the chain of image file directories and count them (TIFF 6.0, section 2; BigTIFF).

    Args:
        data: a TIFF file, or the TIFF structure of an EXIF block.
        only_first: look at the first directory and stop.
    """
    order = "<" if data[:2] == b"II" else ">"
    if data[:2] not in (b"II", b"MM"):
        raise ValueError("it does not begin with a byte order")
    try:
        (magic,) = struct.unpack_from(order + "H", data, 2)
        big = magic == 43
        offset, count, entry, start = ("Q", "Q", 20, 8) if big else ("I", "H", 12, 4)
        (at,) = struct.unpack_from(order + offset, data, start)
        seen: set[int] = set()
        while at:
            if at in seen:
                raise ValueError("its pages run in a circle")
            if len(seen) == _MAX_PAGES:
                raise ValueError(f"it has more than {_MAX_PAGES} pages")
            seen.add(at)
            (entries,) = struct.unpack_from(order + count, data, at)
            at += struct.calcsize(order + count) + entries * entry
            (at,) = struct.unpack_from(order + offset, data, at)
            if only_first:
                break
    except (struct.error, OverflowError):
        # OverflowError: a 64-bit offset that is no index at all.
        raise ValueError(_CUT_OFF) from None
    if not seen:
        raise ValueError("there is no picture in it")
    return len(seen)


def webp_canvas(data: bytes) -> tuple[int, int]:
    """Return (width, height) from a WebP header.

    Pillow's decoder allocates the canvas while it opens the file, so the size has to be known
    before (https://developers.google.com/speed/webp/docs/riff_container).
    """
    if len(data) < 30 or int.from_bytes(data[4:8], "little") + 8 > len(data):
        raise ValueError(_CUT_OFF)
    chunk = data[12:16]
    if chunk == b"VP8X":
        w, h = data[24:27], data[27:30]
        return int.from_bytes(w, "little") + 1, int.from_bytes(h, "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 ":
        w, h = data[26:28], data[28:30]
        return int.from_bytes(w, "little") & 0x3FFF, int.from_bytes(h, "little") & 0x3FFF
    raise ValueError("it does not begin with a VP8 chunk")


def png_transparency(data: bytes, key: object) -> object:
    """Bring a PNG's transparent colour to the depth at which Pillow hands out the samples.

    Pillow widens grey of 2 or 4 bits to 8 and narrows RGB of 16 bits, but not the colour in
    `info["transparency"]`.
    """
    depth = data[24]  # IHDR comes first: width, height, bit depth
    if depth in (2, 4) and isinstance(key, int) and data[25] == 0:
        return key * 255 // (2**depth - 1)
    if depth == 16 and isinstance(key, tuple):
        return tuple(v >> 8 for v in key)
    return key
