"""What a file is called that is no picture, or one that is not read: by its bytes."""

from __future__ import annotations

import struct

import numpy as np
import pytest

import pictures
from kosmoscope.errors import CorruptImageError, UnsupportedImageError
from kosmoscope.images import read_image
from kosmoscope.images.kinds import identify
from kosmoscope.images.raw import is_camera_raw

RAW = "a camera's raw file"


def tiff(
    *directories: dict[int, tuple[int, ...]],
    subs: tuple[dict[int, tuple[int, ...]], ...] = (),
    order: str = "<",
) -> bytes:
    """A TIFF of directories without pixels; those of `subs` lie below the first."""
    data = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 0))

    def add(fields: dict[int, tuple[int, ...]], link: int) -> int:
        """Append a directory, write its offset at `link`; return where its own link is."""
        blobs = {}
        for tag, values in fields.items():
            if len(values) > 1:
                blobs[tag] = len(data)
                data.extend(struct.pack(f"{order}{len(values)}I", *values))
        at = len(data)
        if link:
            struct.pack_into(order + "I", data, link, at)
        data.extend(struct.pack(order + "H", len(fields)))
        for tag, values in sorted(fields.items()):
            value = blobs.get(tag, values[0])
            data.extend(struct.pack(order + "HHII", tag, 4, len(values), value))
        data.extend(bytes(4))
        return len(data) - 4

    below = []
    for one in subs:
        add(one, 0)
        below.append(len(data) - 4 - 12 * len(one) - 2)
    link = 4
    for i, fields in enumerate(directories):
        link = add({**fields, 0x014A: tuple(below)} if below and not i else fields, link)
    return bytes(data)


SIZE = {0x0100: (64,), 0x0101: (48,)}
CAMERAS = {
    "DNG": tiff({**SIZE, 0x00FE: (1,), 0xC612: (1,)}, subs=({**SIZE, 0x0106: (32803,)},)),
    "linear DNG": tiff({**SIZE, 0xC612: (1,)}),
    "NEF": tiff({**SIZE, 0x00FE: (1,)}, subs=(SIZE, {**SIZE, 0x0103: (34713,)}), order=">"),
    "ARW": tiff({**SIZE, 0x00FE: (1,), 0x0103: (6,)}, subs=({**SIZE, 0x0103: (32767,)},)),
    "PEF": tiff({**SIZE, 0x0103: (65535,), 0x0106: (32803,)}, SIZE, order=">"),
    "preview first": tiff({**SIZE, 0x00FE: (1,)}, subs=({**SIZE, 0x00FE: (0,)},)),
    "ORF": b"IIRO\x08\0\0\0" + bytes(64),
    "RW2": b"IIU\0\x18\0\0\0" + bytes(64),
    "RAF": b"FUJIFILMCCD-RAW 0201" + bytes(64),
    "CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(64),
    "CR3": pictures.media(b"crx ", b"isom"),
    "X3F": b"FOVb" + bytes(64),
}


@pytest.mark.parametrize("data", CAMERAS.values(), ids=CAMERAS)
def test_raw_files_are_called_so_and_never_read_as_their_preview(data: bytes) -> None:
    with pytest.raises(UnsupportedImageError, match=f"this is {RAW}; expected"):
        read_image(data)


def test_a_raw_file_with_a_preview_that_would_open_is_not_read_as_it() -> None:
    preview = pictures.encode(pictures.smooth(16, 12), "TIFF", tiffinfo={0xC612: b"\1\4\0\0"})
    with pytest.raises(UnsupportedImageError, match=RAW):
        read_image(preview)


def test_other_tiffs_are_pictures() -> None:
    for options in ({}, {"compression": "tiff_lzw"}, {"compression": "jpeg"}):
        data = pictures.encode(pictures.smooth(64, 48), "TIFF", **options)
        assert not is_camera_raw(data)
        assert read_image(data).rgb.shape == (48, 64, 3)
    # A pyramid: the whole picture first, reduced ones below it.
    assert not is_camera_raw(tiff({**SIZE, 0x00FE: (0,)}, subs=({**SIZE, 0x00FE: (1,)},)))
    pages = pictures.encode(
        pictures.smooth(8, 8), "TIFF", save_all=True, append_images=[_page()] * 40
    )
    assert read_image(pages).info.frames == 41


def _page() -> object:
    from PIL import Image

    return Image.new("RGB", (8, 8))


def test_damaged_directories_are_no_raw_files() -> None:
    rng = np.random.default_rng(0)
    for data in CAMERAS.values():
        for _ in range(200):
            torn = bytearray(data[: rng.integers(8, len(data) + 1)])
            for _ in range(3):
                torn[rng.integers(2, len(torn))] = rng.integers(0, 256)
            is_camera_raw(bytes(torn))  # whatever it says, it says it
    with pytest.raises(CorruptImageError):
        read_image(b"II*\0" + struct.pack("<I", 2**31) + bytes(64))


@pytest.mark.parametrize(
    ("data", "label"),
    [
        (pictures.media(b"heic", b"mif1"), "HEIC"),
        (pictures.media(b"mif1", b"heix"), "HEIC"),
        (pictures.media(b"mif1"), "HEIC"),
        (pictures.media(b"miaf", b"avif"), "AVIF"),
        (pictures.media(b"avis", b"msf1"), "AVIF"),
        (pictures.media(b"mif1", b"avci"), "HEIF with AVC"),
        (pictures.media(b"isom", b"mp41"), "a video"),
        (pictures.media(b"mp42", b"heic"), "a video"),
        (pictures.media(b"3gp4", b"isom"), "a video"),
        (pictures.media(b"qt  "), "a video (QuickTime)"),
        (b"\0\0\0\x08wide\0\0\0\0mdat" + bytes(64), "a video (QuickTime)"),
        (pictures.media(b"M4A "), "a sound file"),
        (pictures.media(b"jxl "), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(64), "JPEG XL"),
        (b"\xff\x0a" + bytes(64), "JPEG XL"),
        (pictures.media(b"jp2 "), "JPEG 2000"),
    ],
)
def test_files_in_one_container_are_told_apart(data: bytes, label: str) -> None:
    kind = identify(data)
    assert kind is not None
    assert kind.label == label


def test_text_is_no_video() -> None:
    assert identify(b"some free words") is None
