"""What plain words ask for, and which JSON schemas can be filled."""

from __future__ import annotations

from typing import Any

import pytest

from kosmoscope.errors import OptionError
from kosmoscope.server.chat import Form, form_of
from kosmoscope.server.photoprism import sentence
from kosmoscope.server.verbs import Wish, wish

BRIEF, DETAILED = Wish("describe", "brief"), Wish("describe", "detailed")
SAID: dict[str, Wish] = {
    "": BRIEF,
    "  ": BRIEF,
    "Describe": BRIEF,
    "Describe this image.": BRIEF,
    "Please describe the picture": BRIEF,
    "describe it briefly": BRIEF,
    "Write a caption for this photo": BRIEF,
    "Caption": BRIEF,
    "What is in this image?": BRIEF,
    "What's in the photo?": BRIEF,
    "What do you see?": BRIEF,
    "Describe this image in detail.": DETAILED,
    "describe the scene in great detail": DETAILED,
    "Give me a detailed description of this picture, please": DETAILED,
    "Where is the snowman?": Wish("ground", "the snowman"),
    "where are two Dogs": Wish("ground", "two Dogs"),
    "Find a red car.": Wish("ground", "a red car"),
    "Locate: the fire": Wish("ground", "the fire"),
    "Please detect people": Wish("ground", "people"),
    "Point to the Eiffel Tower": Wish("ground", "the Eiffel Tower"),
    "What is in [0.1, 0.2, 0.5, 0.9]?": Wish("refer", box=(0.1, 0.2, 0.5, 0.9)),
    "what is in 0,0,1,.5": Wish("refer", box=(0.0, 0.0, 1.0, 0.5)),
    "What is special about this image?": Wish("ask", "What is special about this image?"),
    "What is in the box on the left?": Wish("ask", "What is in the box on the left?"),
    "Describe the weather": Wish("ask", "Describe the weather"),
    "Is there a dog?": Wish("ask", "Is there a dog?"),
    "Find": Wish("ask", "Find"),
    "two\nlines  of text": Wish("ask", "two lines of text"),
}


@pytest.mark.parametrize("said", SAID)
def test_words(said: str) -> None:
    assert wish(said) == SAID[said]


STRING: dict[str, Any] = {"type": "string"}
OBJECTS: dict[str, Any] = {"type": "array", "items": {"properties": {"phrase": STRING}}}


def test_schemas() -> None:
    assert form_of(None) == Form()
    assert form_of({"properties": {"caption": STRING}}) == Form(("caption",))
    assert form_of({"properties": {"objects": OBJECTS}}) == Form(("objects",), ("phrase",))
    assert form_of({"properties": {"objects": {"type": "array"}}}) == Form(("objects",))
    referring = {"type": "array", "items": {"$ref": "#/$defs/Found"}}
    found = {"properties": {"objects": referring}, "$defs": {"Found": OBJECTS["items"]}}
    assert form_of(found) == Form(("objects",), ("phrase",))


@pytest.mark.parametrize(
    "schema",
    [
        {}, [], "json", {"type": "array"}, {"properties": {}}, {"properties": []},
        {"properties": {"answer": STRING}}, {"properties": {"objects": 3}},
        {"properties": {"objects": {"items": 3}}},
        {"properties": {"objects": {"items": {"properties": {"x": STRING}}}}},
        {"properties": {"objects": {"items": {"$ref": "#/$defs/Nothing"}}}},
        {"properties": {"objects": {"items": {"$ref": "http://elsewhere"}}}},
    ],
    ids=str,
)  # fmt: skip
def test_schemas_that_cannot_be_filled(schema: Any) -> None:
    with pytest.raises(OptionError, match="this server fills"):
        form_of(schema)


def test_a_caption_becomes_a_sentence() -> None:
    assert sentence("An image of a dog and a bench") == "A dog and a bench."
    assert sentence("A dog.") == "A dog."
    assert sentence("An image of") == ""
