"""Plan -> SVG: the same drawing as vectors, over the picture or on its own."""

from __future__ import annotations

from collections.abc import Iterable

from kosmoscope.draw.layout import Placement
from kosmoscope.draw.palette import RGB
from kosmoscope.draw.plan import DARK, PAPER, Frame, Plan, Plate, make_plan
from kosmoscope.draw.raster import CORNER, RIM_OPACITY
from kosmoscope.draw.strip import BACKGROUND, Run, Strip
from kosmoscope.draw.style import DrawStyle
from kosmoscope.draw.text import CAP_HEIGHT, clean, measure
from kosmoscope.errors import EmptyImageError
from kosmoscope.types import GroundedCaption

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
_FONTS = "'DejaVu Sans', Verdana, 'Noto Sans', sans-serif"


def annotate_svg(
    description: GroundedCaption, *, image_href: str | None = None, style: DrawStyle = DrawStyle()
) -> str:
    """Draw a description as SVG.

    The same boxes and plates as `annotate`, in the same places: the viewBox is the picture's
    pixels (with the caption's strip below them). Text is text, squeezed into its plate where
    the viewer's font is wider than ours. Every element of an entity carries
    ``data-entity="number"`` and the full phrase as its title; all text and attributes are
    escaped.

    Args:
        description: whose `entities` are drawn; `image` says how large.
        image_href: address of the picture, relative or absolute or a data URL; None: the
            overlay alone, on nothing.
        style: see `DrawStyle`.

    Raises:
        EmptyImageError: the description's picture has no pixels.
        BoxError: a box is not finite, out of range, inverted or empty.
    """
    w, h = description.image.width, description.image.height
    if w < 1 or h < 1:
        raise EmptyImageError(description.image.path, f"a picture of {w}x{h} pixels")
    plan = make_plan(description, (w, h), style)
    total = h + (plan.strip.height if plan.strip else 0)
    phrases = [clean(e.phrase) for e in description.entities]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {total}" width="{w}" '
        f'height="{total}" font-family="{_FONTS}">',
        f"<title>{_escaped(description.caption)}</title>",
    ]
    if image_href is not None:
        # A picture inside is long and made of letters and digits alone.
        href = image_href if image_href.startswith("data:image/png;base64,") else clean(image_href)
        parts.append(f'<image href="{href.translate(_ESCAPES)}" width="{w}" height="{h}"/>')
    parts.append('<g class="boxes" fill="none">')
    parts += (_frame(frame, phrases[frame.entity]) for frame in plan.frames)
    parts += ["</g>", '<g class="leaders" stroke-linecap="round">']
    parts += _leaders(plan)
    parts += ["</g>", '<g class="labels">']
    parts += (_label(plate, place, style.plate_opacity) for plate, place in plan.labels)
    parts.append("</g>")
    if plan.strip is not None:
        parts += _strip(plan.strip, w, h)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    return clean(text).translate(_ESCAPES)


def _hex(colour: RGB) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _outline(frame: Frame, grow: float, width: float, paint: str) -> str:
    """A rectangle whose stroke's outer edge is `grow` pixels outside the frame's."""
    x1, y1, x2, y2 = frame.rect
    at = width / 2 - grow
    return (
        f'<rect x="{_n(x1 + at)}" y="{_n(y1 + at)}" width="{_n(max(x2 - x1 - 2 * at, 0))}" '
        f'height="{_n(max(y2 - y1 - 2 * at, 0))}" stroke-width="{_n(width)}" {paint}/>'
    )


def _frame(frame: Frame, phrase: str) -> str:
    dark = f'stroke="{_hex(DARK)}" stroke-opacity="{RIM_OPACITY}"'
    rim = _outline(frame, frame.rim_out, frame.rim_out + frame.line + frame.rim_in, dark)
    line = _outline(frame, 0, frame.line, f'stroke="{_hex(frame.colour)}"')
    return (
        f'<g class="box" data-entity="{frame.entity + 1}">'
        f"<title>{_escaped(phrase)}</title>{rim}{line}</g>"
    )


def _leaders(plan: Plan) -> Iterable[str]:
    width = max(plan.line, 1.5)
    for plate, place in plan.labels:
        if place.leader is None:
            continue
        (x1, y1), (x2, y2) = place.leader
        line = f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"'
        colour = _hex(plate.colour)
        yield (
            f'<g data-entity="{plate.entity + 1}">'
            f'{line} stroke="{_hex(DARK)}" stroke-opacity="{RIM_OPACITY}" '
            f'stroke-width="{_n(width + 2 * plan.rim)}"/>'
            f'{line} stroke="{colour}" stroke-width="{_n(width)}"/>'
            f'<circle cx="{_n(x2)}" cy="{_n(y2)}" r="{_n(1.2 * width)}" fill="{colour}"/></g>'
        )


def _label(plate: Plate, place: Placement, opacity: float) -> str:
    x1, y1, x2, y2 = place.plate
    w, h = x2 - x1, y2 - y1
    r = min(CORNER * plate.size_wh[1], w / 2, h / 2)
    badge = min(plate.badge, w)
    baseline = y1 + round((plate.size_wh[1] + CAP_HEIGHT * plate.text_px) / 2)
    parts = [
        f'<g class="label" data-entity="{plate.entity + 1}" font-size="{plate.text_px}">',
        f"<title>{_escaped(plate.title)}</title>",
        f'<rect x="{x1}" y="{y1}" width="{w}" height="{h}" rx="{_n(r)}" '
        f'fill="{_hex(DARK)}" fill-opacity="{_n(opacity)}"/>',
        f'<rect x="{x1}" y="{y1}" width="{badge}" height="{h}" rx="{_n(r)}" '
        f'fill="{_hex(plate.colour)}"/>',
    ]
    number_at = x1 + (plate.badge - measure(plate.number, plate.text_px)) / 2
    parts.append(_text(number_at, baseline, plate.number, plate.text_px, (0, 0, 0)))
    if plate.text:
        text_at = x1 + plate.badge + plate.pad
        parts.append(_text(text_at, baseline, plate.text, plate.text_px, PAPER))
    parts.append("</g>")
    return "".join(parts)


def _text(x: float, baseline: float, text: str, text_px: int, colour: RGB) -> str:
    return (
        f'<text x="{_n(x)}" y="{_n(baseline)}" fill="{_hex(colour)}" '
        f'textLength="{_n(measure(text, text_px))}" lengthAdjust="spacingAndGlyphs">'
        f"{_escaped(text)}</text>"
    )


def _strip(strip: Strip, width: int, top: int) -> Iterable[str]:
    yield f'<g class="caption" transform="translate(0 {top})" font-size="{strip.text_px}">'
    yield f'<rect width="{width}" height="{strip.height}" fill="{_hex(BACKGROUND)}"/>'
    for run in strip.runs:
        yield _run(run, strip)
    yield "</g>"


def _run(run: Run, strip: Strip) -> str:
    text = _text(
        run.x, run.baseline, run.text, strip.text_px, (0, 0, 0) if run.chip else run.colour
    )
    if run.entity is None:
        return text
    field = ""
    if run.chip:
        x1, y1, x2, y2 = strip.chip_rect(run)
        field = (
            f'<rect x="{x1}" y="{y1}" width="{x2 - x1}" height="{y2 - y1}" '
            f'rx="{_n(CORNER * (y2 - y1))}" fill="{_hex(run.colour)}"/>'
        )
    return f'<g data-entity="{run.entity + 1}">{field}{text}</g>'
