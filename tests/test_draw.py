"""Drawing: pixels where they belong, colours that stay, vectors that parse."""

from __future__ import annotations

import itertools
import random
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosmoscope.draw import (
    DrawStyle,
    annotate,
    annotate_svg,
    phrase_colour,
    picture_colours,
    raster,
)
from kosmoscope.draw.palette import BASE, PALETTE
from kosmoscope.draw.plan import DARK, PAPER, make_plan
from kosmoscope.draw.strip import BACKGROUND
from kosmoscope.draw.text import measure, shorten
from kosmoscope.errors import BoxError, EmptyImageError, OptionError, UnsupportedImageError
from kosmoscope.results import Description
from kosmoscope.types import Box, Entity, ImageInfo

XYXY = tuple[float, float, float, float]
SVG = "{http://www.w3.org/2000/svg}"
PLAIN = DrawStyle(labels=False)


def told(wh: tuple[int, int], *entities: tuple[str, list[XYXY]]) -> Description:
    """A description whose caption holds the entities' phrases at their spans."""
    caption, found = "An image of", []
    for phrase, boxes in entities:
        start = len(caption) + 1
        caption += f" {phrase}"
        spans = (start, start + len(phrase))
        found.append(Entity(phrase, spans, tuple(Box.of(b, wh, 0.875) for b in boxes)))
        caption += ","
    return Description(
        ImageInfo("x", *wh), "", "", "", caption, "", "", "", "", tuple(found), (), "stop"
    )


def grey(w: int, h: int) -> np.ndarray:
    return np.full((h, w, 3), 128, np.uint8)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after[: before.shape[0]]).any(axis=-1)


# Pixels


def test_the_line_is_where_the_box_is_and_nothing_else_changes() -> None:
    d = told((400, 200), ("a dog", [(0.25, 0.25, 0.75, 0.75)]))
    out = annotate(grey(400, 200), d, PLAIN)
    (frame,) = make_plan(d, (400, 200), PLAIN).frames
    assert frame.rect == (100, 50, 300, 150)
    colour = phrase_colour("a dog")
    ring = np.zeros((200, 400), bool)
    ring[50:150, 100:300] = True
    t = frame.line
    ring[50 + t : 150 - t, 100 + t : 300 - t] = False
    assert (out[ring] == colour).all()
    rims = np.zeros_like(ring)
    o, i = frame.rim_out, t + frame.rim_in
    rims[50 - o : 150 + o, 100 - o : 300 + o] = True
    rims[50 + i : 150 - i, 100 + i : 300 - i] = False
    assert (changed(grey(400, 200), out) == rims).all()
    assert (out[rims & ~ring] < 100).all()  # darker than the grey around it


@pytest.mark.parametrize("ground", [0, 255])
@pytest.mark.parametrize("colour", PALETTE)
def test_lines_and_words_stand_out(colour: tuple[int, int, int], ground: int) -> None:
    """WCAG contrast: 3:1 for graphics against the rim or the ground, 4.5:1 for words."""
    assert max(contrast(colour, (ground,) * 3), contrast(colour, DARK)) >= 3
    assert contrast(colour, BACKGROUND) >= 4.5
    assert contrast(colour, (0, 0, 0)) >= 4.5  # digits on it


def test_only_plates_lines_and_leaders_change_the_picture() -> None:
    rng = np.random.default_rng(0)
    before = rng.integers(0, 256, (300, 500, 3), dtype=np.uint8)
    d = told((500, 300), ("a dog", [(0.1, 0.2, 0.4, 0.6)]), ("a cat", [(0.3, 0.4, 0.9, 0.95)]))
    plan = make_plan(d, (500, 300), DrawStyle())
    may = np.zeros((300, 500), bool)
    for frame in plan.frames:
        x1, y1, x2, y2 = frame.rect
        o, i = frame.rim_out, frame.line + frame.rim_in
        ring = np.zeros_like(may)
        ring[y1 - o : y2 + o, x1 - o : x2 + o] = True
        ring[y1 + i : y2 - i, x1 + i : x2 - i] = False
        may |= ring
    for _, place in plan.labels:
        x1, y1, x2, y2 = place.plate
        assert changed(before, annotate(before, d))[y1:y2, x1:x2].mean() > 0.9
        may[y1:y2, x1:x2] = True
    assert not (changed(before, annotate(before, d)) & ~may).any()


