"""The page's search in a real browser: a folder of results is asked, and a hit looked at."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli_runner import POCKET, run
from gallery_tab import Keys, phone
from kosmoscope.search import update_index
from page_tab import DOGS, MOUNTAIN, Page, visiting
from server_process import PHOTOS, inside, pocket
from test_server_accessibility import violations

PICTURES = (DOGS, MOUNTAIN, PHOTOS / "flower.jpg", PHOTOS / "china.jpg")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos as they were described."""
    root = tmp_path_factory.mktemp("described")
    photos = root / "photos"
    photos.mkdir()
    for picture in PICTURES:
        shutil.copy(picture, photos)
    run("describe", str(photos), "-o", str(root / "out"), *POCKET)
    update_index(root / "out")
    return root / "out"


@pytest.fixture(scope="module")
def address(out: Path) -> Iterator[str]:
    with inside(results=out) as (_, url):
        yield url


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Page]:
    with visiting(browser, address) as page:
        page.visit()
        yield page


def ask(page: Page, text: str) -> None:
    page.one("#query").clear()
    page.one("#query").send_keys(text)
    page.until(lambda: page.js("return location.hash") == f"#search={text.replace(' ', '+')}")


def hits(page: Page) -> list[str]:
    return page.texts("#hits .card h3")


def test_a_question_finds_pictures_with_what_speaks_for_them(page: Page) -> None:
    assert page.texts("#search-welcome") == ["or search 4 pictures described before"]
    page.one("#search-welcome").click()
    page.until(lambda: len(hits(page)) == 4)
    assert page.texts("#count") == ["4 pictures"]
    assert page.texts("#hits .why") == [], "nothing is asked for yet"
    examples = page.texts("#examples button")
    assert "two dogs" in examples
    suggested = page.js(
        "return [...document.querySelectorAll('#suggestions option')].map(o => o.value)"
    )
    assert suggested[: len(examples)] == examples
    ask(page, "a dog")
    page.until(lambda: hits(page) == [DOGS.name])
    assert page.texts("#count") == ["1 of 4 pictures"]
    (why,) = page.texts("#hits .why")
    assert "% likely" in why
    assert "two dogs" in why
    boxes = page.all("#hits g.box.evidence")
    assert boxes
    (badge,) = set(
        page.js(
            "return [...document.querySelectorAll('.badge rect')].map(r => r.attributes.fill.value)"
        )
    )
    assert badge.startswith("#")
    page.until(lambda: page.js("return document.querySelector('#hits img').naturalWidth") > 400)
    assert page.texts("#hits .phrase bdi") == ["two dogs"]
    # Said in other words, and what nothing answers.
    ask(page, "canines without people")
    page.until(lambda: "no people" in page.texts("#reading")[0])
    ask(page, "at least 3 dogs")
    page.until(lambda: page.one("#none").is_displayed())
    assert page.texts("#none-text")[0].startswith(
        f"No picture matches well enough. Nearest comes {DOGS.name}, "
    )
    assert hits(page)[0] == DOGS.name
    ask(page, "zzyzx")
    page.until(lambda: "zzyzx" in page.texts("#reading")[0])


def test_a_hit_is_looked_at_and_asked_about(page: Page) -> None:
    page.press("s")
    ask(page, "a mountain")
    page.until(lambda: hits(page) == [MOUNTAIN.name])
    page.one("#hits button").click()
    page.until(lambda: page.one("#work").is_displayed())
    wanted = pocket().describe(MOUNTAIN)
    assert page.answered("Described before") == wanted.caption
    assert len(page.all("#stage g.box")) == sum(len(e.boxes) for e in wanted.entities)
    assert len(page.all("#stage g.box.evidence")) == 1
    assert page.js("return location.hash") == ""
    page.ask("find", "the sky")
    assert page.answered("Where is “the sky”?") == "the sky"
    # Back, and forward to the same picture.
    page.driver.back()
    page.until(lambda: page.one("#finding").is_displayed())
    assert hits(page) == [MOUNTAIN.name]
    assert page.js("return document.activeElement.className") == "card"
    page.press(Keys.ENTER)
    page.until(lambda: page.one("#work").is_displayed())
    assert page.texts(".turns .asked") == ["Described before"]
    assert len(page.texts(".thumb")) == 1
    # A new picture while the search is shown.
    page.press("s")
    page.show(DOGS)
    assert not page.one("#finding").is_displayed()
    assert page.answered() == "An image of two dogs"


