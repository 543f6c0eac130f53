"""The one thread that runs the model: texts join its batch from a queue and leave when done."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from kosmoscope.engine.batch import Batch, Clock
from kosmoscope.engine.branch import Token
from kosmoscope.engine.core import Prefix
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.prompts import Prompt
from kosmoscope.results import Description
from kosmoscope.scope import EncodedImage, Scope
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.metrics import Metrics
from kosmoscope.server.pictures import Cache, Shown
from kosmoscope.telling import EntityFound, Finished, Telling, TextDelta

State = Literal["loading", "ready", "draining", "failed", "stopped"]
TOO_MANY = 429
_log = logging.getLogger("kosmoscope.server")


@dataclass(frozen=True, slots=True)
class Looked:
    """A picture is encoded; of a job that asks nothing this is the end."""

    image: EncodedImage
    was_kept: bool


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a text."""

    description: Description
    certainty: float
    """0..1: geometric mean of the probabilities of the tokens that were chosen."""
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The end of a text that has none."""

    error: Exception


Said = Looked | TextDelta | EntityFound | Done | Failed


@dataclass(slots=True, eq=False)
class Job:
    """A picture to look at, and what to ask about it."""

    shown: Shown
    ask: Callable[[EncodedImage], Prompt] | None
    """None: look only."""
    options: GenerationOptions
    tell: Callable[[Said], None]
    """Called in the worker's thread; does not raise."""
    piecewise: bool = True
    """Tell text and entities as they come; otherwise the ends alone, which costs less."""
    cancelled: bool = False
    """Set it, and no pass begins any more with this text in it."""
    began: float = field(default_factory=time.perf_counter)


@dataclass(slots=True, eq=False)
class _Running:
    job: Job
    telling: Telling
    joined: float
    passes_before: int
    first: float | None = None


