"""Names to folders, and what is on this machine; never the network.

A model is a folder of yours, one that ships inside the package, one in the hub's cache, or the
converted form of one of these.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from kosmoscope.errors import CheckpointError, ModelNotFoundError, OfflineError
from kosmoscope.files.text import one_line, shown_name
from kosmoscope.store.folders import (
    converted_root,
    folder_size,
    hub_cache,
    hub_snapshot,
    offline,
)
from kosmoscope.store.kind import CONFIG, Kinds, ModelKind, kind_of
from kosmoscope.store.manifest import Manifest


def known_name(name: str, kinds: Kinds) -> ModelKind[Any] | None:
    """Return the kind that has this name of ours, a packaged model or an alias; None otherwise."""
    return next((k for k in kinds if name in k.packaged or name in k.aliases), None)


def hub_name(name: str, kinds: Kinds) -> str | None:
    """Return "org/name" for an alias or for itself; None if it can be no name on the hub."""
    repo = next((k.aliases[name] for k in kinds if name in k.aliases), name)
    part = r"[A-Za-z0-9_](?:[A-Za-z0-9_]|[-.](?![-.]))*"
    return repo if re.fullmatch(f"{part}/{part}", repo) and len(repo) <= 96 else None


def display_name(name: str, kinds: Kinds) -> str:
    """Return what results call a model of this name: the first alias, if it has one."""
    kinds = tuple(kinds)
    repo = hub_name(name, kinds)
    return next((a for k in kinds for a, full in k.aliases.items() if full == repo), name)


def packaged(name: str, kinds: Kinds) -> Path | None:
    """Return the folder of a model that ships inside the package, or None if there is none."""
    if not any(name in kind.packaged for kind in kinds):
        return None
    folder = resources.files("kosmoscope") / name
    # A package imported from a zip file has no folder that an engine could map into memory.
    return folder if isinstance(folder, Path) and (folder / CONFIG).is_file() else None


def cached(name: str, kinds: Kinds, revision: str | None = None) -> Path | None:
    """Return the folder of a model in the hub's cache, or None unless all of it is there.

    Args:
        name: an alias, or "org/name".
        kinds: of which it may be.
        revision: a branch or tag as it was last pulled, or a commit; the main branch if None.
    """
    kinds = tuple(kinds)
    repo = hub_name(name, kinds)
    folder = hub_snapshot(repo, revision) if repo else None
    if folder is None:
        return None
    with contextlib.suppress(CheckpointError):
        return kind_of(folder, kinds).find(folder).folder
    return None


@dataclass(frozen=True, slots=True)
class Found:
    """A model on this machine."""

    name: str
    """What results call it."""
    folder: Path


def resolve(name_or_path: str | Path, kinds: Kinds, others: Iterable[str] = ()) -> Found:
    """Find a model on this machine.

    Args:
        name_or_path: a folder, a packaged model, an alias, or "org/name" as pulled before. A
            string that is a known name means the model, whatever lies in the working folder; write
            "./pocket" for a folder called so.
        kinds: of which it may be; a folder is not looked into.
        others: further names for the message about a name that is none.

    Raises:
        ModelNotFoundError: nothing of that name is here; the message says what to do.
        OfflineError: the same, and the hub's offline mode is on.
        CheckpointError: what the hub's cache has under this name is of another kind.
    """
    kinds, name = tuple(kinds), str(name_or_path)
    is_name = isinstance(name_or_path, str)
    known = is_name and known_name(name, kinds) is not None
    if not known:
        folder = Path(name_or_path)
        with contextlib.suppress(RuntimeError):  # "~someone" who is not a user here
            folder = folder.expanduser()
        if name and folder.is_dir():
            return Found(folder.resolve().name, folder)
        if folder.is_file():
            raise ModelNotFoundError(f"{shown_name(folder)}: a file; expected a model's folder")
    if is_name:
        if (here := packaged(name, kinds) or cached(name, kinds)) is not None:
            return Found(display_name(name, kinds), here)
        repo = hub_name(name, kinds)
        if repo is not None and not name.startswith("."):
            snapshot = hub_snapshot(repo)
            if snapshot is not None and (snapshot / CONFIG).is_file():
                kind_of(snapshot, kinds)  # says of which kind it is, if of none of these
            raise not_here(name)
        if not name or not re.search(r"[/\\~]", name):
            raise ModelNotFoundError(unknown(name, kinds, others))
    raise ModelNotFoundError(f"{shown_name(folder)}: no such folder")


def not_here(name: str, variable: str | None = None) -> ModelNotFoundError | OfflineError:
    """Return the error for a model that can be pulled and was not; `variable` says offline."""
    if variable := variable or offline():
        return OfflineError(
            f"{name}: not in the cache and {variable} is set; unset it, then "
            f"`kosmoscope pull {name}`"
        )
    return ModelNotFoundError(f"{name}: not on this machine; run `kosmoscope pull {name}`")


def unknown(name: str, kinds: Kinds, others: Iterable[str] = ()) -> str:
    """Return the message for a name that is no model, with the nearest known names."""
    kinds = tuple(kinds)
    ours = [*others, *(n for k in kinds for n in (*k.packaged, *k.aliases))]
    known = [*dict.fromkeys(ours), *(model.name for model in _in_the_hubs_cache(kinds))]
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    shown = one_line(name, limit=200)
    return f"{shown!r}: no model or folder of that name; {hint} (or org/name on the hub)"


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model on this machine, whole or damaged."""

    name: str
    """What loads it, for packaged and hub models; the source's name for converted ones."""
    kind: str | None
    """The name of its kind; None where that cannot be read."""
    where: Literal["packaged", "hub", "converted"]
    path: Path
    precision: str | None
    """None where the folder is in the hub's format."""
    size_bytes: int
    detail: str
    """The revision, or what is wrong with the folder."""


