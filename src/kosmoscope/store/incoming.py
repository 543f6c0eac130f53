"""A file of the hub on its way: what the hub says of it, and the bytes that have come so far."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file as the hub lists it. `digest` names it in the cache: sha256, or git's sha1."""

    name: str
    size: int
    digest: str

    def hasher(self) -> Any:
        """Return a hash to be fed with the content; its hex digest is then `digest`."""
        if len(self.digest) == 64:
            return hashlib.sha256()
        return hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)


class Part:
    """A file on its way: its bytes on disk and their hash so far. Outlives the process."""

    def __init__(self, path: Path, file: RemoteFile) -> None:
        """Open it, or go on with what another process left there."""
        self._file = file
        # Unbuffered, so that a killed process leaves behind everything that it had received.
        self._stream = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self._hash = file.hasher()
        self.size = 0
        while chunk := self._stream.read(1 << 20):
            self._hash.update(chunk)
            self.size += len(chunk)

    def write(self, chunk: bytes) -> None:
        """Add bytes at the end."""
        rest = memoryview(chunk)
        while rest:  # an unbuffered write may take less than it is given
            rest = rest[self._stream.write(rest) :]
        self._hash.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Forget all bytes."""
        self._stream.seek(0)
        self._stream.truncate()
        self._hash = self._file.hasher()
        self.size = 0

    def close(self) -> bool:
        """Bring the bytes to disk and return whether they are the ones the hub promised."""
        os.fsync(self._stream.fileno())
        self._stream.close()
        return self.size == self._file.size and self._hash.hexdigest() == self._file.digest
