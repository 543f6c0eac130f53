"""Search: questions in words, asked of a folder of results, and answered with evidence.

`update_index` makes the index of a folder, `Index.open(folder).search("two dogs")` asks it.
`index` is the database; what questions mean is `kosmoscope.questions`, whose `parse`, `Query`,
`wording` and `CUT_OFF` are here too, as they go with an `Index`. docs/search.md has the grammar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kosmoscope.errors import IndexDamagedError
from kosmoscope.questions import CUT_OFF, Query, parse, wording
from kosmoscope.search.answers import Alike, Answer, Hit, PictureFile, Sight
from kosmoscope.search.embedding import Embedder, dual_embedder, load_embedder, scope_embedder
from kosmoscope.search.index import INDEX, is_there
from kosmoscope.search.searching import LIMIT, Index

if TYPE_CHECKING:
    from kosmoscope.search.making import IndexSummary, update_index
    from kosmoscope.search.vectors import VectorSummary, update_vectors

__all__ = [
    "CUT_OFF",
    "INDEX",
    "LIMIT",
    "Alike",
    "Answer",
    "Embedder",
    "Hit",
    "Index",
    "IndexDamagedError",
    "IndexSummary",
    "PictureFile",
    "Query",
    "Sight",
    "VectorSummary",
    "dual_embedder",
    "is_there",
    "load_embedder",
    "parse",
    "scope_embedder",
    "update_index",
    "update_vectors",
    "wording",
]


def __getattr__(name: str) -> Any:
    # What makes an index needs the rooms of batches; who asks one shall not wait for them.
    if name in ("IndexSummary", "update_index"):
        from kosmoscope.search import making

        return getattr(making, name)
    if name in ("VectorSummary", "update_vectors"):
        from kosmoscope.search import vectors

        return getattr(vectors, name)
    raise AttributeError(f"module 'kosmoscope.search' has no attribute {name!r}")
