"""What decodes pictures does not speak to the user: what it finds becomes notes and errors."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache


@cache
def hush_libtiff() -> None:
    """Let libtiff not write to stderr by itself: what it found wrong comes as an exception too."""
    import ctypes

    from PIL import _imaging

    # Where Pillow was built without it, or with its names hidden, it stays as it is.
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetErrorHandlerExt"):
            handler = getattr(library, name)
            handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            handler(None)


_quiet_lock = threading.Lock()
_quiet_depth = 0
_quiet_filter: warnings.catch_warnings[None] | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings (bombs below the limit, odd tags): they are notes or errors here.

    `warnings.catch_warnings` swaps a list of the whole process, so threads that enter and leave
    it out of order would leave the wrong list behind. Hence one for all: the first caller in
    swaps, the last one out restores.
    """
    global _quiet_depth, _quiet_filter
    if getattr(sys.flags, "context_aware_warnings", False):
        # Python 3.14 and later can keep the list per thread.
        with warnings.catch_warnings():
            _ignore_pillow()
            yield
        return
    with _quiet_lock:
        if _quiet_depth == 0:
            _quiet_filter = warnings.catch_warnings()
            _quiet_filter.__enter__()
            _ignore_pillow()
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0 and _quiet_filter is not None:
                _quiet_filter.__exit__(None, None, None)
                _quiet_filter = None


def _ignore_pillow() -> None:
    warnings.filterwarnings("ignore", module=r"(PIL|pi_heif)(\.|$)")
