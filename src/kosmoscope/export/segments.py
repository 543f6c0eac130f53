"""Segmentations in other programs' formats: COCO instances and panoptic, YOLO-seg, LabelMe.

A picture is one picture there, whatever was asked about it, and a segment is one instance, of
however many parts. What they take is gone through twice, see `kosmoscope.export.survey`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kosmoscope._version import __version__
from kosmoscope.export.format import FORMATS, Files, Format, Job, folder_format
from kosmoscope.export.labelled import PX_DIGITS
from kosmoscope.export.labelme import document, relative
from kosmoscope.export.names import suffix
from kosmoscope.export.survey import Survey
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.export.yolo import data_yaml, pictures_csv
from kosmoscope.files.text import utf8

# NumPy, Pillow and what is built on them are imported where they are used, so that the command
# line can list the formats without them.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kosmoscope.masks import LabelMap, Mask


def to_coco_instances(
    segmentations: Iterable[LabelMap], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, Any]:
    """Return COCO's instance annotations: compressed RLE, exact area, tight box in pixels.

    Unnamed regions and empty segments are left out.
    """
    return _instances(Job(segmentations, vocabulary))


def to_coco_panoptic(
    segmentations: Iterable[LabelMap], vocabulary: Vocabulary = Vocabulary.phrases()
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return COCO's panoptic JSON, and its PNGs by name: id = R + 256 G + 65536 B, 0 is void."""
    return _panoptic(Job(segmentations, vocabulary))


def to_yolo_seg(
    segmentations: Iterable[LabelMap],
    vocabulary: Vocabulary = Vocabulary.phrases(),
    *,
    specks: bool = False,
) -> dict[str, str]:
    """Return the files of an Ultralytics segmentation set: relative name -> text.

    A line a segment: class and outline in 0..1. A line there and back joins the parts of one that
    has several. The format knows no holes; they are filled.

    Args:
        segmentations: any number.
        vocabulary: of the classes.
        specks: keep parts of less than 4 pixels, or than a thousandth of the segment's largest.
    """
    return dict(_yolo_files(Job(segmentations, vocabulary, options={"specks": specks})))


def to_labelme_polygons(
    segmentations: Iterable[LabelMap],
    vocabulary: Vocabulary = Vocabulary.phrases(),
    *,
    specks: bool = False,
) -> dict[str, dict[str, Any]]:
    """Return LabelMe's documents with polygons, file name -> JSON object; holes are filled.

    The parts of a segment share their `group_id`; `specks` is that of `to_yolo_seg`.
    """
    return dict(_labelme_files(Job(segmentations, vocabulary, options={"specks": specks})))


def _instances(job: Job) -> dict[str, Any]:
    found = Survey(job)
    annotations: list[dict[str, Any]] = []
    for one in found.pieces():
        for segment, label in one.named:
            mask = one.segmentation.mask(segment.id)
            if mask.xyxy_px is None:
                continue
            annotation = {
                "id": len(annotations) + 1,
                "image_id": one.picture + 1,
                "category_id": found.ids[label] + 1,
                **_extent(mask),
                "iscrowd": 0,
                "segmentation": mask.to_rle(),
                "phrase": segment.phrase,
            }
            if segment.score is not None:
                annotation["score"] = segment.score
            annotations.append(annotation)
    return {**_head(found), "annotations": annotations, "categories": _categories(found)}


def _instance_files(job: Job) -> Files:
    yield "instances.json", _instances(job)


def _panoptic(job: Job) -> tuple[dict[str, Any], dict[str, bytes]]:
    *pictures, (_, data) = _panoptic_files(job)
    return data, {name.removeprefix("panoptic/"): png for name, png in pictures}


def _panoptic_files(job: Job) -> Files:
    import numpy as np
    from PIL import Image

    from kosmoscope.masks import Mask

    found = Survey(job)
    annotations: list[dict[str, Any]] = []
    # Of pictures with more segmentations to come: the ids so far, and what they are.
    open_: dict[int, tuple[NDArray[np.int64], list[dict[str, Any]]]] = {}
    for one in found.pieces():
        labels = one.segmentation.labels
        canvas, entries = open_.pop(one.picture, (np.zeros(labels.shape, np.int64), []))
        first = int(canvas.max(initial=0))
        free = canvas == 0  # a pixel has one name: the first that it got
        for segment, label in one.named:
            mask = Mask((labels == segment.id) & free)
            if mask.xyxy_px is not None:
                number = first + segment.id
                canvas[mask.bits] = number
                entry = {"id": number, "category_id": found.ids[label] + 1, "iscrowd": 0}
                entries.append({**entry, **_extent(mask)})
        if not one.last:
            open_[one.picture] = canvas, entries
            continue
        rgb = np.stack([canvas & 255, canvas >> 8 & 255, canvas >> 16 & 255], -1)
        out = io.BytesIO()
        Image.fromarray(rgb.astype(np.uint8)).save(out, "PNG")
        yield f"panoptic/{one.stem}.png", out.getvalue()
        annotations.append(
            {"image_id": one.picture + 1, "file_name": f"{one.stem}.png", "segments_info": entries}
        )
    annotations.sort(key=lambda annotation: annotation["image_id"])
    head = _head(found)
    yield "panoptic.json", {**head, "annotations": annotations, "categories": _categories(found)}


