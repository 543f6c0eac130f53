"""A file of JSON lines that is only appended to and survives being killed at any moment."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kosmoscope.batch.names import json_line
from kosmoscope.errors import InputError, OutputError
from kosmoscope.files.checked import json_object
from kosmoscope.files.text import shown_name
from kosmoscope.files.writing import output_error

SYNC_SECONDS = 1.0
SYNC_BYTES = 4 * 2**20
_BLOCK = 2**16


class Journal:
    """An open file of JSON lines. A line counts once its newline is written.

    Lines go to the system at once, so that they survive the death of this process; every
    `SYNC_SECONDS` or `SYNC_BYTES` they are forced to the disk, so that little is lost with the
    power. A line that was torn by a kill is cut off when the file is opened.

    Raises:
        OutputError: the file cannot be opened, read or cut.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        """Bytes of whole lines."""
        self.torn = 0
        """How many bytes of an unfinished last line were cut off."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        try:
            self._handle = os.open(path, flags, 0o666)
            try:
                self._repair()
            except BaseException:
                os.close(self._handle)
                raise
        except OSError as e:
            raise output_error(path, e) from e
        self._synced, self._unsynced = time.monotonic(), 0

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield each line's offset in bytes and its object."""
        return self.read(0)

    def read(self, start: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield lines from an offset on, as `__iter__` does.

        Raises:
            OutputError: a finished line is not a JSON object: nothing that a kill can do.
        """
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                offset = start
                for line in file:
                    try:
                        record = json_object(line)
                    except InputError:
                        raise self.damaged(offset) from None
                    yield offset, record
                    offset += len(line)
        except OSError as e:
            raise OutputError(f"{shown_name(self.path)}: cannot be read: {e.strerror or e}") from e

    def damaged(self, offset: int) -> OutputError:
        """Return the error for a line that is none of ours."""
        return OutputError(
            f"{shown_name(self.path)}: the line at byte {offset} is not a record of a batch; "
            "remove the line, or start anew with overwrite"
        )

    def append(self, records: Iterable[Mapping[str, Any]]) -> list[int]:
        """Write records; return each one's offset.

        Raises:
            OutputError: the disk is full or gone. What was written before is whole.
        """
        offsets, parts = [], []
        end = self.size
        for record in records:
            line = json_line(record)
            offsets.append(end)
            parts.append(line)
            end += len(line)
        data = memoryview(b"".join(parts))
        written = 0
        try:
            while written < len(data):
                written += os.write(self._handle, data[written:])
        except OSError as e:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, self.size)
                os.lseek(self._handle, self.size, os.SEEK_SET)
            hint = "; what is there is whole: make room and run the same command again"
            raise output_error(self.path, e, hint) from e
        self.size = end
        self._unsynced += len(data)
        return offsets

    def sync(self, *, force: bool = False) -> None:
        """Force what was written to the disk, if it is time to (or `force`)."""
        due = time.monotonic() - self._synced >= SYNC_SECONDS or self._unsynced >= SYNC_BYTES
        if self._unsynced and (due or force):
            try:
                os.fsync(self._handle)
            except OSError as e:
                raise output_error(self.path, e) from e
            self._synced, self._unsynced = time.monotonic(), 0

    def close(self) -> None:
        """Force what was written to the disk and close the file; a second time does nothing."""
        if self._handle < 0:
            return
        try:
            self.sync(force=True)
        finally:
            os.close(self._handle)
            self._handle = -1

    def _repair(self) -> None:
        """Cut the file behind its last newline, and stand there."""
        size = os.lseek(self._handle, 0, os.SEEK_END)
        end = size
        while end > 0:
            start = max(0, end - _BLOCK)
            os.lseek(self._handle, start, os.SEEK_SET)
            block = b""
            while len(block) < end - start and (
                part := os.read(self._handle, end - start - len(block))
            ):
                block += part
            found = block.rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._handle, end)
            os.fsync(self._handle)
        self.torn, self.size = size - end, end
        os.lseek(self._handle, end, os.SEEK_SET)
