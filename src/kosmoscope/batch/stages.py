"""The stages of a batch: threads decode, the calling thread runs the model, one thread writes.

Pictures go in *windows* of consecutive sources. What is generated together is decided by the
windows alone, never by what happens to be ready: the last digits of scores depend on what shares a
pass, and a run that was killed and resumed must give the same bytes as one that was not.
"""

from __future__ import annotations

import hashlib
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.batch.sources import Source, problem_text
from kosmoscope.batch.store import Store
from kosmoscope.batch.tasks import Task
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import ImageError, InputError
from kosmoscope.images import Limits, Picture, PixelSpec, pixel_tensor, read_image
from kosmoscope.images.sources import contents
from kosmoscope.results import Description
from kosmoscope.scope import EncodedImage, Scope
from kosmoscope.types import ImageInfo, Timing

Keep = Callable[[Picture], object]
"""Called on a decoding thread with each decoded picture; what it returns comes with the result."""

AHEAD = 3
"""How many windows are decoded or being decoded at any time, the one at the model included."""
_SPARE = 1.5
"""How much larger than the model's input a JPEG that is decoded at reduced size stays."""
TOGETHER = 16
"""How many texts are generated together at most, a window with one task excepted."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A picture, ready for the model."""

    source: Source
    sha256: str
    info: ImageInfo
    pixels: NDArray[np.float32]
    """(3, S, S), float32."""
    seconds: float
    kept: object

    @property
    def sha(self) -> bytes:
        """The first 16 bytes of the digest."""
        return bytes.fromhex(self.sha256)[:16]


@dataclass(frozen=True, slots=True)
class Failed:
    """A source without a result."""

    source: Source
    kind: str
    error: str


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """A picture with a result for each task, its own or (`owner`) another source's."""

    source: Source
    sha256: str
    kept: object
    descriptions: tuple[Description, ...] = ()
    owner: str = ""
    """Key of a source with the same content, whose results are to be copied."""


Outcome = Failed | Described


@dataclass(slots=True)
class Window:
    """Consecutive sources: all of them, or those that are needed."""

    skipped: int = 0
    """How many have all results already."""
    pictures: list[Future[Decoded | Failed]] = field(default_factory=list)


def _enough(spec: PixelSpec) -> tuple[int, int]:
    """Width and height from which a picture loses nothing that its squashed form would show."""
    width, height = spec.size_wh
    return math.ceil(_SPARE * width), math.ceil(_SPARE * height)


def decode(source: Source, limits: Limits, spec: PixelSpec, keep: Keep | None) -> Decoded | Failed:
    """Read, hash, decode and squash one picture."""
    if source.problem:
        return Failed(source, InputError.__name__, problem_text(source))
    began = time.perf_counter()
    try:
        # The file is read once: the digest is of the very bytes that are described.
        _, data = contents(source.path, None, limits)
        sha256 = hashlib.sha256(data).hexdigest()
        picture = read_image(data, name=source.name, limits=limits, at_least_wh=_enough(spec))
        # What is kept is for people to look at. The model sees the same with and without it.
        whole = picture
        if keep is not None and picture.reduced:
            whole = read_image(data, name=source.name, limits=limits)
    except ImageError as e:
        return Failed(source, type(e).__name__, str(e))
    pixels = pixel_tensor(picture.rgb, spec)
    seconds = time.perf_counter() - began
    kept = None if keep is None else keep(whole)
    return Decoded(source, sha256, picture.info, pixels, seconds, kept)


def content_sha(source: Source, limits: Limits) -> bytes | None:
    """Return the first 16 bytes of a file's digest, or None if it cannot be read."""
    try:
        _, data = contents(source.path, None, limits)
    except ImageError:
        return None
    return hashlib.sha256(data).digest()[:16]


class Feed:
    """Cuts the sources into windows and has them decoded ahead of the model.

    Args:
        pool: decodes.
        store: knows what is done.
        decode: one source.
        check: returns a source's content; None to trust what is recorded for its path.
        size: sources in a window.
    """

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        store: Store,
        decode: Callable[[Source], Decoded | Failed],
        check: Callable[[Source], bytes | None] | None,
        size: int,
    ) -> None:
        self._pool = pool
        self._store = store
        self._decode = decode
        self._check = check
        self._size = size

    def windows(self, sources: Iterator[Source | None]) -> Iterator[Window]:
        """Yield windows in order; None among the sources ends one early, and waits for none."""
        ahead: deque[Window] = deque()
        gathered: list[Source] = []
        for source in sources:
            if source is not None:
                gathered.append(source)
                if len(gathered) < self._size:
                    continue
            if gathered:
                ahead.append(self._plan(gathered))
                gathered = []
            # Windows with nothing to do hold nothing, and must not hold up those behind them.
            while ahead and (source is None or len(ahead) >= AHEAD or not ahead[0].pictures):
                yield ahead.popleft()
        if gathered:
            ahead.append(self._plan(gathered))
        yield from ahead

    def _plan(self, sources: list[Source]) -> Window:
        """Decide what of a window is to be decoded.

        All of it, if a source was never tried: then the same pictures share the model's passes as
        would have without the kill. If only sources are left that failed before, those alone.
        """
        store = self._store
        missing = [s for s in sources if store.missing(s.key)]
        if self._check is not None:
            there = [s for s in sources if not store.missing(s.key)]
            found = self._pool.map(self._check, there)
            changed = [s for s, sha in zip(there, found, strict=True) if store.sha(s.key) != sha]
            missing = [s for s in sources if s in missing or s in changed]
        window = Window(skipped=len(sources) - len(missing))
        if missing:
            tried = all(s.key in store.failures for s in missing)
            wanted = missing if tried else sources
            window.pictures = [self._pool.submit(self._decode, s) for s in wanted]
        return window


