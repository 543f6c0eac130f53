"""The gallery in a real browser, opened from a file.

Needs Chromium and its driver (Debian: chromium, chromium-driver). Where they are missing the
tests are skipped; in CI they fail.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kosmoscope.gallery import build_gallery
from test_gallery import HOSTILE, describe, paint
from test_gallery_masks import masks_of

try:
    from selenium import webdriver
    from selenium.common.exceptions import JavascriptException
    from selenium.webdriver import ActionChains, Keys
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.remote.webelement import WebElement
    from selenium.webdriver.support.ui import WebDriverWait
except ImportError:
    webdriver = None

BINARY = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-prefers-reduced-motion",  # what is shown is where it will stay
    "--window-size=1400,1000",
)
SPANIELS = "An image of two dogs and a house."


class Tab:
    """A page in the browser, with short words for what the tests do."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, index: Path, hash: str = "") -> None:
        # By way of an empty page: an address that differs in its hash alone is not loaded anew.
        self.driver.get("about:blank")
        self.driver.get(index.as_uri() + hash)
        self.until(lambda: self.js("return document.getElementById('end').textContent"))

    def js(self, script: str, *args: Any) -> Any:
        return self.driver.execute_script(script, *args)

    def all(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def until(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, 20).until(lambda _: condition())

    def hover(self, element: WebElement) -> None:
        ActionChains(self.driver).move_to_element(element).perform()

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    def texts(self, css: str) -> list[str]:
        # In one go: cards may be made anew between two questions.
        script = "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)"
        return list(self.js(script, css))

    def names(self) -> list[str]:
        return self.texts(".card h2")

    def lit(self) -> list[tuple[str, str]]:
        """(kind, entity) of all that is lit: phrase, box, badge ..."""
        return [
            tuple(pair)
            for pair in self.js(
                "return [...document.querySelectorAll('.on')]"
                ".map(e => [e.classList[0] ?? e.localName, e.dataset.e])"
            )
        ]

    def hash(self) -> str:
        return str(self.js("return location.hash"))

    def problems(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requested(self) -> set[str]:
        """The schemes of all addresses that were asked for since this was last called."""
        messages = (json.loads(e["message"])["message"] for e in self.driver.get_log("performance"))
        urls = (
            m["params"]["request"]["url"]
            for m in messages
            if m["method"] == "Network.requestWillBeSent"
        )
        return {url.partition(":")[0] for url in urls}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    missing = [
        name
        for name, there in (("selenium", webdriver), ("chromium", BINARY), ("chromedriver", DRIVER))
        if not there
    ]
    if missing:
        pytest.skip(f"the browser tests need {', '.join(missing)}")
    options = webdriver.ChromeOptions()
    options.binary_location = BINARY
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With the driver's path given, nothing is looked up or downloaded.
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def tab(browser: Any) -> Iterator[Tab]:
    """Every test is also one of the console and of the network."""
    tab = Tab(browser)
    browser.get("about:blank")
    tab.problems()
    tab.requested()
    yield tab
    assert tab.problems() == []
    assert tab.requested() <= {"file", "data", "about"}
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    if browser.current_url.startswith("file:"):
        browser.execute_script("localStorage.clear()")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures, one of them with two prompts and one without its file."""
    root = tmp_path_factory.mktemp("three")
    a = paint(root / "in" / "a.png", (90, 130, 90), (640, 480))
    b = paint(root / "in" / "b.png", (90, 90, 160), (480, 640))
    tree = "A tree, and sky over it."
    return build_gallery(
        [
            describe(
                b, tree, {"A tree": [(0.2, 0.2, 0.8, 0.9)], "sky": [(0, 0, 1, 0.3)]}, scores=0.4
            ),
            describe(a),
            describe(a, "two dogs", {"two dogs": [(0.5, 0.5, 0.9, 0.9)]}, prompt="two dogs"),
            describe(
                root / "in" / "gone.png", "A cat.", {"A cat": [(0.1, 0.1, 0.9, 0.9)]}, scores=0.9
            ),
        ],
        root / "out",
        title="Three <pictures>",
    )


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
        assert ("box", "1") in tab.lit()
        assert ("phrase", "1") in tab.lit()
        tap(tab, css)
        assert tab.lit() == []


def tap(tab: Tab, css: str) -> None:
    x, y = tab.js(
        "const e = document.querySelector('.card ' + arguments[0]);"
        "e.scrollIntoView({block: 'center'});"
        # Of a phrase that runs over two lines the middle is not the phrase.
        "const r = e.getClientRects()[0]; return [r.left + r.width / 2, r.top + r.height / 2]",
        css,
    )
    touch = {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}
    tab.driver.execute_cdp_cmd("Input.dispatchTouchEvent", touch)
    tab.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    tab.js("return new Promise(done => setTimeout(done, 120))")


def phone(tab: Tab, width: int, height: int = 800) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
    tab.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    tab.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})


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
    tab.open(index)
    assert brightness() > 200, "the choice is kept"
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
