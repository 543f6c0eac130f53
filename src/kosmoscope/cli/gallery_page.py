"""The page of a folder's results, for `gallery` and `describe --gallery`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from kosmoscope.cli.progress import Counter
from kosmoscope.cli.segment_files import SEGMENTS, SegmentFiles

GALLERY = "gallery"
"""Inside a folder of results: where its page goes unless somebody says."""


def make_gallery(
    source: Path,
    out: Path,
    title: str | None,
    segments: Path | None,
    *,
    quiet: bool = False,
) -> str:
    """Build the page of a folder's results, with masks if there are some; returns its address."""
    from kosmoscope.batch import read_results
    from kosmoscope.gallery import build_gallery

    descriptions = (result.description for result in read_results(source))
    named: dict[str, Any] = {} if title is None else {"title": title}
    began = time.monotonic()
    with Counter("drawing thumbnails", quiet=quiet) as counter:

        def progress(done: int, total: int) -> None:
            counter.move(done, total, rate=done / max(time.monotonic() - began, 1e-9))

        masks = () if segments is None else SegmentFiles.of(segments)
        page = build_gallery(descriptions, out, segmentations=masks, progress=progress, **named)
    return page.resolve().as_uri()


def segments_in(results: Path) -> Path | None:
    """Where `segment RESULTS` put its masks, if it did."""
    folder = results / SEGMENTS
    return folder if folder.is_dir() else None
