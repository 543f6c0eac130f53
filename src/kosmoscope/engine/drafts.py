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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kosmoscope.errors import OutputError
from kosmoscope.files.writing import write_file
from kosmoscope.model.quantization import Precision
from kosmoscope.tokens import TokenSet

_KEPT_TOKENS = 100_000
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
            for context in self._contexts(ids):
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
            data = self._file.read_bytes()
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
        for n, token in enumerate(text):
            if self._tokens.is_location(token) or token == self._tokens.object_open:
                continue  # boxes are the model's alone, the form itself says where one begins
            for context in self._contexts(text[:n]):
                followed = self._counts.setdefault(context, {})
                count = followed.get(token, 0) + by
                if count > 0:
                    followed[token] = count
                else:
                    followed.pop(token, None)
                    if not followed:
                        del self._counts[context]

    def _contexts(self, ids: Sequence[int]) -> tuple[Context, ...]:
        """Return what the next token may be told from, the more telling first."""
        tokens = self._tokens
        if ids and tokens.is_location(ids[-1]):
            return ((_BOX,),)
        before: list[int] = []
        for i in reversed(ids):
            if i not in (tokens.object_open, tokens.object_close, tokens.delimiter) and not (
                tokens.is_location(i)
            ):
                before.append(i)
                if len(before) == 2:
                    return (before[1], before[0]), (before[0],)
        before += [_BETWEEN] * (2 - len(before))
        return ((before[1], before[0]),)
