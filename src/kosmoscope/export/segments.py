"""Segmentations in other programs' formats: COCO instances and panoptic, YOLO-seg, LabelMe."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kosmoscope._version import __version__
from kosmoscope.errors import OptionError
from kosmoscope.export.atomic import folder
from kosmoscope.export.labelme import FORMAT_VERSION
from kosmoscope.export.names import suffix, unique_stems, utf8
from kosmoscope.export.pictures import PX_DIGITS
from kosmoscope.export.tables import csv_line
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.export.yolo import data_yaml
from kosmoscope.masks import Mask, Segment, Segmentation, simplify

_TOLERANCE_PX = 0.75
"""How far the outlines of formats without holes or with a cost for each corner may be off."""


def to_coco_instances(
    segmentations: Iterable[Segmentation], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, Any]:
    """Return COCO's instance annotations: compressed RLE, exact area, tight box in pixels.

    Unnamed regions and empty segments are left out.
    """
    found = list(segmentations)
    ids = _categories(found, vocabulary)
    annotations: list[dict[str, Any]] = []
    for image_id, segmentation in enumerate(found, 1):
        for segment, label in _named(segmentation, vocabulary):
            mask = segmentation.mask(segment.id)
            box = mask.xyxy_px
            if box is None:
                continue
            annotation: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": ids[label] + 1,
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                "area": mask.area_px,
                "iscrowd": 0,
                "segmentation": mask.to_rle(),
                "phrase": segment.phrase,
            }
            if segment.score is not None:
                annotation["score"] = segment.score
            annotations.append(annotation)
    return {
        **_head(found),
        "annotations": annotations,
        "categories": _category_list(ids, found, vocabulary),
    }


def to_coco_panoptic(
    segmentations: Iterable[Segmentation], vocabulary: Vocabulary = Vocabulary.phrases()
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return COCO's panoptic JSON, and its PNGs by name: id = R + 256 G + 65536 B, 0 is void."""
    found = list(segmentations)
    ids = _categories(found, vocabulary)
    stems = unique_stems([s.image for s in found])
    annotations, pictures = [], {}
    for image_id, (segmentation, stem) in enumerate(zip(found, stems, strict=True), 1):
        areas, entries, kept = segmentation.areas_px(), [], np.zeros(len(segmentation.names), int)
        for segment, label in _named(segmentation, vocabulary):
            box = segmentation.mask(segment.id).xyxy_px
            if box is None:
                continue
            kept[segment.id] = segment.id
            entries.append({
                "id": segment.id, "category_id": ids[label] + 1, "iscrowd": 0,
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                "area": areas[segment.id],
            })  # fmt: skip
        values = kept[segmentation.labels]
        rgb = np.stack([values & 255, values >> 8 & 255, values >> 16 & 255], -1)
        out = io.BytesIO()
        Image.fromarray(rgb.astype(np.uint8)).save(out, "PNG")
        pictures[f"{stem}.png"] = out.getvalue()
        annotations.append(
            {"image_id": image_id, "file_name": f"{stem}.png", "segments_info": entries}
        )
    data = {
        **_head(found),
        "annotations": annotations,
        "categories": _category_list(ids, found, vocabulary),
    }
    return data, pictures


def to_yolo_seg(
    segmentations: Iterable[Segmentation], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, str]:
    """Return the files of an Ultralytics segmentation set: relative name -> text.

    A line a part: class and outline in 0..1. The format knows no holes; they are filled.
    """
    found = list(segmentations)
    ids = _categories(found, vocabulary)
    files = {"data.yaml": data_yaml(list(ids))}
    table = [csv_line(["name", "picture"])]
    stems = unique_stems([s.image for s in found])
    for segmentation, stem in zip(found, stems, strict=True):
        size = np.array([segmentation.image.width, segmentation.image.height], float)
        lines = []
        for segment, label in _named(segmentation, vocabulary):
            for ring in _outlines(segmentation.mask(segment.id)):
                numbers = " ".join(f"{v:.6f}" for v in (ring / size).ravel())
                lines.append(f"{ids[label]} {numbers}\n")
        files[f"labels/{stem}.txt"] = "".join(lines)
        path = segmentation.image.path
        table.append(csv_line([stem + suffix(path), path]))
    files["pictures.csv"] = "".join(table)
    return files


