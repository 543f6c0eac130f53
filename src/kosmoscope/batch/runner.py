"""Describe many pictures into a folder, in a way that survives being killed."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from kosmoscope._version import __version__
from kosmoscope.batch.decoding import Keep
from kosmoscope.batch.interrupt import CleanStop, Interrupted
from kosmoscope.batch.passed import PassedOver
from kosmoscope.batch.pipeline import AHEAD, BATCH_SIZE, OnPicture, describe_pictures
from kosmoscope.batch.sources import STDIN, Source, find_pictures, watch_pictures
from kosmoscope.batch.store import Store
from kosmoscope.batch.store_sink import Progress, StoreSink
from kosmoscope.batch.tasks import Task, check_prompts, checked
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.engine.sessions import thread_count
from kosmoscope.errors import OptionError
from kosmoscope.files.text import utf8
from kosmoscope.scope import Scope

MAX_BATCH_SIZE = 64


@dataclass(frozen=True, slots=True)
class Summary:
    """What one call of `run_batch` did."""

    out: Path
    described: int
    """Pictures with new records, copies included."""
    copied: int
    """Of those, the ones whose content had been described under another name."""
    skipped: int
    """Pictures whose results were there already."""
    failed: int
    """Sources that could not be described."""
    records: int
    """New lines in results.jsonl."""
    seconds: float
    rate: float
    """Pictures a second, decoding and writing included, loading excluded."""
    interrupted: bool
    """Stopped by SIGINT or `stop` before its end; the same call goes on from there."""
    repaired: tuple[str, ...]
    """What a kill had left behind and was put right, in words."""
    problems: tuple[str, ...] = ()
    """The first errors, in words; errors.jsonl has all."""
    passed_over: str = ""
    """Files of other kinds in the folders, and what kosmoscope wrote there, in words."""


def run_batch(
    scope: Scope | Callable[[], Scope],
    sources: Sequence[str | Path],
    tasks: Sequence[Task],
    out: Path,
    options: GenerationOptions | None = None,
    *,
    on_picture: OnPicture | None = None,
    keep: Keep | None = None,
    overwrite: bool = False,
    skip_existing: bool = True,
    watch: bool = False,
    progress: Callable[[Progress], object] | None = None,
    batch_size: int = BATCH_SIZE,
    decoders: int | None = None,
    poll: float = 2.0,
    stop: threading.Event | None = None,
    stdin: BinaryIO | None = None,
) -> Summary:
    """Describe pictures into a folder, going on where a run of the same kind left off.

    Args:
        scope: the model, or what loads it; called once the folder is known to be usable.
        sources: as `find_pictures` takes them.
        tasks: asked about every picture, which is encoded once.
        out: the folder; created if need be. What it writes there is never taken for a picture.
        options: of the generation.
        on_picture: called on the writer's thread with each new result before it is written, so
            that what it makes is there when the result counts; after a kill it may be called again
            for the same picture. An `ImageError` of its goes into errors.jsonl, any other stops
            the run.
        keep: called on a decoding thread with each decoded picture; what it returns is handed to
            `on_picture`. Keep it small: some 50 are in flight.
        overwrite: forget what is in the folder.
        skip_existing: trust a path that has its results. False reads every file again and
            describes anew those whose content has changed; the older records stay.
        watch: go on with what comes into the folders, until SIGINT or `stop`.
        progress: called on the writer's thread.
        batch_size: pictures that are generated together.
        decoders: threads that decode; None for one per processor.
        poll: seconds between two looks while watching.
        stop: set from another thread, it ends the run after the pictures at the model.
        stdin: read for the source ``-``.

    Raises:
        OutputError: the folder cannot be used, is in use (`FolderBusyError`), or holds other
            results (`FolderMismatchError`).
        InputError: the call makes no sense: no sources, a prompt with markup, a missing list.
        ModelError: as `scope` raises it.
    """
    if isinstance(batch_size, bool) or not 1 <= batch_size <= MAX_BATCH_SIZE:
        raise OptionError(f"batch_size is {batch_size!r}; expected 1 to {MAX_BATCH_SIZE}")
    piped = any(os.fspath(source) == STDIN for source in sources)
    if watch and piped:
        raise OptionError("standard input cannot be watched")
    wanted = checked(tasks)
    chosen = options or GenerationOptions()
    workers = thread_count(decoders)
    ended = stop or threading.Event()
    passed = PassedOver()
    hidden: list[Path] = []
    found: Iterator[Source | None] = find_pictures(
        sources, exclude=hidden, stdin=stdin, passed=passed
    )
    with Store(out, wanted, chosen, overwrite=overwrite) as store:
        if store.claim.whole:  # otherwise there are photos of somebody in it
            hidden.append(out)
        loaded = scope if isinstance(scope, Scope) else scope()
        check_prompts(loaded, store.tasks)
        about = _about(store, sources, batch_size)
        store.begin(_model(loaded), about, loaded.settled(chosen))
        with CleanStop(ended) as stopping:
            state = "failed"
            sink = StoreSink(store, recheck=not skip_existing, progress=progress)
            try:
                if watch:
                    found = watch_pictures(sources, exclude=hidden, poll=poll, stop=ended)
                elif not piped:
                    # Paths only: for the progress to know the end.
                    listed = stopping.run(lambda: list(found))
                    sink.total, found = len(listed), iter(listed)
                sink.began = time.monotonic()
                describe_pictures(
                    loaded,
                    stopping.pulled(found),
                    store.tasks,
                    chosen,
                    sink,
                    on_picture=on_picture,
                    keep=keep,
                    batch_size=batch_size,
                    decoders=workers,
                    guard=stopping.run,
                )
                state = "finished"
            except Interrupted:
                state = "interrupted"
            finally:
                _end(store, sink, state)
    return Summary(
        out=out,
        described=sink.described,
        copied=sink.copied,
        skipped=sink.skipped,
        failed=sink.failed,
        records=sink.records,
        seconds=sink.seconds,
        rate=sink.rate,
        interrupted=state == "interrupted",
        repaired=store.repaired,
        problems=tuple(sink.problems),
        passed_over=str(passed),
    )


def _end(store: Store, sink: StoreSink, state: str) -> None:
    """Write down how a run ended; an error on the way out must not hide the one that ended it."""
    values: dict[str, Any] = {"state": state, "finished": _now()}
    if sink.described + sink.failed or "rate" not in store.run:
        # Else the figures of the last run that did something stay.
        values |= {"seconds": round(sink.seconds, 3), "rate": round(sink.rate, 3)}
    try:
        store.settle(finished=state == "finished")
        store.write_run(values)
    except Exception:
        store.run.update(values)
        if state != "failed":
            raise


def _model(scope: Scope) -> dict[str, str]:
    return {
        "name": scope.model,
        "precision": scope.precision,
        "source_sha256": scope.source_sha256,
    }


def _about(store: Store, sources: Sequence[str | Path], batch_size: int) -> dict[str, Any]:
    return {
        "versions": {
            "kosmoscope": __version__,
            **{name: version(name) for name in ("onnxruntime", "numpy", "pillow")},
            "python": platform.python_version(),
            "platform": platform.platform(),
        },
        "sources": [utf8(os.fspath(source)) for source in sources],
        "batch_size": batch_size,
        "ahead": AHEAD,
        "state": "running",
        "started": store.run.get("started") or _now(),
        "finished": None,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
