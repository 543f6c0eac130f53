"""Pictures as requests bring them: base64 of any length, and photos that are larger than needed."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import numpy as np
import pytest

import pictures
from kosmoscope.batch import Source
from kosmoscope.batch.decoding import Decoded, decode
from kosmoscope.images import Limits
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.pictures import file_of, read_shown
from server_process import pocket

PIECE = 3 * 2**16
"""Bytes that are read from base64 at once."""


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, PIECE + 2, 3 * PIECE + 100])
def test_base64_of_any_length(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    text = base64.b64encode(data).decode()
    wanted = data, hashlib.sha256(data).hexdigest()[:32]
    lines = "\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    for written in (text, text.rstrip("="), lines, f"data:image/png;base64,{text}"):
        assert file_of(written) == wanted
    assert file_of(base64.urlsafe_b64encode(data).decode()) == wanted
    assert file_of(data) == wanted


@pytest.mark.parametrize("at", [100, 4 * PIECE // 3 - 2, 4 * PIECE // 3])
@pytest.mark.parametrize("wrong", ["=", "==", "%"])
def test_base64_that_is_damaged_anywhere(at: int, wrong: str) -> None:
    text = base64.b64encode(bytes(2 * PIECE)).decode()
    with pytest.raises(RefusedError, match="not base64"):
        file_of(text[:at] + wrong + text[at + len(wrong) :])


def test_a_large_photo_is_read_as_in_folders(tmp_path: Path) -> None:
    file = tmp_path / "large.jpg"
    side = 3 * max(pocket().pixel_spec.size_wh)
    file.write_bytes(pictures.encode(pictures.smooth(side, side), "JPEG"))
    shown = read_shown(file.read_bytes(), "id", pocket())
    of_folder = decode(Source(str(file)), Limits(), pocket().pixel_spec, None)
    assert isinstance(of_folder, Decoded)
    assert shown.pixels is not None
    assert np.array_equal(shown.pixels, of_folder.pixels)
    assert (shown.image.width, shown.image.height) == (side, side)
