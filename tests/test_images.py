"""Pictures that work: each comes through the door upright, sRGB, 8 bits, on white."""

from __future__ import annotations

import io
import sys
import threading
import types
import warnings
import zipfile

import numpy as np
import pytest
from PIL import Image, ImageCms, features

import pictures
from kosmoscope.errors import OptionError, UnsupportedImageError
from kosmoscope.images import Limits, Picture, read_image
from kosmoscope.types import ImageInfo


def pixel(picture: Picture, x: int = 0, y: int = 0) -> tuple[int, ...]:
    return tuple(int(v) for v in picture.rgb[y, x])


def near(picture: Picture, expected: np.ndarray, tolerance: int) -> bool:
    assert picture.rgb.shape == expected.shape
    return bool(np.abs(picture.rgb.astype(int) - expected.astype(int)).max() <= tolerance)


def test_result_is_readonly_rgb_with_info():
    picture = read_image(pictures.encode(pictures.smooth(5, 3), "PNG"))
    assert (picture.rgb.shape, picture.rgb.dtype) == ((3, 5, 3), np.uint8)
    assert picture.info == ImageInfo("<bytes>", 5, 3, 1)
    assert picture.notes == ()
    with pytest.raises(ValueError, match="read-only"):
        picture.rgb[0, 0, 0] = 1


# --- orientation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_orientation_is_applied(format, orientation):
    upright = pictures.noise(5, 3)
    stored = pictures.turned(upright, orientation)
    options = {"lossless": True} if format == "WEBP" else {}
    data = pictures.encode(stored, format, exif=pictures.exif(orientation), **options)
    picture = read_image(data)
    assert np.array_equal(picture.rgb, upright)
    assert (picture.info.width, picture.info.height) == (5, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_jpeg(orientation):
    upright = pictures.smooth(80, 48)
    stored = pictures.turned(upright, orientation)
    options = {"quality": 95, "exif": pictures.exif(orientation)}
    assert near(read_image(pictures.encode(stored, "JPEG", **options)), upright, 12)


def test_orientation_of_a_pillow_image_that_stays_as_it_was():
    upright = pictures.noise(5, 3)
    image = Image.fromarray(pictures.turned(upright, 6))
    image.getexif()[0x0112] = 6
    before = image.copy()
    picture = read_image(image)
    assert np.array_equal(picture.rgb, upright)
    assert picture.info.path == "<image>"
    assert image == before
    assert image.size == (3, 5)
    assert image.getexif()[0x0112] == 6


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_mean_nothing_are_ignored(orientation):
    rgb = pictures.noise(5, 3)
    data = pictures.encode(rgb, "PNG", exif=pictures.exif(orientation))
    assert np.array_equal(read_image(data).rgb, rgb)


@pytest.mark.parametrize("cut", [7, 12, 20])
def test_broken_exif_is_ignored_and_noted(cut):
    rgb = pictures.noise(5, 3)
    block = pictures.exif(6).tobytes()[:cut]
    picture = read_image(pictures.encode(rgb, "PNG", exif=block))
    assert np.array_equal(picture.rgb, rgb)
    assert [n for n in picture.notes if "EXIF" in n]


def test_broken_exif_of_a_jpeg_is_ignored():
    rgb = pictures.smooth(16, 16)
    data = pictures.encode(rgb, "JPEG", quality=95, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    picture = read_image(data)
    assert near(picture, rgb, 30)
    assert "damaged EXIF block ignored" in picture.notes


# --- colour --------------------------------------------------------------------------------------


def test_profile_is_converted_to_srgb():
    data = pictures.encode(
        Image.new("RGB", (4, 4), pictures.RED), "PNG", icc_profile=pictures.swapped_profile()
    )
    picture = read_image(data)
    assert np.allclose(pixel(picture), pictures.GREEN, atol=2)
    assert picture.notes == ()


def test_profile_applies_under_alpha():
    image = Image.new("RGBA", (2, 1), (*pictures.RED, 255))
    image.putpixel((1, 0), (*pictures.RED, 0))
    picture = read_image(pictures.encode(image, "PNG", icc_profile=pictures.swapped_profile()))
    assert np.allclose(pixel(picture), pictures.GREEN, atol=2)
    assert pixel(picture, 1) == pictures.WHITE


def test_srgb_profile_leaves_pixels_exactly():
    rgb = pictures.noise(16, 16)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(read_image(pictures.encode(rgb, "PNG", icc_profile=profile)).rgb, rgb)


@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 200, pictures.swapped_profile()[:300]])
def test_broken_profile_is_ignored_and_noted(profile):
    rgb = pictures.noise(5, 3)
    picture = read_image(pictures.encode(rgb, "PNG", icc_profile=profile))
    assert np.array_equal(picture.rgb, rgb)
    assert picture.notes == ("unusable ICC profile ignored",)


