"""`supervision.Detections` of a description."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kosmoscope.errors import OptionError
from kosmoscope.export.pictures import merge
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.files.text import utf8
from kosmoscope.optional import optional
from kosmoscope.types import GroundedCaption


def to_supervision(
    description: GroundedCaption,
    vocabulary: Vocabulary = Vocabulary.phrases(),
    *,
    classes: Sequence[str] | None = None,
) -> Any:
    """Return `supervision.Detections`: xyxy in pixels of the upright picture, float32.

    `confidence` is the boxes' scores, None if any box has none (it was given, or parsed).
    `data` has `class_name` and `phrase`, `metadata` the caption, the picture's path and its size.

    Args:
        description: of a picture.
        vocabulary: of the classes.
        classes: all classes in the order of their ids, so that ids are the same for many
            descriptions. Without it: a map file's order, then this description's own, sorted.

    Raises:
        KosmoscopeError: supervision is not installed.
        OptionError: a label is not among `classes`.
    """
    import numpy as np  # here: what lists the formats starts without it

    sv = optional("supervision", "supervision")
    (picture,) = merge([description], vocabulary)
    boxes = picture.boxes
    if classes is None:
        ids = vocabulary.numbered(box.label for box in boxes)
    else:
        ids = {name: i for i, name in enumerate(classes)}
    unknown = sorted({box.label for box in boxes} - ids.keys())
    if unknown:
        raise OptionError(f"label {unknown[0]!r} is not one of the {len(ids)} classes")
    scores = [box.score for box in boxes]
    return sv.Detections(
        xyxy=np.array([box.xyxy_px for box in boxes], np.float32).reshape(-1, 4),
        confidence=None if None in scores else np.array(scores, np.float32),
        class_id=np.array([ids[box.label] for box in boxes], np.int64),
        data={
            "class_name": np.array([box.label for box in boxes], np.str_),
            "phrase": np.array([box.phrase for box in boxes], np.str_),
        },
        metadata={
            "caption": utf8(description.caption),
            "path": description.image.path,
            "image_wh": (description.image.width, description.image.height),
        },
    )
