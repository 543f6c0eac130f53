"""Results show themselves in a notebook, and the facade says what it does."""

from __future__ import annotations

import base64
import io
import re
import warnings
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import kosmoscope
from kosmoscope import Box, Description, Entity, ImageInfo, Prompt, Scope, Segmentation
from kosmoscope.errors import OutputError, PromptError
from kosmoscope.masks import Segment


@pytest.fixture(scope="module")
def scope() -> Scope:
    return kosmoscope.load("pocket", threads=1)


class Parsed(HTMLParser):
    """The tags in order, the words, and the picture's bytes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words, self.spans, self.kind, self.data = "", [], "", b""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            source = dict(attrs)["src"] or ""
            self.kind, _, data = source.removeprefix("data:").partition(";base64,")
            self.data = base64.b64decode(data, validate=True)
            return
        self.open.append(tag)
        if tag == "span":
            style = dict(attrs)["style"] or ""
            self.spans.append([re.findall("#[0-9a-f]{6}", style)[0], ""])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data
        if self.open[-1] == "span":
            self.spans[-1][1] += data


def made(
    path: str, caption: str = "A dog & <b>a cat</b>", wh: tuple[int, int] = (64, 48)
) -> Description:
    spans = {p: caption.find(p) for p in ("dog", "<b>a cat</b>") if p in caption}
    entities = tuple(
        Entity(p, (at, at + len(p)), (Box.of((0.1, 0.1, 0.6, 0.7), wh, 0.9),))
        for p, at in spans.items()
    )
    return Description(
        ImageInfo(path, *wh), "pocket", "int8", "", caption, caption, caption, caption, caption,
        entities, (), "stop",
    )  # fmt: skip


def test_a_notebook_shows_picture_and_coloured_phrases(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    Image.new("RGB", (1600, 400), (200, 0, 0)).save(path)
    shown = Parsed(made(str(path), wh=(1600, 400))._repr_html_())
    assert shown.words == "A dog & <b>a cat</b>"
    assert [words for _, words in shown.spans] == ["dog", "<b>a cat</b>"]
    assert shown.spans[0][0] != shown.spans[1][0]
    picture = Image.open(io.BytesIO(shown.data))
    assert (shown.kind, picture.size) == ("image/jpeg", (720, 180))
    # A frame was drawn on the red.
    assert (np.asarray(picture).astype(int)[..., 1] > 100).any()


@pytest.mark.parametrize("path", ["<array>", "gone.jpg"])
def test_a_notebook_without_the_picture_shows_the_boxes(path: str) -> None:
    shown = Parsed(made(path)._repr_html_())
    assert shown.kind == "image/svg+xml"
    boxes = ElementTree.fromstring(shown.data).iter("{http://www.w3.org/2000/svg}rect")
    assert len(list(boxes)) >= 2


def test_a_notebook_shows_what_says_nothing() -> None:
    assert Parsed(made("<array>", "")._repr_html_()).words == "(no caption)"
    assert Parsed(made("<array>", " \udcff\x1b ")._repr_html_()).spans == []


@pytest.mark.parametrize("there", [True, False])
def test_a_notebook_shows_a_segmentation(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "a.png"
    if there:
        Image.new("RGB", (40, 20)).save(path)
    labels = np.zeros((20, 40), np.uint16)
    labels[:, 30:] = 1
    found = Segmentation(
        ImageInfo(str(path), 40, 20), "made", labels, (Segment(1, "a <dog>", "thing"),)
    )
    shown = Parsed(found._repr_html_())
    assert (shown.kind, shown.words) == ("image/jpeg", "a <dog> 25 %")
    assert Image.open(io.BytesIO(shown.data)).size == (40, 20)


def test_a_segmentation_draws_and_saves_itself(tmp_path: Path, photos: Path, scope: Scope) -> None:
    photo = photos / "china.jpg"
    found = scope.segment(photo)
    assert isinstance(found, Segmentation)
    with Image.open(photo) as image:
        assert found.draw().size == image.size
    with Image.open(found.save(tmp_path / "a.png")) as saved:
        assert saved.size == found.draw().size
    with pytest.raises(OutputError):
        found.save(tmp_path / "no" / "a.png")
    assert Segmentation.from_json(found.to_json()).segments == found.segments


def test_loading_without_a_name_says_which_model_it_took() -> None:
    with pytest.warns(UserWarning, match=r"kosmos-2 is not on this machine .* using pocket"):
        assert kosmoscope.load(threads=1).model == "pocket"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kosmoscope.load("pocket", threads=1)


def test_a_prompt_is_checked_without_a_picture(scope: Scope) -> None:
    picture = b"not a picture: it is not read"
    scope.check(Prompt().image(picture).text("An image of"))
    with pytest.raises(PromptError, match="the model reads"):
        scope.check(Prompt().image(picture).text("word " * 5000))


def test_stream_events_are_public(photos: Path, scope: Scope) -> None:
    prompt = Prompt().image(photos / "flower.jpg").grounding().text("An image of")
    events = list(scope.stream(prompt))
    kinds = (kosmoscope.TextDelta, kosmoscope.EntityFound, kosmoscope.Finished)
    assert all(isinstance(event, kinds) for event in events)
    assert isinstance(events[-1], kosmoscope.Finished)
    assert isinstance(events[-1].description, Description)
