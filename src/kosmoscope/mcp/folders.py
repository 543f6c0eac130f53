"""Which pictures an assistant may have looked at: those in folders that somebody named."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kosmoscope.errors import ImageNotFoundError, OptionError
from kosmoscope.files.text import shown_name


class Folders:
    """Folders whose files may be read, and those below them.

    Args:
        allowed: paths of folders; at least one.

    Raises:
        OptionError: there is none, or one is no folder.
    """

    def __init__(self, allowed: Iterable[Path]) -> None:
        self.paths = [_folder(path) for path in allowed]
        if not self.paths:
            raise OptionError("expected at least one folder whose pictures may be read")

    def picture(self, given: str) -> Path:
        """Return the file that a path means, without links.

        A relative path is looked for in each of the folders.

        Args:
            given: as the assistant wrote it.

        Raises:
            ImageNotFoundError: there is no such file in the folders, or it is elsewhere.
        """
        return self._inside(given, "no such file")

    def folder(self, given: str) -> Path:
        """Return the folder that a path means; arguments and errors are those of `picture`."""
        return self._inside(given, "no such folder")

    def _inside(self, given: str, missing: str) -> Path:
        shown = shown_name(given)
        try:
            candidates = [(folder / given).resolve() for folder in self.paths]
        except (OSError, ValueError, RuntimeError) as e:  # a NUL, a circle of links
            raise ImageNotFoundError(shown, "not a path of a file") from e
        inside = [path for path in candidates if self._has(path)]
        if not inside:
            folders = ", ".join(shown_name(path) for path in self.paths)
            raise ImageNotFoundError(shown, f"outside of the folders that may be read: {folders}")
        found = next((path for path in inside if path.exists()), None)
        if found is None:
            raise ImageNotFoundError(shown, missing)
        return found

    def _has(self, path: Path) -> bool:
        return any(path.is_relative_to(folder) for folder in self.paths)


def _folder(path: Path) -> Path:
    try:
        found = path.expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as e:
        raise OptionError(f"{shown_name(path)}: no such folder") from e
    if not found.is_dir():
        raise OptionError(f"{shown_name(path)}: not a folder")
    return found
