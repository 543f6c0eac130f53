"""The folder of `segment -o`: names, settings, what an earlier run left, pictures on stdin."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kosmoscope.cli.segment_files as files
import pictures
from cli_runner import POCKET, one_error, run
from kosmoscope import load
from kosmoscope.cli.segment_files import OLD_SETTINGS, SETTINGS, SegmentFiles, SegmentFolder
from kosmoscope.errors import FolderMismatchError, OutputError
from kosmoscope.images import Limits, read_image
from kosmoscope.segment import Segmentation

BOX = ["--box", "5,5,60,60"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a folder `p` of pictures."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p").mkdir()
    return tmp_path


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rgb = np.full((80, 120, 3), (70, 140 + seed, 70), np.uint8)
    rgb[10:40, 10:40] = (210, 30, 30)
    Image.fromarray(rgb).save(path)
    return path


def masks(out: Path) -> dict[str, Segmentation]:
    return {Path(one.image.path).name: one for one in SegmentFiles.of(out)}


@pytest.mark.parametrize("stem", ["n" * 251, "0" * 234, "雪" * 83, "é" * 120, "a.b " * 62 + "ab"])
@pytest.mark.parametrize("extra", [[], ["--cutout", "--label", "雪 " * 60]])
def test_long_names_leave_room_for_what_is_put_behind_them(
    folder: Path, stem: str, extra: list[str]
) -> None:
    for name in ("aa", stem, "zz"):
        picture(folder / "p" / f"{name}.png")
    result = run("segment", "p", "-o", "s", *BOX, "-q", *extra, "--to", "labelme-polygons")
    assert result.exit_code == 0, result.stderr
    assert len(list(Path("s").glob("*-overlay.jpg"))) == 3
    assert len(masks(folder / "s")) == 3
    assert len(list(Path("s").glob("*-1-*.png"))) == (3 if extra else 0)
    assert run("segment", "p", "-o", "s", *BOX, "-q", *extra).stderr == ""


def test_two_long_names_that_begin_alike_stay_apart(folder: Path) -> None:
    for end in ("1", "2"):
        picture(folder / "p" / f"{'n' * 245}{end}.png")
    assert run("segment", "p", "-o", "s", *BOX, "-q").exit_code == 0
    assert len(masks(folder / "s")) == 2


@pytest.mark.parametrize("blocked", ["bb-labels.png", "bb-overlay.jpg", "bb.json"])
def test_a_picture_whose_files_cannot_be_written_loses_no_other(folder: Path, blocked: str) -> None:
    for name in ("aa", "bb", "cc"):
        picture(folder / "p" / f"{name}.png")
    (folder / "s" / blocked).mkdir(parents=True)
    result = run("segment", "p", "-o", "s", *BOX, "-q", "--to", "coco-instances")
    assert result.exit_code == 1
    assert "bb.png: " in result.stderr
    exported = json.loads((folder / "s/coco-instances/instances.json").read_text())["images"]
    assert sorted(Path(one["file_name"]).name for one in exported) == ["aa.png", "cc.png"]


def test_a_full_disk_stops_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("aa", "bb"):
        picture(folder / "p" / f"{name}.png")
    tried: list[str] = []

    def full(self: SegmentFolder, one: files.ToSegment, *rest: object) -> None:
        tried.append(one.path)
        raise OutputError("no space left") from OSError(28, "No space left on device")

    monkeypatch.setattr(SegmentFolder, "write", full)
    assert "no space left" in one_error(run("segment", "p", "-o", "s", *BOX, "-q"), 1)
    assert len(tried) == 1


def test_a_picture_wider_than_a_jpeg_has_an_overlay_too(folder: Path) -> None:
    Image.new("RGB", (66_000, 20), "red").save("wide.png")
    result = run("segment", "wide.png", "-o", "s", "--box", "0,0,60000,20", "-q")
    assert result.exit_code == 0, result.stderr
    assert Path("s/wide-overlay.png").is_file()


def test_a_killed_overwrite_never_mixes_masks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it clears, while it segments: what lies there is of one kind, or goes on."""
    for name in ("aa", "bb", "cc"):
        picture(folder / "p" / f"{name}.png")
    first, other = [*BOX, "-q", "--cutout"], ["--box", "0,0,90,70", "-q", "--cutout"]
    assert run("segment", "p", "-o", "s", *first).exit_code == 0

    class Killed(BaseException):
        pass

    def killed(self: SegmentFolder, file: Path) -> None:
        if file.name == "bb.json":
            raise Killed
        forget(self, file)

    forget = SegmentFolder._forget
    with monkeypatch.context() as patch:
        patch.setattr(SegmentFolder, "_forget", killed)
        with pytest.raises(Killed):
            run("segment", "p", "-o", "s", *other, "--overwrite")
    assert len(masks(folder / "s")) == 2
    # Either call goes on, without `--overwrite`: nothing of the first is left.
    written = SegmentFolder.write

    def once(self: SegmentFolder, one: files.ToSegment, *rest: object) -> None:
        if one.path.endswith("bb.png"):
            raise Killed
        written(self, one, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(SegmentFolder, "write", once)
        with pytest.raises(Killed):
            run("segment", "p", "-o", "s", *other)
    assert {one.segments[0].xyxy_px for one in masks(folder / "s").values()} == {(0, 0, 90, 70)}
    refused = run("segment", "p", "-o", "s", *first)
    assert "was made with other options" in refused.stderr
    assert run("segment", "p", "-o", "s", *other, "--to", "coco-instances").exit_code == 0
    boxes = {one.segments[0].xyxy_px for one in masks(folder / "s").values()}
    assert (len(masks(folder / "s")), boxes) == (3, {(0, 0, 90, 70)})


def test_overwrite_leaves_files_of_others(folder: Path) -> None:
    picture(folder / "p" / "aa.png")
    assert run("segment", "p", "-o", "s", *BOX, "-q", "--cutout").exit_code == 0
    (folder / "s" / "notes.json").write_text('{"mine": 1}')
    (folder / "s" / "aa-1.png").write_text("mine")
    result = run("segment", "p", "-o", "s", *BOX, "-q", "--overwrite", "--label", "cup")
    assert result.exit_code == 0
    left = {path.name for path in (folder / "s").iterdir() if not path.name.startswith(".")}
    assert left == {SETTINGS, "notes.json", "aa-1.png", "aa.json", "aa-labels.png",
                    "aa-overlay.jpg"}  # fmt: skip


def test_cut_outs_of_earlier_answers_do_not_stay(folder: Path) -> None:
    picture(folder / "p" / "aa.png")
    args = ("segment", "p", "-o", "s", *BOX, "-q", "--cutout")
    assert run(*args).exit_code == 0
    found = json.loads(Path("s/aa.json").read_text())
    found["segments"][0]["phrase"], found["caption"] = "a cat", "other"
    found["image"]["path"] = "elsewhere/aa.png"
    Path("s/aa.json").write_text(json.dumps(found))
    Path("s/aa-1-a-cat.png").write_bytes(b"")
    assert run(*args).exit_code == 0
    assert [path.name for path in Path("s").glob("aa-1-*")] == ["aa-1-object.png"]


def test_pictures_that_are_gone_are_told_and_not_exported(folder: Path) -> None:
    for name in ("aa", "bb"):
        picture(folder / "p" / f"{name}.png")
    args = ("segment", "p", "-o", "s", *BOX, "--to", "coco-instances")
    assert run(*args).exit_code == 0
    (folder / "p" / "bb.png").unlink()
    again = run(*args)
    assert "segments of 1 other pictures too, which are not in coco-instances" in again.stderr
    exported = json.loads((folder / "s/coco-instances/instances.json").read_text())["images"]
    assert len(exported) == 1
    assert "other pictures" not in run(*args, "--overwrite").stderr
    assert list(masks(folder / "s")) == ["aa.png"]


def test_a_picture_may_be_called_like_the_settings(folder: Path) -> None:
    for name in (SETTINGS, "segment-settings", ".lock", ".lock-holder", "segment"):
        picture(folder / "p" / f"{name}.png")
    names = sorted(str(path) for path in (folder / "p").iterdir())
    for _ in range(2):
        result = run("segment", *names, "-o", "s", *BOX, "-q", "--to", "coco-instances")
        assert result.exit_code == 0, result.stderr
        exported = json.loads((folder / "s/coco-instances/instances.json").read_text())["images"]
        assert len(exported) == 5
    assert len(masks(folder / "s")) == 5


def test_settings_of_earlier_versions_are_read(folder: Path) -> None:
    picture(folder / "p" / "aa.png")
    assert run("segment", "p", "-o", "s", *BOX, "-q").exit_code == 0
    Path("s", SETTINGS).rename(Path("s", OLD_SETTINGS))
    assert "was made with" in one_error(run("segment", "p", "-o", "s", *BOX, "--regions"), 1)
    assert list(masks(folder / "s")) == ["aa.png"]
    assert run("segment", "p", "-o", "s", *BOX, "-q").exit_code == 0
    assert not Path("s", OLD_SETTINGS).exists()


def test_damaged_settings_are_named_and_overwritten(folder: Path) -> None:
    folder = folder / "s"
    folder.mkdir()
    (folder / SETTINGS).write_text("torn")
    with pytest.raises(Exception, match=SETTINGS):
        SegmentFolder(folder, {"a": 1}, overwrite=False, cutout=False)
    SegmentFolder(folder, {"a": 1}, overwrite=True, cutout=False)
    with pytest.raises(FolderMismatchError):
        SegmentFolder(folder, {"a": 2}, overwrite=False, cutout=False)


def test_what_a_killed_run_left_half_is_swept(folder: Path) -> None:
    picture(folder / "p" / "aa.png")
    Path("s").mkdir()
    Path("s/.0123456789abcdef.part").write_bytes(b"half")
    Path("s/.mine.part").write_bytes(b"mine")
    assert run("segment", "p", "-o", "s", *BOX, "-q").exit_code == 0
    assert sorted(path.name for path in Path("s").glob(".*.part")) == [".mine.part"]


def test_a_picture_is_never_replaced_by_what_is_written(folder: Path) -> None:
    for name in ("a", "a-labels"):
        picture(folder / "p" / f"{name}.png")
    before = (folder / "p" / "a-labels.png").read_bytes()
    result = run("segment", "p/a.png", "p/a-labels.png", "-o", "p", *BOX, "-q")
    assert result.exit_code == 1
    assert "is one of the pictures" in result.stderr
    assert (folder / "p" / "a-labels.png").read_bytes() == before


@pytest.mark.parametrize("by", [BOX, ["--phrase", "a red box", *POCKET]])
def test_a_picture_on_standard_input(folder: Path, by: list[str]) -> None:
    data = picture(folder / "p" / "aa.png").read_bytes()
    for _ in range(2):  # it is another one each time
        result = run("segment", "-", "-o", "s", *by, "--cutout", "-q", input=data)
        assert result.exit_code == 0, result.stderr
    assert {path.name for path in Path("s").glob("stdin*")} >= {"stdin.json", "stdin-labels.png"}
    assert json.loads(Path("s/stdin.json").read_text())["image"]["path"] == "<stdin>"
    shown = run("segment", "-", *by, "--format", "json", input=data)
    assert json.loads(shown.stdout)["image"]["width"] == 120
    assert "given twice" in one_error(run("segment", "-", "-", *by, input=data), 2)
    assert "empty" in one_error(run("segment", "-", *by, input=b""), 1)


# Boxes by hand


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--box", "0.1,0.1,0.5,0.5"], "add --fractions"),
        (["--point", "0.5,0.5"], "add --fractions"),
        (["--fractions", "--box", "5,5,60,60"], "0..1"),
        (["--fractions", "--point", "5,5"], "0..1"),
        (["--fractions", "--pixels", "--box", "5,5,60,60"], "--pixels goes without --fractions"),
        (["--box", "nan,0,5,5"], "not finite"),
        (["--point", "inf,5"], "not finite"),
        (["--fractions"], "--fractions goes with --box or --point"),
        (["--label", "cup"], "--label goes with --box, --point or --salient"),
        ([*BOX, *BOX, "--label", "a", "--label", "b", "--label", "c"], "one for each --box"),
    ],
)
def test_units_of_boxes_are_never_guessed(folder: Path, args: list[str], message: str) -> None:
    picture(folder / "p" / "aa.png")
    assert message in one_error(run("segment", "p/aa.png", *args), 2)


