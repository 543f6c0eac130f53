"""From a checkpoint to a converted folder: once, in one piece; and opening what was converted.

A converted folder holds the graphs that its kind writes, copies of the checkpoint's small files,
and the manifest. It can be moved, copied to other machines and served read-only.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, TypeVar

from kosmoscope._version import __version__
from kosmoscope.errors import CheckpointError, ModelError, OptionError
from kosmoscope.files.folders import new_folder
from kosmoscope.files.locks import waiting_for
from kosmoscope.files.text import shown_name
from kosmoscope.files.writing import output_error
from kosmoscope.store.folders import cache_root, size_of
from kosmoscope.store.installed import resolve
from kosmoscope.store.kind import ModelKind, Opened, Step
from kosmoscope.store.manifest import MANIFEST, Manifest, is_converted

T = TypeVar("T", bound=Opened)


def load_model(
    kind: ModelKind[T],
    name_or_path: str | Path,
    precision: str | None = None,
    progress: Step | None = None,
) -> T:
    """Open a model of a kind; a checkpoint is converted on first use into the cache.

    Args:
        kind: of the model.
        name_or_path: as for `resolve`, or a converted folder.
        precision: one of the kind's; None for its default. A converted folder has its own.
        progress: called with the name of each step of a conversion.

    Raises:
        ModelNotFoundError, OfflineError: as `resolve`.
        CheckpointError: a file of the model is wrong; the message names it.
        OptionError: an unknown precision, or another one than the converted folder's.
        ModelError: the cache cannot be written (disk full, read-only).
    """
    if precision is not None:
        kind.check_precision(precision)
    found = resolve(name_or_path, [kind])
    if not is_converted(found.folder):
        wanted = precision or kind.default
        return ensure_converted(kind, found.folder, wanted, name=found.name, progress=progress)
    manifest = _checked_manifest(kind, found.folder)
    if precision not in (None, manifest.precision):
        raise OptionError(
            f"{shown_name(found.folder)}: converted to {manifest.precision}, asked for {precision}"
        )
    return kind.open(found.folder, manifest)


def ensure_converted(
    kind: ModelKind[T], folder: Path, precision: str, *, name: str, progress: Step | None = None
) -> T:
    """Open the cached conversion of a checkpoint, made now if it is not there.

    Of several processes and threads that want it at once, one makes it and the others wait. The
    arguments and errors are those of `convert`.
    """
    kind.check_precision(precision)
    target = kind.converted_dir(kind.find(folder), precision)
    if not is_converted(target):
        # Beside the conversions, not among them: a lock's file stays.
        lock = cache_root() / "locks" / f"{target.name}.lock"
        try:
            with waiting_for(lock):
                if not is_converted(target):
                    return convert(kind, folder, target, precision, name=name, progress=progress)
        except OSError as e:
            raise _unwritable(target, e) from e
    return open_converted(kind, target)


def convert(
    kind: ModelKind[T],
    folder: Path,
    target: Path,
    precision: str,
    *,
    name: str | None = None,
    overwrite: bool = False,
    progress: Step | None = None,
) -> T:
    """Convert a checkpoint and open the result. The target appears in one piece or not at all.

    Args:
        kind: of the checkpoint.
        folder: the checkpoint's, in the hub's format.
        target: the folder to make.
        precision: one of the kind's.
        name: what the model is called in results; by default the folder's name.
        overwrite: replace a target that is a converted model; nothing else is ever replaced, also
            where it appeared meanwhile.
        progress: called with the name of each step.

    Raises:
        CheckpointError: a file of the checkpoint is missing, damaged or disagrees with another.
        OptionError: an unknown precision, or the target exists and may not be replaced.
        ModelError: the target cannot be written (disk full, read-only).
    """
    kind.check_precision(precision)
    _check_target(target, overwrite)
    source = kind.find(folder)
    step: Step = progress or (lambda _: None)
    try:
        with new_folder(target, replace=overwrite) as stage:
            for file in source.small:
                if file is not None:
                    shutil.copyfile(file, stage / file.name)
            kind.write(stage, source, precision, step)
            step("checksum of the source")
            Manifest(
                format_version=kind.version,
                kosmoscope_version=__version__,
                kind=kind.name,
                name=name or folder.name,
                precision=precision,
                source_sha256=source.sha256(),
                files={file.name: file.stat().st_size for file in sorted(stage.iterdir())},
            ).write(stage)
            _check_target(target, overwrite)  # a conversion takes long: what appeared meanwhile
    except OSError as e:
        # Not for the error's class: a file in the place of a parent folder raises the same.
        if isinstance(e, FileExistsError) and os.path.lexists(target):
            raise _exists(target) from e
        raise _unwritable(target, e) from e
    return open_converted(kind, target)


def open_converted(kind: ModelKind[T], folder: Path) -> T:
    """Open a converted folder.

    Raises:
        CheckpointError: it is of another kind or version, or a file is missing or of another size
            than when it was written; the message names the file.
    """
    return kind.open(folder, _checked_manifest(kind, folder))


def _checked_manifest(kind: ModelKind[Any], folder: Path) -> Manifest:
    manifest, path = Manifest.read(folder), shown_name(folder / MANIFEST)
    if manifest.kind not in (None, kind.name):
        raise CheckpointError(f"{path}: a {manifest.kind!r} model; expected {kind.name!r}")
    if manifest.format_version != kind.version:
        raise CheckpointError(
            f"{path}: format {manifest.format_version}; this version reads {kind.version}: "
            "convert again"
        )
    if manifest.precision not in kind.precisions:
        known = ", ".join(kind.precisions)
        raise CheckpointError(f"{path}: precision {manifest.precision!r}: expected one of {known}")
    for name in (*kind.files, *kind.graphs):
        if name not in manifest.files:
            raise CheckpointError(f"{path}: does not list {name}; {_AGAIN}")
    for name, size in manifest.files.items():
        found = size_of(folder / name)
        if found != size:
            what = "missing" if found is None else f"{found:,} bytes, {size:,} were written"
            raise CheckpointError(f"{shown_name(folder / name)}: {what}; {_AGAIN}")
    return manifest


_AGAIN = "convert again (in the cache: remove this folder)"


def _check_target(target: Path, overwrite: bool) -> None:
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise _exists(target)
    if not is_converted(target) and not (target.is_dir() and not any(target.iterdir())):
        raise OptionError(
            f"{shown_name(target)}: not a converted model, so overwrite does not replace it"
        )


def _exists(target: Path) -> OptionError:
    shown = shown_name(target)
    return OptionError(f"{shown}: exists already; overwrite replaces a converted model")


def _unwritable(target: Path, error: OSError) -> ModelError:
    return ModelError(str(output_error(target, error)))
