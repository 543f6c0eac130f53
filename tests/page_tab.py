"""The server's page in a real browser: fixtures, and short words for what its visitors do."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gallery_tab import Tab
from server_process import PHOTOS, Server

DOGS = PHOTOS / "friends_by_Aitzol_Berasategi.jpg"
MOUNTAIN = PHOTOS / "aitzgorri_by_Aitzol_Berasategi.jpg"


class Page(Tab):
    """A tab that shows the page."""

    def __init__(self, driver: Any, url: str) -> None:
        super().__init__(driver)
        self.url = url
        self.failures: list[str] = []
        """What the console may say: addresses that were answered with an error."""

    def visit(self) -> None:
        self.driver.get("about:blank")
        self.driver.get(self.url + "/")
        self.until(lambda: self.texts("#model") == ["pocket is looking"])

    def choose(self, *files: Path, by: str = "#file") -> None:
        """Choose files, as the dialog that a button opens would."""
        self.one(by).send_keys("\n".join(map(str, files)))

    def show(self, file: Path) -> None:
        """Choose a picture and wait for what is said of it."""
        number = len(self.texts(".thumb"))
        self.choose(file)
        self.until(lambda: len(self.texts(".thumb")) > number)
        self.answered()

    def answered(self, title: str = "") -> str:
        """Wait for an answer (to this); returns its text without the phrases' numbers."""
        done = (
            "const h = document.querySelector('#answer h2');"
            "return h && (!arguments[0] || h.textContent === arguments[0])"
            " && !document.querySelector('#answer [aria-busy=true]')"
        )
        self.until(lambda: self.js(done, title))
        script = (
            "const p = document.querySelector('#answer .caption').cloneNode(true);"
            "p.querySelectorAll('sup').forEach(s => s.remove()); return p.textContent"
        )
        return str(self.js(script))

    def ask(self, kind: str, text: str) -> None:
        self.one(f"#kind input[value={kind}] + span").click()
        self.one("#text").send_keys(text)
        self.one("#send").click()

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Fractions of the picture -> pixels from its centre, as the driver counts."""
        rect = self.one("#stage .frame").rect
        return round((x - 0.5) * rect["width"]), round((y - 0.5) * rect["height"])

    def box(self) -> list[float] | None:
        """The box that is drawn, in fractions of the picture."""
        return self.js(
            "const n = document.querySelector('.drawn'); if (n.hidden) return null;"
            "const r = n.getBoundingClientRect();"
            "const f = document.querySelector('#stage .frame').getBoundingClientRect();"
            "return [(r.left - f.left) / f.width, (r.top - f.top) / f.height,"
            " (r.right - f.left) / f.width, (r.bottom - f.top) / f.height]"
        )

    def refused(self) -> str:
        """Wait for a sentence that says what went wrong."""
        self.until(lambda: any(self.texts(".failed:not([hidden])")))
        return " ".join(self.texts(".failed:not([hidden])"))


@contextmanager
def visiting(browser: Any, url: str) -> Iterator[Page]:
    """Every visit is also a test of the console, of the policy and of the network."""
    page = Page(browser, url)
    browser.get("about:blank")
    page.problems()
    page.addresses()
    yield page
    problems = [p for p in page.problems() if not any(f in p for f in page.failures)]
    assert problems == []
    elsewhere = [a for a in page.addresses() if not a.startswith((url, "blob:", "data:", "about:"))]
    assert elsewhere == []
    page.calm()
    if browser.current_url.startswith("http"):
        browser.execute_script("localStorage.clear(); sessionStorage.clear()")
    browser.get("about:blank")


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Page]:
    with visiting(browser, server.url) as page:
        page.visit()
        yield page


@pytest.fixture
def downloads(browser: Any) -> Iterator[Path]:
    """Where what is saved arrives."""
    folder = Path(tempfile.mkdtemp(prefix="kosmoscope-downloads-"))
    behaviour = {"behavior": "allow", "downloadPath": str(folder)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    yield folder
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "default"})
    shutil.rmtree(folder)
