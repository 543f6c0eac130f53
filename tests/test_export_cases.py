"""Descriptions for the tests of the exports: plain ones, and hostile ones at random."""

from __future__ import annotations

from hypothesis import strategies as st

from kosmoscope.results import Description
from kosmoscope.tokens import cells_to_xyxy
from kosmoscope.types import XYXY, Box, Entity, ImageInfo

HOSTILE = (
    "a man",
    "A  Man\n",
    "two dogs",
    "=cmd|' /C calc'!A0",
    "'=1+1",
    "-1",
    "@sum",
    "＝1",
    "<script>alert(1)</script>",
    "</textarea>]]>&amp;<!--",
    '"quoted", with; separators\t|',
    "nul\0and\x01control\x7f",
    "line\r\nbreaks\u2028\x85",
    "null",
    "yes",
    "1.5",
    "~",
    "- a: {b}",
    "# comment",
    "[link](javascript:1)",
    "``` fence ````",
    "\\ back\\slash \\n",
    "emoji 🎉👩‍👩‍👧",
    "\u202eright to left",
    "ünïcödé",
    "u\u0308",
    "\ufeffbom\uffff",
    "\udcff not utf-8 \ud800",
    "",
    "   ",
    "<patch_index_0001>",
    "<object>",
)
PATHS = (
    "photo.jpg",
    "a/photo.jpg",
    "b/photo.jpg",
    "b/Photo.JPG",
    "b/photo.png",
    "/abs/photo.jpg",
    "new\nline.jpg",
    "tab\tand\rreturn.jpg",
    "emoji 🎉.jpg",
    "bytes\udcff\udc80.jpg",
    "-dash.jpg",
    ".hidden",
    "=formula.jpg",
    "con.jpg",
    "quote\"'<>&.jpg",
    "x" * 240 + ".jpg",
    "https://example.org/a/photo.jpg?size=1#x",
    "<bytes>",
    "<array>",
    "no suffix",
    "trailing.",
    "..",
    "",
)
NAN, INF = float("nan"), float("inf")


def describe(
    *found: tuple[str, list[XYXY]],
    path: str = "photo.jpg",
    image_wh: tuple[int, int] = (640, 480),
    prompt: str = "An image of",
    score: float | None = 0.5,
    image: ImageInfo | None = None,
) -> Description:
    """A description whose caption is the prompt and the phrases, each with normalised boxes."""
    caption, entities = prompt, []
    for phrase, boxes in found:
        caption += " "
        span = (len(caption), len(caption) + len(phrase))
        caption += phrase
        boxed = tuple(Box.of(xyxy, image_wh, score) for xyxy in boxes)
        entities.append(Entity(phrase, span, boxed, score))
    return Description(
        image=image or ImageInfo(path, *image_wh),
        model="kosmos-2",
        precision="fp32",
        prompt=prompt,
        caption=caption,
        text=caption.removeprefix(prompt),
        tagged=f"<grounding> {caption}",
        marked=f"<grounding> {caption}",
        raw=caption,
        entities=tuple(entities),
        token_ids=(5, 6),
        finish_reason="stop",
    )


@st.composite
def _xyxy(draw: st.DrawFn) -> XYXY:
    kind = draw(st.integers(0, 9))
    if kind == 0:  # what Description.from_dict lets through
        odd = st.sampled_from((NAN, INF, -INF, -0.25, 0.0, 0.3, 1.0, 1.25))
        return (draw(odd), draw(odd), draw(odd), draw(odd))
    rows = sorted(draw(st.tuples(st.integers(0, 31), st.integers(0, 31))))
    columns = sorted(draw(st.tuples(st.integers(0, 31), st.integers(0, 31))))
    return cells_to_xyxy(rows[0] * 32 + columns[0], rows[1] * 32 + columns[1], 32)


_PHRASES = st.sampled_from(HOSTILE) | st.text(max_size=12)
_SCORES = st.none() | st.floats(0, 1) | st.just(NAN)


@st.composite
def descriptions(draw: st.DrawFn) -> Description:
    """A description with hostile phrases, paths and numbers."""
    path = draw(st.sampled_from(PATHS))
    image_wh = draw(st.sampled_from(((640, 480), (1, 1), (1, 60000), (4000, 3000))))
    caption = draw(st.sampled_from(("", "An image of", "=1")))
    entities: list[Entity] = []
    for _ in range(draw(st.integers(0, 4))):
        phrase = draw(_PHRASES)
        span = (len(caption), len(caption) + len(phrase))
        caption += phrase + draw(st.sampled_from(("", " ", ". ")))
        boxes = tuple(
            Box.of(xyxy, image_wh, draw(_SCORES), draw(st.none() | _xyxy()))
            for xyxy in draw(st.lists(_xyxy(), max_size=3))
        )
        entities.append(Entity(phrase, span, boxes, draw(_SCORES), draw(st.booleans())))
    return Description(
        image=ImageInfo(path, *image_wh),
        model="kosmos-2",
        precision="int8",
        prompt=draw(_PHRASES),
        caption=caption,
        text=caption,
        tagged=caption,
        marked=caption,
        raw=caption,
        entities=tuple(entities),
        token_ids=(),
        finish_reason="length",
    )


MANY = st.lists(descriptions(), max_size=5)
