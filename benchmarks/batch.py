"""A folder of photos beside the engine alone: do decoding and writing hide behind the model?

    python benchmarks/batch.py [--pictures 200] [--rounds 2] [--threads N] [--model pocket]

The engine's own rate is that of pictures which lie in memory as pixel tensors, with the same batch
size, threads and options. The bar is 80 % of it for photos of 12 megapixels. Rounds alternate, so
that a drift of the machine's speed hits both; shown are medians. Also shown:

- decoding alone, with the batch's decoder threads, and what one picture costs in processor time on
  either side. No order of work can beat `cores / (decoding + engine)`: that limit is the column
  "possible", and the share of it that the batch reaches says what its own machinery costs;
- the peak of resident memory for 200 and for 1000 small pictures, each in a process of its own.

A product of a few rows in NumPy goes through its BLAS, whose threads wait for each other on a busy
machine: run with OPENBLAS_NUM_THREADS=1 to see the engine without that.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

import machine
from kosmoscope.batch import BATCH_SIZE, Source, Task, run_batch
from kosmoscope.batch.decoding import Decoded, decode
from kosmoscope.batch.pipeline import Describer
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.images import Limits
from kosmoscope.scope import Scope, load

BAR = 0.8
SIZES = {"12 MP": (4000, 3000), "3 MP": (2000, 1500), "0.3 MP": (640, 480)}
DISTINCT = 16


def photo(seed: int, size_wh: tuple[int, int]) -> bytes:
    """Return a JPEG about as large as a camera's: smooth areas, edges and some noise."""
    rng = np.random.default_rng(seed)
    width, height = size_wh
    coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size_wh, Image.Resampling.BICUBIC), np.int16)
    tile = rng.normal(0, 9, (256, 256, 1)).astype(np.int16)
    noise = np.tile(tile, (height // 256 + 1, width // 256 + 1, 1))[:height, :width]
    out = io.BytesIO()
    Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=85)
    return out.getvalue()


def fill(folder: Path, count: int, size_wh: tuple[int, int]) -> float:
    """Write photos, no two of the same content; return their mean size in MB."""
    folder.mkdir()
    made = [photo(seed, size_wh) for seed in range(min(count, DISTINCT))]
    for i in range(count):
        # What follows a JPEG's end is ignored by decoders, but makes it another file.
        (folder / f"{i:05}.jpg").write_bytes(made[i % len(made)] + str(i).encode())
    return sum(map(len, made)) / len(made) / 1e6


class Bench:
    """One model, one folder."""

    def __init__(self, scope: Scope, folder: Path) -> None:
        self.scope = scope
        self.folder = folder
        self.sources = [Source(str(path)) for path in sorted(folder.iterdir())]
        self.options = GenerationOptions()
        self.tasks = (Task.describe(),)
        self.cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
        self.decoded = self.decode(self.sources[:DISTINCT])

    def decode(self, sources: list[Source]) -> list[Decoded]:
        spec, limits = self.scope.pixel_spec, Limits()
        with ThreadPoolExecutor(self.cores) as pool:
            found = list(pool.map(lambda s: decode(s, limits, spec, None), sources))
        assert all(isinstance(f, Decoded) for f in found)
        return found  # type: ignore[return-value]

    def engine(self) -> None:
        """Describe as many pictures as the folder has, from tensors in memory."""
        describer = Describer(self.scope, self.tasks, self.options)
        count = len(self.sources)
        pictures = [self.decoded[i % len(self.decoded)] for i in range(count)]
        for i in range(0, count, BATCH_SIZE):
            describer.complete(pictures[i : i + BATCH_SIZE])

    def batch(self) -> None:
        out = Path(tempfile.mkdtemp(dir=self.folder.parent))
        summary = run_batch(self.scope, [self.folder], self.tasks, out, self.options)
        assert summary.described == len(self.sources), summary
        shutil.rmtree(out)


def measured(work: object) -> tuple[float, float]:
    """Return seconds of the clock and of the processors."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()  # type: ignore[operator]
    return time.perf_counter() - clock, time.process_time() - cpu


def compare(scope: Scope, folder: Path, rounds: int) -> tuple[list[str], float]:
    bench = Bench(scope, folder)
    count = len(bench.sources)
    bench.engine()
    times: dict[str, list[tuple[float, float]]] = {"engine": [], "decode": [], "batch": []}
    for _ in range(rounds):
        times["engine"].append(measured(bench.engine))
        times["decode"].append(measured(lambda: bench.decode(bench.sources)))
        times["batch"].append(measured(bench.batch))
    clock = {k: statistics.median(t for t, _ in v) / count for k, v in times.items()}
    cpu = {k: statistics.median(c for _, c in v) / count for k, v in times.items()}
    possible = min(1 / clock["engine"], bench.cores / (cpu["engine"] + cpu["decode"]))
    ratio = clock["engine"] / clock["batch"]
    cells = [
        f"{1 / clock['engine']:.1f}",
        f"{1 / clock['decode']:.1f}",
        f"{1 / clock['batch']:.1f}",
        f"{100 * ratio:.0f} %",
        f"{possible:.1f}",
        f"{100 / clock['batch'] / possible:.0f} %",
        f"{1000 * cpu['engine']:.0f} + {1000 * cpu['decode']:.0f} ms",
    ]
    return cells, ratio


def peak(folder: Path, model: str, threads: int | None) -> float:
    """Return the peak memory in MB of a process that describes a folder."""
    command = [sys.executable, __file__, "--child", str(folder), "--model", model]
    command += [] if threads is None else ["--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def child(folder: Path, scope: Scope) -> None:
    bench = Bench(scope, folder)
    bench.batch()
    print(machine.peak_gb() * 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    scope = load(arguments.model, threads=arguments.threads)
    if arguments.child:
        child(arguments.child, scope)
        return
    print(machine.describe())
    print(f"load average {os.getloadavg()[0]:.1f}; {scope!r}; {arguments.pictures} pictures")
    head = ["photos", "MB each", "engine/s", "decode/s", "batch/s", "of engine", "possible/s",
            "of possible", "cpu engine + decode"]  # fmt: skip
    print(" | ".join(head))
    reached = 0.0
    with tempfile.TemporaryDirectory() as place:
        for name, size_wh in SIZES.items():
            folder = Path(place) / name
            size = fill(folder, arguments.pictures, size_wh)
            cells, ratio = compare(scope, folder, arguments.rounds)
            reached = reached or ratio
            print(" | ".join([name, f"{size:.1f}", *cells]), flush=True)
            shutil.rmtree(folder)
        peaks = []
        for count in (200, 1000):
            folder = Path(place) / str(count)
            fill(folder, count, SIZES["0.3 MP"])
            peaks.append(peak(folder, arguments.model, arguments.threads))
            print(f"{count} pictures of 0.3 MP: peak {peaks[-1]:.0f} MB", flush=True)
    print(f"{BAR:.0%} of the engine's rate at 12 MP: {'met' if reached >= BAR else 'missed'}")


if __name__ == "__main__":
    main()
