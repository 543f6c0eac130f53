"""Describe many pictures into a folder, in a way that survives being killed."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from kosmoscope._version import __version__
from kosmoscope.batch.sources import STDIN, Source, find_pictures, watch_pictures
from kosmoscope.batch.stages import (
    AHEAD,
    Described,
    Feed,
    Keep,
    Model,
    Outcome,
    PictureDone,
    Window,
    Writer,
    content_sha,
    decode,
)
from kosmoscope.batch.store import Store
from kosmoscope.batch.tasks import Task, check_prompts, checked
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.engine.sessions import thread_count
from kosmoscope.errors import OptionError
from kosmoscope.files.text import utf8
from kosmoscope.scope import Scope

BATCH_SIZE = 8
"""Pictures that are generated together; measured with pocket (docs/batch.md)."""
MAX_BATCH_SIZE = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; handed out on the writer's thread after every picture."""

    total: int | None
    """Sources in all; None while that cannot be known (standard input, watching)."""
    done: int
    """Sources behind us: described, failed and skipped ones."""
    failed: int
    skipped: int
    """Sources whose results were there already."""
    rate: float
    """Pictures a second since the first one began."""
    eta: float | None
    """Seconds that are left, if `total` is known."""
    source: str
    """The last one, as text that is safe to print in JSON."""


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


class Interrupted(Exception):  # noqa: N818 (no error: somebody asked for it)
    """SIGINT came while the model ran, or while waiting for sources."""


class _Sigint:
    """Turns SIGINT into a clean stop where this is the main thread; the second one is Python's.

    Only within `run` does it raise, so that no lock or queue is left in an odd state; the model is
    left after the pass under way, since a handler runs between two of Python's instructions.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        # Not `stop` itself: setting an Event takes a lock that this very thread may hold.
        self._hit = False
        self._raises = False
        self._old: Any = None
        self._ours = False

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._old = signal.getsignal(signal.SIGINT)
            # Where it is ignored (a background job of a shell script), it stays so.
            if self._old is not signal.SIG_IGN:
                signal.signal(signal.SIGINT, self._handle)
                self._ours = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def run(self, work: Callable[[], T]) -> T:
        """Call something that may be left in the middle."""
        if self._hit or self._stop.is_set():
            raise Interrupted
        self._raises = True
        try:
            return work()
        finally:
            self._raises = False

    def pulled(self, items: Iterator[T]) -> Iterator[T]:
        """Yield items whose making may be left in the middle."""
        end = object()
        while (item := self.run(lambda: next(items, end))) is not end:
            yield item  # type: ignore[misc]

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._restore()
        self._hit = True
        if self._raises:
            raise Interrupted

    def _restore(self) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, self._old or signal.SIG_DFL)
            self._ours = False


class _Count:
    """Counts outcomes, and tells of them."""

    def __init__(self, total: int | None, progress: Callable[[Progress], object] | None) -> None:
        self.total = total
        self.described = self.copied = self.skipped = self.failed = self.records = 0
        self.began = time.monotonic()
        self._progress = progress

    def skip(self, count: int) -> None:
        self.skipped += count

    def written(self, outcome: Outcome, records: int) -> None:
        if not isinstance(outcome, Described):
            self.failed += 1
        elif records:
            self.described += 1
            self.copied += bool(outcome.owner)
        # Else a neighbour of what was missing: its window counted it as skipped.
        self.records += records
        if self._progress is not None:
            self._progress(self.state(outcome.source.name))

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def rate(self) -> float:
        return (self.described + self.failed) / max(self.seconds, 1e-9)

    def state(self, source: str) -> Progress:
        done = self.described + self.failed + self.skipped
        eta = None
        if self.total is not None and self.rate > 0:
            eta = max(0, self.total - done) / self.rate
        return Progress(self.total, done, self.failed, self.skipped, self.rate, eta, source)


def run_batch(
    scope: Scope | Callable[[], Scope],
    sources: Sequence[str | Path],
    tasks: Sequence[Task],
    out: Path,
    options: GenerationOptions | None = None,
    *,
    on_picture: Callable[[PictureDone], object] | None = None,
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
        out: the folder; created if need be, and never entered in search of pictures.
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
    found: Iterator[Source | None] = find_pictures(sources, exclude=[out], stdin=stdin)
    with Store(out, wanted, chosen, overwrite=overwrite) as store:
        loaded = scope if isinstance(scope, Scope) else scope()
        check_prompts(loaded, store.tasks)
        store.begin(_model(loaded), _about(store, sources, batch_size))
        with _Sigint(ended) as sigint:
            state = "failed"
            count = _Count(None, progress)
            try:
                if watch:
                    found = watch_pictures(sources, exclude=[out], poll=poll, stop=ended)
                elif not piped:
                    # Paths only: for the progress to know the end.
                    listed = sigint.run(lambda: list(found))
                    count.total, found = len(listed), iter(listed)
                count.began = time.monotonic()
                model = Model(loaded, store.tasks, chosen)
                read = partial(decode, limits=loaded.limits, spec=loaded.pixel_spec, keep=keep)
                check = None if skip_existing else partial(content_sha, limits=loaded.limits)
                writer = Writer(store, on_picture, count.written)
                pool = ThreadPoolExecutor(workers, "kosmoscope-decoder")
                try:
                    feed = Feed(pool, store, read, check, batch_size)
                    windows = feed.windows(sigint.pulled(found))
                    _drive(windows, model, store, writer, count, sigint)
                finally:
                    pool.shutdown(cancel_futures=True)
                    writer.finish()
                state = "finished"
            except Interrupted:
                state = "interrupted"
            finally:
                _end(store, count, state)
    return Summary(
        out=out,
        described=count.described,
        copied=count.copied,
        skipped=count.skipped,
        failed=count.failed,
        records=count.records,
        seconds=count.seconds,
        rate=count.rate,
        interrupted=state == "interrupted",
        repaired=store.repaired,
    )


def _drive(
    windows: Iterator[Window],
    model: Model,
    store: Store,
    writer: Writer,
    count: _Count,
    sigint: _Sigint,
) -> None:
    """The calling thread's part: take windows, run the model, hand the outcomes on."""
    for window in windows:
        count.skip(window.skipped)
        if window.pictures:
            pictures = [future.result() for future in window.pictures]
            outcomes = sigint.run(partial(model.describe, pictures, store))
            writer.put(outcomes)
        writer.check()


def _end(store: Store, count: _Count, state: str) -> None:
    """Write down how a run ended; an error on the way out must not hide the one that ended it."""
    values: dict[str, Any] = {"state": state, "finished": _now()}
    if count.described + count.failed or "rate" not in store.run:
        # Else the figures of the last run that did something stay.
        values |= {"seconds": round(count.seconds, 3), "rate": round(count.rate, 3)}
    try:
        store.settle()
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
