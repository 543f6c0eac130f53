"""FiftyOne's zoo model: registered and loaded by FiftyOne itself, applied to samples in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

import kosmoscope.plugins
from client_programs import answer_of
from kosmoscope.labels import MIN_SCORE
from server_process import PHOTOS, pocket

FOLDER = Path(kosmoscope.plugins.__file__).parent / "fiftyone"


def test_fiftyone_loads_and_applies_it(tmp_path: Path) -> None:
    pictures = [PHOTOS / "china.jpg", PHOTOS / "flower.jpg"]
    found = answer_of(
        "fiftyone_zoo.py",
        {"folder": str(FOLDER), "pictures": list(map(str, pictures)),
         "classes": ["the sky", "a house"], "thresh": 0.5},
        tmp_path,
    )  # fmt: skip
    assert found["names"] == ["kosmoscope-kosmos-2", "kosmoscope-pocket"]
    assert found["form"] == ["classes", "confidence_thresh", "masks"]
    assert found["refused"].startswith("OptionError: classes: expected what to look for")
    for path, detections in zip(pictures, found["found"], strict=True):
        wanted = {
            phrase: box
            for phrase in ("the sky", "a house")
            for box in pocket().ground(path, phrase).entities[0].boxes
            if (box.shown_score or 0) >= 0.5
        }
        assert [d[0] for d in detections] == list(wanted)
        for label, xywh, confidence in detections:
            x1, y1, x2, y2 = wanted[label].xyxy
            assert xywh == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=1e-3)
            assert confidence == pytest.approx(wanted[label].shown_score, abs=0.02)
    china = [p for p in ("the sky", "a house")
             if (pocket().ground(pictures[0], p).entities[0].boxes[0].shown_score or 0)
             >= MIN_SCORE]  # fmt: skip
    assert found["one"] == china
    area = pocket().segment(pictures[0], phrase="the sky").mask(1).area_px
    assert found["pixels"] == pytest.approx(area, rel=0.01)
