"""Label Studio's ML backend: the calls of Label Studio, judged by its SDK, and what goes wrong."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from client_programs import answer_of
from kosmoscope.errors import OptionError
from kosmoscope.export.labelstudio_regions import rectangle_value
from kosmoscope.segment.protocol import BoxPrompt
from kosmoscope.segment.run import load_segmenter
from kosmoscope.server.labelstudio_config import read_config
from label_studio_site import KEY, LabelStudioSite
from server_process import PHOTOS, Gate, inside, pocket, serving

CHINA = (PHOTOS / "china.jpg").read_bytes()
URI = f"data:image/jpeg;base64,{base64.b64encode(CHINA).decode()}"
CONFIG = """<View>
  <Header value="Mark it"/>
  <Image name="photo" value="$picture"/>
  <View style="display: flex">
    <RectangleLabels name="box" toName="photo" model_score_threshold="0">
      <Label value="Sky"/>
      <Label value="Some House" alias="house" hint="a house"/>
    </RectangleLabels>
    <PolygonLabels name="outline" toName="photo"><Label value="Sky"/></PolygonLabels>
  </View>
  <BrushLabels name="paint" toName="photo">
    <View><Label value="Pagoda" predicted_values="a house, the house"/></View>
  </BrushLabels>
  <KeyPointLabels name="click" toName="photo" smart="true"><Label value="Pagoda"/></KeyPointLabels>
  <RectangleLabels name="tool" toName="photo" smart="true" smartOnly="true">
    <Label value="Sky"/>
  </RectangleLabels>
  <TextArea name="caption" toName="photo" editable="true"/>
  <TextArea name="prompt" toName="photo" editable="true" rows="2"/>
  <TextArea name="remark" toName="photo" perRegion="true"/>
  <Choices name="mood" toName="photo"><Choice value="Good"/></Choices>
