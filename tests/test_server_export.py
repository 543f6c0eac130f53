"""`/api/v1/export`, and results that are sent back to be segmented: what a page saves."""

from __future__ import annotations

import base64
import io
import json
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from kosmoscope import Description
from kosmoscope.draw import picture_colours
from kosmoscope.export import exported, formats
from kosmoscope.masks import LabelMap
from server_process import PHOTOS, Server, pocket

DOGS = (PHOTOS / "friends_by_Aitzol_Berasategi.jpg").read_bytes()


@pytest.fixture(scope="module")
def api(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        client.base_url = httpx.URL(f"{server.url}/api/v1/")
        yield client


@pytest.fixture(scope="module")
def said(api: httpx.Client) -> dict[str, Any]:
    answer = api.post("describe", files={"image": DOGS}, data={"prompt": "detailed"})
    return dict(answer.json())


def test_a_result_has_the_colours_of_its_drawing(said: dict[str, Any]) -> None:
    phrases = [e["phrase"] for e in said["entities"]]
    wanted = {p: "#{:02x}{:02x}{:02x}".format(*c) for p, c in picture_colours(phrases).items()}
    assert said["colours"] == wanted
    assert len(wanted) > 1


@pytest.mark.parametrize("to", [*formats(), *formats("segmentations")])
def test_every_format_is_what_the_package_writes(
    api: httpx.Client, said: dict[str, Any], to: str
) -> None:
    body = {"picture_id": said["picture_id"], "description": said, "to": to, "name": "a/dogs.jpg"}
    answer = api.post("export", json=body)
    assert answer.status_code == 200, answer.text
    assert f'filename="{to}.' in answer.headers["content-disposition"]
    assert b"dogs" in answer.content or to in ("tagged", "links")
    assert b"a/dogs.jpg" not in answer.content
    if answer.headers["content-type"] == "application/zip":
        with zipfile.ZipFile(io.BytesIO(answer.content)) as packed:
            assert packed.testzip() is None
            assert len(packed.namelist()) > 1
            assert not any(name.startswith(".") for name in packed.namelist())


def test_one_file_of_a_folder(api: httpx.Client, said: dict[str, Any]) -> None:
    body = {"picture_id": said["picture_id"], "description": said, "to": "coco", "name": "dogs.jpg"}
    answer = api.post("export", json={**body, "file": "labels.json"})
    named = {**said, "image": {**said["image"], "path": "dogs.jpg"}}
    assert answer.json() == exported([Description.from_dict(named)], "coco")
    assert answer.headers["content-type"] == "application/json"
    assert (
        "labels.json"
        in api.post("export", json={**body, "file": "../a"}).json()["error"]["message"]
    )


def test_annotated_pictures(api: httpx.Client, said: dict[str, Any]) -> None:
    size = (said["image"]["width"], said["image"]["height"])
    body = {"picture_id": said["picture_id"], "description": said}
    wanted = Description.from_dict(said).draw(DOGS)
    drawn = api.post("export", json={**body, "to": "png"})
    with Image.open(io.BytesIO(drawn.content)) as image:
        assert image.size == size
        assert image.tobytes() == wanted.tobytes()
    few = api.post("export", json={**body, "to": "png", "min_score": 1.0})
    with Image.open(io.BytesIO(few.content)) as image, Image.open(io.BytesIO(DOGS)) as plain:
        assert image.convert("RGB").tobytes() == plain.convert("RGB").tobytes()
    svg = ET.fromstring(api.post("export", json={**body, "to": "svg"}).text)
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"


def test_cut_outs(api: httpx.Client, said: dict[str, Any]) -> None:
    body = {"picture_id": said["picture_id"], "description": said, "to": "cutout"}
    found = Description.from_dict(said).segment(DOGS)
    for entity in (None, 0):
        answer = api.post("export", json={**body, "entity": entity})
        with Image.open(io.BytesIO(answer.content)) as image:
            assert (image.format, image.mode) == ("PNG", "RGBA")
            alpha = np.asarray(image.getchannel("A"))
        area = found.entity_mask(0).area_px if entity == 0 else int((found.labels > 0).sum())
        assert abs(int((alpha > 127).sum()) - area) < area / 50


def test_a_result_is_segmented_without_the_model(
    api: httpx.Client, server: Server, said: dict[str, Any]
) -> None:
    passes = server.metric("kosmoscope_passes_total")
    body = {"picture_id": said["picture_id"], "description": said, "regions": True}
    data = api.post("segment", json=body).json()
    found = LabelMap.from_dict(data)
    assert server.metric("kosmoscope_passes_total") == passes
    wanted = pocket().describe(DOGS, "detailed").segment(DOGS, regions=True)
    assert np.array_equal(found.labels, wanted.labels)
    assert len(data["colours"]) == len(found.segments) + 1
    assert data["colours"][1] == said["colours"][found.segments[0].phrase]


BAD: list[tuple[str, dict[str, Any]]] = [
    ("no such format", {"to": "exe"}),
    ("not a description", {"description": {"schema": 1}}),
    ("another schema", {"description": {}}),
    ("a cut-out of nothing", {"to": "cutout", "entity": 99}),
    ("an entity of a table", {"to": "csv", "entity": 0}),
    ("a segmenter", {"to": "cutout", "segmenter": "none"}),
    ("a score", {"min_score": 2}),
    ("no box is left", {"to": "cutout", "min_score": 1}),
]


@pytest.mark.parametrize(("why", "change"), BAD, ids=[why for why, _ in BAD])
def test_refused(api: httpx.Client, said: dict[str, Any], why: str, change: dict[str, Any]) -> None:
    body = {"picture_id": said["picture_id"], "description": said, "to": "png", **change}
    answer = api.post("export", json=body)
    assert answer.status_code == 422, (why, answer.text)


def changed(said: dict[str, Any], **box: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(said))
    copy["entities"][0]["boxes"][0].update(box)
    return dict(copy)


def test_results_are_checked(api: httpx.Client, said: dict[str, Any]) -> None:
    """NaN is no JSON, but Python reads it."""
    wrong = [
        changed(said, xyxy=[0.5, 0.5, 0.1, 0.1]), changed(said, refined=[0, 0, 0, 0]),
        changed(said, score=7), changed(said, confidence=float("nan")),
        {**said, "image": {**said["image"], "width": 10**9}},
    ]  # fmt: skip
    for description in wrong:
        text = json.dumps(
            {"picture_id": said["picture_id"], "description": description, "to": "coco"}
        )
        for route in ("export", "segment"):
            content = text if route == "export" else text.replace(', "to": "coco"', "")
            answer = api.post(route, content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == 422, answer.text
    # Pixels are worked out anew.
    moved = changed(said, xyxy_px=[0, 0, 1e9, 1e9])
    body = {"image": base64.b64encode(DOGS).decode(), "description": moved, "to": "coco"}
    body["file"] = "labels.json"
    again = api.post("export", json=body).json()
    assert again["annotations"][0]["bbox"][2] < said["image"]["width"]
