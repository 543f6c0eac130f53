"""The gallery's search box, in a real browser: answers, their order, what is lit and said."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from gallery_tab import Keys, Tab, phone
from kosmoscope.gallery import build_gallery
from kosmoscope.questions import CUT_OFF, parse
from kosmoscope.questions.evaluate import evaluate
from kosmoscope.questions.known import record_of
from kosmoscope.questions.looking import look
from kosmoscope.questions.words import meaning
from kosmoscope.results import Description
from test_gallery import HOSTILE, describe, paint
from test_gallery_masks import masks_of
from test_search_language import HOSTILE as HOSTILE_QUESTIONS

LEFT, RIGHT = (0.05, 0.4, 0.35, 0.9), (0.6, 0.4, 0.95, 0.9)
QUESTIONS = (
    "a dog left of a car", "two dogs", "an animal", "a car, no dogs", "a puppy or a tree",
    "a red car", "a large car at the right of the picture", "a dog in 2024", "folder:trip",
    '"snow"', "exactly one dog", "a dog not left of a car", "a dog on a beach", "score>0.8, a dog",
)  # fmt: skip


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> list[Description]:
    """Five pictures, of dogs, cars, a cat and a tree; one with two prompts."""
    root = tmp_path_factory.mktemp("pictures")
    paint(root / "both.png", (200, 30, 30), (640, 480))
    paint(root / "other.png", (40, 40, 200), (640, 480))
    paint(root / "trip" / "dogs.png", (240, 240, 240), (640, 480))
    paint(root / "tree.png", (30, 120, 30), (640, 480))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2024:06:15 12:30:00"
    Image.new("RGB", (640, 480), (90, 90, 90)).save(root / "dated.jpg", exif=exif)
    return [
        describe(
            root / "both.png", "A dog and a car.", {"A dog": [LEFT], "a car": [RIGHT]}, scores=0.9
        ),
        describe(
            root / "other.png", "A car, and a dog.", {"A car": [LEFT], "a dog": [RIGHT]}, scores=0.8
        ),
        describe(
            root / "trip" / "dogs.png",
            "Two dogs in the snow.",
            {"Two dogs": [LEFT, RIGHT]},
            scores=0.95,
        ),
        describe(root / "tree.png", "A tree.", {"A tree": [(0.2, 0.1, 0.8, 0.9)]}, scores=0.7),
        describe(root / "tree.png", "a cat", {"a cat": [LEFT]}, prompt="a cat", scores=0.9),
        describe(root / "dated.jpg", "A dog.", {"A dog": [RIGHT]}, scores=0.3),
    ]


@pytest.fixture(scope="module")
def gallery(described: list[Description], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_gallery(described, tmp_path_factory.mktemp("gallery"))


def ask(tab: Tab, gallery: Path, question: str, more: str = "") -> None:
    tab.open(gallery, f"#q={quote(question)}{more}")


def shares(tab: Tab) -> dict[str, str]:
    """What each card says, in their order: how likely."""
    return dict(zip(tab.names(), tab.texts(".card .why b"), strict=True))


def evident(tab: Tab, scope: str = ".card:first-child") -> list[list[str]]:
    """The boxes that are lit as evidence, and the phrases."""
    script = "return [...document.querySelectorAll(arguments[0])].map(e => e.dataset.e).sort()"
    boxes = tab.js(script, f"{scope} .evident .box.evidence")
    return [tab.texts(f"{scope} .phrase.found bdi"), boxes]


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_page_answers_as_the_package_does(
    tab: Tab, gallery: Path, described: list[Description], question: str
) -> None:
    ask(tab, gallery, question)
    by_path: dict[str, list[Description]] = {}
    for d in described:
        by_path.setdefault(d.image.path, []).append(d)
    chances = {
        path: evaluate(parse(question), record_of(some, path, look(path)), meaning).probability
        for path, some in by_path.items()
    }
    expected = {
        Path(path).name: f"{round(p * 100)} % likely"
        for path, p in sorted(chances.items(), key=lambda one: -one[1])
        if p >= CUT_OFF
    }
    assert {Path(name).name: share for name, share in shares(tab).items()} == expected
    assert [Path(name).name for name in tab.names()] == list(expected)


def test_a_plain_word_is_still_a_filter(tab: Tab, gallery: Path) -> None:
    tab.open(gallery)
    query = tab.one("#query")
    query.send_keys("do")
    dogs = {"both.png", "other.png", "trip/dogs.png", "dated.jpg"}
    tab.until(lambda: set(tab.names()) == dogs)
    assert "4 pictures because a phrase has these letters" in tab.one("#reading").text
    query.send_keys("g")
    tab.until(lambda: tab.hash() == "#q=dog")
    assert tab.names()[-1] == "dated.jpg", "what is likely comes first"
    assert shares(tab)["dated.jpg"] == "30 % likely"
    assert tab.one("#count").text == "4 of 5 pictures"
    query.send_keys(Keys.BACKSPACE * 3 + "ar")
    tab.until(lambda: tab.hash() == "#q=ar")
    assert tab.names() == [], "in the middle of a word it is another one: car"
    assert not tab.one("#nearest").is_displayed()


def test_evidence_is_lit_and_the_rest_steps_back(tab: Tab, gallery: Path) -> None:
    ask(tab, gallery, "a dog left of a car")
    assert tab.names() == ["both.png"]
    assert evident(tab) == [["A dog", "a car"], ["0", "1"]]
    assert "A dog left of a car" in tab.one(".card .why").text
    ask(tab, gallery, "a dog")
    card = ".card[data-p='0']"
    assert evident(tab, card) == [["A dog"], ["0"]]

    def opacity(n: int) -> str:
        script = "return getComputedStyle(document.querySelector(arguments[0])).opacity"
        return str(tab.js(script, f"{card} .box[data-e='{n}']"))

    assert (opacity(0), opacity(1)) == ("1", "0.3")
    holes = f"{card} mask rect"
    assert len(tab.all(holes)) == 2, "all, and a hole for the dog"
    # What one points at goes before it, and it comes back.
    tab.hover(tab.one(f"{card} .phrase[data-e='1']"))
    assert not tab.all(f"{card} .evident")
    assert (opacity(0), opacity(1)) == ("0.3", "1")
    tab.hover(tab.one("h1"))
    assert (opacity(0), opacity(1)) == ("1", "0.3")
    tab.one(f"{card} .open").click()
    assert evident(tab, "#large") == [["A dog"], ["0"]]
    assert "% likely" in tab.one("#large .why").text
    # Without a question nothing is.
    tab.open(gallery)
    assert not tab.all(".why, .evident, .evidence, .found")


def test_masks_of_evidence_stay_bright(tab: Tab, tmp_path: Path) -> None:
    d = describe(paint(tmp_path / "a.png", wh=(640, 480)), wh=(640, 480))
    house, dogs = np.zeros((480, 640), bool), np.zeros((480, 640), bool)
    house[48:432, 64:300], dogs[240:432, 400:600] = True, True
    masks = [masks_of(d, (0, house), (1, dogs))]
    ask(tab, build_gallery([d], tmp_path / "out", segmentations=masks), "a house")
    assert len(tab.all(".evident .area")) == 2
    assert [e.get_attribute("data-e") for e in tab.all(".evident .area.evidence")] == ["0"]


def test_nothing_says_so_and_what_came_nearest(tab: Tab, gallery: Path) -> None:
    ask(tab, gallery, "a zebra")
    assert tab.names() == []
    assert tab.one("#empty-text").text == "No picture matches."
    assert tab.one("#count").text == "0 of 5 pictures"
    assert not tab.one("#nearest").is_displayed(), "no picture has anything of it"
    ask(tab, gallery, "3 dogs")
    assert tab.one("#nearest-text").text == "Nearest comes trip/dogs.png, less than 1 % likely."
    tab.one("#nearest-open").click()
    assert evident(tab, "#large") == [["Two dogs"], ["0", "0"]], "what it has of the parts"
    ask(tab, gallery, "a striped dog left of a car")
    assert tab.one("#empty-text").text == "No picture matches well enough."
    assert tab.one("#nearest-text").text == "Nearest comes both.png, 20 % likely."
    tab.one("#nearest-open").click()
    assert tab.one("#large-name").text == "both.png"
    assert evident(tab, "#large") == [["A dog", "a car"], ["0", "1"]]


def test_how_it_was_read_and_what_could_not_be(tab: Tab, gallery: Path) -> None:
    ask(tab, gallery, "photos of 2 DOGS")
    assert tab.one("#reading").text == "Read as 2 dogs"
    assert tab.one("#query").get_attribute("aria-describedby") == "reading"
    ask(tab, gallery, "2 dogs")
    assert not tab.one("#reading").is_displayed(), "there is nothing to say"
    ask(tab, gallery, "a dog behind a car")
    said = tab.one("#reading").text
    assert said.startswith("Read as a dog, a car · ")
    assert said.endswith("boxes cannot tell 'behind': both things are looked for")
    assert tab.names() == ["both.png", "other.png"]


def test_the_order_and_the_address(tab: Tab, gallery: Path) -> None:
    tab.open(gallery)
    assert tab.one("#sort").get_attribute("value") == "name"
    assert not tab.one("#sort-match").is_enabled()
    ask(tab, gallery, "a dog")
    assert tab.one("#sort").get_attribute("value") == "match"
    best = ["trip/dogs.png", "both.png", "other.png", "dated.jpg"]
    assert tab.names() == best
    tab.one("#sort option[value=name]").click()
    assert tab.names() == sorted(best)
    assert tab.hash() == "#q=a+dog&sort=name"
    tab.open(gallery, tab.hash())
    assert tab.names() == sorted(best)
    tab.one("#sort option[value=match]").click()
    tab.one("#reverse").click()
    assert tab.names() == best[::-1]
    assert tab.hash() == "#q=a+dog&reverse=1"


def test_what_is_hidden_is_no_evidence(tab: Tab, gallery: Path) -> None:
    ask(tab, gallery, "a dog", "&min=0.85")
    assert set(tab.names()) == {"both.png", "trip/dogs.png"}
    ask(tab, gallery, "no cars", "&min=0.85")
    assert "other.png" not in tab.names(), "nothing of it is shown"


def test_the_tab_that_has_the_evidence_is_shown(tab: Tab, gallery: Path) -> None:
    ask(tab, gallery, "a cat")
    assert tab.names() == ["tree.png"]
    assert tab.one("[role=tab][aria-selected=true]").text == "a cat"
    assert evident(tab) == [["a cat"], ["0"]]
    ask(tab, gallery, "a tree with a cat")
    assert tab.one("[role=tab][aria-selected=true]").text == "An image of", "it has some: it stays"


def test_suggestions_have_answers(tab: Tab, gallery: Path) -> None:
    tab.open(gallery)
    offered = tab.js("return [...document.querySelectorAll('#phrases option')].map(o => o.value)")
    assert {"a dog", "two dogs", "a tree"} <= set(offered)
    examples = offered[: offered.index("a dog")]
    assert "at least 2 dogs" in examples
    assert any("left of" in one for one in examples)
    assert tab.one("#query").get_attribute("placeholder") == f"Search: {examples[0]}"
    for one in examples:
        ask(tab, gallery, one)
        assert tab.names(), one


def test_hostile_questions_and_captions_stay_text(tab: Tab, tmp_path: Path) -> None:
    made = [
        describe(paint(tmp_path / f"{i}.png"), f"Here: {t}", {t: [(0.1, 0.1, 0.9, 0.9)]})
        for i, t in enumerate(HOSTILE)
    ]
    page = build_gallery(made, tmp_path / "out")
    tab.open(page)
    box = tab.one("#query")
    for text in (*HOSTILE, *HOSTILE_QUESTIONS):
        # As from a bookmark; a lone surrogate has no address.
        whole = text.encode("utf-8", "replace").decode()
        tab.js("location.hash = arguments[0]", f"q={quote(whole[:300])}")
        line = whole[:200].replace("\r", "").replace("\n", "")
        tab.until(lambda line=line: box.get_attribute("value") == line)
        assert not tab.all("#reading :not(b, bdi), #nearest-text :not(bdi)")
        if text in HOSTILE:
            tab.until(lambda i=HOSTILE.index(text): f"{i}.png" in tab.names())
    assert tab.js("return globalThis.hacked") is None


def test_on_a_phone_and_with_files_of_data(tab: Tab, tmp_path: Path) -> None:
    phone(tab, 390)
    many = [describe(f"/nowhere/{i}.png", scores=i / 1500) for i in range(1500)]
    page = build_gallery(many, tmp_path / "out")
    assert (tmp_path / "out" / "data").is_dir()
    ask(tab, page, "two dogs right of a house behind a tree")
    assert tab.names() == []
    ask(tab, page, "a dog at the right of the picture")
    assert len(tab.all(".card")) > 3
    assert tab.one("#count").text == "750 of 1,500 pictures"
    assert tab.js("return document.documentElement.scrollWidth <= innerWidth")
