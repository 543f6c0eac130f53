"""The server's page to axe: nothing serious, in light, in dark and on a phone."""

from __future__ import annotations

from importlib.resources import files

import pytest

from gallery_tab import Keys, phone
from page_tab import MOUNTAIN, Page

AXE = (files("axe_core_python") / "axe.min.js").read_text("utf-8")
RUN = (
    "const done = arguments[0]; axe.run().then(found => done(found.violations.map("
    "v => [v.impact, v.id, v.nodes.map(n => n.target.join(' '))])), error => done(String(error)))"
)


def violations(page: Page) -> list[object]:
    page.js(AXE)
    found = page.driver.execute_async_script(RUN)
    assert isinstance(found, list), found
    return [v for v in found if v[0] in ("serious", "critical")]


@pytest.mark.parametrize("how", ["light", "dark", "phone"])
def test_axe_finds_nothing_serious(page: Page, how: str) -> None:
    page.driver.set_script_timeout(120)
    scheme = "dark" if how == "dark" else "light"
    features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", features)
    if how == "phone":
        phone(page, 390, 844)
    page.visit()
    assert violations(page) == []
    page.show(MOUNTAIN)
    page.one("#detailed").click()
    page.answered("In detail")
    page.press("m")
    page.until(lambda: page.all("#names .names"))
    page.press("b")
    assert violations(page) == []
    page.press(Keys.ESCAPE)
    page.one("#take summary").click()
    assert violations(page) == []
    page.press(Keys.ESCAPE, "?")
    assert violations(page) == []


def test_axe_would_find_something(page: Page) -> None:
    page.js("document.querySelector('#help-open').removeAttribute('aria-label')")
    page.js("document.querySelector('#help-open').removeAttribute('title')")
    page.js("document.querySelector('h1').style.color = '#eee'")
    assert {v[1] for v in violations(page)} == {"button-name", "color-contrast"}
