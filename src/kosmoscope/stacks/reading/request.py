"""What is asked for of a stack that is to be read, and how a format is known."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kosmoscope.errors import OptionError, StackError
from kosmoscope.files.text import reason, shown_name
from kosmoscope.stacks.volume import Volume

_IN_MEMORY = 2**31
"""Bytes of voxels up to which they are kept in memory; larger ones in a file without a name."""


@dataclass(frozen=True, slots=True)
class Request:
    """Which stack, where a path holds several, and what the file does not say.

    Raises:
        OptionError: a number is out of its range.
    """

    path: Path
    spacing_mm: tuple[float, float, float] | None = None
    """Along i, j and k; for pictures and TIFF files, which may not say it."""
    volume: int | None = None
    """Of several in one file or at the same places (time points, echoes), from 0."""
    series: str | None = None
    """Of several DICOM series in a folder: its number, or its UID or the end of it."""

    def __post_init__(self) -> None:
        if self.spacing_mm is not None and not all(
            np.isfinite(s) and 1e-6 <= s <= 1e6 for s in self.spacing_mm
        ):
            raise OptionError(f"spacing {self.spacing_mm}: expected three lengths in mm")
        if self.volume is not None and self.volume < 0:
            raise OptionError(f"volume is {self.volume}; expected 0 or more")

    @property
    def shown(self) -> str:
        """The path for messages."""
        return shown_name(self.path)

    def refuse(self, problem: str) -> StackError:
        """Return the error that names the path."""
        return StackError(self.shown, problem)

    def chosen(self, count: int, what: str = "volumes") -> int:
        """Return which of `count` volumes is meant. Raises `StackError` if that is open."""
        if self.volume is None:
            if count == 1:
                return 0
            raise self.refuse(f"{count} {what}; choose one with volume (--volume 0 to {count - 1})")
        if self.volume >= count:
            raise self.refuse(f"volume {self.volume} of {count}; expected 0 to {count - 1}")
        return self.volume

    def without_spacing(self) -> None:
        """Refuse a spacing for a file that has its own."""
        if self.spacing_mm is not None:
            raise OptionError(f"{self.shown} says its own spacing; it goes without --spacing")


@dataclass(frozen=True, slots=True)
class StackFormat:
    """A kind of file or folder."""

    name: str
    """What it is called in messages."""
    suffixes: tuple[str, ...]
    """Of its files, in lower case; none: it is known otherwise."""
    read: Callable[[Request], Volume]


@contextmanager
def told(request: Request, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what a library raises for a damaged file into one line that names it."""
    try:
        yield
    except StackError:
        raise
    except FileNotFoundError as e:
        raise request.refuse("no such file") from e
    except MemoryError as e:
        raise request.refuse("does not fit into memory") from e
    except Exception as e:
        if not isinstance(e, (OSError, EOFError, ValueError, *kinds)):
            raise
        raise request.refuse(f"cannot be read: {reason(e)}") from e


def room(shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any]:
    """Return an empty array; a large one lies in a file that nobody else sees, and is mapped."""
    count = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
    if count <= _IN_MEMORY:
        return np.empty(shape, kind)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=kind, mode="w+", shape=shape)
