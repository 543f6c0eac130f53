"""Kinds of things by their name: export formats, segmenters, kinds of model.

Each kind is one record. Adding one is `REGISTRY.add(record)` where the record is made; the command
line, the facade and the help pages ask the registry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from kosmoscope.errors import OptionError


class Named(Protocol):
    """What can be registered."""

    @property
    def name(self) -> str:
        """What people type."""
        ...


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Records in the order in which they were added.

    Args:
        what: one record is called in messages: "format".
        records: the first ones.
    """

    def __init__(self, what: str, *records: T) -> None:
        self._what = what
        self._records: dict[str, T] = {}
        for record in records:
            self.add(record)

    def add(self, record: T) -> T:
        """Add a record and return it.

        Raises:
            OptionError: there is one of that name.
        """
        if record.name in self._records:
            raise OptionError(f"{self._what} {record.name!r} is there already")
        self._records[record.name] = record
        return record

    def remove(self, name: str) -> None:
        """Forget a record; one that is not there is no error."""
        self._records.pop(name, None)

    def get(self, name: str) -> T:
        """Return the record of a name.

        Raises:
            OptionError: there is none; the message lists those that are.
        """
        try:
            return self._records[name]
        except (KeyError, TypeError):
            names = ", ".join(self._records)
            raise OptionError(f"{self._what} {name!r}: expected one of {names}") from None

    def names(self) -> tuple[str, ...]:
        """Return all names."""
        return tuple(self._records)

    def __iter__(self) -> Iterator[T]:
        return iter(tuple(self._records.values()))

    def __contains__(self, name: object) -> bool:
        return name in self._records
