"""One writer per folder: a lock that the system drops when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from kosmoscope.batch.problems import output_error
from kosmoscope.errors import FolderBusyError
from kosmoscope.files.text import shown_name

LOCK = ".lock"
_FAR = 2**30
"""Windows locks bytes, and locked ones cannot be read: lock one beyond what is written."""


class FolderLock:
    """Holds a folder while its block runs. The file stays: removing it would be a race.

    Raises:
        FolderBusyError: another process (or another run in this one) holds it.
        OutputError: the lock's file cannot be written, or the file system has no locks.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._handle = -1

    def __enter__(self) -> Self:
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as e:
            raise output_error(self._path, e) from e
        try:
            self._acquire()
        except BaseException:
            os.close(self._handle)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._handle, 0)
        if sys.platform == "win32":
            with contextlib.suppress(OSError):
                _locked(self._handle, False)
        os.close(self._handle)

    def _acquire(self) -> None:
        try:
            _locked(self._handle, True)
        except OSError as e:
            if e.errno not in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                raise output_error(self._path, e, "; it must be on a file system with locks") from e
            raise FolderBusyError(
                f"{shown_name(str(self._path.parent))}: {self._holder()} is writing there; "
                "wait for it, or choose another folder"
            ) from None
        me = {"pid": os.getpid(), "host": socket.gethostname()}
        try:
            os.ftruncate(self._handle, 0)
            os.lseek(self._handle, 0, os.SEEK_SET)
            os.write(self._handle, json.dumps(me).encode())
        except OSError as e:
            raise output_error(self._path, e) from e

    def _holder(self) -> str:
        try:
            os.lseek(self._handle, 0, os.SEEK_SET)
            found = json.loads(os.read(self._handle, 1000))
            where = "" if found["host"] == socket.gethostname() else f" on {found['host']}"
            return f"another process (pid {int(found['pid'])}{where})"
        except (OSError, ValueError, LookupError, TypeError):
            return "another process"


if sys.platform == "win32":
    import msvcrt

    def _locked(handle: int, wanted: bool) -> None:
        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK if wanted else msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _locked(handle: int, wanted: bool) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB if wanted else fcntl.LOCK_UN)
