"""Where requests meet the model: pictures are read, jobs handed in, what is said awaited."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import Request

from kosmoscope.engine.options import GenerationOptions
from kosmoscope.prompts import Prompt
from kosmoscope.scope import EncodedImage, Scope
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.fetching import Fetcher
from kosmoscope.server.labelstudio_files import LabelStudioFiles
from kosmoscope.server.labelstudio_pointing import Pointing
from kosmoscope.server.library import Library
from kosmoscope.server.metrics import Metrics
from kosmoscope.server.pictures import Cache, Shown, file_of, read_shown, url_of
from kosmoscope.server.settings import Settings
from kosmoscope.server.worker import Done, Failed, Job, Looked, Said, Worker

T = TypeVar("T")
Ask = Callable[[EncodedImage], Prompt]


class GoneError(Exception):
    """The client went away: there is nobody to answer."""


class Desk:
    """What the routes share. Its coroutines run in the server's event loop.

    Args:
        settings: of the server.
        load: returns the model; called in the worker's thread.
    """

    def __init__(self, settings: Settings, load: Callable[[], Scope]) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.cache = Cache(settings.cache_mb * 2**20)
        self.worker = Worker(
            load, self.cache, self.metrics, settings.texts, settings.texts + settings.queue
        )
        self.fetcher = Fetcher(settings.max_body_mb * 2**20) if settings.allow_urls else None
        self.label_studio = LabelStudioFiles(
            settings.label_studio_url, settings.label_studio_key, settings.max_body_mb * 2**20,
            self.fetcher,
        )  # fmt: skip
        self.pointing = Pointing(settings.segmenter)
        self.library = Library(settings.results, settings.max_body_mb * 2**20)
        # Pictures decoded and drawn at once: each may take a few hundred megabytes meanwhile.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="kosmoscope-pictures")
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="kosmoscope-files")
        self._fetching = ThreadPoolExecutor(4, thread_name_prefix="kosmoscope-fetching")

    def close(self) -> None:
        """End all threads."""
        self.worker.stop()
        self._threads.shutdown()
        self._hashing.shutdown()
        self._fetching.shutdown(wait=False, cancel_futures=True)

    def model(self) -> Scope:
        """Return the model, also while the last requests are answered."""
        return self.worker.scope or self.worker.model()

    def check_model(self, name: str) -> None:
        """Raise `RefusedError` (404) unless a client means this model: by its name, or by none."""
        ours = self.model().model
        if name.removesuffix(":latest") not in ("", ours, "kosmoscope"):
            raise RefusedError(404, f"no model {name!r} here; there is {ours!r}")

    async def aside(self, call: Callable[..., T], *args: Any) -> T:
        """Run something long in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)

    async def fetched(self, call: Callable[..., T], *args: Any) -> T:
        """Run something that waits for another server in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._fetching, call, *args)

    async def shown(self, image: str | bytes | None, picture_id: str | None = None) -> Shown:
        """Return the picture of a request.

        Args:
            image: a file, or base64, a data URI or an address.
            picture_id: of one that was sent before, or found in the folder of results.

        Raises:
            RefusedError: both or none, not base64, no such picture, an address that is not allowed.
            ImageError: it cannot be read.
        """
        if (image is None) == (picture_id is None):
            raise RefusedError(422, "expected one of image and picture_id")
        if picture_id is not None:
            found = self.cache.get(picture_id)
            if found is not None:
                return found
            kept_file = await self.aside(self.library.file, picture_id)
            if kept_file is None:
                raise RefusedError(404, "no picture with this picture_id is kept; send it again")
            return await self.aside(read_shown, kept_file, picture_id, self.model())
        assert image is not None
        url = url_of(image) if isinstance(image, str) else None
        if url is not None:
            if self.fetcher is None:
                raise RefusedError(
                    422, "addresses are not fetched by this server; send the picture"
                )
            image = await self.fetched(self.fetcher.fetch, url)
        # In a thread of their own: a picture that is kept must not wait for others' decoding.
        data, id = await asyncio.get_running_loop().run_in_executor(self._hashing, file_of, image)
        kept = self.cache.get(id)
        if kept is not None:
            return kept
        return await self.aside(read_shown, data, id, self.model())

    def check(self, ask: Ask) -> None:
        """Raise what asking would raise, before anything is promised."""
        nowhere: Any = b""
        self.model().check(ask(nowhere))

    async def said(
        self,
        shown: Shown,
        ask: Ask | None,
        options: GenerationOptions | None = None,
        *,
        piecewise: bool = True,
    ) -> AsyncGenerator[Said, None]:
        """Yield what is said of a picture, as it comes; closing it stops the model.

        Args:
            shown: the picture.
            ask: what about it; None lets the model look alone.
            options: of the generation.
            piecewise: with text and entities, or the ends alone.

        Raises:
            RefusedError: out of time.
            KosmoscopeError: it cannot be asked.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Said] = asyncio.Queue()

        def tell(said: Said) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
                loop.call_soon_threadsafe(queue.put_nowait, said)

        job = Job(shown, ask, options or GenerationOptions(), tell, piecewise)
        deadline = loop.time() + self.settings.timeout
        self.worker.submit(job)
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    said = await queue.get()
                if isinstance(said, Failed):
                    raise said.error
                yield said
                if isinstance(said, Done) or (ask is None and isinstance(said, Looked)):
                    return
        except TimeoutError:
            raise RefusedError(504, f"not done within {self.settings.timeout:g} s") from None
        finally:
            job.cancelled = True

    async def told(
        self, request: Request, shown: Shown, ask: Ask, options: GenerationOptions | None = None
    ) -> Done:
        """Return what is said of a picture, whole; stops when the client goes away.

        Raises:
            GoneError: it did.
            RefusedError, KosmoscopeError: as `said`.
        """
        self.check(ask)
        return await unless_gone(request, self.whole(shown, ask, options))

    async def whole(self, shown: Shown, ask: Ask, options: GenerationOptions | None = None) -> Done:
        """Return what is said of a picture, for whoever minds the client himself; see `told`."""
        found = None
        pieces = self.said(shown, ask, options, piecewise=False)
        async with contextlib.aclosing(pieces) as all_said:
            async for said in all_said:
                found = said
        assert isinstance(found, Done)
        return found

    async def looked(self, request: Request, shown: Shown) -> Looked:
        """Let the model look at a picture, and keep it."""
        return await unless_gone(request, self.look(shown))

    async def look(self, shown: Shown) -> Looked:
        """The same, for whoever minds the client himself."""
        async with contextlib.aclosing(self.said(shown, None)) as all_said:
            async for said in all_said:
                if isinstance(said, Looked):
                    return said
        raise AssertionError("looking ends with a look")


async def unless_gone(request: Request, answer: Awaitable[T]) -> T:
    """Return what an awaitable brings, or cancel it when the request's client goes away.

    Raises:
        GoneError: it went.
    """
    work = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise GoneError
        return work.result()
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
