"""The gallery in a real browser: views, dark mode, hostile text, many pictures, masks."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from gallery_tab import SPANIELS, ActionChains, JavascriptException, Keys, Tab, phone
from kosmoscope.gallery import build_gallery
from kosmoscope.types import Entity
from test_gallery import HOSTILE, describe, paint
from test_gallery_masks import masks_of


def test_views_and_the_handle(tab: Tab, index: Path) -> None:
    tab.open(index)
    tab.one("#views input[value=slider] + span").click()
    assert tab.hash() == "#view=slider"
    assert len(tab.all(".card:first-child img")) == 1
    handle = tab.one(".card .handle")
    cut = "return getComputedStyle(document.querySelector('.boxes')).clipPath"
    handle.send_keys(Keys.HOME)
    assert " 0%)" in tab.js(cut)
    handle.send_keys(Keys.ARROW_RIGHT)
    assert " 5%)" in tab.js(cut)
    ActionChains(tab.driver).drag_and_drop_by_offset(handle, 600, 0).perform()
    assert handle.get_attribute("aria-valuenow") == "100"
    tab.one("#views input[value=overlay] + span").click()
    assert not tab.all(".handle")
    assert len(tab.all(".card:first-child g.box")) == 3


def test_dark_mode(tab: Tab, index: Path) -> None:
    def brightness() -> int:
        colour = tab.js("return getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) // 3

    def system(value: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": value}]
        tab.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    system("light")
    tab.open(index)
    assert brightness() > 200
    system("dark")
    assert brightness() < 50
    button = tab.one("#theme")
    tab.until(lambda: button.get_attribute("aria-pressed") == "true")
    button.click()
    assert brightness() > 200
    assert button.get_attribute("aria-pressed") == "false"
    tab.driver.refresh()
    tab.until(lambda: brightness() > 200)  # the choice is kept
    tab.press("d")
    assert brightness() < 50


def test_hostile_text_is_text(tab: Tab, tmp_path: Path) -> None:
    descriptions = []
    for i, text in enumerate(HOSTILE):
        name = f"{i}{text}".replace("/", "").replace("\0", "") + ".png"
        file = paint(tmp_path / "in" / name)
        boxes = {text: [(0.1, 0.1, 0.9, 0.9)], "elsewhere" + text: [(0.2, 0.2, 0.4, 0.4)]}
        descriptions.append(describe(file, f"Here: {text}", boxes, prompt=text))
        descriptions.append(describe(file, f"Again {text}", {}, prompt=text + text))
    tab.open(build_gallery(descriptions, tmp_path / "out", title=HOSTILE[0]))
    assert len(tab.all(".card")) == len(HOSTILE)
    for card in tab.all(".card .open"):
        card.click()
        tab.press(Keys.ESCAPE)
        tab.until(lambda: not tab.all("#large *"))
    tab.one("#query").send_keys("<img src=x")
    tab.until(lambda: len(tab.all(".card")) == 1)
    assert tab.js("return globalThis.hacked") is None
    assert tab.one("h1").text == HOSTILE[0]
    assert tab.js("return document.querySelectorAll('.card script, [onerror]').length") == 0
    caption = tab.js("return document.querySelector('.caption').textContent")
    assert caption.startswith(f"Here: {HOSTILE[3]}1")


def test_the_policy_stops_what_got_in_all_the_same(tab: Tab, index: Path) -> None:
    # What would be there if a text had become markup.
    source = index.read_text("utf-8")
    marked = source.replace(
        "<footer",
        "<script>globalThis.hacked = 1</script><img src=/gone onerror='globalThis.hacked = 2'>"
        "<img src='http://127.0.0.1:9/a.png'><iframe src='http://127.0.0.1:9/'></iframe><footer",
    )
    assert marked != source
    other = index.with_name("marked.html")
    other.write_text(marked, "utf-8")
    tab.open(other)
    assert tab.js("return globalThis.hacked") is None
    assert len(tab.all(".card")) == 3
    stopped = "return fetch(arguments[0]).then(() => 'went', () => 'stopped')"
    assert tab.js(stopped, "http://127.0.0.1:9/") == "stopped"
    with pytest.raises(JavascriptException, match="TrustedHTML"):
        tab.js("document.body.innerHTML = '<b>'")
    said = [line for line in tab.problems() if "ERR_FILE_NOT_FOUND" not in line]
    assert len(said) >= 5
    assert all("Content Security Policy" in line or "Trusted" in line for line in said), said
    tab.requested()  # Chromium also lists what it refused


def test_a_thousand_pictures(tab: Tab, tmp_path: Path) -> None:
    descriptions = []
    for i in range(1000):
        file = paint(tmp_path / "in" / f"{i:04d}.png", (i % 256, i // 256 * 60, 128), (40, 30))
        caption = f"{SPANIELS} Number {i}, seen from afar."
        descriptions.append(describe(file, caption))
    index = build_gallery(descriptions, tmp_path / "out")
    assert (tmp_path / "out" / "data").is_dir(), "data in files of their own, from file://"
    tab.open(index)
    assert tab.one("#count").text == "1,000 pictures"
    height = tab.js("return document.documentElement.scrollHeight")
    assert height > 100_000
    most = 0
    for part in (0.1, 0.35, 0.6, 0.85, 1.0, 0.5):
        tab.js("scrollTo(0, arguments[0] * document.documentElement.scrollHeight)", part)
        seen = (
            "return [...document.querySelectorAll('.card')].some(c => {"
            "const r = c.getBoundingClientRect(); return r.top < innerHeight && r.bottom > 0})"
        )
        tab.until(partial(tab.js, seen))
        tab.js("return new Promise(done => setTimeout(done, 150))")
        most = max(most, len(tab.all(".card")))
    assert most <= 72
    assert tab.js("return document.querySelectorAll('*').length") < 6000
    tab.js("scrollTo(0, document.documentElement.scrollHeight)")
    tab.until(lambda: "0999.png" in tab.names())
    tab.open(index, "#q=house&sort=name&reverse=1")
    assert tab.names()[0] == "0999.png"
    (tmp_path / "out" / "data").rename(tmp_path / "out" / "elsewhere")
    tab.driver.refresh()
    tab.until(lambda: "is missing" in tab.one("#empty-text").text)
    assert all("ERR_FILE_NOT_FOUND" in line for line in tab.problems())


@pytest.mark.parametrize("width", [320, 390, 768])
def test_nothing_is_wider_than_the_screen(tab: Tab, tmp_path: Path, width: int) -> None:
    long = "Donaudampfschifffahrtsgesellschaftskapitän" * 4
    file = paint(tmp_path / f"{long[:200]}.png", wh=(400, 100))
    prompts = [describe(file, f"{long} {i}", {long: [(0, 0, 1, 1)]}, prompt=long) for i in range(9)]
    index = build_gallery(
        [*prompts, describe(paint(tmp_path / "a.png"))], tmp_path / "out", title=long
    )
    phone(tab, width)
    for view in ("side", "slider", "overlay"):
        tab.open(index, f"#view={view}")
        wide = "return [document.documentElement.scrollWidth, innerWidth]"
        assert tab.js(wide) == [width, width]
        cut = (
            "return [...document.querySelectorAll('h1, .caption, .phrase, .foot, .tools')]"
            ".filter(e => e.scrollWidth > e.clientWidth && e.clientWidth).map(e => e.className)"
        )
        assert tab.js(cut) == [], "and nothing is cut off"
        tab.js("document.querySelector('.open').click()")
        inner = "const i = document.querySelector('#large .inner'); return i.scrollWidth"
        assert tab.js(inner) <= width
        tab.js("document.getElementById('large').close()")
        tab.until(lambda: not tab.all("#large *"))
        tab.js("document.getElementById('help').showModal()")
        assert tab.js(wide) == [width, width]
        tab.js("document.getElementById('help').close()")


def test_everything_to_press_has_a_name(tab: Tab, index: Path) -> None:
    tab.open(index)
    tab.one(".card .open").click()
    unnamed = tab.js(
        "return [...document.querySelectorAll('button, a, input, select, [role=button], "
        "[role=slider], [role=tab], img')].filter(e => !(e.getAttribute('aria-label') ||"
        " e.textContent.trim() || e.labels?.length || e.hasAttribute('alt'))).map(e => e.outerHTML)"
    )
    assert unnamed == []
    assert tab.js("return document.documentElement.lang") == "en"
    ids = tab.js("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


def test_masks_light_with_their_phrases_and_can_be_hidden(tab: Tab, tmp_path: Path) -> None:
    file = paint(tmp_path / "in" / "a.png", (90, 130, 90), (640, 480))
    d = describe(file, "a dog", {"a dog": [(0.25, 0.25, 0.75, 0.75)]}, scores=0.9)
    bits = np.zeros((d.image.height, d.image.width), bool)
    h, w = bits.shape
    bits[h // 4 : 3 * h // 4, w // 4 : w // 2] = True
    index = build_gallery([d], tmp_path / "out", segmentations=[masks_of(d, (0, bits))])
    tab.open(index)
    (area,) = tab.all(".card .area")
    frame = tab.one(".card .boxes")
    share = area.rect["width"] / frame.rect["width"], area.rect["height"] / frame.rect["height"]
    assert share == pytest.approx((0.25, 0.5), abs=0.02)
    tab.hover(tab.one(".card .phrase"))
    assert "on" in area.get_attribute("class")
    assert len(tab.all(".card mask path")) == 1, "the shade has a hole of the mask's shape"
    tab.one("#masks").click()
    assert tab.all(".card .area") == []
    assert "masks=0" in tab.hash()
    tab.press("m")
    assert len(tab.all(".card .area")) == 1
    tab.open(index, "#masks=0")
    assert tab.all(".card .area") == []
    assert tab.one("#masks").get_attribute("aria-pressed") == "false"


def test_without_masks_there_is_nothing_to_hide(tab: Tab, index: Path) -> None:
    tab.open(index)
    assert not tab.one("#masks").is_displayed()


# One look, or every object


def test_what_goes_beyond_one_look_can_be_hidden(tab: Tab, tmp_path: Path) -> None:
    d = describe(paint(tmp_path / "a.png"))
    house, dogs = d.entities
    first, second = dogs.boxes
    dogs = replace(dogs, boxes=(replace(first, source="whole"), replace(second, source="tile")))
    end = len(d.caption)
    cars = Entity("cars", (end, end), (replace(first, source="regrounded"),), 0.9, source="tile")
    index = build_gallery([replace(d, entities=(house, dogs, cars))], tmp_path / "out")
    tab.open(index)
    button = tab.one("#closer")
    assert button.is_displayed()
    assert button.get_attribute("aria-pressed") == "true"
    assert len(tab.all(".card g.box")) == 4
    button.click()
    assert "closer=0" in tab.hash()
    assert [b.get_attribute("data-e") for b in tab.all(".card g.box")].count("1") == 1
    assert len(tab.all(".card g.box")) == 2
    tab.open(index, "#closer=0")
    assert tab.one("#closer").get_attribute("aria-pressed") == "false"
    assert len(tab.all(".card g.box")) == 2
    tab.press("o")
    assert len(tab.all(".card g.box")) == 4


def test_without_a_detail_pass_there_is_no_switch(tab: Tab, index: Path) -> None:
    tab.open(index)
    assert not tab.one("#closer").is_displayed()
