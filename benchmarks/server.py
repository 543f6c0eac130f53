"""`kosmoscope serve` under load, beside its own engine and beside FastAPI with a lock.

    python benchmarks/server.py [--model pocket] [--parts load,streams,again,...] [--clients 1,8,32]
        [--requests 96] [--rounds 2] [--tokens N] [--steady 5000] [--seconds 20] [--without-lock]

Clients are a process on the same machine (server_clients.py): what they cost is part of every
figure but the engine's. No two pictures are the same; they are the sample photos.

- load: answers a second, beside the rate of the engine alone with pictures that lie in memory as
  pixel tensors, in batches of up to eight (bar: 85 %), and beside server_locked.py under the same
  load. Rounds alternate; shown are medians. "possible": cores / processor time of a picture in
  the engine and of decoding it; no server can be faster than that. The loop's lag is the server's
  own metric: for so long a request can lie there before anybody looks at it.
- streams: the same with a stream each: seconds to the first text.
- again: the second question about a picture, first text to first text (bar: 5 times faster).
- memory: the server's resident memory over many requests, one in ten with a new picture.
- overload: twice as many clients as the server lets in keep it full, while four sockets of
  another process (server_refused.py) send a photo five times a second each: how fast they are
  refused (bar: 50 ms), as they see it, and as the server does, from a request's head to the
  answer's. Between the two lie the loop's lag, the socket, and the clients' own turn on a core.
- drain: SIGTERM in the middle of a load: what was let in, and what was answered.
- gone: passes of the model after a client of a long text went away (bar: one; a pass of pocket is
  over sooner than it can be asked how many there were, so this is for large models).

For a model of Kosmos-2's size: `python benchmarks/full_size.py FOLDER`, then `kosmoscope convert`,
and `--model` with the converted folder, `--tokens 32` (random weights write until they are stopped)
and fewer requests: of one client an eighth of `--requests` are sent, four at least, of eight and
more all. `--parts load --clients 1,8 --requests 16 --rounds 1` takes about six minutes on two
cores and 8 GB: three copies of the model, and 20 texts each.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import machine
from kosmoscope.batch import BATCH_SIZE, Source, Task
from kosmoscope.batch.decoding import Decoded, decode
from kosmoscope.batch.pipeline import Describer
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.images import Limits
from kosmoscope.scope import load
from server_clients import BROKEN, NOBODY, PHOTOS, TOO_MANY, Client, pictures
from server_process import Answers, Clients, Server, locked, ours, refused, running, within

PARTS = ("load", "streams", "again", "memory", "overload", "drain", "gone")


def percentiles(values: Sequence[float | None]) -> str:
    """Return "p50 / p95" in seconds."""
    ordered = sorted(v for v in values if v is not None)
    at = [ordered[min(len(ordered) - 1, int(q * len(ordered)))] for q in (0.5, 0.95)]
    return " / ".join(f"{x:.3f}" for x in at) + " s"


class Engine:
    """The engine alone, in this process."""

    def __init__(self, model: str, options: dict[str, Any]) -> None:
        scope = load(model)
        self._describer = Describer(scope, (Task.describe(),), GenerationOptions.of(**options))
        self._sources = [Source(str(path)) for path in PHOTOS]
        self._decode = lambda s: decode(s, Limits(), scope.pixel_spec, None)
        self.decoded = [d for d in map(self._decode, self._sources) if isinstance(d, Decoded)]

    def run(self, count: int, batch: int = BATCH_SIZE) -> tuple[float, float]:
        """Describe so many pictures; return seconds of the clock and of the processors."""
        chosen = [self.decoded[i % len(self.decoded)] for i in range(count)]
        clock, cpu = time.perf_counter(), time.process_time()
        for i in range(0, count, batch):
            self._describer.complete(chosen[i : i + batch])
        return time.perf_counter() - clock, time.process_time() - cpu

    def decoding(self) -> float:
        """Return the processor seconds of decoding a picture."""
        cpu = time.process_time()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self._decode, self._sources))
        return (time.process_time() - cpu) / len(self._sources)


class Bench:
    """One model and what is asked of it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.options: dict[str, int] = {}
        if args.tokens:
            self.options = {"min_new_tokens": args.tokens, "max_new_tokens": args.tokens}
        self.fields = {"options": json.dumps(self.options)}
        self._sent = 0

    def clients(self, server: Server, clients: int, count: int, **task: Any) -> Clients:
        """Send so many requests, each with a picture nobody has sent before."""
        self._sent += count
        task["fields"] = {**self.fields, **task.get("fields", {})}
        return Clients(server, clients, count, first=self._sent, **task)

    def answered(
        self, server: Server, clients: int, count: int, **task: Any
    ) -> tuple[Answers, float]:
        """Send them and wait for all answers, which have to be answers."""
        answers, seconds = self.clients(server, clients, count, **task).end()
        assert all(status == 200 for status, _, _ in answers), answers
        return answers, seconds

    def count(self, clients: int) -> int:
        """Return how many requests to send: of few clients, fewer."""
        return max(4, self.args.requests * min(8, clients) // 8, clients)

    def load(self) -> None:
        """Print answers a second."""
        engine = Engine(self.args.model, self.options)
        with contextlib.ExitStack() as servers:
            server = servers.enter_context(running(ours(self.args.model, "--queue", "64")))
            self.answered(server, 2, 4)
            other = None
            if not self.args.without_lock:
                other = servers.enter_context(running(locked(self.args.model)))
                self.answered(other, 2, 4)
            engine.run(4)  # not counted, like the servers' first
            decoding = statistics.median(engine.decoding() for _ in range(3))
            for clients in self.args.clients:
                self._compare(engine, decoding, server, other, clients)

    def _compare(
        self, engine: Engine, decoding: float, server: Server, other: Server | None, clients: int
    ) -> None:
        count = self.count(clients)
        rates: dict[str, list[float]] = {"engine": [], "ours": [], "locked": []}
        alone, spent, whole = [], [], []
        lag = server.histogram("kosmoscope_loop_lag_seconds")
        for _ in range(self.args.rounds):
            seconds, cpu = engine.run(count, min(clients, BATCH_SIZE))
            rates["engine"].append(count / seconds)
            alone.append(cpu / count)
            before = server.cpu()
            answers, seconds = self.answered(server, clients, count)
            spent.append((server.cpu() - before) / count)
            rates["ours"].append(count / seconds)
            whole += [s for _, s, _ in answers]
            if other is not None:
                _, seconds = self.answered(other, clients, count)
                rates["locked"].append(count / seconds)
        late = within(server.histogram("kosmoscope_loop_lag_seconds"), lag)
        rate = {name: statistics.median(found) for name, found in rates.items() if found}
        beside = ""
        if lock := rate.get("locked"):
            beside = f" | FastAPI and a lock {lock:.2f}/s: ours {rate['ours'] / lock:.2f} times"
        mine, served = statistics.median(alone), statistics.median(spent)
        possible = min(rate["engine"], (os.cpu_count() or 1) / (mine + decoding))
        print(
            f"load | {clients} clients | engine {rate['engine']:.2f}/s, possible {possible:.2f}/s"
            f" | ours {rate['ours']:.2f}/s: {rate['ours'] / rate['engine']:.0%} of the engine,"
            f" {rate['ours'] / possible:.0%} of what is possible{beside} | whole answer, p50 / p95:"
            f" {percentiles(whole)} | processor a picture: engine"
            f" {1000 * mine:.0f} ms, decoding {1000 * decoding:.0f} ms, server"
            f" {1000 * served:.0f} ms | loop late by, half / 95 % / all: {late}",
            flush=True,
        )

    def streams(self) -> None:
        """Print seconds to the first text."""
        with running(ours(self.args.model, "--queue", "64")) as server:
            self.answered(server, 2, 4)
            for clients in self.args.clients:
                stream = {"stream": "true"}
                answers, seconds = self.answered(
                    server, clients, self.count(clients), fields=stream
                )
                first = percentiles([f for _, _, f in answers])
                print(
                    f"streams | {clients} clients | {len(answers) / seconds:.2f}/s"
                    f" | first text, p50 / p95: {first}",
                    flush=True,
                )

    def again(self) -> None:
        """Print what a second question costs."""
        with running(ours(self.args.model)) as server:
            self.answered(server, 1, 2)
            client, picture = Client(server.port), pictures(10**6)
            first, second = [], []
            for number in range(4 * self.args.rounds):
                fields = {**self.fields, "question": "What is this?", "stream": "true"}
                first.append(client.send("/api/v1/ask", fields, picture(number))[2] or 0)
                fields |= {"question": "Where is it?", "picture_id": client.picture_id}
                second.append(client.send("/api/v1/ask", fields, None)[2] or 0)
        one, two = statistics.median(first), statistics.median(second)
        print(
            f"again | to the first text: first question {one:.3f} s, second {two:.3f} s,"
            f" {one / two:.1f} times faster",
            flush=True,
        )

    def memory(self) -> None:
        """Print the server's memory over many requests."""
        with running(ours(self.args.model, "--cache-mb", "64")) as server:
            client = Client(server.port)
            client.send("/api/v1/encode", {}, pictures(2 * 10**6)(0))
            print(f"memory | at first {server.resident_mb():.0f} MB", flush=True)
            part = max(1, self.args.steady // 10)
            for number in range(10):
                # The picture that is asked about is forgotten once enough new ones came.
                client.send("/api/v1/encode", {}, pictures(2 * 10**6)(0))
                task = {"picture_id": client.picture_id, "every": 10}
                self.answered(server, 4, part, **task)
                print(
                    f"memory | {(number + 1) * part} requests {server.resident_mb():.0f} MB",
                    flush=True,
                )

    def overload(self) -> None:
        """Print how fast requests are refused, and how late the server's loop is meanwhile."""
        with running(ours(self.args.model, "--texts", "4", "--queue", "4")) as server:
            self.answered(server, 2, 4)
            lag = server.histogram("kosmoscope_loop_lag_seconds")
            full = self.clients(server, 16, 10**6)
            while server.metric("kosmoscope_requests_admitted") < 8:
                time.sleep(0.01)
            seen = refused(server, sockets=4, pace=0.2, seconds=self.args.seconds)
            statuses = server.statuses()
            inside = within(server.histogram("kosmoscope_refusal_seconds"))
            late = within(server.histogram("kosmoscope_loop_lag_seconds"), lag)
            full.give_up()
        told = [seconds for status, seconds in seen if status == TOO_MANY]
        print(
            f"overload | 16 clients for 8 places, and 4 sockets at 5 requests a second each:"
            f" answers by status {statuses} | refused, as the sockets see it, p50 / p95:"
            f" {percentiles(told)}, longest {max(told):.3f} s, of {len(told)} | from head to head"
            f" within the server, half / 95 % / all: {inside} | its loop late by {late}",
            flush=True,
        )

    def drain(self) -> None:
        """Print what became of requests that were under way at SIGTERM."""
        with running(ours(self.args.model)) as server:
            self.answered(server, 2, 4)
            under_way = self.clients(server, 16, 64)
            while server.metric("kosmoscope_requests_admitted") < 16:
                time.sleep(0.01)
            server.child.send_signal(signal.SIGTERM)
            began = time.perf_counter()
            status = server.child.wait()
            spent = time.perf_counter() - began
            answers, _ = under_way.end()
        found = {s: sum(1 for a in answers if a[0] == s) for s in {a[0] for a in answers}}
        words = {
            NOBODY: "came when nobody listened any more", BROKEN: "broken off",
            200: "answered", 503: "told that it is shutting down",
        }  # fmt: skip
        said = ", ".join(f"{n} {words.get(s, s)}" for s, n in sorted(found.items(), reverse=True))
        print(f"drain | 16 let in at SIGTERM; it ended with {status} after {spent:.1f} s; of 64"
              f" requests {said}", flush=True)  # fmt: skip

    def gone(self) -> None:
        """Print how many passes follow when a client goes away."""
        long = {"options": json.dumps({"min_new_tokens": 1000, "max_new_tokens": 1000})}
        with running(ours(self.args.model)) as server:
            self.answered(server, 1, 2)
            after = []
            for number in range(self.args.rounds):
                client = Client(server.port)
                client.begin("/api/v1/describe", {**long, "stream": "true"}, pictures(number)(0))
                before = server.metric("kosmoscope_passes_total")
                while server.metric("kosmoscope_passes_total") < before + 2:
                    time.sleep(0.02)
                before = server.metric("kosmoscope_passes_total")
                client.close()
                while server.metric("kosmoscope_batch_size"):
                    time.sleep(0.02)
                after.append(int(server.metric("kosmoscope_passes_total") - before))
        print(f"gone | passes after the client went away: {after}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--parts", default=",".join(PARTS), help="default: all")
    parser.add_argument("--clients", default="1,8,32")
    parser.add_argument("--requests", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tokens", type=int, help="every text has so many")
    parser.add_argument("--steady", type=int, default=5000, help="requests of the part memory")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the part overload")
    parser.add_argument("--without-lock", action="store_true", help="no other server beside it")
    args = parser.parse_args()
    args.clients = [int(n) for n in args.clients.split(",")]
    print(machine.describe())
    bench = Bench(args)
    for part in args.parts.split(","):
        if part not in PARTS:
            raise SystemExit(f"{part}: expected some of {', '.join(PARTS)}")
        getattr(bench, part)()


if __name__ == "__main__":
    main()
