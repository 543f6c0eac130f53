"""Label Studio: tasks with predictions, and the labelling configuration that fits them.

One task and one prediction a picture, whatever was asked about it: the editor shows one of several
predictions. Boxes are in per cent of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

from kosmoscope.export.format import FORMATS, Files, Job, folder_format
from kosmoscope.export.labelled import SCORE_DIGITS, number
from kosmoscope.export.labelstudio_regions import picture_size, rectangle_value, region_id
from kosmoscope.export.names import is_file_path
from kosmoscope.export.pictures import LabelledPicture
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.files.addresses import quoted
from kosmoscope.files.text import markup, utf8
from kosmoscope.types import GroundedCaption

LOCAL_FILES = "/data/local-files/?d="
"""Where Label Studio serves local files: paths follow, relative to its document root."""


def to_labelstudio(
    descriptions: Iterable[GroundedCaption],
    vocabulary: Vocabulary = Vocabulary.phrases(),
    *,
    prefix: str = LOCAL_FILES,
) -> list[dict[str, Any]]:
    """Return the tasks to import, with predictions.

    Args:
        descriptions: of the pictures.
        vocabulary: of the labels.
        prefix: put before the percent-encoded path of a file; URLs stay as they are.
    """
    return _tasks(Job(descriptions, vocabulary, options={"prefix": prefix}))


def _tasks(job: Job) -> list[dict[str, Any]]:
    prefix = job.options.get("prefix", LOCAL_FILES)
    return [
        {
            "data": {"image": _address(picture.image.path, prefix)},
            "predictions": [_prediction(picture)],
        }
        for picture in job.pictures
    ]


def _labels_in(tasks: Iterable[dict[str, Any]]) -> set[str]:
    """Return the labels that occur in tasks."""
    return {
        label
        for task in tasks
        for prediction in task["predictions"]
        for item in prediction["result"]
        for label in item["value"].get("rectanglelabels", ())
    }


def labelstudio_config(labels: Iterable[str]) -> str:
    """Return the labelling configuration (XML) for these labels."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image")
    boxes = ElementTree.SubElement(view, "RectangleLabels", name="label", toName="image")
    for label in labels:
        ElementTree.SubElement(boxes, "Label", value=markup(label))
    ElementTree.SubElement(view, "TextArea", name="caption", toName="image", editable="true")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _address(path: str, prefix: str) -> str:
    if not is_file_path(path):
        return utf8(path)
    return prefix + quoted(path).lstrip("/").removeprefix("./")


def _prediction(picture: LabelledPicture) -> dict[str, Any]:
    """Return all that was said about a picture: the editor shows one prediction at a time."""
    image = picture.image
    size = {**picture_size(image), "to_name": "image"}
    result: list[dict[str, Any]] = []
    scores: list[float] = []
    for box in picture.boxes:
        value = {**rectangle_value(box.xyxy_px, image), "rectanglelabels": [box.label]}
        item: dict[str, Any] = {"id": "", "type": "rectanglelabels", "from_name": "label"}
        item |= {**size, "value": value}
        if box.score is not None:
            item["score"] = box.score
            scores.append(box.score)
        result.append(item)
    if picture.captions:
        captions = [markup(caption) for caption in picture.captions]
        caption = {"id": "", "type": "textarea", "from_name": "caption", "to_name": "image"}
        result.append({**caption, "value": {"text": captions}})
    for i, item in enumerate(result):
        item["id"] = region_id(f"{image.path}\n{i}")
    prediction: dict[str, Any] = {"model_version": ", ".join(picture.models), "result": result}
    if scores:
        prediction["score"] = number(sum(scores) / len(scores), SCORE_DIGITS)
    return prediction


def _files(job: Job) -> Files:
    tasks = _tasks(job)
    yield "tasks.json", tasks
    yield "config.xml", labelstudio_config(job.vocabulary.numbered(_labels_in(tasks)))


LABELSTUDIO = FORMATS.add(
    folder_format(
        "labelstudio",
        "`tasks.json` (predictions: boxes, captions), `config.xml`",
        _files,
        value=_tasks,
        options=("prefix",),
    )
)
