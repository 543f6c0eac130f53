"""Guesses at the next tokens, from the texts that the model wrote before.

A pass over a few rows costs hardly more than one over a single row: the weights are read once.
So tokens that are likely to come ride along, and the model checks them in the same pass: what it
would have said anyway is kept, the rest is dropped. The text is the same; only passes are saved.

The guesses come from runs of two and three tokens in the model's own earlier texts. Boxes are
passed over: a text goes on after one as it would without it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kosmoscope.errors import OutputError
from kosmoscope.files.writing import write_file
from kosmoscope.model.quantization import Precision
from kosmoscope.tokens import TokenSet

_KEPT_TOKENS = 50_000  # read in a tenth of a second
_BETWEEN = -1  # between two texts in the file, and before the first token of one
_BOX = -2  # a complete box, as what comes before a token
Context = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """When a guess is worth a row of the pass that would be made anyway."""

    rows: int
    """Most rows of a pass."""
    least: float
    """A guess that is less likely is not made."""


# At int8 a row comes out bitwise the same alone and in company, and a further row costs a tenth of
# a pass (docs/engine.md). At fp32 and int4 the kernels for one row and for several differ in the
# last bits, which could decide a near tie: nothing is guessed there.
BUDGETS: dict[Precision, Budget] = {"int8": Budget(5, 0.2)}


def kept_file(folder: Path) -> Path | None:
    """Return where a converted model's texts are kept, None where they should not be.

    KOSMOSCOPE_DRAFTS=0 in the environment says so: the file holds what was said of pictures.
    """
    return None if os.environ.get("KOSMOSCOPE_DRAFTS") == "0" else folder / "drafts.bin"


class Drafts:
    """What followed what in earlier texts. Safe to use from several threads.

    Args:
        tokens: ids with a meaning.
        file: where texts are kept from one process to the next; None keeps them in memory alone.
    """

    def __init__(self, tokens: TokenSet, file: Path | None = None) -> None:
        self._tokens = tokens
        self._file = file
        self._lock = threading.Lock()
        self._counts: dict[Context, dict[int, int]] = {}
        self._texts: list[tuple[int, ...]] = []
        self._size = 0
        self._new = 0
        self._read = file is None

    def learn(self, ids: Iterable[int]) -> None:
        """Take in a text that the model wrote, whole."""
        with self._lock:
            self._load()
            self._add(tuple(ids))
            self._new += 1

    def likely(self, ids: Sequence[int]) -> tuple[int, float] | None:
        """Return the likeliest next token and how often it followed, or None.

        Args:
            ids: the text so far, from its beginning.
        """
        with self._lock:
            self._load()
            *_, (contexts, _) = self._told(ids)
            for context in contexts:
                followed = self._counts.get(context)
                if followed:
                    token = max(followed, key=followed.__getitem__)
                    # One more than was counted: a single sight is no certainty.
                    return token, followed[token] / (sum(followed.values()) + 1)
        return None

    def save(self) -> None:
        """Keep the latest texts for the next process; a file that cannot be written is let be."""
        with self._lock:
            if self._file is None or not self._new:
                return
            flat = [i for text in self._texts for i in (_BETWEEN, *text)]
            self._new = 0
            try:
                write_file(self._file, np.array(flat, np.int32).tobytes())
            except (OSError, OutputError):
                self._file = None

    def _load(self) -> None:
        if self._read:
            return
        self._read = True
        assert self._file is not None
        try:
            with self._file.open("rb") as opened:
                data = opened.read(8 * _KEPT_TOKENS)  # ours is never longer
        except OSError:
            return
        # Whatever is in the file can only cost guesses: each is checked by the model.
        found = np.frombuffer(data[: len(data) // 4 * 4], np.int32)
        text: list[int] = []
        for i in (*found.tolist(), _BETWEEN):
            if i != _BETWEEN:
                text.append(i)
            elif text:
                self._add(tuple(text))
                text = []

    def _add(self, text: tuple[int, ...]) -> None:
        self._texts.append(text)
        self._size += len(text)
        self._count(text, 1)
        while self._size > _KEPT_TOKENS and len(self._texts) > 1:
            oldest = self._texts.pop(0)
            self._size -= len(oldest)
            self._count(oldest, -1)

    def _count(self, text: tuple[int, ...], by: int) -> None:
        for contexts, token in self._told(text):
            if token is None:
                continue
            for context in contexts:
                followed = self._counts.setdefault(context, {})
                count = followed.get(token, 0) + by
                if count > 0:
                    followed[token] = count
                else:
                    followed.pop(token, None)
                    if not followed:
                        del self._counts[context]

    def _told(self, ids: Sequence[int]) -> Iterator[tuple[tuple[Context, ...], int | None]]:
        """Yield each token with what it may be told from, the more telling first.

        Boxes are left out: they are the model's alone, and the form says where one begins. Comes
        last: what the token after the text may be told from, and None.
        """
        t = self._tokens
        first, stop = t.first_location, t.first_location + t.location_count
        earlier = last = _BETWEEN
        boxed = False
        for token in (*ids, None):
            if token is not None and (first <= token < stop or token == t.object_open):
                boxed = token != t.object_open
                continue
            if boxed:
                yield ((_BOX,),), token
            elif last == _BETWEEN:
                yield ((_BETWEEN, _BETWEEN),), token
            else:
                yield ((earlier, last), (last,)), token
            boxed = False
            if token is not None and token not in (t.object_close, t.delimiter):
                earlier, last = last, token
