"""How pictures are described, whoever asks: threads decode, the calling thread runs the model, one
thread hands what came out to a sink, in the order of the sources.

Pictures go in *windows* of consecutive sources. What is generated together is decided by the
windows alone, never by what happens to be ready: the last digits of scores depend on what shares a
pass, and a run that was killed and resumed must give the same bytes as one that was not.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kosmoscope.batch.decoding import Decoded, Failed, Keep, content_sha, decode
from kosmoscope.batch.sources import Source
from kosmoscope.detail import Detail, Looked, Subject
from kosmoscope.detail.settings import MAX_TILES
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.engine.sessions import thread_count
from kosmoscope.errors import ImageError
from kosmoscope.prompts import Prompt
from kosmoscope.results import Description
from kosmoscope.scope import EncodedImage, Scope
from kosmoscope.types import Timing

BATCH_SIZE = 8
"""Pictures that are generated together; measured with pocket (docs/batch.md)."""
AHEAD = 3
"""How many windows are decoded or being decoded at any time, the one at the model included."""
TOGETHER = 16
"""How many texts are generated together at most, a window with one task excepted."""


class PictureTask(Protocol):
    """What is asked about a picture. `Task` is one that can be written down."""

    @property
    def key(self) -> str:
        """A name for files, other than those of the other questions."""
        ...

    def prompt(self, image: Any) -> Prompt:
        """Return the prompt for an encoded picture; any other stands for one that is not known."""
        ...


@runtime_checkable
class CloserTask(PictureTask, Protocol):
    """A question that may want every object."""

    @property
    def detail(self) -> Detail | None:
        """How closely to look; None for the whole alone."""
        ...


def detail_of(task: PictureTask) -> Detail | None:
    """Return how closely a task looks; None for the whole alone."""
    return task.detail if isinstance(task, CloserTask) else None


@dataclass(frozen=True, slots=True, eq=False)
class PictureDone:
    """A picture and what was said about it."""

    source: Source
    sha256: str
    """Of the file."""
    tasks: tuple[PictureTask, ...]
    descriptions: tuple[Description, ...]
    """One for each task; `image.path` is the source's."""
    kept: Any
    """What `keep` returned for the picture."""
    owner: str = ""
    """Key of a source with the same content, where the descriptions are its, with no timings."""


OnPicture = Callable[[PictureDone], object]


class Sink(Protocol):
    """Where results go, and what is there already.

    `plan` and `owner` are called on the thread that runs the model, the others on the writer's, in
    the order of the sources. An exception stops the pipeline and comes out of it.
    """

    def plan(self, window: Sequence[Source], contents: ContentsOf) -> Sequence[Source]:  # noqa: ARG002
        """Return which sources of a window are to be decoded: all, unless a sink knows better.

        Args:
            window: consecutive sources.
            contents: reads files; the digests tell which have changed.
        """
        return window

    def owner(self, picture: Decoded) -> str:  # noqa: ARG002
        """Return the source (its key) whose descriptions this one shares; usually none: ""."""
        return ""

    def fresh(self, done: PictureDone) -> PictureDone | None:
        """Return a picture with its owner's descriptions, if it has one; None if it is known."""
        return done

    def add(self, done: PictureDone) -> None:
        """Take a picture that was described."""
        ...

    def fail(self, failed: Failed) -> None:
        """Take a source that has no result, or (`stage`) one of which `on_picture` made nothing."""
        ...


ContentsOf = Callable[[Sequence[Source]], Iterable[bytes | None]]
"""Returns the first 16 bytes of the digest of each source, None for what cannot be read."""


def describe_pictures(
    scope: Scope,
    sources: Iterable[Source | None],
    tasks: Sequence[PictureTask],
    options: GenerationOptions,
    sink: Sink,
    *,
    on_picture: OnPicture | None = None,
    keep: Keep | None = None,
    generate: Generate | None = None,
    on_look: Callable[[Looked], object] | None = None,
    batch_size: int = BATCH_SIZE,
    decoders: int | None = None,
    guard: Guard = lambda work: work(),
) -> None:
    """Describe pictures into a sink. When this ends, however it does, no thread is left.

    Args:
        scope: the model.
        sources: where the pictures are; None among them says that no more is known for now.
        tasks: asked about every picture, which is encoded once.
        options: of the generation.
        sink: where to.
        on_picture: called on the writer's thread with each new result before the sink takes it.
            An `ImageError` of its is the sink's to report, any other error stops all.
        keep: called on a decoding thread with each decoded picture.
        generate: answers prompts, instead of `scope.complete`; not those of a detail pass.
        on_look: called after each look of a detail pass.
        batch_size: pictures that are generated together.
        decoders: threads that decode; None for one per processor.
        guard: calls the model, which it may leave in the middle.
    """
    describer = Describer(scope, tasks, options, generate, on_look)
    closer = [detail for task in tasks if (detail := detail_of(task)) is not None]
    tiles = max((MAX_TILES if d.tiles is None else d.tiles for d in closer), default=0)
    read = partial(decode, limits=scope.limits, spec=scope.pixel_spec, keep=keep, tiles=tiles)
    check = partial(content_sha, limits=scope.limits)
    writer = _Writer(sink, on_picture)
    pool = ThreadPoolExecutor(thread_count(decoders), "kosmoscope-decoder")
    try:
        for window in _decoded_ahead(pool, sources, sink, read, check, batch_size):
            if window:
                pictures = [future.result() for future in window]
                writer.put(guard(partial(describer.describe, pictures, sink)))
            writer.check()
    finally:
        pool.shutdown(cancel_futures=True)
        writer.finish()


