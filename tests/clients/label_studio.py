"""Asks an ML backend as Label Studio does, and judges its answers by Label Studio's own SDK.

The requests are those of label_studio/ml/api_connector.py: a session of `requests`, basic auth,
the addresses joined as there.
"""

import json
import sys
from urllib.parse import urljoin

import requests
from label_studio_sdk.converter.brush import decode_rle
from label_studio_sdk.label_interface import LabelInterface
from label_studio_sdk.label_interface.objects import PredictionValue
from requests.auth import HTTPBasicAuth

given = json.load(sys.stdin)
config, project = given["config"], "7.1700000000"
session = requests.Session()
session.headers["User-Agent"] = "heartex/1.21.0"
auth = HTTPBasicAuth("label-studio", given["token"])


def ask(where, body=None):
    url = urljoin(given["url"].rstrip("/") + "/", where)
    if body is None:
        answer = session.get(url, auth=auth, timeout=(1, 100))
    else:
        answer = session.post(url, json=body, auth=auth, timeout=(1, 100))
    answer.raise_for_status()
    return answer.json()


def predict(tasks, context=None):
    params = {"login": None, "password": None, "context": context}
    found = ask("predict", {
        "tasks": tasks, "project": project, "label_config": config, "params": params,
    })  # fmt: skip
    # What models.py there asks of an answer before it saves anything.
    assert isinstance(found, dict)
    assert isinstance(found["results"], list)
    assert len(found["results"]) == len(tasks)
    return found["results"]


for text in (config, given["documented"]):
    interface = LabelInterface(text)
    interface.validate()
interface = LabelInterface(config)
sample = interface.generate_sample_task()
health = ask("health")
setup = ask("setup", {
    "project": project, "schema": config, "hostname": "http://localhost:8080",
    "access_token": "its own", "extra_params": None,
})  # fmt: skip
results = predict(given["tasks"])
context = {"result": [
    {"from_name": "prompt", "to_name": "photo", "type": "textarea",
     "value": {"text": [given["prompt"]]}}
]}  # fmt: skip
(typed,) = predict(given["tasks"][:1], context)
# A click, then a box about the same, of smart tools: `region` is as the frontend sends one.
region = {
    "id": "a1", "to_name": "photo", "original_width": 640, "original_height": 427,
    "image_rotation": 0, "origin": "manual",
}  # fmt: skip
clicks = [
    {**region, "from_name": "click", "type": "keypointlabels", "is_positive": positive,
     "value": {"x": x, "y": y, "width": 0.3, "keypointlabels": ["Pagoda"]}}
    for x, y, positive in given["clicks"]
]  # fmt: skip
x1, y1, x2, y2 = given["box"]
drawn = {
    **region, "from_name": "tool", "type": "rectanglelabels", "is_positive": True,
    "value": {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "rotation": 0,
              "rectanglelabels": ["Sky"]},
}  # fmt: skip
(clicked,) = predict(given["tasks"][:1], {"result": clicks})
(boxed,) = predict(given["tasks"][:1], {"result": [drawn]})
pointed = [clicked, boxed]
errors = [
    interface.validate_prediction(r, return_errors=True)
    for r in [*results, typed, *pointed]
    if "result" in r
]
strokes = []
for result in [*results, *pointed]:
    if "result" in result:
        PredictionValue(**result)
        for item in result["result"]:
            if item["type"] == "brushlabels":
                values = decode_rle(item["value"]["rle"])
                size = item["original_width"] * item["original_height"]
                assert len(values) == 4 * size
                pixels = values.reshape(size, 4)
                assert (pixels == pixels[:, :1]).all()
                strokes.append([item["value"]["brushlabels"], int((pixels[:, 0] == 255).sum())])
print(json.dumps({
    "health": health, "setup": setup, "results": results, "typed": typed, "errors": errors,
    "pointed": pointed, "strokes": strokes, "needs": sorted(sample),
}))  # fmt: skip
