"""How the tests of the command line run it: in this process, or as a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from kosmoscope import Description
from kosmoscope.cli.app import app

PROGRAM = [sys.executable, "-m", "kosmoscope.cli"]
POCKET = ["--model", "pocket", "--threads", "1"]  # on a busy machine, two wait for each other
QUIET = [*POCKET, "--max-new-tokens", "12"]


def run(*args: str | Path, **options: Any) -> Result:
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False, **options)


def process(*args: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*PROGRAM, *(os.fspath(a) for a in args)], capture_output=True, timeout=120, **options
    )


def wait_until(condition: Callable[[], object], child: subprocess.Popen[Any]) -> None:
    """Wait for what a running process does, however long it takes (pytest's limit is the net)."""
    while not condition():
        assert child.poll() is None, "it has ended"
        time.sleep(0.005)


def results(output: str) -> list[Description]:
    """Read JSON lines back; each must survive the round trip."""
    found = [Description.from_json(line) for line in output.splitlines()]
    assert [json.loads(d.to_json()) for d in found] == [json.loads(s) for s in output.splitlines()]
    return found


def one_error(result: Result, status: int) -> str:
    """Return the only line on stderr."""
    assert result.exit_code == status
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")
