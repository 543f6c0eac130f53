"""The page of a stack in a real browser, opened from a file.

Needs Chromium and its driver, as the gallery's tests do.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gallery_tab import Keys, Tab
from kosmoscope.stacks import Segmented, Volume, save_stack
from kosmoscope.stacks.volume import affine_of
from stack_cases import rotation

PIXELS = (  # of a copy: the page's own canvases are not made to be read
    "const c = document.createElement('canvas'), s = document.querySelector(arguments[0]);"
    "const w = c.width = s.width, h = c.height = s.height;"
    "const g = c.getContext('2d', {willReadFrequently: true}); g.drawImage(s, 0, 0);"
    "const d = g.getImageData(0, 0, w, h).data;"
)


def two_blocks(turn: np.ndarray | None = None, *, in_patient: bool = True) -> Segmented:
    """A block to the patient's left, at the front and low, and a smaller one at the right."""
    labels = np.zeros((24, 30, 40), np.uint8)
    labels[3:9, 20:28, 24:36] = 1
    labels[14:20, 4:10, 4:10] = 2
    values = np.array([60, 180, 230])[labels].astype(np.uint8)
    # Columns count towards the left hand, as in most files of scanners.
    axes = np.diag([-1.0, 1, 1]) if turn is None else turn @ np.diag([-1.0, 1, 1])
    affine = affine_of((1, 1, 2), (20, -15, -24), axes)
    volume = Volume(values, affine, source="blocks", in_patient=in_patient)
    return Segmented(volume, labels, ("background", "left <block>", "right"), "by hand")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack")
    return save_stack(two_blocks(), folder, meshes=(), title="Two <blocks>").page


def state(tab: Tab) -> str:
    return tab.one("#at").text


def click_at(tab: Tab, css: str, x: float, y: float) -> None:
    """Press at a part of a canvas's size."""
    tab.js(
        "const c = document.querySelector(arguments[0]), r = c.getBoundingClientRect();"
        "c.dispatchEvent(new PointerEvent('pointerdown', {bubbles: true, pointerId: 1,"
        "clientX: r.left + arguments[1] * r.width, clientY: r.top + arguments[2] * r.height}))",
        css, x, y,
    )  # fmt: skip
    tab.js("return new Promise(requestAnimationFrame)")


def box_of(tab: Tab, css: str, colour: list[int]) -> list[float]:
    """Return left, top, right, bottom of what has a colour's hue, in parts of the canvas."""
    return list(
        tab.js(
            PIXELS + "const k = arguments[1], n = Math.hypot(...k); let b = [1, 1, 0, 0];"
            "for (let i = 0; i < w * h; i++) { const p = d.slice(4 * i, 4 * i + 3);"
            "const m = Math.hypot(...p); if (d[4 * i + 3] < 255 || m < 30) continue;"
            "if ((p[0] * k[0] + p[1] * k[1] + p[2] * k[2]) / m / n < 0.998) continue;"
            "const x = i % w / w, y = Math.floor(i / w) / h;"
            "b = [Math.min(b[0], x), Math.min(b[1], y), Math.max(b[2], x), Math.max(b[3], y)]; }"
            "return b",
            css, colour,
        )
    )  # fmt: skip


def colours(page: Path) -> list[list[int]]:
    text = page.read_text(encoding="utf-8")
    (meta,) = re.findall(r'id="meta">(.*?)</script>', text, re.DOTALL)
    return [one["colour"] for one in json.loads(meta)["labels"]]


def test_it_opens_and_says_what_it_is(tab: Tab, page: Path) -> None:
    tab.open(page)
    assert tab.one("h1").text == "Two <blocks>"
    assert tab.one("#facts").text == "40x30x24 voxels of 1 x 1 x 2 mm; labels by by hand"
    assert tab.one(".notice").text == "Not a medical device: not for diagnosis or treatment."
    assert tab.texts(".view h2") == ["Axial", "Coronal", "Sagittal", "Solid"]
    rows = tab.texts("#labels tbody td:first-child")
    assert rows == ["left <block>", "right"]
    assert "ml" in tab.texts("#labels tbody td:nth-child(2)")[0]
    assert page.stat().st_size < 300_000


def test_planes_follow_the_sliders_and_each_other(tab: Tab, page: Path) -> None:
    tab.open(page)
    slider = tab.one(".view[data-axis='2'] input")
    before = state(tab)
    tab.js("arguments[0].value = 5; arguments[0].dispatchEvent(new Event('input'))", slider)
    tab.js("return new Promise(requestAnimationFrame)")
    assert state(tab) != before
    assert ", -14.0)" in state(tab)
    assert tab.one(".view[data-axis='2'] output").text == "-14.0 mm"
    # A click on one plane moves the others.
    click_at(tab, ".view[data-axis='2'] canvas", 0.5, 0.5)
    x, y, z = (float(v) for v in re.findall(r"-?\d+\.\d", state(tab)))
    assert abs(x) <= 1.1
    assert abs(y) <= 1.1
    assert z == -14.0
    canvas = tab.one(".view[data-axis='0'] canvas")
    tab.js("arguments[0].focus()", canvas)
    tab.press(Keys.ARROW_UP)
    tab.js("return new Promise(requestAnimationFrame)")
    assert float(re.findall(r"-?\d+\.\d", state(tab))[0]) == pytest.approx(x + 1)


