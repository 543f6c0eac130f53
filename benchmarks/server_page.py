"""The server's page in Chromium: how soon it answers with pocket, and docs/images/page-*.jpg.

    python benchmarks/server_page.py [--images docs/images]

Needs selenium, and Debian's chromium and chromium-driver. Times are those that a visitor sees: from
the moment that a file is dropped to a text, or to all boxes, on the screen, everything included.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from machine import describe

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"
MOUNTAIN = PHOTOS / "aitzgorri_by_Aitzol_Berasategi.jpg"
DOGS = PHOTOS / "friends_by_Aitzol_Berasategi.jpg"
WATCH = """
addEventListener('drop', () => { window.began = performance.now(); }, {capture: true});
window.times = {};
// What is in the document is on the screen with the frame after the next.
const seen = (name) => requestAnimationFrame(() => requestAnimationFrame(() => {
  window.times[name] ??= performance.now() - window.began;
}));
new MutationObserver((_, observer) => {
  const text = document.querySelector('#answer .caption');
  if (!text || window.began === undefined) return;
  if (!text.classList.contains('none')) seen('first text');
  if (text.getAttribute('aria-busy') === 'true') return;
  seen('all boxes');
  observer.disconnect();
}).observe(document.querySelector('#answer'), {childList: true, subtree: true});
"""
TIMES = """
const [sent] = performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/describe'));
if (!sent || window.times['all boxes'] === undefined) return null;
const { fetchStart, responseStart, responseEnd } = sent;
const [a, b, c] = [fetchStart, responseStart, responseEnd].map((at) => at - window.began);
return { sent: a, 'read by the server': b, answered: c, ...window.times };
"""
STAGES = ("sent", "read by the server", "first text", "answered", "all boxes")
SHOWN = "return document.querySelector('.thumb[aria-current]')?.title"


CLI = [sys.executable, "-m", "kosmoscope.cli"]
HITS_SHOWN = """
const images = [...document.querySelectorAll('#hits img')];
return images.length === 2 && images.every((image) => image.naturalWidth > 1);
"""
QUESTION = "a dog or a mountain above grass"


@contextmanager
def described() -> Iterator[Path]:
    """Describe the sample photos; yields the folder of results, with an index."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [*CLI, "describe", str(PHOTOS), "-o", str(out), "--model", "pocket", "--index"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        yield out


@contextmanager
def serving(results: Path) -> Iterator[str]:
    """Run a server with pocket; yields its address."""
    command = [*CLI, "serve", "--port", "0", "--model", "pocket", "--results", str(results)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        url = ""
        for line in server.stderr:
            if found := re.search(r"listening on (http://\S+)", line):
                url = found[1]
            if "is ready" in line:
                break
        # Read on, or its log would fill the pipe and hold it up.
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield url
    finally:
        server.terminate()
        server.wait()


@contextmanager
def browsing() -> Iterator[Any]:
    """Run Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    with tempfile.TemporaryDirectory() as profile:
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                     "--window-size=1320,900", f"--user-data-dir={profile}"):  # fmt: skip
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            yield driver
        finally:
            driver.quit()


class Visit:
    """A visit to the page."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        driver.get(url)
        self.until(lambda: "is looking" in self.one("#model").text)

    def one(self, css: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def until(self, condition: Callable[[], Any]) -> None:
        WebDriverWait(self.driver, 120, 0.02).until(lambda _: condition())

    def answered(self) -> None:
        """Wait until an answer is there, whole."""
        script = "return document.querySelector('.caption')?.getAttribute('aria-busy') === 'false'"
        self.until(lambda: self.driver.execute_script(script))

    def show(self, photo: Path) -> None:
        self.one("#file").send_keys(str(photo))
        self.until(lambda: self.driver.execute_script(SHOWN) == photo.name)
        self.answered()

    def drop(self, photo: Path) -> None:
        """Drop a file on the page."""
        for kind in ("dragEnter", "dragOver", "drop"):
            data = {"items": [], "files": [str(photo)], "dragOperationsMask": 1}
            event = {"type": kind, "x": 300, "y": 300, "data": data}
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", event)

    def picture(self, out: Path) -> None:
        time.sleep(0.5)
        with Image.open(io.BytesIO(self.driver.get_screenshot_as_png())) as image:
            image.convert("RGB").save(out, quality=84, optimize=True, progressive=True)
        print(f"{out}: {out.stat().st_size / 1000:.0f} kB")


def times(driver: Any, url: str, rounds: int) -> None:
    """Print how long answers take to be seen; each time the server sees another file."""
    found: dict[str, list[float]] = {name: [] for name in STAGES}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            for photo in sorted(PHOTOS.glob("*.jpg")):
                again = Path(folder) / f"{number}-{photo.name}"
                # A comment makes it another file of the same pixels.
                comment = f"round {number}".encode()
                length = (len(comment) + 2).to_bytes(2, "big")
                data = photo.read_bytes()
                again.write_bytes(data[:2] + b"\xff\xfe" + length + comment + data[2:])
                visit = Visit(driver, url)
                driver.execute_script(WATCH)
                visit.drop(again)
                visit.until(lambda: driver.execute_script(TIMES))
                for name, spent in driver.execute_script(TIMES).items():
                    found[name].append(spent)
    print(
        f"milliseconds from a drop, {rounds} times {len(found['sent']) // rounds} photos: p50, p95"
    )
    for name, spent in found.items():
        p95 = statistics.quantiles(spent, n=20, method="inclusive")[-1]
        print(f"{name}: {statistics.median(spent):.0f}, {p95:.0f}")


def images(driver: Any, url: str, folder: Path) -> None:
    """Write the pictures of docs/server.md."""
    scheme = "Emulation.setEmulatedMedia"
    for name in ("light", "search", "dark", "phone"):
        value = "dark" if name == "dark" else "light"
        features = [
            {"name": "prefers-color-scheme", "value": value},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        driver.execute_cdp_cmd(scheme, {"features": features})
        if name == "phone":
            size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        visit = Visit(driver, url)
        if name == "search":
            visit.one("#search-open").click()
            visit.one("#query").send_keys(QUESTION)
            visit.until(lambda: driver.execute_script(HITS_SHOWN))
            visit.picture(folder / "page-search.jpg")
            continue
        if name == "light":
            visit.show(MOUNTAIN)
        visit.show(MOUNTAIN if name == "dark" else DOGS)
        if name == "light":
            frame = visit.one("#stage .frame")
            w, h = frame.rect["width"], frame.rect["height"]
            actions = ActionChains(driver)
            actions.move_to_element_with_offset(frame, int(-0.21 * w), int(-0.28 * h))
            actions.click_and_hold().move_by_offset(9, 9)
            actions.move_by_offset(int(0.29 * w) - 9, int(0.28 * h) - 9).release().perform()
            visit.one(".drawn-bar .primary").click()
            visit.answered()
        if name == "dark":
            visit.one("#detailed").click()
            visit.answered()
            visit.one("#masks").click()
            visit.until(lambda visit=visit: visit.one("#names .names"))
            frame = visit.one("#stage .frame")
            ActionChains(driver).move_to_element_with_offset(frame, 160, -60).perform()
        visit.picture(folder / f"page-{name}.jpg")


def main() -> None:
    """Print the times, and write the pictures where they are wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="folder for the documents' pictures")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    print(describe())
    with described() as results, serving(results) as url, browsing() as driver:
        times(driver, url, args.rounds)
        if args.images:
            images(driver, url, args.images)


if __name__ == "__main__":
    main()
