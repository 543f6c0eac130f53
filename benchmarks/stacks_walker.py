"""scikit-image's plain random walker beside ours, from the same marks on the MNI template.

    python benchmarks/stacks_walker.py FILE [--steps 4,2,1] [--minutes 4] [--resume]

FILE: a line of JSON for each run, as each ends; --resume keeps those and goes on with the others.
Steps: every so many voxels along each axis. Each run has a process of its own that is stopped after
so many minutes; its peak memory is what Linux says of it until then. scikit-image's modes are cg_j
(its default here) and cg_mg, where pyamg is installed; "bf" factorises the whole system, for which
this many voxels have no memory.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import machine
from kosmoscope.stacks import segment_stack
from stacks_anatomy import dice, template

TOOLS = ("ours", "cg_j", "cg_mg")


def run(tool: str, name: str, step: int, minutes: float) -> dict[str, Any]:
    """Run one tool in a process that can be stopped, and return what came of it."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(sender, tool, name, step))
    child.start()
    sender.close()
    row: dict[str, Any] = {"task": name, "step": step, "tool": tool, "limit_s": minutes * 60}
    row["voxels"] = receiver.recv()  # the time begins when the stack is read
    ends = time.monotonic() + minutes * 60
    peak = 0.0
    while child.is_alive() and time.monotonic() < ends and not receiver.poll(0.5):
        peak = _peak_gib(child.pid) or peak
    done = receiver.poll()
    if done:
        row.update(receiver.recv())
    else:
        child.kill()
        row["peak_gib"] = round(peak, 2)
    child.join()
    if not done and child.exitcode not in (-9,):
        raise SystemExit(f"{tool}, {name}, step {step}: ended with {child.exitcode}")
    return row


def _child(sender: Connection, tool: str, name: str, step: int) -> None:
    (task,) = (t for t in template() if t.name == name)
    task = task.every(step)
    sender.send(task.volume.stored.size)
    began = time.perf_counter()
    if tool == "ours":
        found = segment_stack(task.volume, task.seeds).labels == 1
    else:
        from skimage.segmentation import random_walker

        marked = task.seeds.on(task.volume)
        marks = np.zeros(task.volume.shape, np.int32)
        marks[tuple(marked.kji.T)] = marked.labels + 1
        found = random_walker(task.volume.values(), marks, mode=tool, tol=1e-3) == 2
    seconds = time.perf_counter() - began
    sender.send(
        {
            "dice": round(dice(found, task.truth), 3),
            "seconds": round(seconds, 2),
            "peak_gib": round(machine.peak_gb(), 2),
        }
    )


def _peak_gib(pid: int | None) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(x.split()[1]) / 2**20 for x in lines if x.startswith("VmHWM:")), None)


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| | voxels | | Dice | seconds | peak memory |", "|---|---|---|---|---|---|"]
    for row in rows:
        if "dice" in row:
            said = f"{row['dice']:.3f} | {row['seconds']:.3g}"
        else:
            said = f"| not done after {row['limit_s']:.0f} s"
        tool = row["tool"] if row["tool"] == "ours" else f"scikit-image, `{row['tool']}`"
        lines.append(
            f"| {row['task']} | {row['voxels']:,} | {tool} | {said} | {row['peak_gib']:.1f} GiB |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--steps", default="4,2,1")
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--resume", action="store_true", help="keep what FILE has")
    arguments = parser.parse_args()
    kept = arguments.file.read_text().splitlines() if arguments.resume else []
    rows = [json.loads(line) for line in kept]
    known = {(row["task"], row["step"], row["tool"]) for row in rows}
    if importlib.util.find_spec("pyamg") is None:
        print("pyamg is not installed: cg_mg is left out")
        TOOLS = TOOLS[:2]
    print(machine.describe())
    with arguments.file.open("a" if arguments.resume else "w") as file:
        for step in map(int, arguments.steps.split(",")):
            for name in ("white matter", "brain"):
                for tool in TOOLS:
                    if (name, step, tool) in known:
                        continue
                    rows.append(run(tool, name, step, arguments.minutes))
                    print(json.dumps(rows[-1]), file=file, flush=True)
    print(table(rows))
