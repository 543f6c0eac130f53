"""Label Studio's labelling configuration, as far as it is about pictures.

Of the attributes these count: a control's `model_score_threshold`, and of a `Label` its `alias`
(what results call it), `predicted_values` (a comma between them) or else `hint` (what to look for;
without them its value).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from kosmoscope.errors import OptionError
from kosmoscope.export.nouns import head_noun
from kosmoscope.files.text import one_line, reason
from kosmoscope.labels import Label, words_of

Shape = Literal["rectanglelabels", "polygonlabels", "brushlabels"]
_SHAPES: dict[str, Shape] = {
    "rectanglelabels": "rectanglelabels",
    "polygonlabels": "polygonlabels",
    "brushlabels": "brushlabels",
}
_PROMPT = "prompt"


@dataclass(frozen=True, slots=True)
class Control:
    """A tag that takes results about a picture."""

    name: str
    to_name: str
    """The picture's tag."""
    key: str
    """Where a task's data have the picture."""


@dataclass(frozen=True, slots=True)
class ShapeControl(Control):
    """Boxes, polygons or brush strokes with labels."""

    shape: Shape
    labels: tuple[Label, ...]
    min_score: float | None
    """None: see `kosmoscope.labels`."""
    is_tool: bool = False
    """It is for what somebody points at alone (`smartOnly`), and is not filled beforehand."""

    def names_for(self, phrase: str) -> list[str]:
        """Return the label that somebody's phrase means; none where it means none of them."""
        plain = phrase.lower()
        noun = head_noun(plain)
        for label in self.labels:
            if plain in (label.name.lower(), *(p.lower() for p in label.phrases)):
                return [label.name]
        for label in self.labels:
            if noun and noun in {head_noun(p.lower()) for p in (label.name, *label.phrases)}:
                return [label.name]
        return []

    @property
    def only_name(self) -> list[str]:
        """The label of a control that has but one, which then is for anything."""
        return [label.name for label in self.labels] if len(self.labels) == 1 else []


@dataclass(frozen=True, slots=True)
class Config:
    """What a project asks for."""

    shapes: tuple[ShapeControl, ...]
    captions: tuple[Control, ...]
    """Text areas that are filled with a caption: those that are no prompt and no region's own."""

    @property
    def controls(self) -> tuple[Control, ...]:
        """All of them."""
        return (*self.shapes, *self.captions)


def read_config(text: str) -> Config:
    """Read a configuration.

    Raises:
        OptionError: it is not XML, or has nothing to answer.
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise OptionError("label_config: document types are not read")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as e:
        raise OptionError(f"label_config: not XML: {reason(e)}") from None
    pictures = dict(_pictures(root))
    shapes: list[ShapeControl] = []
    captions: list[Control] = []
    for tag in root.iter():
        name, to_name = tag.get("name", ""), tag.get("toName", "").split(",")[0].strip()
        if not name or to_name not in pictures:
            continue
        kind, key = tag.tag.lower(), pictures[to_name]
        if kind in _SHAPES:
            labels = tuple(_labels(tag))
            shapes.append(
                ShapeControl(
                    name,
                    to_name,
                    key,
                    _SHAPES[kind],
                    labels,
                    _threshold(name, tag),
                    tag.get("smartOnly") == "true",
                )
            )
        elif kind == "textarea" and not _is_prompt(name, tag) and tag.get("perRegion") != "true":
            captions.append(Control(name, to_name, key))
    if not shapes and not captions:
        raise OptionError(
            "label_config: expected an Image with value=\"$...\", and RectangleLabels, "
            "PolygonLabels, BrushLabels or a TextArea with its toName"
        )  # fmt: skip
    return Config(tuple(shapes), tuple(captions))


def _pictures(root: Element) -> Iterator[tuple[str, str]]:
    for tag in root.iter():
        if tag.tag.lower() == "image" and tag.get("name") and tag.get("value", "")[:1] == "$":
            yield tag.get("name", ""), tag.get("value", "")[1:]


def _labels(control: Element) -> Iterator[Label]:
    for tag in control.iter():
        value = tag.get("value", "").strip()
        name = tag.get("alias", "").strip() or value
        if tag.tag.lower() != "label" or not name:
            continue
        said = [p for p in tag.get("predicted_values", "").split(",") if p.strip()]
        hint = tag.get("hint", "").strip()
        yield Label.of(name, said or [hint or words_of(value or name)])


def _threshold(name: str, control: Element) -> float | None:
    text = control.get("model_score_threshold")
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise OptionError(
            f"label_config: model_score_threshold of {one_line(name)} is {one_line(text)}; "
            "expected 0 to 1"
        )
    return value


def _is_prompt(name: str, tag: Element) -> bool:
    """Whether somebody types there what to look for: by Label Studio's own examples."""
    return tag.get("smart") == "true" or name.lower().startswith(_PROMPT)
