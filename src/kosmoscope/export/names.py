"""Pictures' paths: which are files, and stems for new files that any file system can hold."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from kosmoscope.files.names import cut
from kosmoscope.types import ImageInfo

_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029<>:"/\\|?*\ud800-\udfff]')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
_STEM_BYTES = 160
"""Room is left for a hash, a suffix and a temporary file's prefix within the usual 255 bytes."""


def is_placeholder(path: str) -> bool:
    """Say whether a picture's path is one for a picture without a file, such as ``<bytes>``."""
    return path.startswith("<") and path.endswith(">")


def is_file_path(path: str) -> bool:
    """Say whether a picture's path can be a file's: neither a placeholder nor a URL."""
    return not is_placeholder(path) and "://" not in path


def base_name(path: str) -> str:
    """Return a path's or URL's last part: 'https://host/a/cat.jpg?size=1' -> 'cat.jpg'."""
    if is_placeholder(path):
        return path[1:-1]
    if "://" in path:
        path = re.split(r"[?#]", path, maxsplit=1)[0]
    return PurePosixPath(path.replace(os.sep, "/")).name


def suffix(path: str) -> str:
    """Return a file name's suffix with its dot, '' if it has none that is fit for a file name."""
    found = PurePosixPath(base_name(path)).suffix
    return found if _SUFFIX.fullmatch(found) else ""


def unique_stems(images: Sequence[ImageInfo]) -> list[str]:
    """Return a file stem for each picture: no two are equal, on any usual file system.

    The picture's own stem where that is possible. Where two pictures share one (also where only
    the case differs), or it has characters that some file system refuses, a hash of the whole path
    is added to each: it does not depend on the order or on what else is exported.
    """
    stems = [_safe_stem(image.path) for image in images]
    folded = [_folded(stem) for stem, _ in stems]
    count = Counter(folded)
    found: list[str] = []
    taken = {name for name in folded if count[name] == 1}
    for image, (stem, changed), name in zip(images, stems, folded, strict=True):
        if count[name] > 1 or changed:
            digest = hashlib.sha256(image.path.encode("utf-8", "surrogatepass")).hexdigest()
            base = f"{stem}-{digest[:8]}"
            stem, n = base, 1
            while _folded(stem) in taken:  # the same path twice, in two sizes; or placeholders
                n += 1
                stem = f"{base}-{n}"
            taken.add(_folded(stem))
        found.append(stem)
    return found


def _safe_stem(path: str) -> tuple[str, bool]:
    """Return a stem that file systems take, and whether it had to be changed."""
    name = base_name(path)
    ending = suffix(path)
    own = name[: -len(ending)] if ending else name
    stem = _UNSAFE.sub("_", unicodedata.normalize("NFC", own))
    stem = re.sub(r"^[-.\s]", "_", stem)
    stem = re.sub(r"[.\s]$", "_", stem)
    if _RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    stem = cut(stem, _STEM_BYTES).rstrip()
    stem = stem or "picture"
    return stem, stem != own and not is_placeholder(path)


def _folded(stem: str) -> str:
    return unicodedata.normalize("NFC", stem.casefold())
