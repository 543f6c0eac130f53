"""The gallery as files: what is in the page, what cannot get into it, what is kept and removed.

What the page does is in test_gallery_browser.py.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import kosmoscope.gallery
from kosmoscope.draw import picture_colours
from kosmoscope.errors import OptionError, OutputError
from kosmoscope.files.addresses import relative_address
from kosmoscope.gallery import build_gallery
from kosmoscope.gallery.html import MAX_PAGE_BYTES, safe_json
from kosmoscope.gallery.records import short_names
from kosmoscope.results import Description
from kosmoscope.types import XYXY, Box, Entity, ImageInfo

HOSTILE = (
    "</script><script>globalThis.hacked = 1</script>",
    "</script x='",
    "<!--<script>",
    "<img src=x onerror='globalThis.hacked = 2'>",
    "\"'`&amp;&lt;${globalThis.hacked = 3}",
    "a\u2028b\u2029c\0d\u202ee",
    "{{script}} {{data}} {{csp}} \\u003c \\",
    "]]>",
)


def describe(
    path: str | Path,
    caption: str = "An image of a house and two dogs.",
    phrases: dict[str, list[XYXY]] | None = None,
    *,
    prompt: str = "An image of",
    scores: float | None = 0.8,
    wh: tuple[int, int] = (64, 48),
) -> Description:
    """A made-up description; phrases are looked up in the caption, others have no span."""
    if phrases is None:
        phrases = {
            "a house": [(0.1, 0.1, 0.6, 0.9)],
            "two dogs": [(0.5, 0.5, 0.7, 0.9), (0.75, 0.5, 0.95, 0.9)],
        }
    entities = []
    for phrase, boxes in phrases.items():
        at = caption.find(phrase)
        span = (at, at + len(phrase)) if at >= 0 else (0, 0)
        made = tuple(Box.of(b, wh, scores) for b in boxes)
        entities.append(Entity(phrase, span, made, scores))
    image = ImageInfo(str(path), *wh)
    texts = (prompt, caption, caption, "", "", "")
    return Description(image, "pocket", "int8", *texts, tuple(entities), (), "stop")


def paint(file: Path, colour: tuple[int, int, int] = (200, 80, 40), wh: tuple[int, int] = (64, 48)):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", wh, colour).save(file)
    return file


class Elements(HTMLParser):
    """The elements of a page and the texts of its scripts, as an HTML parser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style", "title") and data.strip():
            self.raw.append((*self.tags[-1], data))

    def scripts(self, kind: str | None) -> list[str]:
        return [t for tag, a, t in self.raw if tag == "script" and a.get("type") == kind]


def rows(index: Path) -> list[Any]:
    """What the page knows of its pictures, from itself or from the files beside it."""
    page = Elements(index.read_text("utf-8"))
    found = [json.loads(t) for t in page.scripts("application/json")]
    out = [row for part in found if isinstance(part, list) for row in part]
    for _, attrs in page.tags:
        if src := attrs.get("src"):
            text = (index.parent / src).read_text("utf-8")
            out += json.loads(text[text.index("=[", text.index("]=")) + 1 : -2])
    return out


def thumbs(out: Path) -> set[str]:
    return {f.name for f in (out / "thumbs").iterdir()}


def test_what_is_written(tmp_path: Path, photos: Path) -> None:
    out = tmp_path / "new" / "gallery"
    names = ["china.jpg", "flower.jpg"]
    index = build_gallery([describe(photos / n, wh=(640, 427)) for n in names], out, title="Two")
    assert index == out / "index.html"
    assert {f.name for f in out.iterdir()} == {".kosmoscope", "index.html", "thumbs"}
    got = rows(index)
    assert [row[1] for row in got] == names, "the folder that all have in common is left out"
    for row in got:
        with Image.open(out / "thumbs" / row[4]) as thumb:
            assert thumb.size == (480, 320)
    page = Elements(index.read_text("utf-8"))
    assert ("title", {}, "Two") in page.raw
    base = json.loads(page.scripts("application/json")[0])["base"]
    assert all((out / (base + row[5])).resolve() == (photos / row[1]).resolve() for row in got)


