"""A correction goes on from what an earlier call wrote: the same as in memory, or not at all."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from cli_runner import one_error, run
from kosmoscope.errors import FolderMismatchError, InputError
from kosmoscope.stacks import (
    Seeds,
    Segmented,
    Threshold,
    Volume,
    Walker,
    WalkerOptions,
    correct,
    read_segmented,
    save_stack,
    segment_stack,
)
from kosmoscope.stacks.out import saving
from stack_cases import ball, made

ONE = made(ball(9), (1, 1, 2), noise=4, kind=np.int16)
VOLUME = ONE.volume
SEEDS = Seeds.of({"background": [(2, 2, 5)], "ball": [ONE.near(0, 0, 0)]})
MORE = Seeds.of({"ball": [(3, 12, 5)]}, radius_mm=2)
LESS = Seeds.of({"background": [ONE.near(0, 0, 6)]}, radius_mm=1)


@pytest.fixture(scope="module")
def first() -> Segmented:
    return segment_stack(VOLUME, SEEDS)


@pytest.fixture
def out(first: Segmented, tmp_path: Path) -> Path:
    save_stack(first, tmp_path / "out", meshes=())
    return tmp_path / "out"


def same(a: Segmented, b: Segmented) -> bool:
    assert a.sure is not None
    assert b.sure is not None
    return (
        a.names == b.names
        and np.array_equal(a.labels, b.labels)
        and np.array_equal(a.sure, b.sure)
        and np.array_equal(a.state.found, b.state.found)
    )


def test_what_is_read_is_what_was_written(first: Segmented, out: Path) -> None:
    again = read_segmented(out, VOLUME)
    assert same(again, first)
    np.testing.assert_array_equal(again.state.values, first.state.values)


def test_corrections_are_those_in_memory(first: Segmented, out: Path, tmp_path: Path) -> None:
    """Also of a second one, after one that was itself read from a folder."""
    in_memory = correct(first, MORE)
    assert not np.array_equal(in_memory.labels, first.labels)
    from_disk = correct(read_segmented(out, VOLUME), MORE)
    assert same(from_disk, in_memory)
    save_stack(from_disk, out, meshes=())
    second = correct(read_segmented(out, VOLUME), LESS)
    assert same(second, correct(in_memory, LESS))
    assert not np.array_equal(second.labels, in_memory.labels)


def test_options_are_those_of_then(tmp_path: Path) -> None:
    walker = Walker(WalkerOptions(work_voxels=4000, data=0.3, connected=False))
    found = segment_stack(VOLUME, SEEDS, walker)
    save_stack(found, tmp_path, meshes=())
    again = correct(read_segmented(tmp_path, VOLUME), MORE)
    assert again.state.options == walker.options
    assert same(again, walker.correct(found, MORE.on(VOLUME)))


def test_one_file_is_kept_and_it_is_that_of_the_labels(first: Segmented, out: Path) -> None:
    (before,) = out.glob("*.zip")
    save_stack(correct(first, MORE), out, meshes=())
    (after,) = out.glob("*.zip")
    assert before.name != after.name
    save_stack(Threshold().segment(VOLUME), out, meshes=())
    assert not list(out.glob("*.zip"))
    with pytest.raises(InputError, match="another segmenter than the walker"):
        read_segmented(out, VOLUME)


@pytest.mark.parametrize("at", ["measures.json", "index.html", "labels.nii.gz"])
def test_an_end_at_any_moment_leaves_what_can_be_corrected(
    at: str, first: Segmented, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = saving.replacing

    def ends(path: Path) -> Any:
        if path.name == at:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(saving, "replacing", ends)
    with pytest.raises(KeyboardInterrupt):
        save_stack(correct(first, MORE), out, meshes=())
    monkeypatch.undo()
    assert same(correct(read_segmented(out, VOLUME), MORE), correct(first, MORE))
    save_stack(correct(read_segmented(out, VOLUME), MORE), out, meshes=())
    assert len(list(out.glob("*.zip"))) == 1


def with_(stored: Any = VOLUME.stored, affine: Any = VOLUME.affine, **more: Any) -> Volume:
    return Volume(np.array(stored), np.array(affine), source="other.nii", **more)


def shifted() -> Volume:
    affine = VOLUME.affine.copy()
    affine[0, 3] += 1
    return with_(affine=affine)


def changed() -> Volume:
    stored = VOLUME.stored.copy()
    stored[3, 3, 3] += 1
    return with_(stored)


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        (lambda: with_(VOLUME.stored[:-1]), "another stack, of .* voxels; this one has"),
        (shifted, "lies elsewhere in the patient"),
        (changed, "of the same size with other values"),
        (lambda: with_(slope=2.0), "of the same size with other values"),
    ],
)
def test_of_another_stack_they_are_refused(
    other: Callable[[], Volume], problem: str, out: Path
) -> None:
    with pytest.raises(FolderMismatchError, match=problem):
        read_segmented(out, other())
    assert read_segmented(out, with_()).names == ("background", "ball")


def edited(out: Path) -> None:
    image = nibabel.load(out / "labels.nii.gz")
    voxels = np.asarray(image.dataobj).copy()
    voxels[0, 0, 0] = 1
    nibabel.Nifti1Image(voxels, image.affine).to_filename(out / "labels.nii.gz")


def emptied(out: Path) -> None:
    (out / "labels.nii.gz").unlink()


def rewritten(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """The file, with its JSON changed."""

    def make(out: Path) -> None:
        (path,) = out.glob("*.zip")
        with zipfile.ZipFile(path) as packed:
            parts = {name: packed.read(name) for name in packed.namelist()}
        data = json.loads(parts["state.json"])
        change(data)
        parts["state.json"] = json.dumps(data).encode()
        with zipfile.ZipFile(path, "w") as packed:
            for name, part in parts.items():
                packed.writestr(name, part)

    return make


def torn(out: Path) -> None:
    (path,) = out.glob("*.zip")
    path.write_bytes(path.read_bytes()[:-100])


def flipped(out: Path) -> None:
    (path,) = out.glob("*.zip")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (emptied, "no labels.nii.gz to correct; begin with seeds"),
        (edited, "labels.nii.gz: nothing is kept to go on from"),
        (torn, "corrections-.*zip: cannot be read"),
        (flipped, "corrections-.*zip: cannot be read"),
        (rewritten(lambda d: d.update(schema=2)), "of another version"),
        (rewritten(lambda d: d.pop("names")), "names"),
        (rewritten(lambda d: d.update(names=["background", "x"])), "other labels"),
        (rewritten(lambda d: d.update(sure=99)), "99.npy"),
        (rewritten(lambda d: d["state"].pop("grid")), "grid"),
        (rewritten(lambda d: d["state"].update(found=0)), "expected float16"),
    ],
)
def test_what_was_damaged_is_refused(
    damage: Callable[[Path], None], problem: str, out: Path
) -> None:
    damage(out)
    with pytest.raises(InputError, match=problem) as caught:
        read_segmented(out, VOLUME)
    assert "\n" not in str(caught.value)


# The command


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A stack, marks of it and more marks, and a folder of labels."""
    image = nibabel.Nifti1Image(np.asarray(VOLUME.stored).T, VOLUME.affine)
    image.to_filename(tmp_path / "ball.nii.gz")
    marks = {
        "seeds": {"background": [[2, 2, 5]], "ball": [ONE.near(0, 0, 0)]},
        "more": {"ball": [[3, 12, 5]]},
        "new": {"other": [[3, 12, 5]]},
        "both": {"ball": [[3, 12, 5]], "background": [[3, 12, 5]]},
    }
    for name, by_label in marks.items():
        labels = [{"name": label, "points": points} for label, points in by_label.items()]
        (tmp_path / f"{name}.json").write_text(json.dumps({"labels": labels}))
    done = run("stack", tmp_path / "ball.nii.gz", "-o", tmp_path / "out", "--mesh", "none", "-q",
               "--seeds", tmp_path / "seeds.json")  # fmt: skip
    assert done.exit_code == 0
    return tmp_path


