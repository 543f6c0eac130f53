"""A checkpoint's tensors: checked against what its config implies, and read one at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 - registers bfloat16 with numpy, which safetensors needs
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from kosmoscope.errors import CheckpointError

Shape = tuple[int, ...]

_DTYPES = ("F32", "F16", "BF16", "F64")


class Tensors:
    """Named tensors over one or several safetensors files.

    Args:
        files: model.safetensors, or all its shards.
        expected: names and shapes of those that must be there.
        allowed: names and shapes of those that may be there too.
        ignored: names that may be there in any shape; they are never read.

    Raises:
        CheckpointError: a file is damaged; a tensor is missing, surplus, of another shape or
            dtype, or in two files. The message names the file.
    """

    def __init__(
        self,
        files: tuple[Path, ...],
        expected: Mapping[str, Shape],
        allowed: Mapping[str, Shape] | None = None,
        ignored: Collection[str] = (),
    ) -> None:
        self.files = files
        self._where: dict[str, Path] = {}
        implied = {**expected, **(allowed or {})}
        for file in files:
            for name, shape, dtype in _header(file):
                if name in self._where:
                    raise CheckpointError(f"{file}: {name} is also in {self._where[name].name}")
                self._where[name] = file
                if name in ignored:
                    continue
                if name not in implied:
                    raise CheckpointError(f"{file}: surplus tensor {name}")
                if shape != implied[name]:
                    raise CheckpointError(
                        f"{file}: {name} has shape {shape}; config.json implies {implied[name]}"
                    )
                if dtype not in _DTYPES:
                    raise CheckpointError(
                        f"{file}: {name} is {dtype}; readable are {', '.join(_DTYPES)}"
                    )
        self._need([name for name in expected if name not in self._where])

    def _need(self, missing: list[str]) -> None:
        if missing:
            raise CheckpointError(
                f"{self.files[0]}: {len(missing)} tensors are missing, the first is {missing[0]}"
            )

    def tensor(self, name: str) -> NDArray[np.float32]:
        """Return one tensor as a contiguous float32 array of its own.

        The file is opened anew each time: a long-lived mapping would keep every page that was
        ever read resident, and conversion would need the whole checkpoint's memory.
        """
        file = self._where[name]
        try:
            with safe_open(file, framework="np") as opened:
                value = opened.get_tensor(name)
        except (OSError, SafetensorError) as e:
            raise CheckpointError(f"{file}: {name} cannot be read: {e}") from e
        return _usable(value, file, name)

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float32]:
        """Return rows start..stop of a matrix as float32 (n, columns)."""
        file = self._where[name]
        try:
            with safe_open(file, framework="np") as opened:
                value = opened.get_slice(name)[start:stop]
        except (OSError, SafetensorError) as e:
            raise CheckpointError(f"{file}: {name} cannot be read: {e}") from e
        return _usable(value, file, name)


def _usable(value: NDArray[Any], file: Path, name: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # float64 beyond float32's range: told below
        array = np.ascontiguousarray(value, dtype=np.float32)
    if not np.isfinite(array).all():
        raise CheckpointError(f"{file}: {name} has values that are not finite as float32")
    return array


def _header(file: Path) -> list[tuple[str, tuple[int, ...], str]]:
    """Return (name, shape, dtype) of every tensor; safetensors itself checks offsets and sizes."""
    try:
        with safe_open(file, framework="np") as opened:
            found = []
            for name in opened.keys():  # noqa: SIM118 - not a mapping
                view = opened.get_slice(name)
                found.append((name, tuple(view.get_shape()), str(view.get_dtype())))
            return found
    except (OSError, SafetensorError) as e:
        raise CheckpointError(f"{file}: not a complete safetensors file: {e}") from e
