"""Masks in the gallery's data; what the page does with them is in test_gallery_browser.py."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosmoscope.gallery import build_gallery
from kosmoscope.masks import Segment
from kosmoscope.results import Description
from kosmoscope.segment import Segmentation
from test_gallery import describe, paint, rows


def has_masks(index: Path) -> bool:
    return '"masks":true' in index.read_text("utf-8")


def masks_of(d: Description, *masks: tuple[int, NDArray[np.bool_]]) -> Segmentation:
    """A segmentation of a description: (entity, mask) one by one."""
    labels = np.zeros((d.image.height, d.image.width), np.uint16)
    segments = []
    for number, (entity, bits) in enumerate(masks, 1):
        labels[bits] = number
        segments.append(Segment(number, d.entities[entity].phrase, "thing", entity))
    return Segmentation(d.image, "drawn", labels, tuple(segments), d.caption)


def test_masks_are_short_outlines_of_their_entities(tmp_path: Path) -> None:
    file = paint(tmp_path / "a.png", wh=(1200, 900))
    boxes = {"a dog": [(0.1, 0.1, 0.4, 0.9)], "a cat": [(0.5, 0.5, 0.9, 0.9)]}
    d = describe(file, "a dog and a cat", boxes, wh=(1200, 900))
    dog = np.zeros((900, 1200), bool)
    dog[90:810, 120:480] = True
    dog[300:400, 200:300] = False
    dog[:3, :3] = True  # an island that a thumbnail does not show
    page = build_gallery([d], tmp_path / "out", segmentations=[masks_of(d, (0, dog))])
    assert has_masks(page)
    entries = rows(page)[0][7]
    with_mask, without = entries[0][-1]
    assert len(without) == 7
    outline = with_mask[7]
    assert outline.count("M") == outline.count("z") == 2, "the outline and a hole"
    assert re.fullmatch(r"(M\d+ \d+l(-?\d+ -?\d+ ?)+z)+", outline)
    assert len(outline) < 100
    start = [int(n) for n in re.findall(r"M(\d+) (\d+)", outline)[0]]
    assert start[0] in range(95, 405)
    assert start[1] in range(95, 905)


def test_masks_of_other_words_are_not_taken(tmp_path: Path) -> None:
    d = describe(paint(tmp_path / "a.png"))
    full = np.ones((d.image.height, d.image.width), bool)
    other = replace(masks_of(d, (0, full)), caption="Something else.")
    page = build_gallery([d], tmp_path / "out", segmentations=[other])
    assert not has_masks(page)
    renamed = masks_of(d, (0, full))
    renamed = replace(renamed, segments=(replace(renamed.segments[0], phrase="a horse"),))
    page = build_gallery([d], tmp_path / "out", segmentations=[renamed])
    assert not has_masks(page)
