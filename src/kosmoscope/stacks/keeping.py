"""What a correction goes on from, as a file beside the labels: `corrections-DIGEST.zip`.

The digest is that of the labels which the file belongs to. It is written first and the labels last:
a process that is killed at any moment leaves the labels of before with what they go on from, or
the new ones with theirs. Labels that somebody changed by hand belong to no file.

Inside are `state.json`, the segmenter's own state with a number in the place of each array, and the
arrays as `0.npy`, `1.npy` and so on.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import FolderMismatchError, InputError
from kosmoscope.files.checked import checked, json_object
from kosmoscope.files.text import reason, shown_name
from kosmoscope.stacks.grids import block_means
from kosmoscope.stacks.reading import read_stack
from kosmoscope.stacks.segmented import Segmented
from kosmoscope.stacks.segmenters.walker import Walker
from kosmoscope.stacks.segmenters.walker.walker import WalkerState
from kosmoscope.stacks.volume import Volume

LABELS = "labels.nii.gz"
_NAME = re.compile(r"corrections-[0-9a-f]{16}\.zip")
_JSON = "state.json"
_SCHEMA = 1
_LEVEL = 1
"""Of compression: what there is to gain is long runs of one value."""
_MOVED_MM = 1e-4


@dataclass(frozen=True, slots=True)
class _Input:
    """Which stack it was."""

    shape: tuple[int, int, int]
    affine: tuple[tuple[float, ...], ...]
    voxels: str
    """The digest of what is stored, with the scale of the values."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the JSON says, but for the state."""

    schema: int
    segmenter: str
    names: tuple[str, ...]
    input: _Input
    sure: int


def can_be_corrected(found: Segmented) -> bool:
    """Return whether a segmentation has what a correction goes on from."""
    return isinstance(found.state, WalkerState) and found.sure is not None


def file_name(labels: NDArray[np.uint8]) -> str:
    """Return what the file that belongs to labels is called."""
    return f"corrections-{_digest(labels)}.zip"


def others(folder: Path, name: str) -> list[Path]:
    """Return files of this kind in a folder that belong to other labels than the one named."""
    return [
        f for f in folder.glob("corrections-*.zip") if _NAME.fullmatch(f.name) if f.name != name
    ]


def write_state(found: Segmented, file: BinaryIO) -> None:
    """Write what `read_segmented` reads; the same segmentation is the same bytes."""
    arrays: list[NDArray[Any]] = []

    def numbered(value: Any) -> int:
        assert isinstance(value, np.ndarray)
        arrays.append(value)
        return len(arrays) - 1

    assert found.sure is not None
    stored = _Stored(
        _SCHEMA, found.segmenter, found.names, _input(found.volume), numbered(found.sure)
    )
    # The values are the stack's, and as quickly taken from it again.
    state = replace(found.state, values=np.empty((0, 0, 0), np.float32))
    told = {**msgspec.to_builtins(stored), "state": msgspec.to_builtins(state, enc_hook=numbered)}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as packed:
        packed.writestr(zipfile.ZipInfo(_JSON), msgspec.json.encode(told))
        for n, array in enumerate(arrays):
            with packed.open(f"{n}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def read_segmented(folder: str | Path, volume: Volume) -> Segmented:
    """Return a segmentation that `save_stack` wrote, as it was: `correct` goes on from it.

    Args:
        folder: the output of before.
        volume: the stack that was segmented, read again.

    Raises:
        InputError: there are no labels, they are of a segmenter that cannot correct, or somebody
            changed them; or the file beside them is damaged.
        FolderMismatchError: they are of another stack.
    """
    file = Path(folder) / LABELS
    if not file.is_file():
        raise InputError(
            f"{shown_name(Path(folder))}: no {LABELS} to correct; begin with seeds (--seeds)"
        )
    labels = np.ascontiguousarray(read_stack(file).stored)
    path = file.with_name(file_name(labels))
    if not path.is_file():
        raise InputError(
            f"{shown_name(file)}: nothing is kept to go on from: another segmenter than the walker "
            "made them, or they were changed since; begin with seeds (--seeds)"
        )
    try:
        with zipfile.ZipFile(path) as packed:
            return _read(packed, labels, volume, path)
    except (
        OSError, zipfile.BadZipFile, zlib.error, KeyError, EOFError, ValueError, IndexError,
        MemoryError, NotImplementedError, RuntimeError,
    ) as e:  # fmt: skip
        raise InputError(f"{shown_name(path)}: cannot be read: {reason(e)}") from e


def _read(
    packed: zipfile.ZipFile, labels: NDArray[np.uint8], volume: Volume, path: Path
) -> Segmented:
    data = json_object(packed.read(_JSON))
    stored = checked(data, _Stored)
    if stored.schema != _SCHEMA or stored.segmenter != Walker.name:
        raise ValueError("of another version")
    _check_input(stored.input, volume, path.parent)
    state = msgspec.convert(data["state"], WalkerState, dec_hook=_from(packed), str_keys=True)
    grid, names = state.grid, state.marked.names
    if state.found.shape != (len(stored.names), *grid.shape) or names != stored.names:
        raise ValueError("probabilities of other labels or another grid")
    state = replace(state, values=block_means(volume, grid))
    sure = _array(packed, stored.sure)
    if sure.dtype != np.uint8:
        raise ValueError(f"probabilities of type {sure.dtype}")
    return Segmented(volume, labels, stored.names, stored.segmenter, sure=sure, state=state)


def _from(packed: zipfile.ZipFile) -> Callable[[Any, Any], NDArray[Any]]:
    def array(kind: Any, number: Any) -> NDArray[Any]:
        found = _array(packed, number)
        (wanted,) = get_args(get_args(kind)[1])
        if found.dtype != np.dtype(wanted):
            raise ValueError(f"{number}.npy has {found.dtype}; expected {np.dtype(wanted)}")
        return found

    return array


def _array(packed: zipfile.ZipFile, number: Any) -> NDArray[Any]:
    with packed.open(f"{int(number)}.npy") as member:
        found: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return found


def _check_input(before: _Input, volume: Volume, folder: Path) -> None:
    now = _input(volume)
    if before.shape != now.shape:
        sizes = ["x".join(map(str, one.shape[::-1])) for one in (before, now)]
        what = f"of {sizes[0]} voxels; this one has {sizes[1]}"
    elif not np.allclose(before.affine, now.affine, atol=_MOVED_MM):
        what = "that lies elsewhere in the patient, or has another spacing"
    elif before.voxels != now.voxels:
        what = "of the same size with other values"
    else:
        return
    raise FolderMismatchError(
        f"{shown_name(folder)}: its labels are of another stack, {what}; expected the stack that "
        "was segmented, or another folder"
    )


def _input(volume: Volume) -> _Input:
    digest = _digest(volume.stored, f"{volume.slope!r} {volume.intercept!r}".encode())
    affine = tuple(tuple(float(v) for v in row) for row in volume.affine)
    return _Input(volume.shape, affine, digest)


def _digest(voxels: NDArray[Any], more: bytes = b"") -> str:
    """Of all voxels, some slices of which are in memory at a time."""
    digest = hashlib.blake2b(f"{voxels.dtype.str} {voxels.shape}".encode() + more, digest_size=8)
    for layer in voxels:
        digest.update(np.ascontiguousarray(layer).data)
    return digest.hexdigest()