def test_boxes_in_fractions_are_those_in_pixels(folder: Path) -> None:
    picture(folder / "p" / "aa.png")
    args = ("segment", "p/aa.png", "--format", "json")
    pixels = json.loads(run(*args, "--box", "12,8,60,40", "--point", "24,16").stdout)
    fractions = json.loads(
        run(*args, "--fractions", "--box", "0.1,0.1,0.5,0.5", "--point", "0.2,0.2").stdout
    )
    assert fractions["segments"] == pixels["segments"]
    tiny = run(*args, "--pixels", "--box", "0,0,1,1")
    assert json.loads(tiny.stdout)["segments"][0]["xyxy_px"] == [0, 0, 1, 1]


@pytest.mark.parametrize("command", [["refer"], ["ask", "What is it?"]])
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--box", "5,5,60,60"], "for pixels add --pixels"),
        (["--fractions", "--box", "5,5,60,60"], "0..1"),
        (["--fractions", "--pixels", "--box", "5,5,60,60"], "--pixels goes without --fractions"),
    ],
)
def test_units_are_the_same_options_everywhere(
    folder: Path, command: list[str], args: list[str], message: str
) -> None:
    picture(folder / "p" / "aa.png")
    verb, *rest = command
    assert message in one_error(run(verb, "p/aa.png", *rest, *args), 2)


