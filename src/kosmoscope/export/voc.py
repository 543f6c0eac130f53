"""Pascal VOC: one XML file a picture.

Corners are whole pixels counted from 1, both included, as in the VOC development kit: the box from
x1 to x2 has ``xmin = floor(x1) + 1`` and ``xmax = ceil(x2)``, so ``(xmin - 1, xmax)`` gives back
the smallest range of whole pixels around it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from xml.etree import ElementTree

from kosmoscope.export.format import FORMATS, Files, Job, folder_format
from kosmoscope.export.labelled import LabelledBox
from kosmoscope.export.pictures import LabelledPicture
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.files.text import markup
from kosmoscope.types import GroundedCaption


def to_voc(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, str]:
    """Return the files of a VOC data set, relative name -> text: ``Annotations/*.xml`` and
    ``ImageSets/Main/default.txt``, the list of their stems."""
    return dict(_files(Job(descriptions, vocabulary)))


def _files(job: Job) -> Files:
    for picture, stem, name in zip(job.pictures, job.stems, job.names, strict=True):
        yield f"Annotations/{stem}.xml", _document(picture, name)
    yield "ImageSets/Main/default.txt", "".join(f"{stem}\n" for stem in job.stems)


def _document(picture: LabelledPicture, name: str) -> str:
    root = ElementTree.Element("annotation")
    _add(root, "folder", "JPEGImages")
    _add(root, "filename", name)
    _add(root, "path", picture.image.path)
    _add(ElementTree.SubElement(root, "source"), "database", "kosmoscope")
    size = ElementTree.SubElement(root, "size")
    _add(size, "width", picture.image.width)
    _add(size, "height", picture.image.height)
    _add(size, "depth", 3)
    _add(root, "segmented", 0)
    for box in picture.boxes:
        _object(root, box)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _object(root: ElementTree.Element, box: LabelledBox) -> None:
    item = ElementTree.SubElement(root, "object")
    _add(item, "name", box.label)
    _add(item, "pose", "Unspecified")
    _add(item, "truncated", 0)
    _add(item, "difficult", 0)
    if box.score is not None:
        _add(item, "score", box.score)
    x1, y1, x2, y2 = box.xyxy_px
    corners = ElementTree.SubElement(item, "bndbox")
    _add(corners, "xmin", math.floor(x1) + 1)
    _add(corners, "ymin", math.floor(y1) + 1)
    _add(corners, "xmax", math.ceil(x2))
    _add(corners, "ymax", math.ceil(y2))


def _add(parent: ElementTree.Element, tag: str, value: object) -> None:
    ElementTree.SubElement(parent, tag).text = markup(str(value))


VOC = FORMATS.add(
    folder_format(
        "voc",
        "`Annotations/*.xml`, `ImageSets/Main/default.txt`; whole pixels, no captions",
        _files,
        pictures="JPEGImages/",
        needs_pictures=True,
    )
)
