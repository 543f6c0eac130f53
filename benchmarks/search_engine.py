"""Vectors by the million: LanceDB beside NumPy, in time, memory and what is found.

    python benchmarks/search_engine.py [--vectors 1000000] [--width 512] [--folder FOLDER]

The vectors are made: groups of 50 near ones around random middles, with much that all have in
common, of length 1. Asked are others of the same groups for the ten nearest, as texts are asked for
(the cosine) and as pictures are (less the mean of all). What is right all vectors say, looked at in
NumPy. Writing and asking are processes of their own, so that their memory is their own.

"sqlite" is the index' own table, of which an open index holds all vectors as float16; "lancedb,
all" is LanceDB's table without an approximate index, "lancedb" with it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import machine
from kosmoscope.search.index.schema import open_to_read, open_to_write, transaction
from kosmoscope.search.index.table import TableVectors
from kosmoscope.vectorstore import VectorStore, lance
from kosmoscope.vectorstore.exact import BLOCK

NEAREST = 10
PLACES = ("sqlite", "lancedb, all", "lancedb")
WAYS = ("text", "picture")
Half = NDArray[np.float16]


def made(args: argparse.Namespace) -> Iterator[Half]:
    """Yield those that ask, then all others, a block at a time."""
    rng = np.random.default_rng(0)
    middles = rng.standard_normal((max(args.vectors // 50, 1), args.width), np.float32)
    common = 2 * rng.standard_normal(args.width, np.float32)
    blocks = [min(BLOCK, args.vectors - at) for at in range(0, args.vectors, BLOCK)]
    for size in (args.questions, *blocks):
        some = middles[rng.integers(0, len(middles), size)] + common
        some += 0.7 * rng.standard_normal((size, args.width), np.float32)
        yield (some / np.linalg.norm(some, axis=1, keepdims=True)).astype(np.float16)


def engine(args: argparse.Namespace) -> VectorStore:
    lance.PROBES = args.probes
    if args.place == "lancedb, all":
        lance.MANY = sys.maxsize
    return lance.LanceVectors(str(args.folder / args.place), "benchmark", args.width)


def write(args: argparse.Namespace) -> dict[str, float]:
    """Write all vectors, as an index does."""
    parts, number, seconds = made(args), 0, 0.0
    next(parts)
    if args.place == "sqlite":
        base = open_to_write(args.folder / "index.sqlite")
    else:
        store = engine(args)
    for some in parts:
        numbers = np.arange(number, number + len(some))
        began = time.perf_counter()
        if args.place == "sqlite":
            with transaction(base):
                base.executemany(
                    "INSERT INTO vector (embedder, picture, content, data) VALUES (1, ?, '', ?)",
                    [(n, v.tobytes()) for n, v in zip(numbers.tolist(), some, strict=True)],
                )
        else:
            store.add(numbers, some)
        seconds += time.perf_counter() - began
        number += len(some)
    began = time.perf_counter()
    if args.place == "sqlite":
        base.close()
    else:
        store.settle()
    settled = time.perf_counter() - began
    size = sum(p.stat().st_size for p in files(args)) / 1e6
    return {"written": seconds, "settled": settled, "size": size, "memory": machine.peak_gb()}


def files(args: argparse.Namespace) -> list[Path]:
    if args.place == "sqlite":
        return list(args.folder.glob("index.sqlite*"))
    return [p for p in (args.folder / args.place).rglob("*") if p.is_file()]


def ask(args: argparse.Namespace) -> dict[str, float]:
    """Ask as a new process does, and keep what was found."""
    asking = next(made(args)).astype(np.float32)
    began = time.perf_counter()
    if args.place == "sqlite":
        path = args.folder / "index.sqlite"
        store: VectorStore = TableVectors(open_to_read(path), path, 1, args.width)
    else:
        store = engine(args)
    store.nearest(asking[-1], NEAREST)
    said = {"first": time.perf_counter() - began}
    for way in WAYS:
        seconds, found = [], []
        for wanted in asking[:-1]:
            began = time.perf_counter()
            found.append(store.nearest(wanted, NEAREST, centred=way == "picture").numbers)
            seconds.append(time.perf_counter() - began)
        middle, late = np.percentile(seconds, (50, 95)) * 1e3
        truth = args.folder / f"{way}.npy"
        if args.place == "sqlite":
            np.save(truth, np.stack(found))
        right = [len(np.intersect1d(a, b)) for a, b in zip(found, np.load(truth), strict=True)]
        said |= {way: middle, f"{way}, p95": late, f"{way}, recall": np.mean(right) / NEAREST}
    return said | {"memory": machine.peak_gb()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--probes", type=int, default=lance.PROBES, help="parts looked into")
    parser.add_argument(
        "--folder", type=Path, help="an empty one; one that is removed unless given"
    )
    parser.add_argument("--place", choices=PLACES, help=argparse.SUPPRESS)
    parser.add_argument("--step", choices=("write", "ask"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        print(json.dumps({"write": write, "ask": ask}[args.step](args)))
        return
    print(machine.describe())
    with tempfile.TemporaryDirectory() as temporary:
        args.folder = args.folder or Path(temporary)
        measure(args)


def measure(args: argparse.Namespace) -> None:
    print(f"{args.vectors} vectors of {args.width} numbers, {args.questions - 1} questions")
    print("| | written | made ready | on the disk | memory | first answer | text, median | p95 "
          "| recall@10 | picture, median | p95 | recall@10 | memory |")  # fmt: skip
    print("|---" * 13 + "|")
    for place in PLACES:
        w, a = (step(args, place, name) for name in ("write", "ask"))
        asked = " | ".join(
            f"{a[way]:.0f} ms | {a[f'{way}, p95']:.0f} ms | {a[f'{way}, recall']:.3f}"
            for way in WAYS
        )
        print(f"| {place} | {w['written']:.0f} s | {w['settled']:.0f} s | {w['size']:.0f} MB "
              f"| {w['memory']:.2f} GB | {a['first']:.2f} s | {asked} | {a['memory']:.2f} GB |",
              flush=True)  # fmt: skip


def step(args: argparse.Namespace, place: str, name: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--place", place, "--step", name]
    for option in ("vectors", "width", "questions", "probes", "folder"):
        command += [f"--{option}", str(getattr(args, option))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
