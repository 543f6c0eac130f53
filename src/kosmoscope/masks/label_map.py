"""A label map, and what its labels stand for: the values of a segmentation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import InputError
from kosmoscope.files.checked import checked, json_object
from kosmoscope.files.text import one_line, reason
from kosmoscope.masks.mask import Mask
from kosmoscope.masks.rle import MAX_PIXELS, checked_runs, encode_rle
from kosmoscope.types import XYXY, ImageInfo

SCHEMA_VERSION = 1
REST = "rest"
Kind = Literal["thing", "stuff", "region"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a picture with a name."""

    id: int
    """Its value in the label map, from 1."""
    phrase: str
    """Its name; of a region without one: "region 1" and so on."""
    kind: Kind
    """A countable thing, a region such as sky, or a part of the rest that nobody named."""
    entity: int | None = None
    """Index among the description's entities."""
    xyxy_px: XYXY | None = None
    """The box that it was found by, in pixels."""
    score: float | None = None
    """0..1: the segmenter's estimate of how well the mask fits; None for regions."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """Every pixel of a picture with exactly one name: a segment's, or "rest" (0).

    The plain values of `kosmoscope.segment.Segmentation`.
    """

    image: ImageInfo
    segmenter: str
    labels: NDArray[np.uint16]
    """(H, W) of the upright picture, read-only: 0 or the id of a segment."""
    segments: tuple[Segment, ...]
    caption: str = ""
    """Of the description that named the segments, if there was one."""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        labels = np.ascontiguousarray(self.labels, dtype=np.uint16)
        if labels.shape != (self.image.height, self.image.width):
            raise InputError(
                f"labels of shape {labels.shape} for a picture of "
                f"{self.image.width}x{self.image.height}"
            )
        if [s.id for s in self.segments] != list(range(1, len(self.segments) + 1)):
            raise InputError("the ids of segments count from 1 in their order")
        if labels.size and int(labels.max()) > len(self.segments):
            raise InputError(f"label {int(labels.max())} has no segment")
        if labels.flags.writeable:
            labels = labels.copy() if labels is self.labels else labels
            labels.setflags(write=False)
        object.__setattr__(self, "labels", labels)

    def __repr__(self) -> str:
        parts = "\n".join(
            f"  {s.id}. {s.phrase!r}  {area:.1f} %"
            + ("" if s.score is None else f"  {s.score:.2f}")
            for s, area in zip(self.segments, self.areas_percent()[1:], strict=True)
        )
        size = f"{self.image.width}x{self.image.height}"
        return f"{type(self).__name__}({self.image.path} {size}\n{parts})"

    def mask(self, id: int) -> Mask:
        """The pixels of a segment; 0: of the rest. Raises `InputError` for other numbers."""
        if isinstance(id, bool) or not 0 <= id <= len(self.segments):
            raise InputError(f"segment {id}: expected 0 to {len(self.segments)}")
        return _mask(self.labels == id)

    def entity_mask(self, entity: int) -> Mask:
        """All segments of one of the description's entities together."""
        ids = [s.id for s in self.segments if s.entity == entity]
        return _mask(np.isin(self.labels, ids))

    @property
    def names(self) -> tuple[str, ...]:
        """What each label stands for, from 0."""
        return (REST, *(s.phrase for s in self.segments))

    def areas_px(self) -> list[int]:
        """Pixels of each label, from 0; they add up to the picture."""
        found = np.bincount(self.labels.ravel(), minlength=len(self.segments) + 1)
        return [int(n) for n in found]

    def areas_percent(self) -> list[float]:
        """The same in percent of the picture."""
        return [100.0 * n / max(self.labels.size, 1) for n in self.areas_px()]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: masks as COCO's compressed run lengths."""
        areas = self.areas_px()
        segments = [
            {**asdict(s), "area_px": areas[s.id], "rle": encode_rle(self.labels == s.id)}
            for s in self.segments
        ]
        for data in segments:
            if data["xyxy_px"] is not None:
                data["xyxy_px"] = list(data["xyxy_px"])
        return {
            "schema": SCHEMA_VERSION,
            "image": asdict(self.image),
            "segmenter": self.segmenter,
            "caption": self.caption,
            "seconds": self.seconds,
            "rest_px": areas[0],
            "segments": segments,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict()` as JSON text, ASCII only."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            InputError: another schema, a field is missing or wrong, or masks overlap.
        """
        if data.get("schema") != SCHEMA_VERSION:
            found = one_line(repr(data.get("schema")), limit=80)
            raise InputError(f"segmentation schema is {found}; this version reads {SCHEMA_VERSION}")
        try:
            stored = checked(dict(data), _Stored)
            _check_finite(stored)
            labels = _painted((stored.image.height, stored.image.width), stored.segments)
            names = {f.name for f in fields(Segment)}
            segments = tuple(
                Segment(**{n: getattr(entry, n) for n in names}) for entry in stored.segments
            )
            return cls(
                stored.image, stored.segmenter, labels, segments, stored.caption, stored.seconds
            )
        except (KeyError, TypeError, ValueError, OverflowError) as e:
            raise InputError(f"not a segmentation of schema {SCHEMA_VERSION}: {reason(e)}") from e

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote. Raises `InputError` as `from_dict` does."""
        return cls.from_dict(json_object(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredSegment(Segment):
    """A segment as JSON has it."""

    rle: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Stored:
    """What `LabelMap.to_dict` writes and `from_dict` needs."""

    image: ImageInfo
    segmenter: str
    segments: tuple[_StoredSegment, ...]
    caption: str
    seconds: float


def _check_finite(stored: _Stored) -> None:
    """Raise `InputError` for numbers that `to_json` could not write again."""
    numbers = [("seconds", stored.seconds)]
    for one in stored.segments:
        numbers += [("score", one.score or 0.0), *(("xyxy_px", v) for v in one.xyxy_px or ())]
    for name, value in numbers:
        if not math.isfinite(value):
            raise InputError(f"{name} is {value}; expected a finite number")


def _mask(bits: NDArray[np.bool_]) -> Mask:
    bits.setflags(write=False)  # or the mask would take a copy
    return Mask(bits)


def _painted(shape: tuple[int, int], segments: Sequence[_StoredSegment]) -> NDArray[np.uint16]:
    """Return the label map of run lengths; all are checked before a pixel is allocated."""
    sizes_runs = [checked_runs(segment.rle) for segment in segments]
    if shape[0] < 0 or shape[1] < 0 or shape[0] * shape[1] > MAX_PIXELS:
        raise InputError(f"a picture of {shape[1]}x{shape[0]} pixels")
    for number, (size, _) in enumerate(sizes_runs, 1):
        if size != shape:
            raise InputError(f"the mask of segment {number} has another size than the picture")
    # Runs go down the columns.
    columns = np.zeros(shape[0] * shape[1], np.uint16)
    for number, (_, runs) in enumerate(sizes_runs, 1):
        at = 0
        for i, run in enumerate(runs):
            if i % 2:
                if columns[at : at + run].any():
                    raise InputError(f"the mask of segment {number} overlaps an earlier one")
                columns[at : at + run] = number
            at += run
    return columns.reshape(shape, order="F")
