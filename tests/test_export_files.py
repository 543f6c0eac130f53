"""Files and folders: all formats written, whole or not at all, for any file name."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kosmoscope.errors import ImageNotFoundError, InputError, KosmoscopeError, OptionError
from kosmoscope.export import FORMATS, Report, Vocabulary, export, formats
from kosmoscope.export.folder import MANIFEST
from kosmoscope.export.names import is_file_path, unique_stems
from kosmoscope.files.marker import MARKER
from kosmoscope.parsing import read_tagged
from kosmoscope.results import Description
from kosmoscope.types import ImageInfo
from test_export_cases import HOSTILE, PATHS, describe

BOX = [(0.0, 0.0, 0.5, 0.5)]
HARD = [
    describe((phrase, BOX), path=path)
    for path, phrase in zip(PATHS, HOSTILE + HOSTILE, strict=False)
]


def needed(to: str) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow")


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("to", formats())
def test_every_format_takes_hard_names(to: str, tmp_path: Path) -> None:
    needed(to)
    report = Report()
    out = tmp_path / "new folder" / "out 🎉\n"
    assert export(iter(HARD), out, to, report=report) == out
    assert (report.descriptions, report.pictures, report.boxes) == (len(HARD),) * 3
    assert out.is_dir() == (FORMATS.get(to).suffix == "")
    assert list(out.parent.iterdir()) == [out]  # nothing temporary stays
    again = tmp_path / "again"
    export(HARD, again, to)
    if out.is_dir():
        assert files(out).keys() == files(again).keys()
    elif to != "parquet":
        assert out.read_bytes() == again.read_bytes()  # nothing changes from run to run


@pytest.mark.parametrize("to", formats())
def test_nothing_to_export_is_fine(to: str, tmp_path: Path) -> None:
    needed(to)
    assert export([], tmp_path / "out", to).exists()


@pytest.mark.parametrize("to", formats())
def test_what_is_there_is_kept(to: str, tmp_path: Path) -> None:
    needed(to)
    out = tmp_path / "out"
    export(HARD[:3], out, to)
    before = files(tmp_path)
    with pytest.raises(OptionError, match="overwrite"):
        export(HARD, out, to)
    assert files(tmp_path) == before
    export(HARD, out, to, overwrite=True)
    assert files(tmp_path) != before
    export(HARD[:3], out, to, overwrite=True)
    assert files(tmp_path) == before or to == "parquet"


@pytest.mark.parametrize("to", formats())
def test_a_failure_leaves_nothing(to: str, tmp_path: Path) -> None:
    needed(to)

    def broken() -> Iterator[Description]:
        yield from HARD
        raise InputError("line 7 is torn")

    with pytest.raises(InputError, match="line 7"):
        export(broken(), tmp_path / "new", to)
    assert list(tmp_path.iterdir()) == []
    export(HARD[:2], tmp_path / "old", to)
    before = files(tmp_path)
    with pytest.raises(InputError, match="line 7"):
        export(broken(), tmp_path / "old", to, overwrite=True)
    assert files(tmp_path) == before


def test_formats_and_options_are_checked(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="format 'xml': expected one of captions, coco, "):
        export([], tmp_path / "x", "xml")
    with pytest.raises(OptionError, match="csv has no place for pictures"):
        export([], tmp_path / "x", "csv", pictures="copy")
    with pytest.raises(OptionError, match="expected none, link, copy"):
        export([], tmp_path / "x", "coco", pictures="move")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="NUL"):
        export([], tmp_path / "a\0b", "csv")
    with pytest.raises(OptionError, match="NUL"):
        export([], tmp_path / "a\0b", "coco")
    assert list(tmp_path.iterdir()) == []


def test_a_file_for_a_folder_and_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("mine")
    with pytest.raises(OptionError, match="is a file"):
        export([], tmp_path / "file", "coco", overwrite=True)
    with pytest.raises(OptionError, match="is a folder"):
        export([], tmp_path / "mine", "csv", overwrite=True)
    with pytest.raises(OptionError, match="has files that no export wrote"):
        export([], tmp_path / "mine", "coco", overwrite=True)
    with pytest.raises(KosmoscopeError, match="cannot be written"):
        export([], tmp_path / "file" / "out", "coco")
    assert sorted(files(tmp_path)) == ["file", "mine/a.txt"]


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        KosmoscopeError, match=r"out: cannot be written: no space left on the device$"
    ):
        export(HARD, tmp_path / "out", "csv")
    assert list(tmp_path.iterdir()) == []


def test_overwriting_removes_stale_files_and_only_those(tmp_path: Path) -> None:
    out = export(HARD[:4], tmp_path / "out", "yolo")
    (out / "images").mkdir()
    (out / "images" / "mine.jpg").write_bytes(b"mine")
    (out / "labels" / "mine.txt").write_text("mine")
    export(HARD[:1], out, "coco", overwrite=True)
    assert sorted(files(out)) == [
        MARKER,
        MANIFEST,
        "captions.json",
        "images/mine.jpg",
        "labels.json",
        "labels/mine.txt",
    ]


@pytest.mark.parametrize("name", ["../victim", "/victim", "link/victim", "..", "", "labels"])
def test_a_forged_manifest_removes_nothing_outside(name: str, tmp_path: Path) -> None:
    out = export(HARD[:1], tmp_path / "out", "yolo")
    (tmp_path / "victim").write_text("keep")
    (out / "link").symlink_to(tmp_path)
    name = name.replace("/victim", str(tmp_path / "victim"), 1) if name[:1] == "/" else name
    (out / MANIFEST).write_text(json.dumps({"files": [name]}))
    export(HARD[:1], out, "yolo", overwrite=True)
    assert (tmp_path / "victim").read_text() == "keep"
    assert (out / "labels").is_dir()


def test_a_damaged_manifest(tmp_path: Path) -> None:
    out = export([], tmp_path / "out", "coco")
    (out / MANIFEST).write_text("{")
    with pytest.raises(InputError, match="damaged"):
        export([], out, "coco", overwrite=True)


def test_an_interrupted_update_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = export(HARD[:3], tmp_path / "out", "labelme")
    moves = 0
    move = Path.replace

    def torn(self: Path, target: Path) -> Path:
        nonlocal moves
        moves += target.parent == out and target.name != MANIFEST
        if moves == 3:
            raise KeyboardInterrupt
        return move(self, target)

    monkeypatch.setattr(Path, "replace", torn)
    with pytest.raises(KeyboardInterrupt):
        export(HARD[5:], out, "labelme", overwrite=True)
    monkeypatch.undo()
    export(HARD[:1], out, "labelme", overwrite=True)
    assert files(out) == files(export(HARD[:1], tmp_path / "new", "labelme"))


def test_the_target_of_a_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out.csv").symlink_to(tmp_path / "mine")
    with pytest.raises(OptionError, match="exists"):
        export([], tmp_path / "out.csv", "csv")
    export([], tmp_path / "out.csv", "csv", overwrite=True)
    assert (tmp_path / "mine").read_text() == "mine"


def test_permissions_are_the_usual_ones(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.write_text("")
    export([], tmp_path / "ours", "csv")
    export([], tmp_path / "folder", "yolo")
    for ours in ("ours", "folder/data.yaml"):
        assert (tmp_path / ours).stat().st_mode == usual.stat().st_mode


# Pictures beside the labels


@pytest.fixture
def photos_with_hard_names(tmp_path: Path) -> list[Description]:
    root = tmp_path / "photos"
    names = [
        p
        for p in (*PATHS, "c/photo.jpg")
        if is_file_path(p) and p not in ("..", "") and not p.startswith("/")
    ]
    found = []
    for i, name in enumerate(dict.fromkeys(names)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.write_bytes(b"%d" % i)
        except OSError:  # a file system without such names
            continue
        found.append(describe(("a dog", BOX), path=str(path)))
    assert len(found) > 10
    return found


@pytest.mark.parametrize("how", ["link", "copy"])
@pytest.mark.parametrize(
    ("to", "where"),
    [("coco", "data"), ("yolo", "images"), ("voc", "JPEGImages"), ("labelme", ".")],
)
def test_labels_find_their_pictures(
    to: str, where: str, how: str, tmp_path: Path, photos_with_hard_names: list[Description]
) -> None:
    out = export(photos_with_hard_names, tmp_path / "out", to, pictures=how)  # type: ignore[arg-type]
    contents = [Path(d.image.path).read_bytes() for d in photos_with_hard_names]
    names: list[str] = []
    if to == "coco":
        names = [i["file_name"] for i in json.loads((out / "labels.json").read_text())["images"]]
    elif to == "voc":
        for stem in (out / "ImageSets/Main/default.txt").read_text().splitlines():
            root = ElementTree.parse(out / f"Annotations/{stem}.xml").getroot()
            names.append(root.findtext("filename") or "")
    elif to == "yolo":  # by Ultralytics' rule: /images/ -> /labels/, suffix -> .txt
        config = yaml.safe_load((out / "data.yaml").read_text())
        labels = {p.stem: p.name for p in (out / config["train"]).iterdir()}
        assert {f"{stem}.txt" for stem in labels} == {p.name for p in (out / "labels").iterdir()}
        names = list(labels.values())
    else:
        documents = [json.loads(p.read_text()) for p in out.glob("*.json")]
        names = [d["imagePath"] for d in documents]
    found = [(out / where / name).read_bytes() for name in names]
    assert sorted(found) == sorted(contents)
    assert all((out / where / name).is_symlink() == (how == "link") for name in names)


def test_labelme_finds_pictures_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"a")
    out = tmp_path / "labels" / "out"
    export([describe(path=str(tmp_path / "photos" / "a.jpg"))], out, "labelme")
    path = json.loads((out / "a.json").read_text())["imagePath"]
    assert not PurePosixPath(path).is_absolute()
    assert (out / path).read_bytes() == b"a"


@pytest.mark.parametrize("path", ["<array>", "https://host/a.jpg", "missing.jpg", "a\0b", "."])
def test_pictures_that_are_no_files(path: str, tmp_path: Path) -> None:
    with pytest.raises(ImageNotFoundError, match="is not a file that could be put"):
        export([describe(path=path)], tmp_path / "out", "coco", pictures="copy")
    assert list(tmp_path.iterdir()) == []


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ImageNotFoundError):
        export([describe(path=str(tmp_path / "pipe"))], tmp_path / "o", "yolo", pictures="copy")


# Stems


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PATHS) | st.text(max_size=20), max_size=30))
def test_stems_are_unique_and_fit_for_any_file_system(paths: list[str]) -> None:
    stems = unique_stems([ImageInfo(path, 1, 1) for path in paths])
    assert len({stem.casefold() for stem in stems}) == len(paths)
    for stem in stems:
        assert stem == stem.strip()
        assert not set(stem) & set('<>:"/\\|?*\0\n\r\t')
        assert stem[0] not in "-."
        assert stem[-1] != "."
        assert 0 < len(stem.encode()) < 200
        assert stem.upper() not in ("CON", "NUL", "COM1")


def test_stems_do_not_depend_on_the_order_or_on_others() -> None:
    paths = ["a/cat.jpg", "b/cat.jpg", "c/Dog.jpg"]
    there = unique_stems([ImageInfo(p, 1, 1) for p in paths])
    back = unique_stems([ImageInfo(p, 1, 1) for p in paths[::-1]])
    assert there == back[::-1]
    assert there[2] == "Dog"
    assert there[0].startswith("cat-")
    assert len(there[0]) == len("cat-") + 8


def test_jsonl_and_tagged_files_are_read_back(tmp_path: Path) -> None:
    path = export(HARD, tmp_path / "x.jsonl", "jsonl")
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    assert [Description.from_json(line) for line in lines] == HARD
    path = export(HARD, tmp_path / "x.txt", "tagged")
    with path.open(encoding="utf-8", newline="") as file:
        assert [d.image for d in read_tagged(file.read())] == [d.image for d in HARD]


def test_the_report_counts(tmp_path: Path) -> None:
    report = Report()
    vocabulary = Vocabulary.mapped({"dog": "Dog"}, unmapped="drop")
    export([describe(("a dog", BOX), ("x", BOX))], tmp_path / "o", "voc", vocabulary=vocabulary,
           report=report)  # fmt: skip
    assert (report.boxes, report.dropped) == (1, 1)
    assert report.labels == {"Dog": 1}
    assert report.unmapped == {"x": 1}
