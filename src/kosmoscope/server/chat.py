"""What chats have in common: one picture, the last message, and answers as text or JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import OptionError
from kosmoscope.results import Description
from kosmoscope.server.pictures import Shown
from kosmoscope.server.verbs import Verb, Wish
from kosmoscope.types import Entity

_OBJECT = ("phrase", "box", "score")
_WHOLE = ("caption", "objects")
_EXPECTED = (
    "response_format: this server fills objects of caption (a string) and objects (a list of "
    "objects of phrase, box and score), or a part of these"
)


@dataclass(frozen=True, slots=True)
class Picked:
    """What of a conversation counts."""

    text: str
    """Of the user's last message."""
    image: str
    """The latest picture."""


@dataclass(frozen=True, slots=True)
class Form:
    """The JSON that somebody wants."""

    whole: tuple[str, ...] = _WHOLE
    object: tuple[str, ...] = _OBJECT


@dataclass(frozen=True, slots=True)
class Talk:
    """A turn to be answered."""

    wish: Wish
    shown: Shown
    options: GenerationOptions
    form: Form | None


def form_of(schema: Any) -> Form:
    """Return what a JSON schema asks for; None asks for all that there is.

    Raises:
        OptionError: it asks for something else.
    """
    if schema is None:
        return Form()
    whole = _properties(schema, _WHOLE)
    objects = (schema["properties"].get("objects") or {}) if "objects" in whole else {}
    if not isinstance(objects, dict):
        raise OptionError(_EXPECTED)
    items = objects.get("items")
    if items is None:
        return Form(whole)
    return Form(whole, _properties(_resolved(items, schema), _OBJECT))


def _resolved(schema: Any, root: dict[str, Any]) -> Any:
    """Follow a reference into the root's definitions, which is how pydantic writes lists."""
    if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
        return schema
    place, _, name = schema["$ref"].rpartition("/")
    if place not in ("#/$defs", "#/definitions"):
        raise OptionError(_EXPECTED)
    definitions = root.get(place[2:])
    return definitions.get(name) if isinstance(definitions, dict) else None


def _properties(schema: Any, known: tuple[str, ...]) -> tuple[str, ...]:
    if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
        raise OptionError(_EXPECTED)
    names = tuple(schema["properties"])
    if not names or not set(names) <= set(known):
        raise OptionError(_EXPECTED)
    return names


def said_of(verb: Verb, description: Description, form: Form | None) -> str:
    """Return an answer's text: the caption, with the boxes where a phrase was looked for."""
    if form is not None:
        return json.dumps(_filled(description, form))
    if verb == "ground":
        return description.caption + "".join(place(e) for e in description.entities)
    return description.caption


def place(entity: Entity) -> str:
    """Return an entity's boxes as text."""
    return "".join(f" [{', '.join(f'{v:.3f}' for v in box.xyxy)}]" for box in entity.boxes)


def _filled(description: Description, form: Form) -> dict[str, Any]:
    objects = [
        {
            key: value
            for key, value in (
                ("phrase", entity.phrase),
                ("box", [round(v, 4) for v in box.xyxy]),
                ("score", None if box.shown_score is None else round(box.shown_score, 4)),
            )
            if key in form.object
        }
        for entity in description.entities
        for box in entity.boxes
    ]
    whole: dict[str, Any] = {"caption": description.caption, "objects": objects}
    return {key: value for key, value in whole.items() if key in form.whole}