def _extent(mask: Mask) -> dict[str, Any]:
    x1, y1, x2, y2 = mask.xyxy_px or (0, 0, 0, 0)
    return {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": mask.area_px}


def _yolo_files(job: Job) -> Files:
    from kosmoscope.export.parts import joined

    found = Survey(job)
    yield "data.yaml", data_yaml(list(found.ids))
    open_: dict[int, list[str]] = {}
    for one in found.pieces():
        image = one.segmentation.image
        lines = open_.pop(one.picture, [])
        for segment, label in one.named:
            if rings := _outlines(job, one.segmentation.mask(segment.id)):
                ring = joined(rings) / (image.width, image.height)
                numbers = " ".join(f"{v:.6f}" for v in ring.ravel())
                lines.append(f"{found.ids[label]} {numbers}\n")
        if one.last:
            yield f"labels/{one.stem}.txt", "".join(lines)
        else:
            open_[one.picture] = lines
    stems = zip(found.stems, found.images, strict=True)
    names = [stem + suffix(image.path) for stem, image in stems]
    yield "pictures.csv", pictures_csv(names, found.images)


def _labelme_files(job: Job) -> Files:
    found = Survey(job)
    open_: dict[int, tuple[list[dict[str, Any]], int]] = {}
    for one in found.pieces():
        shapes, first = open_.pop(one.picture, ([], 0))
        shapes += [
            {
                "label": label, "points": ring.round(PX_DIGITS).tolist(),
                "group_id": first + segment.id, "description": segment.phrase,
                "shape_type": "polygon", "flags": {}, "mask": None,
            }
            for segment, label in one.named
            for ring in _outlines(job, one.segmentation.mask(segment.id))
        ]  # fmt: skip
        image = one.segmentation.image
        if one.last:
            yield f"{one.stem}.json", document(image, relative(job, image), shapes)
        else:
            open_[one.picture] = shapes, first + len(one.segmentation.segments)


def _outlines(job: Job, mask: Mask) -> list[NDArray[np.float64]]:
    from kosmoscope.export.parts import outlines

    return outlines(mask, specks=bool(job.options.get("specks", False)))


def _categories(found: Survey) -> list[dict[str, Any]]:
    return [
        {"id": i + 1, "name": name, "isthing": int(name not in found.stuff),
         "supercategory": "stuff" if name in found.stuff else "thing"}
        for name, i in found.ids.items()
    ]  # fmt: skip


def _head(found: Survey) -> dict[str, Any]:
    images = [
        {"id": i, "file_name": utf8(image.path), "width": image.width,
         "height": image.height, "license": 0}
        for i, image in enumerate(found.images, 1)
    ]  # fmt: skip
    info = {"description": "Phrases and masks", "contributor": f"kosmoscope {__version__}"}
    return {"info": info, "licenses": [{"id": 0, "name": "unknown", "url": ""}], "images": images}


def _format(
    name: str, summary: str, files: Any, value: Any = None, options: tuple[str, ...] = ()
) -> Format:
    return FORMATS.add(
        folder_format(
            name,
            summary,
            files,
            value=value,
            takes="segmentations",
            options=options,
            indent=None,
        )
    )


COCO_INSTANCES = _format(
    "coco-instances",
    "`instances.json`: RLE, exact area, tight box, phrase, score",
    _instance_files,
    _instances,
)
COCO_PANOPTIC = _format(
    "coco-panoptic",
    "`panoptic.json` and PNGs, id = R + 256 G + 65536 B; the rest is 0 (void)",
    _panoptic_files,
    _panoptic,
)
YOLO_SEG = _format(
    "yolo-seg",
    "`data.yaml`, `labels/*.txt`: a line a segment, within 0.75 px; holes are filled",
    _yolo_files,
    options=("specks",),
)
LABELME_POLYGONS = _format(
    "labelme-polygons",
    "one JSON a picture: outlines within 0.75 px; holes are filled",
    _labelme_files,
    options=("specks",),
)
