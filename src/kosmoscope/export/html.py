"""HTML: one self-contained page with a table; no script, no picture, nothing from elsewhere.

A sketch in each row shows where the boxes are. For pictures there is the gallery.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

from kosmoscope.export.names import printable
from kosmoscope.export.pictures import inside
from kosmoscope.export.vocabulary import Report, Vocabulary
from kosmoscope.types import XYXY, GroundedCaption

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
    return "".join(html_chunks(descriptions, vocabulary))


def html_chunks(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary, report: Report | None = None
) -> Iterator[str]:
    """Yield the page, row by row."""
    report = report if report is not None else Report()
    pictures: set[str] = set()
    styles = "\n".join(f".c{i} {{ --c: {colour}; }}" for i, colour in enumerate(COLOURS))
    yield _HEAD.replace("COLOURS", styles)
    for description in descriptions:
        pictures.add(description.image.path)
        report.descriptions += 1
        report.pictures = len(pictures)
        yield _row(description, vocabulary, report)
    yield _END


def _text(text: str) -> str:
    return html.escape(printable(text), quote=True)


def _row(description: GroundedCaption, vocabulary: Vocabulary, report: Report) -> str:
    image = description.image
    boxes: list[tuple[str, str, XYXY, float | None, str]] = []
    for entity in description.entities:
        label, known = vocabulary.look_up(entity.phrase)
        if not known:
            report.unmapped[entity.phrase] += 1
        for box in entity.boxes:
            xyxy_px = inside(box.xyxy_px, image)
            if label is None or xyxy_px is None:
                report.dropped += label is None
                report.unusable += label is not None
                continue
            report.boxes += 1
            report.labels[label] += 1
            boxes.append((entity.phrase, label, xyxy_px, box.score, _colour(label)))
    caption = "".join(
        _text(text)
        if entity is None or not text
        else f'<mark class="{_colour(vocabulary.label(entity.phrase) or "")}">{_text(text)}</mark>'
        for text, entity in description.pieces()
    )
    listed = "".join(
        f'<li><mark class="{colour}"><bdi>{_text(phrase)}</bdi></mark> '
        + ("" if label == phrase.lower() else f"(<bdi>{_text(label)}</bdi>) ")
        + " ".join(f"{v:.1f}" for v in xyxy)
        + ("" if score is None else f" <small>{score:.2f}</small>")
        + "</li>"
        for phrase, label, xyxy, score, colour in boxes
    )
    sketch = "".join(
        f'<rect class="{colour}" x="{x1:g}" y="{y1:g}" width="{x2 - x1:g}" height="{y2 - y1:g}">'
        f"<title>{_text(phrase)}</title></rect>"
        for phrase, _, (x1, y1, x2, y2), _, colour in boxes
    )
    about = f"{image.width} x {image.height}, {description.model} {description.precision}"
    return (
        f"<tr><td><bdi>{_text(image.path)}</bdi><br><small>{_text(about)}</small></td>"
        f'<td dir="auto">{caption}</td><td><ul>{listed}</ul></td>'
        f'<td><svg viewBox="0 0 {image.width} {image.height}" role="img" '
        f'aria-label="Sketch of the boxes">{sketch}</svg></td></tr>\n'
    )


def _colour(label: str) -> str:
    return f"c{sum(label.encode('utf-8', 'replace')) % len(COLOURS)}"
