"""Pictures refused: each file gets its class of error, on one line that begins with its name."""

from __future__ import annotations

import io
import os
import pickle
import random
import stat
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pictures
from kosmoscope import errors
from kosmoscope.images import Limits, Picture, read_image
from kosmoscope.images.kinds import identify


def refused(kind: type[errors.ImageError], source: object, **options: object) -> str:
    """Read what must be refused; check class and form, return the problem."""
    with pytest.raises(errors.ImageError) as caught:
        read_image(source, **options)  # type: ignore[arg-type]
    error = caught.value
    assert type(error) is kind, error
    text = str(error)
    assert text == f"{error.source}: {error.problem}"
    assert len(text.splitlines()) == 1
    assert text.isprintable()
    assert "BytesIO" not in text
    assert str(pickle.loads(pickle.dumps(error))) == text
    return error.problem


# --- other kinds of files ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "EPS"),
        (b"%PDF-1.7\n", "PDF"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- hi -->\n<svg width="1">', "SVG"),
        (b"8BPS\0\1" + bytes(40), "PSD"),
        (b"SIMPLE  =                    T", "FITS"),
        (b"<!DOCTYPE html><html><body><svg ></svg>404", "HTML"),
        (b"\n <html lang=en>", "HTML"),
        (b"<rss/>", "XML"),
        (pictures.media(b"isom", b"mp42"), "video"),
        (pictures.media(b"qt  "), "video"),
        (b"\x1a\x45\xdf\xa3" + bytes(40), "video"),
        (b"RIFF\x20\0\0\0AVI LIST", "video"),
        (b"RIFF\x20\0\0\0WAVEfmt ", "RIFF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(20), "raw file"),
        (b"PK\3\4" + bytes(40), "ZIP"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "LFS"),
        (b"hello", "not a known kind"),
        (bytes(100), "not a known kind"),
        (b"\x89PN", "not a known kind"),
        (b"P7\nWIDTH 1\n", "not a known kind"),
    ],
)
def test_unsupported_kinds(tmp_path, data, says):
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    problem = refused(errors.UnsupportedImageError, path)
    assert says in problem
    assert "expected JPEG, PNG" in problem
    refused(errors.UnsupportedImageError, data)


def test_kinds_that_pillow_reads_and_this_package_does_not():
    for format in ("ICO", "TGA", "PCX", "DDS", "SGI", "PDF", "EPS", "JPEG2000"):
        refused(errors.UnsupportedImageError, pictures.encode(pictures.smooth(16, 16), format))


@pytest.mark.parametrize("brands", [(b"heic", b"mif1"), (b"mif1", b"heic"), (b"hevc",)])
def test_heic_without_its_plug_in(monkeypatch, brands):
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    problem = refused(errors.UnsupportedImageError, pictures.media(*brands))
    assert "this is HEIC; its plug-in pi_heif is not installed" in problem
    assert "install 'pi-heif>=1.0'" in problem


def test_avif_may_carry_a_general_brand():
    kind = identify(pictures.media(b"mif1", b"miaf", b"avif"))
    assert kind is not None
    assert kind.pillow == "AVIF"


@pytest.mark.parametrize("source", [None, 3, ["a.jpg"], object(), 1.5])
def test_sources_that_are_none(source):
    assert "expected a path" in refused(errors.UnsupportedImageError, source)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((3, 8, 8), np.uint8), "channels come last"),
        (np.zeros((8, 8, 2), np.uint8), "(8, 8, 2)"),
        (np.zeros((1, 8, 8, 3), np.uint8), "(1, 8, 8, 3)"),
        (np.zeros(8, np.uint8), "(8,)"),
        (np.array(1.0), "shape ()"),
        (np.zeros((8, 8, 3), np.int64), "int64"),
        (np.zeros((8, 8), np.complex64), "complex64"),
        (np.array([["a"]]), "expected bool"),
        (np.array([[None]]), "object"),
    ],
)
def test_arrays_that_are_no_pictures(array, says):
    assert says in refused(errors.UnsupportedImageError, array)


# --- empty, damaged ------------------------------------------------------------------------------


def test_empty(tmp_path):
    path = tmp_path / "empty.png"
    path.touch()
    assert "0 bytes" in refused(errors.EmptyImageError, path)
    refused(errors.EmptyImageError, b"")
    refused(errors.EmptyImageError, io.BytesIO())
    for shape in ((0, 5), (5, 0, 3), (0, 0, 3)):
        refused(errors.EmptyImageError, np.zeros(shape, np.uint8))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF"])
