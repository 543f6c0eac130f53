"""Search: questions in words, asked of a folder of results, and answered with evidence.

`update_index` makes the index of a folder, `Index.open(folder).search("two dogs")` asks it.
`language` reads questions, `evaluate` says how likely a picture satisfies one, `index` is the
database, `words` knows what nouns mean. docs/search.md has the grammar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kosmoscope.errors import IndexDamagedError
from kosmoscope.search.index import INDEX, is_there
from kosmoscope.search.language import Query, parse, wording
from kosmoscope.search.searching import CUT_OFF, LIMIT, Answer, Hit, Index, Sight

if TYPE_CHECKING:
    from kosmoscope.search.making import IndexSummary, update_index

__all__ = [
    "CUT_OFF",
    "INDEX",
    "LIMIT",
    "Answer",
    "Hit",
    "Index",
    "IndexDamagedError",
    "IndexSummary",
    "Query",
    "Sight",
    "is_there",
    "parse",
    "update_index",
    "wording",
]


def __getattr__(name: str) -> Any:
    # What makes an index needs the rooms of batches; who asks one shall not wait for them.
    if name in ("IndexSummary", "update_index"):
        from kosmoscope.search import making

        return getattr(making, name)
    raise AttributeError(f"module 'kosmoscope.search' has no attribute {name!r}")