def test_profile_of_another_colour_space_is_ignored_and_noted():
    image = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    picture = read_image(
        pictures.encode(image, "JPEG", icc_profile=pictures.swapped_profile(), quality=95)
    )
    assert pixel(picture) == pictures.WHITE
    assert picture.notes == ("unusable ICC profile ignored",)


@pytest.mark.parametrize(
    ("cmyk", "expected"),
    [
        ((0, 0, 0, 0), pictures.WHITE),
        ((0, 0, 0, 255), pictures.BLACK),
        ((0, 255, 255, 0), pictures.RED),
        ((255, 0, 255, 0), pictures.GREEN),
    ],
)
def test_cmyk_jpeg(cmyk, expected):
    data = pictures.encode(Image.new("CMYK", (16, 16), cmyk), "JPEG", quality=100)
    assert b"Adobe" in data
    assert np.allclose(pixel(read_image(data)), expected, atol=3)


@pytest.mark.parametrize(
    ("rgb", "key", "expected"),
    [
        (pictures.RED, 0, pictures.RED),
        (pictures.BLUE, 0, pictures.BLUE),
        (pictures.WHITE, 0, pictures.WHITE),
        (pictures.WHITE, 255, pictures.BLACK),
        ((200, 100, 50), 0, (200, 100, 50)),
    ],
)
def test_ycck_jpeg(rgb, key, expected):
    assert np.allclose(pixel(read_image(pictures.ycck_jpeg(rgb, key))), expected, atol=4)


def test_lab_tiff():
    image = Image.new("LAB", (2, 2), (255, 128, 128))  # L 100, a 0, b 0: white
    assert np.allclose(pixel(read_image(pictures.encode(image, "TIFF"))), 255, atol=2)


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBX", "L", "RGB"])
def test_other_modes_of_pillow_images(mode):
    image = Image.new("RGB", (3, 2), (90, 90, 90)).convert(mode)
    assert np.allclose(read_image(image).rgb, 90, atol=2)


# --- transparency --------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_rgba_is_composited_on_white(format):
    image = Image.new("RGBA", (3, 1), (10, 20, 30, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 128))
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    picture = read_image(pictures.encode(image, format, **options))
    assert pixel(picture, 0) == (10, 20, 30)
    assert pixel(picture, 1) == pictures.WHITE
    assert pixel(picture, 2) == (127, 127, 127)


def test_la_is_composited_on_white():
    image = Image.new("LA", (2, 1), (40, 255))
    image.putpixel((1, 0), (0, 0))
    picture = read_image(pictures.encode(image, "PNG"))
    assert [pixel(picture, x) for x in (0, 1)] == [(40, 40, 40), pictures.WHITE]


@pytest.mark.parametrize("mode", ["PA", "La", "RGBa"])
def test_rare_alpha_modes_of_pillow_images(mode):
    image = Image.new("LA", (2, 1), (40, 255))
    image.putpixel((1, 0), (0, 0))
    # By way of RGBA, since Pillow loses the alpha from LA to PA.
    image = image.convert(mode) if mode == "La" else image.convert("RGBA").convert(mode)
    picture = read_image(image)
    assert [pixel(picture, x) for x in (0, 1)] == [(40, 40, 40), pictures.WHITE]