@pytest.mark.parametrize("share", [0.15, 0.5, 0.9])
def test_truncated(format, share):
    data = pictures.encode(pictures.noise(64, 64), format)
    problem = refused(errors.CorruptImageError, data[: int(len(data) * share)])
    assert problem.startswith("damaged ")


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_truncated_in_a_later_frame(format):
    first, *rest = (Image.fromarray(pictures.noise(32, 32, seed)) for seed in range(3))
    data = pictures.encode(first, format, save_all=True, append_images=rest)
    refused(errors.CorruptImageError, data[: len(data) * 2 // 3])


def test_bad_checksum_of_pixels():
    good = pictures.png(2, 1, b"abcdef")
    assert read_image(good).rgb[0, 0].tolist() == list(b"abc")
    assert "checksum" in refused(
        errors.CorruptImageError, pictures.png(2, 1, b"abcdef", idat_crc=1)
    )


def test_bad_checksum_of_an_ancillary_chunk():
    data = pictures.png(2, 1, b"abcdef", before=pictures.chunk(b"gAMA", b"\0\0\0\1", crc=7))
    assert "gAMA" in refused(errors.CorruptImageError, data)


@pytest.mark.parametrize(
    "data",
    [
        pictures.png(0, 5, b""),
        pictures.png(5, 0, b""),
        b"P6 0 5 255\n",
        b"P6 -3 5 255\n",
        b"P5 x y 255\n",
        b"BM" + bytes(60),
        b"GIF89a" + bytes(20),
        b"\x89PNG\r\n\x1a\n" + pictures.chunk(b"IEND", b""),
        pictures.png(5, 5, b"too few"),
        b"\xff\xd8\xff\xe0",
        b"II*\0\0\0\0\0",
        b"MM\0+\0\x08\0\0" + b"\xff" * 8,
        b"RIFF\x16\0\0\0WEBPWHAT" + bytes(40),
        pictures.media(b"avif", b"mif1"),
    ],
)
def test_damaged(data):
    refused(errors.CorruptImageError, data)


def test_zero_width_jpeg():
    data = bytearray(pictures.encode(pictures.smooth(16, 16), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 7 : at + 9] = b"\0\0"
    refused(errors.CorruptImageError, bytes(data))


def test_text_chunk_bomb():
    data = pictures.text_bomb()
    assert len(data) < 100_000
    refused(errors.CorruptImageError, data)


def test_text_chunk_bomb_behind_the_pixels():
    packed = zlib.compress(bytes(8 * 2**20), 9)
    bomb = pictures.chunk(b"zTXt", b"Comment\0\0" + packed)
    refused(errors.CorruptImageError, pictures.png(1, 1, b"abc", after=bomb))


def test_profile_bomb():
    packed = zlib.compress(bytes(64 * 2**20), 9)
    bomb = pictures.chunk(b"iCCP", b"x\0\0" + packed)
    refused(errors.CorruptImageError, pictures.png(1, 1, b"abc", before=bomb))


def test_tiff_whose_pages_run_in_a_circle():
    assert "circle" in refused(errors.CorruptImageError, pictures.looping_tiff())


def test_tiff_with_a_longer_circle():
    images = [Image.fromarray(pictures.noise(4, 4, seed)) for seed in range(3)]
    data = bytearray(pictures.encode(images[0], "TIFF", save_all=True, append_images=images[1:]))
    offsets, at = [], 4
    while (step := struct.unpack_from("<I", data, at)[0]) != 0:
        offsets.append(step)
        at = step + 2 + 12 * struct.unpack_from("<H", data, step)[0]
    assert len(offsets) == 3
    struct.pack_into("<I", data, at, offsets[1])
    assert "circle" in refused(errors.CorruptImageError, bytes(data))


def test_tiff_with_endless_pages():
    step = 2 + 4
    pages = b"".join(struct.pack("<HI", 0, 8 + (i + 1) * step) for i in range(70_000))
    assert "65536 pages" in refused(errors.CorruptImageError, b"II*\0\x08\0\0\0" + pages)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 3)])
def test_floats_of_which_none_is_finite(value, shape):
    array = np.full(shape, value, np.float32)
    assert "finite" in refused(errors.CorruptImageError, array)
    if len(shape) == 2:
        refused(errors.CorruptImageError, Image.fromarray(array))
        refused(errors.CorruptImageError, pictures.encode(array, "TIFF"))


def test_coloured_floats_out_of_range_are_not_guessed_at():
    tensor = np.array([[[-1.8, 0.0, 2.2]]])
    assert "0..1" in refused(errors.CorruptImageError, tensor)


