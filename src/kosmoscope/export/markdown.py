"""Markdown: a section a picture, with the captions, the model's own links, and a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from kosmoscope.export.format import FORMATS, Job, text_format
from kosmoscope.export.labelled import LabelledBox, LabelledDescription, by_picture
from kosmoscope.export.names import base_name
from kosmoscope.export.saying import asked_for
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
    for i, said in enumerate(by_picture(job.labelled())):
        yield ("\n" if i else "") + _section(said)


def _section(said: list[LabelledDescription]) -> str:
    first = said[0].description
    title = markdown_text(base_name(first.image.path)) or "picture"
    lines = [
        f"## {title}",
        "",
        f"{markdown_text(first.image.path)}, {first.image.width} x {first.image.height} pixels, "
        f"{markdown_text(first.model)} {markdown_text(first.precision)}",
    ]
    for found in said:
        lines += _text(found)
    if boxes := [box for found in said for box in found.boxes]:
        lines += [
            "",
            "| phrase | class | x1 | y1 | x2 | y2 | score |",
            "|---|---|--:|--:|--:|--:|--:|",
            *map(_table_row, boxes),
        ]
    return "\n".join(lines) + "\n"


def _text(found: LabelledDescription) -> list[str]:
    """The caption and its links; of what is no caption the question, or that it was looked for."""
    description = found.description
    caption = "".join(
        f"**{markdown_text(text)}**" if entity and text.strip() else _loose(text)
        for text, entity in description.pieces()
    ).strip()
    if asked := asked_for(description):
        caption = f"{markdown_text(asked)} {caption}"
    links = markup(to_links(description))
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", links)), default=0))
    return ["", caption or "(no caption)", "", f"{fence}text", links, fence]


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
        "markdown", "a section a picture: captions, the paper's links, a table", ".md", _chunks
    )
)
