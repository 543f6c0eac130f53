"""FiftyOne's zoo model: registered and loaded by FiftyOne itself, applied to samples in memory.

What is run there is what docs/plugins.md shows.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kosmoscope.plugins
from client_programs import answer_of
from kosmoscope.types import Box
from server_process import PHOTOS, pocket

FOLDER = Path(kosmoscope.plugins.__file__).parent / "fiftyone"
DOCUMENT = Path(__file__).parent.parent / "docs" / "plugins.md"
CLASSES = ("the sky", "a house")


def found_of(path: Path, least: float) -> dict[str, Box]:
    return {
        phrase: box
        for phrase in CLASSES
        for box in pocket().ground(path, phrase).entities[0].boxes
        if (box.shown_score or 0) >= least
    }


def test_fiftyone_loads_and_applies_it(tmp_path: Path) -> None:
    pictures = [PHOTOS / "china.jpg", PHOTOS / "flower.jpg"]
    documented = re.findall(
        r"^```python\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    found = answer_of(
        "fiftyone_zoo.py",
        {
            "folder": str(FOLDER),
            "pictures": [str(p) for p in pictures],
            "documented": documented,
            "thresh": 0.7,
        },
        tmp_path,
    )
    assert found["models"] == ["kosmoscope-kosmos-2", "kosmoscope-pocket"]
    assert found["form"] == ["classes", "confidence_thresh", "masks"]
    assert found["refused"].startswith("OptionError: classes: expected what to look for")
    for path, detections in zip(pictures, found["boxes"], strict=True):
        wanted = {"china.jpg": found_of(path, 0.5), "flower.jpg": {}}[path.name]
        assert [label for label, _, _ in detections] == list(wanted)
        for label, xywh, confidence in detections:
            x1, y1, x2, y2 = wanted[label].xyxy
            assert xywh == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=1e-3)
            assert confidence == pytest.approx(wanted[label].shown_score, abs=0.02)
    assert found["sure"] == [list(found_of(path, 0.7)) for path in pictures]
    # What docs/plugins.md applies: the same with its pixels.
    assert [label for label, _ in found["parts"]] == ["the sky", "a house"]
    sky = pocket().segment(pictures[0], phrase="the sky").mask(1).area_px
    assert dict(map(tuple, found["parts"]))["the sky"] == pytest.approx(sky, rel=0.02)
