"""Pictures that are alike: copies, and the nearest vectors."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from kosmoscope.images.hashing import picture_hash
from kosmoscope.search.likeness import SAME_BITS, copies
from server_process import PHOTOS


def bits(a: int, b: int) -> int:
    return (a ^ b).bit_count()


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(PHOTOS.glob("*.jpg"))]


def hashed(image: Image.Image) -> int:
    return picture_hash(np.asarray(image))


def test_copies_of_a_photo_have_its_hash_nearly(photos: list[Image.Image]) -> None:
    for photo in photos:
        own = hashed(photo)
        small = photo.resize((photo.width // 3, photo.height // 3))
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=30)
        for copy in (small, Image.open(file), ImageEnhance.Brightness(photo).enhance(1.1)):
            assert bits(own, hashed(copy.convert("RGB"))) <= SAME_BITS


def test_other_photos_have_other_hashes(photos: list[Image.Image]) -> None:
    hashes = [hashed(photo) for photo in photos]
    for i, a in enumerate(hashes):
        for b in hashes[:i]:
            assert bits(a, b) > 2 * SAME_BITS


def test_any_picture_has_a_hash() -> None:
    for shape in ((1, 1), (1, 4000), (3, 2)):
        for value in (0, 255):
            assert 0 <= picture_hash(np.full((*shape, 3), value, np.uint8)) < 2**64


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(0, 40))
def test_copies_are_found_as_by_comparing_all(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**63, 20, dtype=np.uint64)
    for _ in range(count):  # neighbours at all distances, on both sides of the limit
        changed = rng.choice(64, rng.integers(0, 2 * SAME_BITS), replace=False)
        mask = np.bitwise_or.reduce(np.uint64(1) << changed.astype(np.uint64), initial=np.uint64(0))
        hashes = np.append(hashes, rng.choice(hashes) ^ mask)
    groups = copies(hashes)
    together = {i: set(group) for group in groups for i in group}
    for i in range(len(hashes)):
        for j in range(i):
            if bits(int(hashes[i]), int(hashes[j])) <= SAME_BITS:
                assert j in together[i]
    for group in groups:  # nobody is in a group without a neighbour in it
        for i in group:
            assert any(i != j and bits(int(hashes[i]), int(hashes[j])) <= SAME_BITS for j in group)
    assert groups == sorted(sorted(group) for group in groups)