def test_the_patients_left_is_on_the_right(tab: Tab, page: Path) -> None:
    """As radiologists look: the block at the left, front and low side is there in every view."""
    tab.open(page)
    left = colours(page)[1]
    tab.js("document.getElementById('fill').value = 100;"
           "document.getElementById('fill').dispatchEvent(new Event('input'))")  # fmt: skip
    tab.one("#cross").click()
    place = {"0": 9, "1": 23, "2": 5}  # where the block is, on each axis of the grid that is shown
    for axis, at in place.items():
        slider = tab.one(f".view[data-axis='{axis}'] input")
        tab.js("arguments[0].value = arguments[1];"
               "arguments[0].dispatchEvent(new Event('input'))", slider, at)  # fmt: skip
    tab.js("return new Promise(requestAnimationFrame)")
    tab.js("return new Promise(requestAnimationFrame)")
    boxes = {a: box_of(tab, f".view[data-axis='{a}'] canvas", left) for a in "012"}
    x1, y1, x2, y2 = boxes["2"]
    # Axial, 40 mm by 30: columns 24 to 36; rows 20 to 28 from the back.
    assert (x1, x2) == pytest.approx((24 / 40, 36 / 40), abs=0.03)
    assert (y1, y2) == pytest.approx((7 / 40, 15 / 40), abs=0.03)
    assert boxes["1"][1] > 0.5, "the head is up, and this block is low"
    assert boxes["0"][2] < 0.5, "the front is at the left"


def test_labels_can_be_hidden_and_contours_drawn(tab: Tab, page: Path) -> None:
    tab.open(page)
    css = ".view[data-axis='2'] canvas"

    def coloured() -> int:
        return int(
            tab.js(
                PIXELS + "let n = 0; for (let i = 0; i < d.length; i += 4)"
                "n += Math.max(d[i], d[i + 1], d[i + 2]) - Math.min(d[i], d[i + 1], d[i + 2]) > 12;"
                "return n",
                css,
            )
        )

    tab.one("#cross").click()
    slider = tab.one(".view[data-axis='2'] input")
    tab.js("arguments[0].value = 5; arguments[0].dispatchEvent(new Event('input'))", slider)
    tab.js("return new Promise(requestAnimationFrame)")
    everything = coloured()
    assert everything > 1000
    tab.js("document.getElementById('fill').value = 0;"
           "document.getElementById('fill').dispatchEvent(new Event('input'))")  # fmt: skip
    tab.js("return new Promise(requestAnimationFrame)")
    lines = coloured()
    assert 50 < lines < everything / 2
    tab.one("#lines").click()
    tab.js("return new Promise(requestAnimationFrame)")
    assert coloured() == 0
    tab.one("#lines").click()
    tab.one("input[data-label='1']").click()
    tab.js("return new Promise(requestAnimationFrame)")
    assert coloured() == 0


def test_the_solid_turns_and_is_no_mirror(tab: Tab, page: Path) -> None:
    """From the front a patient's left is on the right; the low block is below."""
    tab.open(page)
    _, left, right = colours(page)
    canvas = tab.one("#solid")
    tab.js("arguments[0].focus()", canvas)
    for _ in range(6):
        tab.press(Keys.ARROW_RIGHT)  # from 0.6 beside the front to the front
    low, high = (box_of(tab, "#solid", c) for c in (left, right))
    assert (low[1] + low[3]) / 2 > (high[1] + high[3]) / 2
    assert (low[0] + low[2]) / 2 > (high[0] + high[2]) / 2 + 0.1
    for _ in range(31):  # to the back: they change sides
        tab.press(Keys.ARROW_RIGHT)
    low, high = (box_of(tab, "#solid", c) for c in (left, right))
    assert (low[0] + low[2]) / 2 < (high[0] + high[2]) / 2 - 0.1
    before = tab.js("return arguments[0].toDataURL()", canvas)
    tab.one("#turn").click()
    tab.until(lambda: tab.js("return arguments[0].toDataURL()", canvas) != before)
    tab.one("#turn").click()


def test_an_oblique_grid_keeps_its_millimetres(tab: Tab, tmp_path: Path) -> None:
    found = two_blocks(rotation(10, 15, -20))
    tab.open(save_stack(found, tmp_path, meshes=()).page)
    shown = [float(v) for v in re.findall(r"-?\d+\.\d", state(tab))]
    index = found.volume.to_index([shown])[0]
    np.testing.assert_allclose(index, np.rint(index), atol=0.1)


def test_stacks_of_pictures_have_no_patient(tab: Tab, tmp_path: Path) -> None:
    tab.open(save_stack(two_blocks(in_patient=False), tmp_path, meshes=()).page)
    assert tab.texts(".view h2") == ["Along k", "Along j", "Along i", "Solid"]
    assert set(tab.texts(".side")) == {""}
    assert "RAS" not in state(tab)


def test_the_page_may_ask_nobody(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    (csp,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert csp.startswith("default-src 'none'; img-src data:; ")
    assert "unsafe" not in csp
    body: Any = re.sub(r"data:[^\"']*", "", text)
    assert not re.search(r"https?://(?!www\.w3\.org)", body)
