"""Ultralytics YOLO: ``labels/*.txt``, ``data.yaml``, and ``pictures.csv`` that says which is which.

A line is ``class cx cy w h``, normalised to 0..1. There is no place for a score (the trainer
refuses a sixth column) nor for a caption.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kosmoscope.export.format import FORMATS, Files, Job, folder_format
from kosmoscope.export.labelled import NORM_DIGITS, LabelledBox
from kosmoscope.export.pictures import labels_of
from kosmoscope.export.tables import csv_line
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.files.text import utf8
from kosmoscope.types import GroundedCaption, ImageInfo


def to_yolo(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary = Vocabulary.phrases()
) -> dict[str, str]:
    """Return the files of a YOLO data set: relative name -> text.

    Each picture has a label file, an empty one where nothing was found. Label files have the
    picture's stem where that is unique, and a hash with it where it is not.
    """
    return dict(_files(Job(descriptions, vocabulary)))


def _files(job: Job) -> Files:
    ids = job.vocabulary.numbered(labels_of(job.pictures))
    yield "data.yaml", data_yaml(list(ids))
    for picture, stem in zip(job.pictures, job.stems, strict=True):
        lines = (_line(box, ids[box.label], picture.image) for box in picture.boxes)
        yield f"labels/{stem}.txt", "".join(lines)
    yield "pictures.csv", pictures_csv(job.names, [picture.image for picture in job.pictures])


def pictures_csv(names: Sequence[str], images: Sequence[ImageInfo]) -> str:
    """Return the list that says which file name stands for which picture."""
    rows = zip(names, (image.path for image in images), strict=True)
    return "".join(map(csv_line, (("name", "picture"), *rows)))


def data_yaml(names: Sequence[str]) -> str:
    """Return data.yaml: pictures are expected in ``images``, beside ``labels``.

    There is no `path`: Ultralytics then takes the file's own folder. One split serves as both,
    for it wants a `val`; split as you need.
    """
    lines = ["train: images", "val: images", f"nc: {len(names)}"]
    lines += ["names:"] if names else ["names: {}"]
    lines += [f"  {i}: {quoted(name)}" for i, name in enumerate(names)]
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """Return a YAML double-quoted scalar; what does not print is escaped."""
    return '"' + "".join(map(_yaml_character, utf8(text))) + '"'


def _yaml_character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _line(box: LabelledBox, number: int, image: ImageInfo) -> str:
    x1, y1, x2, y2 = box.xyxy_px
    w, h = image.width, image.height
    values = ((x1 + x2) / 2 / w, (y1 + y2) / 2 / h, (x2 - x1) / w, (y2 - y1) / h)
    return f"{number} {' '.join(f'{v:.{NORM_DIGITS}f}' for v in values)}\n"


YOLO = FORMATS.add(
    folder_format(
        "yolo",
        "`data.yaml`, `labels/*.txt`, `pictures.csv`; no scores, no captions",
        _files,
        pictures="images/",
        needs_pictures=True,
    )
)
