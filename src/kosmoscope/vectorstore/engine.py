"""The engines that there are: programs of others that keep vectors, a record each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kosmoscope.registry import Registry
from kosmoscope.vectorstore.protocol import VectorStore


@dataclass(frozen=True, slots=True)
class EngineKind:
    """What an index and the command line have to know of an engine.

    Light on purpose: the engine's library is imported where it is called.
    """

    name: str
    """What people type."""
    summary: str
    """A clause for the help."""
    open: Callable[[str, str, int], VectorStore]
    """Called with a place (a folder, or an address that the engine knows), the name of a
    collection in it, made with the first vectors, and how many numbers a vector has.
    Raises `KosmoscopeError` where the engine's library is not installed: it says what to do."""
    drop: Callable[[str, str], None]
    """Called with a place and the name of a collection, to forget it; it may be gone already."""


def _open_lance(place: str, collection: str, width: int) -> VectorStore:
    from kosmoscope.vectorstore.lance import LanceVectors

    return LanceVectors(place, collection, width)


def _drop_lance(place: str, collection: str) -> None:
    from kosmoscope.vectorstore.lance import drop

    drop(place, collection)


ENGINES: Registry[EngineKind] = Registry(
    "engine",
    EngineKind(
        "lancedb",
        "approximate from 100,000 vectors on, in little memory",
        _open_lance,
        _drop_lance,
    ),
)
