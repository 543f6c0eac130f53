"""JSON lines: everything, exactly, as `Description.from_json` reads it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kosmoscope.export.format import FORMATS, Job, text_format
from kosmoscope.types import GroundedCaption


def to_jsonl(descriptions: Iterable[GroundedCaption]) -> str:
    """Return JSON lines that `Description.from_json` reads back, exactly."""
    return "".join(_lines(Job(descriptions)))


def _lines(job: Job) -> Iterator[str]:
    return (description.to_json() + "\n" for description in job.descriptions())


JSONL = FORMATS.add(text_format("jsonl", "everything", ".jsonl", _lines))
