"""Programs of other environments: clients whose libraries pin what ours does not have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

CLIENTS = Path(sys.prefix) / "clients"
"""Made by `make test`, with the group `clients` of pyproject.toml."""
_SCRIPTS = Path(__file__).parent / "clients"
_SOURCES = Path(__file__).parent.parent / "src"


def answer_of(script: str, request: Any, home: Path) -> Any:
    """Run a script of tests/clients with the clients' interpreter: JSON in, a line of JSON out."""
    python = CLIENTS / "bin" / "python"
    assert python.exists(), f"no {python}; `make clients` makes it"
    env = {
        **os.environ, "HOME": str(home), "PYTHONPATH": str(_SOURCES),
        "FIFTYONE_DO_NOT_TRACK": "true",
    }  # fmt: skip
    done = subprocess.run(
        [python, _SCRIPTS / script], input=json.dumps(request), capture_output=True, text=True,
        timeout=300, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])  # some libraries say things before
