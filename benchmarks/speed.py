"""kosmoscope beside transformers at Kosmos-2's real size, with random weights.

    python benchmarks/speed.py FOLDER [--rounds 3] [--threads N] [--engines int8,int4]

Needs the dev dependencies, 16 GB of memory and 12 GB of disk in FOLDER. Every engine is a process
of its own that stays up; rounds go engine by engine, so that a drift of the machine's speed hits
all alike. Shown are medians, and the ratios transformers / kosmoscope round by round (median).
All engines generate the same number of tokens, without constraints.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import full_size
import machine

HERE = Path(__file__).parent
TASKS: dict[str, dict[str, Any]] = {
    "vision tower": {"task": "vision"},
    "1 picture, 1 token": {"task": "generate", "count": 1, "batch": 1},
    "1 picture, 33 tokens": {"task": "generate", "count": 33, "batch": 1},
    "1 picture, 128 tokens": {"task": "generate", "count": 128, "batch": 1},
    "8 pictures, 33 tokens": {"task": "generate", "count": 33, "batch": 8},
    "10 questions, 33 tokens": {"task": "questions", "count": 33},
}
COLD = {
    "transformers": "import worker, pathlib; worker.Theirs(pathlib.Path({0!r}), {1})"
    ".generate(33, 1)",
    "ours": "import worker, pathlib; worker.Ours({2!r}, pathlib.Path({0!r}), {1}).generate(33, 1)",
}


class Engine:
    """A worker process."""

    def __init__(self, kind: str, folder: Path, threads: int) -> None:
        self.kind = kind
        command = [sys.executable, str(HERE / "worker.py"), kind, str(folder), str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL, cwd=HERE,
        )  # fmt: skip
        self.load = self._answer()["load"]

    def do(self, task: dict[str, Any]) -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.kind}: the worker died; run it by hand to see why")
        found: dict[str, float] = json.loads(line)
        return found


def cold(kind: str, folder: Path, threads: int) -> float:
    """Return seconds from starting a process to the end of its first 33-token text."""
    which = "transformers" if kind == "transformers" else "ours"
    code = COLD[which].format(str(folder), threads, kind)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--engines", default="int8,int4")
    parser.add_argument("--tasks", default="", help="only tasks whose name holds this text")
    args = parser.parse_args()
    full_size.ensure(args.folder)
    print(machine.describe())
    bandwidth = machine.read_bandwidth(args.threads)
    gemm = machine.gemm_rate(args.threads)
    int_gemm = machine.gemm_rate(args.threads, integer=True)
    print(
        f"read {bandwidth:.0f} GB/s, fp32 GEMM {gemm:.0f} GFLOP/s, int8 GEMM {int_gemm:.0f} GOP/s"
    )
    print(f"{args.threads} threads, {args.rounds} rounds, medians in seconds\n")

    kinds = ["transformers", *args.engines.split(",")]
    engines = [Engine(kind, args.folder, args.threads) for kind in kinds]
    times: dict[tuple[str, str], list[float]] = {}
    for engine in engines:  # not counted: first runs pay for pages and buffers
        engine.do({"task": "generate", "count": 4, "batch": 1})
    for name, task in TASKS.items():
        if args.tasks not in name:
            continue
        for _ in range(args.rounds):
            for engine in engines:
                seconds = engine.do(dict(task))["seconds"]
                times.setdefault((name, engine.kind), []).append(seconds)
        show(name, kinds, times)
    peaks = {engine.kind: engine.do({"task": "peak"})["peak_gb"] for engine in engines}
    loads = {engine.kind: engine.load for engine in engines}
    for engine in engines:
        engine.stop()
    for _ in range(args.rounds if args.tasks in "cold start to text" else 0):
        for kind in kinds:
            seconds = cold(kind, args.folder, args.threads)
            times.setdefault(("cold start to text", kind), []).append(seconds)
    if args.tasks in "cold start to text":
        show("cold start to text", kinds, times)
    print("load           ", "  ".join(f"{k} {v:.2f} s" for k, v in loads.items()))
    print(
        "peak resident  ",
        "  ".join(f"{k} {v:.2f} GB ({v / peaks['transformers']:.2f}x)" for k, v in peaks.items()),
    )
    if not args.tasks:
        limits(args.folder, kinds[1:], times, bandwidth, int_gemm)


def show(name: str, kinds: list[str], times: dict[tuple[str, str], list[float]]) -> None:
    theirs = times[name, kinds[0]]
    cells = [f"{kinds[0]} {statistics.median(theirs):.2f}"]
    for kind in kinds[1:]:
        ours = times[name, kind]
        ratio = statistics.median(t / o for t, o in zip(theirs, ours, strict=True))
        cells.append(f"{kind} {statistics.median(ours):.2f} ({ratio:.1f}x)")
    print(f"{name:24s}", "   ".join(cells), flush=True)


def limits(
    folder: Path,
    kinds: list[str],
    times: dict[tuple[str, str], list[float]],
    bandwidth: float,
    int_gemm: float,
) -> None:
    """Print how far each engine is from what the machine can do."""
    print("\ndistance to the machine's limits")
    operations = 2 * 67 * 1.21e9 + 2 * 257 * 0.30e9  # prefix through the decoder, tower
    for kind in kinds:
        size = sum((folder / kind / f"{n}.data").stat().st_size for n in ("decoder", "head"))
        step = (
            statistics.median(times["1 picture, 128 tokens", kind])
            - statistics.median(times["1 picture, 33 tokens", kind])
        ) / 95
        least = size / bandwidth / 1e9
        print(
            f"  {kind}: {step * 1e3:.1f} ms a token; {size / 1e9:.2f} GB of weights a token at "
            f"{bandwidth:.0f} GB/s take {least * 1e3:.1f} ms: {step / least:.1f}x the limit"
        )
        first = statistics.median(times["1 picture, 1 token", kind])
        floor = operations / int_gemm / 1e9
        print(
            f"  {kind}: {first:.2f} s to the first token; {operations / 1e9:.0f} GOP at "
            f"{int_gemm:.0f} GOP/s take {floor:.2f} s: {first / floor:.1f}x the limit"
        )


if __name__ == "__main__":
    main()