def test_the_picture_handed_in_is_not_touched_and_the_result_repeats() -> None:
    before = grey(300, 200)
    before.setflags(write=False)
    d = told((300, 200), ("a dog", [(0.1, 0.1, 0.9, 0.9)]))
    first = annotate(before, d)
    assert first.flags.writeable
    assert (before == 128).all()
    assert (first == annotate(before, d)).all()


def test_plates_show_the_ground_and_their_words() -> None:
    d = told((800, 600), ("a dog", [(0.2, 0.3, 0.8, 0.8)]))
    (label,) = make_plan(d, (800, 600), DrawStyle()).labels
    plate, place = label
    x1, y1, x2, y2 = place.plate
    for ground in (0, 255):
        out = annotate(np.full((600, 800, 3), ground, np.uint8), d)[y1:y2, x1:x2]
        badge, words = out[:, : plate.badge], out[:, plate.badge :]
        assert (badge == phrase_colour("a dog")).all(axis=-1).mean() > 0.5
        assert (badge == 0).all(axis=-1).any()  # the digit
        assert (words == PAPER).all(axis=-1).any()
        clear = round(ground * (1 - DrawStyle().plate_opacity))
        assert abs(int(np.median(words)) - clear) < 12


def test_a_small_box_is_drawn_over_a_large_one() -> None:
    whole, small = (0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 0.3, 0.3)
    for order in ((("a", [whole]), ("b", [small])), (("b", [small]), ("a", [whole]))):
        d = told((200, 200), *order)
        colours = picture_colours(["a", "b"])
        out = annotate(grey(200, 200), d, PLAIN)
        assert tuple(out[0, 10]) == colours["b"]
        assert tuple(out[0, 150]) == colours["a"]


def test_boxes_that_coincide_are_both_seen() -> None:
    d = told((200, 200), ("a", [(0.1, 0.1, 0.9, 0.9)]), ("b", [(0.1, 0.1, 0.9, 0.9)]))
    out = annotate(grey(200, 200), d, PLAIN).reshape(-1, 3)
    for colour in picture_colours(["a", "b"]).values():
        assert (out == colour).all(axis=-1).sum() > 500


def test_boxes_of_one_phrase_share_colour_and_number() -> None:
    d = told((900, 600), ("a sky", []), ("dogs", [(0.1, 0.1, 0.3, 0.3), (0.5, 0.5, 0.9, 0.9)]))
    plan = make_plan(d, (900, 600), DrawStyle())
    assert {frame.colour for frame in plan.frames} == {picture_colours(["a sky", "dogs"])["dogs"]}
    plates = [plate for plate, _ in plan.labels]
    assert [plate.number for plate in plates] == ["2", "2"]  # entities without a box count
    assert [plate.text for plate in plates] == ["", "dogs"]  # words on the largest


def test_the_normalised_box_is_drawn_at_whatever_size_the_picture_has() -> None:
    d = told((4000, 2000), ("a dog", [(0.25, 0.25, 0.75, 0.75)]))
    out = annotate(grey(400, 200), d, PLAIN)
    assert tuple(out[100, 100]) == phrase_colour("a dog")


def test_lines_and_text_grow_with_the_picture() -> None:
    d = told((400, 300), ("a dog", [(0.2, 0.2, 0.8, 0.8)]))
    small, large = (make_plan(d, wh, DrawStyle()) for wh in ((400, 300), (4000, 3000)))
    assert large.line >= 3 * small.line
    assert large.labels[0][0].text_px >= 4 * small.labels[0][0].text_px
    double = make_plan(d, (4000, 3000), DrawStyle(scale=2))
    assert double.labels[0][0].text_px == pytest.approx(2 * large.labels[0][0].text_px, abs=1)


