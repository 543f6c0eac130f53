"""`/api/v1/search`: questions in words, asked of a folder of results that the server was given."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kosmoscope.server.bodies import Strict, read_json
from kosmoscope.server.desk import Desk
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.schema import documented
from kosmoscope.server.verbs import MOST_CHARACTERS

if TYPE_CHECKING:
    from kosmoscope.search import Index

MOST_HITS = 1000


class Search(Strict):
    """A question about all pictures of the folder."""

    question: Annotated[str, StringConstraints(max_length=MOST_CHARACTERS)] = Field(
        description='In words, such as "two dogs left of a car"; docs/search.md has the grammar.'
    )
    limit: int = Field(20, ge=0, le=MOST_HITS, description="How many pictures at most.")
    cut_off: float = Field(0.5, ge=0, le=1, description="From which probability on.")


def routes(desk: Desk) -> APIRouter:
    """Return the route."""
    router = APIRouter(prefix="/api/v1", tags=["kosmoscope"])
    results = Results(desk.settings.results)

    @router.post("/search", **documented(Search, None, multipart=False))
    async def search(request: Request) -> Response:
        body = await read_json(request, Search, desk.settings.max_body_mb * 2**20)
        return JSONResponse(await desk.aside(results.answer, body))

    return router


class Results:
    """The folder whose index is asked; opened with the first question, for any thread.

    Args:
        folder: of results; None: there is none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._index: Index | None = None

    def answer(self, body: Search) -> dict[str, Any]:
        """Return what `Answer.to_dict` does.

        Raises:
            RefusedError: there is no folder.
            KosmoscopeError: it has no index, or a damaged one.
        """
        if self._folder is None:
            raise RefusedError(404, "this server has no results to search; start it with --results")
        from kosmoscope.search import Index

        with self._lock:
            if self._index is None:
                self._index = Index.open(self._folder)
            index = self._index
        return index.search(body.question, limit=body.limit, cut_off=body.cut_off).to_dict()
