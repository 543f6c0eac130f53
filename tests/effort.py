"""What a call costs, counted: the same on a fast machine, on a slow one, and on a busy one.

No test reads a clock (test_no_clock.py). One that guards against slow code counts what it does at
sizes that double, and says how that may grow.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from unittest import mock


@dataclass
class Effort:
    """What one call did."""

    lines: int = 0
    """Python lines run, one for every turn of a loop or a comprehension, and calls."""
    looks: int = 0
    """Strings that came out of JSON, hashed or compared; also by `in`, `index`, and other C."""
    calls: Counter[str] = field(default_factory=Counter)
    """Calls of C functions by name."""

    @property
    def total(self) -> int:
        return self.lines + self.looks + self.calls.total()


def effort(call: Callable[[], Any]) -> Effort:
    """Run something in this thread and count."""
    found = Effort()

    class Counted(str):
        """A string that says when it is looked at, and stays one through `str()`."""

        __slots__ = ()

        def __str__(self) -> str:
            return self

        def __eq__(self, other: object) -> bool:
            found.looks += 1
            return str.__eq__(self, other)

        def __hash__(self) -> int:
            found.looks += 1
            return str.__hash__(self)

    def counted(value: Any) -> Any:
        if isinstance(value, list):
            return [counted(v) for v in value]
        if isinstance(value, dict):
            return {k: counted(v) for k, v in value.items()}
        return Counted(value) if isinstance(value, str) else value

    loads = json.loads
    before = sys.gettrace(), sys.getprofile()

    def read(*args: Any, **options: Any) -> Any:
        sys.settrace(None)
        sys.setprofile(None)
        try:
            return counted(loads(*args, **options))
        finally:
            sys.settrace(trace)
            sys.setprofile(profile)

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        # The counting itself is not counted.
        if frame.f_code.co_filename == __file__:
            return None
        found.lines += 1
        return trace

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_call" and frame.f_code.co_filename != __file__:
            found.calls[arg.__name__] += 1

    with mock.patch("json.loads", read):
        sys.settrace(trace)
        sys.setprofile(profile)
        try:
            call()
        finally:
            sys.settrace(before[0])
            sys.setprofile(before[1])
    return found


def grows_linearly(totals: Sequence[int]) -> bool:
    """Say whether counts at sizes that double grow as the sizes do; a square grows twice as fast.

    Differences are compared, so that what is done once, however much, does not hide the rest.
    """
    steps = [b - a for a, b in itertools.pairwise(totals)]
    return all(b <= 2.5 * a for a, b in itertools.pairwise(steps))
