"""The verbs as tools. What they are told about themselves, an assistant reads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult
from pydantic import Field, RootModel

from kosmoscope.detail import Count
from kosmoscope.errors import KosmoscopeError
from kosmoscope.mcp.folders import Folders
from kosmoscope.mcp.results import (
    Parts,
    answered,
    caption_text,
    count_text,
    parts_of,
    parts_text,
    search_text,
)
from kosmoscope.prompts import Prompt, ask_prompt, describe_prompt, ground_prompt, refer_prompt
from kosmoscope.results import Description
from kosmoscope.scope import EncodedImage, Finished, Scope
from kosmoscope.types import GroundedCaption

_KEPT = 8
"""Pictures that stay encoded; at Kosmos-2's size 26 MB each."""

PicturePath = Annotated[
    str, Field(description="Path of the picture's file, in one of the allowed folders.")
]
Draw = Annotated[bool, Field(description="Send the picture with the boxes drawn on it, too.")]
Phrase = Annotated[str, Field(description='What to look for, in words: "a red car".')]
Corners = Annotated[
    list[float],
    Field(
        description="Left, top, right, bottom as fractions 0..1 of width and height.",
        min_length=4,
        max_length=4,
    ),
]
Gone = threading.Event
Described = Annotated[CallToolResult, RootModel[GroundedCaption]]
"""An answer whose structured content is what `Description.to_dict` returns."""


class Tools:
    """What an assistant can have done, one thing at a time.

    Args:
        model: returns the model, however long that takes; raises what its loading did.
        folders: whose pictures may be looked at.
    """

    def __init__(self, model: Callable[[], Scope], folders: Folders) -> None:
        self._model, self._folders = model, folders
        self._turn = anyio.CapacityLimiter(1)
        self._kept: OrderedDict[tuple[Path, int, int], EncodedImage] = OrderedDict()

    async def describe(
        self,
        picture: PicturePath,
        style: Annotated[
            Literal["brief", "detailed"], Field(description="A sentence, or several.")
        ] = "brief",
        draw: Draw = False,
    ) -> Described:
        """Describe a picture: a caption, and boxes for the things that it names.

        Boxes are left, top, right, bottom as fractions of width and height, each with a score.
        """
        return await self._told(picture, partial(describe_prompt, prompt=style), draw)

    async def ground(self, picture: PicturePath, phrase: Phrase, draw: Draw = False) -> Described:
        """Find in a picture what a phrase names: its boxes, as fractions of width and height.

        The model points at something for every phrase, also for what is not there: a low score
        says so.
        """
        return await self._told(picture, partial(ground_prompt, phrase=phrase), draw)

    async def refer(self, picture: PicturePath, box: Corners, draw: Draw = False) -> Described:
        """Say what is in a box of a picture."""
        return await self._told(picture, partial(refer_prompt, box=box), draw)

    async def ask(
        self,
        picture: PicturePath,
        question: Annotated[str, Field(description="In plain words.")],
        box: Annotated[
            Corners | None,
            Field(
                description="What the question is about; it is called 'it' there, or square "
                "brackets mark it."
            ),
        ] = None,
        draw: Draw = False,
    ) -> Described:
        """Answer a question about a picture, or about a box of it, in a few words."""
        return await self._told(picture, partial(ask_prompt, question=question, box=box), draw)

    async def segment(
        self,
        picture: PicturePath,
        phrase: Annotated[
            str | None, Field(description="Find this alone; else what a description names.")
        ] = None,
        draw: Draw = False,
    ) -> Annotated[CallToolResult, RootModel[Parts]]:
        """Divide a picture into named parts: how much of it each one is, and where."""

        def work(gone: Gone) -> CallToolResult:
            path = self._folders.picture(picture)
            image = self._encoded(path)
            prompt = describe_prompt(image) if phrase is None else ground_prompt(image, phrase)
            found = self._said(prompt, gone).segment(path)
            parts = parts_of(found)
            return answered(asdict(parts), parts_text(parts), found.draw(path) if draw else None)

        return await self._done(work)

    async def count(
        self,
        picture: PicturePath,
        phrase: Annotated[str, Field(description='What to count: "houses".')],
    ) -> Annotated[CallToolResult, RootModel[Count]]:
        """Count what a phrase names: a number, how sure it is, and boxes of those that are seen.

        It looks closely, several times: this takes longer than other tools.
        """

        def work(_: Gone) -> CallToolResult:
            path = self._folders.picture(picture)
            found = self._model().count(path, phrase)
            return answered(found.to_dict(), count_text(found), None)

        return await self._done(work)

    async def search(
        self,
        folder: Annotated[
            str,
            Field(description="A folder of results with an index, in one of the allowed folders."),
        ],
        question: Annotated[
            str,
            Field(
                description='What to find, in words: "two dogs left of a car", "a red boat, no '
                'people", "at least 3 people in 2024".'
            ),
        ],
        limit: Annotated[int, Field(description="How many pictures at most.", ge=1, le=100)] = 10,
    ) -> Annotated[CallToolResult, RootModel[dict[str, Any]]]:
        """Search the pictures that a folder of results describes; it needs no look at them.

        Each picture comes with the probability that it is an answer and the boxes that say so.
        The answer may be that there is none.
        """

        def work(_: Gone) -> CallToolResult:
            from kosmoscope.search import Index

            with Index.open(self._folders.folder(folder)) as index:
                found = index.search(question, limit=limit)
            return answered(found.to_dict(), search_text(found), None)

        return await self._done(work)

    async def _told(
        self, picture: str, ask: Callable[[EncodedImage], Prompt], draw: bool
    ) -> CallToolResult:
        def work(gone: Gone) -> CallToolResult:
            path = self._folders.picture(picture)
            found = self._said(ask(self._encoded(path)), gone)
            drawn = found.draw(path) if draw else None
            return answered(found.to_dict(), caption_text(found), drawn)

        return await self._done(work)

    def _said(self, prompt: Prompt, gone: Gone) -> Description:
        for event in self._model().stream(prompt):
            if gone.is_set():
                raise ToolError("cancelled")
            if isinstance(event, Finished):
                return event.description
        raise AssertionError("a stream ends with Finished")

    def _encoded(self, path: Path) -> EncodedImage:
        """Return a picture that the model has looked at, before or now."""
        model = self._model()
        try:
            state = path.stat()
        except OSError:
            return model.encode(path)  # which says what is wrong
        key = (path, state.st_mtime_ns, state.st_size)
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = model.encode(path)
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found

    async def _done(self, work: Callable[[Gone], CallToolResult]) -> CallToolResult:
        """Run something in a thread, which ends with the pass under way if nobody waits for it."""
        gone = Gone()
        try:
            return await anyio.to_thread.run_sync(
                work, gone, limiter=self._turn, abandon_on_cancel=True
            )
        except anyio.get_cancelled_exc_class():
            gone.set()
            raise
        except KosmoscopeError as e:
            raise ToolError(str(e)) from e