@pytest.mark.parametrize("wh", [(1, 1), (8, 8), (1, 500), (500, 1), (31, 31), (33, 40), (3000, 40)])
@pytest.mark.parametrize("style", [DrawStyle(), DrawStyle(caption=True, scores=True, scale=10)])
def test_any_size(wh: tuple[int, int], style: DrawStyle) -> None:
    boxes = [(i / 70, i / 80, i / 70 + 0.1, i / 80 + 0.2) for i in range(60)]
    d = told(wh, *((f"thing {i}", [box]) for i, box in enumerate(boxes)))
    out = annotate(grey(*wh), d, style)
    assert out.shape[0] >= wh[1]
    assert out.shape[1:] == (wh[0], 3)
    assert changed(grey(*wh), out).any()
    ET.fromstring(annotate_svg(d, style=style))


def test_nothing_to_draw() -> None:
    before = grey(50, 40)
    assert (annotate(before, told((50, 40))) == before).all()
    assert (annotate(before, told((50, 40), ("unseen", []))) == before).all()


def test_twelve_megapixels() -> None:
    before = np.zeros((3000, 4000, 3), np.uint8)
    d = told((4000, 3000), *((f"thing {i}", [(i / 20, 0.1, i / 20 + 0.3, 0.9)]) for i in range(12)))
    out = annotate(before, d)
    assert 0 < changed(before, out).mean() < 0.2


@pytest.mark.parametrize(
    "phrase",
    [
        "雪 and 犬", "שלום עולם", "سلام دنیا", "🐶🏽‍🦺", "e\u0301" * 30, "\U0010ffff\ud800",
        "\n\r\t\x00\x1b",
        "", " ", "w" * 5000, "\u202eevil", "<b>&amp;</b>\"'", "नमस्ते", "\ue000\U000f0000",
    ],
)  # fmt: skip
def test_any_phrase(phrase: str) -> None:
    d = told((640, 480), (phrase, [(0.1, 0.1, 0.9, 0.9)]))
    style = DrawStyle(caption=True, scores=True)
    assert annotate(grey(640, 480), d, style).shape[0] > 480
    ET.fromstring(annotate_svg(d, style=style).encode())


def test_a_letter_that_the_font_lacks_is_a_visible_box() -> None:
    def words(phrase: str) -> np.ndarray:
        d = told((640, 480), (phrase, [(0.1, 0.3, 0.9, 0.9)]))
        (label,) = make_plan(d, (640, 480), DrawStyle()).labels
        x1, y1, x2, y2 = label[1].plate
        return annotate(np.zeros((480, 640, 3), np.uint8), d)[y1:y2, x1 + label[0].badge : x2]

    assert (words("犬").max(axis=-1) > 100).sum() > 15
    assert (words("犬") == words("雪")).all()


def test_long_phrases_are_cut_with_an_ellipsis() -> None:
    long = "a very long phrase about many things in the picture " * 3
    d = told((640, 480), (long, [(0.1, 0.3, 0.9, 0.9)]))
    (label,) = make_plan(d, (640, 480), DrawStyle()).labels
    assert label[0].text.endswith("…")
    assert label[0].size_wh[0] < 0.5 * 640
    assert label[0].title == long.strip()
    (label,) = make_plan(d, (640, 480), DrawStyle(label_share=0)).labels
    assert label[0].text == ""


@given(st.text(max_size=60), st.integers(8, 40), st.floats(0, 400))
@settings(deadline=None)
def test_cut_text_fits(text: str, size: int, width: float) -> None:
    assert measure(shorten(text, size, width), size) <= width


def test_scores_are_shown_where_there_are_any() -> None:
    box = Box.of((0.1, 0.3, 0.9, 0.9), (640, 480))
    d = told((640, 480), ("a dog", [box.xyxy]))
    assert make_plan(d, (640, 480), DrawStyle(scores=True)).labels[0][0].text == "a dog 0.88"
    without = Description.from_dict(
        {**d.to_dict(), "entities": [{**d.to_dict()["entities"][0], "boxes": [vars_of(box)]}]}
    )
    assert make_plan(without, (640, 480), DrawStyle(scores=True)).labels[0][0].text == "a dog"


def vars_of(box: Box) -> dict[str, object]:
    return {"xyxy": box.xyxy, "xyxy_px": box.xyxy_px, "score": None, "refined": None}


# The strip


