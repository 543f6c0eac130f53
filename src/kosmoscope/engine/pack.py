"""Decoder passes over one arena."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kosmoscope.engine.arena import Arena, Float, Slots, visibility

_MAX_ROWS = 512


@dataclass(frozen=True, slots=True)
class Feed:
    """What one branch adds in a pass."""

    slots: Slots
    """The slots that the branch saw so far, int64 (n,)."""
    rows: Float
    """Embedded rows, float32 (R, D), R >= 1."""


class Pack:
    """An arena bound to the decoder's session; one per generation, used by one thread.

    Args:
        session: the decoder's.
        layers, heads, head_width: its sizes.
        capacity: slots to allocate at first.
    """

    def __init__(
        self, session: Any, layers: int, heads: int, head_width: int, capacity: int
    ) -> None:
        self.arena = Arena(layers, heads, head_width, capacity)
        self.passes = 0
        self._session = session
        self._binding: Any = None
        self._bound_generation = -1

    def forward(self, feeds: Sequence[Feed]) -> tuple[Float, list[Slots]]:
        """Run the rows of all feeds through the decoder.

        Returns:
            the last row's hidden state of each feed, float32 (feeds, D), and each feed's slots
            after the pass (those before, then its new ones).
        """
        slots = [feed.slots for feed in feeds]
        done = [0] * len(feeds)
        last: list[Float | None] = [None] * len(feeds)
        while any(done[i] < len(feed.rows) for i, feed in enumerate(feeds)):
            chosen: list[tuple[int, int]] = []
            room = _MAX_ROWS
            for i, feed in enumerate(feeds):
                count = min(len(feed.rows) - done[i], room)
                if count > 0:
                    chosen.append((i, count))
                    room -= count
            rows = np.concatenate([feeds[i].rows[done[i] : done[i] + n] for i, n in chosen])
            start = self.arena.used
            hidden = self.run(rows, [(slots[i], n) for i, n in chosen])
            row = 0
            for i, n in chosen:
                slots[i] = np.concatenate([slots[i], np.arange(start + row, start + row + n)])
                row += n
                done[i] += n
                last[i] = hidden[row - 1]
        return np.stack([h for h in last if h is not None]), slots

    def run(self, rows: Float, branches: Sequence[tuple[Slots, int]]) -> Float:
        """Run one pass; its rows take the next slots.

        Args:
            rows: float32 (S, D), the branches' rows one after the other.
            branches: for each, the slots that it saw so far and how many rows are its.

        Returns:
            hidden states of all rows, float32 (S, D).
        """
        arena = self.arena
        arena.reserve(len(rows))
        if self._bound_generation != arena.generation:
            self._bind()
        total = arena.used + len(rows)
        binding = self._binding
        binding.bind_cpu_input("x", np.ascontiguousarray(rows, np.float32))
        binding.bind_cpu_input("bias", visibility(total, branches))
        binding.bind_cpu_input("last", np.array([total - 1], np.int32))
        binding.bind_cpu_input("total", np.array([total], np.int32))
        binding.bind_output("hidden", "cpu")
        self._session.run_with_iobinding(binding)
        arena.used = total
        self.passes += 1
        hidden: Float = binding.get_outputs()[-1].numpy()
        return hidden

    def _bind(self) -> None:
        import onnxruntime as ort

        binding = self._session.io_binding()
        for i, (keys, values) in enumerate(zip(self.arena.keys, self.arena.values, strict=True)):
            for kind, buffer in (("key", keys), ("value", values)):
                # The same memory as input and output: the operator extends it in place.
                tensor = ort.OrtValue.ortvalue_from_numpy(buffer)
                binding.bind_ortvalue_input(f"{kind}.{i}", tensor)
                binding.bind_ortvalue_output(f"new_{kind}.{i}", tensor)
        self._binding = binding
        self._bound_generation = self.arena.generation
