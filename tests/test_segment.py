"""From boxes to a `Segmentation`: a segmenter of one's own, the facade, the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kosmoscope
from cli_runner import POCKET, one_error, run
from kosmoscope import ImageInfo
from kosmoscope.batch import read_results
from kosmoscope.cli.segment_files import SETTINGS, SegmentFiles
from kosmoscope.errors import BoxError, OptionError
from kosmoscope.files.locks import locked
from kosmoscope.masks import read_label_map
from kosmoscope.parsing import parse_tagged
from kosmoscope.segment import Segmentation
from kosmoscope.segment.protocol import BoxPrompt, Proposal
from kosmoscope.segment.run import (
    Wanted,
    description_prompts,
    load_segmenter,
    segment_description,
    segment_picture,
)

TAGGED = (
    "<phrase> the sky</phrase><object><patch_index_0000><patch_index_0319></object> above"
    "<phrase> two dogs</phrase><object><patch_index_0416><patch_index_0684>"
    "</delimiter_of_multi_objects/><patch_index_0432><patch_index_0700></object>"
)


class Filled:
    """A segmenter of the simplest kind: everything in the box."""

    name = "filled"

    def segment(self, picture: np.ndarray, prompts: Sequence[BoxPrompt]) -> list[Proposal]:
        found = []
        for prompt in prompts:
            x1, y1, x2, y2 = prompt.within((picture.shape[1], picture.shape[0]))
            mask = np.zeros(picture.shape[:2], bool)
            mask[round(y1) : round(y2), round(x1) : round(x2)] = True
            found.append(Proposal(mask, 0.5))
        return found


@pytest.fixture
def scene() -> np.ndarray:
    """Sky above grass, with two dark dogs."""
    noise = np.random.default_rng(0).normal(0, 6, (240, 320, 3))
    rgb = np.empty((240, 320, 3))
    rgb[:80], rgb[80:] = (120, 170, 240), (70, 140, 50)
    y, x = np.mgrid[:240, :320]
    for centre in (65, 225):
        rgb[((x - centre) / 55) ** 2 + ((y - 162) / 33) ** 2 < 1] = (60, 40, 30)
    return (rgb + noise).clip(0, 255).astype(np.uint8)


def test_each_box_is_a_segment_and_each_pixel_has_a_name(scene: np.ndarray) -> None:
    said = parse_tagged(TAGGED, (320, 240), path="x.jpg")
    info = ImageInfo("x.jpg", 320, 240)
    found = segment_description(said, scene, info, Filled(), regions=True)
    named = found.segments[:3]
    assert [(s.phrase, s.entity, s.kind) for s in named] == [
        ("the sky", 0, "stuff"), ("two dogs", 1, "thing"), ("two dogs", 1, "thing")]  # fmt: skip
    assert {s.kind for s in found.segments[3:]} == {"region"}
    assert found.areas_px()[0] == 0  # with regions nothing is left
    assert sum(found.areas_px()) == 320 * 240
    dogs = found.entity_mask(1)
    assert dogs.area_px == found.mask(2).area_px + found.mask(3).area_px
    assert (found.segmenter, found.caption) == ("filled", said.caption)


def test_prompts_follow_the_size_that_the_picture_has() -> None:
    said = parse_tagged(TAGGED, (320, 240))
    small, large = description_prompts(said), description_prompts(said, (640, 480))
    assert [v * 2 for v in small[1].prompt.xyxy_px] == list(large[1].prompt.xyxy_px)
    assert [w.prompt.stuff for w in small] == [True, False, False]
    assert small[0].prompt.xyxy_px[:3] == (0, 0, 320)  # a sky reaches the picture's edges


def test_a_picture_of_another_size_or_a_box_outside_is_refused(scene: np.ndarray) -> None:
    with pytest.raises(OptionError, match="expected"):
        segment_picture(scene, ImageInfo("x", 10, 10), [], Filled())
    outside = [Wanted(BoxPrompt((0, 0, 999, 10)))]
    with pytest.raises(BoxError, match="leaves the picture"):
        segment_picture(scene, ImageInfo("x", 320, 240), outside, Filled())
    empty = segment_picture(scene, ImageInfo("x", 320, 240), [], Filled())
    assert empty.areas_px() == [320 * 240]


def test_the_classical_one_finds_what_the_boxes_mean(scene: np.ndarray) -> None:
    wanted = [
        Wanted(BoxPrompt((0, 0, 320, 82), "the sky"), 0),
        Wanted(BoxPrompt((8, 127, 122, 197), "a dog"), 1),
        Wanted(BoxPrompt((168, 127, 282, 197), "a dog"), 2),
    ]
    found = segment_picture(
        scene, ImageInfo("x", 320, 240), wanted, load_segmenter("classical", threads=1)
    )
    y, x = np.mgrid[:240, :320]
    dogs = [((x - c) / 55) ** 2 + ((y - 162) / 33) ** 2 < 1 for c in (65, 225)]
    for segment, truth in zip((1, 2, 3), (y < 80, *dogs), strict=True):
        mask = found.mask(segment).bits
        assert (mask & truth).sum() / (mask | truth).sum() > 0.85
    assert all(0 <= s.score <= 1 for s in found.segments if s.score is not None)


def test_the_facade_and_a_description_segment(photos: Path) -> None:
    scope = kosmoscope.load("pocket", threads=1)
    found = scope.segment(photos / "china.jpg")
    assert isinstance(found, Segmentation)
    assert found.image == ImageInfo(str(photos / "china.jpg"), 640, 427)
    assert found.segments
    assert found.caption.startswith("An image of")
    said = scope.describe(photos / "china.jpg")
    assert [s.phrase for s in said.segment().segments] == [s.phrase for s in found.segments]
    one = scope.segment(photos / "china.jpg", phrase="the sky", segmenter=Filled())
    assert {s.phrase for s in one.segments} == {"the sky"}
    with pytest.raises(OptionError, match="not by both"):
        scope.segment(photos / "china.jpg", "brief", phrase="the sky")


# The command line


def test_segments_of_a_folder(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("china.jpg", "flower.jpg"):
        with Image.open(photos / name) as image:
            image.resize((320, 214)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    out = tmp_path / "out"
    result = run(
        "segment", tmp_path / "in", "-o", out, *POCKET, "--regions", "--cutout", "--to",
        "coco-panoptic", "--format", "json",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "broken.jpg" in result.stderr
    found = [Segmentation.from_json(line) for line in result.stdout.splitlines()]
    assert [Path(s.image.path).name for s in found] == ["china.jpg", "flower.jpg"]
    for one, name in zip(found, ("china", "flower"), strict=True):
        assert np.array_equal(read_label_map(out / f"{name}-labels.png"), one.labels)
        assert Segmentation.from_json((out / f"{name}.json").read_text()).segments == one.segments
        with Image.open(out / f"{name}-overlay.jpg") as overlay:
            assert overlay.width == 320
        for segment in one.segments:
            (cut,) = out.glob(f"{name}-{segment.id}-*.png")
            with Image.open(cut) as image:
                assert image.mode == "RGBA"
    assert json.loads((out / "coco-panoptic" / "panoptic.json").read_text())["annotations"]


def test_boxes_and_points_need_no_model(scene: np.ndarray, tmp_path: Path) -> None:
    photo = tmp_path / "scene.png"
    Image.fromarray(scene).save(photo)
    boxed = run("segment", photo, "--box", "8,127,122,197", "--format", "json")
    (segment,) = Segmentation.from_json(boxed.stdout).segments
    assert segment.xyxy_px == (8, 127, 122, 197)
    pointed = run("segment", photo, "--point", "65,162", "--format", "json")
    mask = Segmentation.from_json(pointed.stdout).mask(1).bits
    assert mask[162, 65]
    shown = run("segment", photo, "--box", "8,127,122,197")
    assert "object" in shown.stdout
    assert "rest" in shown.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--box", "1,2,3"], "expected four numbers x1,y1,x2,y2"),
        (["--box", "1,2,3,x"], "expected four numbers x1,y1,x2,y2"),
        (["--point", "1"], "expected two numbers x,y"),
        (["--box", "0,0,9,9", "--phrase", "a dog"], "go without --prompt and --phrase"),
        (["--cutout"], "--cutout goes with --output"),
        (["--to", "yolo-seg"], "--to goes with --output"),
        (["--to", "gif", "-o", "x"], "--to gif: expected one of"),
        (["--prompt", "brief", "--phrase", "a dog"], "--prompt goes without --phrase"),
    ],
)
def test_wrong_calls(args: list[str], message: str, photos: Path) -> None:
    assert message in one_error(run("segment", photos / "china.jpg", *args), 2)


def test_a_box_outside_is_reported(photos: Path) -> None:
    result = run("segment", photos / "china.jpg", "--box", "0,0,9999,10")
    assert result.exit_code == 1
    assert "china.jpg: box" in result.stderr


@pytest.fixture(scope="module")
def described(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results: two pictures, two prompts each."""
    folder = tmp_path_factory.mktemp("described")
    (folder / "in").mkdir()
    for name in ("china.jpg", "aitzgorri_by_Aitzol_Berasategi.jpg"):
        with Image.open(photos / name) as image:
            image.resize((320, 214)).save(folder / "in" / name)
    prompts = ["--prompt", "brief", "--prompt", "detailed"]
    result = run("describe", folder / "in", "-o", folder / "out", *POCKET, *prompts, "--quiet")
    assert result.exit_code == 0, result.stderr
    return folder / "out"


