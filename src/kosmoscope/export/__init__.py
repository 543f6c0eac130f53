"""Descriptions and segmentations in other programs' formats.

>>> from kosmoscope.export import Vocabulary, export
>>> export(descriptions, Path("out"), "coco", vocabulary=Vocabulary.heads())

Each format is a record in `FORMATS`, made in its own module (see `kosmoscope.export.format`), and
has a function without files: `to_coco(descriptions)`, which is what `exported` calls by name.
"""

from __future__ import annotations

from kosmoscope.export.captions import to_captions
from kosmoscope.export.coco import to_coco, to_coco_captions
from kosmoscope.export.format import (
    FORMATS,
    Format,
    Job,
    Pictures,
    folder_format,
    formats,
    text_format,
)
from kosmoscope.export.html import to_html
from kosmoscope.export.jsonl import to_jsonl
from kosmoscope.export.labelled import Report
from kosmoscope.export.labelme import to_labelme
from kosmoscope.export.labelstudio import labelstudio_config, to_labelstudio
from kosmoscope.export.markdown import to_markdown
from kosmoscope.export.nouns import head_noun
from kosmoscope.export.pictures import refine
from kosmoscope.export.run import export, exported
from kosmoscope.export.segments import (
    to_coco_instances,
    to_coco_panoptic,
    to_labelme_polygons,
    to_yolo_seg,
)
from kosmoscope.export.supervision import to_supervision
from kosmoscope.export.tables import to_arrow, to_csv, to_pandas
from kosmoscope.export.tagged import to_links, to_tagged
from kosmoscope.export.voc import to_voc
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.export.yolo import to_yolo

__all__ = [
    "FORMATS",
    "Format",
    "Job",
    "Pictures",
    "Report",
    "Vocabulary",
    "export",
    "exported",
    "folder_format",
    "formats",
    "head_noun",
    "labelstudio_config",
    "refine",
    "text_format",
    "to_arrow",
    "to_captions",
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
