"""What a picture is about: the network beside its teacher, soft masks, the command, its folder."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

import kosmoscope
from cli_runner import one_error, run
from kosmoscope import ImageInfo, Salient, Segmentation
from kosmoscope.cli.segment_files import SegmentFiles
from kosmoscope.errors import ImageNotFoundError, InputError, OptionError
from kosmoscope.export import formats
from kosmoscope.masks import Mask, Segment, cut_out
from kosmoscope.segment.salience import Salience, segment_salient
from kosmoscope.segment.salience.edges import refined
from kosmoscope.segment.salience.network import GRAPH, expected_overlap, shrunk
from recipes.salience.build import answer, blocks, photo_pixels, teacher_weights
from recipes.salience.network import convolutions, graph

GOLDEN = (
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABVAAAAAAAAAAAAAAAAAAAAAAAAAawAAAAAAAAAAAAAAAAAAAAAAABc"
    "9jAAAAAAAAAAAAAAAAAAAAAvf/r/6VECAAAAAAAAAAAAAAAAC/v//////bgDAAAAAAAAAAAAAAAEpP//////bAAA"
    "AAAAAAAAAAAAABKN//////93CAAAAAAAAAAAAAAAUP7///////0tAAAAAAAAAAAAAAAB7v//////8gcAAAAAAAAA"
    "AAAAAA71///////+IQAAAAAAAAAAAAABYf////////+jAgAAAAAAAAAAAAbt/v///////7cCAAAAAAAAAAAAAH39"
    "/v/////+iAAAAAAAAAAAAAAAgfz+///////cAgAAAAAAAAAAABKPobH+//////dGAAAAAAAAAAAACRsBDuf+/v36"
    "2yEAAAAAAAAAAAAAAAAAB4Ty3phTAwAAAAAAAAAAAAAAAAAACCtFRi0AAAAAAAAAAAAAAAAAAAAAAAIeCwAAAAAA"
    "AAAAAA=="
)
"""The teacher's answer to china.jpg, as `python -m recipes.salience.build` prints it."""


@pytest.fixture(scope="module")
def network() -> Salience:
    return Salience(threads=1)


@pytest.fixture
def ball() -> np.ndarray:
    """A red ball on grass, (240, 320, 3)."""
    rgb = np.empty((240, 320, 3))
    rgb[:] = (70, 140, 50)
    rgb += np.random.default_rng(0).normal(0, 6, rgb.shape)
    rgb[disc()] = (210, 30, 30)
    return rgb.clip(0, 255).astype(np.uint8)


def disc() -> np.ndarray:
    y, x = np.mgrid[:240, :320]
    return (x - 180) ** 2 + (y - 110) ** 2 < 60**2


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


# --- the network ------------------------------------------------------------------------------


def test_it_says_what_its_teacher_says(photos: Path) -> None:
    theirs = np.frombuffer(base64.b64decode(GOLDEN), np.uint8).reshape(20, 20).astype(int)
    ours = blocks(1 / (1 + np.exp(-answer(GRAPH, photo_pixels(photos / "china.jpg")))))
    assert theirs.max() == 255
    assert np.abs(ours - theirs).max() <= 3
    assert np.abs(ours - theirs).mean() < 0.3


def test_the_recipe_writes_what_ships() -> None:
    shipped = onnx.load(GRAPH)
    stored = {t.name: numpy_helper.to_array(t) for t in shipped.graph.initializer}
    weights = {
        name.removesuffix(".half"): value
        for name, value in stored.items()
        if not name.startswith("times")
    }
    assert len(weights) == 2 * len(list(convolutions()))
    assert sum(v.size for v in weights.values()) == 1_125_485
    assert {v.dtype for n, v in weights.items() if n.endswith("weight")} == {np.dtype("float16")}
    assert graph(weights).SerializeToString(deterministic=True) == GRAPH.read_bytes()


def test_another_teacher_is_refused(tmp_path: Path) -> None:
    (tmp_path / "u2netp.onnx").write_bytes(b"another")
    with pytest.raises(ValueError, match=r"SHA-256 .*; expected 309c8469"):
        teacher_weights(tmp_path / "u2netp.onnx")


@pytest.mark.parametrize("wh", [(1, 1), (3, 900), (640, 427), (33, 32)])
def test_any_size_of_picture(network: Salience, wh: tuple[int, int]) -> None:
    rgb = np.full((wh[1], wh[0], 3), 90, np.uint8)
    small = shrunk(rgb, network.side)
    assert max(small.shape[:2]) == network.side
    assert all(side % 32 == 0 and side for side in small.shape[:2])
    seen = network.look(rgb)
    assert seen.matte.shape == (wh[1], wh[0])
    assert 0 <= seen.score <= 1


