"""Segmentations in other programs' formats: COCO instances and panoptic, YOLO-seg, LabelMe."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
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
from kosmoscope.masks import LabelMap, Mask, Segment, simplify
from kosmoscope.types import ImageInfo

_TOLERANCE_PX = 0.75
"""How far the outlines of formats without holes or with a cost for each corner may be off."""


def to_coco_instances(
    segmentations: Iterable[LabelMap], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, Any]:
    """Return COCO's instance annotations: compressed RLE, exact area, tight box in pixels.

    Unnamed regions and empty segments are left out.

    Args:
        segmentations: gone through twice; an iterator is gathered for that, any other iterable (say
            one that reads files) is asked again, so that one picture at a time is in memory.
        vocabulary: phrases -> classes.
    """
    found = _Survey(segmentations, vocabulary)
    annotations: list[dict[str, Any]] = []
    for image_id, segmentation in enumerate(found.segmentations, 1):
        for segment, label in _named(segmentation, vocabulary):
            mask = segmentation.mask(segment.id)
            box = mask.xyxy_px
            if box is None:
                continue
            annotation: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": found.ids[label] + 1,
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                "area": mask.area_px,
                "iscrowd": 0,
                "segmentation": mask.to_rle(),
                "phrase": segment.phrase,
            }
            if segment.score is not None:
                annotation["score"] = segment.score
            annotations.append(annotation)
    return {**found.head(), "annotations": annotations, "categories": found.categories()}


def to_coco_panoptic(
    segmentations: Iterable[LabelMap], vocabulary: Vocabulary = Vocabulary.phrases()
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return COCO's panoptic JSON, and its PNGs by name: id = R + 256 G + 65536 B, 0 is void."""
    pictures: dict[str, bytes] = {}
    return _panoptic(_Survey(segmentations, vocabulary), pictures.__setitem__), pictures


def _panoptic(found: _Survey, save: Callable[[str, bytes], object]) -> dict[str, Any]:
    """Return the JSON; PNGs are saved one by one."""
    annotations = []
    for image_id, (segmentation, stem) in enumerate(found.named_pictures(), 1):
        areas, entries, kept = segmentation.areas_px(), [], np.zeros(len(segmentation.names), int)
        for segment, label in _named(segmentation, found.vocabulary):
            box = segmentation.mask(segment.id).xyxy_px
            if box is None:
                continue
            kept[segment.id] = segment.id
            entries.append({
                "id": segment.id, "category_id": found.ids[label] + 1, "iscrowd": 0,
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                "area": areas[segment.id],
            })  # fmt: skip
        values = kept[segmentation.labels]
        rgb = np.stack([values & 255, values >> 8 & 255, values >> 16 & 255], -1)
        out = io.BytesIO()
        Image.fromarray(rgb.astype(np.uint8)).save(out, "PNG")
        save(f"{stem}.png", out.getvalue())
        annotations.append(
            {"image_id": image_id, "file_name": f"{stem}.png", "segments_info": entries}
        )
    return {**found.head(), "annotations": annotations, "categories": found.categories()}


def to_yolo_seg(
    segmentations: Iterable[LabelMap], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, str]:
    """Return the files of an Ultralytics segmentation set: relative name -> text.

    A line a part: class and outline in 0..1. The format knows no holes; they are filled.
    """
    return dict(_yolo(_Survey(segmentations, vocabulary)))


def _yolo(found: _Survey) -> Iterator[tuple[str, str]]:
    yield "data.yaml", data_yaml(list(found.ids))
    table = [csv_line(["name", "picture"])]
    for segmentation, stem in found.named_pictures():
        size = np.array([segmentation.image.width, segmentation.image.height], float)
        lines = []
        for segment, label in _named(segmentation, found.vocabulary):
            for ring in _outlines(segmentation.mask(segment.id)):
                numbers = " ".join(f"{v:.6f}" for v in (ring / size).ravel())
                lines.append(f"{found.ids[label]} {numbers}\n")
        yield f"labels/{stem}.txt", "".join(lines)
        path = segmentation.image.path
        table.append(csv_line([stem + suffix(path), path]))
    yield "pictures.csv", "".join(table)