def test_closed_pillow_image(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(pictures.encode(pictures.noise(4, 4), "PNG"))
    with Image.open(path) as image:
        pass
    refused(errors.CorruptImageError, image)


# --- too large -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        pictures.png(60_000, 60_000, b""),
        pictures.png(12_000, 12_000, b""),
        b"P6 12000 12000 255\n",
        b"P6 99999999 99999999 255\n",
        pictures.webp_bomb(12_000, 12_000),
        pictures.webp_bomb(16_384, 16_384),
        b"BM" + struct.pack("<IIIIIIHHIIIIII", 54, 0, 54, 40, 12000, 12000, 1, 24, *[0] * 6),
        b"GIF89a\xff\xff\xff\xff\0\0\0" + b",\0\0\0\0\xff\xff\xff\xff\0\x02\0;",
    ],
)
def test_header_only_bombs_are_not_decoded(monkeypatch, data):
    def load(self: Image.Image) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    assert len(data) < 1000
    problem = refused(errors.ImageTooLargeError, data)
    assert "pixels" in problem


def test_more_than_the_pixel_limit():
    rgb = pictures.noise(10, 10)
    limits = Limits(max_pixels=99)
    for source in (pictures.encode(rgb, "PNG"), rgb, Image.fromarray(rgb)):
        assert "10x10 is 100 pixels; expected at most 99" in refused(
            errors.ImageTooLargeError, source, limits=limits
        )


def test_limit_of_pillow_itself():
    data = pictures.png(60_000, 60_000, b"")
    assert "Pillow" in refused(errors.ImageTooLargeError, data, limits=Limits(max_pixels=10**12))


def test_out_of_memory(monkeypatch):
    def load(self: Image.Image) -> None:
        raise MemoryError

    data = pictures.encode(pictures.noise(4, 4), "PNG")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    assert "memory" in refused(errors.ImageTooLargeError, data)


class Endless(io.RawIOBase):
    """A stream without end that counts what was taken."""

    taken = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        assert size > 0
        self.taken += size
        return bytes(size)


def test_streams_are_read_to_one_byte_past_the_limit():
    stream = Endless()
    refused(errors.ImageTooLargeError, stream, limits=Limits(max_bytes=3_000_000))
    assert stream.taken == 3_000_001


def test_files_over_the_limit_are_not_read(tmp_path, monkeypatch):
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(10**12)  # sparse
    assert "1000000000000 bytes" in refused(errors.ImageTooLargeError, path)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_over_the_limit(kind):
    refused(errors.ImageTooLargeError, kind(bytes(11)), limits=Limits(max_bytes=10))


# --- paths ---------------------------------------------------------------------------------------


def test_paths_that_lead_nowhere(tmp_path):
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "gone")
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    file = tmp_path / "file"
    file.write_bytes(b"x")
    for path, says in [
        (tmp_path / "none.jpg", "no such file"),
        (str(tmp_path / "none.jpg"), "no such file"),
        (tmp_path, "folder"),
        (dangling, "symbolic link"),
        (circle, "circle"),
        (file / "below", "no such file"),
        (str(tmp_path / "nul\0.jpg"), "NUL"),
        ("x" * 5000, "too long"),
        ("", "no such file"),
        ("https://example.org/a.jpg", "URLs are not fetched"),
        ("\ud800.jpg", "not a valid path"),
    ]:
        assert says in refused(errors.ImageNotFoundError, path)