def test_results_are_segmented_and_shown(described: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(described, out)
    result = run("segment", out, "--to", "coco-instances")
    assert result.exit_code == 0, result.stderr
    assert "4 segmented" in result.stderr
    found = list(SegmentFiles.of(out / "segments"))
    said = {(r.description.image.path, r.description.caption) for r in read_results(out)}
    assert {(s.image.path, s.caption) for s in found} == said
    data = json.loads((out / "segments" / "coco-instances" / "instances.json").read_text())
    named = sum(len(s.segments) for s in found)
    assert 0 < len(data["annotations"]) <= named  # a mask that others cover has no pixel left
    page = run("gallery", out)
    assert page.exit_code == 0
    text = (out / "gallery" / "index.html").read_text(encoding="utf-8")
    assert '"masks":true' in text
    assert '"M' in text
    plain = run("gallery", described, "-o", tmp_path / "plain")
    assert plain.exit_code == 0
    assert '"masks":false' in (tmp_path / "plain" / "index.html").read_text(encoding="utf-8")


def test_segmenting_goes_on_where_it_was(described: Path, tmp_path: Path) -> None:
    out = tmp_path / "segments"
    assert run("segment", described, "-o", out, "--quiet").exit_code == 0
    files = sorted(f for f in out.glob("*.json") if f.name != SETTINGS)
    assert len(files) == 4
    before = {f: f.stat().st_mtime_ns for f in files}
    files[0].unlink()
    files[1].write_text("torn")
    again = run("segment", described, "-o", out)
    assert again.exit_code == 0
    assert "2 segmented, 2 were there already" in again.stderr
    after = {f: f.stat().st_mtime_ns for f in files}
    assert [after[f] == before[f] for f in files] == [False, False, True, True]
    other = run("segment", described, "-o", out, "--regions")
    assert "regions: False, now True" in one_error(other, 1)
    assert run("segment", described, "-o", out, "--regions", "--overwrite").exit_code == 0
    assert any(s.kind == "region" for one in SegmentFiles.of(out) for s in one.segments)
    assert "are for pictures" in one_error(run("segment", described, "--phrase", "a dog"), 2)


def test_two_writers_of_segments_are_refused(described: Path, tmp_path: Path) -> None:
    with locked(tmp_path):
        assert "is writing there" in one_error(run("segment", described, "-o", tmp_path), 1)
