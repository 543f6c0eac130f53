"""LabelMe: one JSON file a picture, rectangles in pixels, the picture by its relative path."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from kosmoscope.export.format import FORMATS, Files, Job, folder_format
from kosmoscope.export.labelled import LabelledBox
from kosmoscope.export.names import is_file_path
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.files.text import utf8
from kosmoscope.types import GroundedCaption, ImageInfo

FORMAT_VERSION = "5.5.0"
"""The LabelMe release whose form this is; newer ones read it."""


def to_labelme(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, dict[str, Any]]:
    """Return LabelMe's documents, file name -> JSON object, with the pictures' paths as given.

    LabelMe opens `imagePath` relative to the JSON file; `export` writes it so.
    """
    return dict(_files(Job(descriptions, vocabulary)))


def _files(job: Job) -> Files:
    for picture, stem, name in zip(job.pictures, job.stems, job.names, strict=True):
        path = relative(job, picture.image) if job.place == "none" else name
        yield f"{stem}.json", document(picture.image, path, [_shape(b) for b in picture.boxes])


def document(image: ImageInfo, path: str, shapes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what LabelMe keeps of a picture; `path` goes into `imagePath`."""
    return {
        "version": FORMAT_VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": path,
        "imageData": None,
        "imageHeight": image.height,
        "imageWidth": image.width,
    }


def relative(job: Job, image: ImageInfo) -> str:
    """Return what LabelMe opens a picture by: its path as seen from the folder of the JSON files.

    Without files it is the path as given, in characters that UTF-8 has.
    """
    if job.out is None or not is_file_path(image.path):
        return utf8(image.path)
    try:
        return os.path.relpath(image.path, job.out)
    except ValueError:  # another drive, or a NUL character
        return image.path


def _shape(box: LabelledBox) -> dict[str, Any]:
    x1, y1, x2, y2 = box.xyxy_px
    return {
        "label": box.label,
        "points": [[x1, y1], [x2, y2]],
        "group_id": None,
        "description": box.phrase if box.score is None else f"{box.phrase} ({box.score:g})",
        "shape_type": "rectangle",
        "flags": {},
        "mask": None,
    }


LABELME = FORMATS.add(
    folder_format("labelme", "one JSON a picture; no captions", _files, pictures="")
)
