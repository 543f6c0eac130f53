"""Where a folder of results has the masks of its descriptions: `segment OUT` puts them there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kosmoscope.files.names import lasting_name

SEGMENTS = "segments"
"""Inside a folder of results."""
SUFFIX = ".json"
WORDS_BYTES = 40
ROOM = len("-65534-") + WORDS_BYTES + len(".png")
"""The longest ending: of a cut-out."""


def segments_file(folder: Path, path: str, task: str) -> Path:
    """Return where the masks of a description go.

    Args:
        folder: of masks.
        path: by which the picture was opened.
        task: its key.
    """
    return folder / (lasting_name(path, task, room=ROOM) + SUFFIX)


def find_segments(results: Path, paths: Iterable[str], task: str) -> Path | None:
    """Return the file of masks of a description, None where there is none.

    Args:
        results: a folder of results.
        paths: by which its picture may have been opened.
        task: its key.
    """
    files = (segments_file(results / SEGMENTS, path, task) for path in paths)
    return next((file for file in files if file.is_file()), None)


def state_of_segments(results: Path) -> str:
    """Return what is another text once masks of a folder of results were made or made again."""
    folder = results / SEGMENTS
    if not folder.is_dir():
        return ""
    times = [file.stat().st_mtime_ns for file in folder.glob(f"*{SUFFIX}")]
    return f"{len(times)}:{max(times, default=0)}"