@pytest.mark.parametrize(("format", "key"), [("PNG", 1), ("PNG", b"\xff\x00"), ("GIF", 1)])
def test_palette_with_transparency(format, key):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([*pictures.RED, *pictures.BLUE])
    image.putpixel((1, 0), 1)
    picture = read_image(pictures.encode(image, format, transparency=key))
    assert [pixel(picture, x) for x in (0, 1)] == [pictures.RED, pictures.WHITE]


@pytest.mark.parametrize(
    ("depth", "colour", "rows", "key", "expected"),
    [
        (8, 2, b"\x01\x02\x03\x09\x09\x09", b"\0\x09\0\x09\0\x09", [(1, 2, 3), (255,) * 3]),
        (16, 2, b"\x01\0\x02\0\x03\0" + b"\x09\x07" * 3, b"\x09\x07" * 3, [(1, 2, 3), (255,) * 3]),
        (8, 0, b"\x40\x09", b"\0\x09", [(64,) * 3, (255,) * 3]),
        (4, 0, b"\x41", b"\0\x01", [(68,) * 3, (255,) * 3]),
        (2, 0, b"\x60", b"\0\x02", [(85,) * 3, (255,) * 3]),
        (1, 0, b"\x80", b"\0\x00", [(255,) * 3, (255,) * 3]),
        (16, 0, b"\x40\x40\x09\x07", b"\x09\x07", [(64,) * 3, (255,) * 3]),
    ],
)
def test_transparent_colour_of_png(depth, colour, rows, key, expected):
    key_chunk = pictures.chunk(b"tRNS", key)
    picture = read_image(pictures.png(2, 1, rows, depth=depth, colour=colour, before=key_chunk))
    assert [pixel(picture, x) for x in (0, 1)] == expected


# --- depth ---------------------------------------------------------------------------------------

SIXTEEN = np.array([[0, 257, 257 * 100, 257 * 100 + 128, 257 * 100 + 129, 65535]], np.uint16)
EIGHT = [0, 1, 100, 100, 101, 255]


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled(format):
    picture = read_image(pictures.encode(Image.fromarray(SIXTEEN), format))
    assert picture.rgb[0, :, 0].tolist() == EIGHT
    assert np.array_equal(picture.rgb[..., 0], picture.rgb[..., 2])


def test_sixteen_bit_pgm_is_scaled():
    data = b"P5 6 1 65535\n" + SIXTEEN.astype(">u2").tobytes()
    assert read_image(data).rgb[0, :, 0].tolist() == EIGHT


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I"])
def test_deep_pillow_images_are_scaled(mode):
    dtype = {"I;16B": ">u2", "I": "<i4"}.get(mode, "<u2")
    image = Image.frombytes(mode, (6, 1), SIXTEEN.astype(dtype).tobytes())
    assert read_image(image).rgb[0, :, 0].tolist() == EIGHT


def test_sixteen_bit_rgb_png():
    rows = b"\x10\x20\x30\x40\x50\x60"
    assert pixel(read_image(pictures.png(1, 1, rows, depth=16))) == (0x10, 0x30, 0x50)


def test_integers_out_of_sixteen_bits_are_stretched():
    image = Image.fromarray(np.array([[-1000, 0, 1000]], np.int32))
    assert read_image(image).rgb[0, :, 0].tolist() == [0, 128, 255]


def test_one_bit():
    image = Image.new("1", (9, 1), 0)
    image.putpixel((8, 0), 1)
    for format in ("PNG", "TIFF", "BMP", "PPM"):
        picture = read_image(pictures.encode(image, format))
        assert (pixel(picture, 0), pixel(picture, 8)) == (pictures.BLACK, pictures.WHITE)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.5, 1], [0, 128, 255]),
        ([0, 100, 254.6], [0, 100, 255]),
        ([-5, 0, 5], [0, 128, 255]),
        ([1000, 2000, 3000], [0, 128, 255]),
        ([np.nan, 0.2, 1], [0, 51, 255]),
        ([np.inf, -np.inf, 1], [0, 0, 255]),
        ([7000, 7000, 7000], [0, 0, 0]),
        ([-3e38, 0, 3e38], [0, 128, 255]),
    ],
)
def test_floats(values, expected):
    grey = np.array([values], np.float32)
    assert read_image(grey).rgb[0, :, 1].tolist() == expected
    assert read_image(Image.fromarray(grey)).rgb[0, :, 1].tolist() == expected
    assert read_image(pictures.encode(grey, "TIFF")).rgb[0, :, 1].tolist() == expected