def test_the_caption_strip_is_below_and_in_colours() -> None:
    d = told((640, 480), ("a dog", [(0.1, 0.1, 0.9, 0.9)]), ("a cat", []))
    out = annotate(grey(640, 480), d, DrawStyle(caption=True))
    assert (out[:480] == annotate(grey(640, 480), d)).all()
    strip = out[480:].reshape(-1, 3)
    assert (strip == BACKGROUND).all(axis=-1).mean() > 0.5
    for colour in picture_colours(["a dog", "a cat"]).values():
        assert (strip == colour).all(axis=-1).any()


@given(st.integers(20, 900), st.lists(st.text(max_size=30), max_size=12))
@settings(max_examples=60, deadline=None)
def test_the_strip_stays_inside(width: int, phrases: list[str]) -> None:
    d = told((width, 200), *((p, []) for p in phrases))
    strip = make_plan(d, (width, 200), DrawStyle(caption=True)).strip
    if strip is None:
        assert width < 130
        return
    for run in strip.runs:
        assert 0 <= run.x <= run.x + run.width <= width
        assert 0 < run.baseline < strip.height


def test_the_strip_says_the_caption() -> None:
    d = told((500, 400), ("a dog", []), ("two cats", []))
    strip = make_plan(d, (500, 400), DrawStyle(caption=True)).strip
    assert strip is not None
    assert [(r.text, r.entity, r.chip) for r in strip.runs] == [
        ("An image of", None, False),
        ("1", 0, True),
        ("a dog", 0, False),
        (",", None, False),
        ("2", 1, True),
        ("two cats", 1, False),
        (",", None, False),
    ]


# Colours


def test_colours_are_the_same_in_every_run() -> None:
    """Fixed values: a change of the hash or the palette changes everybody's pictures."""
    assert phrase_colour("a snowman") == (255, 0, 30)
    assert phrase_colour("a campfire") == (150, 90, 225)
    assert phrase_colour("A  Snowman ") == phrase_colour("a snowman")


@given(st.lists(st.text(max_size=8), max_size=60), st.randoms())
def test_colours_follow_the_set_of_phrases(phrases: list[str], rng: random.Random) -> None:
    colours = picture_colours(phrases)
    shuffled = phrases[:]
    rng.shuffle(shuffled)
    assert picture_colours(shuffled) == colours
    assert set(colours) == set(phrases)
    kinds = {" ".join(p.casefold().split()) for p in phrases}
    assert len(set(colours.values())) == min(len(kinds), len(PALETTE))


def test_a_phrase_alone_has_its_own_colour_and_most_keep_it_in_company() -> None:
    assert picture_colours(["a dog"]) == {"a dog": phrase_colour("a dog")}
    phrases = [f"thing {i}" for i in range(BASE)]
    colours = picture_colours(phrases)
    firsts = {phrase_colour(p) for p in phrases}
    assert sum(colours[p] == phrase_colour(p) for p in phrases) == len(firsts)


LINEAR_TO_SEEN = {
    # Machado, Oliveira and Fernandes 2009, table of severity 1.
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
               [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


def linear(colour: tuple[int, int, int]) -> np.ndarray:
    c = np.array(colour) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
    """WCAG 2 contrast ratio."""
    dark, light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b))
    return (light + 0.05) / (dark + 0.05)


def oklab(rgb_linear: np.ndarray) -> np.ndarray:
    """Ottosson 2020."""
    lms = np.array(
        [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
         [0.0883024619, 0.2817188376, 0.6299787005]]
    )  # fmt: skip
    lab = np.array(
        [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
         [0.0259040371, 0.7827717662, -0.8086757660]]
    )  # fmt: skip
    return lab @ np.cbrt(lms @ np.clip(rgb_linear, 0, 1))


@pytest.mark.parametrize(("count", "least"), [(6, 0.11), (BASE, 0.096), (len(PALETTE), 0.05)])
@pytest.mark.parametrize("vision", LINEAR_TO_SEEN)
def test_colours_differ_for_every_kind_of_eye(vision: str, count: int, least: float) -> None:
    seen = [oklab(np.array(LINEAR_TO_SEEN[vision]) @ linear(c)) for c in PALETTE[:count]]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) >= least


# SVG


