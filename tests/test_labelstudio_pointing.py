"""Label Studio's smart tools: what a click or a box is read as, who answers, and with what."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from cli_runner import POCKET, one_error, run
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.labelstudio_config import read_config
from kosmoscope.server.labelstudio_pointing import Pointed, answering, read_pointed
from server_process import PHOTOS, inside

CHINA = (PHOTOS / "china.jpg").read_bytes()
URI = f"data:image/jpeg;base64,{base64.b64encode(CHINA).decode()}"
SIZE = {"original_width": 640, "original_height": 427}


def config(*shapes: str, labels: str = "House") -> str:
    controls = "".join(
        f'<{shape} name="{shape.lower()}" toName="i">'
        + "".join(f'<Label value="{label}"/>' for label in labels.split())
        + f"</{shape}>"
        for shape in shapes
    )
    tools = (
        '<KeyPointLabels name="k" toName="i" smart="true"><Label value="House"/></KeyPointLabels>'
        '<RectangleLabels name="r" toName="i" smart="true" smartOnly="true"><Label value="House"/>'
        "</RectangleLabels>"
    )
    return f'<View><Image name="i" value="$image"/>{controls}{tools}</View>'


def click(x: float = 35, y: float = 50, positive: Any = True, **more: Any) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": 0.5, "keypointlabels": ["House"]}
    item = {"type": "keypointlabels", "to_name": "i", "from_name": "k", **SIZE, "value": value}
    return {**item, "is_positive": positive, **more}


def box(x: float, y: float, width: float, height: float, rotation: float = 0) -> dict[str, Any]:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation,
             "rectanglelabels": ["House"]}  # fmt: skip
    return {"type": "rectanglelabels", "to_name": "i", "from_name": "r", **SIZE, "value": value}


def test_clicks_and_a_box_are_one_thing() -> None:
    items = [
        box(0, 0, 10, 10),
        click(),
        click(80, 20, False),
        box(10, 20, 50, 60),
        click(positive=1),
    ]
    pointed = read_pointed(items)
    assert pointed is not None
    assert pointed.points == ((0.35, 0.5, True), (0.8, 0.2, False), (0.35, 0.5, True))
    assert pointed.box == pytest.approx((0.1, 0.2, 0.6, 0.8))  # the latest
    assert (pointed.to_name, pointed.names) == ("i", ("House",))
    # Without is_positive: older versions have but one kind of click.
    plain = {"type": "keypoint", "value": {"x": 1, "y": 2}}
    assert read_pointed([plain]) == Pointed("", (), ((0.01, 0.02, True),), None)


def test_a_box_that_was_turned_or_leaves_the_picture() -> None:
    # A quarter turn about the upper left corner, of 64 x 42.7 pixels.
    turned = read_pointed([box(50, 50, 10, 10, 90)])
    assert turned is not None
    assert turned.box == pytest.approx((0.5 - 42.7 / 640, 0.5, 0.5, 0.5 + 64 / 427))
    over = read_pointed([box(-10, 90, 50, 20)])
    assert over is not None
    assert over.box == pytest.approx((0, 0.9, 0.4, 1))


@pytest.mark.parametrize("items", [None, [], "text", {}, [3], [{"type": "textarea", "value": {}}]])
def test_nothing_was_pointed_at(items: Any) -> None:
    assert read_pointed(items) is None


@pytest.mark.parametrize(
    "item",
    [
        click(positive=False), {"type": "keypoint"}, {"type": "keypoint", "value": [1, 2]},
        click(x=None), click(x="1"), click(x=True), click(x=float("nan")), click(y=1e300),  # type: ignore[arg-type]
        box(10, 10, 0, 10), box(110, 10, 10, 10), box(10, 10, 10, float("inf")),
    ],
)  # fmt: skip
def test_what_is_no_place(item: Any) -> None:
    with pytest.raises(RefusedError) as failed:
        read_pointed([item])
    assert failed.value.status == 422


def test_who_answers() -> None:
    pointed = read_pointed([click()])
    assert pointed is not None
    everything = read_config(config("RectangleLabels", "PolygonLabels", "BrushLabels"))
    to = answering(everything, pointed)
    assert (to.control.name, to.names, to.phrase) == ("brushlabels", ["House"], "house")
    # A control with the label goes before one that says more.
    others = config("BrushLabels", labels="Sky Tree").replace("</View>", "")
    boxes = (
        '<RectangleLabels name="b" toName="i"><Label value="House" hint="a pagoda"/>'
        "</RectangleLabels></View>"
    )
    to = answering(read_config(others.replace("House", "Barn") + boxes), pointed)
    assert (to.control.name, to.names, to.phrase) == ("b", ["House"], "a pagoda")
    # Nobody has it: the only label of a control is for anything, of several none.
    nameless = Pointed("i", (), pointed.points, None)
    assert answering(read_config(config("BrushLabels")), nameless).names == ["House"]
    assert answering(read_config(config("BrushLabels", labels="Sky Tree")), nameless).names == []
    with pytest.raises(RefusedError, match="smart tools need"):
        answering(everything, Pointed("other", (), pointed.points, None))


def predict(url: str, label_config: str, *items: Any) -> httpx.Response:
    body = {
        "tasks": [{"id": 5, "data": {"image": URI}}], "label_config": label_config,
        "params": {"context": {"result": list(items)}},
    }  # fmt: skip
    return httpx.post(f"{url}/predict", json=body, timeout=120)


def test_each_shape_answers_a_click_and_no_model_is_asked() -> None:
    with inside() as (desk, url):
        found = {}
        for shape in ("BrushLabels", "PolygonLabels", "RectangleLabels"):
            answer = predict(url, config(shape), click(), click(90, 90, False))
            (prediction,) = answer.json()["results"]
            items = prediction["result"]
            assert {i["from_name"] for i in items} == {shape.lower()}
            assert {tuple(i["value"][shape.lower()]) for i in items} == {("House",)}
            assert all(0 <= i["score"] <= 1 for i in items)
            assert prediction["score"] == pytest.approx(items[0]["score"])
            found[shape] = items
        value = found["RectangleLabels"][0]["value"]
        assert value["x"] <= 35 <= value["x"] + value["width"]
        assert value["y"] <= 50 <= value["y"] + value["height"]
        assert (value["width"], value["height"]) < (100, 100)
        outline = found["PolygonLabels"][0]["value"]["points"]
        assert min(x for x, _ in outline) == pytest.approx(value["x"], abs=0.2)
        # A box, and a click beside it that changes what is meant.
        (boxed,) = predict(url, config("BrushLabels"), box(20, 10, 40, 80)).json()["results"]
        (less,) = predict(
            url, config("BrushLabels"), box(20, 10, 40, 80), click(40, 80, False)
        ).json()["results"]
        assert boxed["result"][0]["value"]["rle"] != less["result"][0]["value"]["rle"]
        assert boxed["result"][0]["id"] != less["result"][0]["id"]
        assert b"kosmoscope_passes_total 0.0" in desk.metrics.text()
        refused = predict(url, config("BrushLabels"), click(positive=False))
        assert refused.status_code == 422
        assert "expected a click on the thing" in refused.json()["detail"]


def test_a_segmenter_that_is_not_there_is_refused_at_the_start() -> None:
    said = one_error(run("serve", "--port", "0", *POCKET, "--segmenter", "none"), 1)
    assert "'none'" in said
    assert "classical" in said
