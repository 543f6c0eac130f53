"""What docs/stacks.md shows runs as it stands, on smaller data."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nibabel
import nilearn
import numpy as np
import pytest
from PIL import Image

from benchmarks.stacks_cases import lapse
from kosmoscope.stacks import Seeds, read_segmented, read_stack, segment_stack
from stack_cases import ball, dice, made, series

ROOT = Path(__file__).parent.parent
DATA = Path(nilearn.__file__).parent / "datasets" / "data"


def blocks(kind: str) -> list[str]:
    text = (ROOT / "docs" / "stacks.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def mni(kind: str, step: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Every so many voxels of the template or of a tissue map, and the affine."""
    image = nibabel.load(DATA / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz")
    return np.asarray(image.dataobj)[::step, ::step, ::step], image.affine @ np.diag(
        [step] * 3 + [1]
    )


@pytest.fixture
def beside_stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    nibabel.Nifti1Image(*mni("t1")).to_filename("head.nii.gz")
    (seeds,) = blocks("json")
    Path("seeds.json").write_text(seeds)
    more = {"labels": [{"name": "white matter", "points": [[33, 40, 27]]}]}
    Path("more.json").write_text(json.dumps(more))
    one = made(ball(9), (0.6, 0.8, 2.5), noise=5, low=520, high=700, kind=np.int16)
    series(Path("ct"), one.volume.stored)
    Path("frames").mkdir()
    pictures, truth = lapse(4)
    for k, picture in enumerate(pictures):
        Image.fromarray(picture).save(f"frames/{k:02d}.png")
    rows, columns = np.nonzero(truth[0])
    box = [int(v) for v in (columns.min(), rows.min(), columns.max(), rows.max())]
    label = {"name": "cell", "boxes": [{"slice": 0, "xyxy": box}]}
    Path("frames.json").write_text(json.dumps({"labels": [label]}))
    return tmp_path


def test_the_commands_run(beside_stacks: Path) -> None:
    (block,) = blocks("bash")
    program = f"{shlex.quote(sys.executable)} -m kosmoscope.cli "
    code = re.sub(r"^kosmoscope ", program, block, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        capture_output=True, text=True, timeout=300, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("white matter", "grey matter", "bone", "soft tissue", "cell"):
        assert f"\n{name}" in f"\n{done.stdout}", done.stdout
    for folder in ("out", "bones", "cells"):
        assert (beside_stacks / folder / "index.html").is_file()
    assert (beside_stacks / "bones" / "labels.dcm").is_file()
    corrected = read_segmented("out", read_stack("head.nii.gz"))
    assert len(corrected.state.strokes) == 1
    assert (beside_stacks / "out" / "1-white-matter.stl").is_file()


def test_the_code_runs(beside_stacks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    exec(code, {})
    said = capsys.readouterr().out
    assert "white matter" in said
    assert (beside_stacks / "out-python" / "1-white-matter.ply").is_file()


def test_white_matter_of_the_template(beside_stacks: Path) -> None:
    """From the document's ten points, at half the resolution of the benchmark's."""
    nibabel.Nifti1Image(*mni("t1", 2)).to_filename("half.nii.gz")
    found = segment_stack(read_stack("half.nii.gz"), Seeds.read("seeds.json"))
    white, grey = (mni(kind, 2)[0].T.astype(int) for kind in ("wm", "gm"))
    assert dice(found.labels == found.number("white matter"), white > 127) > 0.9
    brain = found.labels > 0
    assert dice(brain, white + grey > 127) > 0.92
