"""The gallery's thumbnails: what is decoded for them, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kosmoscope.errors import ImageError
from kosmoscope.gallery import build_gallery, thumbnails
from kosmoscope.images import Picture, read_image
from test_export_cases import describe


def test_thumbnails_of_large_photos_are_decoded_at_a_part_of_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    large = Image.fromarray(noise).resize((6000, 4500), Image.Resampling.BICUBIC)
    large.save(tmp_path / "large.jpg", quality=90)
    seen = []

    def watched(*args: Any, **options: Any) -> Picture:
        picture = read_image(*args, **options)
        seen.append((options["at_least_wh"], picture.rgb.shape[:2]))
        return picture

    monkeypatch.setattr(thumbnails, "read_image", watched)
    made = thumbnails.make_thumbnail("large.jpg", tmp_path / "large.jpg", tmp_path, 480)
    ((least, (height, width)),) = seen
    assert min(least) >= 480
    assert 960 <= height < 4500 / 2, "never smaller than the thumbnail, never in full"
    assert 960 <= width < 6000 / 2
    monkeypatch.setattr(thumbnails, "read_image", lambda data, **_: read_image(data))
    (tmp_path / "whole").mkdir()
    thumbnails.make_thumbnail("large.jpg", tmp_path / "large.jpg", tmp_path / "whole", 480)
    with Image.open(tmp_path / made.name) as a, Image.open(tmp_path / "whole" / made.name) as b:
        assert a.size == b.size == (480, 360)
        assert np.abs(np.asarray(a, float) - np.asarray(b, float)).mean() < 2


def test_problems_are_told_of_pictures_that_should_be_files(tmp_path: Path) -> None:
    told: list[ImageError] = []
    paths = (str(tmp_path / "gone.png"), "<array>", "https://example.org/a.png")
    build_gallery([describe(path=p) for p in paths], tmp_path / "out", problem=told.append)
    assert [e.source for e in told] == [str(tmp_path / "gone.png")]
