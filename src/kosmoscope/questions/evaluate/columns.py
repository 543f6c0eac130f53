"""Many pictures in columns: their things, what those are called, where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kosmoscope.questions.evaluate.record import SCALE
from kosmoscope.questions.language.lexicon import COLOURS

COLOUR_NAMES = tuple(dict.fromkeys(COLOURS.values()))
"""Bit i of a thing's colours is the i-th of these."""
COLOUR_BITS = (1 << len(COLOUR_NAMES)) - 1
BY_BITS = {"": 0, "box": 1 << 14, "mask": 1 << 15}
"""Above the colours: whose pixels they are of (`Seen.coloured_by`)."""


class Phrases:
    """The texts that things are called by, each once, looked up by noun and by word.

    Args:
        nouns: of each phrase.
        words: of each phrase, all of them.
    """

    def __init__(self, nouns: Iterable[str], words: Iterable[Sequence[str]]) -> None:
        self._nouns: dict[str, int] = {}
        self._noun: list[int] = []
        self._having: dict[str, list[int]] = {}
        self.add(nouns, words)

    def __len__(self) -> int:
        return len(self._noun)

    def add(self, nouns: Iterable[str], words: Iterable[Sequence[str]]) -> None:
        """Append phrases."""
        for noun, some in zip(nouns, words, strict=True):
            for word in some:
                self._having.setdefault(word, []).append(len(self._noun))
            self._noun.append(self._nouns.setdefault(noun, len(self._nouns)))

    def __contains__(self, word: str) -> bool:
        """Say whether a word is one of their nouns, or stands in any of them."""
        return word in self._nouns or word in self._having

    @property
    def noun(self) -> NDArray[np.int32]:
        """Of each phrase, the number of its noun."""
        return np.array(self._noun, np.int32)

    def numbers(self, nouns: Iterable[str]) -> list[int]:
        """Return the numbers of nouns, as far as phrases have them."""
        return [self._nouns[noun] for noun in nouns if noun in self._nouns]

    def having(self, words: Iterable[str]) -> NDArray[np.bool_]:
        """Say which phrases have one of these words."""
        found = np.zeros(len(self), np.bool_)
        for word in words:
            found[self._having.get(word, [])] = True
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """How each of B things stands to any other of its picture that has a box."""

    chance: NDArray[np.float64]
    """(B,): that there is one to which it does."""
    starts: NDArray[np.intp]
    """(B + 1,): where in `other` those to which it stands begin."""
    other: NDArray[np.int32]
    """Rows of the columns."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Many pictures' things. B things, N pictures."""

    pictures: int
    """N."""
    picture: NDArray[np.int32]
    """(B,): whose it is, 0..N-1, ascending."""
    phrase: NDArray[np.int32]
    """(B,): index into `phrases`."""
    box: NDArray[np.uint16]
    """(B, 4): corners in 1/10,000 of the picture's sides; all 0 for none."""
    probability: NDArray[np.uint16]
    """(B,): in 1/10,000."""
    colours: NDArray[np.uint16]
    """(B,): a bit for each of `COLOUR_NAMES`, none where nobody knows; and one of `BY_BITS`."""
    number: NDArray[np.uint8]
    """(B,): how many things are in the box, at least 1."""
    phrases: Phrases
    folder: NDArray[np.int32]
    """(N,): index into `folders`."""
    folders: Sequence[str]
    taken: NDArray[np.uint32]
    """(N,): year * 10,000 + month * 100 + day; 0 where nobody knows."""
    texts: Callable[[str], NDArray[np.intp]]
    """Word -> the pictures whose texts have it."""

    @cached_property
    def corners(self) -> tuple[NDArray[np.int32], ...]:
        """The four columns of `box`, each by itself."""
        return tuple(np.ascontiguousarray(self.box[:, i], np.int32) for i in range(4))

    @cached_property
    def chance(self) -> NDArray[np.float64]:
        """(B,): `probability` as 0..1."""
        return self.probability / SCALE

    @cached_property
    def noun(self) -> NDArray[np.int32]:
        """(B,): the number of each thing's noun."""
        nouns = self.phrases.noun
        return nouns[self.phrase] if len(nouns) else np.zeros(0, np.int32)

    @cached_property
    def by_noun(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The things by their nouns' numbers, ascending for each, and where each noun begins."""
        order = np.argsort(self.noun, kind="stable")
        most = int(self.noun.max(initial=-1)) + 1
        return order, np.searchsorted(self.noun[order], np.arange(most + 1))

    @cached_property
    def to_anything(self) -> dict[str, Standing]:
        """By relation; `standing.to_anything` adds one when a question first asks for it."""
        return {}

    def called(self, nouns: Iterable[str]) -> NDArray[np.intp]:
        """Return the things whose noun is one of these, ascending."""
        order, starts = self.by_noun
        numbers = [n for n in self.phrases.numbers(nouns) if n + 1 < len(starts)]
        if len(numbers) == 1:
            return order[starts[numbers[0]] : starts[numbers[0] + 1]]
        meant = np.zeros(len(starts), np.bool_)
        meant[numbers] = True
        return np.flatnonzero(meant[self.noun])
