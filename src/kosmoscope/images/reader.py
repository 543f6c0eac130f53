"""The one way in for pictures: whatever comes in leaves upright, sRGB, 8 bits, or as an error."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features

from kosmoscope.errors import (
    CorruptImageError,
    EmptyImageError,
    ImageError,
    ImageTooLargeError,
    UnsupportedImageError,
)
from kosmoscope.files.text import reason, shown_name
from kosmoscope.images.colour import srgb_image, to_uint8
from kosmoscope.images.jpeg import ended, reduction
from kosmoscope.images.kinds import CAMERA_RAW, HEAD_BYTES, READABLE, Kind, identify
from kosmoscope.images.quiet import hush_libtiff, quiet
from kosmoscope.images.raw import is_camera_raw
from kosmoscope.images.sources import ImageSource, Limits, contents
from kosmoscope.images.structure import (
    check_png,
    gif_frames,
    png_transparency,
    tiff_pages,
    webp_canvas,
)
from kosmoscope.optional import missing
from kosmoscope.types import ImageInfo

PILLOW_RAISES = (
    OSError,  # cut off, undecodable; UnidentifiedImageError is one
    SyntaxError,  # Pillow's own for a broken header
    ValueError,  # text-chunk bombs, impossible sizes, a closed image; also of our own walks
    TypeError,  # tags of another type than expected
    LookupError,  # IndexError and KeyError: missing tags, unknown modes
    ArithmeticError,  # zero resolutions, overflowing sizes
    AttributeError,  # an image whose file has been closed
    AssertionError,  # Pillow asserts on the shape of files
    EOFError,  # a frame that is announced and missing
    RuntimeError,  # AVIF and HEIC decoders; NotImplementedError is one
    struct.error,
    zlib.error,
)
"""All that Pillow is known to raise for a damaged file. Not here, and mapped to
ImageTooLargeError: DecompressionBombError and MemoryError."""

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


_TURNS = {_UPRIGHT[i] for i in (5, 6, 7, 8)}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture, normalised."""

    rgb: NDArray[np.uint8]
    """(H, W, 3), HWC, uint8, 0..255, sRGB, upright, composited on white; read-only."""
    info: ImageInfo
    """Where it came from; width and height are those of `rgb`, unless that is reduced."""
    notes: tuple[str, ...] = ()
    """What was left out or ignored, such as 'first of 12 frames'."""
    reduced: bool = False
    """Whether `rgb` is smaller than the picture: as `at_least_wh` of `read_image` allowed, or
    since all of it would be more than `Limits.max_pixels`."""
    transparent: bool = False
    """Whether something of it shows through, which in `rgb` is on white."""
    alpha: NDArray[np.uint8] | None = None
    """(H, W), 0..255, 255 opaque; read-only. None where `read_image` was not asked for it, and
    where nothing is transparent."""

    @property
    def rgb_info(self) -> ImageInfo:
        """`info` with the width and height of `rgb`: what is found in these pixels belongs to it.

        Only of a reduced picture another than `info`.
        """
        height, width, _ = self.rgb.shape
        return replace(self.info, width=width, height=height)