def test_a_row_holds_what_was_said(tmp_path: Path) -> None:
    file = paint(tmp_path / "a.png")
    caption = "😀 a house, a house"
    d = describe(file, caption, {"a house": [(0.25, 0.5, 0.75, 1.0)], "elsewhere": []})
    row = rows(build_gallery([d], tmp_path / "out"))[0]
    assert row[1:4] == ["a.png", 64, 48]
    (entry,) = row[7]
    assert entry[3] == caption
    (start, end, extra, colour, score, cut, boxes), other = entry[5]
    # JavaScript counts the smiley as two.
    assert caption.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le") == "a house"
    assert (extra, score, cut) == ("", 800, 0)
    assert boxes == [2500, 5000, 7500, 10000, 800]
    assert colour == "{:02x}{:02x}{:02x}".format(
        *picture_colours(["a house", "elsewhere"])["a house"]
    )
    assert other[:3] == [-1, -1, "elsewhere"], "not in the caption: named beside it"


def test_prompts_of_one_picture_share_a_card(tmp_path: Path) -> None:
    a, b = paint(tmp_path / "a.png"), paint(tmp_path / "b.png", (1, 2, 3))
    first, second = describe(a), describe(a, "Two dogs.", {}, prompt="Describe")
    got = rows(build_gallery([first, describe(b), second, first], tmp_path / "out"))
    assert [(row[1], len(row[7])) for row in got] == [("a.png", 2), ("b.png", 1)]
    nameless = [describe("<bytes>"), describe("<bytes>", "Another.")]
    got = rows(build_gallery(nameless, tmp_path / "out"))
    assert [len(row[7]) for row in got] == [1, 1], "nothing says that they are one picture"
    assert got[0][0] != got[1][0]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(tmp_path: Path, text: str) -> None:
    name = text.replace("/", "").replace("\0", "") + ".png"
    file = paint(tmp_path / "in" / name) if os.name != "nt" else tmp_path / name
    d = describe(file, f"An image of {text}", {text: [(0, 0, 1, 1)]}, prompt=text)
    index = build_gallery([d], tmp_path / "out", title=text)
    source = index.read_text("utf-8")
    page, plain = Elements(source), Elements(build([], tmp_path / "plain"))
    assert len(page.tags) == len(plain.tags) + 1, "no element but the one that holds the data"
    assert rows(index)[0][7][0][3] == f"An image of {text}"
    meta = json.loads(page.scripts("application/json")[0])
    assert meta["prompts"] == [text]
    assert html.escape(text) in source, "the title"
    assert "\u2028" not in "".join(page.scripts("application/json"))


def build(descriptions: list[Description], out: Path) -> str:
    return build_gallery(descriptions, out).read_text("utf-8")


def test_safe_json_has_no_character_that_html_or_javascript_reads() -> None:
    everything = "".join(map(chr, range(0x3000))) + "\udfff\ud800\U0001f600"
    text = safe_json([everything])
    assert not set(text) & set("<>&\u2028\u2029\ud800\udfff")
    assert json.loads(text) == [everything]
    text.encode("utf-8")


def test_the_policy_allows_this_script_and_this_style_only(tmp_path: Path) -> None:
    page = Elements(build([describe(paint(tmp_path / "a.png"))], tmp_path / "out"))
    policy = next(a["content"] or "" for t, a in page.tags if "http-equiv" in a)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "'self' file: data:"
    for kind, texts in (
        ("script-src", page.scripts(None)),
        ("style-src", [t for tag, _, t in page.raw if tag == "style"]),
    ):
        assert len(texts) == 1
        digest = base64.b64encode(hashlib.sha256(texts[0].encode()).digest()).decode()
        assert rules[kind] == f"'sha256-{digest}'"


def test_nothing_in_the_page_points_to_the_network(tmp_path: Path) -> None:
    source = build([describe(paint(tmp_path / "a.png"))], tmp_path / "out")
    assert set(re.findall(r"https?://[^\s\"']+", source)) == {"http://www.w3.org/2000/svg"}
    page = Elements(source)
    for _, attrs in page.tags:
        for key in ("src", "href"):
            assert (attrs.get(key) or "#").startswith(("#", "data:"))
        assert not [key for key in attrs if key.startswith("on") or key == "style"]


