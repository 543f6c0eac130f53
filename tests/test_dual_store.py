"""CLIP and SigLIP in the store: pulled by their short names, listed, converted by the command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest

import dual_models
from cli_runner import one_error, run
from dual_models import CLIPS, SIGLIPS, picture
from hub_server import HubServer, Repo
from kosmoscope.dual import SIGLIP, load_dual_encoder
from kosmoscope.errors import CheckpointError, OptionError
from kosmoscope.store.convert import open_converted

REPOS = {"clip": "openai/clip-vit-base-patch32", "siglip": "google/siglip-base-patch16-224"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sound")
    return {s.tokenizer: dual_models.make(root / f"My {s.name}", s).folder
            for s in (CLIPS[1], SIGLIPS[0])}  # fmt: skip


@pytest.fixture(autouse=True)
def hub(
    sound: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HubServer]:
    """An empty machine, and a hub with two repositories."""
    monkeypatch.setenv("KOSMOSCOPE_HOME", str(tmp_path / "kosmoscope"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    huggingface_hub.close_session()
    with HubServer() as server:
        server.repos.update({REPOS[name]: Repo(folder) for name, folder in sound.items()})
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server
    huggingface_hub.close_session()


@pytest.mark.parametrize("family", REPOS)
def test_pull_downloads_and_converts(hub: HubServer, sound: dict[str, Path], family: str) -> None:
    alias = REPOS[family].partition("/")[2]
    result = run("pull", alias)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[-1] == f"note: converting {alias} to fp32"
    files = {"config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"}
    assert {s.file for s in hub.seen} == {"api", "model.safetensors", *files}
    expected = load_dual_encoder(sound[family], threads=1)
    for name in (alias, REPOS[family], Path(result.stdout.strip())):
        found = load_dual_encoder(name, threads=1, progress=pytest.fail)
        assert (found.name, found.key) == (alias, expected.key)
    assert np.array_equal(found.embed_picture(picture()), expected.embed_picture(picture()))
    assert np.array_equal(found.embed_text("a dog"), expected.embed_text("a dog"))

    rounded = run("pull", REPOS[family], "--precision", "int8")
    assert rounded.stderr.splitlines()[-1] == f"note: converting {alias} to int8"
    listed = [json.loads(line) for line in run("models", "-f", "json").stdout.splitlines()]
    assert {(m["name"], m["where"], m["precision"]) for m in listed if m["kind"] == family} == {
        (REPOS[family], "hub", None),
        (sound[family].name, "converted", "fp32"),
        (alias, "converted", "fp32"),
        (alias, "converted", "int8"),
    }
    notes = run("models").stderr
    assert "clip-vit-large-patch14 (CLIP) is not on this machine" in notes
    assert alias not in notes


def test_what_is_another_kind_of_model_is_refused(sound: dict[str, Path]) -> None:
    assert "fp32, int8, none" in one_error(run("pull", "siglip-base-patch16-224", "-p", "int4"), 2)
    assert "this engine runs 'kosmos-2'" in one_error(
        run("describe", "x.jpg", "--model", sound["clip"]), 1
    )
    with pytest.raises(CheckpointError, match="expected 'clip' or 'siglip'"):
        load_dual_encoder(Path(__file__).parents[1] / "src" / "kosmoscope" / "pocket")


def test_a_converted_folder_of_ones_own(sound: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "out"
    result = run("convert", sound["siglip"], target, "--name", "mine", "--precision", "int8")
    assert result.exit_code == 0, result.stderr
    assert open_converted(SIGLIP, target).manifest.name == "mine"
    assert load_dual_encoder(target, threads=1).name == "mine"
    with pytest.raises(OptionError, match="converted to int8, asked for fp32"):
        load_dual_encoder(target, threads=1, precision="fp32")
