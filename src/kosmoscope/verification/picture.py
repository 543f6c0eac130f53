"""The picture that the published results are of, with the pixels that they were made from."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.errors import CorruptImageError, ModelNotFoundError
from kosmoscope.files.text import shown_name
from kosmoscope.images import read_image
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.store.folders import is_commit
from kosmoscope.store.hub import pull_file
from kosmoscope.store.installed import Found, hub_name


@dataclass(frozen=True, slots=True, eq=False)
class PublishedPicture:
    """The picture, read."""

    rgb: NDArray[np.uint8]
    """(H, W, 3), HWC, uint8: the pixels of the JPEG."""
    sha256: str
    """Of the file."""
    pixels_sha256: str
    """Of `rgb`: another JPEG library may decode another last bit."""


def find_picture(name: str, found: Found, file: str) -> Path:
    """Return the picture of a checkpoint: beside it, or from its repository on the hub.

    Args:
        name: of the model, as it was asked for.
        found: where it lies.
        file: the picture's name.

    Raises:
        ModelNotFoundError: the checkpoint is a folder of its own, and the picture is not in it.
        CheckpointError: the repository has no such file.
        DownloadError: as `kosmoscope.store.hub.pull_file`.
    """
    if (found.folder / file).is_file():
        return found.folder / file
    if hub_name(name, [KOSMOS2]) is None or not is_commit(found.folder.name):
        raise ModelNotFoundError(f"{shown_name(found.folder)}: {file} is not beside the checkpoint")
    return pull_file(name, [KOSMOS2], file, revision=found.folder.name)


def read_published(path: Path) -> PublishedPicture:
    """Read a picture as transformers' integration test does: saved as JPEG once, and opened.

    By Pillow and with its defaults, profiles and orientation left alone: the results were made
    from those pixels. A file that is a JPEG already is taken for that JPEG.

    Raises:
        ImageError: it cannot be read, or is of a kind that no JPEG can hold.
    """
    read_image(path)  # says in the house's words what is wrong with it
    data = path.read_bytes()
    image = Image.open(io.BytesIO(data))
    if image.format != "JPEG":
        saved = io.BytesIO()
        try:
            image.save(saved, "JPEG")
        except OSError as e:
            why = f"{image.mode} pixels cannot be saved as JPEG; expected the picture as published"
            raise CorruptImageError(shown_name(path), why) from e
        image = Image.open(saved)
    rgb = np.asarray(image.convert("RGB"))
    return PublishedPicture(
        rgb, hashlib.sha256(data).hexdigest(), hashlib.sha256(rgb.tobytes()).hexdigest()
    )