def test_no_two_files_of_the_page_have_one_name() -> None:
    """All of them are one script, where a second function of a name would silently be the first."""
    folder = Path(kosmoscope.gallery.__file__).parent / "page"
    found = [
        name
        for file in folder.rglob("*.js")
        for name in re.findall(
            r"^(?:export )?(?:const|let|function|class) (\w+)", file.read_text("utf-8"), re.M
        )
    ]
    assert len(found) > 150
    assert [name for name, number in Counter(found).items() if number > 1] == []


def test_the_page_itself_is_small_and_stays_below_its_bound(tmp_path: Path) -> None:
    assert len(build([], tmp_path / "empty").encode()) < 135_000
    d = describe(tmp_path / "nowhere.png")
    few = [describe(f"/nowhere/{i}.png") for i in range(100)]
    index = build_gallery(few, tmp_path / "few")
    assert not (tmp_path / "few" / "data").exists()
    assert len(rows(index)) == 100
    many = [describe(f"/nowhere/{i}.png") for i in range(3000)]
    index = build_gallery(many, tmp_path / "many")
    assert index.stat().st_size < MAX_PAGE_BYTES
    data = list((tmp_path / "many" / "data").iterdir())
    assert len(data) > 1
    assert sum(f.stat().st_size for f in data) < 3000 * 300
    assert [row[1] for row in rows(index)] == [f"{i}.png" for i in range(3000)]
    assert "script-src 'sha256-" in index.read_text("utf-8")
    # One caption alone may be larger than all that.
    index = build_gallery([describe(d.image.path, "x" * 300_000)], tmp_path / "many")
    assert index.stat().st_size < MAX_PAGE_BYTES
    assert len(rows(index)[0][7][0][3]) == 300_000


def test_data_files_come_and_go_with_the_page(tmp_path: Path) -> None:
    out = tmp_path / "out"
    many = [describe(f"/nowhere/{i}.png") for i in range(1500)]
    build_gallery(many, out)
    first = {f.name for f in (out / "data").iterdir()}
    build_gallery(many[:-1], out)
    second = {f.name for f in (out / "data").iterdir()}
    assert len(first) == len(second)
    assert first != second
    build_gallery(many[:3], out)
    assert not (out / "data").exists()


def test_thumbnails_are_reused_and_removed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    a = paint(tmp_path / "a.png", (255, 0, 0), (1000, 400))
    b, twin = paint(tmp_path / "b.png", (0, 255, 0)), paint(tmp_path / "c.png", (0, 255, 0))
    build_gallery([describe(f) for f in (a, b, twin)], out)
    first = thumbs(out)
    assert len(first) == 2, "equal contents share a file"
    times = {}
    for f in (out / "thumbs").iterdir():
        os.utime(f, ns=(10**18, 10**18))
        times[f.name] = f.stat().st_mtime_ns
    (out / "thumbs" / "mine.webp").write_bytes(b"not ours")
    paint(b, (0, 0, 255))
    build_gallery([describe(f) for f in (a, b)], out)
    second = thumbs(out)
    kept = first & second
    assert len(kept) == 1, "a's is kept, b's old one is gone"
    assert len(second) == 3
    assert "mine.webp" in second, "what others put there stays"
    for name in kept:
        assert (out / "thumbs" / name).stat().st_mtime_ns == times[name], "not written again"
    build_gallery([describe(a)], out, thumbnail_px=64)
    (name,) = thumbs(out) - {"mine.webp"}
    with Image.open(out / "thumbs" / name) as thumb:
        assert thumb.size == (64, 26)


def test_pictures_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.png").touch()
    (tmp_path / "torn.png").write_bytes(paint(tmp_path / "a.png", wh=(300, 300)).read_bytes()[:90])
    (tmp_path / "text.png").write_text("hello")
    cases = {
        str(tmp_path / "gone.png"): "no such file",
        str(tmp_path / "folder.png"): "is a folder",
        str(tmp_path / "empty.png"): "empty",
        str(tmp_path / "torn.png"): "",
        str(tmp_path / "text.png"): "not a known kind",
        "https://example.org/a.png": "URLs are not fetched",
        "<array>": "not read from a file",
        "a\0b.png": "NUL",
        "": "not read from a file",
    }
    got = rows(build_gallery([describe(p) for p in cases], tmp_path / "out"))
    for row, (path, problem) in zip(got, cases.items(), strict=True):
        assert row[4] == row[5] == "", path
        assert row[6], path
        assert problem in row[6], path
        assert len(row[7][0][5]) == 2, "what was said about it is there all the same"
    assert thumbs(tmp_path / "out") == set()


