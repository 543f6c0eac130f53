"""Saving: formats, metadata, and whole files or none."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from kosmoscope.draw import save_image
from kosmoscope.errors import (
    EmptyImageError,
    ImageNotFoundError,
    KosmoscopeError,
    OptionError,
    OutputError,
    UnsupportedImageError,
)
from kosmoscope.images import read_image
from pictures import encode, exif, smooth

ARTIST, ORIENTATION, DETAILS, PLACE = 0x013B, 0x0112, 0x8769, 0x8825
WIDTH, HEIGHT, COLOUR_SPACE, TAKEN, MAKER_NOTE = 0xA002, 0xA003, 0xA001, 0x9003, 0x927C


def camera_block() -> Image.Exif:
    """What a camera that was held upright writes: the sensor lay on its side."""
    block = exif(6)
    block[ARTIST] = "Somebody"
    block.get_ifd(DETAILS).update(
        {WIDTH: 60, HEIGHT: 40, COLOUR_SPACE: 65535, TAKEN: "2026:11:22 10:00:00"}
    )
    block.get_ifd(PLACE).update({1: "N", 2: (43.0, 15.0, 0.0)})
    return block


def source(folder: Path, format: str, name: str) -> Path:
    path = folder / name
    path.write_bytes(encode(smooth(60, 40), format, exif=camera_block().tobytes()))
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".webp"])
def test_what_is_written_can_be_read(tmp_path: Path, suffix: str) -> None:
    rgb = smooth(64, 48)
    path = tmp_path / f"out{suffix}"
    assert save_image(rgb, path, quality=95) == ()
    back = read_image(path).rgb
    assert back.shape == rgb.shape
    assert np.abs(back.astype(int) - rgb).max() <= (0 if suffix == ".png" else 12)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with Image.open(path) as im:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(im.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("origin", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_is_kept_and_made_true(tmp_path: Path, origin: str, suffix: str) -> None:
    photo = source(tmp_path, origin, f"photo.{origin.lower()}")
    rgb = read_image(photo).rgb
    if origin != "TIFF":
        assert rgb.shape == (60, 40, 3)
    path = tmp_path / f"out{suffix}"
    assert save_image(rgb, path, exif_from=photo) == ()
    with Image.open(path) as im:
        im.load()
        block = im.getexif()
        assert block[ORIENTATION] == 1
        assert block[ARTIST] == "Somebody"
        assert not {0x0111, 0x0117, 0x0102} & set(block)  # where a TIFF's own pixels were
        details = block.get_ifd(DETAILS)
        assert details[TAKEN] == "2026:11:22 10:00:00"
        assert (details[WIDTH], details[HEIGHT]) == (rgb.shape[1], rgb.shape[0])
        assert details[COLOUR_SPACE] == 1
        assert block.get_ifd(PLACE)[1] == "N"
    # And so a second reading does not turn it again.
    assert read_image(path).rgb.shape == rgb.shape


def test_a_source_without_exif_leaves_none(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(encode(smooth(60, 40), "JPEG"))
    assert save_image(smooth(60, 40), tmp_path / "out.jpg", exif_from=photo) == ()
    with Image.open(tmp_path / "out.jpg") as im:
        assert len(im.getexif()) == 0


@pytest.mark.parametrize(
    "broken", [b"no picture at all", b"", b"\xff\xd8\xff\xe1\x00\x20Exif\0\0II"]
)
def test_a_source_that_cannot_be_read_costs_its_exif_only(tmp_path: Path, broken: bytes) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(broken)
    (note,) = save_image(smooth(60, 40), tmp_path / "out.jpg", exif_from=photo)
    assert "EXIF" in note
    assert read_image(tmp_path / "out.jpg").info.width == 60


def test_of_a_damaged_block_what_can_be_read_is_kept(tmp_path: Path) -> None:
    block = camera_block().tobytes()
    for length in range(10, len(block), 7):
        photo = tmp_path / "photo.jpg"
        photo.write_bytes(encode(smooth(60, 40), "JPEG", exif=block[:length]))
        notes = save_image(smooth(40, 60), tmp_path / "out.jpg", exif_from=photo)
        with Image.open(tmp_path / "out.jpg") as im:
            assert notes or im.getexif().get(ORIENTATION, 1) == 1


def test_a_block_too_long_for_jpeg(tmp_path: Path) -> None:
    for tag, ifd, left in ((MAKER_NOTE, DETAILS, True), (0x010E, None, False)):
        block = camera_block()
        (block if ifd is None else block.get_ifd(ifd))[tag] = (
            "x" * 70000 if ifd is None else b"x" * 70000
        )
        photo = tmp_path / "photo.png"
        photo.write_bytes(encode(smooth(60, 40), "PNG", exif=block))
        (note,) = save_image(smooth(40, 60), tmp_path / "out.jpg", exif_from=photo)
        assert "too long" in note
        with Image.open(tmp_path / "out.jpg") as im:
            assert (im.getexif().get(ARTIST) == "Somebody") == left


def test_the_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    from kosmoscope.draw import saving

    photo = source(tmp_path, "JPEG", "photo.jpg")
    written = []
    for name in ("a.png", "b.png"):
        saving._srgb_profile.cache_clear()
        save_image(smooth(60, 40), tmp_path / name, exif_from=photo)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    with Image.open(tmp_path / "a.png") as im:
        assert im.info["icc_profile"][24:36] == bytes.fromhex("07d000010001000000000000")


def test_quality_counts(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    for suffix in (".jpg", ".webp"):
        low, high = tmp_path / f"low{suffix}", tmp_path / f"high{suffix}"
        save_image(rgb, low, quality=20)
        save_image(rgb, high, quality=95)
        assert low.stat().st_size < high.stat().st_size / 2


def test_thin_lines_keep_their_colour_in_jpeg(tmp_path: Path) -> None:
    rgb = np.full((64, 64, 3), 128, np.uint8)
    rgb[:, 31] = (255, 0, 30)
    save_image(rgb, tmp_path / "out.jpg")
    assert np.abs(read_image(tmp_path / "out.jpg").rgb[:, 31].astype(int) - rgb[:, 31]).max() < 40


@pytest.mark.parametrize("moment", ["write", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failure_keeps_the_old_file_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, error: BaseException
) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"the old file")

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    if moment == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    else:
        real = Path.open

        class Full(io.BytesIO):
            write = fail

        def opened(self: Path, mode: str = "r", **options: object) -> object:
            real(self, mode).close()
            return Full()

        monkeypatch.setattr(Path, "open", opened)
    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match=r"no space left|^$"):
        save_image(smooth(8, 8), path)
    monkeypatch.undo()
    assert path.read_bytes() == b"the old file"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def test_an_old_file_is_replaced_and_others_may_read_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    path.write_bytes(b"the old file")
    save_image(smooth(8, 8), path)
    assert read_image(path).info.width == 8
    if os.name == "posix":
        fresh = tmp_path / "fresh"
        fresh.touch()
        assert path.stat().st_mode == fresh.stat().st_mode


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for path, error, words in (
        (tmp_path / "missing" / "out.png", OutputError, "cannot be written: no such folder"),
        (tmp_path / "folder.png", OptionError, "is a folder"),
    ):
        with pytest.raises(error, match=words) as caught:
            save_image(smooth(8, 8), path)
        assert isinstance(caught.value, KosmoscopeError)
        assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]


def test_the_longest_name_that_a_folder_takes(tmp_path: Path) -> None:
    save_image(smooth(8, 8), tmp_path / ("x" * 251 + ".png"))


@pytest.mark.parametrize("name", ["out.gif", "out", "out.jpg.txt", ".png"])
def test_unknown_suffixes(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=r"\.webp"):
        save_image(smooth(8, 8), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("quality", [0, 101, 90.5, "high", True])
def test_qualities_out_of_range(tmp_path: Path, quality: object) -> None:
    with pytest.raises(OptionError, match="quality"):
        save_image(smooth(8, 8), tmp_path / "out.jpg", quality=quality)


def test_pictures_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedImageError):
        save_image(np.zeros((8, 8)), tmp_path / "out.png")
    with pytest.raises(EmptyImageError):
        save_image(np.zeros((0, 8, 3), np.uint8), tmp_path / "out.png")
    with pytest.raises(ImageNotFoundError):
        save_image(smooth(8, 8), tmp_path / "out.png", exif_from=tmp_path / "nowhere.jpg")
    with pytest.raises(OptionError, match="WEBP"):
        save_image(np.zeros((1, 16384, 3), np.uint8), tmp_path / "out.webp")
    assert not list(tmp_path.iterdir())
