"""No test depends on how fast the machine is: none reads a clock, none has a tight limit."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from effort import effort, grows_linearly

CLOCKS = re.compile(
    r"(time|perf_counter|monotonic|process_time|thread_time|clock_gettime)(_ns)?|timeit|repeat"
)
LEAST_S = 60
"""Limits are there for what hangs; everything else is through long before, on any machine."""


def problems(source: str) -> Iterator[str]:
    """Yield what depends on the machine's speed: clocks, limits of less than a minute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in ("time", "timeit"):
            for alias in node.names:
                if CLOCKS.fullmatch(alias.name):
                    yield f"line {node.lineno}: {node.module}.{alias.name} reads a clock"
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        module, _, function = name.rpartition(".")
        if module in ("time", "timeit") and CLOCKS.fullmatch(function):
            yield f"line {node.lineno}: {name} reads a clock"
        limits = [k.value for k in node.keywords if k.arg == "timeout"]
        if name == "pytest.mark.timeout" or (function == "wait" and module.endswith("child")):
            limits += node.args[:1]
        for limit in limits:
            if isinstance(limit, ast.Constant) and 0 < (limit.value or 0) < LEAST_S:
                yield f"line {node.lineno}: a limit of {limit.value} s"


@pytest.mark.parametrize("file", sorted(Path(__file__).parent.glob("*.py")), ids=lambda p: p.name)
def test_no_test_measures_time(file: Path) -> None:
    assert list(problems(file.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("began = time.perf_counter()\nf()\nassert time.perf_counter() - began < 0.3", "clock"),
        ("from time import monotonic", "clock"),
        ("timeit.timeit(f)", "clock"),
        ("@pytest.mark.timeout(15)\ndef test(): ...", "limit of 15 s"),
        ("subprocess.run(['true'], timeout=5)", "limit of 5 s"),
        ("child.wait(2.5)", "limit of 2.5 s"),
    ],
)
def test_measuring_is_found(source: str, says: str) -> None:
    assert says in "; ".join(problems(source))


def test_what_only_waits_is_not() -> None:
    source = "time.sleep(0.01)\nchild.wait(120)\n@pytest.mark.timeout(0)\ndef test(): ..."
    assert list(problems(source)) == []


def test_examples_have_no_deadline() -> None:
    ours = hypothesis.settings()
    assert ours.deadline is None
    assert hypothesis.HealthCheck.too_slow in ours.suppress_health_check


def test_effort_tells_a_line_from_a_square() -> None:
    import json

    def once(n: int) -> None:
        words = json.loads(json.dumps([f"{i:06}" for i in range(n)]))
        assert len({w: i for i, w in enumerate(words)}) == n

    def nested(n: int) -> None:
        assert sum(1 for a in range(n) for b in range(n) if a == b) == n

    def searched(n: int) -> None:
        words = json.loads(json.dumps([f"{i:06}" for i in range(n)]))
        assert all(words.index(f"{i:06}") == i for i in range(n))

    def totals(call: object) -> list[int]:
        return [effort(lambda n=n: call(n)).total for n in (50, 100, 200)]  # type: ignore[operator]

    assert grows_linearly(totals(once))
    assert not grows_linearly(totals(nested))
    assert not grows_linearly(totals(searched)), "the search is in C"
