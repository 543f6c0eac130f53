"""HTML: one self-contained page with a table; no script, no picture, nothing from elsewhere.

A sketch in each row shows where the boxes are. For pictures there is the gallery.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

from kosmoscope.export.format import FORMATS, Job, text_format
from kosmoscope.export.labelled import LabelledDescription, by_picture
from kosmoscope.export.saying import asked_for
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.files.text import markup
from kosmoscope.types import GroundedCaption

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9")
"""Okabe and Ito's, who chose them to be told apart by the colour-blind; one a class."""

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Phrases and boxes</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 1.5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8886; padding: .5rem; text-align: left; vertical-align: top;
 overflow-wrap: anywhere; }
mark { background: none; color: inherit; border-bottom: 3px solid var(--c); }
svg { width: 9rem; max-height: 9rem; background: #8882; }
rect { fill: none; stroke: var(--c); stroke-width: 2px; vector-effect: non-scaling-stroke; }
ul { margin: 0; padding: 0; list-style: none; font-variant-numeric: tabular-nums; }
small { opacity: .75; }
COLOURS
</style>
</head>
<body>
<table>
<thead><tr><th scope="col">Picture</th><th scope="col">Caption</th><th scope="col">Boxes, pixels
</th><th scope="col">Where</th></tr></thead>
<tbody>
"""
_END = "</tbody>\n</table>\n</body>\n</html>\n"


def to_html(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary = Vocabulary.phrases()
) -> str:
    """Return the page."""
    return "".join(_chunks(Job(descriptions, vocabulary)))


def _chunks(job: Job) -> Iterator[str]:
    styles = "\n".join(f".c{i} {{ --c: {colour}; }}" for i, colour in enumerate(COLOURS))
    yield _HEAD.replace("COLOURS", styles)
    yield from map(_row, by_picture(job.labelled()))
    yield _END


def _text(text: str) -> str:
    return html.escape(markup(text), quote=True)


def _row(said: list[LabelledDescription]) -> str:
    """One picture: its captions and answers, the boxes of all of them."""
    first = said[0].description
    image, boxes = first.image, [box for found in said for box in found.boxes]
    listed = "".join(
        f'<li><mark class="{_colour(box.label)}"><bdi>{_text(box.phrase)}</bdi></mark> '
        + ("" if box.label == box.phrase.lower() else f"(<bdi>{_text(box.label)}</bdi>) ")
        + " ".join(f"{v:.1f}" for v in box.xyxy_px)
        + ("" if box.score is None else f" <small>{box.score:.2f}</small>")
        + "</li>"
        for box in boxes
    )
    sketch = "".join(
        f'<rect class="{_colour(box.label)}" x="{x1:g}" y="{y1:g}" width="{x2 - x1:g}" '
        f'height="{y2 - y1:g}"><title>{_text(box.phrase)}</title></rect>'
        for box in boxes
        for x1, y1, x2, y2 in [box.xyxy_px]
    )
    about = f"{image.width} x {image.height}, {first.model} {first.precision}"
    return (
        f"<tr><td><bdi>{_text(image.path)}</bdi><br><small>{_text(about)}</small></td>"
        f'<td dir="auto">{"<hr>".join(map(_caption, said))}</td><td><ul>{listed}</ul></td>'
        f'<td><svg viewBox="0 0 {image.width} {image.height}" role="img" '
        f'aria-label="Sketch of the boxes">{sketch}</svg></td></tr>\n'
    )


def _caption(found: LabelledDescription) -> str:
    """The text with its phrases; of what is no caption the question, or that it was looked for."""
    description = found.description
    classes = {id(e.entity): _colour(e.label or "") for e in found.entities}
    text = "".join(
        _text(text)
        if entity is None or not text
        else f'<mark class="{classes[id(entity)]}">{_text(text)}</mark>'
        for text, entity in description.pieces()
    )
    return f"<small>{_text(asked)}</small> {text}" if (asked := asked_for(description)) else text


def _colour(label: str) -> str:
    return f"c{sum(label.encode('utf-8', 'replace')) % len(COLOURS)}"


HTML = FORMATS.add(
    text_format(
        "html",
        "one page with a table and sketches of the boxes; no script, no picture",
        ".html",
        _chunks,
    )
)