def test_boxes_by_hand_are_one_class(folder: Path) -> None:
    for name in ("aa", "bb"):
        picture(folder / "p" / f"{name}.png")
    boxes = ("--box", "5,5,60,60", "--box", "70,10,110,70")
    base = ("segment", "p", *boxes, "-q", "--to", "coco-instances")

    def classes(out: str) -> list[str]:
        data = json.loads(Path(out, "coco-instances", "instances.json").read_text())
        return [one["name"] for one in data["categories"]]

    assert run(*base, "-o", "s").exit_code == 0
    assert classes("s") == ["object"]
    assert run(*base, "-o", "t", "--label", "cup").exit_code == 0
    assert classes("t") == ["cup"]
    assert run(*base, "-o", "u", "--label", "cup", "--label", "plate").exit_code == 0
    assert sorted(classes("u")) == ["cup", "plate"]


# Transparency


def test_cut_outs_keep_what_is_transparent(folder: Path) -> None:
    rgba = np.zeros((80, 120, 4), np.uint8)
    rgba[10:60, 10:60] = (210, 30, 30, 255)
    rgba[10:60, 60:90] = (30, 30, 210, 128)
    Image.fromarray(rgba).save("a.png")
    Image.fromarray(rgba).save("b.webp", lossless=True)
    Image.fromarray(rgba).convert("P").save("c.gif", transparency=0)
    for by in (["--box", "0,0,120,80"], ["--phrase", "a red box", *POCKET]):
        for name in ("a.png", "b.webp"):
            out = f"s{len(by)}"
            result = run("segment", name, "-o", out, *by, "-q", "--cutout", "--overwrite")
            assert result.exit_code == 0, result.stderr
            for file in Path(out).glob("?-1-*.png"):
                with Image.open(file) as image:
                    cut = np.asarray(image)
                white = (cut[..., 3] > 200) & (cut[..., :3] > 250).all(axis=2)
                assert not white.any()
    with Image.open("s2/b-1-object.png") as image:
        colours = np.asarray(image).reshape(-1, 4)
    veiled = colours[(colours[:, 3] > 100) & (colours[:, 3] < 150)]
    if len(veiled):
        assert np.abs(veiled[:, :3].mean(axis=0) - (30, 30, 210)).max() < 30


