"""The gallery's search: how long the page takes to answer, and its picture in docs/gallery.md.

    python benchmarks/gallery_search.py [--pictures 5000] [--save docs/images]

Needs Chromium and its driver (Debian: chromium, chromium-driver), and the tests' libraries. The
pictures' descriptions are made here, not by a model: 2 to 6 things each, of 300 nouns. Shown is the
time from a key to the page's new contents, in the page's own clock, before the browser lays them
out: reading, judging every picture, sorting, drawing the first cards. `--save` describes the sample
photos with pocket.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

import kosmoscope
import machine
from kosmoscope.export.nouns import article
from kosmoscope.gallery import build_gallery
from kosmoscope.questions.words import meaning
from kosmoscope.types import Box, Entity, GroundedCaption, ImageInfo

QUESTIONS = (
    "a dog", "an animal", "two dogs", "no people", "a person left of a vehicle",
    "an animal near a person and above something", "two animals right of a car or a red chair",
    "at least 3 things at the left of the picture, without a person", '"wooden table"',
)  # fmt: skip
SIZE = 640, 480
ROUNDS = 15
_TIMED = """
const [text, done] = arguments;
const box = document.getElementById("query");
box.value = text;
requestAnimationFrame(() => {
  box.dispatchEvent(new Event("input"));  // answered in the next frame
  requestAnimationFrame((began) => done([performance.now() - began,
    document.getElementById("count").textContent]));
});
"""


def made(number: int, nouns: list[str]) -> GroundedCaption:
    """Return what might have been said of a picture; the same for the same number."""
    rng = random.Random(number)
    caption, entities = "An image of", []
    for noun in rng.choices(nouns, k=rng.randint(2, 6)):
        words = f"{article(noun)} {noun}"
        x, y = rng.uniform(0, 0.7), rng.uniform(0, 0.7)
        box = x, y, rng.uniform(x + 0.1, 1), rng.uniform(y + 0.1, 1)
        start = len(caption) + 1
        caption += f" {words},"
        boxes = (Box.of(box, SIZE, 0.8, confidence=rng.uniform(0.1, 1)),)
        entities.append(Entity(words, (start, start + len(words)), boxes, 0.9))
    return GroundedCaption(
        ImageInfo(f"trip/{number:06}.jpg", *SIZE), "made", "none", "An image of", caption,
        caption.removeprefix("An image of"), "", "", "", tuple(entities), (), "stop",
    )  # fmt: skip


def browser(profile: Path) -> Any:
    """Return a Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium") or shutil.which("google-chrome"))
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1180,1000"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument("--force-prefers-reduced-motion")
    options.add_argument("--hide-scrollbars")
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def timing(driver: Any, pictures: int, folder: Path) -> None:
    """Print how long questions take on a page of so many pictures."""
    names = sorted(n for kind in ("animal", "vehicle", "furniture", "food") for n in meaning(kind))
    nouns = ["person", "dog", "car", "chair", *random.Random(1).sample(names, 296)]
    page = build_gallery((made(i, nouns) for i in range(pictures)), folder)
    driver.get(page.as_uri())
    print(f"{pictures:,} pictures\n")
    print("| question | answer | ms, quickest | ms, median |\n|---|---|---|---|")
    first, _ = driver.execute_async_script(_TIMED, "a cat")
    for question in QUESTIONS:
        took = []
        for _ in range(ROUNDS):
            driver.execute_async_script(_TIMED, "")
            ms, count = driver.execute_async_script(_TIMED, question)
            took.append(ms)
        print(f"| {question} | {count} | {min(took):.0f} | {statistics.median(took):.0f} |")
    print(f"\nthe first question of all: {first:.0f} ms")


def picture(driver: Any, folder: Path, save: Path) -> None:
    """Save the page with a question and its evidence."""
    photos = sorted((Path(__file__).parent.parent / "examples" / "photos").glob("*.jpg"))
    scope = kosmoscope.load("pocket")
    page = build_gallery([scope.describe(p) for p in photos], folder, title="Sample photos")
    driver.get(f"{page.as_uri()}#q=a+plant&view=overlay")
    driver.implicitly_wait(10)
    driver.find_element("css selector", ".card .evident")
    driver.execute_async_script(
        "const done = arguments[0];"
        "Promise.all([...document.images].map((i) => i.decode())).then(() => done())"
    )
    with Image.open(io.BytesIO(driver.get_screenshot_as_png())) as shot:
        shot.convert("RGB").crop((0, 80, shot.width, 800)).save(
            save / "gallery-search.jpg", quality=85, optimize=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--save", type=Path)
    args = parser.parse_args()
    print(machine.describe(), end="\n\n")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        driver = browser(folder / "profile")
        try:
            timing(driver, args.pictures, folder / "many")
            if args.save:
                picture(driver, folder / "photos", args.save)
        finally:
            driver.quit()


if __name__ == "__main__":
    main()