def installed(kinds: Kinds) -> tuple[InstalledModel, ...]:
    """Return the models of these kinds on this machine: packaged, in the hub's cache, converted.

    Damaged and unfinished ones are listed too, with the reason as their detail.
    """
    kinds = tuple(kinds)
    shipped = [
        InstalledModel(
            name, kind.name, "packaged", folder, None, folder_size(folder), "ships with kosmoscope"
        )
        for kind in kinds
        for name in kind.packaged
        if (folder := packaged(name, kinds)) is not None
    ]
    return (*shipped, *_in_the_hubs_cache(kinds), *_in_our_cache(kinds))


def _in_the_hubs_cache(kinds: Kinds) -> Iterator[InstalledModel]:
    for folder in sorted(hub_cache().glob("models--*--*/snapshots/*")):
        try:
            kind = kind_of(folder, kinds)
        except CheckpointError:
            continue  # of another program
        repo = folder.parents[1].name.removeprefix("models--").replace("--", "/", 1)
        detail = folder.name[:8]
        try:
            kind.find(folder)
        except CheckpointError as e:
            detail += f", unfinished: {_without(folder, e)}"
        size = folder_size(folder)
        yield InstalledModel(repo, kind.name, "hub", folder, None, size, detail)


def _in_our_cache(kinds: Kinds) -> Iterator[InstalledModel]:
    for folder in sorted(converted_root().glob("[!.]*")):
        if not folder.is_dir():
            continue
        name, precision, kind = folder.name, None, None
        with contextlib.suppress(CheckpointError):
            kind = kind_of(folder, kinds).name
        try:
            manifest = Manifest.read(folder)
            name, precision = manifest.name, manifest.precision
            kind = manifest.kind or kind
            detail = f"converted from {manifest.source_sha256[:8]}"
        except CheckpointError as e:
            detail = f"damaged: {_without(folder, e)}"
        size = folder_size(folder)
        yield InstalledModel(name, kind, "converted", folder, precision, size, detail)


def _without(folder: Path, error: CheckpointError) -> str:
    """Return an error's text without the folder, which stands beside it."""
    return str(error).removeprefix(shown_name(folder)).lstrip(":/\\ ")
