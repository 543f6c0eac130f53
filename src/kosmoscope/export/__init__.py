"""Descriptions in other programs' formats.

>>> from kosmoscope.export import Vocabulary, export
>>> export(descriptions, Path("out"), "coco", vocabulary=Vocabulary.heads())

For each format there is also a function without files: `to_coco(descriptions)` and so on.
"""

from __future__ import annotations

from kosmoscope.export.atomic import Pictures
from kosmoscope.export.coco import to_coco, to_coco_captions
from kosmoscope.export.html import to_html
from kosmoscope.export.labelme import to_labelme
from kosmoscope.export.labelstudio import labelstudio_config, to_labelstudio
from kosmoscope.export.markdown import to_markdown
from kosmoscope.export.nouns import head_noun
from kosmoscope.export.pictures import refine
from kosmoscope.export.run import export, formats, to_jsonl
from kosmoscope.export.segments import (
    SEGMENT_FORMATS,
    export_segmentations,
    to_coco_instances,
    to_coco_panoptic,
    to_labelme_polygons,
    to_yolo_seg,
)
from kosmoscope.export.supervise import to_supervision
from kosmoscope.export.tables import to_arrow, to_csv, to_pandas
from kosmoscope.export.tagged import to_links, to_tagged
from kosmoscope.export.voc import to_voc
from kosmoscope.export.vocabulary import Report, Vocabulary
from kosmoscope.export.yolo import to_yolo

__all__ = [
    "SEGMENT_FORMATS",
    "Pictures",
    "Report",
    "Vocabulary",
    "export",
    "export_segmentations",
    "formats",
    "head_noun",
    "labelstudio_config",
    "refine",
    "to_arrow",
    "to_coco",
    "to_coco_captions",
    "to_coco_instances",
    "to_coco_panoptic",
    "to_csv",
    "to_html",
    "to_jsonl",
    "to_labelme",
    "to_labelme_polygons",
    "to_labelstudio",
    "to_links",
    "to_markdown",
    "to_pandas",
    "to_supervision",
    "to_tagged",
    "to_voc",
    "to_yolo",
    "to_yolo_seg",
]