class Worker:
    """Runs jobs. Every method is for any thread.

    Args:
        load: returns the model.
        cache: of encoded pictures.
        metrics: to fill.
        texts: under way at once.
        admitted: requests that may be in the house at once.
    """

    def __init__(
        self, load: Callable[[], Scope], cache: Cache, metrics: Metrics, texts: int, admitted: int
    ) -> None:
        self.state: State = "loading"
        self.error: BaseException | None = None
        """Why the model could not be loaded."""
        self.scope: Scope | None = None
        self._load, self._cache, self._metrics, self._texts = load, cache, metrics, texts
        self._most = admitted
        self._admitted = 0
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        # A model that is still being loaded does not keep the process.
        self._thread = threading.Thread(target=self._run, name="kosmoscope-engine", daemon=True)

    def start(self) -> None:
        """Begin to load."""
        self._thread.start()

    def admit(self) -> None:
        """Let a request in; whoever was let in calls `release`, and is answered until then.

        Raises:
            RefusedError: there is no model yet or any more, or there are too many requests.
        """
        with self._changed:
            self.model()
            if self._admitted >= self._most:
                raise RefusedError(
                    TOO_MANY, "too many requests; try again later", {"Retry-After": "1"}
                )
            self._admitted += 1
            self._metrics.admitted.set(self._admitted)

    def release(self) -> None:
        """Say that a request that was let in has its answer."""
        with self._changed:
            self._admitted -= 1
            self._metrics.admitted.set(self._admitted)

    @property
    def admitted(self) -> int:
        """How many requests are in the house."""
        return self._admitted

    def model(self) -> Scope:
        """Return the model for a new request.

        Raises:
            RefusedError: it is not there yet, or not any more.
        """
        if self.state != "ready" or self.scope is None:
            words = {"loading": "the model is being loaded", "draining": "the server is shutting"
                     " down", "stopped": "the server is shutting down"}  # fmt: skip
            why = words.get(self.state, "the model could not be loaded")
            raise RefusedError(503, why, {"Retry-After": "2"})
        return self.scope

    def submit(self, job: Job) -> None:
        """Put a job into the queue."""
        with self._changed:
            self._waiting.append(job)
            self._metrics.waiting.set(len(self._waiting))
            self._changed.notify_all()

    def drain(self) -> None:
        """Let no further request in."""
        with self._changed:
            if self.state in ("loading", "ready"):
                self.state = "draining"

    def stop(self) -> None:
        """End the thread, and wait for it."""
        with self._changed:
            loading = self.scope is None and self.error is None
            self.state = "stopped"
            self._changed.notify_all()
        if not loading:
            self._thread.join()

    def _run(self) -> None:
        try:
            scope = self._load()
        except BaseException as e:  # noqa: BLE001 (whatever it is, the main thread raises it)
            with self._changed:
                self.error, self.state = e, "failed"
            return
        with self._changed:
            self.scope = scope
            if self.state == "loading":
                self.state = "ready"
        while self._turns(scope):
            _log.error("the texts under way were given up")

    def _turns(self, scope: Scope) -> bool:
        """Run passes until the end; returns True where what is under way had to be given up."""
        batch = Batch(scope.engine, capacity=1024)
        running: dict[int, _Running] = {}
        try:
            while True:
                with self._changed:
                    while not self._waiting and not running and self.state != "stopped":
                        self._changed.wait()
                    if self.state == "stopped":
                        over = Failed(RefusedError(503, "the server is shutting down"))
                        for job in (*self._waiting, *(text.job for text in running.values())):
                            job.tell(over)
                        return False
                self._leave(batch, running)
                self._join(scope, batch, running)
                self._leave(batch, running)  # looking at a picture takes longer than a pass
                self._metrics.batch.set(len(batch))
                if batch:
                    self._hand_out(batch, batch.step(), running)
                    self._metrics.batch.set(len(batch))
        except Exception as e:  # noqa: BLE001 (whatever it is, the next request is served)
            _log.exception("a pass failed")
            for text in running.values():
                text.job.tell(Failed(e))
            return True

    def _leave(self, batch: Batch, running: dict[int, _Running]) -> None:
        for number, text in list(running.items()):
            if text.job.cancelled:
                batch.remove(number)
                del running[number]
                self._metrics.cancelled.inc()

    def _join(self, scope: Scope, batch: Batch, running: dict[int, _Running]) -> None:
        """Let those join who need no look at a picture, and one who does: others wait for it."""
        looked = False
        while len(running) < self._texts and not looked:
            with self._changed:
                job = self._waiting.popleft() if self._waiting else None
                self._metrics.waiting.set(len(self._waiting))
            if job is None:
                return
            if job.cancelled:
                self._metrics.cancelled.inc()
                continue
            try:
                image, kept = self._look(scope, job)
                looked = not kept
                if job.ask is None:
                    job.tell(Looked(image, kept))
                    continue
                request, telling = scope.prepare(job.ask(image), job.options)
                begin = partial(self._begin, job, image, telling, kept)
                read_first = image.state.prefix is None and scope.engine.begins_with_picture(
                    request.prompt
                )
                number = batch.insert(request, begin if read_first else None)
            except Exception as e:  # noqa: BLE001 (it is told to whom it concerns)
                job.tell(Failed(e))
                continue
            running[number] = _Running(job, telling, time.perf_counter(), batch.clock.passes)
            if not read_first:
                begin()

    def _begin(
        self,
        job: Job,
        image: EncodedImage,
        telling: Telling,
        kept: bool,
        prefix: Prefix | None = None,
    ) -> None:
        """Tell that a picture was looked at, once whoever is told can ask about it again."""
        if prefix is not None:
            self._keep(job.shown, replace(image, state=replace(image.state, prefix=prefix)))
        job.tell(Looked(image, kept))
        if job.piecewise:
            for event in telling.begin():
                _tell(job, event)

    def _look(self, scope: Scope, job: Job) -> tuple[EncodedImage, bool]:
        kept = self._cache.get(job.shown.id) or job.shown
        if kept.encoded is not None:
            self._metrics.hits.inc()
            return kept.encoded, True
        self._metrics.misses.inc()
        # The pass that reads the prompt reads the picture too, and says then what to keep of it;
        # beams read it in passes of their own.
        once = job.ask is not None and job.options.num_beams == 1
        image = job.shown.encode(scope, once=once)
        if not once:
            self._keep(job.shown, image)
        self._metrics.stages.labels("preprocess").inc(image.timing.preprocess)
        self._metrics.stages.labels("encode").inc(image.timing.encode)
        return image, False

    def _keep(self, shown: Shown, image: EncodedImage) -> None:
        self._cache.keep(shown, image)
        self._metrics.cached.set(self._cache.bytes)

    def _hand_out(self, batch: Batch, tokens: list[Token], running: dict[int, _Running]) -> None:
        now = time.perf_counter()
        self._metrics.passes.inc()
        self._metrics.tokens.inc(len(tokens))
        for token in tokens:
            text = running[token.request]
            if text.first is None:
                text.first = now
                self._metrics.first_token.observe(now - text.job.began)
            if text.job.piecewise:
                for event in text.telling.feed(token):
                    _tell(text.job, event)
            else:
                text.telling.tokens.append(token)
            if token.finish is not None:
                self._finish(batch, running.pop(token.request), now)

    def _finish(self, batch: Batch, text: _Running, now: float) -> None:
        first = text.first or now
        clock = Clock(first - text.joined, now - first, batch.clock.passes - text.passes_before)
        self._metrics.stages.labels("prefill").inc(clock.prefill)
        self._metrics.stages.labels("decode").inc(clock.decode)
        chosen = [t.logprob for t in text.telling.tokens if t.logprob is not None]
        certainty = math.exp(math.fsum(chosen) / len(chosen)) if chosen else 0.0
        asked, spent = len(text.telling.context.prompt_ids), now - text.joined
        if not text.job.piecewise:
            text.job.tell(Done(text.telling.description(clock, spent), certainty, asked))
            return
        for event in text.telling.end(clock, spent):
            if isinstance(event, Finished):
                text.job.tell(Done(event.description, certainty, asked))
            else:
                text.job.tell(event)


def _tell(job: Job, event: TextDelta | EntityFound | Finished) -> None:
    if not isinstance(event, Finished):
        job.tell(event)