def test_with_the_keyboard_alone(page: Page) -> None:
    page.press("s")
    page.until(lambda: len(hits(page)) == 4)
    assert page.js("return document.activeElement.id") == "query"
    page.press("two dogs", Keys.ENTER)  # an s in the field is a letter
    page.until(lambda: page.js("return document.activeElement.className") == "card")
    assert hits(page) == [DOGS.name]
    page.press("/")
    assert page.js("return document.activeElement.id") == "query"
    page.one("#query").send_keys(Keys.CONTROL + "a", Keys.DELETE, Keys.ENTER)
    page.until(lambda: len(hits(page)) == 4)
    page.until(lambda: page.js("return document.activeElement.id") == "query")
    page.js("document.querySelector('#hits .card').focus()")
    page.press("j", Keys.ARROW_RIGHT, "k")
    assert page.js("return document.activeElement.ariaPosInSet") == "2"
    page.press(Keys.ENTER)
    page.until(lambda: page.one("#work").is_displayed())
    page.press("s")
    page.until(lambda: page.js("return document.activeElement.ariaPosInSet") == "2")


def test_a_bookmark_of_a_question(page: Page) -> None:
    page.driver.get("about:blank")
    page.driver.get(f"{page.url}/#search=a+dog")
    page.until(lambda: hits(page) == [DOGS.name])
    assert page.one("#query").get_attribute("value") == "a dog"


def test_pictures_that_are_gone_or_changed(browser: Any, out: Path, tmp_path: Path) -> None:
    moved = tmp_path / "described"
    shutil.copytree(out.parent, moved)
    results = moved / "out" / "results.jsonl"
    written = results.read_bytes().replace(bytes(out.parent), bytes(moved))
    results.write_bytes(written)
    update_index(moved / "out")
    (moved / "photos" / DOGS.name).unlink()
    (moved / "photos" / MOUNTAIN.name).write_bytes(DOGS.read_bytes())
    with inside(results=moved / "out") as (_, url), visiting(browser, url) as page:
        page.failures = ["status of 404"]
        page.visit()
        page.press("s")
        page.until(lambda: len(page.texts("#hits .missing")) == 2)
        said = " ".join(page.texts("#hits .missing"))
        assert "no such file" in said
        assert "changed since it was described" in said
        assert len(page.all("#hits button:disabled")) == 2


@pytest.mark.parametrize("how", ["light", "dark", "phone"])
def test_axe_finds_nothing_serious(page: Page, how: str) -> None:
    page.driver.set_script_timeout(120)
    scheme = "dark" if how == "dark" else "light"
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
    if how == "phone":
        phone(page, 390, 844)
    page.visit()
    page.press("s")
    page.until(lambda: len(hits(page)) == 4)
    assert page.js("return document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []
    ask(page, "5 dogs")
    page.until(lambda: page.one("#none").is_displayed())
    assert violations(page) == []


def test_without_results_there_is_no_search(browser: Any) -> None:
    with inside() as (_, url), visiting(browser, url) as page:
        page.visit()
        page.press("s")
        assert not page.one("#search-open").is_displayed()
        assert not page.one("#finding").is_displayed()
        page.driver.get(f"{url}/#search=a+dog")
        page.until(lambda: page.texts("#model") == ["pocket is looking"])
        assert page.one("#welcome").is_displayed()
