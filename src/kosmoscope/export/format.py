"""What an export format is: one record, made where the format is.

>>> def lines(job: Job) -> Iterator[str]:
...     for found in job.labelled():
...         yield " ".join(box.label for box in found.boxes) + "\\n"
>>> FORMATS.add(text_format("labels", "a line of classes a description", ".txt", lines))

From then on `export`, `exported`, `Description.export` and the command line know "labels".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

from kosmoscope.errors import ImageError, OptionError
from kosmoscope.export.folder import export_folder, origin
from kosmoscope.export.labelled import LabelledDescription, Report, labelled, unlabelled
from kosmoscope.export.names import suffix, unique_stems
from kosmoscope.export.pictures import LabelledPicture, merge
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.files.writing import replacing, told
from kosmoscope.registry import Registry
from kosmoscope.types import GroundedCaption

_SURROGATE = re.compile("[\ud800-\udfff]")

Takes = Literal["descriptions", "segmentations"]
Pictures = Literal["none", "link", "copy"]
Files = Iterator[tuple[str, Any]]
"""A folder's files as they are made: relative name, and text, bytes or data for JSON."""


@dataclass(frozen=True)
class Job:
    """What is to be exported, and how. It is gone through once, by one of its methods."""

    found: Iterable[Any]
    """Descriptions or segmentations."""
    vocabulary: Vocabulary = field(default_factory=Vocabulary.phrases)
    report: Report = field(default_factory=Report)
    out: Path | None = None
    """The file or folder that is written; None where only the value is wanted."""
    overwrite: bool = False
    place: Pictures = "none"
    """Whether the pictures are put into the folder."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the format's own `options` were given."""
    merge_iou: float | None = None
    """From which overlap on boxes of several descriptions are one; None: as `merge` has it."""
    min_score: float | None = None
    """Segments of a lower score are left out. (Of descriptions such boxes are gone already.)"""
    stream: BinaryIO | None = None
    """Where a file is written to instead of to `out`."""
    lenient: bool = False
    """A picture that cannot be put into the folder is left out and reported."""

    def descriptions(self) -> Iterator[GroundedCaption]:
        """Yield descriptions as they are, counted with all their boxes."""
        return unlabelled(self.found, self.report)

    def labelled(self) -> Iterator[LabelledDescription]:
        """Yield descriptions with their labels, counted."""
        return labelled(self.found, self.vocabulary, self.report)

    @cached_property
    def pictures(self) -> list[LabelledPicture]:
        """All pictures with their labelled boxes; descriptions of one picture are merged."""
        found = merge(self.found, self.vocabulary, self.report, merge_iou=self.merge_iou)
        return found if self.place == "none" else [one for one in found if self._is_there(one)]

    def _is_there(self, picture: LabelledPicture) -> bool:
        try:
            origin(picture.image.path)
        except ImageError as e:
            if not self.lenient:
                raise
            self.report.left_out(e, [box.label for box in picture.boxes])
            return False
        return True

    @cached_property
    def stems(self) -> list[str]:
        """A file stem for each of the pictures."""
        return unique_stems([picture.image for picture in self.pictures])

    @property
    def names(self) -> list[str]:
        """The file name of each of the pictures, where it is put into the folder."""
        pairs = zip(self.stems, self.pictures, strict=True)
        return [stem + suffix(picture.image.path) for stem, picture in pairs]

    @property
    def target(self) -> Path:
        """The file or folder that is written."""
        if self.out is None:
            raise OptionError("a path is needed to write to")
        return self.out

    @contextmanager
    def new_file(self) -> Iterator[BinaryIO]:
        """Open the file that is written, as `kosmoscope.files.writing.replacing` does."""
        if self.stream is not None:
            yield self.stream
            return
        with told(self.target):
            self.target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.target, overwrite=self.overwrite, durable=True) as file:
            yield file


@dataclass(frozen=True, slots=True)
class Format:
    """One export format. Usually made with `text_format` or `folder_format`."""

    name: str
    summary: str
    """What it carries, in a line."""
    suffix: str
    """Of the file, with its dot; empty: a folder is written."""
    value: Callable[[Job], Any]
    """Without files: text, or a folder's files by name, or the format's own data."""
    write: Callable[[Job], None]
    """Writes to `Job.out`, whole or not at all."""
    takes: Takes = "descriptions"
    pictures: str | None = None
    """Where in the folder pictures are put ("images/"); None: it has no place for them."""
    needs_pictures: bool = False
    """What reads the folder looks for the pictures in it."""
    options: tuple[str, ...] = ()
    """The names of options that only this format has."""


FORMATS: Registry[Format] = Registry("format")


def formats(takes: Takes = "descriptions") -> tuple[str, ...]:
    """Return the names of the formats for descriptions, or of those for segmentations."""
    return tuple(sorted(format.name for format in FORMATS if format.takes == takes))


def text_format(
    name: str,
    summary: str,
    suffix: str,
    chunks: Callable[[Job], Iterator[str]],
    *,
    takes: Takes = "descriptions",
    options: tuple[str, ...] = (),
) -> Format:
    """Return the record of a format that is one file of text, written as its chunks come."""

    def write(job: Job) -> None:
        with job.new_file() as file:
            file.writelines(chunk.encode() for chunk in chunks(job))

    def value(job: Job) -> str:
        return "".join(chunks(job))

    return Format(name, summary, suffix, value, write, takes, options=options)


def folder_format(
    name: str,
    summary: str,
    files: Callable[[Job], Files],
    *,
    value: Callable[[Job], Any] | None = None,
    takes: Takes = "descriptions",
    pictures: str | None = None,
    needs_pictures: bool = False,
    options: tuple[str, ...] = (),
    indent: int | None = 1,
) -> Format:
    """Return the record of a format that is a folder.

    Args:
        name: what people type.
        summary: as of `Format`.
        files: yields the folder's files as they are made.
        value: as of `Format`; the files by name unless given.
        takes: as of `Format`.
        pictures: as of `Format`.
        needs_pictures: as of `Format`.
        options: as of `Format`.
        indent: of JSON; None for everything on a line.
    """

    def write(job: Job) -> None:
        with export_folder(job.target, to=name, overwrite=job.overwrite) as folder:
            for file, content in files(job):
                if not isinstance(content, str | bytes):
                    content = json_text(content, indent)
                folder.write(file, content)
            if job.place != "none" and pictures is not None:
                for picture, file in zip(job.pictures, job.names, strict=True):
                    folder.place(pictures + file, picture.image.path, link=job.place == "link")

    return Format(
        name,
        summary,
        "",
        value or (lambda job: dict(files(job))),
        write,
        takes,
        pictures,
        needs_pictures,
        options,
    )


def json_text(data: Any, indent: int | None) -> str:
    """Return JSON as UTF-8 can hold it; NaN never occurs.

    A file name's bytes that are not UTF-8 are escaped as Python's own JSON reads them back.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, indent=indent)
    return _SURROGATE.sub(lambda m: f"\\u{ord(m[0]):04x}", text) + "\n"
