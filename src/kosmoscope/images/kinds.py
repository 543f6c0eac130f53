"""What a file is, by its first bytes. The file's name is never asked."""

from __future__ import annotations

import re
from dataclasses import dataclass

HEAD_BYTES = 4096
"""How much of a file `identify` wants to see; markup may begin after comments."""

READABLE = "JPEG, PNG, GIF, WebP, TIFF, BMP, PPM/PGM/PBM/PFM, AVIF, and HEIC with a plug-in"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: what to call it, and Pillow's name for it if it is on the allow-list."""

    label: str
    pillow: str | None = None


# The allow-list is short on purpose: each decoder in it is widely used on untrusted files. Left
# out although Pillow could read them: EPS and PSD (one starts Ghostscript), JPEG 2000, ICO and
# ICNS (pictures within pictures whose size only shows on decoding), and the museum pieces.
_JPEG = Kind("JPEG", "JPEG")
_AVIF = Kind("AVIF", "AVIF")
_HEIF = Kind("HEIC", "HEIF")
_VIDEO = Kind("a video")
CAMERA_RAW = Kind("a camera's raw file")
_JXL = Kind("JPEG XL")
_JP2 = Kind("JPEG 2000")

_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\xd8\xff", _JPEG),
    (b"\x89PNG\r\n\x1a\n", Kind("PNG", "PNG")),
    (b"GIF87a", Kind("GIF", "GIF")),
    (b"GIF89a", Kind("GIF", "GIF")),
    # Cameras' raw files, as far as the first bytes tell; others are TIFFs, see `raw`.
    (b"II*\0\x10\0\0\0CR", CAMERA_RAW),  # Canon
    (b"II\x1a\0\0\0HEAPCCDR", CAMERA_RAW),
    (b"IIRO", CAMERA_RAW),  # Olympus
    (b"IIRS", CAMERA_RAW),
    (b"MMOR", CAMERA_RAW),
    (b"IIU\0", CAMERA_RAW),  # Panasonic, Leica
    (b"FUJIFILMCCD-RAW", CAMERA_RAW),
    (b"\0MRM", CAMERA_RAW),  # Minolta
    (b"FOVb", CAMERA_RAW),  # Sigma
    (b"II*\0", Kind("TIFF", "TIFF")),
    (b"MM\0*", Kind("TIFF", "TIFF")),
    (b"II+\0", Kind("TIFF", "TIFF")),
    (b"MM\0+", Kind("TIFF", "TIFF")),
    (b"BM", Kind("BMP", "BMP")),
    (b"%PDF", Kind("a PDF")),
    (b"%!PS", Kind("PostScript (EPS)")),
    (b"\xc5\xd0\xd3\xc6", Kind("PostScript (EPS)")),
    (b"8BPS", Kind("a Photoshop document (PSD)")),
    (b"SIMPLE  =", Kind("FITS")),
    (b"\0\0\0\x0cjP  ", _JP2),
    (b"\xff\x4f\xff\x51", _JP2),
    (b"\0\0\0\x0cJXL ", _JXL),
    (b"\xff\x0a", _JXL),
    (b"\0\0\1\0", Kind("an icon (ICO)")),
    (b"\x76\x2f\x31\x01", Kind("OpenEXR")),
    (b"\x1a\x45\xdf\xa3", _VIDEO),
    (b"\0\0\1\xba", _VIDEO),
    (b"\0\0\1\xb3", _VIDEO),
    (b"FLV\1", _VIDEO),
    (b"OggS", _VIDEO),
    (b"PK\3\4", Kind("a ZIP archive")),
    (b"\x1f\x8b", Kind("a gzip file")),
    (b"Rar!", Kind("a RAR archive")),
    (b"7z\xbc\xaf\x27\x1c", Kind("a 7z archive")),
    (b"\x89HDF", Kind("HDF5")),
    (b"\x93NUMPY", Kind("a NumPy file; load it and pass the array")),
    (b"version https://git-lfs", Kind("a Git LFS pointer, not the file itself; run git lfs pull")),
)
# The first of these elements decides: a page may contain an SVG.
_MARKUP = re.compile(rb"<(svg|!doctype html|html|head|body)[\s>]", re.I)
# ISO base media files say in their "ftyp" box what they hold: a major brand, then compatible ones.
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_ANY_STILL = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})
"""Any still pictures in this container: the compatible brands say which."""
_MEDIA = {
    b"crx ": CAMERA_RAW,  # Canon's CR3
    b"jxl ": _JXL,
    b"jp2 ": _JP2,
    b"jpx ": _JP2,
    b"jph ": _JP2,
    b"avci": Kind("HEIF with AVC"),
    b"avcs": Kind("HEIF with AVC"),
    b"qt  ": Kind("a video (QuickTime)"),
    b"M4A ": Kind("a sound file"),
    b"M4B ": Kind("a sound file"),
}
# QuickTime files from before the brands, and copies that lost their first box.
_ATOMS = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})


def identify(head: bytes) -> Kind | None:
    """Name the kind of a file.

    Args:
        head: its first `HEAD_BYTES` bytes, or all of them if there are fewer.

    Returns:
        The kind, which `read_image` reads if it has a `pillow` name; None for an unknown one.
    """
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF":
        return {b"WEBP": Kind("WebP", "WEBP"), b"AVI ": _VIDEO}.get(head[8:12], Kind("RIFF"))
    if head[4:8] == b"ftyp":
        return _media(head)
    if head[4:8] in _ATOMS and min(head[:4]) < 32:  # a size, no text
        return _MEDIA[b"qt  "]
    if re.match(rb"P[1-6][\s#]|Pf\s", head):
        return Kind("PPM", "PPM")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        found = _MARKUP.search(text)
        if found is None:
            return Kind("XML")
        return Kind("SVG" if found[1].lower() == b"svg" else "HTML")
    return None


def _media(head: bytes) -> Kind:
    size = int.from_bytes(head[:4], "big")
    major, compatible = head[8:12], {head[i : i + 4] for i in range(16, min(size, 256), 4)}
    if major in _AVIF_BRANDS:
        return _AVIF
    if major in _ANY_STILL:
        if compatible & _AVIF_BRANDS:
            return _AVIF
        others = [brand for brand in _MEDIA if brand in compatible]
        return _MEDIA[others[0]] if others and not compatible & _HEIF_BRANDS else _HEIF
    return _HEIF if major in _HEIF_BRANDS else _MEDIA.get(major, _VIDEO)
