"""Makes the odd and hostile pictures that the tests read; bytes by hand where no encoder would."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms

RED, GREEN, BLUE, WHITE, BLACK = (
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 255),
    (0, 0, 0),
)


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(width: int, height: int) -> np.ndarray:
    """(H, W, 3) uint8: a ramp in x, one in y and one in both; survives lossy codecs."""
    y, x = np.mgrid[0:height, 0:width]
    x, y = x * 255 // max(1, width - 1), y * 255 // max(1, height - 1)
    return np.stack([x, y, (x + y) // 2], axis=-1).astype(np.uint8)


def encode(image: Image.Image | np.ndarray, format: str, **options: Any) -> bytes:
    """Save an image into bytes."""
    # Copies, since Pillow leaves one encoder's settings on an image for the next.
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image.copy()
    if "append_images" in options:
        options["append_images"] = [more.copy() for more in options["append_images"]]
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def turned(upright: np.ndarray, orientation: int) -> np.ndarray:
    """What a camera stores under this EXIF orientation so that `upright` is displayed."""
    return np.ascontiguousarray(
        {
            1: lambda u: u,
            2: lambda u: u[:, ::-1],
            3: lambda u: u[::-1, ::-1],
            4: lambda u: u[::-1],
            5: lambda u: u.transpose(1, 0, 2),
            6: lambda u: np.rot90(u),
            7: lambda u: u[::-1, ::-1].transpose(1, 0, 2),
            8: lambda u: np.rot90(u, -1),
        }[orientation](upright)
    )


def chunk(name: bytes, body: bytes, crc: int | None = None) -> bytes:
    """One PNG chunk; a CRC is computed unless given."""
    crc = zlib.crc32(name + body) if crc is None else crc
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)


def png(
    width: int,
    height: int,
    rows: bytes,
    *,
    depth: int = 8,
    colour: int = 2,
    before: bytes = b"",
    after: bytes = b"",
    idat_crc: int | None = None,
) -> bytes:
    """A PNG from raw samples; `colour` 0 grey, 2 RGB, 3 palette. Rows get filter 0."""
    samples = {0: 1, 2: 3, 3: 1}[colour]
    stride = (width * depth * samples + 7) // 8
    lines = b"".join(b"\0" + rows[i : i + stride] for i in range(0, len(rows), stride or 1))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
        + before
        + chunk(b"IDAT", zlib.compress(lines), idat_crc)
        + after
        + chunk(b"IEND", b"")
    )


def text_bomb() -> bytes:
    """A small PNG with a text chunk that inflates to 64 MiB."""
    packed = zlib.compress(bytes(64 * 2**20), 9)
    return png(1, 1, b"abc", before=chunk(b"zTXt", b"Comment\0\0" + packed))


def looping_tiff() -> bytes:
    """A good one-page TIFF, but its directory names itself as the next one."""
    data = bytearray(encode(smooth(8, 8), "TIFF"))
    (at,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, at)
    struct.pack_into("<I", data, at + 2 + 12 * entries, at)
    return bytes(data)


def webp_bomb(width: int, height: int) -> bytes:
    """A WebP of 30-odd bytes that claims a canvas."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size
    return b"RIFF" + struct.pack("<I", len(body)) + body


def ycck_jpeg(rgb: tuple[int, int, int], key: int) -> bytes:
    """An Adobe YCCK JPEG of one colour.

    Args:
        rgb: the inks as red, green, blue before black is printed over them.
        key: how much black, 0..255.
    """
    # What is stored is YCbCr of the inverted inks (which is RGB) and inverted black. Pillow writes
    # any four planes, inverting each, as "no transform"; the marker's last byte then says YCCK.
    inks = tuple(255 - v for v in rgb)
    y, cb, cr = Image.new("RGB", (1, 1), inks).convert("YCbCr").getpixel((0, 0))
    planes = [Image.new("L", (16, 16), v) for v in (255 - y, 255 - cb, 255 - cr, key)]
    data = bytearray(
        encode(Image.merge("CMYK", planes), "JPEG", quality=100, subsampling=0, keep_rgb=False)
    )
    at = data.index(b"Adobe")
    assert data[at + 11] == 0, "expected an Adobe marker without transform"
    data[at + 11] = 2
    return bytes(data)


def swapped_profile() -> bytes:
    """An ICC profile like sRGB with red and green changed places, under another name."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for tags in ((b"rXYZ", b"gXYZ"), (b"rTRC", b"gTRC")):
        a, b = (data.index(tag) for tag in tags)
        data = bytearray(data)
        data[a : a + 4], data[b : b + 4] = tags[1], tags[0]
        data = bytes(data)
    return data.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))


def media(major: bytes, *compatible: bytes) -> bytes:
    """The head of an ISO media file (HEIC, MP4 ...)."""
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", 4 + len(body)) + body + bytes(64)
