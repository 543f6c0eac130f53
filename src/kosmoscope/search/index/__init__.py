"""The index of a folder of results: a database that is made of results.jsonl alone."""

from kosmoscope.search.index.schema import INDEX, is_there

__all__ = ["INDEX", "is_there"]
