"""Vectors by number, and the nearest of them: one protocol, whoever keeps them.

`VectorStore` is what a place of vectors can do, `ENGINES` are the programs of others that keep
them. What the numbers stand for is not known here.
"""

from kosmoscope.vectorstore.engine import ENGINES, EngineKind
from kosmoscope.vectorstore.protocol import Found, Half, Numbers, VectorStore, Within

__all__ = ["ENGINES", "EngineKind", "Found", "Half", "Numbers", "VectorStore", "Within"]