def labels_of(folder: Path) -> np.ndarray:
    return np.asarray(nibabel.load(folder / "labels.nii.gz").dataobj)


def test_a_later_call_is_as_one_call_with_both(stack: Path) -> None:
    common = ("stack", stack / "ball.nii.gz", "--mesh", "none", "-q")
    more = ("--correct", stack / "more.json")
    run(*common, "-o", stack / "at-once", "--seeds", stack / "seeds.json", *more)
    before = labels_of(stack / "out")
    later = run(*common, "-o", stack / "out", *more)
    assert later.exit_code == 0
    assert later.stdout.splitlines()[1].startswith("ball")
    np.testing.assert_array_equal(labels_of(stack / "out"), labels_of(stack / "at-once"))
    assert (before[3, 12, 5], labels_of(stack / "out")[3, 12, 5]) == (0, 1)


@pytest.mark.parametrize(
    ("marks", "status", "problem"),
    [
        ("new", 2, "'other' is no label of the segmentation; a correction adds none"),
        ("both", 2, "voxel (3, 12, 5) is marked both ball and background"),
        ("more", 1, "labels are of another stack"),
        ("more", 2, "no labels.nii.gz to correct; begin with seeds (--seeds)"),
    ],
)
def test_a_refused_correction_changes_nothing(
    marks: str, status: int, problem: str, stack: Path
) -> None:
    source = stack / "ball.nii.gz"
    if "another stack" in problem:
        nibabel.Nifti1Image(np.asarray(VOLUME.stored).T + 1, VOLUME.affine).to_filename(source)
    if "no labels" in problem:
        shutil.rmtree(stack / "out")
    before = {f: f.read_bytes() for f in (stack / "out").glob("*")}
    result = run("stack", source, "-o", stack / "out", "--correct", stack / f"{marks}.json")
    assert problem in one_error(result, status)
    assert {f: f.read_bytes() for f in (stack / "out").glob("*")} == before