def to_labelme_polygons(
    segmentations: Iterable[Segmentation], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, dict[str, Any]]:
    """Return LabelMe's documents with polygons, file name -> JSON object; holes are filled."""
    found = list(segmentations)
    files: dict[str, dict[str, Any]] = {}
    stems = unique_stems([s.image for s in found])
    for segmentation, stem in zip(found, stems, strict=True):
        shapes = [
            {
                "label": label, "points": ring.round(PX_DIGITS).tolist(), "group_id": segment.id,
                "description": segment.phrase, "shape_type": "polygon", "flags": {}, "mask": None,
            }
            for segment, label in _named(segmentation, vocabulary)
            for ring in _outlines(segmentation.mask(segment.id))
        ]  # fmt: skip
        files[f"{stem}.json"] = {
            "version": FORMAT_VERSION, "flags": {}, "shapes": shapes,
            "imagePath": utf8(segmentation.image.path), "imageData": None,
            "imageHeight": segmentation.image.height, "imageWidth": segmentation.image.width,
        }  # fmt: skip
    return files


SEGMENT_FORMATS = ("coco-instances", "coco-panoptic", "yolo-seg", "labelme-polygons")


def export_segmentations(
    segmentations: Iterable[Segmentation],
    out: Path,
    to: str,
    *,
    vocabulary: Vocabulary = Vocabulary.phrases(),
    overwrite: bool = False,
) -> Path:
    """Write segmentations as a folder that is there whole or not at all.

    Raises:
        OptionError: no such format (`SEGMENT_FORMATS`), or `out` exists.
        KosmoscopeError: it cannot be written.
    """
    if to not in SEGMENT_FORMATS:
        raise OptionError(f"format {to!r}; expected one of {', '.join(SEGMENT_FORMATS)}")
    with folder(out, to=to, overwrite=overwrite) as filling:
        if to == "coco-instances":
            filling.write("instances.json", _json(to_coco_instances(segmentations, vocabulary)))
        elif to == "coco-panoptic":
            data, pictures = to_coco_panoptic(segmentations, vocabulary)
            filling.write("panoptic.json", _json(data))
            for name, content in pictures.items():
                filling.write_bytes(f"panoptic/{name}", content)
        elif to == "yolo-seg":
            for name, text in to_yolo_seg(segmentations, vocabulary).items():
                filling.write(name, text)
        else:
            for name, document in to_labelme_polygons(segmentations, vocabulary).items():
                filling.write(name, _json(document))
    return out


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n"


def _named(segmentation: Segmentation, vocabulary: Vocabulary) -> list[tuple[Segment, str]]:
    found = []
    for segment in segmentation.segments:
        label = None if segment.kind == "region" else vocabulary.label(segment.phrase)
        if label:
            found.append((segment, label))
    return found


def _categories(found: Sequence[Segmentation], vocabulary: Vocabulary) -> dict[str, int]:
    return vocabulary.numbered(label for s in found for _, label in _named(s, vocabulary))


def _category_list(
    ids: dict[str, int], found: Sequence[Segmentation], vocabulary: Vocabulary
) -> list[dict[str, Any]]:
    stuff = {label for s in found for seg, label in _named(s, vocabulary) if seg.kind == "stuff"}
    return [
        {"id": i + 1, "name": name, "supercategory": "stuff" if name in stuff else "thing",
         "isthing": int(name not in stuff)}
        for name, i in ids.items()
    ]  # fmt: skip


def _head(found: Sequence[Segmentation]) -> dict[str, Any]:
    images = [
        {"id": i, "file_name": utf8(s.image.path), "width": s.image.width,
         "height": s.image.height, "license": 0}
        for i, s in enumerate(found, 1)
    ]  # fmt: skip
    info = {"description": "Phrases and masks", "contributor": f"kosmoscope {__version__}"}
    return {"info": info, "licenses": [{"id": 0, "name": "unknown", "url": ""}], "images": images}


def _outlines(mask: Mask) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    return [simplify(p.outline, _TOLERANCE_PX) for p in mask.polygons()]