Window = list[Future[Decoded | Failed]]
Outcome = Failed | PictureDone
Generate = Callable[[Sequence[Prompt]], Sequence[Description]]
Guard = Callable[[Callable[[], list[Outcome]]], list[Outcome]]


def _decoded_ahead(
    pool: ThreadPoolExecutor,
    sources: Iterable[Source | None],
    sink: Sink,
    read: Callable[[Source], Decoded | Failed],
    check: Callable[[Source], bytes | None],
    size: int,
) -> Iterator[Window]:
    """Yield windows in order, those behind already being decoded.

    None among the sources ends a window early, and waits for none.
    """
    ahead: deque[Window] = deque()
    gathered: list[Source] = []

    def planned() -> Window:
        wanted = sink.plan(gathered, partial(pool.map, check))
        return [pool.submit(read, source) for source in wanted]

    for source in sources:
        if source is not None:
            gathered.append(source)
            if len(gathered) < size:
                continue
        if gathered:
            ahead.append(planned())
            gathered = []
        # Windows with nothing to do hold nothing, and must not hold up those behind them.
        while ahead and (source is None or len(ahead) >= AHEAD or not ahead[0]):
            yield ahead.popleft()
    if gathered:
        ahead.append(planned())
    while ahead:
        yield ahead.popleft()


class Describer:
    """Describes windows.

    Args:
        scope: the model.
        tasks: asked about every picture.
        options: of the generation.
        generate: answers prompts, instead of `scope.complete`.
        on_look: called after each look of a detail pass.
    """

    def __init__(
        self,
        scope: Scope,
        tasks: Sequence[PictureTask],
        options: GenerationOptions,
        generate: Generate | None = None,
        on_look: Callable[[Looked], object] | None = None,
    ) -> None:
        self._options, self._on_look = options, on_look
        self._scope = scope
        self._tasks = tuple(tasks)
        self._generate: Generate = generate or (lambda prompts: scope.complete(prompts, options))

    def describe(self, window: Sequence[Decoded | Failed], sink: Sink) -> list[Outcome]:
        """Describe a window; pictures that share another's descriptions are not computed."""
        outcomes: list[Outcome] = []
        own: list[Decoded] = []
        for item in window:
            if isinstance(item, Failed):
                outcomes.append(item)
                continue
            done = PictureDone(
                item.source, item.sha256, self._tasks, (), item.kept, sink.owner(item)
            )
            outcomes.append(done)
            if not done.owner:
                own.append(item)
        results = iter(self.complete(own))
        return [
            o if isinstance(o, Failed) or o.owner else replace(o, descriptions=next(results))
            for o in outcomes
        ]

    def complete(self, pictures: Sequence[Decoded]) -> list[tuple[Description, ...]]:
        """Return the answers to all tasks for each picture."""
        if not pictures:
            return []
        images = [self._encoded(picture) for picture in pictures]
        found: list[dict[str, Description]] = [{} for _ in images]
        plain = [task for task in self._tasks if detail_of(task) is None]
        step = max(1, TOGETHER // len(images))
        for i in range(0, len(plain), step):
            tasks = plain[i : i + step]
            prompts = [task.prompt(image) for image in images for task in tasks]
            results = iter(self._generate(prompts))
            for of_one in found:
                of_one |= {task.key: next(results) for task in tasks}
        for task in self._tasks:
            if (detail := detail_of(task)) is not None:
                subjects = [
                    Subject(_pixels(picture), picture.info, task.prompt, image)
                    for picture, image in zip(pictures, images, strict=True)
                ]
                closer = self._scope.describe_closely(
                    subjects, detail, self._options, self._on_look
                )
                for of_one, description in zip(found, closer, strict=True):
                    of_one[task.key] = description
        return [tuple(of_one[task.key] for task in self._tasks) for of_one in found]

    def _encoded(self, picture: Decoded) -> EncodedImage:
        began = time.perf_counter()
        state = self._scope.engine.encode(picture.pixels)
        spent = time.perf_counter() - began
        timing = Timing(preprocess=picture.seconds, encode=spent, total=picture.seconds + spent)
        return EncodedImage(picture.info, state, timing)


def _pixels(picture: Decoded) -> NDArray[np.uint8]:
    assert picture.rgb is not None, "pixels are kept where a task looks closely"
    return picture.rgb


class _Writer:
    """Hands outcomes to the sink, in order, on a thread of its own."""

    def __init__(self, sink: Sink, on_picture: OnPicture | None) -> None:
        self._sink = sink
        self._on_picture = on_picture
        self._queue: queue.Queue[list[Outcome] | None] = queue.Queue(2)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="kosmoscope-writer", daemon=True)
        self._thread.start()

    def put(self, outcomes: list[Outcome]) -> None:
        """Hand over a window; waits while the writer is behind. Raises what stopped the writer."""
        self._offer(outcomes)
        self.check()

    def finish(self) -> None:
        """Wait until all is written. Raises what stopped the writer."""
        self._offer(None)
        self._thread.join()
        self.check()

    def check(self) -> None:
        """Raise what stopped the writer, once."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _offer(self, item: list[Outcome] | None) -> None:
        while self._thread.is_alive():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def _run(self) -> None:
        try:
            while (outcomes := self._queue.get()) is not None:
                for outcome in outcomes:
                    self._write(outcome)
        except BaseException as e:  # noqa: BLE001 (raised again by whoever waits)
            self._error = e

    def _write(self, outcome: Outcome) -> None:
        if isinstance(outcome, Failed):
            self._sink.fail(outcome)
            return
        done = self._sink.fresh(outcome)
        if done is None:
            return
        if self._on_picture is not None:
            try:
                self._on_picture(done)
            except ImageError as e:
                self._sink.fail(Failed(done.source, type(e).__name__, str(e), stage="picture"))
        self._sink.add(done)
