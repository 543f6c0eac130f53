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
    wanted: int = 1
    """How many of the last rows' hidden states to return, 1 to R."""


class Pack:
    """An arena bound to the decoder's session; one per generation, used by one thread.

    Args:
        session: the decoder's.
        layers, heads, head_width: its sizes.
        capacity: slots to allocate at first.
        pairs: let a single row attend twice. The operator adds one row up in another order than
            several; so it comes out bitwise as it would with others behind it, for some 5 % more
            time.
    """

    def __init__(
        self,
        session: Any,
        layers: int,
        heads: int,
        head_width: int,
        capacity: int,
        *,
        pairs: bool = False,
    ) -> None:
        self.arena = Arena(layers, heads, head_width, capacity)
        self.passes = 0
        self._session = session
        self._least = 2 if pairs else 1
        self._binding: Any = None
        self._bound_generation = -1

    def forward(self, feeds: Sequence[Feed]) -> tuple[Float, list[Slots]]:
        """Run the rows of all feeds through the decoder.

        Returns:
            the hidden states of each feed's last `Feed.wanted` rows, one feed after the other,
            float32 (wanted in all, D), and each feed's slots after the pass (those before, then
            its new ones).
        """
        slots = [feed.slots for feed in feeds]
        done = [0] * len(feeds)
        last: list[list[Float]] = [[] for _ in feeds]
        while any(done[i] < len(feed.rows) for i, feed in enumerate(feeds)):
            chosen: list[tuple[int, int]] = []
            room = _MAX_ROWS
            for i, feed in enumerate(feeds):
                count = min(len(feed.rows) - done[i], room)
                if count > 0:
                    chosen.append((i, count))
                    room -= count
            rows = np.concatenate([feeds[i].rows[done[i] : done[i] + n] for i, n in chosen])
            start, row = self.arena.used, 0
            wanted: list[int] = []
            owners: list[int] = []
            before = list(slots)
            for i, n in chosen:
                slots[i] = np.concatenate([slots[i], np.arange(start + row, start + row + n)])
                first = len(feeds[i].rows) - feeds[i].wanted - done[i]
                found = range(max(first, 0), n)
                wanted += [row + r for r in found]
                owners += [i] * len(found)
                row += n
                done[i] += n
            hidden = self.run(rows, [(before[i], n) for i, n in chosen], wanted)
            for i, state in zip(owners, hidden, strict=True):
                last[i].append(state)
        return np.stack([state for states in last for state in states]), slots

    def run(
        self, rows: Float, branches: Sequence[tuple[Slots, int]], wanted: Sequence[int]
    ) -> Float:
        """Run one pass; its rows take the next slots.

        Args:
            rows: float32 (S, D), the branches' rows one after the other.
            branches: for each, the slots that it saw so far and how many rows are its.
            wanted: which rows to return, ascending.

        Returns:
            their hidden states, float32 (wanted, D).
        """
        arena, count = self.arena, len(rows)
        # The second time lies behind the used slots and is overwritten.
        attending = np.arange(count) if count > 1 else np.zeros(self._least, np.int64)
        arena.reserve(len(attending))
        if self._bound_generation != arena.generation:
            self._bind()
        total = arena.used + len(attending)
        binding = self._binding
        binding.bind_cpu_input("x", np.ascontiguousarray(rows, np.float32))
        binding.bind_cpu_input("rows", np.arange(count))
        binding.bind_cpu_input("attending", attending)
        binding.bind_cpu_input("wanted", np.asarray(wanted, np.int64))
        binding.bind_cpu_input("bias", visibility(total, branches, len(attending)))
        binding.bind_cpu_input("last", np.array([total - 1], np.int32))
        binding.bind_cpu_input("total", np.array([total], np.int32))
        binding.bind_output("hidden", "cpu")
        self._session.run_with_iobinding(binding)
        arena.used += count
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
