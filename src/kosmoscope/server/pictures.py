"""Pictures as requests bring them, and those that are kept encoded."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kosmoscope.engine.core import PictureState
from kosmoscope.images import pixel_tensor, read_image
from kosmoscope.scope import EncodedImage, Scope
from kosmoscope.server.failures import RefusedError
from kosmoscope.types import ImageInfo, Timing

NAME = "<picture>"
"""What results call a picture: it has no path here."""
_ID_LENGTH = 32
_DATA_URI = re.compile(r"\s*data:[^,]*,", re.IGNORECASE)
_SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]*):", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A picture that somebody asks about."""

    id: str
    """Of its content."""
    data: bytes = field(repr=False)
    """The file."""
    encoded: EncodedImage | None = None
    """None where the model has yet to look at it."""
    info: ImageInfo | None = None
    pixels: NDArray[np.float32] | None = field(default=None, repr=False)
    preprocess: float = 0.0

    @property
    def image(self) -> ImageInfo:
        """Its size."""
        found = self.info if self.encoded is None else self.encoded.info
        assert found is not None
        return found

    def encode(self, scope: Scope) -> EncodedImage:
        """Let the model look."""
        if self.encoded is not None:
            return self.encoded
        assert self.info is not None
        assert self.pixels is not None
        began = time.perf_counter()
        state = scope.engine.encode(self.pixels)
        spent = time.perf_counter() - began
        timing = Timing(self.preprocess, spent, total=self.preprocess + spent)
        return EncodedImage(self.info, state, timing)


def read_shown(data: bytes, id: str, scope: Scope) -> Shown:
    """Decode a file, to be looked at.

    Raises:
        ImageError: it cannot be read.
    """
    began = time.perf_counter()
    picture = read_image(data, name=NAME, limits=scope.limits)
    pixels = pixel_tensor(picture.rgb, scope.pixel_spec)
    return Shown(id, data, None, picture.info, pixels, time.perf_counter() - began)


def content_id(data: bytes) -> str:
    """Return what a picture's file is known by."""
    return hashlib.sha256(data).hexdigest()[:_ID_LENGTH]


def url_of(text: str) -> str | None:
    """Return the address that stands in a picture's place; None where it is the picture itself.

    Raises:
        RefusedError: an address that is never fetched.
    """
    found = _SCHEME.match(text)
    if found is None or found[1].lower() == "data":
        return None
    if found[1].lower() in ("http", "https"):
        return text.strip()
    raise RefusedError(
        422, f"pictures do not come from {found[1].lower()}: addresses; expected base64"
    )


def decoded(text: str) -> bytes:
    """Return a file from base64 or a data URI, as loosely as clients write them.

    Line breaks, the URL-safe alphabet, missing padding, upper-case schemes and further parameters
    are fine.

    Raises:
        RefusedError: it is neither.
    """
    head = _DATA_URI.match(text[:1024])
    if head is not None:
        if "base64" not in (p.strip().lower() for p in head[0].rstrip(",").split(";")[1:]):
            raise RefusedError(400, "a data URI without ;base64; expected one with it")
        text = text[head.end() :]
    try:
        plain = "".join(text.split()).translate(_STANDARD).rstrip("=").encode("ascii")
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(
            400, "the picture is not base64; expected base64 or a data URI"
        ) from None


_STANDARD = str.maketrans("-_", "+/")


class Cache:
    """Encoded pictures by their content, the latest used first; for any thread.

    Args:
        max_bytes: of states and files together.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Shown] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, id: str) -> Shown | None:
        """Return a picture that is still kept."""
        with self._lock:
            found = self._kept.get(id)
            if found is not None:
                self._kept.move_to_end(id)
            return found

    def keep(self, shown: Shown, encoded: EncodedImage) -> None:
        """Keep a picture, and let go of those that were not used for longest."""
        kept = Shown(shown.id, shown.data, encoded)
        with self._lock:
            if shown.id in self._kept:
                return
            size = _size(kept)
            if size > self.max_bytes:
                return
            self._kept[shown.id] = kept
            self.bytes += size
            while self.bytes > self.max_bytes:
                _, oldest = self._kept.popitem(last=False)
                self.bytes -= _size(oldest)


def _size(shown: Shown) -> int:
    assert shown.encoded is not None
    state: PictureState = shown.encoded.state
    arrays = [state.embeddings]
    if state.prefix is not None:
        arrays += [state.prefix.keys, state.prefix.values]
    return len(shown.data) + sum(a.nbytes for a in arrays)