# --- several frames ------------------------------------------------------------------------------


def frames() -> list[Image.Image]:
    return [Image.new("RGB", (8, 6), c) for c in (pictures.RED, pictures.GREEN, pictures.BLUE)]


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_first_of_several_frames(format):
    first, *rest = frames()
    options = {"lossless": True} if format == "WEBP" else {}
    data = pictures.encode(first, format, save_all=True, append_images=rest, **options)
    picture = read_image(data)
    assert np.allclose(picture.rgb, pictures.RED, atol=4)
    assert picture.info.frames == 3
    assert picture.notes == (f"first of 3 {'pages' if format == 'TIFF' else 'frames'}",)


def test_mpo():
    first, *rest = frames()
    data = pictures.encode(first, "MPO", save_all=True, append_images=rest, quality=100)
    picture = read_image(data)
    assert np.allclose(picture.rgb, pictures.RED, atol=4)
    assert picture.info.frames == 3


def test_big_tiff_with_pages():
    first, *rest = frames()
    data = pictures.encode(first, "TIFF", save_all=True, append_images=rest, big_tiff=True)
    assert data[:4] == b"II+\0"
    assert read_image(data).info.frames == 3


def test_animation_handed_in_as_pillow_image_gives_the_frame_it_stands_on():
    first, *rest = frames()
    data = pictures.encode(first, "GIF", save_all=True, append_images=rest)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(read_image(image).rgb[0, 0], pictures.RED)
        image.seek(1)
        picture = read_image(image)
        assert np.array_equal(picture.rgb[0, 0], pictures.GREEN)
        assert picture.notes == ("frame 2 of 3",)
        assert image.tell() == 1


def test_gif_without_trailer():
    data = pictures.encode(frames()[0], "GIF")
    assert data[-1:] == b";"
    assert read_image(data[:-1]).info.frames == 1


# --- kinds and shapes ----------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF"])
def test_kinds(format):
    if format == "AVIF" and not features.check("avif"):
        pytest.skip("this build of Pillow has no AVIF")
    rgb = pictures.smooth(40, 24)
    picture = read_image(pictures.encode(rgb, format))
    assert near(picture, rgb, 60 if format in ("JPEG", "WEBP", "AVIF", "GIF") else 0)


def test_progressive_jpeg():
    rgb = pictures.smooth(40, 24)
    data = pictures.encode(rgb, "JPEG", progressive=True, quality=95)
    assert b"\xff\xc2" in data
    assert near(read_image(data), rgb, 12)


@pytest.mark.parametrize("size", [(1, 1), (1, 60000), (60000, 1)])
def test_extreme_shapes(size):
    rgb = pictures.noise(*size)
    assert np.array_equal(read_image(pictures.encode(rgb, "PNG")).rgb, rgb)


def test_wrong_extension(tmp_path):
    rgb = pictures.noise(4, 4)
    path = tmp_path / "photo.jpg"
    path.write_bytes(pictures.encode(rgb, "PNG"))
    picture = read_image(path)
    assert np.array_equal(picture.rgb, rgb)
    assert picture.info.path == str(path)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_zip_appended(format):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as z:
        z.writestr("hidden.txt", "text")
    data = pictures.encode(pictures.smooth(20, 20), format)
    joined = read_image(data + archive.getvalue())
    assert np.array_equal(joined.rgb, read_image(data).rgb)


