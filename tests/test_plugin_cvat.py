"""CVAT's auto-annotation function: by CVAT's own command line, on a task of a made server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cvat_sdk.masks import decode_mask
from PIL import Image

from cvat_site import PASSWORD, TASK, USER, CvatSite
from kosmoscope.errors import OptionError
from kosmoscope.geometry import XYXY
from kosmoscope.labels import labels_of
from kosmoscope.plugins import cvat
from kosmoscope.plugins.finding import Finder
from server_process import PHOTOS, pocket

CHINA = (PHOTOS / "china.jpg").read_bytes()
FLOWER = (PHOTOS / "flower.jpg").read_bytes()


def annotate(site: CvatSite, home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the program that people run."""
    program = Path(sys.executable).with_name("cvat-cli")
    return subprocess.run(
        [program, "--server-host", site.url, "--auth", f"{USER}:{PASSWORD}", "task",
         "auto-annotate", str(TASK), "--function-module", "kosmoscope.plugins.cvat",
         "-p", "model=str:pocket", "-p", "threads=int:1", *args],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
    )  # fmt: skip


def box_of(data: bytes, phrase: str) -> XYXY:
    return pocket().ground(data, phrase).entities[0].boxes[0].xyxy_px


def test_a_task_is_annotated(tmp_path: Path) -> None:
    frames = {"china.jpg": CHINA, "flower.jpg": FLOWER}
    with CvatSite.running({"sky": "rectangle", "Big House": "any"}, frames) as site:
        done = annotate(site, tmp_path, "-p", "labels=str:sky; Big House = a house",
                        "--conf-threshold", "0.2", "--clear-existing")  # fmt: skip
        assert done.returncode == 0, done.stderr
    (upload,) = site.annotations
    sky, house = (label["id"] for label in site.labels)
    of_china = [shape for shape in upload["shapes"] if shape["frame"] == 0]
    assert {s["label_id"]: s["points"] for s in of_china} == {
        sky: pytest.approx(box_of(CHINA, "sky")),
        house: pytest.approx(box_of(CHINA, "a house")),
    }
    assert {shape["type"] for shape in upload["shapes"]} == {"rectangle"}
    assert {shape["source"] for shape in upload["shapes"]} == {"auto"}
    # In the flower nothing is sky: what the model points at all the same is not sure enough.
    assert sky not in {s["label_id"] for s in upload["shapes"] if s["frame"] == 1}
    low = pocket().ground(FLOWER, "sky").entities[0].boxes[0].shown_score
    assert low is not None
    assert low < 0.2


def test_the_documented_command(tmp_path: Path) -> None:
    document = Path(__file__).parent.parent / "docs" / "plugins.md"
    (block,) = re.findall(
        r"^```bash\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    with CvatSite.running({"sky": "any", "Big House": "any"}, {"china.jpg": CHINA}) as site:
        env = {
            **os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "CVAT": site.url, "ACCOUNT": f"{USER}:{PASSWORD}",
        }  # fmt: skip
        done = subprocess.run(
            ["bash", "-euc", block], capture_output=True, text=True, timeout=120, env=env
        )
        assert done.returncode == 0, done.stderr
    assert len(site.annotations[0]["shapes"]) == 2


def test_masks_and_polygons(tmp_path: Path) -> None:
    with CvatSite.running({"sky": "mask"}, {"china.jpg": CHINA}) as site:
        done = annotate(site, tmp_path, "-p", "labels=str:sky", "-p", "shape=str:mask")
        assert done.returncode == 0, done.stderr
        more = annotate(site, tmp_path, "-p", "labels=str:sky", "-p", "shape=str:mask",
                        "--conv-mask-to-poly")  # fmt: skip
    masks, *_ = site.annotations
    (shape,) = masks["shapes"]
    wanted = pocket().segment(CHINA, phrase="sky").mask(1)
    found = decode_mask(shape["points"], image_width=640, image_height=427)
    assert np.array_equal(found, wanted.bits)
    # The task's label takes masks alone, and CVAT says so before anything is looked at.
    assert "has type 'polygon'" in more.stderr


class Context:
    frame_name = "china.jpg"

    def __init__(self, conf_threshold: float | None, conv_mask_to_poly: bool) -> None:
        self.conf_threshold, self.conv_mask_to_poly = conf_threshold, conv_mask_to_poly


@pytest.mark.parametrize(
    ("shape", "convert", "types"),
    [("rectangle", True, {"rectangle"}), ("mask", True, {"polygon"}),
     ("polygon", False, {"polygon"}), ("mask", False, {"mask"})],
)  # fmt: skip
def test_shapes(shape: Any, convert: bool, types: set[str]) -> None:
    finder = Finder(pocket(), labels_of("sky; house = a house"))
    function = cvat.Function(finder, shape, 0.0)
    assert [(label.name, label.id, label.type) for label in function.spec.labels] == [
        ("sky", 0, shape), ("house", 1, shape),
    ]  # fmt: skip
    with Image.open(PHOTOS / "china.jpg") as image:
        image.thumbnail((160, 160))
        found = function.detect(Context(None, convert), image)
        assert {s.label_id for s in found} == {0, 1}
        assert {s.type.value for s in found} == types
        assert function.detect(Context(1.0, convert), image) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"labels": " ; "}, "expected names"), ({"labels": "dog; dog"}, "each once"),
        ({"labels": "= a dog"}, "has no name"), ({"labels": "dog", "shape": "tag"}, "shape is"),
        ({"labels": "dog", "min_score": 2}, "min_score is 2"),
    ],
)  # fmt: skip
def test_parameters_that_are_none(options: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        cvat.create(model="pocket", **options)
