"""Slots, and who sees whom: against naive lists."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kosmoscope.engine.arena import HIDDEN, Arena, visibility


@dataclass
class Row:
    """A row of a pass: what its branch saw before, and its place in the branch."""

    before: frozenset[int]
    branch: int


@st.composite
def passes(draw: st.DrawFn) -> tuple[int, list[tuple[np.ndarray, int]]]:
    """Draw a pass over up to 20 earlier slots: each branch sees some of them, in any order."""
    past = draw(st.integers(0, 20))
    branches = []
    for _ in range(draw(st.integers(1, 5))):
        seen = draw(st.lists(st.integers(0, past - 1), unique=True)) if past else []
        branches.append((np.array(seen, np.int64), draw(st.integers(1, 4))))
    return past, branches


def naive(past: int, branches: list[tuple[np.ndarray, int]]) -> list[list[bool]]:
    """Write down for each row which positions it may see."""
    rows = [
        Row(frozenset(seen.tolist()), n) for n, (seen, count) in enumerate(branches)
        for _ in range(count)
    ]  # fmt: skip
    table = []
    for place, row in enumerate(rows):
        earlier = [p in row.before for p in range(past)]
        table.append(earlier + [
            other.branch == row.branch and at <= place for at, other in enumerate(rows)
        ])  # fmt: skip
    return table


@given(passes())
def test_visibility(drawn: tuple[int, list[tuple[np.ndarray, int]]]) -> None:
    past, branches = drawn
    count = sum(n for _, n in branches)
    bias = visibility(past + count, branches, count)
    assert bias.shape == (1, 1, count, past + count)
    assert bias.dtype == np.float32
    assert set(np.unique(bias)) <= {np.float32(0), np.float32(HIDDEN)}
    seen = bias[0, 0] == 0
    # The operator itself hides what comes later.
    seen &= np.arange(past + count) <= past + np.arange(count)[:, None]
    assert seen.tolist() == naive(past, branches)


def test_hidden_means_no_weight_at_all() -> None:
    scores = np.array([-1e4, 1e4, 3.0], np.float32) + np.array([0, HIDDEN, 0], np.float32)
    weights = np.exp(scores - scores.max())
    assert weights[1] == 0
    assert np.isfinite(scores).all()


LAYERS, HEADS, WIDTH = 2, 3, 4


@dataclass
class Model:
    """The naive arena: a list of numbered positions."""

    slots: list[int] = field(default_factory=list)
    counter: int = 0


def entry(number: int, kind: int) -> np.ndarray:
    """Return a position's unmistakable keys (kind 0) or values (1): (layers, heads, 1, width)."""
    size = LAYERS * HEADS * WIDTH
    flat = number * 1000 + kind * 500 + np.arange(size, dtype=np.float32)
    return flat.reshape(LAYERS, HEADS, 1, WIDTH)


class Arenas(RuleBasedStateMachine):
    """Any sequence of place, reserve and keep leaves the slots that a list would hold."""

    @initialize(capacity=st.integers(0, 300))
    def begin(self, capacity: int) -> None:
        self.arena = Arena(LAYERS, HEADS, WIDTH, capacity)
        self.model = Model()
        assert self.arena.capacity >= capacity

    @rule(count=st.integers(1, 150))
    def place(self, count: int) -> None:
        numbers = range(self.model.counter, self.model.counter + count)
        self.model.counter += count
        keys, values = (
            np.concatenate([entry(n, kind) for n in numbers], axis=2) for kind in (0, 1)
        )
        slots = self.arena.place(keys, values)
        assert slots.tolist() == [len(self.model.slots) + k for k in range(count)]
        self.model.slots += numbers

    @rule(extra=st.integers(0, 400))
    def reserve(self, extra: int) -> None:
        before, keys = self.arena.generation, self.arena.keys[0]
        self.arena.reserve(extra)
        assert self.arena.capacity >= self.arena.used + extra
        assert (self.arena.keys[0] is keys) == (self.arena.generation == before)

    @rule(data=st.data(), odds=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    def keep(self, data: st.DataObject, odds: float) -> None:
        seed = data.draw(st.integers(0, 1000))
        live = np.random.default_rng(seed).random(len(self.model.slots)) < odds
        buffers = [*self.arena.keys, *self.arena.values]
        if not len(live):
            return
        renumbered = self.arena.keep(live)
        kept = [n for n, alive in zip(self.model.slots, live, strict=True) if alive]
        wanted = [kept.index(n) if alive else -1
                  for n, alive in zip(self.model.slots, live, strict=True)]  # fmt: skip
        assert renumbered.tolist() == wanted
        self.model.slots = kept
        assert all(a is b for a, b in zip(buffers, [*self.arena.keys, *self.arena.values],
                                          strict=True)), "bound buffers must stay"  # fmt: skip

    @invariant()
    def holds_what_the_list_holds(self) -> None:
        if not hasattr(self, "arena"):
            return
        numbers = self.model.slots
        assert self.arena.used == len(numbers)
        assert all(
            b.shape == (1, HEADS, self.arena.capacity, WIDTH) and b.dtype == np.float32
            for b in (*self.arena.keys, *self.arena.values)
        )
        if numbers:
            for kind, found in enumerate(self.arena.views(len(numbers))):
                wanted = [entry(n, kind) for n in numbers]
                np.testing.assert_array_equal(found, np.concatenate(wanted, axis=2))


TestArenas = Arenas.TestCase
TestArenas.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)


def test_rows_beyond_the_capacity_grow_it_in_steps() -> None:
    arena = Arena(1, 1, 8, 100)
    assert arena.capacity == 128
    arena.place(np.ones((1, 1, 128, 8), np.float32), np.ones((1, 1, 128, 8), np.float32))
    assert (arena.capacity, arena.generation) == (128, 0)
    arena.reserve(1)
    assert (arena.capacity, arena.generation) == (192, 1)
    assert arena.keys[0].sum() == 128 * 8, "what is new is zero: never a NaN in a masked slot"
    assert arena.keys[0][0, 0, :128].min() == pytest.approx(1)
