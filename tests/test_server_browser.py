"""The server's page in a real browser, against a real process: each thing that it can do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from gallery_tab import ActionChains, Keys, phone, tap
from kosmoscope import Description
from kosmoscope.export import exported
from page_tab import DOGS, MOUNTAIN, Page
from server_process import pocket


def test_a_caption_streams_and_its_phrases_and_boxes_belong_together(page: Page) -> None:
    page.js(
        "window.seen = []; new MutationObserver(() => seen.push("
        "document.querySelector('#answer .caption')?.textContent ?? ''))"
        ".observe(document.querySelector('#answer'), {childList: true, subtree: true})"
    )
    page.show(MOUNTAIN)
    wanted = pocket().describe(MOUNTAIN)
    assert page.answered() == wanted.caption
    seen = [text for text in page.js("return window.seen") if text]
    assert seen[0].startswith("Looking")
    assert len(set(seen)) > 6, "it came in pieces"
    assert len(page.all("g.box")) == sum(len(e.boxes) for e in wanted.entities)
    colours = page.js("return [...document.querySelectorAll('.phrase')].map(p => p.style.cssText)")
    drawn = page.js(
        "return [...document.querySelectorAll('.badge rect')].map(r => r.attributes.fill.value)"
    )
    assert sorted(c.split()[1].rstrip(";") for c in colours) == sorted(drawn)
    # Both ways, by pointing and by the keyboard.
    page.hover(page.one(".phrase[data-e='3']"))
    page.until(lambda: ("box", "3") in page.lit())
    page.hover(page.one("#stage .badge"))  # at a corner of its box
    page.until(lambda: {kind for kind, e in page.lit()} >= {"box", "phrase"})
    page.hover(page.one("h1"))
    page.until(lambda: not page.lit())
    page.one("g.box[data-e='0']").send_keys(Keys.ENTER)
    assert ("phrase", "0") in page.lit()
    page.press(Keys.ESCAPE)
    page.until(
        lambda: not page.lit() or page.js("return document.activeElement.closest('g.box') !== null")
    )
    page.until(lambda: wanted.caption in page.texts("#said")[0])


def test_all_ways_in(page: Page, tmp_path: Path) -> None:
    page.one("[data-sample='dogs.jpg']").click()
    assert page.answered() == "An image of two dogs"
    page.show(MOUNTAIN)
    page.choose(DOGS, by="#camera")
    assert page.one("#camera").get_attribute("capture") == "environment"
    page.until(lambda: len(page.texts(".thumb")) == 3)
    page.answered()
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(MOUNTAIN)], "dragOperationsMask": 1}
        event = {"type": kind, "x": 300, "y": 300, "data": data}
        page.driver.execute_cdp_cmd("Input.dispatchDragEvent", event)
        if kind == "dragOver":
            assert page.one(".veil").is_displayed()
    page.until(lambda: len(page.texts(".thumb")) == 4)
    assert page.answered() == pocket().describe(MOUNTAIN).caption
    assert not page.one(".veil").is_displayed()
    page.js(
        "const data = new DataTransfer(); const canvas = document.createElement('canvas');"
        "canvas.width = 60; canvas.height = 40; canvas.getContext('2d').fillRect(0, 0, 30, 40);"
        "canvas.toBlob(b => { data.items.add(new File([b], 'image.png', {type: 'image/png'}));"
        "const paste = new ClipboardEvent('paste', {clipboardData: data, bubbles: true});"
        "document.body.dispatchEvent(paste) })"
    )
    page.until(lambda: len(page.texts(".thumb")) == 5)
    page.answered()
    assert page.js("return document.querySelector('#stage img').naturalWidth") == 60
    # A kind that browsers do not show, and the model reads.
    with Image.open(DOGS) as image:
        image.resize((200, 300)).save(tmp_path / "dogs.tif")
    page.show(tmp_path / "dogs.tif")
    assert "no way to show it" in page.one(".missing").text
    rect = page.one("#stage .frame").rect
    assert rect["width"] / rect["height"] == pytest.approx(2 / 3, abs=0.01)
    # Back to the first.
    page.all(".thumb")[0].click()
    assert page.answered() == "An image of two dogs"
    assert page.one(".thumb[aria-current]").get_attribute("title") == "dogs.jpg"


def test_every_verb_once_and_back_again(page: Page) -> None:
    page.show(DOGS)
    scope = pocket()
    page.one("#detailed").click()
    assert page.answered("In detail") == scope.describe(DOGS, "detailed").caption
    page.ask("find", "the left dog")
    assert page.answered("Where is “the left dog”?") == "the left dog"
    page.ask("ask", "What animal is this?")
    assert page.answered("What animal is this?") == scope.ask(DOGS, "What animal is this?").caption
    assert page.texts(".turns .asked") == ["Where is “the left dog”?", "In detail", "In brief"]
    page.driver.get_log("performance")
    page.one("#brief").click()  # it was answered: nobody is asked again
    page.answered("In brief")
    page.all(".turns button")[-1].click()
    page.answered("In detail")
    assert page.addresses() == []


def test_a_box_is_drawn_with_the_mouse(page: Page) -> None:
    page.show(DOGS)
    frame = page.one("#stage .frame")
    a, b = page.at(0.2, 0.2), page.at(0.6, 0.5)
    mouse = ActionChains(page.driver).move_to_element_with_offset(frame, *a).click_and_hold()
    mouse.move_by_offset(9, 9).move_to_element_with_offset(frame, *b).release().perform()
    assert page.box() == pytest.approx([0.2, 0.2, 0.6, 0.5], abs=0.02)
    assert not page.lit(), "a drag is no click"
    corner, to = page.one(".corner.se"), page.at(0.7, 0.6)
    ActionChains(page.driver).click_and_hold(corner).move_to_element_with_offset(
        frame, *to
    ).release().perform()
    assert page.box() == pytest.approx([0.2, 0.2, 0.7, 0.6], abs=0.02)
    page.one(".drawn-bar .primary").click()
    said = page.answered("What is in the box?")
    assert said.startswith("It")
    assert page.box() is not None
    page.ask("ask", "What is this?")
    page.answered("What is this? (in the box)")
    page.ask("ask", "Why?")  # still about it
    page.answered("Why? (in the box)")
    page.one("#draw").click()
    assert page.box() is None
    page.all(".turns button")[0].click()
    assert page.box() is not None, "the box belongs to the question"


def test_a_box_is_drawn_with_the_keyboard(page: Page) -> None:
    page.show(DOGS)
    page.press("b")
    assert page.box() == pytest.approx([0.3, 0.3, 0.7, 0.7], abs=0.01)
    page.press(Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_UP)
    assert page.box() == pytest.approx([0.26, 0.28, 0.66, 0.68], abs=0.01)
    ActionChains(page.driver).key_down(Keys.SHIFT).send_keys(
        Keys.ARROW_RIGHT, Keys.ARROW_DOWN
    ).key_up(Keys.SHIFT).perform()
    assert page.box() == pytest.approx([0.26, 0.28, 0.68, 0.7], abs=0.01)
    page.until(
        lambda: page.texts("#said") == ["Box from 26 to 68 percent across, 28 to 70 percent down"]
    )
    page.press(Keys.ENTER)
    page.answered("What is in the box?")
    page.one(".drawn").send_keys(Keys.ESCAPE)
    assert page.box() is None


def test_masks_name_every_pixel(page: Page) -> None:
    page.show(MOUNTAIN)
    page.press("m")
    page.until(lambda: page.all("#names .names"))
    segments = pocket().describe(MOUNTAIN).segment(MOUNTAIN, regions=True)
    named = [s.phrase for s in segments.segments if s.kind != "region"]
    shown = page.js(
        "return [...document.querySelectorAll('#names > .names bdi')].map(e => e.textContent)"
    )
    assert sorted(shown) == sorted(named)
    frame = page.one("#stage .frame")
    height, width = segments.labels.shape
    for x, y in ((0.5, 0.9), (0.4, 0.03), (0.85, 0.7), (0.3, 0.35)):
        ActionChains(page.driver).move_to_element_with_offset(frame, *page.at(x, y)).perform()
        label = segments.names[segments.labels[int(y * height), int(x * width)]]
        page.until(lambda label=label: page.texts(".pixel bdi") == [label])
        assert page.texts("#names .on bdi") == [label]
    alpha = (
        "const c = document.querySelector('canvas.labels');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n / d.length * 4"
    )
    page.hover(page.one("h1"))
    assert page.js(alpha) > 0.95
    page.one("#masks").click()
    assert not page.one("canvas.labels").is_displayed()
    assert not page.all("#names .names")


def test_scores_are_a_filter(page: Page) -> None:
    page.show(MOUNTAIN)
    scores = [e.boxes[0].shown_score or 0 for e in pocket().describe(MOUNTAIN).entities]
    page.js(
        "const s = document.querySelector('#score'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('input', {bubbles: true}))",
        80,
    )
    page.until(lambda: len(page.all("g.box")) == sum(score >= 0.8 for score in scores))
    assert page.texts("#score-out") == ["80"]
    assert len(page.all(".phrases li.weak")) == sum(score < 0.8 for score in scores)


def test_what_is_taken_away(page: Page, downloads: Path) -> None:
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": page.url},
    )
    page.show(MOUNTAIN)
    wanted = pocket().describe(MOUNTAIN)

    def take(css: str) -> None:
        page.one("#take summary").click()
        page.one(css).click()

    def clipboard() -> str:
        script = "navigator.clipboard.readText().then(arguments[0], e => arguments[0](String(e)))"
        return str(page.driver.execute_async_script(script))

    take("[data-copy=text]")
    page.until(lambda: clipboard() == wanted.caption)
    take("[data-copy=json]")
    page.until(lambda: clipboard().startswith("{"))
    copied = Description.from_json(clipboard())
    assert (copied.caption, copied.image.path) == (wanted.caption, MOUNTAIN.name)

    def saved(css: str, ending: str) -> Path:
        take(css)
        file = downloads / f"{MOUNTAIN.stem}{ending}"
        page.until(file.is_file)
        return file

    assert Description.from_json(saved("[data-save=json]", ".json").read_text("utf-8")) == copied
    coco = json.loads(saved("[data-save=coco]", "-coco.json").read_text("utf-8"))
    assert coco == exported([copied], "coco")
    masks = json.loads(saved("[data-save=masks]", "-coco-masks.json").read_text("utf-8"))
    assert {a["phrase"] for a in masks["annotations"]} == {e.phrase for e in wanted.entities}
    with Image.open(saved("[data-save=png]", "-boxes.png")) as image:
        assert (image.format, image.size) == ("PNG", (copied.image.width, copied.image.height))
    assert saved("[data-save=svg]", "-boxes.svg").read_text("utf-8").startswith("<svg")
    # Of the phrase that is kept lit.
    page.one(".phrase[data-e='3']").click()
    page.one("#take summary").click()
    page.until(lambda: page.texts("#cutout") == ["Cut-out of “the sky”, PNG"])
    page.one("#cutout").click()
    file = downloads / f"{MOUNTAIN.stem}-cutout.png"
    page.until(file.is_file)
    with Image.open(file) as image:
        assert image.mode == "RGBA"
        assert image.height < copied.image.height / 2


def test_on_a_phone(page: Page) -> None:
    phone(page, 390, 844)
    page.visit()
    assert page.one("#shoot").is_displayed()
    page.show(MOUNTAIN)
    assert page.js("return document.documentElement.scrollWidth") == 390
    tap(page, ".phrase[data-e='1']")
    page.until(lambda: ("box", "1") in page.lit())
    page.js("scrollTo(0, 0)")
    tap(page, "#draw")
    page.until(lambda: page.all(".frame.armed"))
    rect = page.js(
        "const r = document.querySelector('.frame').getBoundingClientRect();"
        "return [r.left, r.top, r.width, r.height]"
    )
    for kind, x, y in (("Start", 0.2, 0.2), ("Move", 0.4, 0.4), ("Move", 0.8, 0.7), ("End", 0, 0)):
        at = {"x": rect[0] + x * rect[2], "y": rect[1] + y * rect[3]}
        touch = {"type": f"touch{kind}", "touchPoints": [] if kind == "End" else [at]}
        page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", touch)
    page.until(lambda: page.box() == pytest.approx([0.2, 0.2, 0.8, 0.7], abs=0.03))
    assert not page.all(".frame.armed"), "the next finger scrolls again"
    tap(page, ".drawn-bar .primary")
    page.answered("What is in the box?")
    page.one("#masks").click()
    page.until(lambda: page.all("#names .names"))
    tap(page, "#draw")  # away with the box
    tap(page, "#stage .frame")
    page.until(lambda: page.one(".pixel").is_displayed())


def test_dark_mode(page: Page) -> None:
    system = "Emulation.setEmulatedMedia"
    features = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.driver.execute_cdp_cmd(system, features)
    page.until(lambda: page.one("#theme").get_attribute("aria-pressed") == "true")
    dark = page.js("return getComputedStyle(document.body).backgroundColor")
    page.press("d")
    assert page.js("return getComputedStyle(document.body).backgroundColor") != dark
    page.visit()  # the choice is kept
    assert page.one("#theme").get_attribute("aria-pressed") == "false"


def test_the_keys_and_the_help(page: Page) -> None:
    page.press(Keys.TAB)
    assert page.js("return document.activeElement.id") == "skip"
    page.press("?")
    assert page.one("#help").is_displayed()
    page.press(Keys.ESCAPE)
    assert not page.one("#help").is_displayed()
    page.show(DOGS)
    assert page.js("return document.activeElement.id") == "work"
    page.press("/")
    page.press("bmd?", Keys.ENTER)  # letters in a field are text
    page.answered("bmd?")
    assert page.box() is None
    assert page.one("#masks").get_attribute("aria-pressed") == "false"
