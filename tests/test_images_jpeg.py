"""JPEGs without their last bytes, and such as are larger than the limit; what libtiff says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import pictures
from kosmoscope.errors import CorruptImageError, ImageTooLargeError
from kosmoscope.images import Limits, read_image

PHOTO = pictures.smooth(320, 240)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("end", [b"", b"\xff", b"\0\0\0", b"\xff\0\0"])
def test_a_jpeg_without_its_end_is_whole(progressive: bool, end: bytes) -> None:
    data = pictures.encode(PHOTO, "JPEG", quality=90, progressive=progressive)
    found = read_image(data[:-2] + end)
    assert (found.rgb == read_image(data).rgb).all()
    assert found.notes in ((), ("its last bytes are missing",))  # Pillow forgives it small files
    assert found.info == read_image(data).info


@pytest.mark.parametrize("reduced", [None, (40, 30)])
def test_a_jpeg_without_its_last_bytes(reduced: tuple[int, int] | None) -> None:
    data = pictures.encode(pictures.noise(320, 400), "JPEG", quality=90)
    whole = read_image(data, at_least_wh=reduced).rgb.astype(int)
    found = read_image(data[:-12], at_least_wh=reduced)
    (note,) = found.notes
    assert note in [f"its last bytes are missing, and with them {n} rows" for n in range(1, 18)]
    rows = len(whole) - len(whole) // 20
    assert (found.rgb[:rows] == whole[:rows]).all()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.85])
def test_a_jpeg_of_which_more_is_missing_is_refused(progressive: bool, share: float) -> None:
    data = pictures.encode(pictures.noise(320, 320), "JPEG", quality=90, progressive=progressive)
    with pytest.raises(CorruptImageError, match=r"damaged JPEG: .*(rows|scans) are missing"):
        read_image(data[: int(len(data) * share)])


@pytest.mark.parametrize(("limit", "factor"), [(80_000, 1), (76_799, 2), (19_000, 4), (1_200, 8)])
def test_a_jpeg_over_the_limit_is_made_smaller_while_it_is_decoded(limit: int, factor: int) -> None:
    data = pictures.encode(PHOTO, "JPEG")
    found = read_image(data, limits=Limits(max_pixels=limit))
    assert found.rgb.shape == (240 // factor, 320 // factor, 3)
    assert (found.info.width, found.info.height, found.reduced) == (320, 240, factor > 1)
    assert found.notes == ((f"decoded at 1/{factor} of its size",) if factor > 1 else ())
    again = read_image(data, at_least_wh=(320 // factor, 240 // factor))
    assert (again.rgb == found.rgb).all()


def test_turned_jpegs_over_the_limit() -> None:
    data = pictures.encode(PHOTO, "JPEG", exif=pictures.exif(6))
    found = read_image(data, limits=Limits(max_pixels=20_000))
    assert found.rgb.shape == (160, 120, 3)
    assert (found.info.width, found.info.height) == (240, 320)


def test_what_cannot_be_made_small_enough_is_refused() -> None:
    for format, limit in (("JPEG", 1_100), ("PNG", 76_799), ("WEBP", 76_799)):
        with pytest.raises(ImageTooLargeError, match=f"expected at most {limit} .max_pixels"):
            read_image(pictures.encode(PHOTO, format), limits=Limits(max_pixels=limit))
    # Its coefficients are held in memory as a whole.
    data = pictures.encode(PHOTO, "JPEG", progressive=True)
    assert read_image(data, limits=Limits(max_pixels=19_200)).reduced
    with pytest.raises(ImageTooLargeError):
        read_image(data, limits=Limits(max_pixels=19_199))


def test_libtiff_says_nothing_by_itself(tmp_path: Path) -> None:
    whole = pictures.encode(pictures.noise(64, 64), "TIFF", compression="tiff_deflate")
    data = bytearray(whole)
    data[60:400] = bytes(340)
    (tmp_path / "a.tif").write_bytes(data)
    code = (
        "import sys; from kosmoscope.images import read_image\n"
        "from kosmoscope.errors import CorruptImageError\n"
        "try: read_image(sys.argv[1])\n"
        "except CorruptImageError: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.tif")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("refused\n", "")
