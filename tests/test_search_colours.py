"""The colours of things: of their mask's pixels where there is one, else of their box's middle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kosmoscope.errors import InputError
from kosmoscope.files.segments import SEGMENTS, segments_file
from kosmoscope.gallery.outlines import collect_outlines
from kosmoscope.gallery.records import collect
from kosmoscope.gallery.seen import seen_in
from kosmoscope.masks import LabelMap, Segment
from kosmoscope.questions.evaluate.packing import colour_bits
from kosmoscope.questions.shapes import shapes_of
from kosmoscope.search import Index, update_index
from kosmoscope.types import ImageInfo
from search_results import described, known, line, write

WIDTH, HEIGHT = 640, 480
BOX = (0.25, 0.125, 0.75, 0.875)
RING = ("a ring", 0.9, BOX)
CAPTION = described("", [RING]).caption


def inside(radius: float) -> np.ndarray:
    """Say which pixels lie in an ellipse that fills so much of the box."""
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    return ((x + 0.5) / WIDTH * 4 - 2) ** 2 + (((y + 0.5) / HEIGHT - 0.5) * 8 / 3) ** 2 <= radius**2


MASK = inside(1) & ~inside(0.85)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Results about a red ring with a blue plate in its middle, on grass."""
    rgb = np.full((HEIGHT, WIDTH, 3), (40, 160, 40), np.uint8)
    rgb[inside(0.85)] = (20, 40, 220)
    rgb[MASK] = (220, 20, 20)
    Image.fromarray(rgb).save(tmp_path / "ring.png")
    return write(tmp_path / "out", [line("ring.png", [RING], base=str(tmp_path))])


def segmentation(caption: str = CAPTION, box: tuple[float, ...] = BOX) -> LabelMap:
    info = ImageInfo("ring.png", WIDTH, HEIGHT)
    x1, y1, x2, y2 = box
    corners = x1 * WIDTH, y1 * HEIGHT, x2 * WIDTH, y2 * HEIGHT
    segment = Segment(1, "a ring", "thing", 0, corners, 0.8)
    return LabelMap(info, "by hand", MASK.astype(np.uint16), (segment,), caption)


def segmented(out: Path, **options: Any) -> Path:
    """Write the ring's mask as `segment OUT` does."""
    file = segments_file(out / SEGMENTS, "ring.png", "brief")
    file.parent.mkdir(exist_ok=True)
    file.write_text(segmentation(**options).to_json(), encoding="utf-8")
    return file


def colours(out: Path) -> tuple[tuple[str, ...], str]:
    """Bring the index up to date; return the ring's colours, and whose pixels they are of."""
    update_index(out, pictures=True)
    (ring,) = (seen for seen in known(out)["ring.png"].things if seen.noun == "ring")
    return ring.colours, ring.coloured_by


def test_without_a_mask_the_middle_of_the_box_counts(out: Path) -> None:
    assert colours(out) == (("blue",), "box")


def test_with_a_mask_its_pixels_count(out: Path) -> None:
    segmented(out)
    assert colours(out) == (("red",), "mask")
    with Index.open(out) as index:
        assert [index.search(f"a {c} ring").total for c in ("red", "blue")] == [1, 0]


def test_masks_that_come_later_are_taken_over_and_those_that_go_are_forgotten(out: Path) -> None:
    assert colours(out) == (("blue",), "box")
    file = segmented(out)
    assert colours(out) == (("red",), "mask")
    assert update_index(out).changed == 0
    file.unlink()
    assert colours(out) == (("blue",), "box")


def test_masks_of_another_text_or_another_box_do_not_count(out: Path) -> None:
    segmented(out, caption="An image of a wheel")
    assert colours(out) == (("blue",), "box")
    segmented(out, box=(0.25, 0.125, 0.3, 0.2))
    assert colours(out) == (("blue",), "box")


def test_where_no_picture_is_looked_at_nobody_knows(out: Path) -> None:
    segmented(out)
    update_index(out)
    (ring,) = (seen for seen in known(out)["ring.png"].things if seen.noun == "ring")
    assert (ring.colours, ring.coloured_by) == ((), "")


def test_a_file_of_masks_that_is_none_is_named(out: Path) -> None:
    segmented(out).write_text('{"schema": 99}', encoding="utf-8")
    with pytest.raises(InputError, match=r"ring-.*\.json: not a picture's masks"):
        update_index(out, pictures=True)


def test_masks_are_made_smaller_by_the_middle_of_each_pixel() -> None:
    labels = np.arange(24).reshape(4, 6) % 3
    segments = tuple(Segment(i, f"part {i}", "thing", 0, (0, 0, 6, 4)) for i in (1, 2))
    found = LabelMap(ImageInfo("", 6, 4), "by hand", labels.astype(np.uint16), segments)
    np.testing.assert_array_equal(shapes_of(found, (2, 2)).labels, labels[np.ix_((1, 3), (1, 4))])


@pytest.mark.parametrize(("masks", "colour"), [((), "blue"), ((segmentation(),), "red")])
def test_the_gallery_takes_the_same(out: Path, masks: tuple[LabelMap, ...], colour: str) -> None:
    description = described(str(out.parent / "ring.png"), [RING], (WIDTH, HEIGHT))
    kept = (replace(m, image=replace(m.image, path=description.image.path)) for m in masks)
    collected = collect([description], None, collect_outlines(kept))
    (picture,) = collected.pictures
    masks = tuple(one.label_map() for one in picture.masks)
    seen = seen_in(picture.path, picture.file, picture.descriptions, masks)
    assert seen.things[0][4] == colour_bits([colour])