def read_image(
    source: ImageSource,
    *,
    name: str | None = None,
    limits: Limits = Limits(),
    at_least_wh: tuple[int, int] | None = None,
    alpha: bool = False,
) -> Picture:
    """Read a picture and normalise it.

    EXIF orientation is applied, ICC profiles are converted to sRGB, alpha is composited on
    white, 16 bits become 8 by scaling; of several frames the first is taken (of a Pillow image,
    the one it stands on). A damaged EXIF block or ICC profile is ignored with a note. A process
    that sets Pillow's `LOAD_TRUNCATED_IMAGES` gets what it asked for: grey where a JPEG breaks
    off. Safe to call from several threads; Pillow's own warnings are silenced meanwhile.

    Args:
        source: a path (`str`, `PathLike`); the contents of a file (`bytes`, `bytearray`,
            `memoryview`); a binary stream, read from where it stands; a Pillow image, not
            modified beyond being loaded; or an array: HxW, HxWx1, HxWx3 (RGB) or HxWx4 (RGB and
            alpha, not premultiplied), of bool, uint8, uint16 (0..65535) or floats (0..1, or
            0..255 where one is above 1; grey floats of other ranges are stretched).
        name: what to call the picture in results and errors instead of its path or '<bytes>',
            '<stream>', '<image>', '<array>'.
        limits: what the picture may cost.
        at_least_wh: allow a JPEG file to be decoded at 1/2, 1/4 or 1/8 of its size, by its own
            transform, as long as it stays at least this large (as stored, before it is turned
            upright). At 12 megapixels that takes a quarter of the time, and the pixels are those
            of another, equally good way to make a picture smaller.
        alpha: keep the alpha plane of a picture that has one, a byte a pixel, as `Picture.alpha`.

    Raises:
        ImageNotFoundError: no such file, not a regular file, or it cannot be read.
        EmptyImageError: zero bytes, or an array without pixels.
        UnsupportedImageError: not a kind of file that is read, or not an array of pixels.
        CorruptImageError: it cannot be decoded.
        ImageTooLargeError: over one of the limits.
    """
    if isinstance(source, np.ndarray):
        called = name or "<array>"
        return _from_array(source, called, shown_name(called), limits, alpha)
    if isinstance(source, Image.Image):
        image = source
        filename = getattr(image, "filename", "")
        called = name or (filename if isinstance(filename, str) and filename else "<image>")
        with _mapped(shown_name(called), "picture"), quiet():
            frames = getattr(image, "n_frames", 1)
            return _from_pillow(image, called, frames, "frames", None, limits, None, alpha)
    called, data = contents(source, name, limits)
    shown = shown_name(called)
    if not data:
        raise EmptyImageError(shown, "the file is empty (0 bytes)")
    kind = identify(data[:HEAD_BYTES])
    if kind is not None and kind.pillow == "TIFF" and is_camera_raw(data):
        kind = CAMERA_RAW
    if kind is None or kind.pillow is None:
        what = "not a known kind of picture" if kind is None else f"this is {kind.label}"
        raise UnsupportedImageError(shown, f"{what}; expected {READABLE}")
    _need_decoder(kind, shown)
    with _mapped(shown, kind.label), quiet():
        frames = _walk(data, kind, shown, limits)
        try:
            return _opened(data, kind, called, frames, limits, at_least_wh, alpha)
        except OSError as e:
            if kind.pillow not in ("JPEG", "MPO") or "truncated" not in str(e):
                raise
            whole, lost = ended(data)
            picture = _opened(whole, kind, called, frames, limits, at_least_wh, alpha)
            note = "its last bytes are missing" + (f", and with them {lost} rows" if lost else "")
            return replace(picture, notes=(*picture.notes, note))


def _opened(
    data: bytes,
    kind: Kind,
    called: str,
    frames: int | None,
    limits: Limits,
    at_least_wh: tuple[int, int] | None,
    alpha: bool,
) -> Picture:
    assert kind.pillow is not None
    with Image.open(io.BytesIO(data), formats=[kind.pillow]) as image:
        if frames is None:
            frames = int(getattr(image, "n_frames", 1))
        unit = "pages" if kind.pillow == "TIFF" else "frames"
        return _from_pillow(image, called, frames, unit, data, limits, at_least_wh, alpha)


def _walk(data: bytes, kind: Kind, shown: str, limits: Limits) -> int | None:
    """Check what Pillow does not; return the number of frames where that is cheaper than there."""
    match kind.pillow:
        case "PNG":
            check_png(data)
        case "GIF":
            return gif_frames(data)
        case "TIFF":
            hush_libtiff()
            return tiff_pages(data)
        case "WEBP":
            _check_pixels(webp_canvas(data), shown, limits)
    return None