</View>"""


(DOCUMENTED,) = re.findall(
    r"^```xml\n(.*?)^```",
    (Path(__file__).parent.parent / "docs" / "server.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


def box_of(phrase: str) -> dict[str, Any]:
    found = pocket().ground(CHINA, phrase)
    return rectangle_value(found.entities[0].boxes[0].xyxy_px, found.image)


@pytest.fixture(scope="module")
def site() -> Iterator[LabelStudioSite]:
    with LabelStudioSite.running({"/data/upload/7/china a.jpg": CHINA}) as started:
        yield started


# The real client


def test_what_label_studio_asks_and_its_sdk_accepts(site: LabelStudioSite, tmp_path: Path) -> None:
    env = {"LABEL_STUDIO_URL": site.url, "LABEL_STUDIO_API_KEY": KEY}
    with serving("--token", "sesame", env=env) as server:
        tasks = [
            {"id": 1, "data": {"picture": "/data/upload/7/china%20a.jpg"}, "project": 7},
            {"id": 2, "data": {"picture": "/data/upload/7/gone.jpg"}, "project": 7},
            {"id": 3, "data": {"picture": URI}, "project": 7},
        ]
        found = answer_of(
            "label_studio.py",
            {"url": server.url, "token": "sesame", "config": CONFIG, "tasks": tasks,
             "prompt": "a house", "documented": DOCUMENTED,
             "clicks": [[35, 50, True], [90, 10, False]], "box": [0, 0, 100, 60]},
            tmp_path,
        )  # fmt: skip
        server.said(r"task 2: Label Studio answers 404 to /data/upload/7/gone.jpg")
        assert server.stop() == 0
    assert found["needs"] == ["picture"]
    assert found["health"] == {
        "status": "ok", "model_class": "kosmoscope", "model_version": "pocket",
    }  # fmt: skip
    assert found["setup"] == {"model_version": "pocket"}
    assert found["errors"] == [[]] * 5
    first, bad, third = found["results"]
    assert bad == {
        "task": 2, "error": "task 2: Label Studio answers 404 to /data/upload/7/gone.jpg"
    }  # fmt: skip
    assert first == third
    assert first["model_version"] == "pocket"
    items = first["result"]
    assert len({item["id"] for item in items}) == len(items)
    by_control: dict[str, list[Any]] = {}
    for item in items:
        by_control.setdefault(item["from_name"], []).append(item)
    assert set(by_control) == {"box", "outline", "paint", "caption"}
    sky, house = by_control["box"]
    assert sky["value"] == {**box_of("sky"), "rectanglelabels": ["Sky"]}
    assert house["value"] == {**box_of("a house"), "rectanglelabels": ["house"]}
    assert (house["original_width"], house["original_height"]) == (640, 427)
    assert house["score"] == pytest.approx(
        pocket().ground(CHINA, "a house").entities[0].boxes[0].shown_score, abs=1e-3
    )
    for item in by_control["outline"]:
        assert item["value"]["polygonlabels"] == ["Sky"]
        assert all(0 <= v <= 100 for point in item["value"]["points"] for v in point)
    (caption,) = by_control["caption"]
    assert caption["value"]["text"] == [pocket().describe(CHINA).caption]
    # Two phrases of a label that find one thing are one stroke.
    strokes = found["strokes"]
    clicked = strokes.pop()
    ((names, pixels),) = {tuple(map(str, stroke)) for stroke in strokes}
    both = {p: pocket().ground(CHINA, p).entities[0].boxes[0] for p in ("a house", "the house")}
    surer = max(both, key=lambda p: both[p].shown_score or 0)
    wanted = pocket().segment(CHINA, phrase=surer).mask(1).area_px
    assert (names, int(pixels)) == ("['Pagoda']", wanted)
    with Image.open(io.BytesIO(CHINA)) as image:
        prompt = BoxPrompt.at([(224, 213.5, True), (576, 42.7, False)], image.size, "a house")
        (proposal,) = load_segmenter().segment(np.asarray(image), [prompt])
    assert clicked == [["Pagoda"], int(proposal.mask.sum())]
    by_click, by_box = (one["result"] for one in found["pointed"])
    assert [item["score"] for item in by_click] == [pytest.approx(proposal.score, abs=1e-4)]
    # The outline of the sky; of two controls with that label the one that says more.
    assert {item["type"] for item in by_box} == {"polygonlabels"}
    assert {item["from_name"] for item in by_box} == {"outline"}
    (typed,) = found["typed"]["result"]
    assert typed["value"] == {**box_of("a house"), "rectanglelabels": ["house"]}


# What is asked


def test_the_configuration_is_read() -> None:
    config = read_config(CONFIG)
    box, outline, paint, tool = config.shapes
    assert (box.is_tool, tool.is_tool) == (False, True)
    assert (box.name, box.to_name, box.key, box.min_score) == ("box", "photo", "picture", 0)
    assert [(label.name, label.phrases) for label in box.labels] == [
        ("Sky", ("sky",)), ("house", ("a house",)),
    ]  # fmt: skip
    assert outline.min_score is None
    assert paint.labels[0].phrases == ("a house", "the house")
    assert [control.name for control in config.captions] == ["caption"]
    assert box.names_for("A House") == ["house"]
    assert box.names_for("a small old house") == ["house"]
    assert box.names_for("a car") == []
    assert paint.names_for("a car") == []
    assert (paint.only_name, box.only_name) == (["Pagoda"], [])


def test_the_documented_configuration_is_read_as_the_document_says() -> None:
    box, paint = read_config(DOCUMENTED).shapes
    assert {label.name: label.phrases for label in box.labels} == {
        "Dog": ("dog",), "Vehicle": ("a car", "a truck"), "Light": ("a traffic light",),
    }  # fmt: skip
    assert (box.min_score, paint.min_score) == (None, None)
    assert [control.name for control in read_config(DOCUMENTED).captions] == ["caption"]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("", "not XML"), ("<View>", "not XML"), ("<View/>", "expected an Image"),
        ('<View><Image name="a" value="b"/><TextArea name="t" toName="a"/></View>', "an Image"),
        ('<View><Audio name="a" value="$b"/><Labels name="l" toName="a"/></View>', "an Image"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><View>&b;</View>', "document types"),
        (CONFIG.replace('"0"', '"2"'), "model_score_threshold of box is 2"),
        (CONFIG.replace('"0"', '"nan"'), "model_score_threshold of box is nan"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_answered(config: str, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        read_config(config)


def predict(url: str, **more: Any) -> httpx.Response:
    body = {"tasks": [{"id": 5, "data": {"picture": URI}}], "label_config": CONFIG, **more}
    return httpx.post(f"{url}/predict", json=body, timeout=120)


def typed(*texts: Any) -> dict[str, Any]:
    items = [{"type": "textarea", "value": {"text": text}} for text in texts]
    return {"params": {"context": {"result": items}}}


def test_calls_that_go_wrong_or_ask_for_little() -> None:
    with inside() as (_, url):
        root = httpx.get(url, headers={"Accept": "application/json"})
        assert root.json() == {"status": "UP", "model_class": "kosmoscope"}
        assert predict(url, tasks=[]).json() == {"results": [], "model_version": "pocket"}
        answer = predict(url, label_config="<View/>")
        assert answer.status_code == 422
        assert answer.json() == {"status": 422, "detail": answer.json()["detail"]}
        assert "expected an Image" in answer.json()["detail"]
        for data in ({}, {"picture": 3}, {"picture": " "}):
            (found,) = predict(url, tasks=[{"id": 5, "data": data}]).json()["results"]
            assert found["error"] == "task 5: its data have no picture called 'picture'"
        # Somebody waits for the answer to a prompt: an error is one.
        answer = predict(url, tasks=[{"id": 5, "data": {}}], **typed("a car"))
        assert (answer.status_code, answer.json()["detail"][:7]) == (422, "task 5:")
        turned = {"context": {"result": [{"type": "ellipselabels", "value": {"x": 1}}]}}
        assert "expected a text" in predict(url, params=turned).json()["detail"]
        (found,) = predict(url, **typed(["a house", "a car"], "a house")).json()["results"]
        assert [i["value"]["rectanglelabels"] for i in found["result"]] == [
            ["house"], [],
        ]  # fmt: skip
        empty = CONFIG[: CONFIG.index("<Label ")] + "</RectangleLabels></View></View>"
        assert "expected a Label" in predict(url, label_config=empty).json()["detail"]
        (found,) = predict(url, label_config=empty, **typed("a house")).json()["results"]
        assert [i["value"]["rectanglelabels"] for i in found["result"]] == [[]]
        for action, status in (("ANNOTATION_CREATED", 201), ("TASK_CREATED", 200)):
            body = {"action": action, "project": {"id": 7}}
            assert httpx.post(f"{url}/webhook", json=body).status_code == status


OUT_SOON = {"timeout": 0.2}
"""Not a limit of the test's: passes are held until it is over, however long that takes."""


