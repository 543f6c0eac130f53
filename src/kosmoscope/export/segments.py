"""Segmentations in other programs' formats: COCO instances and panoptic, YOLO-seg, LabelMe.

What they take is gone through twice, since numbers of classes must be known before the first
picture is written: an iterator is gathered for that, any other iterable (say one that reads files)
is asked again, so that one picture at a time is in memory.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from kosmoscope._version import __version__
from kosmoscope.errors import OptionError
from kosmoscope.export.format import FORMATS, Files, Format, Job, folder_format
from kosmoscope.export.labelled import PX_DIGITS
from kosmoscope.export.labelme import document
from kosmoscope.export.names import suffix, unique_stems
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.export.yolo import data_yaml, pictures_csv
from kosmoscope.files.text import utf8

# NumPy, Pillow and what is built on them are imported where they are used, so that the command
# line can list the formats without them.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kosmoscope.masks import LabelMap, Mask, Segment
    from kosmoscope.types import ImageInfo

_TOLERANCE_PX = 0.75
"""How far the outlines of formats without holes or with a cost for each corner may be off."""


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
    segmentations: Iterable[LabelMap], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, str]:
    """Return the files of an Ultralytics segmentation set: relative name -> text.

    A line a part: class and outline in 0..1. The format knows no holes; they are filled.
    """
    return dict(_yolo_files(Job(segmentations, vocabulary)))


def to_labelme_polygons(
    segmentations: Iterable[LabelMap], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, dict[str, Any]]:
    """Return LabelMe's documents with polygons, file name -> JSON object; holes are filled."""
    return dict(_labelme_files(Job(segmentations, vocabulary)))


def _instances(job: Job) -> dict[str, Any]:
    found = _Survey(job)
    annotations: list[dict[str, Any]] = []
    for image_id, segmentation in enumerate(found.segmentations, 1):
        for segment, label in _named(segmentation, job.vocabulary):
            mask = segmentation.mask(segment.id)
            if mask.xyxy_px is None:
                continue
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": found.ids[label] + 1,
                **_extent(mask),
                "iscrowd": 0,
                "segmentation": mask.to_rle(),
                "phrase": segment.phrase,
            }
            if segment.score is not None:
                annotation["score"] = segment.score
            annotations.append(annotation)
    return {**found.head(), "annotations": annotations, "categories": found.categories()}


def _instance_files(job: Job) -> Files:
    yield "instances.json", _instances(job)


def _panoptic(job: Job) -> tuple[dict[str, Any], dict[str, bytes]]:
    *pictures, (_, data) = _panoptic_files(job)
    return data, {name.removeprefix("panoptic/"): png for name, png in pictures}


def _panoptic_files(job: Job) -> Files:
    import numpy as np
    from PIL import Image

    found = _Survey(job)
    annotations = []
    for image_id, (segmentation, stem) in enumerate(found.named_pictures(), 1):
        entries, kept = [], np.zeros(len(segmentation.names), int)
        for segment, label in _named(segmentation, job.vocabulary):
            mask = segmentation.mask(segment.id)
            if mask.xyxy_px is not None:
                kept[segment.id] = segment.id
                entry = {"id": segment.id, "category_id": found.ids[label] + 1, "iscrowd": 0}
                entries.append({**entry, **_extent(mask)})
        values = kept[segmentation.labels]
        rgb = np.stack([values & 255, values >> 8 & 255, values >> 16 & 255], -1)
        out = io.BytesIO()
        Image.fromarray(rgb.astype(np.uint8)).save(out, "PNG")
        yield f"panoptic/{stem}.png", out.getvalue()
        annotations.append(
            {"image_id": image_id, "file_name": f"{stem}.png", "segments_info": entries}
        )
    head = found.head()
    yield "panoptic.json", {**head, "annotations": annotations, "categories": found.categories()}


def _extent(mask: Mask) -> dict[str, Any]:
    x1, y1, x2, y2 = mask.xyxy_px or (0, 0, 0, 0)
    return {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": mask.area_px}


def _yolo_files(job: Job) -> Files:
    found = _Survey(job)
    yield "data.yaml", data_yaml(list(found.ids))
    for segmentation, stem in found.named_pictures():
        size = (segmentation.image.width, segmentation.image.height)
        lines = []
        for segment, label in _named(segmentation, job.vocabulary):
            for ring in _outlines(segmentation.mask(segment.id)):
                numbers = " ".join(f"{v:.6f}" for v in (ring / size).ravel())
                lines.append(f"{found.ids[label]} {numbers}\n")
        yield f"labels/{stem}.txt", "".join(lines)
    stems = zip(unique_stems(found.images), found.images, strict=True)
    names = [stem + suffix(image.path) for stem, image in stems]
    yield "pictures.csv", pictures_csv(names, found.images)


def _labelme_files(job: Job) -> Files:
    found = _Survey(job)
    for segmentation, stem in found.named_pictures():
        shapes = [
            {
                "label": label, "points": ring.round(PX_DIGITS).tolist(), "group_id": segment.id,
                "description": segment.phrase, "shape_type": "polygon", "flags": {}, "mask": None,
            }
            for segment, label in _named(segmentation, job.vocabulary)
            for ring in _outlines(segmentation.mask(segment.id))
        ]  # fmt: skip
        image = segmentation.image
        yield f"{stem}.json", document(image, image.path, shapes)


def _outlines(mask: Mask) -> list[NDArray[np.float64]]:
    from kosmoscope.masks import simplify

    return [simplify(p.outline, _TOLERANCE_PX) for p in mask.polygons()]


def _named(segmentation: LabelMap, vocabulary: Vocabulary) -> Iterator[tuple[Segment, str]]:
    """Yield the segments that have a class."""
    for segment in segmentation.segments:
        label = None if segment.kind == "region" else vocabulary.label(segment.phrase)
        if label is not None:
            yield segment, label


class _Survey:
    """What must be known of all pictures before the first is written: a first pass, counted."""

    def __init__(self, job: Job) -> None:
        from kosmoscope.masks import LabelMap

        gathered = isinstance(job.found, Iterator)
        self.segmentations: Iterable[LabelMap] = list(job.found) if gathered else job.found
        self.images: list[ImageInfo] = []
        self._stuff: set[str] = set()
        labels: set[str] = set()
        for segmentation in self.segmentations:
            if not isinstance(segmentation, LabelMap):
                raise OptionError(f"expected segmentations, got a {type(segmentation).__name__}")
            self.images.append(segmentation.image)
            job.report.descriptions += 1
            job.report.pictures += 1
            areas_px = segmentation.areas_px()
            for segment in segmentation.segments:
                if segment.kind == "region":
                    continue
                label = job.report.look_up(segment.phrase, job.vocabulary)
                job.report.count(label, 1, usable=int(areas_px[segment.id] > 0))
                if label is not None:
                    labels.add(label)
                    self._stuff.update({label} if segment.kind == "stuff" else ())
        self.ids = job.vocabulary.numbered(labels)

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


def _format(name: str, summary: str, files: Any, value: Any = None) -> Format:
    record = folder_format(name, summary, files, value=value, takes="segmentations", indent=None)
    return FORMATS.add(record)


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
    "`data.yaml`, `labels/*.txt`: outlines within 0.75 px; holes are filled",
    _yolo_files,
)
LABELME_POLYGONS = _format(
    "labelme-polygons",
    "one JSON a picture: outlines within 0.75 px; holes are filled",
    _labelme_files,
)
