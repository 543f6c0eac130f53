"""COCO: ``instances``-like detection annotations, and captions.

As https://cocodataset.org/#format-data says, with what loaders leave alone: `score` and `phrase`
on each annotation, `source` on each picture. `segmentation` is the box's own outline, as many
loaders read it from every annotation; for masks there is `coco-instances`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kosmoscope._version import __version__
from kosmoscope.export.format import FORMATS, Files, Job, folder_format
from kosmoscope.export.labelled import PX_DIGITS, LabelledBox
from kosmoscope.export.pictures import labels_of
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.files.text import utf8
from kosmoscope.types import GroundedCaption


def to_coco(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, Any]:
    """Return detection annotations as COCO's dict: images, annotations, categories.

    Boxes are ``[x, y, width, height]`` in pixels of the upright picture, inside it; ids count from
    1; categories are sorted, those of a map file in its order.
    """
    return _instances(Job(descriptions, vocabulary))


def to_coco_captions(descriptions: Iterable[GroundedCaption]) -> dict[str, Any]:
    """Return captions as COCO's dict; the pictures have the ids that `to_coco` gives them."""
    return _captions(Job(descriptions))


def _instances(job: Job) -> dict[str, Any]:
    ids = job.vocabulary.numbered(labels_of(job.pictures))
    annotations: list[dict[str, Any]] = []
    for image_id, picture in enumerate(job.pictures, 1):
        for box in picture.boxes:
            annotation = _annotation(box, len(annotations) + 1, image_id, ids[box.label] + 1)
            annotations.append(annotation)
    return {
        **_head(job),
        "annotations": annotations,
        "categories": [
            {"id": i + 1, "name": name, "supercategory": "object"} for name, i in ids.items()
        ],
    }


def _captions(job: Job) -> dict[str, Any]:
    found: list[dict[str, Any]] = []
    for image_id, picture in enumerate(job.pictures, 1):
        for caption in picture.captions:
            found.append({"id": len(found) + 1, "image_id": image_id, "caption": caption})
    return {**_head(job), "annotations": found}


def _head(job: Job) -> dict[str, Any]:
    sources = [utf8(picture.image.path) for picture in job.pictures]
    names = sources if job.place == "none" else job.names
    images = [
        {
            "id": i + 1,
            "file_name": names[i],
            "width": picture.image.width,
            "height": picture.image.height,
            "license": 0,
            "source": sources[i],
        }
        for i, picture in enumerate(job.pictures)
    ]
    info = {"description": "Phrases and boxes", "contributor": f"kosmoscope {__version__}"}
    return {"info": info, "licenses": [{"id": 0, "name": "unknown", "url": ""}], "images": images}


def _annotation(box: LabelledBox, number: int, image_id: int, category_id: int) -> dict[str, Any]:
    x1, y1, x2, y2 = box.xyxy_px
    width, height = round(x2 - x1, PX_DIGITS), round(y2 - y1, PX_DIGITS)
    annotation = {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [x1, y1, width, height],
        "area": round(width * height, PX_DIGITS),
        "segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]],
        "iscrowd": 0,
        "phrase": box.phrase,
    }
    if box.score is not None:
        annotation["score"] = box.score
    return annotation


def _files(job: Job) -> Files:
    yield "labels.json", _instances(job)
    yield "captions.json", _captions(job)


COCO = FORMATS.add(
    folder_format(
        "coco",
        "`labels.json` (boxes, scores, phrases), `captions.json`",
        _files,
        value=_instances,
        pictures="data/",
        needs_pictures=True,
    )
)
