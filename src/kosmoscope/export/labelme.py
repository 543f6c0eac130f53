"""LabelMe: one JSON file a picture, rectangles in pixels, the picture by its relative path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kosmoscope.export.names import unique_stems, utf8
from kosmoscope.export.pictures import Labelled, Picture, merge
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.types import GroundedCaption

FORMAT_VERSION = "5.5.0"
"""The LabelMe release whose form this is; newer ones read it."""


def to_labelme(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, dict[str, Any]]:
    """Return LabelMe's documents, file name -> JSON object, with the pictures' paths as given.

    LabelMe opens `imagePath` relative to the JSON file; `export` writes it so.
    """
    pictures = merge(descriptions, vocabulary)
    stems = unique_stems([p.image for p in pictures])
    return files(pictures, stems, [p.image.path for p in pictures])


def files(
    pictures: Sequence[Picture], stems: Sequence[str], paths: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return what `to_labelme` does, of merged pictures; `paths` go into `imagePath`."""
    return {
        f"{stem}.json": {
            "version": FORMAT_VERSION,
            "flags": {},
            "shapes": [_shape(box) for box in picture.boxes],
            "imagePath": utf8(path),
            "imageData": None,
            "imageHeight": picture.image.height,
            "imageWidth": picture.image.width,
        }
        for picture, stem, path in zip(pictures, stems, paths, strict=True)
    }


def _shape(box: Labelled) -> dict[str, Any]:
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
