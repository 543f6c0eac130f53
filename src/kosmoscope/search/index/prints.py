"""What an index has of how pictures look: hashes of their files."""

from __future__ import annotations

import sqlite3

import numpy as np
from numpy.typing import NDArray


def prints(base: sqlite3.Connection) -> tuple[list[int], NDArray[np.uint64]]:
    """Return the pictures whose files were read, and their hashes."""
    found = base.execute("SELECT picture, hash FROM print ORDER BY picture").fetchall()
    return [picture for picture, _ in found], np.array(
        [value for _, value in found], np.int64
    ).view(np.uint64)