def test_there_is_an_end_to_waiting(gate: Gate) -> None:
    with inside(**OUT_SOON) as (_, url):
        answer = predict(url)
        assert (answer.status_code, answer.json()["detail"]) == (504, "not done within 0.2 s")
        gate.open()


def test_several_phrases_of_one_control() -> None:
    with inside() as (_, url):
        config = CONFIG.replace('alias="house" hint="a house"', "")
        config = config[: config.index("<BrushLabels")] + "</View>"
        (found,) = predict(url, label_config=config, **typed(["a tree", "a roof"])).json()[
            "results"
        ]
        assert [i["value"]["rectanglelabels"] for i in found["result"]] == [[], []]
        assert len({i["id"] for i in found["result"]}) == 2
        unlikely = config.replace('model_score_threshold="0"', 'model_score_threshold="1"')
        (found,) = predict(url, label_config=unlikely).json()["results"]
        assert {i["from_name"] for i in found["result"]} == {"outline"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer sesame"}, 200),
        ({"Authorization": f"Basic {base64.b64encode(b'anybody:sesame').decode()}"}, 200),
        ({"Authorization": f"Basic {base64.b64encode(b'sesame:other').decode()}"}, 401),
        ({"Authorization": f"Basic {base64.b64encode(b'sesame').decode()}"}, 401),
        ({"Authorization": "Basic ???"}, 401), ({"Authorization": "Basic /w=="}, 401),
        ({"Authorization": "Digest sesame"}, 401), ({}, 401),
    ],
)  # fmt: skip
def test_the_token_as_a_password(headers: dict[str, str], status: int) -> None:
    with inside(token="sesame") as (_, url):
        answer = httpx.post(f"{url}/setup", json={}, headers=headers)
        assert answer.status_code == status