def test_bad_boxes_are_left_out_and_noted(tmp_path: Path) -> None:
    bad = [(0.5, 0.5, 0.4, 0.6), (0.0, 0.0, float("nan"), 1.0), (0.0, 0.0, 2.0, 1.0)]
    d = describe(tmp_path / "a.png", "a dog", {"a dog": [(0, 0, 1, 1), *bad]}, scores=float("nan"))
    (entry,) = rows(build_gallery([d], tmp_path / "out"))[0][7]
    assert entry[5][0][4] is None
    assert entry[5][0][6] == [0, 0, 10000, 10000, None]
    assert len(entry[4]) == 3


def test_images_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(tmp_path / "photos" / "sub" / "a.png")
    d = describe("sub/a.png")
    index = build_gallery([d], tmp_path / "out", images_root=tmp_path / "photos")
    assert rows(index)[0][4]
    assert '"base":"../photos/sub/"' in index.read_text("utf-8")
    assert rows(build_gallery([d], tmp_path / "out"))[0][6] == "no such file"
    monkeypatch.chdir(tmp_path / "photos")
    assert rows(build_gallery([d], Path("gallery")))[0][4]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, photos: Path) -> None:
    descriptions = [describe(f) for f in sorted(photos.glob("*.jpg"))]
    for out in (tmp_path / "one", tmp_path / "two"):
        build_gallery(iter(descriptions), out)
    one = {f.relative_to(tmp_path / "one"): f.read_bytes() for f in files(tmp_path / "one")}
    two = {f.relative_to(tmp_path / "two"): f.read_bytes() for f in files(tmp_path / "two")}
    assert len(one) == 8
    assert one == two


def files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.rglob("*") if f.is_file())


def test_names_and_addresses(tmp_path: Path) -> None:
    assert short_names(["a/b/c.png", "a/b/d/e.png", "a/bc.png"]) == [
        "b/c.png",
        "b/d/e.png",
        "bc.png",
    ]
    assert short_names(["/x/a.png"]) == ["a.png"]
    assert short_names(["a\u202egnp.exe"]) == ["a\\u202egnp.exe"]
    assert short_names([]) == []
    out = tmp_path / "out"
    assert relative_address(out / "javascript:alert(1).png", out) == "javascript%3Aalert%281%29.png"
    assert relative_address(tmp_path / 'a b#?%"<.png', out) == "../a%20b%23%3F%25%22%3C.png"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are Unicode there")
def test_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    file = paint(tmp_path / "a.png").rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    row = rows(build_gallery([describe(file)], tmp_path / "out"))[0]
    assert row[1] == "caf\\udce9.png"
    assert row[4]
    assert "caf%E9.png" in (tmp_path / "out" / "index.html").read_text("utf-8")


def test_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    many = [describe(f"/nowhere/{i}.png") for i in range(5)]
    build_gallery(many, tmp_path / "out", progress=lambda done, of: seen.append((done, of)))
    assert seen == [(i, 5) for i in range(1, 6)]


@pytest.mark.parametrize("px", [63, 2049, True, 480.0, "480"])
def test_sizes_that_are_refused(tmp_path: Path, px: Any) -> None:
    with pytest.raises(OptionError, match="thumbnail_px is"):
        build_gallery([], tmp_path / "out", thumbnail_px=px)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        build_gallery([], tmp_path / "file")


def test_a_failure_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    file = paint(tmp_path / "a.png")
    build_gallery([describe(file)], out)
    before = {f: f.read_bytes() for f in files(out)}

    def fails(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OutputError, match="no space left"):
        build_gallery([describe(file, "Another."), describe("b.png")], out)
    monkeypatch.undo()
    assert {f: f.read_bytes() for f in files(out)} == before, "and no part of the new one"
