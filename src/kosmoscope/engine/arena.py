"""Keys and values of every position that any open branch can see: a batch is one sequence.

All branches (pictures, questions, beams) share one buffer per layer. A branch is the list of
slots that it sees; slots are shared freely, so that ten questions about one picture hold its keys
and values once, and a beam forks by copying a list of integers, never a tensor. The price is that
a row's attention also runs over slots that are masked out: small beside the weights that every
pass reads, as long as dead slots are dropped (`keep`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Slots = NDArray[np.int64]

HIDDEN = -1e30
"""Added to the attention score of a position that a row must not see."""

_STEP = 32


class Arena:
    """The buffers and how many of their slots are in use.

    Args:
        layers: decoder layers.
        heads: attention heads.
        head_width: channels per head.
        capacity: slots to allocate at first; grows as needed.
    """

    def __init__(self, layers: int, heads: int, head_width: int, capacity: int) -> None:
        self.used = 0
        self.capacity = -(-max(capacity, 1) // _STEP) * _STEP
        self._shape = (1, heads, self.capacity, head_width)
        # Zeros come from the system untouched: a slot costs memory once something lies in it.
        self.keys = [np.zeros(self._shape, np.float32) for _ in range(layers)]
        self.values = [np.zeros(self._shape, np.float32) for _ in range(layers)]
        self.generation = 0
        """Changes whenever the buffers are other arrays than before: time to bind them anew."""

    def reserve(self, extra: int) -> None:
        """Make room for `extra` more slots."""
        if self.used + extra <= self.capacity:
            return
        wanted = max(self.used + extra, self.capacity * 3 // 2)
        self.capacity = -(-wanted // _STEP) * _STEP
        self._shape = (1, self._shape[1], self.capacity, self._shape[3])
        for buffers in (self.keys, self.values):
            for i, old in enumerate(buffers):
                new = np.zeros(self._shape, np.float32)
                new[:, :, : self.used] = old[:, :, : self.used]
                buffers[i] = new
        self.generation += 1

    def place(self, keys: Sequence[Float] | Float, values: Sequence[Float] | Float) -> Slots:
        """Copy keys and values of P positions in; return their slots.

        Args:
            keys: for each layer, float32 (heads, P, head width); `values` alike.
        """
        count = keys[0].shape[1]
        self.reserve(count)
        start, stop = self.used, self.used + count
        for i in range(len(self.keys)):
            self.keys[i][0, :, start:stop] = keys[i]
            self.values[i][0, :, start:stop] = values[i]
        self.used = stop
        return np.arange(start, stop)

    def views(self, count: int) -> tuple[list[Float], list[Float]]:
        """Return keys and values of the first P slots, for each layer (heads, P, head width)."""
        return [k[0, :, :count] for k in self.keys], [v[0, :, :count] for v in self.values]

    def copies(self, slots: Slots) -> tuple[Float, Float]:
        """Return keys and values of some slots, float32 (layers, heads, P, head width)."""
        keys = np.stack([k[0][:, slots] for k in self.keys])
        return keys, np.stack([v[0][:, slots] for v in self.values])

    def keep(self, live: NDArray[np.bool_]) -> Slots:
        """Drop the slots that are not marked, closing the gaps.

        Args:
            live: bool (used,).

        Returns:
            int64 (used before,): each old slot's new number, -1 for dropped ones.
        """
        kept = np.flatnonzero(live)
        renumbered = np.full(self.used, -1, np.int64)
        renumbered[kept] = np.arange(len(kept))
        first = int(np.argmin(live)) if not live.all() else self.used
        moved = kept[kept > first]
        stop = first + len(moved)
        for buffers in (self.keys, self.values):
            for buffer in buffers:
                buffer[0, :, first:stop] = buffer[0][:, moved]
        self.used = len(kept)
        return renumbered


def visibility(total: int, rows: Sequence[tuple[Slots, int]], attending: int) -> Float:
    """Return the additive attention bias of one pass, float32 (1, 1, attending, total).

    Args:
        total: slots in use after the pass; the attending rows are the last of them.
        rows: for each branch of the pass, in row order: the slots it saw before and the number of
            rows it adds. A row also sees its branch's earlier rows and itself: the operator is
            causal, so that opening a branch's whole square is enough.
        attending: rows of the pass, or more: those behind the last see what they happen to see.
    """
    past = total - attending
    if len(rows) == 1 and len(rows[0][0]) == past:
        return np.zeros((1, 1, attending, total), np.float32)  # the operator itself is causal
    bias = np.full((attending, total), HIDDEN, np.float32)
    row = 0
    for slots, n in rows:
        bias[row : row + n, slots] = 0
        bias[row : row + n, past + row : past + row + n] = 0
        row += n
    return bias[None, None]
