"""Drawings in vectors refer to their picture so that every viewer finds it, or hold it."""

from __future__ import annotations

import base64
import io
import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image

from kosmoscope.errors import ImageNotFoundError
from test_export_cases import describe


def an_svg(path: Path) -> str:
    (href,) = re.findall(r'<image href="([^"]*)"', path.read_text(encoding="utf-8"))
    return href


@pytest.mark.parametrize("name", ["a b#c?d%20.png", "caf\udce9.png"])
def test_a_saved_svg_refers_to_its_picture(name: str, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "drawn").mkdir()
    picture = tmp_path / "p" / name
    Image.new("RGB", (64, 48)).save(io_ := io.BytesIO(), "PNG")
    picture.write_bytes(io_.getvalue())
    found = describe(("a dog", [(0.1, 0.1, 0.5, 0.5)]), path=str(picture), image_wh=(64, 48))
    href = an_svg(found.save(tmp_path / "drawn" / "x.svg"))
    assert href.startswith("../p/")
    assert (tmp_path / "drawn" / os.fsdecode(unquote_to_bytes(href))).samefile(picture)
    other = tmp_path / "other.png"
    other.write_bytes(io_.getvalue())
    assert an_svg(found.save(tmp_path / "drawn" / "x.svg", image=other)) == "../other.png"
    assert unquote_to_bytes(an_svg_text(found.to_svg())) == os.fsencode(picture)


def an_svg_text(text: str) -> str:
    (href,) = re.findall(r'<image href="([^"]*)"', text)
    return href


@pytest.mark.parametrize("kind", ["array", "bytes", "pillow", "stream"])
def test_a_saved_svg_holds_a_picture_that_is_no_file(kind: str, tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    Image.fromarray(rgb).save(file := io.BytesIO(), "PNG")
    sources = {
        "array": rgb,
        "bytes": file.getvalue(),
        "pillow": Image.fromarray(rgb),
        "stream": io.BytesIO(file.getvalue()),
    }
    found = describe(("a dog", [(0.1, 0.1, 0.5, 0.5)]), path="<array>", image_wh=(64, 48))
    href = an_svg(found.save(tmp_path / "x.svg", image=sources[kind]))
    start, _, data = href.partition(",")
    assert start == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), rgb)


@pytest.mark.parametrize("path", ["<bytes>", "gone.png", "", "a\0b.png"])
@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_a_picture_that_is_not_there_is_one_kind_of_error(
    path: str, suffix: str, tmp_path: Path
) -> None:
    found = describe(("a dog", [(0.1, 0.1, 0.5, 0.5)]), path=path, image_wh=(64, 48))
    with pytest.raises(ImageNotFoundError):
        found.save(tmp_path / f"x{suffix}")
    assert not list(tmp_path.iterdir())
    assert "<image" not in found.to_svg() or path in ("gone.png", "a\0b.png")


def test_a_url_stays_as_it_is(tmp_path: Path) -> None:
    url = "https://example.org/a.png?b=1"
    found = describe(("a dog", [(0.1, 0.1, 0.5, 0.5)]), path=url, image_wh=(64, 48))
    assert an_svg(found.save(tmp_path / "x.svg")) == an_svg_text(found.to_svg()) == url


def test_a_description_leaves_out_what_is_not_sure() -> None:
    found = describe(("a dog", [(0.1, 0.1, 0.5, 0.5)]), score=0.4)
    assert found.chosen(min_score=0.5).entities[0].boxes == ()
    assert found.chosen(min_score=0.4) is found
    assert isinstance(found.chosen(min_score=0.5), type(found))
