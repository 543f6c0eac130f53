"""The page of a folder's results, for `gallery` and `describe --gallery`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosmoscope.cli.progress import Counter
from kosmoscope.cli.segment_files import SegmentFiles
from kosmoscope.files.segments import SEGMENTS

if TYPE_CHECKING:
    from kosmoscope.batch import Result

GALLERY = "gallery"
"""Inside a folder of results: where its page goes unless somebody says."""


def make_gallery(
    results: Iterable[Result],
    out: Path,
    title: str | None,
    segments: Path | None,
    *,
    quiet: bool = False,
    **options: Any,
) -> str:
    """Build the page of results, with masks if there are some; returns its address.

    Args:
        results: of pictures.
        out: the page's folder.
        title: over the page; None for the standard one.
        segments: a folder of `segment`.
        quiet: show no progress.
        options: more that `build_gallery` takes.
    """
    from kosmoscope.gallery import build_gallery

    descriptions = (result.description for result in results)
    if title is not None:
        options["title"] = title
    began = time.monotonic()
    with Counter("drawing thumbnails", quiet=quiet) as counter:

        def progress(done: int, total: int) -> None:
            counter.move(done, total, rate=done / max(time.monotonic() - began, 1e-9))

        masks = () if segments is None else SegmentFiles.of(segments)
        page = build_gallery(descriptions, out, segmentations=masks, progress=progress, **options)
    return page.resolve().as_uri()


def segments_in(results: Path) -> Path | None:
    """Where `segment RESULTS` put its masks, if it did."""
    folder = results / SEGMENTS
    return folder if folder.is_dir() else None
