"""Questions in words: `parse` reads a text as a `Query`, `wording` says a query in words again."""

from kosmoscope.search.language.parser import parse
from kosmoscope.search.language.tree import (
    SOME,
    All,
    Any_,
    Count,
    Folder,
    Node,
    Not,
    Query,
    Related,
    Taken,
    Thing,
    Words,
    node_dict,
)
from kosmoscope.search.language.wording import node_wording, wording

__all__ = [
    "SOME",
    "All",
    "Any_",
    "Count",
    "Folder",
    "Node",
    "Not",
    "Query",
    "Related",
    "Taken",
    "Thing",
    "Words",
    "node_dict",
    "node_wording",
    "parse",
    "wording",
]