def test_svg_holds_every_box_and_label() -> None:
    nasty = "<b>&\"quoted\" 'x'\n\x00</b>"
    d = told((640, 480), (nasty, [(0.25, 0.25, 0.5, 0.5), (0.6, 0.6, 0.9, 0.9)]), ("a cat", []))
    text = annotate_svg(d, image_href='a"b&c<d>.jpg', style=DrawStyle(caption=True))
    assert nasty not in text
    root = ET.fromstring(text)
    plan = make_plan(d, (640, 480), DrawStyle(caption=True))
    assert plan.strip is not None
    assert root.get("viewBox") == f"0 0 640 {480 + plan.strip.height}"
    image = root.find(f"{SVG}image")
    assert image is not None
    assert image.get("href") == 'a"b&c<d>.jpg'
    boxes = root.findall(f".//{SVG}g[@class='box']")
    assert [b.get("data-entity") for b in boxes] == ["1", "1"]
    line = boxes[-1].findall(f"{SVG}rect")[1]
    half = plan.frames[-1].line / 2
    assert float(line.get("x", "")) == plan.frames[-1].rect[0] + half
    labels = root.findall(f".//{SVG}g[@class='label']")
    assert {t.text for g in labels for t in g.iter(f"{SVG}title")} == {"<b>&\"quoted\" 'x' </b>"}
    shown = [t.text for g in labels for t in g.iter(f"{SVG}text")]
    assert shown.count("1") == 2
    assert "<b>&\"quoted\" 'x' </b>" in shown


def test_svg_alone_has_no_picture_and_leaders_where_needed() -> None:
    many = [(f"thing number {i}", [(0.5, 0.5, 0.505, 0.505)]) for i in range(12)]
    d = told((640, 480), *many)
    root = ET.fromstring(annotate_svg(d))
    assert root.find(f"{SVG}image") is None
    plan = make_plan(d, (640, 480), DrawStyle())
    leaders = sum(place.leader is not None for _, place in plan.labels)
    assert leaders > 0
    assert len(root.findall(f".//{SVG}circle")) == leaders


def test_leaders_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    d = told((1200, 900), *((f"thing number {i}", [(0.5, 0.5, 0.505, 0.505)]) for i in range(12)))
    out = annotate(grey(1200, 900), d)
    monkeypatch.setattr(raster, "draw_leader", lambda *_: None)
    assert (out != annotate(grey(1200, 900), d)).any()


@given(*[st.floats(-20, 220)] * 4)
@settings(max_examples=50, deadline=None)
def test_a_leader_is_where_its_ends_say(x1: float, y1: float, x2: float, y2: float) -> None:
    """Drawn tile by tile as if it had been drawn at once: all near the segment, nothing else."""
    out = np.zeros((150, 200, 3), np.uint8)
    raster._stroke(out, (x1, y1), (x2, y2), 3.0, (255, 255, 255), 1.0)
    rows, columns = np.mgrid[0:150, 0:200] + 0.5
    d = np.array([x2 - x1, y2 - y1])
    t = ((columns - x1) * d[0] + (rows - y1) * d[1]) / max(float(d @ d), 1e-12)
    t = np.clip(t, 0, 1)
    distance = np.hypot(columns - x1 - t * d[0], rows - y1 - t * d[1])
    expected = 255 * np.clip(3.5 - distance, 0, 1)
    assert np.abs(out - expected[..., None]).max() <= 1


# What is refused


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 0}, {"scale": float("nan")}, {"scale": 11}, {"box_width": -1},
        {"text_size": "big"},
        {"plate_opacity": 1.5}, {"plate_opacity": -0.1}, {"label_share": 2},
    ],
)  # fmt: skip
def test_styles_out_of_range(options: dict) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        DrawStyle(**options)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), [[1]]],
)
def test_arrays_that_are_no_pictures(array: object) -> None:
    with pytest.raises(UnsupportedImageError, match="expected"):
        annotate(array, told((4, 4)))


def test_empty_pictures_and_broken_boxes() -> None:
    with pytest.raises(EmptyImageError):
        annotate(np.zeros((0, 4, 3), np.uint8), told((4, 4)))
    with pytest.raises(EmptyImageError):
        annotate_svg(told((0, 4)))
    with pytest.raises(BoxError):
        annotate(grey(4, 4), told((4, 4), ("x", [(0.5, 0.5, float("nan"), 1.0)])))
    with pytest.raises(BoxError):
        annotate(grey(4, 4), told((4, 4), ("x", [(0.5, 0.5, 0.4, 1.0)])))
