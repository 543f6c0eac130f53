"""The files of a checkpoint in the hub's format: safetensors weights, small files around them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from kosmoscope.errors import CheckpointError
from kosmoscope.files.checked import read_object
from kosmoscope.files.text import shown_name

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

_PICKLES = ("pytorch_model*.bin*", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """The files of a checkpoint."""

    folder: Path
    small: tuple[Path | None, ...]
    """Those that are needed, then those that need not be there: None where there is none."""
    weights: tuple[Path, ...]
    """`model.safetensors` alone, or the shards that the index names, sorted by name."""
    index: Path | None
    """`model.safetensors.index.json`; None where the weights are one file."""

    def sha256(self) -> str:
        """Return the SHA-256 of the one weights file, or of the shards' digests in order."""
        digests = []
        for file in self.weights:
            with file.open("rb") as opened:
                digests.append(hashlib.file_digest(opened, "sha256").hexdigest())
        if len(digests) == 1:
            return digests[0]
        return hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def fingerprint(self) -> str:
        """Return a hex digest that changes when a file of the model is replaced.

        Cheap on purpose (names, sizes and times of change in ns, not contents): it is the key
        under which a converted model is kept, asked at every start. Links are followed first, so a
        snapshot in the hub's cache has the name of its blob, which is a hash of the content.

        Raises:
            CheckpointError: a file vanished since `find_source`.
        """
        digest = hashlib.sha256()
        for path in (*self.small, self.index, *self.weights):
            if path is None:
                digest.update(b"-\0")
                continue
            try:
                real = path.resolve(strict=True)
                stat = real.stat()
            except OSError as e:
                raise CheckpointError(f"{path}: cannot be read: {e.strerror}") from e
            digest.update(f"{real}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
        return digest.hexdigest()


def find_source(folder: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> SourceFiles:
    """Find the files of a checkpoint.

    Args:
        folder: the model's; `model.safetensors` goes before an index if there are both.
        needed: names of files beside the weights.
        optional: the same, of those that need not be there.

    Raises:
        CheckpointError: a needed file is missing (the message names it), the index is not one or
            names files outside the folder, or there are only pickled weights, which are refused
            because loading them can run code.
    """
    shown = shown_name(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{shown}: not a folder")
    for name in needed:
        if not (folder / name).is_file():
            raise CheckpointError(f"{shown}: {name} is missing")
    index: Path | None = None
    if (folder / WEIGHTS).is_file():
        weights: tuple[Path, ...] = (folder / WEIGHTS,)
    elif (folder / INDEX).is_file():
        index = folder / INDEX
        weights = tuple(folder / name for name in shard_names(index))
        for path in weights:
            if not path.is_file():
                raise CheckpointError(f"{shown}: shard {path.name} is missing; {INDEX} names it")
    else:
        raise no_weights(shown, (p.name for p in folder.iterdir()))
    there = (folder / name for name in optional)
    small = (
        *(folder / name for name in needed),
        *(path if path.is_file() else None for path in there),
    )
    return SourceFiles(folder, small, weights, index)


def no_weights(place: str, names: Iterable[str]) -> CheckpointError:
    """Return the error for a place without weights: pickles only, shards without index, or none."""
    found = sorted(names)
    pickles = [n for n in found if any(fnmatch(n.lower(), pattern) for pattern in _PICKLES)]
    if not pickles or any(n.endswith(".safetensors") for n in found):
        return CheckpointError(f"{place}: no weights: neither {WEIGHTS} nor {INDEX}")
    return CheckpointError(
        f"{place}: the only weights are pickles ({pickles[0]}), refused because loading a pickle "
        f"can run code; use a revision or a copy that has {WEIGHTS}"
    )


def shard_names(index: Path) -> tuple[str, ...]:
    """Return the names of the shards in a `model.safetensors.index.json`, sorted.

    Raises:
        CheckpointError: not JSON, no `weight_map`, or a name that is not a plain file name ending
            in .safetensors (so that no name leads out of the folder, or to a pickle).
    """
    weight_map = read_object(index, CheckpointError).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: no weight_map: expected tensor names and their shards")
    for name in weight_map.values():
        # Checked for both kinds of separators: an index written on one system is read on another.
        if not (isinstance(name, str) and re.fullmatch(r"[^/\\:\0]+\.safetensors", name)):
            raise CheckpointError(
                f"{index}: shard {name!r} is not a plain file name ending in .safetensors"
            )
    return tuple(sorted(set(weight_map.values())))
