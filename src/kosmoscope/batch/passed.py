"""What a search for pictures goes by: files of other kinds, and what kosmoscope itself wrote."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from kosmoscope.errors import InputError
from kosmoscope.files.checked import read_object
from kosmoscope.files.marker import MARKER, Claim, claim, is_ours, mark, our_names
from kosmoscope.files.places import place
from kosmoscope.files.text import one_line

_SHOWN_KINDS = 5


class PassedOver:
    """What a search went by, each thing once, to be told at its end."""

    def __init__(self) -> None:
        self.others: dict[str, str] = {}
        """Extensions of the files of other kinds, by their places."""
        self.folders: set[str] = set()
        """Folders that kosmoscope wrote."""
        self.pictures: set[str] = set()
        """Pictures that it wrote into folders of others."""

    def other(self, path: str) -> None:
        """Pass over a file of another kind."""
        if os.path.basename(path) not in BOOKS:  # noqa: PTH119 (a str)
            self.others[place(path)] = kind_of(path)

    def add(self, other: PassedOver) -> None:
        """Add what another search of the same call went by."""
        self.others |= other.others
        self.folders |= other.folders
        self.pictures |= other.pictures

    def __bool__(self) -> bool:
        return bool(self.others or self.folders or self.pictures)

    def __str__(self) -> str:
        """One line; empty if nothing was passed over."""
        parts = []
        if self.others:
            kinds = sorted(Counter(self.others.values()).items(), key=lambda k: (-k[1], k[0]))
            shown = ", ".join(one_line(kind, limit=20) for kind, _ in kinds[:_SHOWN_KINDS])
            more = ", ..." if len(kinds) > _SHOWN_KINDS else ""
            parts.append(f"{_some(len(self.others), 'file')} of other kinds ({shown}{more})")
        own = "that kosmoscope wrote"
        if self.folders:
            parts.append(f"{_some(len(self.folders), 'folder')} {own}")
        if self.pictures:
            parts.append(f"{_some(len(self.pictures), 'picture')} {own}")
        if not parts:
            return ""
        one = len(self.others) + len(self.folders) + len(self.pictures) == 1
        return f"{', '.join(parts)} {'was' if one else 'were'} passed over"


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def kind_of(name: str) -> str:
    """Return a file's extension for people."""
    return os.path.splitext(name)[1].lower() or "no extension"  # noqa: PTH122 (a str)


BOOKS = frozenset(
    {"run.json", "results.jsonl", "errors.jsonl", "segment.settings", "segment-settings.json"}
)
"""What commands note down in a folder; nobody expects them to be pictures."""

# Version 0.1 marked nothing. What it wrote is told by what lies beside it.
_OLD_RUN = re.compile(r"annotated|gallery|segments|export-[a-z-]+")
_OLD_SEGMENT = re.compile(r".*-(labels\.png|overlay\.jpg|\d+-[\w-]*\.png)")
_OLD_THUMB = re.compile(r"[0-9a-f]{24}-\d{2,4}\.(webp|jpg)")
_OLD_EXPORT = ".kosmoscope-export"


def is_own_folder(folder: str, names: Collection[str]) -> bool:
    """Return whether all that is in a folder is kosmoscope's, given the names in it."""
    return (MARKER in names and is_ours(folder)) or _OLD_EXPORT in names


def own_names(folder: str, names: Collection[str]) -> Callable[[str], bool]:
    """Return what tells which names in a folder of others are kosmoscope's."""
    listed = our_names(folder) if MARKER in names else frozenset[str]()
    patterns = []
    if MARKER not in names and "segment-settings.json" in names:
        patterns.append(_OLD_SEGMENT)
    if _is_old_run(folder, names):
        patterns.append(_OLD_RUN)
    if os.path.basename(folder) == "thumbs":  # noqa: PTH119 (a str)
        patterns.append(_OLD_THUMB)
    return lambda name: name in listed or any(p.fullmatch(name) for p in patterns)


def claim_results(folder: Path) -> Claim:
    """Claim a folder of results; of one of version 0.1, mark what that version put into it.

    Raises:
        OutputError: it cannot be made, or is a file.
    """
    claimed = claim(folder)
    with suppress(OSError):
        names = {file.name for file in folder.iterdir()}
        if _is_old_run(str(folder), names):
            for name in filter(_OLD_RUN.fullmatch, names):
                mark(folder / name)
    return claimed


def _is_old_run(folder: str, names: Collection[str]) -> bool:
    """Return whether a folder holds results that no version after 0.1 wrote to."""
    if "run.json" not in names or "results.jsonl" not in names:
        return False
    try:
        run = read_object(Path(folder, "run.json"))
    except InputError:
        return False
    return "model" in run and "folder" not in run
