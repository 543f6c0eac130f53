"""From phrases to class names: as they are, by their head noun, or by a map that you wrote."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from kosmoscope.errors import InputError, OptionError
from kosmoscope.export.nouns import head_noun
from kosmoscope.files.text import markup, one_space, shown_name

NO_PHRASE = "object"
"""The class of a box that came without a phrase."""

Kind = Literal["phrases", "heads", "map"]
Unmapped = Literal["keep", "drop"]
_HEADERS = {("phrase", "class"), ("phrase", "label"), ("name", "class"), ("head", "class")}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """How a phrase becomes a class name. Make one with `phrases`, `heads`, `mapped` or
    `from_file`."""

    kind: Kind = "phrases"
    mapping: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Normalised phrase or head noun -> class; '' leaves the box out. For `map` only."""
    unmapped: Unmapped = "keep"
    """What happens to a phrase that the map does not have: it is its own class, or left out."""

    def __post_init__(self) -> None:
        if self.kind not in ("phrases", "heads", "map"):
            raise OptionError(f"vocabulary {self.kind!r}; expected phrases, heads or map")
        if self.unmapped not in ("keep", "drop"):
            raise OptionError(f"unmapped {self.unmapped!r}; expected keep or drop")

    @classmethod
    def phrases(cls) -> Vocabulary:
        """Return the vocabulary of the phrases themselves, lower case, whitespace normalised."""
        return cls("phrases")

    @classmethod
    def heads(cls) -> Vocabulary:
        """Return the vocabulary of head nouns (see `kosmoscope.export.nouns`)."""
        return cls("heads")

    @classmethod
    def mapped(
        cls, mapping: Mapping[str, str | None], *, unmapped: Unmapped = "keep"
    ) -> Vocabulary:
        """Return a vocabulary of your own classes.

        Args:
            mapping: phrase or head noun -> class. A phrase is looked up first, then its head noun.
                None or '' leaves the boxes out.
            unmapped: what happens to phrases that are not in it.

        Raises:
            InputError: one phrase (lower case, whitespace normalised) has two classes.
        """
        return cls("map", _normalised(mapping.items(), "the map"), unmapped)

    @classmethod
    def from_file(cls, path: str | Path, *, unmapped: Unmapped = "keep") -> Vocabulary:
        """Read a map file: a JSON object, or CSV with two columns (a heading is optional).

        Raises:
            InputError: it cannot be read, or is of another shape. The message names the file.
        """
        path = Path(path)
        shown = shown_name(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as e:
            raise InputError(f"{shown}: cannot be read: {e.strerror or e}") from e
        except ValueError as e:
            raise InputError(f"{shown}: not UTF-8 text; expected JSON or CSV") from e
        is_json = path.suffix.lower() == ".json" or text.lstrip().startswith("{")
        pairs = _json_pairs(text, shown) if is_json else _csv_pairs(text, shown)
        return cls("map", _normalised(pairs, shown), unmapped)

    @property
    def classes(self) -> tuple[str, ...]:
        """The map's classes in the order of its lines; empty for the other vocabularies.

        Formats that number classes number these first, also those without a box, so that numbers
        stay the same from export to export.
        """
        return tuple(dict.fromkeys(name for name in self.mapping.values() if name))

    def label(self, phrase: str) -> str | None:
        """Return a phrase's class; None: leave its boxes out."""
        return self.look_up(phrase)[0]

    def look_up(self, phrase: str) -> tuple[str | None, bool]:
        """Return a phrase's class, and whether the vocabulary knows the phrase."""
        normal = class_name(phrase).lower()
        if self.kind == "heads":
            return head_noun(normal) or NO_PHRASE, True
        if self.kind == "map":
            for key in (normal or NO_PHRASE, head_noun(normal)):
                if key in self.mapping:
                    return self.mapping[key] or None, True
            if self.unmapped == "drop":
                return None, False
            return normal or NO_PHRASE, False
        return normal or NO_PHRASE, True

    def numbered(self, labels: Iterable[str]) -> dict[str, int]:
        """Return a number from 0 for each class: the map's in their order, the rest sorted."""
        known = self.classes
        names = [*known, *sorted(set(labels) - set(known))]
        return {name: i for i, name in enumerate(names)}


def class_name(text: str) -> str:
    """Return a text as every format can hold it, so that a class is called alike everywhere."""
    return markup(one_space(text))


def _normalised(pairs: Iterable[tuple[Any, Any]], source: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for phrase, name in pairs:
        if not isinstance(phrase, str) or not (name is None or isinstance(name, str)):
            raise InputError(
                f"{source}: {phrase!r}: {name!r}; expected two texts, phrase and class"
            )
        key = class_name(phrase).lower()
        value = class_name(name or "")
        if not key:
            raise InputError(f"{source}: a class ({value!r}) without a phrase")
        if found.setdefault(key, value) != value:
            raise InputError(f"{source}: {key!r} has two classes, {found[key]!r} and {value!r}")
    return MappingProxyType(found)


def _json_pairs(text: str, source: str) -> list[tuple[Any, Any]]:
    try:
        # As pairs: of two equal keys a dict would keep the last in silence.
        data = json.loads(text, object_pairs_hook=lambda pairs: pairs)
    except (ValueError, RecursionError) as e:
        raise InputError(f"{source}: not JSON: {e}") from e
    if not text.lstrip().startswith("{"):
        raise InputError(f"{source}: expected a JSON object, phrase to class")
    return list(data)


def _csv_pairs(text: str, source: str) -> list[tuple[Any, Any]]:
    pairs: list[tuple[Any, Any]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != 2:
                raise InputError(
                    f"{source}: line {reader.line_num} has {len(row)} columns; expected 2, "
                    "phrase and class"
                )
            if not pairs and tuple(c.strip().lower() for c in row) in _HEADERS:
                continue
            pairs.append((row[0], row[1]))
    except csv.Error as e:
        raise InputError(f"{source}: line {reader.line_num}: not CSV: {e}") from e
    return pairs
