"""From a record to the picture's file, wherever the process runs and the folder was moved to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from kosmoscope.batch.names import path_in
from kosmoscope.files.places import find_file, is_there, place


class Origins:
    """What the relative paths in a folder of results are relative to.

    Args:
        folder: where the results lie now; None where nobody knows.
        run: what run.json says, which tells where they lay when they were written.
    """

    def __init__(self, folder: Path | None, run: Mapping[str, Any] | None = None) -> None:
        self._folder = None if folder is None else os.path.realpath(folder)
        self._then: str | None = None
        with suppress(LookupError, TypeError, ValueError):  # of an older version, or damaged
            self._then = path_in(run or {}, "folder")
        self._real: dict[str, str] = {}

    def key(self, fields: Mapping[str, Any]) -> str:
        """Return what tells the files of records apart, the same for all spellings of one.

        Raises:
            LookupError, TypeError, ValueError: these are not the fields of a record.
        """
        path, bases = path_in(fields), self.bases(fields)
        if os.path.isabs(path) or len(bases) == 1:  # noqa: PTH117 (a str)
            return place(path, bases[0], self._real)
        there = (base for base in bases if is_there(os.path.join(base, path)))  # noqa: PTH118
        return place(path, next(there, bases[0]), self._real)

    def open_path(self, fields: Mapping[str, Any], images: Path | None = None) -> str:
        """Return a path by which a record's picture can be opened; as it was written if that can.

        Args:
            fields: of the record.
            images: the folder that the pictures are in now.

        Raises:
            LookupError, TypeError, ValueError: these are not the fields of a record.
        """
        return find_file(path_in(fields), self.bases(fields), images)

    def bases(self, fields: Mapping[str, Any]) -> list[str]:
        """Return the folders that a record's path may be relative to, the likeliest first."""
        base = path_in(fields, "base") if "base" in fields else ""
        if not base:  # of an older version, or no record of a batch
            if self._folder is None:
                return [os.getcwd()]  # noqa: PTH109
            return [os.getcwd(), self._folder, os.path.dirname(self._folder)]  # noqa: PTH109, PTH120
        if self._folder is None or self._then is None or self._then == self._folder:
            return [base]
        # The results were moved, alone or with the pictures.
        moved = os.path.normpath(os.path.join(self._folder, os.path.relpath(base, self._then)))  # noqa: PTH118
        return [moved, base]
