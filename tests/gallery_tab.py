"""A page of the gallery in a real browser: the fixtures of the browser tests.

Needs Chromium and its driver (Debian: chromium, chromium-driver). Where they are missing the
tests are skipped; in CI they fail.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kosmoscope.gallery import build_gallery
from test_gallery import describe, paint

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

__all__ = [
    "SPANIELS", "ActionChains", "By", "JavascriptException", "Keys", "Tab", "phone", "tap",
]  # fmt: skip

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
        return WebDriverWait(self.driver, 120, 0.05).until(lambda _: condition())

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
        return {url.partition(":")[0] for url in self.addresses()}

    def addresses(self) -> list[str]:
        """All addresses that were asked for since this was last called."""
        messages = (json.loads(e["message"])["message"] for e in self.driver.get_log("performance"))
        return [
            m["params"]["request"]["url"]
            for m in messages
            if m["method"] == "Network.requestWillBeSent"
        ]

    def calm(self) -> None:
        """Take back what a test told the browser to be."""
        for command, options in (
            ("clearDeviceMetricsOverride", {}),
            ("setEmulatedMedia", {"features": []}),
            ("setTouchEmulationEnabled", {"enabled": False}),
        ):
            self.driver.execute_cdp_cmd(f"Emulation.{command}", options)


@pytest.fixture(scope="session")
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
    tab.calm()
    if browser.current_url.startswith("file:"):
        browser.execute_script("localStorage.clear()")


@pytest.fixture(scope="session")
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


def tap(tab: Tab, css: str) -> None:
    x, y = tab.js(
        "const e = document.querySelector(arguments[0]);"
        "e.scrollIntoView({block: 'center'});"
        # Of a phrase that runs over two lines the middle is not the phrase.
        "const r = e.getClientRects()[0]; return [r.left + r.width / 2, r.top + r.height / 2]",
        css,
    )
    touch = {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}
    tab.driver.execute_cdp_cmd("Input.dispatchTouchEvent", touch)
    tab.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def phone(tab: Tab, width: int, height: int = 800) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 2, "mobile": True}
    tab.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    tab.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