def test_a_reduced_picture_is_segmented_drawn_and_saved(folder: Path) -> None:
    Image.fromarray(pictures.smooth(321, 240)).save("a.jpg")
    scope = load("pocket", threads=1, limits=Limits(max_pixels=20_000))
    read = read_image("a.jpg", limits=scope.limits)
    assert (read.rgb_info.width, read.rgb_info.height) == (161, 120)
    found = scope.segment("a.jpg", phrase="a box")
    assert (found.image.width, found.image.height) == (161, 120)
    assert found.draw().size == (161, 120)
    found.save("drawn.png")
    assert found.cut_out(0).mode == "RGBA"
    options = ["-o", "s", "-f", "json", "--cutout", "--max-pixels", "20000"]
    shown = run("segment", "a.jpg", "--box", "0,0,160,240", *options)
    assert shown.exit_code == 0, shown.stderr
    (segment,) = json.loads(shown.stdout)["segments"]
    assert segment["xyxy_px"] == pytest.approx([0, 0, 160 / 321 * 161, 120])
    assert Path("s/a-overlay.jpg").is_file()
    wanted = ["--phrase", "a box", *POCKET]
    by_model = run("segment", "a.jpg", *wanted, *options[:4], "--overwrite", *options[4:])
    assert json.loads(by_model.stdout)["image"]["width"] == 161
    picture(folder / "b.png")
    refused = run("segment", "b.png", *BOX, "--max-pixels", "100")
    assert "(--max-pixels)" in refused.stderr


def test_parse_takes_a_picture_on_standard_input(folder: Path) -> None:
    data = picture(folder / "p" / "aa.png").read_bytes()
    text = "<phrase> a box</phrase><object><patch_index_0099><patch_index_0490></object>"
    Path("text.txt").write_text(text)
    result = run("parse", "-", "text.txt", "-f", "json", "--save", "s", input=data)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["image"]["path"], found["image"]["width"]) == ("<stdin>", 120)
    assert Path("s/stdin.jpg").is_file()
    both = one_error(run("parse", "-", input=data), 2)
    assert "the picture and the text" in both


def test_what_it_wrote_is_no_picture_of_the_next_run(folder: Path) -> None:
    picture(folder / "p" / "aa.png")
    Path("p/raw.dng").write_bytes(b"II*")
    for out in ("p/s", "p/s", "p"):
        result = run("segment", "p", "-o", out, *BOX, "--cutout")
        assert result.exit_code == 0, result.stderr
        assert ".dng" in result.stderr
    for out in ("p/s", "p"):
        assert run("segment", "p", "-o", out, *BOX, "--cutout").exit_code == 0
        assert list(masks(folder / out)) == ["aa.png"]
    Path("empty").mkdir()
    assert run("segment", "empty", *BOX).stderr
