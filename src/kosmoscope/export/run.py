"""`export` and `exported`: descriptions or segmentations in a format, by its name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast, get_args

from kosmoscope.choosing import check_share, chosen
from kosmoscope.errors import OptionError
from kosmoscope.export.format import FORMATS, Format, Job, Pictures
from kosmoscope.export.labelled import Report
from kosmoscope.export.vocabulary import Vocabulary
from kosmoscope.types import GroundedCaption

if TYPE_CHECKING:
    from kosmoscope.masks import LabelMap

    Out = TypeVar("Out", Path, BinaryIO)
    Found = Iterable[GroundedCaption] | Iterable[LabelMap]


def export(
    found: Found,
    out: Out,
    to: str,
    *,
    vocabulary: Vocabulary = Vocabulary.phrases(),
    overwrite: bool = False,
    pictures: Pictures = "none",
    report: Report | None = None,
    min_score: float | None = None,
    merge_iou: float | None = None,
    **options: Any,
) -> Out:
    """Write descriptions or segmentations in another program's format.

    What is written is there whole or not at all. Tables and texts are written as the descriptions
    come; the formats of object detection keep labels and boxes of all pictures in memory.

    Args:
        found: descriptions, any number, of any pictures; several of one picture are merged for
            coco, yolo, voc and labelme. Or segmentations, for the formats that take them: these
            are gone through twice; an iterator is gathered for that, any other iterable (say one
            that reads files) is asked again, so that one picture at a time is in memory.
        out: a file or a folder, as the format says (`FORMATS.get(to).suffix`); or a binary stream
            that a file is written to, which stays open.
        to: one of `formats()`, or of `formats("segmentations")`.
        vocabulary: how phrases become classes. jsonl and tagged do without.
        overwrite: replace a file, or an earlier export's folder; other files in it stay.
        pictures: put the pictures into the folder too, as symbolic links or copies (coco, yolo,
            voc, labelme, captions).
        report: filled with what was done. With one, a picture that cannot be put into the folder
            is noted in `report.missing` and left out with its boxes; without one it is an error.
        min_score: leave out boxes (or segments) with a lower score, 0..1; those without one stay.
        merge_iou: of boxes of one class that several descriptions of a picture have, and that
            overlap by so much, keep the one with the highest score. Unless given, 0.9 for formats
            that merge the descriptions of a picture, and none for others.
        options: the format's own, see its record: `prefix` of labelstudio and captions.

    Returns:
        `out`.

    Raises:
        OptionError: no such format; `out` exists, or is of the wrong kind; an option that the
            format does not have, or has no place for.
        ImageNotFoundError: a picture that should be put into the folder is not there, and there
            is no `report`.
        OutputError: `out` cannot be written.
        KosmoscopeError: a library is missing.
    """
    format = _format(to, options)
    if pictures not in get_args(Pictures):
        raise OptionError(f"pictures {pictures!r}; expected {', '.join(get_args(Pictures))}")
    if pictures != "none" and format.pictures is None:
        able = ", ".join(f.name for f in FORMATS if f.pictures is not None)
        raise OptionError(f"{to} has no place for pictures; only {able} have")
    stream = None if isinstance(out, Path) else out
    if stream is not None and not format.suffix:
        raise OptionError(f"{to} is a folder, which no stream can hold; expected its path")
    job = Job(
        _kept(found, format, vocabulary, min_score, merge_iou),
        vocabulary,
        Report() if report is None else report,
        out if isinstance(out, Path) else None,
        overwrite,
        pictures,
        options,
        merge_iou,
        min_score,
        stream,
        lenient=report is not None,
    )
    format.write(job)
    return out


def exported(
    found: Found,
    to: str,
    *,
    vocabulary: Vocabulary = Vocabulary.phrases(),
    min_score: float | None = None,
    merge_iou: float | None = None,
    **options: Any,
) -> Any:
    """Return descriptions or segmentations in another program's format, without files.

    Arguments and errors are those of `export`; the value is what the format's own function
    (`to_coco` of coco) returns: a text, a table, a folder's files by name.
    """
    format = _format(to, options)
    kept = _kept(found, format, vocabulary, min_score, merge_iou)
    return format.value(
        Job(kept, vocabulary, options=options, merge_iou=merge_iou, min_score=min_score)
    )


def _kept(
    found: Found,
    format: Format,
    vocabulary: Vocabulary,
    min_score: float | None,
    merge_iou: float | None,
) -> Found:
    """Return what is exported, without the boxes that are not wanted."""
    check_share("min_score", min_score)
    check_share("merge_iou", merge_iou)
    if format.takes == "segmentations" or (min_score is None and merge_iou is None):
        return found
    one_by_one = cast("Iterable[GroundedCaption]", found)
    return chosen(
        one_by_one, min_score=min_score, merge_iou=merge_iou, label=vocabulary.label, hollow=False
    )


def _format(to: str, options: Mapping[str, Any]) -> Format:
    format = FORMATS.get(to)
    for name in options.keys() - set(format.options):
        own = f"; its own are {', '.join(format.options)}" if format.options else ""
        where = " without a path" if name in ("overwrite", "pictures") else ""
        raise OptionError(f"{to} has no option {name!r}{where}{own}")
    return format