@pytest.mark.timeout(120)
def test_pipes_and_devices_do_not_block(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/zero", "/dev/null"):
        assert "regular file" in refused(errors.ImageNotFoundError, path)


@pytest.mark.timeout(120)
def test_pipe_swapped_in_after_the_first_look(tmp_path, monkeypatch):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    regular = tmp_path / "regular"
    regular.touch()
    status = regular.stat()
    assert stat.S_ISREG(status.st_mode)
    monkeypatch.setattr("kosmoscope.images.sources.os.stat", lambda _: status)
    refused(errors.ImageNotFoundError, pipe)


def test_unreadable_file(tmp_path, monkeypatch):
    path = tmp_path / "secret.png"
    path.write_bytes(b"x")

    def denied(*args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("kosmoscope.images.sources.os.open", denied)
    assert refused(errors.ImageNotFoundError, path) == "permission denied"


def test_names_fit_on_one_line(tmp_path):
    path = tmp_path / "a\nb\x1b[31m\udcff.jpg"
    path.write_bytes(b"")
    with pytest.raises(errors.EmptyImageError) as caught:
        read_image(path)
    assert caught.value.source.endswith(r"a\nb\x1b[31m\udcff.jpg")
    refused(errors.EmptyImageError, path)
    refused(errors.EmptyImageError, b"", name="upload\n7")


def test_name_replaces_the_path_in_errors(tmp_path):
    with pytest.raises(errors.ImageNotFoundError, match=r"^upload 7: "):
        read_image(tmp_path / "none", name="upload 7")


# --- streams -------------------------------------------------------------------------------------


def test_streams_that_cannot_be_read(tmp_path):
    closed = io.BytesIO(b"x")
    closed.close()
    refused(errors.ImageNotFoundError, closed)
    assert "text" in refused(errors.UnsupportedImageError, io.StringIO("text"))
    path = tmp_path / "a.png"
    path.write_bytes(pictures.encode(pictures.noise(4, 4), "PNG"))
    with path.open(encoding="utf-8") as text:
        assert "text" in refused(errors.UnsupportedImageError, text)
    with path.open("ab") as writable:
        refused(errors.ImageNotFoundError, writable)

    class Failing(io.RawIOBase):
        def read(self, _size: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    assert "Input/output" in refused(errors.ImageNotFoundError, Failing())

    class Starving(io.RawIOBase):
        def read(self, _size: int = -1) -> None:
            return None

    refused(errors.ImageNotFoundError, Starving())


# --- anything at all -----------------------------------------------------------------------------


def samples() -> dict[str, bytes]:
    first, *rest = (Image.fromarray(pictures.smooth(24, 16) // n) for n in (1, 2, 3))
    several = {"save_all": True, "append_images": rest}
    turn = {"exif": pictures.exif(6), "icc_profile": pictures.swapped_profile()}
    return {
        "JPEG": pictures.encode(first, "JPEG", **turn),
        "CMYK": pictures.encode(first.convert("CMYK"), "JPEG", progressive=True),
        "MPO": pictures.encode(first, "MPO", **several),
        "PNG": pictures.encode(first, "PNG", **turn),
        "APNG": pictures.encode(first, "PNG", **several),
        "GIF": pictures.encode(first, "GIF", **several),
        "WEBP": pictures.encode(first, "WEBP", **several, **turn),
        "TIFF": pictures.encode(first, "TIFF", compression="tiff_lzw", **several, **turn),
        "RAW TIFF": pictures.encode(first, "TIFF"),
        "AVIF": pictures.encode(first, "AVIF", **turn),
        "BMP": pictures.encode(first, "BMP"),
        "PPM": pictures.encode(first, "PPM"),
    }


def repaired(data: bytes) -> bytes:
    """Give every whole PNG chunk its right CRC, so that damage reaches the decoder."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        (length,) = struct.unpack_from(">I", out, at)
        end = at + 12 + length
        if end > len(out):
            break
        struct.pack_into(">I", out, end - 4, zlib.crc32(out[at + 4 : end - 4]))
        at = end
    return bytes(out)


def outcome(data: bytes, limits: Limits) -> Picture | errors.ImageError:
    try:
        return read_image(data, limits=limits)
    except errors.ImageError as e:
        return e


@pytest.mark.parametrize("seed", range(50))
def test_random_damage_gives_a_picture_or_an_image_error(seed):
    rng = random.Random(seed)
    limits = Limits(max_pixels=10**6)
    for label, good in samples().items():
        for _ in range(4):
            data = bytearray(good)
            # Mostly in the head, where the structure is.
            reach = len(data) if rng.random() < 0.4 else min(len(data), 200)
            for _ in range(rng.choice((0, 1, 3, 10, 40))):
                data[rng.randrange(reach)] = rng.choice((0, 1, 127, 255, rng.randrange(256)))
            damaged = bytes(data[: rng.randrange(len(data))] if rng.random() < 0.4 else data)
            if label.endswith("PNG") and rng.random() < 0.8:
                damaged = repaired(damaged)
            result = outcome(damaged, limits)
            if isinstance(result, Picture):
                assert result.rgb.dtype == np.uint8
                whole = (result.info.height, result.info.width, 3)
                assert result.rgb.shape == whole or result.reduced
            else:
                assert str(result).isprintable()


def test_no_file_stays_open(tmp_path):
    """Unclosed files warn, and warnings are errors here; damage must not keep one either."""
    path = tmp_path / "a.png"
    path.write_bytes(pictures.encode(pictures.noise(4, 4), "PNG")[:-5])
    handles = Path("/proc/self/fd")
    if not handles.exists():
        pytest.skip("needs /proc")
    before = len(list(handles.iterdir()))
    for _ in range(5):
        refused(errors.CorruptImageError, path)
    assert len(list(handles.iterdir())) == before
