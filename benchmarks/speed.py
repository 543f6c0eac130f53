"""kosmoscope beside transformers at Kosmos-2's real size, with random weights.

    python benchmarks/speed.py FOLDER [--rounds 3] [--minutes 18] [--resume] [--engines int8,int4]

Needs the dev dependencies, 16 GB of memory and 12 GB of disk in FOLDER. Every engine is a process
of its own that stays up; a round takes every task, engine by engine, so that a drift of the
machine's speed hits all alike. Each figure is printed as it comes and kept in FOLDER/speed.jsonl;
when the minutes are over no further task is begun, and --resume goes on where the file ends. Shown
at the end are medians, and the ratios transformers / kosmoscope round by round (median). All
engines generate the same number of tokens, without constraints and without guessed tokens.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import machine

HERE = Path(__file__).parent
TASKS: dict[str, dict[str, Any]] = {
    "vision tower": {"task": "vision"},
    "1 picture, first token": {"task": "generate", "count": 1, "batch": 1},
    "1 picture, 33 tokens": {"task": "generate", "count": 33, "batch": 1},
    "1 picture, 128 tokens": {"task": "generate", "count": 128, "batch": 1},
    "8 pictures in a batch, 33 tokens": {"task": "generate", "count": 33, "batch": 8},
    "10 questions about a picture, 33 tokens": {"task": "questions", "count": 33},
}
COLD = "from a cold start to the first text"
CODE = {
    "transformers": "import worker, pathlib; worker.Theirs(pathlib.Path({0!r}), {1})"
    ".generate(33, 1)",
    "ours": "import worker, pathlib; worker.Ours({2!r}, pathlib.Path({0!r}), {1}).generate(33, 1)",
}
Times = dict[tuple[str, str], dict[int, float]]
"""Seconds by task, engine and round."""


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
    code = CODE[which].format(str(folder), threads, kind)
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE, capture_output=True)
    return time.perf_counter() - began


def measured(args: argparse.Namespace, kinds: list[str], known: Times) -> Iterator[dict[str, Any]]:
    """Yield what is not known yet, as it is measured, until the time is over."""
    over = time.monotonic() + args.minutes * 60
    engines = {kind: Engine(kind, args.folder, args.threads) for kind in kinds}
    for engine in engines.values():  # not counted: first runs pay for pages and buffers
        engine.do({"task": "generate", "count": 4, "batch": 1})
    names = [name for name in (*TASKS, COLD) if args.tasks in name]
    for number, name in itertools.product(range(args.rounds), names):
        if time.monotonic() > over:
            print(f"out of time in round {number + 1}; --resume goes on", flush=True)
            break
        for kind in kinds:
            if number in known.get((name, kind), {}):
                continue
            if name == COLD:
                seconds = cold(kind, args.folder, args.threads)
            else:
                seconds = engines[kind].do(dict(TASKS[name]))["seconds"]
            yield {"task": name, "engine": kind, "round": number, "seconds": seconds}
    for kind, engine in engines.items():
        yield {"task": "load", "engine": kind, "round": 0, "seconds": engine.load}
        peak = engine.do({"task": "peak"})["peak_gb"]
        yield {"task": "peak", "engine": kind, "round": 0, "gb": peak}
        engine.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=18, help="begin no task after so many")
    parser.add_argument("--resume", action="store_true", help="keep what FOLDER/speed.jsonl has")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--engines", default="int8,int4")
    parser.add_argument("--tasks", default="", help="only tasks whose name holds this text")
    args = parser.parse_args()
    # In a process of its own: making the checkpoint takes more memory than running it.
    subprocess.run([sys.executable, str(HERE / "full_size.py"), str(args.folder)], check=True)
    print(machine.describe())
    bandwidth = machine.read_bandwidth(args.threads)
    gemm = machine.gemm_rate(args.threads)
    int_gemm = machine.gemm_rate(args.threads, integer=True)
    print(
        f"read {bandwidth:.0f} GB/s, fp32 GEMM {gemm:.0f} GFLOP/s, int8 GEMM {int_gemm:.0f} GOP/s"
    )
    print(f"{args.threads} threads\n", flush=True)
    kinds = ["transformers", *args.engines.split(",")]
    file = args.folder / "speed.jsonl"
    if not args.resume:
        file.unlink(missing_ok=True)
    times: Times = {}
    peaks: dict[str, float] = {}
    with file.open("a+") as log:
        log.seek(0)
        for line in log:
            take(json.loads(line), times, peaks)
        for figure in measured(args, kinds, times):
            log.write(json.dumps(figure) + "\n")
            log.flush()
            take(figure, times, peaks)
            value = f"{figure['seconds']:.2f} s" if "seconds" in figure else f"{figure['gb']:.2f}"
            name = f"round {figure['round'] + 1}  {figure['task']:42s} {figure['engine']:12s}"
            print(name, value, flush=True)
    table(kinds, times, peaks)
    if not args.tasks:
        limits(args.folder, kinds[1:], times, bandwidth, int_gemm)


def take(figure: dict[str, Any], times: Times, peaks: dict[str, float]) -> None:
    kind = figure["engine"]
    if figure["task"] == "peak":
        peaks[kind] = max(peaks.get(kind, 0), figure["gb"])
    else:
        times.setdefault((figure["task"], kind), {})[figure["round"]] = figure["seconds"]


def table(kinds: list[str], times: Times, peaks: dict[str, float]) -> None:
    """Print medians and ratios as a table in Markdown."""
    theirs = kinds[0]
    rounds = max(len(found) for found in times.values())
    print(f"\nmedians of up to {rounds} rounds\n")
    print("| | " + " | ".join(["transformers fp32", *kinds[1:]]) + " |")
    print("|---" * (len(kinds) + 1) + "|")
    for name in (*TASKS, COLD):
        if (name, theirs) not in times:
            continue
        base = times[name, theirs]
        cells = [f"{statistics.median(base.values()):.2f} s"]
        for kind in kinds[1:]:
            ours = times.get((name, kind), {})
            both = sorted(base.keys() & ours.keys())
            ratio = statistics.median(base[n] / ours[n] for n in both)
            cells.append(f"{statistics.median(ours.values()):.2f} s ({ratio:.1f}x)")
        print(f"| {name} | " + " | ".join(cells) + " |")
    cells = [f"{peaks[theirs]:.2f} GB"]
    cells += [f"{peaks[kind]:.2f} GB ({peaks[kind] / peaks[theirs]:.2f}x)" for kind in kinds[1:]]
    print("| peak resident memory | " + " | ".join(cells) + " |")
    loads = (f"{kind} {min(times['load', kind].values()):.2f} s" for kind in kinds)
    print("\nload: " + ", ".join(loads))


def limits(folder: Path, kinds: list[str], times: Times, bandwidth: float, int_gemm: float) -> None:
    """Print how far each engine is from what the machine can do."""
    print("\ndistance to the machine's limits")
    operations = 2 * 67 * 1.21e9 + 2 * 257 * 0.30e9  # prefix through the decoder, tower
    for kind in kinds:
        size = sum((folder / kind / f"{n}.data").stat().st_size for n in ("decoder", "head"))
        long, short, first = (
            statistics.median(times[name, kind].values())
            for name in ("1 picture, 128 tokens", "1 picture, 33 tokens", "1 picture, first token")
        )
        step, least = (long - short) / 95, size / bandwidth / 1e9
        print(
            f"  {kind}: {step * 1e3:.1f} ms a token; {size / 1e9:.2f} GB of weights a token at "
            f"{bandwidth:.0f} GB/s take {least * 1e3:.1f} ms: {step / least:.1f}x the limit"
        )
        floor = operations / int_gemm / 1e9
        print(
            f"  {kind}: {first:.2f} s to the first token; {operations / 1e9:.0f} GOP at "
            f"{int_gemm:.0f} GOP/s take {floor:.2f} s: {first / floor:.1f}x the limit"
        )


if __name__ == "__main__":
    main()