def _from_pillow(
    image: Image.Image,
    called: str,
    frames: int,
    unit: str,
    data: bytes | None,
    limits: Limits,
    at_least_wh: tuple[int, int] | None,
    alpha: bool,
) -> Picture:
    """Normalise; `data` is the file, for what Pillow does not tell about it."""
    whole_wh = image.size
    notes = []
    factor = None if data is None else reduction(image, limits.max_pixels)
    if factor is None:
        _check_pixels(image.size, shown_name(called), limits)
    elif factor > 1:
        image.draft(None, (image.width // factor, image.height // factor))
        _check_pixels(image.size, shown_name(called), limits)
        notes.append(f"decoded at 1/{factor} of its size")
    if at_least_wh is not None and image.format in ("JPEG", "MPO"):
        image.draft(None, at_least_wh)
    if frames > 1:
        # A Pillow image handed in may stand on another frame than the first.
        at = image.tell()
        notes.append(f"frame {at + 1} of {frames}" if at else f"first of {frames} {unit}")
    image.load()
    if data is not None and image.format == "PNG" and "transparency" in image.info:
        image.info["transparency"] = png_transparency(data, image.info["transparency"])
    method = _orientation(image, notes)
    upright, plane = srgb_image(image, notes)
    if method is not None:
        upright = upright.transpose(method)
        plane = None if plane is None else plane.transpose(method)
    reduced = image.size != whole_wh
    if method in _TURNS:
        whole_wh = (whole_wh[1], whole_wh[0])
    picture = _picture(upright, plane, called, frames, notes, alpha)
    if reduced:
        info = replace(picture.info, width=whole_wh[0], height=whole_wh[1])
        return replace(picture, info=info, reduced=True)
    return picture


def _orientation(image: Image.Image, notes: list[str]) -> Image.Transpose | None:
    """The turn that makes a loaded image upright. (Of a TIFF, Pillow has applied and removed it.)

    Asked for after loading, since a PNG may have its EXIF block behind the pixels.
    """
    value: object = None
    try:
        value = image.getexif().get(_ORIENTATION)
        block = image.info.get("exif")
        # Pillow only warns where the block breaks off, and that is silenced: look for it here.
        if isinstance(block, bytes) and (block := block.removeprefix(b"Exif\0\0")):
            tiff_pages(block, only_first=True)
    except PILLOW_RAISES:
        notes.append("damaged EXIF block ignored" if value is None else "damaged EXIF block")
    return _UPRIGHT.get(value) if isinstance(value, int) else None


def _from_array(
    array: NDArray[Any], called: str, shown: str, limits: Limits, alpha: bool
) -> Picture:
    shape = array.shape
    if array.dtype.kind not in "bf" and array.dtype not in (np.uint8, np.uint16):
        raise UnsupportedImageError(
            shown, f"an array of {array.dtype}; expected bool, uint8, uint16 or floats"
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in (1, 3, 4)):
        hint = ""
        if array.ndim == 3 and shape[0] in (1, 3, 4):
            hint = "; channels come last here, see numpy.moveaxis"
        raise UnsupportedImageError(
            shown, f"an array of shape {shape}; expected HxW, HxWx1, HxWx3 or HxWx4{hint}"
        )
    if array.size == 0:
        raise EmptyImageError(shown, f"an array without pixels, of shape {shape}")
    _check_pixels((shape[1], shape[0]), shown, limits)
    grey = array.ndim == 2 or shape[2] == 1
    with _mapped(shown, "array"):
        samples = to_uint8(array.reshape(shape[:2]) if grey else array, stretch=grey)
        rgb, plane = srgb_image(Image.fromarray(samples), [])
        return _picture(rgb, plane, called, 1, [], alpha)


def _picture(
    image: Image.Image,
    plane: Image.Image | None,
    called: str,
    frames: int,
    notes: list[str],
    alpha: bool,
) -> Picture:
    rgb, shows = np.asarray(image), plane is not None
    rgb.setflags(write=False)
    kept = np.array(plane, dtype=np.uint8) if alpha and shows else None
    if kept is not None:
        kept.setflags(write=False)
    info = ImageInfo(called, image.width, image.height, frames)
    return Picture(rgb, info, tuple(notes), transparent=shows, alpha=kept)


def _check_pixels(size_wh: tuple[int, int], shown: str, limits: Limits) -> None:
    width, height = size_wh
    if width < 1 or height < 1:
        raise CorruptImageError(shown, f"its header claims {width}x{height} pixels")
    if width * height > limits.max_pixels:
        raise ImageTooLargeError(
            shown,
            f"{width}x{height} is {width * height} pixels; expected at most {limits.max_pixels} "
            "(max_pixels)",
        )


def _need_decoder(kind: Kind, shown: str) -> None:
    if kind.pillow == "HEIF":
        try:
            from pi_heif import register_heif_opener
        except ImportError as e:
            hint = missing("pi_heif", "heic", e)
            raise UnsupportedImageError(shown, f"this is HEIC; its plug-in {hint}") from None
        # Idempotent: it sets the same entries of Pillow's tables. The extra pictures in a file
        # are not read here, so their parsers need not run on files from strangers.
        register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    elif kind.pillow in ("AVIF", "WEBP") and not features.check(kind.pillow.lower()):
        raise UnsupportedImageError(
            shown, f"this is {kind.label}, which this build of Pillow cannot read"
        )


@contextmanager
def _mapped(shown: str, label: str) -> Iterator[None]:
    """Turn what Pillow raises into this project's errors."""
    try:
        yield
    except ImageError:
        raise  # ours; it is a ValueError as well
    except Image.DecompressionBombError as e:
        raise ImageTooLargeError(
            shown, f"over Pillow's own limit of {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels"
        ) from e
    except MemoryError as e:
        raise ImageTooLargeError(shown, "it does not fit into memory") from e
    except PILLOW_RAISES as e:
        raise CorruptImageError(shown, f"damaged {label}: {_reason(e)}") from e


def _reason(e: Exception) -> str:
    # Pillow's text for a header it cannot make sense of names a BytesIO at some address.
    if isinstance(e, UnidentifiedImageError):
        return "its header makes no sense"
    return reason(e)