class Model:
    """Describes windows.

    Args:
        scope: the model.
        tasks: asked about every picture.
        options: of the generation.
    """

    def __init__(self, scope: Scope, tasks: Sequence[Task], options: GenerationOptions) -> None:
        self._scope = scope
        self._tasks = tasks
        self._options = options

    def describe(self, window: Sequence[Decoded | Failed], store: Store) -> list[Outcome]:
        """Describe a window; pictures of a content that was there before are not computed."""
        outcomes: list[Outcome] = []
        own: list[Decoded] = []
        for item in window:
            if isinstance(item, Failed):
                outcomes.append(item)
                continue
            store.own(item.sha, item.source.key)
            owner = store.owner(item.sha)
            if owner is not None and owner != item.source.key:
                outcomes.append(Described(item.source, item.sha256, item.kept, owner=owner))
                continue
            outcomes.append(Described(item.source, item.sha256, item.kept))
            own.append(item)
        results = iter(self._complete(own))
        return [
            replace(o, descriptions=next(results))
            if isinstance(o, Described) and not o.owner
            else o
            for o in outcomes
        ]

    def _complete(self, pictures: Sequence[Decoded]) -> list[tuple[Description, ...]]:
        images = [self._encoded(picture) for picture in pictures]
        found: list[list[Description]] = [[] for _ in images]
        step = max(1, TOGETHER // max(1, len(images)))
        for i in range(0, len(self._tasks) if images else 0, step):
            tasks = self._tasks[i : i + step]
            prompts = [task.prompt(image) for image in images for task in tasks]
            results = self._scope.complete(prompts, self._options)
            for n, of_one in enumerate(found):
                of_one += results[n * len(tasks) : (n + 1) * len(tasks)]
        return [tuple(of_one) for of_one in found]

    def _encoded(self, picture: Decoded) -> EncodedImage:
        began = time.perf_counter()
        state = self._scope.engine.encode(picture.pixels)
        spent = time.perf_counter() - began
        timing = Timing(preprocess=picture.seconds, encode=spent, total=picture.seconds + spent)
        return EncodedImage(picture.info, state, timing)


@dataclass(frozen=True, slots=True, eq=False)
class PictureDone:
    """A picture and what was said about it; handed out before its records are written."""

    source: Source
    sha256: str
    tasks: tuple[Task, ...]
    descriptions: tuple[Description, ...]
    """One for each task."""
    kept: Any
    """What `keep` returned for the picture."""


class Writer:
    """Writes outcomes in order, on a thread of its own.

    Args:
        store: where to.
        on_picture: called with each new result before it is written.
        written: called after each outcome with it, and how many records were new.
    """

    def __init__(
        self,
        store: Store,
        on_picture: Callable[[PictureDone], object] | None,
        written: Callable[[Outcome, int], object],
    ) -> None:
        self._store = store
        self._on_picture = on_picture
        self._written = written
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
        store = self._store
        if isinstance(outcome, Failed):
            store.fail(outcome.source, outcome.kind, outcome.error)
            self._written(outcome, 0)
            return
        new = 0
        sha = bytes.fromhex(outcome.sha256)[:16]
        if store.missing(outcome.source.key, sha):
            if outcome.owner:
                copies = [r["description"] for r in store.recorded(outcome.owner, sha)]
                for copy in copies:
                    copy["image"]["path"] = outcome.source.name
                    copy["timing"] = asdict(Timing())
                described = copies
            else:
                described = [d.to_dict() for d in outcome.descriptions]
            if self._on_picture is not None:
                results = outcome.descriptions or tuple(map(Description.from_dict, described))
                done = PictureDone(
                    outcome.source, outcome.sha256, store.tasks, results, outcome.kept
                )
                try:
                    self._on_picture(done)
                except ImageError as e:
                    store.fail(outcome.source, type(e).__name__, str(e), stage="picture")
            new = store.add(outcome.source, outcome.sha256, described)
        self._written(outcome, new)
