"""Markdown: a section a description, with the caption, the model's own links, and a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kosmoscope.export.names import base_name, one_space, printable
from kosmoscope.export.pictures import inside
from kosmoscope.export.tagged import to_links
from kosmoscope.export.vocabulary import Report, Vocabulary
from kosmoscope.types import GroundedCaption

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&$:@=^\"'])")


def markdown_text(text: str) -> str:
    """Return text as one line of Markdown that shows it as it is."""
    return _PUNCTUATION.sub(r"\\\1", one_space(printable(text)))


def to_markdown(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary = Vocabulary.phrases()
) -> str:
    """Return a Markdown document (CommonMark with tables)."""
    return "".join(markdown_chunks(descriptions, vocabulary))


def markdown_chunks(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary, report: Report | None = None
) -> Iterator[str]:
    """Yield the document, description by description."""
    report = report if report is not None else Report()
    pictures: set[str] = set()
    for description in descriptions:
        pictures.add(description.image.path)
        report.descriptions += 1
        report.pictures = len(pictures)
        if report.descriptions > 1:
            yield "\n"
        yield _section(description, vocabulary, report)


def _section(description: GroundedCaption, vocabulary: Vocabulary, report: Report) -> str:
    image = description.image
    title = markdown_text(base_name(image.path)) or "picture"
    caption = "".join(
        f"**{markdown_text(text)}**" if entity and text.strip() else _loose(text)
        for text, entity in description.pieces()
    ).strip()
    links = printable(to_links(description))
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", links)), default=0))
    lines = [
        f"## {title}",
        "",
        f"{markdown_text(image.path)}, {image.width} x {image.height} pixels, "
        f"{markdown_text(description.model)} {markdown_text(description.precision)}",
        "",
        caption or "(no caption)",
        "",
        f"{fence}text",
        links,
        fence,
    ]
    table = _table(description, vocabulary, report)
    if table:
        lines += [
            "",
            "| phrase | class | x1 | y1 | x2 | y2 | score |",
            "|---|---|--:|--:|--:|--:|--:|",
            *table,
        ]
    return "\n".join(lines) + "\n"


def _loose(text: str) -> str:
    """Escape the text between phrases, and keep the space at its ends."""
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and text.strip() else ""
    return before + markdown_text(text) + after


def _table(description: GroundedCaption, vocabulary: Vocabulary, report: Report) -> list[str]:
    lines: list[str] = []
    for entity in description.entities:
        label, known = vocabulary.look_up(entity.phrase)
        if not known:
            report.unmapped[entity.phrase] += 1
        for box in entity.boxes:
            xyxy_px = inside(box.xyxy_px, description.image)
            if label is None or xyxy_px is None:
                report.dropped += label is None
                report.unusable += label is not None
                continue
            report.boxes += 1
            report.labels[label] += 1
            corners = " | ".join(f"{v:.1f}" for v in xyxy_px)
            score = "" if box.score is None else f"{box.score:.2f}"
            names = f"{markdown_text(entity.phrase)} | {markdown_text(label)}"
            lines.append(f"| {names} | {corners} | {score} |")
    return lines
