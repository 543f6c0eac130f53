"""The server's page where things go wrong, or take long: it says so, and goes on."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx

from gallery_tab import Keys
from kosmoscope.scope import Scope
from page_tab import DOGS, MOUNTAIN, Page, visiting
from pictures import encode, noise
from server_process import Gate, inside, pocket, until


def test_what_cannot_be_read(page: Page, tmp_path: Path) -> None:
    page.failures = ["status of 415", "status of 422", "status of 413"]
    files = {
        "text.png": (b"%PDF-1.7 no picture", "This is not a picture"),
        "torn.png": (encode(noise(64, 64), "PNG")[:600], "That cannot be done:"),
        "large.png": (bytes(9 * 2**20), "The picture is larger"),
    }
    for name, (data, sentence) in files.items():
        (tmp_path / name).write_bytes(data)
        page.choose(tmp_path / name)
        assert sentence in page.refused()
        page.driver.refresh()
    page.visit()
    page.show(DOGS)  # it goes on
    assert page.answered() == "An image of two dogs"


def test_a_text_is_stopped(browser: Any, gate: Gate) -> None:
    with inside() as (desk, url), visiting(browser, url) as page:
        page.visit()
        page.choose(MOUNTAIN)
        gate.wait_for(1)
        assert page.texts("#said") == ["Looking"]
        gate.let(1)  # that reads picture and question
        gate.wait_for(2)
        page.until(lambda: page.texts(".caption.streaming") == ["An image of"])
        page.one("#stop").click()
        page.until(lambda: page.texts("#answer .fine") == ["stopped"])
        assert page.texts("#answer .caption") == ["An image of"]
        until(lambda: (gate.let(1), desk.metrics.cancelled._value.get() == 1)[1])
        page.one("#detailed").click()
        began = gate.began
        gate.let(5)
        gate.wait_for(began + 5)
        page.until(lambda: any(page.texts(".caption.streaming")))
        page.press(Keys.ESCAPE)
        page.until(lambda: "stopped" in page.texts("#answer .fine")[0])
        assert page.texts("#answer .caption") != [""]
        gate.open()
        page.one("#detailed").click()  # a text that was stopped is no answer
        assert page.answered("In detail") == pocket().describe(MOUNTAIN, "detailed").caption


def test_a_server_that_is_busy(browser: Any, gate: Gate) -> None:
    with inside(texts=1, queue=0) as (_, url), visiting(browser, url) as page:
        page.failures = ["status of 429"]
        page.visit()
        other = threading.Thread(
            target=httpx.post,
            args=(f"{url}/api/v1/describe",),
            kwargs={"files": {"image": DOGS.read_bytes()}, "timeout": 120},
        )
        other.start()
        gate.wait_for(1)
        page.choose(DOGS)
        assert "The server is busy. Try again in" in page.refused()
        gate.open()
        other.join()
        page.one("#again").click()
        assert page.answered("In brief") == "An image of two dogs"


def test_a_model_that_is_loading(browser: Any) -> None:
    ready = threading.Event()

    def load() -> Scope:
        assert ready.wait(120)
        return pocket()

    with inside(load) as (_, url), visiting(browser, url) as page:
        page.failures = ["status of 503"]
        page.driver.get(url)
        page.until(lambda: page.texts("#model") == ["The model is loading…"])
        page.choose(DOGS)
        page.until(lambda: page.texts(".caption") == ["The model is still loading…"])
        ready.set()
        assert page.answered("In brief") == "An image of two dogs"
        assert page.texts("#model") == ["pocket is looking"]


def test_a_picture_that_the_server_has_forgotten(browser: Any) -> None:
    with inside(cache_mb=0) as (_, url), visiting(browser, url) as page:
        page.failures = ["status of 404"]
        page.visit()
        page.show(DOGS)
        page.addresses()
        page.ask("find", "a dog")
        assert page.answered("Where is “a dog”?") == "a dog"
        asked = [a for a in page.addresses() if a.startswith(url)]
        assert asked == [f"{url}/api/v1/ground"] * 2, "by its id, then with its file"


def test_a_server_that_is_gone(browser: Any) -> None:
    with inside() as (_, url), visiting(browser, url) as page:
        page.failures = ["ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET"]
        page.visit()
        page.show(DOGS)
        page.driver.execute_cdp_cmd("Network.enable", {})
        page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/api/v1/*"]})
        page.failures.append("ERR_BLOCKED_BY_CLIENT")
        page.one("#detailed").click()
        assert "The server cannot be reached" in page.refused()
        page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
        page.one("#again").click()
        assert page.answered("In detail") == pocket().describe(DOGS, "detailed").caption


def test_a_token_is_asked_for_and_kept_in_the_tab(browser: Any) -> None:
    with inside(token="secret") as (_, url), visiting(browser, url) as page:
        page.failures = ["status of 401"]
        page.driver.get(url)

        def give(token: str) -> None:
            page.until(lambda: page.js("return document.querySelector('#ask-token').open"))
            page.one("#token").send_keys(token + Keys.ENTER)

        give("wrong")
        page.until(lambda: "not the right one" in page.texts("#token-text")[0])
        give("secret")
        page.until(lambda: page.texts("#model") == ["pocket is looking"])
        page.show(DOGS)
        assert page.answered() == "An image of two dogs"
        page.visit()
        assert not page.js("return document.querySelector('#ask-token').open")
        assert page.js("return localStorage.length + document.cookie.length") == 0
        page.js("sessionStorage.clear()")
        page.driver.get(url)
        page.until(lambda: page.js("return document.querySelector('#ask-token').open"))
        page.one("#ask-token button[value=no]").click()
        assert "expected Authorization" in page.refused()
