"""A segmenter of one's own, registered in one file and used everywhere by its name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kosmoscope
from cli_runner import POCKET, one_error, run
from echo_kind import ECHO, write_checkpoint
from kosmoscope.errors import CheckpointError, ModelNotFoundError, OptionError
from kosmoscope.segment import BoxPrompt, Proposal, Segmenter, load_segmenter
from kosmoscope.segment.kind import SegmenterKind
from kosmoscope.segment.registry import SEGMENTERS
from kosmoscope.store.convert import load_model


class Filled:
    """Everything in the box."""

    def __init__(self, name: str = "filled") -> None:
        self.name = name

    def segment(self, picture: np.ndarray, prompts: Sequence[BoxPrompt]) -> list[Proposal]:
        found = []
        for prompt in prompts:
            x1, y1, x2, y2 = prompt.within((picture.shape[1], picture.shape[0]))
            mask = np.zeros(picture.shape[:2], bool)
            mask[round(y1) : round(y2), round(x1) : round(x2)] = True
            found.append(Proposal(mask, 0.5))
        return found


def load_filled(name_or_folder: str | Path, threads: int | None) -> Segmenter:
    return Filled()


def load_echo(name_or_folder: str | Path, threads: int | None) -> Segmenter:
    """One that runs a model of a kind of its own."""
    name = "echo-base" if str(name_or_folder) == "echoing" else name_or_folder
    return Filled(f"echoing:{load_model(ECHO, name).word}")


@pytest.fixture(autouse=True)
def _registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("KOSMOSCOPE_HOME", str(tmp_path / "kosmoscope"))
    SEGMENTERS.add(SegmenterKind("filled", "filled fills the box", load_filled))
    SEGMENTERS.add(SegmenterKind("echoing", "echoing says a word", load_echo, ECHO))
    yield
    SEGMENTERS.remove("filled")
    SEGMENTERS.remove("echoing")


def test_the_facade_a_description_and_the_command_line_take_its_name(
    photos: Path, tmp_path: Path
) -> None:
    photo = photos / "china.jpg"
    scope = kosmoscope.load("pocket", threads=1)
    found = scope.segment(photo, segmenter="filled")
    assert found.segmenter == "filled"
    assert found.segments
    said = scope.describe(photo)
    assert (said.segment(segmenter="filled").labels == found.labels).all()
    result = run("segment", photo, *POCKET, "--segmenter", "filled", "-f", "json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["segmenter"] == "filled"
    folder = write_checkpoint(tmp_path / "model")
    boxes = ("segment", photo, "--box", "9,9,99,99", "-f", "json")
    result = run(*boxes, "--segmenter", folder)
    assert json.loads(result.stdout)["segmenter"] == "echoing:hello"
    assert "did you mean filled" in one_error(run(*boxes, "--segmenter", "fillet"), 1)


def test_names_and_folders_mean_the_segmenter_that_runs_their_model(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "model", "oh")
    assert load_segmenter("filled").name == "filled"
    assert load_segmenter(folder).name == "echoing:oh"
    assert load_segmenter(load_model(ECHO, folder).folder).name == "echoing:oh"
    for name in ("echo-base", "echo", "echoing"):
        with pytest.raises(ModelNotFoundError, match="not on this machine; run `kosmoscope pull"):
            load_segmenter(name)
    with pytest.raises(ModelNotFoundError, match="known: classical, sam, filled, echoing, sam-vit"):
        load_segmenter("something else")
    (folder / "config.json").write_text('{"model_type": "nothing"}')
    with pytest.raises(CheckpointError, match="'nothing'; expected 'sam' or 'echo'"):
        load_segmenter(folder)


def test_a_name_that_is_taken() -> None:
    with pytest.raises(OptionError, match="segmenter 'filled' is there already"):
        SEGMENTERS.add(replace(SEGMENTERS.get("filled"), summary="another"))
