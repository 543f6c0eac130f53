"""The things of consecutive pictures as bytes: little-endian columns, one after another.

A chunk begins with the numbers of its pictures and things (uint32 each). Then, for each picture:
its id, folder and day (uint32) and how many things it has (uint16); then, for each thing, in the
order of the pictures: phrase (int32), box (4 uint16), probability, colours (uint16), number
(uint8), as `Columns` has them. That is 14 bytes a picture and 17 a thing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.questions.evaluate.packing import Packed

CHUNK = 2048
"""How many ids a chunk has: small enough to be written again with every step, and few enough."""
_HEAD = np.dtype("<u4")
_PICTURES = {"id": "<u4", "folder": "<u4", "taken": "<u4", "things": "<u2"}
_THINGS = {"phrase": "<i4", "box": "<u2", "probability": "<u2", "colours": "<u2", "number": "u1"}


@dataclass(frozen=True, slots=True)
class Chunk:
    """P pictures with B things; the pictures' ids ascend."""

    id: NDArray[np.uint32]
    folder: NDArray[np.uint32]
    taken: NDArray[np.uint32]
    things: NDArray[np.uint16]
    """(P,): how many things each has."""
    seen: Packed

    def to_bytes(self) -> bytes:
        """Return it packed."""
        head = np.array([len(self.id), len(self.seen.phrase)], _HEAD)
        parts = [head.tobytes()]
        parts += [getattr(self, n).astype(kind).tobytes() for n, kind in _PICTURES.items()]
        parts += [getattr(self.seen, n).astype(kind).tobytes() for n, kind in _THINGS.items()]
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Chunk:
        """Read what `to_bytes` gave.

        Raises:
            ValueError: it is something else.
        """
        pictures, things = map(int, np.frombuffer(data, _HEAD, 2))
        at = 2 * _HEAD.itemsize
        found: dict[str, NDArray[Any]] = {}
        for name, kind, many in (
            *((n, k, pictures) for n, k in _PICTURES.items()),
            *((n, k, things * 4 if n == "box" else things) for n, k in _THINGS.items()),
        ):
            found[name] = np.frombuffer(data, kind, many, at)
            at += found[name].nbytes
        if at != len(data) or int(found["things"].sum()) != things:
            raise ValueError("a chunk of another length than it says")
        found["box"] = found["box"].reshape(-1, 4)
        seen = Packed(*(found[f.name] for f in fields(Packed)))
        return cls(found["id"], found["folder"], found["taken"], found["things"], seen)

    @classmethod
    def empty(cls) -> Chunk:
        """Return one without pictures."""
        return cls.from_bytes(bytes(2 * _HEAD.itemsize))

    def without(self, ids: NDArray[np.uint32]) -> Chunk:
        """Return it without some pictures."""
        keep = ~np.isin(self.id, ids)
        rows = np.repeat(keep, self.things)
        seen = Packed(*(getattr(self.seen, f.name)[rows] for f in fields(Packed)))
        return Chunk(self.id[keep], self.folder[keep], self.taken[keep], self.things[keep], seen)


def joined(chunks: list[Chunk]) -> Chunk:
    """Return all pictures of chunks, by ascending id."""
    if not chunks:
        return Chunk.empty()

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(chunk, name) for chunk in chunks])

    def of_things(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(chunk.seen, name) for chunk in chunks])

    seen = Packed(*(of_things(f.name) for f in fields(Packed)))
    whole = Chunk(column("id"), column("folder"), column("taken"), column("things"), seen)
    if (np.diff(whole.id.astype(np.int64)) > 0).all():
        return whole
    order = np.argsort(whole.id, kind="stable")
    ends = np.cumsum(whole.things, dtype=np.int64)
    starts = ends - whole.things
    rows = np.concatenate([np.arange(starts[i], ends[i]) for i in order] or [np.zeros(0, np.int64)])
    seen = Packed(*(getattr(whole.seen, f.name)[rows] for f in fields(Packed)))
    return Chunk(
        whole.id[order], whole.folder[order], whole.taken[order], whole.things[order], seen
    )
