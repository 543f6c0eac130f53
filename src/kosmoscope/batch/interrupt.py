"""Ctrl-C as a clean stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Interrupted(Exception):  # noqa: N818 (no error: somebody asked for it)
    """SIGINT came while the model ran, or while waiting for sources."""


class CleanStop:
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
