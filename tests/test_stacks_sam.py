"""A Segment Anything checkpoint, slice by slice: random weights, so that where it says something it
is followed, whatever that is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import sam_models
from benchmarks.stacks_cases import lapse
from cli_runner import run
from kosmoscope.segment import BoxPrompt, load_segmenter
from kosmoscope.segment.protocol import Proposal, Segmenter
from kosmoscope.stacks import Seeds, Slices, SlicesOptions, read_stack

SLICES = 4


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sam_models.make(tmp_path_factory.mktemp("sam") / "m", seed=3).folder


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of a time lapse, and a box on the first."""
    folder = tmp_path_factory.mktemp("frames")
    pictures, truth = lapse(SLICES)
    (folder / "stack").mkdir()
    for k, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / "stack" / f"{k}.png")
    rows, columns = np.nonzero(truth[0])
    box = [int(v) for v in (columns.min(), rows.min(), columns.max(), rows.max())]
    label = {"name": "cell", "boxes": [{"slice": 0, "xyxy": box}]}
    (folder / "seeds.json").write_text(json.dumps({"labels": [label]}))
    return folder


class Noted:
    """A segmenter that notes what it was asked and what it said."""

    name = "noted"

    def __init__(self, of: Segmenter) -> None:
        self.of = of
        self.asked: list[tuple[NDArray[np.uint8], BoxPrompt, Proposal]] = []

    def segment(
        self, picture: NDArray[np.uint8], prompts: Sequence[BoxPrompt]
    ) -> Sequence[Proposal]:
        (said,) = self.of.segment(picture, prompts)
        self.asked.append((picture, prompts[0], said))
        return [said]


def test_every_slice_is_asked_and_what_is_said_is_followed(frames: Path, sam: Path) -> None:
    volume = read_stack(frames / "stack", spacing_mm=(1, 1, 1))
    marked = Seeds.read(frames / "seeds.json").on(volume)
    tool = Noted(load_segmenter(sam))
    found = Slices(SlicesOptions(colour_weight=0, shape_weight=0), tool).segment(volume, marked)
    assert len(tool.asked) == SLICES
    np.testing.assert_array_equal(found.labels[0] == 1, tool.asked[0][2].mask)
    for k, (picture, prompt, said) in enumerate(tool.asked):
        with Image.open(frames / "stack" / f"{k}.png") as image:
            np.testing.assert_array_equal(picture, np.asarray(image))
        assert [positive for *_, positive in prompt.points] == ([True] if k else [])
        mine = found.labels[k] == 1
        assert mine.any()
        # Its outline is smoothed, and its area held near that of the slice before.
        assert (mine & said.mask).sum() > 0.9 * min(mine.sum(), said.mask.sum())


def test_the_command_gives_the_same_labels(frames: Path, sam: Path, tmp_path: Path) -> None:
    result = run(
        "stack", frames / "stack", "-o", tmp_path / "o", "--spacing", "1,1,1", "--mesh", "none",
        "--segmenter", "slices", "--masks", sam, "--seeds", frames / "seeds.json", "-q",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    labels = np.asarray(nibabel.load(tmp_path / "o" / "labels.nii.gz").dataobj).T
    volume = read_stack(frames / "stack", spacing_mm=(1, 1, 1))
    marked = Seeds.read(frames / "seeds.json").on(volume)
    by_sam = Slices(SlicesOptions(sam)).segment(volume, marked)
    np.testing.assert_array_equal(labels, by_sam.labels)
    assert not np.array_equal(labels, Slices().segment(volume, marked).labels)
