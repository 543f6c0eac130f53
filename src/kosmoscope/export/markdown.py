"""Markdown: a section a description, with the caption, the model's own links, and a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kosmoscope.export.format import FORMATS, Job, text_format
from kosmoscope.export.labelled import LabelledBox, LabelledDescription
from kosmoscope.export.names import base_name
from kosmoscope.export.tagged import to_links
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.files.text import markup, one_space
from kosmoscope.types import GroundedCaption

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&$:@=^\"'])")


def markdown_text(text: str) -> str:
    """Return text as one line of Markdown that shows it as it is."""
    return _PUNCTUATION.sub(r"\\\1", one_space(markup(text)))


def to_markdown(
    descriptions: Iterable[GroundedCaption], vocabulary: Vocabulary = Vocabulary.phrases()
) -> str:
    """Return a Markdown document (CommonMark with tables)."""
    return "".join(_chunks(Job(descriptions, vocabulary)))


def _chunks(job: Job) -> Iterator[str]:
    for i, found in enumerate(job.labelled()):
        yield ("\n" if i else "") + _section(found)


def _section(found: LabelledDescription) -> str:
    description, image = found.description, found.description.image
    title = markdown_text(base_name(image.path)) or "picture"
    caption = "".join(
        f"**{markdown_text(text)}**" if entity and text.strip() else _loose(text)
        for text, entity in description.pieces()
    ).strip()
    links = markup(to_links(description))
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
    if found.boxes:
        lines += [
            "",
            "| phrase | class | x1 | y1 | x2 | y2 | score |",
            "|---|---|--:|--:|--:|--:|--:|",
            *map(_table_row, found.boxes),
        ]
    return "\n".join(lines) + "\n"


def _loose(text: str) -> str:
    """Escape the text between phrases, and keep the space at its ends."""
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and text.strip() else ""
    return before + markdown_text(text) + after


def _table_row(box: LabelledBox) -> str:
    names = f"{markdown_text(box.phrase)} | {markdown_text(box.label)}"
    score = "" if box.score is None else f"{box.score:.2f}"
    return f"| {names} | {' | '.join(f'{v:.1f}' for v in box.xyxy_px)} | {score} |"


MARKDOWN = FORMATS.add(
    text_format(
        "markdown", "a section a description: caption, the paper's links, a table", ".md", _chunks
    )
)
