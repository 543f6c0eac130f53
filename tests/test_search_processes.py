"""Real processes: killed while they index, and searching while another one indexes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kosmoscope.search import INDEX, Index, update_index
from search_results import LEFT, RIGHT, known, line, write

KILLS = int(os.environ.get("KOSMOSCOPE_INDEX_KILLS", "8"))
PICTURES = 400
INDEXING = """
import sys
from kosmoscope.search.index import reading
from kosmoscope.search import update_index
reading.STEP = 10
print("go", flush=True)
print(update_index(sys.argv[1]).pictures)
"""
SEARCHING = """
import sys
from kosmoscope.search import Index
print("go", flush=True)
with Index.open(sys.argv[1]) as index:
    before = 0
    while before < int(sys.argv[2]):
        answer = index.search("a dog left of a car", limit=5)
        # All that an answer says is of one state, and nothing goes away.
        assert answer.total == answer.pictures >= before, (answer.total, answer.pictures)
        assert all(len(hit.evidence) == 1 for hit in answer.hits)
        before = answer.total
print(before)
"""

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process, at the moment at which it begins."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    return process


def ended(process: subprocess.Popen[str]) -> str:
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return rest.strip()


def lines(many: int) -> list[bytes]:
    things = [("a dog", 0.9, LEFT), ("a car", 0.9, RIGHT)]
    return [line(f"{i:04}.jpg", things) for i in range(many)]


def test_killed_at_any_moment(tmp_path: Path) -> None:
    out = write(tmp_path / "out", lines(PICTURES))
    rng = random.Random(0)
    grown, done = [], 0
    for kill in range(KILLS):
        process = start(INDEXING, out)
        # By what was written rather than by the clock; some at once.
        wanted = done + rng.randrange(1, 2 * PICTURES // KILLS)
        while kill % 4 != 3 and count(out) < wanted and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done = count(out)
        grown.append(done)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        with Index.open(out) as index:  # what is there can be asked at once
            assert index.search("a dog left of a car").total == done
    assert grown == sorted(grown)
    assert grown[-1] > 0
    assert ended(start(INDEXING, out)) == str(PICTURES)
    fresh = write(tmp_path / "fresh", lines(PICTURES))
    update_index(fresh)
    assert known(out) == known(fresh)


def count(out: Path) -> int:
    """How many pictures are in the index now."""
    if not (out / INDEX).is_file():
        return 0
    try:
        with Index.open(out) as index:
            return len(index)
    except Exception as e:  # noqa: BLE001 (killed before its tables were there)
        assert "earlier version" in str(e) or "is damaged" in str(e), e
        return 0


def test_two_search_while_one_indexes(tmp_path: Path) -> None:
    out = write(tmp_path, lines(1))
    update_index(out)
    write(out, lines(PICTURES))
    searching = [start(SEARCHING, out, PICTURES) for _ in range(2)]
    assert ended(start(INDEXING, out)) == str(PICTURES)
    assert [ended(process) for process in searching] == [str(PICTURES)] * 2


def test_made_anew_under_a_searcher(tmp_path: Path) -> None:
    out = write(tmp_path, lines(3))
    update_index(out)
    with Index.open(out) as index:
        assert index.search("a dog").total == 3
        write(out, lines(5))
        update_index(out, rebuild=True)
        assert index.search("a dog").total == 5
