"""The gallery in a real browser, opened from a file.

Needs Chromium and its driver (Debian: chromium, chromium-driver). Where they are missing the
tests are skipped; in CI they fail.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gallery_tab import ActionChains, Keys, Tab, phone, tap
from kosmoscope.gallery import build_gallery
from test_gallery import describe, paint


def test_it_shows_what_is_there(tab: Tab, index: Path) -> None:
    tab.open(index)
    assert tab.one("h1").text == "Three <pictures>"
    assert tab.one("#facts").text == "3 pictures, 6 phrases, 7 boxes"
    assert tab.names() == ["a.png", "b.png", "gone.png"]
    assert len(tab.all(".card:first-child .pane img")) == 2, "original and annotated"
    tab.until(
        lambda: tab.js("return [...document.images].every(i => i.complete && i.naturalWidth)")
    )
    missing = tab.one(".missing").text
    assert "cannot be shown" in missing
    assert "no such file" in missing
    assert len(tab.all(".card:nth-child(3) g.box")) == 1, "its box is drawn all the same"


def test_boxes_stand_where_the_description_says(tab: Tab, index: Path) -> None:
    tab.open(index)
    for scope in (".card:first-child", "dialog"):
        if scope == "dialog":
            tab.one(".card:first-child .open").click()
        image, box = (
            tab.js(
                "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
                "return [r.left, r.top, r.right, r.bottom]",
                f"{scope} .annotated {css}",
            )
            for css in ("img", "g.box[data-e='0'] .line")
        )
        w, h = image[2] - image[0], image[3] - image[1]
        assert w / h == pytest.approx(4 / 3, rel=0.01)
        got = [(box[i] - image[i % 2]) / (w, h)[i % 2] for i in range(4)]
        assert got == pytest.approx([0.1, 0.1, 0.6, 0.9], abs=0.005)


def test_phrase_and_boxes_light_each_other(tab: Tab, index: Path) -> None:
    tab.open(index)
    card = ".card:first-child "
    assert tab.lit() == []
    dogs = [("phrase", "1"), ("box", "1"), ("box", "1"), ("badge", "1"), ("badge", "1")]
    tab.hover(tab.one(f"{card}.phrase[data-e='1']"))
    assert sorted(tab.lit()) == sorted(dogs)
    assert tab.one(f"{card}.plate text").text.startswith("two dogs")
    # A point inside the house's box and outside the dogs'.
    house = tab.one(f"{card}g.box[data-e='0'] .line")
    ActionChains(tab.driver).move_to_element_with_offset(house, -20, -20).perform()
    assert ("phrase", "0") in tab.lit()
    assert ("box", "1") not in tab.lit()
    tab.hover(tab.one("h1"))
    assert tab.lit() == []
    # Focus, from the keyboard.
    tab.js("document.querySelector(arguments[0]).focus()", f"{card}.phrase[data-e='1']")
    assert sorted(tab.lit()) == sorted(dogs)
    tab.js("document.querySelector(arguments[0]).focus()", f"{card}g.box[data-e='0']")
    assert ("phrase", "0") in tab.lit()
    # A click keeps it; another lets it go, and so does Escape.
    tab.one(f"{card}.phrase[data-e='1']").click()
    tab.hover(tab.one("h1"))
    assert sorted(tab.lit()) == sorted(dogs)
    assert tab.one(f"{card}.phrase[data-e='1']").get_attribute("aria-pressed") == "true"
    tab.press(Keys.ESCAPE)
    tab.js("document.activeElement.blur()")
    assert tab.lit() == []


def test_a_tap_lights_and_a_second_one_lets_go(tab: Tab, index: Path) -> None:
    phone(tab, 390)
    tab.open(index)
    for css in (".phrase[data-e='1']", "g.box[data-e='1']"):
        tap(tab, css)
        tab.until(lambda: {("box", "1"), ("phrase", "1")} <= set(tab.lit()))
        tap(tab, css)
        tab.until(lambda: tab.lit() == [])


def test_filter_sort_and_the_address(tab: Tab, index: Path) -> None:
    tab.open(index)
    query = tab.one("#query")
    query.send_keys("DOGS")
    tab.until(lambda: tab.names() == ["a.png"])
    assert tab.one("#count").text == "1 of 3 pictures"
    assert tab.texts(".phrase.found") == ["two dogs2"]
    assert tab.hash() == "#q=DOGS"
    query.send_keys(" in hats")
    tab.until(lambda: tab.one("#empty").is_displayed())
    tab.one("#reset").click()
    assert tab.names() == ["a.png", "b.png", "gone.png"]
    assert tab.hash() == ""
    tab.js(
        "const s = arguments[0]; s.value = 50; s.dispatchEvent(new Event('input'))",
        tab.one("#score"),
    )
    tab.until(lambda: tab.names() == ["a.png", "gone.png"])
    assert tab.hash() == "#min=0.5"
    tab.one("#sort option[value=score]").click()
    assert tab.names() == ["gone.png", "a.png"]
    tab.one("#reverse").click()
    assert tab.names() == ["a.png", "gone.png"]
    tab.open(index, tab.hash())
    assert tab.names() == ["a.png", "gone.png"]
    assert tab.one("#score-out").text == "50"
    tab.open(index, "#sort=boxes")
    assert tab.names() == ["a.png", "b.png", "gone.png"]
    tab.open(index, "#min=x&sort=toString&view=../x&picture=%00&tab=-1&q=%F0%9F")
    assert tab.one("#empty").is_displayed(), "nonsense in the address is no error"


def test_the_least_score_hides_boxes_within_a_card(tab: Tab, tmp_path: Path) -> None:
    sure = describe(paint(tmp_path / "a.png"), scores=0.9)
    unsure = describe(tmp_path / "a.png", scores=0.2).entities[1]
    entities = (sure.entities[0], unsure)
    tab.open(build_gallery([replace(sure, entities=entities)], tmp_path / "out"), "#min=0.5")
    assert len(tab.all(".annotated g.box")) == 1
    assert len(tab.all(".phrase.weak")) == 1


def test_keys(tab: Tab, index: Path) -> None:
    tab.open(index)
    focused = "return document.activeElement.querySelector('h2')?.textContent"
    tab.press("j")
    assert tab.js(focused) == "a.png"
    tab.press("j")
    assert tab.js(focused) == "b.png"
    tab.press("k", Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert tab.js(focused) == "gone.png", "there is none behind the last"
    tab.press(Keys.ARROW_UP)
    assert tab.js(focused) == "a.png"
    tab.press(Keys.ENTER)
    assert tab.js("return document.getElementById('large').open")
    assert tab.one("#large-name").text == "a.png"
    assert tab.hash().startswith("#picture=")
    tab.press("j")
    assert tab.one("#large-name").text == "b.png"
    tab.press("3")
    assert tab.all("#large .stage.overlay")
    tab.press(Keys.ESCAPE)
    assert not tab.js("return document.getElementById('large').open")
    # The focus is where one had got to. (A dialog tells of its closing a little later.)
    tab.until(lambda: tab.js(focused) == "b.png")
    assert tab.hash() == "#view=overlay"
    tab.press("1", "?")
    assert tab.one("#help").is_displayed()
    tab.press(Keys.ESCAPE, "/")
    assert not tab.one("#help").is_displayed()
    tab.press("jd?")
    assert tab.one("#query").get_attribute("value") == "jd?", "in a field, keys are letters"
    assert tab.js("return document.documentElement.dataset.theme") is None


def test_the_large_view(tab: Tab, index: Path) -> None:
    tab.open(index)
    tab.one(".card .stage img").click()
    tab.until(
        lambda: tab.js("return document.querySelector('#large img').src").endswith("in/a.png")
    )
    assert [e.text for e in tab.all("#large .phrases .name")] == ["a house", "two dogs 2 boxes"]
    tab.hover(tab.one("#large .phrases li:nth-child(2)"))
    assert tab.lit().count(("box", "1")) == 2
    link = tab.hash()
    tab.driver.back()
    tab.until(lambda: not tab.js("return document.getElementById('large').open"))
    tab.open(index, link)
    assert tab.one("#large-name").text == "a.png"
    assert tab.one("#large .where").text == "1 of 3"
    tab.one("#large [aria-label='Next picture']").click()
    tab.one("#large [aria-label='Next picture']").click()
    assert not tab.one("#large [aria-label='Next picture']").is_enabled()
    assert tab.one("#large .missing").is_displayed()
    tab.one("#large [aria-label='Close']").click()
    tab.until(lambda: not tab.all("#large *"))


def test_prompts_are_tabs(tab: Tab, index: Path) -> None:
    tab.open(index)
    assert [e.text for e in tab.all("[role=tab]")] == ["An image of", "two dogs"]
    assert len(tab.all(".card:first-child g.box")) == 3
    tab.all("[role=tab]")[1].click()
    assert len(tab.all(".card:first-child g.box")) == 1
    tab.press(Keys.ARROW_LEFT)
    assert tab.js("return document.activeElement.textContent") == "An image of"
    assert len(tab.all(".card:first-child g.box")) == 3
    tab.all("[role=tab]")[1].click()
    tab.one(".card .open").click()
    assert tab.hash().endswith("&tab=1")
    assert tab.one("#large .caption").text == "two dogs1"
