"""One mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import InputError
from kosmoscope.masks.polygons import Polygon, mask_polygons
from kosmoscope.masks.rle import decode_rle, encode_rle


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Which pixels of an upright picture belong to something.

    Raises:
        InputError: not an (H, W) array of bool.
    """

    bits: NDArray[np.bool_]
    """(H, W), read-only."""

    def __post_init__(self) -> None:
        bits = self.bits
        if not isinstance(bits, np.ndarray) or bits.ndim != 2 or bits.dtype != np.bool_:
            kind = f"{getattr(bits, 'dtype', type(bits).__name__)}, {getattr(bits, 'shape', '')}"
            raise InputError(f"a mask is an (H, W) array of bool; got {kind}")
        if bits.flags.writeable:
            bits = bits.copy()
            bits.setflags(write=False)
            object.__setattr__(self, "bits", bits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mask) and np.array_equal(self.bits, other.bits)

    __hash__ = None  # type: ignore[assignment]

    @property
    def area_px(self) -> int:
        """Pixels."""
        return int(np.count_nonzero(self.bits))

    @property
    def area_percent(self) -> float:
        """0..100, of the picture."""
        return 100.0 * self.area_px / self.bits.size if self.bits.size else 0.0

    @property
    def xyxy_px(self) -> tuple[int, int, int, int] | None:
        """The tight box in pixels, right and bottom exclusive; None of an empty mask."""
        rows, columns = np.flatnonzero(self.bits.any(1)), np.flatnonzero(self.bits.any(0))
        if not len(rows):
            return None
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    def polygons(self) -> list[Polygon]:
        """Exact outlines with holes, in pixels; see `mask_polygons`."""
        return mask_polygons(self.bits)

    def contours_norm(self) -> list[Polygon]:
        """The same outlines in 0..1 of width and height."""
        height, width = self.bits.shape
        size = np.array([width, height], np.float64)
        return [
            Polygon(p.outline / size, tuple(h / size for h in p.holes)) for p in self.polygons()
        ]

    def to_rle(self) -> dict[str, Any]:
        """COCO's compressed run lengths."""
        return encode_rle(self.bits)

    @classmethod
    def from_rle(cls, rle: Mapping[str, Any]) -> Mask:
        """Read run lengths. Raises `InputError` as `decode_rle` does."""
        return cls(decode_rle(rle))
