"""Memory and time of converting and loading a checkpoint of Kosmos-2's real size.

    python benchmarks/conversion.py FOLDER

Each step is a process of its own; peak resident memory is what the system says of it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import full_size
import machine

CONVERT = """
import time
import machine
from pathlib import Path
from kosmoscope.model.kind import KOSMOS2
from kosmoscope.store.convert import convert
began = time.perf_counter()
convert(KOSMOS2, Path({0!r}), Path({1!r}), {2!r})
print(f"{{time.perf_counter() - began:.1f}} s,"
      f" peak {{machine.peak_gb():.2f}} GB")
"""
LOAD = """
import time
from pathlib import Path
began = time.perf_counter()
from kosmoscope.scope import load
scope = load(Path({1!r}))
seconds = time.perf_counter() - began
import machine
print(f"ready after {{seconds:.2f}} s (imports included), peak {{machine.peak_gb():.2f}} GB")
"""


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
    ).stdout.strip()


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    source = full_size.ensure(folder)
    size = sum(f.stat().st_size for f in source.glob("*.safetensors")) / 1e9
    print(machine.describe())
    print(f"source {size:.2f} GB")
    for precision in ("int8", "int4", "fp32"):
        target = folder / precision
        shutil.rmtree(target, ignore_errors=True)
        names = (str(source), str(target), precision)
        print(f"{precision}: convert", run(CONVERT.format(*names)), end="; ", flush=True)
        written = sum(f.stat().st_size for f in target.iterdir()) / 1e9
        print(f"{written:.2f} GB on disk; load {run(LOAD.format(*names))}", flush=True)


if __name__ == "__main__":
    main()
