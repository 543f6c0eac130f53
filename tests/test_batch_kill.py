"""SIGKILL at random moments, resumed each time: nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_runner import wait_until

PICTURES = int(os.environ.get("KOSMOSCOPE_KILL_PICTURES", "24"))
KILLS = int(os.environ.get("KOSMOSCOPE_KILLS", "6"))
SEED = int(os.environ.get("KOSMOSCOPE_KILL_SEED", "0"))

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL"),
    pytest.mark.timeout(0 if KILLS > 20 else 600),
]

DRIVER = """
import signal, sys
from pathlib import Path
from kosmoscope.batch import Task, run_batch
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.scope import load

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in background
scope = load("pocket", threads=1)
tasks = [Task.describe(), Task.ground("a red circle")]
options = GenerationOptions(max_new_tokens=24)
print("go", flush=True)
summary = run_batch(scope, [sys.argv[1]], tasks, Path(sys.argv[2]), options, batch_size=2)
print(summary.described, len(summary.repaired), flush=True)
"""


def start(pictures: Path, out: Path) -> subprocess.Popen[bytes]:
    """A run, at the moment at which it begins."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(pictures), str(out)],
        stdout=subprocess.PIPE,
        # As with many processors, products of small matrices must not wait for one another.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"go\n"
    return process


def finish(process: subprocess.Popen[bytes]) -> list[int]:
    rest, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return [int(word) for word in rest.split()]


def without_timings(file: Path) -> bytes:
    data, count = re.subn(rb'"timing": \{[^}]*\}', b'"timing": {}', file.read_bytes())
    assert count == data.count(b"\n")
    return data


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small pictures, one of them twice, one broken, one unreadable place."""
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(PICTURES - 3):
        colours = np.random.default_rng(i).integers(0, 256, (5, 7, 3), dtype=np.uint8)
        picture = Image.fromarray(colours).resize((96, 64), Image.Resampling.BICUBIC)
        picture.save(folder / f"{i:04}.png")
    (folder / "0007-again.png").write_bytes((folder / "0002.png").read_bytes())
    (folder / "0013-broken.png").write_bytes((folder / "0003.png").read_bytes()[:200])
    (folder / "0021-nowhere.png").symlink_to(folder / "nothing")
    return folder


def test_killed_runs_end_as_undisturbed_ones(pictures: Path, tmp_path: Path) -> None:
    straight, disturbed = tmp_path / "straight", tmp_path / "disturbed"
    described, _ = finish(start(pictures, straight))
    assert described == PICTURES - 2
    size = (straight / "results.jsonl").stat().st_size

    rng = random.Random(SEED)
    kills = torn = 0
    grown: list[int] = []
    results = disturbed / "results.jsonl"
    while kills < KILLS:
        process = start(pictures, disturbed)
        # By what was written rather than by the clock, so that a busy machine gets somewhere as
        # well; then at any moment. Every fifth kill does not wait for anything to be written.
        wait_for_growth(process, results, 0 if kills % 5 == 4 else rng.uniform(0, 2 * size / KILLS))
        try:
            process.communicate(timeout=rng.uniform(0, 0.15))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        if process.returncode == 0:
            # Done before its kill. What it did since the last one is undone, and it goes on.
            lines = results.read_bytes().splitlines(keepends=True)
            results.write_bytes(b"".join(lines[: rng.randrange(len(lines) // 2)]))
            continue
        assert process.returncode == -signal.SIGKILL
        kills += 1
        data = results.read_bytes() if results.exists() else b""
        grown.append(data.count(b"\n"))
        if kills % 3 == 0 and data:
            # A kill hardly ever tears a line, a loss of power does.
            with results.open("ab") as file:
                file.write(without_newline(straight / "results.jsonl", rng))
            torn += 1
    _, repaired = finish(start(pictures, disturbed))
    assert repaired in (0, 1)
    print(f"{kills} kills, {torn} torn lines, records at the kills: {grown}")

    assert len(set(grown)) > 1, "the kills hit at one and the same place"
    assert without_timings(results) == without_timings(straight / "results.jsonl")
    errors = (disturbed / "errors.jsonl").read_bytes()
    assert errors == (straight / "errors.jsonl").read_bytes()
    assert errors.count(b"\n") == 2
    records = [json.loads(line) for line in results.read_bytes().splitlines()]
    assert len(records) == 2 * (PICTURES - 2)
    assert len({(r["source"], r["task"]) for r in records}) == len(records)
    run = json.loads((disturbed / "run.json").read_text())
    assert run["state"] == "finished"
    assert run["counts"] == {"pictures": PICTURES - 2, "records": len(records), "failed": 2}


def wait_for_growth(process: subprocess.Popen[bytes], file: Path, count: float) -> None:
    """Wait until a file is `count` bytes longer, or the process has ended."""

    def size() -> int:
        return file.stat().st_size if file.exists() else 0

    wanted = size() + count
    while size() < wanted and process.poll() is None:
        time.sleep(0.001)


def without_newline(file: Path, rng: random.Random) -> bytes:
    """The beginning of some line, with anything but its end."""
    line = rng.choice(file.read_bytes().splitlines())
    return line[: rng.randrange(1, len(line))]


def test_sigint_ends_a_run_cleanly(pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(pictures, out)
    results = out / "results.jsonl"
    wait_until(lambda: results.exists() and results.stat().st_size, process)
    process.send_signal(signal.SIGINT)
    described, _ = finish(process)  # no traceback, no non-zero status: run_batch came back
    assert 0 < described < PICTURES
    assert results.read_bytes().endswith(b"\n")
    assert json.loads((out / "run.json").read_text())["state"] == "interrupted"
    again, repaired = finish(start(pictures, out))
    assert (described + again, repaired) == (PICTURES - 2, 0)
