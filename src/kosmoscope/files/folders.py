"""A folder that is there whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kosmoscope.files.writing import beside, sync_folder


@contextmanager
def new_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes `target` when the block ends without an exception.

    Args:
        target: where to; parents are made. An empty folder there is always replaced.
        replace: put it in the place of a folder that has files, which is moved aside first and
            then removed; otherwise what appeared there meanwhile is kept.

    Raises:
        FileExistsError: there is something, and not `replace`.
        OSError: it cannot be written. Nothing is left behind.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    stage = target.absolute().with_name(f".{_of(target)}{secrets.token_hex(4)}.part")
    stage.mkdir()
    try:
        yield stage
        _sync(stage)
        _publish(stage, target, replace=replace)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def remove_folder(target: Path) -> None:
    """Remove a folder in one step for whoever looks: killed in here, `left_behind` has the rest.

    Raises:
        OSError: it stays whole (on Windows: while somebody has a file in it open).
    """
    part = target.absolute().with_name(f".{_of(target)}{secrets.token_hex(4)}.part")
    target.rename(part)
    shutil.rmtree(part, ignore_errors=True)


def left_behind(target: Path) -> list[Path]:
    """Return what `new_folder` left beside a target when its process was killed.

    Or what it makes there just now: whoever removes it must know that nobody does.
    """
    return list(target.parent.glob(f".{_of(target)}????????.part"))


def _of(target: Path) -> str:
    """Half of a hidden name as those of `beside` are: it tells whose unfinished folder it is."""
    return hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]


def _publish(stage: Path, target: Path, *, replace: bool) -> None:
    if target.is_dir() and not any(target.iterdir()):
        with contextlib.suppress(OSError):
            target.rmdir()
    old: Path | None = None
    if replace and os.path.lexists(target):
        old = beside(target)
        target.rename(old)
    try:
        # Onto a folder with files, or onto a file, no system renames a folder: what another
        # process put there meanwhile stays.
        stage.rename(target)
    except OSError as e:
        if old is not None:
            old.rename(target)
            raise
        if os.path.lexists(target):
            raise FileExistsError(e.errno, "exists already", str(target)) from e
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    sync_folder(target.parent)


def _sync(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
