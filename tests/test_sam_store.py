"""Segment Anything in the store: pulled by its short names, listed, converted by the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

import sam_models
from cli_runner import one_error, run
from hub_server import HubServer, Repo
from kosmoscope.errors import CheckpointError, OptionError
from kosmoscope.segment import BoxPrompt, load_segmenter
from kosmoscope.segment.sam import SAM, load_sam
from kosmoscope.store.convert import open_converted
from sam_models import picture

BOX = [BoxPrompt((3, 4, 50, 40))]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sam_models.make(tmp_path_factory.mktemp("sound") / "My SAM").folder


@pytest.fixture(autouse=True)
def hub(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """An empty machine, and a hub with one repository."""
    monkeypatch.setenv("KOSMOSCOPE_HOME", str(tmp_path / "kosmoscope"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    huggingface_hub.close_session()
    with HubServer() as server:
        server.repos["facebook/sam-vit-base"] = Repo(sound)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    huggingface_hub.close_session()


def test_pull_downloads_and_converts(hub: HubServer, sound: Path) -> None:
    message = "not on this machine; run `kosmoscope pull sam`"
    assert message in one_error(
        run("segment", "x.jpg", "--box", "1,1,2,2", "--segmenter", "sam"), 1
    )
    result = run("pull", "sam")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[-1] == "note: converting sam-vit-base to fp32"
    files = {"config.json", "preprocessor_config.json", "model.safetensors"}
    assert {s.file for s in hub.seen} == {"api", *files}
    folder = Path(result.stdout.strip())
    for name in ("sam", "sam-vit-base", "facebook/sam-vit-base", folder):
        found = load_sam(name, threads=1, progress=pytest.fail)
        assert found.name == load_segmenter(name, threads=1).name == "sam:sam-vit-base"
    expected = load_sam(sound, threads=1).segment(picture(), BOX)[0]
    assert np.array_equal(found.segment(picture(), BOX)[0].mask, expected.mask)

    rounded = run("pull", "facebook/sam-vit-base", "--precision", "int8")
    assert rounded.stderr.splitlines()[-1] == "note: converting sam-vit-base to int8"
    listed = [json.loads(line) for line in run("models", "-f", "json").stdout.splitlines()]
    assert [(m["name"], m["where"], m["precision"]) for m in listed if m["kind"] == "sam"] == [
        ("facebook/sam-vit-base", "hub", None),
        ("My SAM", "converted", "fp32"),
        ("sam-vit-base", "converted", "fp32"),
        ("sam-vit-base", "converted", "int8"),
    ]
    notes = run("models").stderr
    assert "slimsam-77 (Segment Anything) is not on this machine" in notes
    assert "sam-vit-base" not in notes


def test_what_is_no_such_model_is_refused_before_anything_comes(hub: HubServer) -> None:
    assert "fp32, int8, none" in one_error(run("pull", "sam", "--precision", "int4"), 2)
    assert not hub.seen
    assert "no such model" in one_error(run("pull", "slimsam-77"), 1)
    with pytest.raises(CheckpointError, match="expected 'sam'"):
        load_segmenter(Path(__file__).parents[1] / "src" / "kosmoscope" / "pocket")


def test_a_converted_folder_of_ones_own(sound: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    assert run("convert", sound, target, "--name", "mine").exit_code == 0
    assert open_converted(SAM, target).manifest.name == "mine"
    found = load_sam(target, threads=1)
    assert found.name == load_segmenter(target, threads=1).name == "sam:mine"
    with pytest.raises(OptionError, match="converted to fp32, asked for int8"):
        load_sam(target, threads=1, precision="int8")
    assert "precision 'int4'" in one_error(run("convert", sound, tmp_path / "b", "-p", "int4"), 2)
