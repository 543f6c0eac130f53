"""Results as HTML for a notebook: the drawn picture, and words in the colours of their boxes."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kosmoscope.draw.masks import draw_segmentation, segment_colours
from kosmoscope.draw.palette import RGB, picture_colours
from kosmoscope.draw.raster import annotate
from kosmoscope.draw.svg import annotate_svg
from kosmoscope.draw.text import clean
from kosmoscope.masks import LabelMap
from kosmoscope.types import GroundedCaption

WIDTH_PX = 720
"""Pictures are shown at most so wide: they are kept inside the notebook's file."""


def caption_html(description: GroundedCaption, rgb: NDArray[np.uint8] | None) -> str:
    """Return a description for a notebook.

    Args:
        description: of the picture.
        rgb: (H, W, 3) uint8, upright; None, where it is not at hand, shows the boxes alone.
    """
    if rgb is None:
        svg = annotate_svg(description).encode("utf-8", "replace")
        shown = _picture("image/svg+xml", svg)
    else:
        # Drawn in the size in which it is seen: lines and words stay readable.
        shown = _jpeg(annotate(_small(rgb), description))
    colours = picture_colours(e.phrase for e in description.entities)
    words = "".join(
        html.escape(clean(text)).join(_ends(text))
        if entity is None
        else _word(text, colours[entity.phrase])
        for text, entity in description.pieces()
    )
    return _figure(shown, words or "(no caption)")


def label_map_html(labels: LabelMap, rgb: NDArray[np.uint8] | None) -> str:
    """Return a segmentation for a notebook; arguments as of `caption_html`."""
    colours = segment_colours(labels)
    if rgb is None:
        rgb = np.array(colours, np.uint8)[labels.labels]
    percent = labels.areas_percent()
    named = [_word(f"{s.phrase} {percent[s.id]:.0f} %", colours[s.id]) for s in labels.segments]
    small = _small(rgb)
    height, width, _ = small.shape
    rows, columns = (
        np.arange(to) * of // to for to, of in zip((height, width), rgb.shape[:2], strict=True)
    )
    seen = replace(
        labels,
        image=replace(labels.image, width=width, height=height),
        labels=labels.labels[np.ix_(rows, columns)],
    )
    return _figure(_jpeg(draw_segmentation(small, seen)), ", ".join(named) or "(no segments)")


def _ends(text: str) -> tuple[str, str]:
    """The space at both ends, which `clean` takes away."""
    return " " * text[:1].isspace(), " " * text[-1:].isspace()


def _word(text: str, colour: RGB) -> str:
    # Black on the palette's colours is readable, whatever the notebook's own theme is.
    style = "background:#{:02x}{:02x}{:02x};color:#000;border-radius:3px;padding:0 3px"
    return f'<span style="{style.format(*colour)}">{html.escape(clean(text))}</span>'


def _small(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(rgb)
    image.thumbnail((WIDTH_PX, 4 * WIDTH_PX), reducing_gap=3.0)
    return np.asarray(image)


def _jpeg(rgb: NDArray[np.uint8]) -> str:
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=85)
    return _picture("image/jpeg", out.getvalue())


def _picture(kind: str, data: bytes) -> str:
    address = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return f'<img alt="" style="max-width:min(100%,{WIDTH_PX}px)" src="{address}">'


def _figure(picture: str, words: str) -> str:
    caption = f'<figcaption dir="auto" style="line-height:1.7">{words}</figcaption>'
    return f'<figure style="margin:0">{picture}{caption}</figure>'
