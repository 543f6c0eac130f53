"""A segmenter that is asked for by its name is loaded once, and looks at a picture once."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sam_models
from cli_runner import POCKET, run
from kosmoscope import load
from kosmoscope.segment import BoxPrompt, load_segmenter
from kosmoscope.segment.run import _loaded, shared_segmenter
from kosmoscope.segment.sam.segmenter import SamSegmenter


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sam_models.make(tmp_path_factory.mktemp("sam") / "m", sam_models.SHAPES[0]).folder


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sessions that are opened: the names of their graphs."""
    found: list[str] = []

    def counting(graph: Path, *args: Any, **kwargs: Any) -> Any:
        found.append(graph.name)
        return real(graph, *args, **kwargs)

    from kosmoscope.segment.sam import segmenter

    real = segmenter.open_session
    monkeypatch.setattr(segmenter, "open_session", counting)
    _loaded.clear()
    return found


def test_a_segmenter_by_name_opens_its_sessions_once(
    sam: Path, photos: Path, opened: list[str]
) -> None:
    scope = load("pocket", threads=1)
    photo = photos / "china.jpg"
    for _ in range(3):
        scope.segment(photo, phrase="a house", segmenter=str(sam))
    said = scope.describe(photo)
    said.segment(segmenter=sam)  # of no scope: with threads of its own
    said.segment(segmenter=sam)
    assert opened == ["encoder.onnx", "decoder.onnx"] * 2
    load_segmenter(sam, threads=1)  # who asks for one of his own gets it
    assert len(opened) == 6


def test_threads_that_come_together_load_one(sam: Path, opened: list[str]) -> None:
    found: list[object] = []
    ready = threading.Barrier(4)

    def ask() -> None:
        ready.wait()
        found.append(shared_segmenter(sam, threads=1))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in found}) == 1
    assert len(opened) == 2


def test_few_stay_loaded(sam: Path, opened: list[str]) -> None:
    for threads in (1, 2, 3, 4):
        shared_segmenter("classical", threads=threads)
    assert len(_loaded) == 2


def test_several_descriptions_of_a_picture_encode_it_once(
    sam: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(sam_models.picture(1, (90, 60))).save(tmp_path / "a.png")
    prompts = ["--prompt", "brief", "--ground", "a box", "--ground", "the sky"]
    assert run("describe", tmp_path / "a.png", "-o", tmp_path / "out", *POCKET, *prompts,
               "-q").exit_code == 0  # fmt: skip
    looked: list[object] = []
    real = SamSegmenter.encode

    def encode(self: SamSegmenter, picture: np.ndarray) -> Any:
        looked.append(picture)
        return real(self, picture)

    monkeypatch.setattr(SamSegmenter, "encode", encode)
    result = run("segment", tmp_path / "out", "--segmenter", sam, "-q")
    assert result.exit_code == 0, result.stderr
    assert len(looked) == 1


def test_a_box_in_fractions_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="boxes are in pixels here"):
        BoxPrompt((0.1, 0.1, 0.5, 0.5)).within((640, 480))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BoxPrompt((0.1, 0.1, 0.5, 0.5)).within((16, 16))
        BoxPrompt((0.1, 0.1, 1.5, 1.5)).within((640, 480))
