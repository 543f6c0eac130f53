"""The folder of results that a server was given: its index, and the pictures of its answers.

No client names a file here. A picture is known by its content (as if it had been sent), once it was
in an answer, and what is read must be the very content that was described.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosmoscope.errors import ImageError, InputError
from kosmoscope.images import Limits
from kosmoscope.images.sources import contents
from kosmoscope.server.drawing import colours
from kosmoscope.server.failures import RefusedError
from kosmoscope.server.pictures import NAME

if TYPE_CHECKING:
    from kosmoscope.results import Description
    from kosmoscope.search import Hit, Index, PictureFile

REMEMBERED = 10_000
"""Pictures of answers, the latest."""
_ID_LENGTH = 32
"""Digits of a hash, as of pictures that are sent: one that was found is the same to the verbs."""
CHANGED = "the results changed since the index was made; run `kosmoscope index` again"


class Library:
    """For any thread; the index is opened with the first question.

    Args:
        folder: of results; None: there is none.
        max_bytes: of a picture's file.
    """

    def __init__(self, folder: Path | None, max_bytes: int) -> None:
        self._folder = folder
        self._limits = Limits(max_bytes=max_bytes)
        self._lock = threading.Lock()
        self._index: Index | None = None
        self._answered: OrderedDict[str, tuple[Hit, PictureFile]] = OrderedDict()

    def about(self) -> dict[str, Any]:
        """Return how many pictures there are, None without a folder, and what could be asked."""
        if self._folder is None:
            return {"pictures": None, "suggestions": []}
        index = self._open()
        return {"pictures": len(index), "suggestions": index.suggestions()}

    def answer(self, question: str, limit: int, cut_off: float) -> dict[str, Any]:
        """Return what `Answer.to_dict` does, and of each hit also its picture.

        That is its `picture_id`, which verbs take, its size, and the colours of its phrases; null
        where the results do not say.

        Raises:
            RefusedError: there is no folder.
            KosmoscopeError: it has no index, or a damaged one.
        """
        index = self._open()
        answer = index.search(question, limit=limit, cut_off=cut_off)
        found = answer.to_dict()
        try:
            groups = [self._shown(index, hits) for hits in (answer.hits, answer.nearest)]
        except InputError:
            groups = [[_shown(hit, None) for hit in hits] for hits in (answer.hits, answer.nearest)]
            found["notes"].append(CHANGED)
        for name, shown in zip(("hits", "nearest"), groups, strict=True):
            found[name] = [hit | more for hit, more in zip(found[name], shown, strict=True)]
        return found

    def file(self, picture_id: str) -> bytes | None:
        """Return a picture's file; None where no answer had it.

        Raises:
            RefusedError: it is gone, too large, or not what was described.
        """
        kept = self._kept(picture_id)
        if kept is None:
            return None
        file = kept[1]
        try:
            _, data = contents(file.image.path, NAME, self._limits)
        except ImageError as e:
            raise RefusedError(404, f"the picture cannot be read any more: {e.problem}") from e
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise RefusedError(404, "the picture changed since it was described")
        return data

    def said(self, picture_id: str) -> list[tuple[str, Description]]:
        """Return what was said of a picture: tasks, and what came of them.

        Raises:
            RefusedError: no answer had it.
            InputError: the results changed since.
        """
        kept = self._kept(picture_id)
        if kept is None:
            raise RefusedError(404, "no answer had a picture with this picture_id; search again")
        hit = kept[0]
        descriptions = self._open().descriptions(hit)
        tasks = [task for task, _ in hit.records]
        return [
            (task, replace(one, image=replace(one.image, path=Path(hit.source).name)))
            for task, one in zip(tasks, descriptions, strict=True)
        ]

    def _open(self) -> Index:
        if self._folder is None:
            raise RefusedError(404, "this server has no results to search; start it with --results")
        from kosmoscope.search import Index

        with self._lock:
            if self._index is None:
                self._index = Index.open(self._folder)
            return self._index

    def _shown(self, index: Index, hits: Sequence[Hit]) -> list[dict[str, Any]]:
        shown = []
        for hit, file in zip(hits, index.files(hits), strict=True):
            if file.sha256:
                with self._lock:
                    id = file.sha256[:_ID_LENGTH]
                    self._answered[id] = replace(hit, evidence=()), file
                    self._answered.move_to_end(id)
                    while len(self._answered) > REMEMBERED:
                        self._answered.popitem(last=False)
            shown.append(_shown(hit, file))
        return shown

    def _kept(self, picture_id: str) -> tuple[Hit, PictureFile] | None:
        with self._lock:
            return self._answered.get(picture_id)


def _shown(hit: Hit, file: PictureFile | None) -> dict[str, Any]:
    phrases = [p for sight in hit.evidence for p in (sight.phrase, sight.other_phrase) if p]
    return {
        "picture_id": file.sha256[:_ID_LENGTH] if file is not None and file.sha256 else None,
        "width": None if file is None else file.image.width,
        "height": None if file is None else file.image.height,
        "colours": colours(phrases),
    }
