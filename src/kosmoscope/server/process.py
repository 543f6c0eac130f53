"""The server as a process: it listens at once, loads, answers, and leaves nothing unanswered."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

import uvicorn

from kosmoscope.errors import OptionError
from kosmoscope.scope import Scope
from kosmoscope.server.app import application
from kosmoscope.server.desk import Desk
from kosmoscope.server.door import log_to_stderr
from kosmoscope.server.settings import Settings


def guarded(settings: Settings) -> Settings:
    """Return the settings with a token, where others than this machine can reach the server."""
    if settings.is_local or settings.token is not None:
        return settings
    return replace(settings, token=secrets.token_urlsafe(24))


def serve(
    settings: Settings, load: Callable[[], Scope], say: Callable[[str], None] = print
) -> None:
    """Serve until SIGTERM or an interrupt; then answer what was let in, and return.

    Args:
        settings: as `guarded` returns them.
        load: returns the model; called in another thread while the server listens already.
        say: told once where the server is, and once that the model is there.

    Raises:
        OptionError: it may not, or cannot, listen there.
        KosmoscopeError: the model cannot be loaded.
    """
    if not settings.is_local and settings.token is None:
        raise OptionError(f"{settings.host} can be reached by others: a token is needed")
    door = listening(settings)
    host, port = door.getsockname()[:2]
    desk = Desk(settings, load)
    config = uvicorn.Config(
        application(desk), log_config=None, access_log=False, lifespan="off", ws="none",
        loop="asyncio", http="h11", server_header=False,
    )  # fmt: skip
    log_to_stderr()
    say(f"listening on http://{f'[{host}]' if ':' in host else host}:{port}")
    server = _Server(config, desk, say)
    desk.worker.start()
    try:
        asyncio.run(server.serve([door]))
    finally:
        door.close()
        desk.close()
    if desk.worker.error is not None:
        raise desk.worker.error


def listening(settings: Settings) -> socket.socket:
    """Return the socket that clients connect to. Raises `OptionError`."""
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        # The protocol is named, as asyncio sends small pieces at once (TCP_NODELAY) only then:
        # otherwise an answer's last piece waits for 40 ms.
        door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            if os.name == "posix":  # elsewhere it would let two servers share a port
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(address)
            door.listen(1024)
        except BaseException:
            door.close()
            raise
        return door
    except OSError as e:
        where = f"{settings.host}:{settings.port}"
        raise OptionError(f"cannot listen on {where}: {e.strerror or e}") from e


_TICK_S = 0.1
"""How long uvicorn sleeps between two ticks."""


class _Server(uvicorn.Server):
    """Goes on answering what was let in after the first signal; the second ends it at once."""

    def __init__(self, config: uvicorn.Config, desk: Desk, say: Callable[[str], None]) -> None:
        super().__init__(config)
        self._desk, self._say = desk, say
        self._told = False
        self._ticked: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to drain, in the middle of whatever the main thread does: no lock is taken."""
        if self._desk.worker.state == "draining":
            self.force_exit = self.should_exit = True
            if sig == signal.SIGINT:
                self._captured_signals.append(sig)
        self._desk.worker.state = "draining"

    async def on_tick(self, counter: int) -> bool:
        """Say when the model is there; end when it cannot be, or all is answered; note the lag."""
        worker = self._desk.worker
        now = time.perf_counter()
        if self._ticked is not None:
            self._desk.metrics.lag.observe(max(0.0, now - self._ticked - _TICK_S))
        if worker.state == "ready" and not self._told:
            self._told = True
            self._say(f"{worker.model().model} is ready")
        if worker.state == "failed" or (worker.state == "draining" and not worker.admitted):
            self.should_exit = True
        over = await super().on_tick(counter)
        self._ticked = time.perf_counter()
        return over
