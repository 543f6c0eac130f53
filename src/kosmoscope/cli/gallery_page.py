"""The page of a folder's results, for `gallery` and `describe --gallery`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, BinaryIO

from kosmoscope.cli.progress import Counter
from kosmoscope.cli.segment_files import SEGMENTS, SegmentFiles

GALLERY = "gallery"
"""Inside a folder of results: where its page goes unless somebody says."""


def make_gallery(
    source: str | Path | BinaryIO,
    out: Path,
    title: str | None,
    segments: Path | None,
    *,
    quiet: bool = False,
    images: Path | None = None,
    **options: Any,
) -> str:
    """Build the page of results, with masks if there are some; returns its address.

    Args:
        source: what `read_results` takes.
        out: the page's folder.
        title: over the page; None for the standard one.
        segments: a folder of `segment`.
        quiet: show no progress.
        images: the folder that the pictures are in now.
        options: more that `build_gallery` takes.
    """
    from kosmoscope.batch import read_results
    from kosmoscope.gallery import build_gallery

    descriptions = (result.description for result in read_results(source, images))
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
