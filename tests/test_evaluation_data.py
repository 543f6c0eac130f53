"""Reading sets: every wrong file is one line that says where; both forms give the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation_sets import DOG, drawn, labelled, pack, png, record, tar
from kosmoscope.errors import CorruptImageError, ImageError, InputError, OptionError
from kosmoscope.evaluation.data import Expression, PhotoSet, Truth, held_out, open_sets
from kosmoscope.images import Limits

FULL = record(
    "a/1.png",
    boxes=[labelled("dog", DOG), labelled("sky", (0, 0, 1, 0.5), stuff=True)],
    captions=["A dog."],
    scene="street",
    label="dog",
    labels_complete=True,
    phrases=[{"phrase": " the left one ", "boxes": [list(DOG)], "context": "Look at"}],
)


def test_a_set_is_read(tmp_path: Path) -> None:
    mask = np.arange(60 * 40, dtype=np.uint8).reshape(40, 60)
    pack(tmp_path, "some", [FULL, record("b.png")], masks={"a/1.png": png(mask)})
    (tmp_path / "some-classes.json").write_text('{"0": "unlabelled", "3": "dog"}')
    with PhotoSet(tmp_path, "some") as photos:
        first, second = photos.chosen()
        assert first.boxes == (Truth("dog", DOG), Truth("sky", (0, 0, 1, 0.5), True))
        assert first.expressions == (Expression("the left one", (DOG,), "Look at"),)
        assert (first.scene, first.label, first.labels_complete) == ("street", "dog", True)
        assert (photos.things, photos.stuff) == ({"dog"}, {"sky"})
        assert photos.class_names == {0: "unlabelled", 3: "dog"}
        sample = photos.read(first, mask=True)
        assert sample.mask is not None
        assert (sample.mask == mask).all()
        assert sample.rgb.shape == (40, 60, 3)
        assert photos.read(first).mask is None
        assert photos.read(second, mask=True).mask is None
        with pytest.raises(ImageError, match=r"some.tar: a/1.png: .*at most 10"):
            photos.read(first, Limits(max_bytes=10))


def test_a_folder_does_instead_of_a_tar(tmp_path: Path) -> None:
    pack(tmp_path, "some", [FULL])
    with PhotoSet(tmp_path, "some") as photos:
        packed = photos.read(photos.chosen()[0])
    (tmp_path / "some.tar").unlink()
    (tmp_path / "some" / "a").mkdir(parents=True)
    (tmp_path / "some" / "a" / "1.png").write_bytes(drawn(0))
    with PhotoSet(tmp_path, "some") as photos:
        plain = photos.read(photos.chosen()[0])
    assert (plain.rgb == packed.rgb).all()
    assert plain.sha256 == packed.sha256


def test_the_choice_of_pictures(tmp_path: Path) -> None:
    pack(tmp_path, "some", [record(f"{i}.png") for i in range(60)])
    with PhotoSet(tmp_path, "some") as photos:
        assert [r.file for r in photos.chosen(4)] == ["0.png", "15.png", "30.png", "45.png"]
        assert len(photos.chosen(100)) == 60
        kept = photos.chosen(only_held_out=True)
        assert [r.file for r in kept] == [
            f"{i}.png" for i in range(60) if held_out("some", f"{i}.png")
        ]


def test_the_rule_of_what_is_held_out() -> None:
    # Written down, since pictures that were trained on must never come to be evaluated.
    names = [f"{c}.jpg" for c in "abcdefghijkl"]
    assert [n for n in names if held_out("coco", n)] == ["g.jpg"]
    many = [f"{i}.jpg" for i in range(4000)]
    assert sum(held_out("coco", n) for n in many) == pytest.approx(1000, abs=110)
    assert sum(held_out("intel", n) for n in many) == pytest.approx(484, abs=85)


def test_sets_of_a_folder(tmp_path: Path) -> None:
    pack(tmp_path, "b", [record("1.png")])
    pack(tmp_path, "a", [record("1.png")])
    for asked, expected in ((), ["a", "b"]), (("b", "b"), ["b"]), (("b", "a"), ["b", "a"]):
        names = []
        for photos in open_sets(tmp_path, asked):
            with photos:
                names.append(photos.name)
        assert names == expected
    with pytest.raises(OptionError, match=r"--set c: .* has a, b"):
        open_sets(tmp_path, ["a", "c"])
    with pytest.raises(InputError, match="expected a folder"):
        open_sets(tmp_path / "nowhere")
    (tmp_path / "b.tar").unlink()
    with pytest.raises(InputError, match=r"b\.tar: not found"):
        open_sets(tmp_path)  # and a is closed again
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no <set>\.jsonl"):
        open_sets(tmp_path / "empty")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2: "),
        ("[" * 100_000, "line 2: "),
        ("[]", "line 2: expected a JSON object"),
        ("{}", "line 2: .*required field `file`"),
        (record("../1.png"), "inside the set"),
        (record("/etc/1.png"), "inside the set"),
        (record("a\0.png"), "inside the set"),
        (record("1.png"), "line 2: the file '1.png' has a record already"),
        (record("2.png", boxes={}), "Expected `array.* at `boxes`"),
        (record("2.png", boxes=[7]), r"Expected `object`, got `int` - at `boxes\[0\]`"),
        (record("2.png", boxes=[labelled("", DOG)]), r"has no 'label' - at `boxes\[0\]`"),
        (
            record("2.png", boxes=[labelled("a", DOG), labelled("b", (0, 0, 1.2, 1))]),
            r"line 2: box .* leaves the picture.* at `boxes\[1\]`",
        ),
        (record("2.png", boxes=[labelled("a", (0.5, 0, 0.5, 1))]), r"empty.* at `boxes\[0\]`"),
        (
            record("2.png", boxes=[labelled("a", (0, 0, 1))]),
            r"length 4, got 3 - at `boxes",
        ),
        (
            record("2.png", boxes=[labelled("a", ("0", 0, 1, 1))]),
            r"got `str` - at `boxes\[0\]",
        ),
        ('{"file": "2.png", "boxes": [{"label": "a", "xyxy": [0, 0, NaN, 1]}]}', "not finite"),
        (record("2.png", captions=[1]), r"Expected `str`, got `int` - at `captions\[0\]`"),
        (record("2.png", labels_complete="yes"), "Expected `bool.* at `labels_complete`"),
        (
            record("2.png", phrases=[{"phrase": "x", "boxes": []}]),
            r"expected text in .* at `phrases\[0\]`",
        ),
        ({"file": "2.png", "width": True}, "got `bool` - at `width`"),
        ({"file": "2.png", "width": 9}, "'width' and 'height' are 9 and 0"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: Any, says: str) -> None:
    pack(tmp_path, "some", [record("1.png"), line], {"1.png": drawn(0)})
    with pytest.raises(InputError, match=says) as error:
        PhotoSet(tmp_path, "some")
    assert str(error.value).startswith(f"{tmp_path}/some.jsonl: line 2: ")
    assert "\n" not in str(error.value)


def test_wrong_files_are_named(tmp_path: Path) -> None:
    records = tmp_path / "some.jsonl"
    records.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"some.jsonl: not UTF-8"):
        PhotoSet(tmp_path, "some")
    records.write_text("\n")
    with pytest.raises(InputError, match=r"some.jsonl: has no records"):
        PhotoSet(tmp_path, "some")
    records.write_text(json.dumps(record("1.png")))
    with pytest.raises(InputError, match=r"some.tar: not found; expected that file or a folder"):
        PhotoSet(tmp_path, "some")
    (tmp_path / "some.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(InputError, match=r"some.tar: not a readable uncompressed tar"):
        PhotoSet(tmp_path, "some")
    tar(tmp_path / "some.tar", {"other.png": drawn(0)})
    with PhotoSet(tmp_path, "some") as photos, pytest.raises(InputError, match=r"has no .*'1.png'"):
        photos.chosen()
    (tmp_path / "some-classes.json").write_text('["dog"]')
    with pytest.raises(InputError, match=r"some-classes.json: expected an object"):
        PhotoSet(tmp_path, "some")


def test_wrong_pictures_are_named(tmp_path: Path) -> None:
    files = {"cut.png": drawn(0)[:60], "small.png": png(np.zeros((4, 6, 3), np.uint8)),
             "good.png": drawn(1)}  # fmt: skip
    masks = {"good.png": png(np.zeros((4, 6), np.uint8))}
    pack(tmp_path, "some", [record(f) for f in files], files, masks)
    with PhotoSet(tmp_path, "some") as photos:
        cut, small, good = photos.chosen()
        with pytest.raises(ImageError, match=r"some.tar: cut.png"):
            photos.read(cut)
        with pytest.raises(CorruptImageError, match="is of 6x4 pixels; its record says 60x40"):
            photos.read(small)
        with pytest.raises(CorruptImageError, match=r"some-masks.tar: good.png: expected an 8-bit"):
            photos.read(good, mask=True)
    whole = (tmp_path / "some.tar").read_bytes()
    at = whole.index(drawn(1)) + 10
    (tmp_path / "some.tar").write_bytes(whole[:at])
    with (
        pytest.raises((InputError, ImageError), match=r"some.tar"),
        PhotoSet(tmp_path, "some") as p,
    ):
        p.read(p.chosen()[2])