def test_heic_with_its_plug_in(monkeypatch):
    """The plug-in is registered when the first HEIC comes; here one that always sees red."""

    def open_red(fp: object, filename: str) -> Image.Image:
        image = Image.new("RGB", (2, 2), pictures.RED)
        image.format = "HEIF"
        return image

    plugin = types.ModuleType("pi_heif")
    plugin.register_heif_opener = lambda **_: Image.register_open("HEIF", open_red, None)
    monkeypatch.setitem(sys.modules, "pi_heif", plugin)
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    assert pixel(read_image(pictures.media(b"heic", b"mif1"))) == pictures.RED


# --- sources -------------------------------------------------------------------------------------


def test_every_source_gives_the_same(tmp_path):
    rgb = pictures.noise(6, 4)
    data = pictures.encode(rgb, "PNG")
    path = tmp_path / "-ünï 😀\n.png"
    path.write_bytes(data)
    link = tmp_path / "link"
    link.symlink_to(path)
    with path.open("rb") as file, path.open("rb", buffering=0) as raw:
        for source, called in [
            (str(path), str(path)),
            (path, str(path)),
            (link, str(link)),
            (data, "<bytes>"),
            (bytearray(data), "<bytes>"),
            (memoryview(data), "<bytes>"),
            (io.BytesIO(data), "<stream>"),
            (file, str(path)),
            (raw, str(path)),
            (Image.fromarray(rgb), "<image>"),
            (rgb, "<array>"),
        ]:
            picture = read_image(source)
            assert np.array_equal(picture.rgb, rgb)
            assert picture.info.path == called
    assert read_image(data, name="upload 7").info.path == "upload 7"


def test_stream_is_read_from_where_it_stands():
    data = pictures.encode(pictures.noise(6, 4), "PNG")
    stream = io.BytesIO(b"header" + data)
    stream.seek(6)
    assert read_image(stream).info.width == 6


def test_arrays():
    rgb = pictures.noise(5, 3)
    assert np.array_equal(read_image(rgb.astype(np.uint16) * 257).rgb, rgb)
    assert np.array_equal(read_image(rgb / 255).rgb, rgb)
    assert np.array_equal(read_image((rgb / 255).astype(np.float32)).rgb, rgb)
    assert np.array_equal(read_image(rgb[::-1, ::-1]).rgb, rgb[::-1, ::-1])
    grey = rgb[..., 0]
    for shaped in (grey, grey[..., None]):
        assert np.array_equal(read_image(shaped).rgb, np.stack([grey] * 3, axis=-1))
    assert read_image(np.array([[True, False]])).rgb[0, :, 0].tolist() == [255, 0]
    clear = np.dstack([rgb, np.zeros_like(grey)])
    assert (read_image(clear).rgb == 255).all()


def test_array_is_copied():
    rgb = pictures.noise(5, 3)
    picture = read_image(rgb)
    kept = picture.rgb.copy()
    rgb[:] = 0
    assert np.array_equal(picture.rgb, kept)
    assert rgb.flags.writeable


# --- manners -------------------------------------------------------------------------------------


def test_threads_leave_warning_filters_alone():
    data = pictures.encode(
        pictures.noise(64, 64), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(20)
    )
    before = list(warnings.filters)
    failures: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(20):
                read_image(data)
        except Exception as e:  # noqa: BLE001 (reported below)
            failures.append(e)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    assert warnings.filters == before


def test_large_pictures_within_the_limits_do_not_warn(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)  # Pillow warns above, raises above twice
    assert read_image(pictures.encode(pictures.noise(10, 10), "PNG")).info.width == 10


@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
@pytest.mark.parametrize("field", ["max_pixels", "max_bytes"])
def test_limits_are_checked(field, value):
    with pytest.raises(OptionError, match=field):
        Limits(**{field: value})


def test_limits_are_inclusive():
    data = pictures.encode(pictures.noise(10, 10), "PNG")
    limits = Limits(max_pixels=100, max_bytes=len(data))
    assert read_image(data, limits=limits).info.width == 10
    assert read_image(io.BytesIO(data), limits=limits).info.width == 10


def test_build_without_avif(monkeypatch):
    monkeypatch.setattr(features, "check", lambda _: False)
    with pytest.raises(UnsupportedImageError, match="this build of Pillow"):
        read_image(pictures.media(b"avif"))
