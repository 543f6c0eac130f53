"""`export`: descriptions to a file or a folder, by the format's name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from kosmoscope.errors import OptionError
from kosmoscope.export import coco, html, labelme, labelstudio, markdown, tables, voc, yolo
from kosmoscope.export.atomic import Folder, Pictures, folder, replacing, write_chunks
from kosmoscope.export.names import is_file_path, suffix, unique_stems
from kosmoscope.export.pictures import Picture, merge
from kosmoscope.export.tagged import tagged_chunks
from kosmoscope.export.vocabulary import Report, Vocabulary
from kosmoscope.optional import optional
from kosmoscope.types import GroundedCaption

_Chunks = Callable[[Iterable[GroundedCaption], Vocabulary, Report], Iterator[str]]


@dataclass(frozen=True, slots=True)
class _Job:
    """What the writers of folders are given."""

    out: Path
    """Where the folder will be in the end."""
    filling: Folder
    pictures: Sequence[Picture]
    vocabulary: Vocabulary
    stems: Sequence[str]
    how: Pictures

    @property
    def names(self) -> list[str]:
        """The names of pictures that are put into the folder."""
        pairs = zip(self.stems, self.pictures, strict=True)
        return [stem + suffix(picture.image.path) for stem, picture in pairs]

    def place(self, where: str) -> None:
        """Put the pictures into a part of the folder, if they are wanted there."""
        if self.how == "none":
            return
        for picture, name in zip(self.pictures, self.names, strict=True):
            self.filling.place(where + name, picture.image.path, self.how)


def to_jsonl(descriptions: Iterable[GroundedCaption]) -> str:
    """Return JSON lines that `Description.from_json` reads back, exactly."""
    return "".join(map(_json_line, descriptions))


def _json_line(description: GroundedCaption) -> str:
    return description.to_json() + "\n"


def _jsonl(
    descriptions: Iterable[GroundedCaption], _vocabulary: Vocabulary, report: Report
) -> Iterator[str]:
    yield from map(_json_line, _counted(descriptions, report))


def _tagged(
    descriptions: Iterable[GroundedCaption], _vocabulary: Vocabulary, report: Report
) -> Iterator[str]:
    yield from tagged_chunks(_counted(descriptions, report))


def _counted(descriptions: Iterable[GroundedCaption], report: Report) -> Iterator[GroundedCaption]:
    paths: set[str] = set()
    for description in descriptions:
        paths.add(description.image.path)
        report.descriptions += 1
        report.pictures = len(paths)
        report.boxes += sum(len(entity.boxes) for entity in description.entities)
        yield description


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _write_coco(job: _Job) -> None:
    names = None if job.how == "none" else job.names
    job.filling.write("labels.json", _json(coco.instances(job.pictures, job.vocabulary, names)))
    job.filling.write("captions.json", _json(coco.captions(job.pictures, names)))
    job.place("data/")


def _write_yolo(job: _Job) -> None:
    for name, text in yolo.files(job.pictures, job.vocabulary, job.stems).items():
        job.filling.write(name, text)
    job.place("images/")


def _write_voc(job: _Job) -> None:
    for name, text in voc.files(job.pictures, job.stems, job.names).items():
        job.filling.write(name, text)
    job.place("JPEGImages/")


def _write_labelme(job: _Job) -> None:
    paths = job.names
    if job.how == "none":
        paths = [_relative(picture.image.path, job.out) for picture in job.pictures]
    for name, data in labelme.files(job.pictures, job.stems, paths).items():
        job.filling.write(name, _json(data))
    job.place("")


def _relative(path: str, out: Path) -> str:
    if not is_file_path(path):
        return path
    try:
        return os.path.relpath(path, out)
    except ValueError:  # another drive, or a NUL character
        return path


_FOLDERS: dict[str, Callable[[_Job], None]] = {
    "coco": _write_coco,
    "yolo": _write_yolo,
    "voc": _write_voc,
    "labelme": _write_labelme,
}
_TEXTS: dict[str, _Chunks] = {
    "csv": tables.csv_chunks,
    "jsonl": _jsonl,
    "markdown": markdown.markdown_chunks,
    "html": html.html_chunks,
    "tagged": _tagged,
}
_FORMATS = (*_FOLDERS, "labelstudio", "csv", "parquet", *list(_TEXTS)[1:])


def formats() -> tuple[str, ...]:
    """Return the names that `export` takes."""
    return _FORMATS


def export(
    descriptions: Iterable[GroundedCaption],
    out: Path,
    to: str,
    *,
    vocabulary: Vocabulary = Vocabulary.phrases(),
    overwrite: bool = False,
    pictures: Pictures = "none",
    report: Report | None = None,
) -> Path:
    """Write descriptions in another program's format.

    What is written is there whole or not at all. Tables and texts are written as the descriptions
    come; the formats of object detection keep labels and boxes of all pictures in memory.

    Args:
        descriptions: any number, of any pictures; several of one picture are merged for coco,
            yolo, voc and labelme.
        out: a folder for coco, yolo, voc, labelme and labelstudio; a file for the others.
        to: one of `formats()`.
        vocabulary: how phrases become classes. jsonl and tagged do without.
        overwrite: replace a file, or an earlier export's folder; other files in it stay.
        pictures: put the pictures into the folder too, as symbolic links or copies (coco, yolo,
            voc, labelme).
        report: filled with what was done.

    Returns:
        `out`.

    Raises:
        OptionError: no such format; `out` exists, or is of the wrong kind; `pictures` for a format
            that has no place for them.
        ImageNotFoundError: a picture that should be put into the folder is not there.
        KosmoscopeError: a library is missing, or `out` cannot be written.
    """
    if to not in _FORMATS:
        raise OptionError(f"format {to!r}; expected one of {', '.join(_FORMATS)}")
    if pictures not in get_args(Pictures):
        raise OptionError(f"pictures {pictures!r}; expected {', '.join(get_args(Pictures))}")
    if pictures != "none" and to not in _FOLDERS:
        raise OptionError(f"{to} has no place for pictures; only {', '.join(_FOLDERS)} have")
    report = report if report is not None else Report()
    if to in _TEXTS:
        chunks = _TEXTS[to](descriptions, vocabulary, report)
        write_chunks(out, chunks, overwrite=overwrite)
    elif to == "parquet":
        optional("pyarrow", "parquet")  # before any file is made
        with replacing(out, overwrite=overwrite) as file:
            tables.write_parquet(file, descriptions, vocabulary, report)
    elif to == "labelstudio":
        with folder(out, to=to, overwrite=overwrite) as filling:
            tasks = labelstudio.to_labelstudio(descriptions, vocabulary, report=report)
            labels = vocabulary.numbered(labelstudio.labels_in(tasks))
            filling.write("tasks.json", _json(tasks))
            filling.write("config.xml", labelstudio.labelstudio_config(labels))
    else:
        with folder(out, to=to, overwrite=overwrite) as filling:
            merged = merge(descriptions, vocabulary, report)
            stems = unique_stems([picture.image for picture in merged])
            _FOLDERS[to](_Job(out, filling, merged, vocabulary, stems, pictures))
    return out