@pytest.mark.parametrize("value", [0, 255])
def test_a_picture_of_nothing(network: Salience, value: int) -> None:
    found = kosmoscope.salient(np.full((60, 90, 3), value, np.uint8), threads=1)
    assert np.isfinite(found.score)
    assert (found.xyxy_px is None) == (found.subject.area_px == 0)
    assert found.subject.area_px or found.score == 0


def test_bad_arguments(network: Salience, tmp_path: Path) -> None:
    for side in (0, 33, 2048, True, 64.5):
        with pytest.raises(OptionError, match="expected a multiple of 32 to 1024"):
            Salience(side=side)  # type: ignore[arg-type]
    for picture in (np.zeros((3, 4)), np.zeros((3, 4, 3)), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(InputError):
            network.look(picture)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="threads"):
        kosmoscope.salient(tmp_path / "there-is-none.png", threads=0)
    with pytest.raises(ImageNotFoundError, match=r"there-is-none\.png"):
        kosmoscope.salient(tmp_path / "there-is-none.png")
    rgb = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(OptionError, match=r"\(5, 4\) pixels; expected \(4, 5\)"):
        segment_salient(rgb, ImageInfo("x.png", 4, 5), network)


def test_the_overlap_to_be_expected() -> None:
    assert expected_overlap(np.zeros((4, 4), np.float32)) == 0
    assert expected_overlap(np.ones((4, 4), np.float32)) == 1
    likely = np.array([[0.9, 0.7], [0.2, 0.2]], np.float32)
    assert expected_overlap(likely) == pytest.approx(1.6 / 2.4)


# --- edges ------------------------------------------------------------------------------------


def test_a_coarse_edge_moves_to_the_pictures() -> None:
    """A step of colour within the cells that a coarse map leaves undecided."""
    rgb = np.full((256, 256, 3), 30, np.uint8)
    rgb[:, 131:] = 220
    small = np.asarray(Image.fromarray(rgb).resize((32, 32), Image.Resampling.BOX))
    coarse = np.zeros((32, 32), np.float32)
    coarse[:, 15], coarse[:, 16], coarse[:, 17:] = 0.3, 0.6, 1
    truth = rgb[..., 0] > 100
    plain = Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)
    fine = refined(rgb, coarse, small)
    assert overlap(fine >= 128, truth) > overlap(np.asarray(plain) >= 0.5, truth)
    assert overlap(fine >= 128, truth) > 0.98


@pytest.mark.parametrize("height", [1, 255, 256, 257, 700])
def test_strips_make_no_difference(height: int) -> None:
    rng = np.random.default_rng(1)
    coarse = rng.random((32, 64)).astype(np.float32)
    small = rng.integers(0, 255, (32, 64, 3), np.uint8)
    rgb = np.asarray(Image.fromarray(small).resize((64, height)))
    found = refined(rgb, coarse, small)
    turned = refined(rgb[::-1], coarse[::-1], small[::-1])[::-1]
    assert np.abs(found.astype(int) - turned).max() <= 1


# --- the result -------------------------------------------------------------------------------


def test_a_ball(ball: np.ndarray) -> None:
    found = kosmoscope.salient(ball, label=" a \n ball", threads=1)
    assert isinstance(found, Segmentation)
    assert overlap(found.subject.bits, disc()) > 0.95
    assert found.score > 0.9
    assert np.abs(np.array(found.xyxy_px) - (121, 51, 240, 170)).max() <= 4
    (segment,) = found.segments
    assert (segment.phrase, segment.kind, segment.score) == ("a ball", "thing", found.score)
    assert found.segmenter == "salient"
    assert found.matte is not None
    assert not found.matte.flags.writeable
    assert ((found.matte >= 128) == found.subject.bits).all()
    assert kosmoscope.salient(ball, threads=1).segments[0].phrase == "subject"


def test_the_rest_can_be_divided(ball: np.ndarray) -> None:
    found = kosmoscope.salient(ball, regions=True, threads=1)
    assert {s.kind for s in found.segments[1:]} == {"region"}
    assert found.areas_px()[0] == 0
    assert found.matte_of(1) is found.matte
    assert found.matte_of(2) is None


def test_cut_outs_have_the_soft_edge(ball: np.ndarray) -> None:
    found = kosmoscope.salient(ball, threads=1)
    assert found.matte is not None
    whole = np.asarray(found.cut_out(1, ball, crop=False))
    assert (whole[..., 3] == found.matte).all()
    assert (whole[..., :3] == ball).all()
    hard = np.asarray(found.cut_out(1, ball, crop=False, soft=False))
    assert set(np.unique(hard[..., 3])) == {0, 255}
    x1, y1, x2, y2 = Mask(found.matte >= 26).xyxy_px or (0, 0, 0, 0)
    assert found.cut_out(1, ball).size == (x2 - x1, y2 - y1)
    # What was transparent stays so.
    alpha = np.full(ball.shape[:2], 255, np.uint8)
    alpha[:110] = 0
    both = np.asarray(cut_out(ball, found.subject, crop=False, alpha=alpha, matte=found.matte))
    assert not both[:110, :, 3].any()
    assert (both[110:, :, 3] == found.matte[110:]).all()
    with pytest.raises(InputError, match=r"matte of uint8, \(2, 2\); expected uint8, \(240, 320\)"):
        cut_out(ball, found.subject, matte=np.zeros((2, 2), np.uint8))