def to_labelme_polygons(
    segmentations: Iterable[LabelMap], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, dict[str, Any]]:
    """Return LabelMe's documents with polygons, file name -> JSON object; holes are filled."""
    return dict(_labelme(_Survey(segmentations, vocabulary)))


def _labelme(found: _Survey) -> Iterator[tuple[str, dict[str, Any]]]:
    for segmentation, stem in found.named_pictures():
        shapes = [
            {
                "label": label, "points": ring.round(PX_DIGITS).tolist(), "group_id": segment.id,
                "description": segment.phrase, "shape_type": "polygon", "flags": {}, "mask": None,
            }
            for segment, label in _named(segmentation, found.vocabulary)
            for ring in _outlines(segmentation.mask(segment.id))
        ]  # fmt: skip
        yield f"{stem}.json", {
            "version": FORMAT_VERSION, "flags": {}, "shapes": shapes,
            "imagePath": utf8(segmentation.image.path), "imageData": None,
            "imageHeight": segmentation.image.height, "imageWidth": segmentation.image.width,
        }  # fmt: skip


SEGMENT_FORMATS = ("coco-instances", "coco-panoptic", "yolo-seg", "labelme-polygons")


def export_segmentations(
    segmentations: Iterable[LabelMap],
    out: Path,
    to: str,
    *,
    vocabulary: Vocabulary = Vocabulary.phrases(),
    overwrite: bool = False,
) -> Path:
    """Write segmentations as a folder that is there whole or not at all.

    They are gone through twice, see `to_coco_instances`; files are written as they come.

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
            data = _panoptic(
                _Survey(segmentations, vocabulary),
                lambda name, content: filling.write_bytes(f"panoptic/{name}", content),
            )
            filling.write("panoptic.json", _json(data))
        elif to == "yolo-seg":
            for name, text in _yolo(_Survey(segmentations, vocabulary)):
                filling.write(name, text)
        else:
            for name, document in _labelme(_Survey(segmentations, vocabulary)):
                filling.write(name, _json(document))
    return out


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n"


def _named(segmentation: LabelMap, vocabulary: Vocabulary) -> list[tuple[Segment, str]]:
    found = []
    for segment in segmentation.segments:
        label = None if segment.kind == "region" else vocabulary.label(segment.phrase)
        if label:
            found.append((segment, label))
    return found


class _Survey:
    """What must be known of all pictures before the first is written: a first pass."""

    def __init__(self, segmentations: Iterable[LabelMap], vocabulary: Vocabulary) -> None:
        once = isinstance(segmentations, Iterator)
        self.segmentations = list(segmentations) if once else segmentations
        self.vocabulary = vocabulary
        self.images: list[ImageInfo] = []
        self._stuff: set[str] = set()
        self.ids = vocabulary.numbered(self._labels())

    def _labels(self) -> Iterator[str]:
        for segmentation in self.segmentations:
            self.images.append(segmentation.image)
            for segment, label in _named(segmentation, self.vocabulary):
                if segment.kind == "stuff":
                    self._stuff.add(label)
                yield label

    def named_pictures(self) -> Iterator[tuple[LabelMap, str]]:
        """Each segmentation with the stem of its files."""
        return zip(self.segmentations, unique_stems(self.images), strict=True)

    def categories(self) -> list[dict[str, Any]]:
        return [
            {"id": i + 1, "name": name, "isthing": int(name not in self._stuff),
             "supercategory": "stuff" if name in self._stuff else "thing"}
            for name, i in self.ids.items()
        ]  # fmt: skip

    def head(self) -> dict[str, Any]:
        images = [
            {"id": i, "file_name": utf8(image.path), "width": image.width,
             "height": image.height, "license": 0}
            for i, image in enumerate(self.images, 1)
        ]  # fmt: skip
        info = {"description": "Phrases and masks", "contributor": f"kosmoscope {__version__}"}
        return {
            "info": info,
            "licenses": [{"id": 0, "name": "unknown", "url": ""}],
            "images": images,
        }


def _outlines(mask: Mask) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    return [simplify(p.outline, _TOLERANCE_PX) for p in mask.polygons()]
