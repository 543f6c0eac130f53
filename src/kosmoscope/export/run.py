"""`export` and `exported`: descriptions or segmentations in a format, by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from kosmoscope.errors import OptionError
from kosmoscope.export.format import FORMATS, Format, Job, Pictures
from kosmoscope.export.labelled import Report
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.types import GroundedCaption

if TYPE_CHECKING:
    from kosmoscope.masks import LabelMap

    Found = Iterable[GroundedCaption] | Iterable[LabelMap]


def export(
    found: Found,
    out: Path,
    to: str,
    *,
    vocabulary: Vocabulary = Vocabulary.phrases(),
    overwrite: bool = False,
    pictures: Pictures = "none",
    report: Report | None = None,
    **options: Any,
) -> Path:
    """Write descriptions or segmentations in another program's format.

    What is written is there whole or not at all. Tables and texts are written as the descriptions
    come; the formats of object detection keep labels and boxes of all pictures in memory.

    Args:
        found: descriptions, any number, of any pictures; several of one picture are merged for
            coco, yolo, voc and labelme. Or segmentations, for the formats that take them: these
            are gone through twice; an iterator is gathered for that, any other iterable (say one
            that reads files) is asked again, so that one picture at a time is in memory.
        out: a file or a folder, as the format says (`FORMATS.get(to).suffix`).
        to: one of `formats()`, or of `formats("segmentations")`.
        vocabulary: how phrases become classes. jsonl and tagged do without.
        overwrite: replace a file, or an earlier export's folder; other files in it stay.
        pictures: put the pictures into the folder too, as symbolic links or copies (coco, yolo,
            voc, labelme).
        report: filled with what was done.
        options: the format's own, see its record: `prefix` of labelstudio.

    Returns:
        `out`.

    Raises:
        OptionError: no such format; `out` exists, or is of the wrong kind; an option that the
            format does not have, or has no place for.
        ImageNotFoundError: a picture that should be put into the folder is not there.
        OutputError: `out` cannot be written.
        KosmoscopeError: a library is missing.
    """
    format = _format(to, options)
    if pictures not in get_args(Pictures):
        raise OptionError(f"pictures {pictures!r}; expected {', '.join(get_args(Pictures))}")
    if pictures != "none" and format.pictures is None:
        able = ", ".join(f.name for f in FORMATS if f.pictures is not None)
        raise OptionError(f"{to} has no place for pictures; only {able} have")
    report = report if report is not None else Report()
    format.write(Job(found, vocabulary, report, out, overwrite, pictures, options))
    return out


def exported(
    found: Found, to: str, *, vocabulary: Vocabulary = Vocabulary.phrases(), **options: Any
) -> Any:
    """Return descriptions or segmentations in another program's format, without files.

    Arguments and errors are those of `export`; the value is what the format's own function
    (`to_coco` of coco) returns: a text, a table, a folder's files by name.
    """
    format = _format(to, options)
    return format.value(Job(found, vocabulary, options=options))


def _format(to: str, options: Mapping[str, Any]) -> Format:
    format = FORMATS.get(to)
    for name in options.keys() - set(format.options):
        own = f"; its own are {', '.join(format.options)}" if format.options else ""
        where = " without a path" if name in ("overwrite", "pictures") else ""
        raise OptionError(f"{to} has no option {name!r}{where}{own}")
    return format