def test_it_is_a_segmentation_like_any_other(ball: np.ndarray, tmp_path: Path) -> None:
    found = kosmoscope.salient(ball, threads=1)
    assert found.draw(ball).size == (320, 240)
    for name in formats("segmentations"):
        found.export(name, tmp_path / name)
    (annotation,) = json.loads((tmp_path / "coco-instances/instances.json").read_text())[
        "annotations"
    ]
    assert annotation["area"] == found.subject.area_px
    again = Segmentation.from_json(found.to_json())
    assert (again.labels == found.labels).all()
    assert again.segments == found.segments
    back = Salient.from_json(found.to_json())
    assert back.matte is None
    assert back.cut_out(1, ball).mode == "RGBA"


def test_a_matte_of_another_size() -> None:
    parts = (Segment(1, "x", "thing"),)
    labels = np.zeros((2, 3), np.uint16)
    with pytest.raises(InputError, match=r"a matte of uint8, \(3, 2\); expected uint8, \(2, 3\)"):
        Salient(ImageInfo("x", 3, 2), "y", labels, parts, matte=np.zeros((3, 2), np.uint8))


# --- the command ------------------------------------------------------------------------------


@pytest.fixture
def folder(ball: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with pictures in `p`: a ball, a part of it with alpha, a broken file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p").mkdir()
    Image.fromarray(ball).save("p/aa.png")
    faded = Image.fromarray(ball)
    faded.putalpha(Image.new("L", faded.size, 128))
    faded.save("p/bb.png")
    return tmp_path


def test_a_folder_of_cut_outs_that_goes_on(folder: Path) -> None:
    command = ("segment", "p", "-o", "o", "--salient", "--cutout", "--threads", "1")
    Path("p/cc.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    result = run(*command, "--to", "yolo-seg", "-q")
    assert result.exit_code == 1
    assert "cc.png" in result.stderr
    found = {Path(s.image.path).name: s for s in SegmentFiles.of(folder / "o")}
    assert sorted(found) == ["aa.png", "bb.png"]
    alpha = np.asarray(Image.open("o/aa-1-subject.png"))[..., 3]
    assert len(np.unique(alpha)) > 20
    assert overlap(np.asarray(Image.open("o/aa-labels.png")) > 0, disc()) > 0.95
    assert np.asarray(Image.open("o/bb-1-subject.png"))[..., 3].max() == 128
    assert len(list(Path("o/yolo-seg/labels").glob("*.txt"))) == 2
    before = {f: f.stat().st_mtime_ns for f in Path("o").glob("*.png")}
    Path("p/cc.png").unlink()
    Image.open("p/aa.png").save("p/dd.png")
    result = run(*command)
    assert result.exit_code == 0, result.stderr
    assert "1 segmented, 2 were there already" in result.stderr
    assert before.items() <= {f: f.stat().st_mtime_ns for f in Path("o").glob("*.png")}.items()
    assert "salient: True, now None" in one_error(
        run("segment", "p", "-o", "o", "--box", "9,9,99,99", "--cutout"), 1
    )


def test_a_picture_on_the_terminal(folder: Path) -> None:
    result = run("segment", "p/aa.png", "--salient", "--label", "a ball", "-f", "json")
    assert result.exit_code == 0, result.stderr
    (segment,) = Segmentation.from_json(result.stdout).segments
    assert segment.phrase == "a ball"
    data = Path("p/aa.png").read_bytes()
    result = run("segment", "-", "--salient", "-o", "o", "--cutout", "-q", input=data)
    assert result.exit_code == 0, result.stderr
    assert Path("o/stdin-1-subject.png").is_file()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--phrase", "a dog"], "--salient goes without --prompt, --phrase, --box and --point"),
        (["--prompt", "brief"], "--salient goes without"),
        (["--box", "1,2,30,40"], "--salient goes without"),
        (["--point", "1,2"], "--salient goes without"),
        (["--segmenter", "sam"], "--salient has a network of its own"),
        (["--cutout"], "--cutout goes with --output"),
        (["--pixels"], "--pixels goes with --box or --point"),
        (["--label", "a", "--label", "b"], "2 --label: expected one"),
    ],
)
def test_what_it_goes_without(folder: Path, args: list[str], message: str) -> None:
    assert message in one_error(run("segment", "p/aa.png", "--salient", *args), 2)


def test_descriptions_have_boxes_already(folder: Path) -> None:
    Path("r").mkdir()
    Path("r/results.jsonl").write_text("")
    assert "--salient are for pictures" in one_error(run("segment", "r", "--salient"), 2)
