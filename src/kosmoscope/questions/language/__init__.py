"""Questions in words: `parse` reads a text as a `Query`, `wording` says a query in words again."""

from kosmoscope.questions.language.parser import parse
from kosmoscope.questions.language.tree import (
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
from kosmoscope.questions.language.wording import node_wording, wording

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
