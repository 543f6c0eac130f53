"""One writer per folder: a lock that the system drops when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kosmoscope.errors import FolderBusyError
from kosmoscope.files.text import shown_name
from kosmoscope.files.writing import output_error

LOCK = ".lock"
_HOLDER = ".lock-holder"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder while the block runs; made if it is not there.

    The lock's file stays: removing it would be a race.

    Raises:
        FolderBusyError: another process (or another run in this one) holds it.
        OutputError: the lock's file cannot be written, or the file system has no locks.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise FolderBusyError(
            f"{shown_name(folder)}: {_holder(folder)} is writing there; "
            "wait for it, or choose another folder"
        ) from None
    except (OSError, NotImplementedError) as e:
        error = e if isinstance(e, OSError) else OSError(None, "it has no locks")
        hint = "; it must be on a file system with locks"
        raise output_error(folder, error, "" if error.errno else hint) from e
    try:
        # Beside the lock: a locked file cannot be read on every system.
        me = {"pid": os.getpid(), "host": socket.gethostname()}
        with contextlib.suppress(OSError):
            (folder / _HOLDER).write_text(json.dumps(me), encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / _HOLDER).unlink(missing_ok=True)
        lock.release()


@contextmanager
def waiting_for(lock: Path) -> Iterator[None]:
    """Hold a lock's file while the block runs, after whoever holds it now; parents are made.

    Raises:
        OSError: the file cannot be written, or the file system has no locks.
    """
    from filelock import FileLock

    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire()
    except NotImplementedError as e:
        raise OSError(errno.ENOLCK, "the file system has no locks", str(lock)) from e
    try:
        yield
    finally:
        held.release()


@contextmanager
def if_free(lock: Path) -> Iterator[bool]:
    """Hold a lock's file while the block runs if nobody else does; yields whether."""
    from filelock import FileLock, Timeout

    try:
        held = FileLock(lock, timeout=0)
        held.acquire()
    except (Timeout, OSError, NotImplementedError):
        yield False
        return
    try:
        yield True
    finally:
        held.release()


def _holder(folder: Path) -> str:
    try:
        found = json.loads((folder / _HOLDER).read_text(encoding="utf-8"))
        where = "" if found["host"] == socket.gethostname() else f" on {found['host']}"
        return f"another process (pid {int(found['pid'])}{where})"
    except (OSError, ValueError, LookupError, TypeError):
        return "another process"
