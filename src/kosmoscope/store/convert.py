"""From a checkpoint to a converted folder: once, in one piece; and opening what was converted.

A converted folder holds the graphs that its kind writes, copies of the checkpoint's small files,
and the manifest. It can be moved, copied to other machines and served read-only.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any, TypeVar

from kosmoscope._version import __version__
from kosmoscope.errors import (
    CheckpointError,
    KosmoscopeWarning,
    ModelError,
    OptionError,
    OutputError,
)
from kosmoscope.files.folders import left_behind, new_folder, remove_folder
from kosmoscope.files.locks import if_free, waiting_for
from kosmoscope.files.text import shown_name
from kosmoscope.files.writing import output_error
from kosmoscope.store.folders import cache_root, size_of
from kosmoscope.store.installed import packaged, resolve
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
        ModelError: the cache cannot be written (disk full, read-only), and the model does not
            ship inside the package.
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

    Of several processes and threads that want it at once, one makes it and the others wait. What
    killed processes left half is removed. A model that ships runs without a cache too: where that
    cannot be written, it is converted for this process alone, with a `KosmoscopeWarning`.

    The arguments and errors are those of `convert`.
    """
    kind.check_precision(precision)
    target = kind.converted_dir(kind.find(folder), precision)
    step: Step = progress or (lambda _: None)
    try:
        if not is_converted(target):
            # Beside the conversions, not among them: a lock's file stays.
            locks = cache_root() / "locks"
            with waiting_for(locks / f"{target.name}{_LOCK}"):
                _sweep(locks, target)
                if not is_converted(target):
                    _write(kind, folder, target, precision, name, step, overwrite=False)
    except OSError as e:
        if isinstance(e, FileExistsError) and is_converted(target):
            return open_converted(kind, target)
        error = _unwritable(target, e, "; KOSMOSCOPE_HOME says where conversions are kept")
        if not any(packaged(shipped, [kind]) == folder for shipped in kind.packaged):
            raise error from e
        target = _for_this_process(kind, folder, target.name, precision, name, step, error)
    return open_converted(kind, target)


def remove_converted(kind: ModelKind[Any], folder: Path, precision: str) -> bool:
    """Remove the cached conversion of a checkpoint; False where there is none, or it is in use."""
    target = kind.converted_dir(kind.find(folder), precision)
    try:
        with waiting_for(cache_root() / "locks" / f"{target.name}{_LOCK}"):
            remove_folder(target)
    except OSError:
        return False
    return True


_LOCK = ".lock"
_own: dict[str, Path] = {}
_owning = threading.Lock()


def _for_this_process(
    kind: ModelKind[Any],
    folder: Path,
    key: str,
    precision: str,
    name: str,
    step: Step,
    error: ModelError,
) -> Path:
    """Convert into a temporary folder, which is removed at the end; raise `error` if even that
    fails."""
    with _owning:
        if key in _own:
            return _own[key]
        try:
            place = Path(tempfile.mkdtemp(prefix="kosmoscope-"))
            atexit.register(shutil.rmtree, place, ignore_errors=True)
            _write(kind, folder, place / key, precision, name, step, overwrite=False)
        except OSError as e:
            raise error from e
        _own[key] = place / key
    warnings.warn(f"{error}; {name} is converted for this run alone", KosmoscopeWarning, 4)
    return _own[key]


def _sweep(locks: Path, target: Path) -> None:
    """Remove what killed processes left half: of a target whose lock nobody else holds."""
    for lock in locks.glob(f"*{_LOCK}"):
        other = target.with_name(lock.name.removesuffix(_LOCK))
        if other == target or not (left := left_behind(other)):
            continue
        with if_free(lock) as free:
            for part in left if free else ():
                shutil.rmtree(part, ignore_errors=True)
    for part in left_behind(target):  # its lock is ours
        shutil.rmtree(part, ignore_errors=True)


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
    step: Step = progress or (lambda _: None)
    try:
        _write(kind, folder, target, precision, name or folder.name, step, overwrite=overwrite)
    except OSError as e:
        # Not for the error's class: a file in the place of a parent folder raises the same.
        if isinstance(e, FileExistsError) and os.path.lexists(target):
            raise _exists(target) from e
        raise _unwritable(target, e) from e
    return open_converted(kind, target)


def _write(
    kind: ModelKind[Any],
    folder: Path,
    target: Path,
    precision: str,
    name: str,
    step: Step,
    *,
    overwrite: bool,
) -> None:
    """Write a conversion. Raises as `convert`, but `OSError` where it cannot be written."""
    source = kind.find(folder)
    with new_folder(target, replace=overwrite) as stage:
        for file in source.small:
            if file is not None:
                shutil.copyfile(file, stage / file.name)
        kind.write(stage, source, precision, step)
        step("checksum of the source")
        manifest = Manifest(
            format_version=kind.version,
            kosmoscope_version=__version__,
            kind=kind.name,
            name=name,
            precision=precision,
            source_sha256=source.sha256(),
            files={file.name: file.stat().st_size for file in sorted(stage.iterdir())},
        )
        try:
            manifest.write(stage)
        except OutputError as e:
            raise (e.__cause__ if isinstance(e.__cause__, OSError) else e) from None
        _check_target(target, overwrite)  # a conversion takes long: what appeared meanwhile


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


def _unwritable(target: Path, error: OSError, hint: str = "") -> ModelError:
    return ModelError(str(output_error(target, error, hint)))
