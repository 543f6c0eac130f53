"""What was published of a checkpoint: ids, scores, captions and boxes, as plain facts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from kosmoscope.errors import InputError
from kosmoscope.files.checked import checked, json_object, read_object
from kosmoscope.files.text import shown_name
from kosmoscope.geometry import XYXY

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Tokenized:
    """A text, and its ids from ``<s>`` to ``</s>``."""

    text: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GoldenEntity:
    """A phrase and its boxes."""

    phrase: str
    span: tuple[int, int]
    """``caption[start:end] == phrase``, in code points."""
    boxes: tuple[XYXY, ...]
    """Normalised."""


@dataclass(frozen=True, slots=True)
class GoldenScores:
    """Some of the scores (logits, fp32) from which a token was chosen."""

    token: int
    """Index into the generated ids."""
    first_id: int
    """The id of the first value; the others follow."""
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GoldenText:
    """What the model says to a prompt about the picture: greedy, unconstrained."""

    prompt: str
    """As for transformers, with tags."""
    prompt_ids: tuple[int, ...]
    """Of the prompt after the picture."""
    ids: tuple[int, ...]
    """Generated, with the ``</s>`` at the end."""
    caption: str
    """Clean text, the prompt included."""
    entities: tuple[GoldenEntity, ...]
    logits: tuple[GoldenScores, ...]


@dataclass(frozen=True, slots=True)
class Goldens:
    """The fields of the file."""

    format: int
    source: str
    """Who published this, where, and of which checkpoint."""
    picture: str
    """A file beside the checkpoint."""
    max_new_tokens: int
    no_repeat_ngram_size: int
    """As it was generated; over all tokens."""
    prefix_ids: tuple[int, ...]
    """Of every prompt up to the picture's end."""
    tokenized: tuple[Tokenized, ...]
    texts: tuple[GoldenText, ...]

    @classmethod
    def published(cls) -> Goldens:
        """Return those of microsoft/kosmos-2-patch14-224, from transformers' integration tests."""
        file = resources.files("kosmoscope") / "verification" / "kosmos-2.json"
        return checked(json_object(file.read_text(encoding="utf-8")), cls)

    @classmethod
    def from_file(cls, path: Path) -> Goldens:
        """Read a file of the form of `kosmos-2.json`.

        Raises:
            InputError: it cannot be read or is not of that form; the message names the file.
        """
        data = read_object(path)
        try:
            goldens = checked(data, cls)
            goldens.check()
        except InputError as e:
            raise InputError(f"{shown_name(path)}: no published results: {e}") from e
        return goldens

    def check(self) -> None:
        """Raise `InputError` for what cannot be compared."""
        if self.format != FORMAT:
            raise InputError(f"format {self.format}; this version reads {FORMAT}")
        if not re.fullmatch(r"\w[\w.-]*", self.picture):
            raise InputError(f"picture is {self.picture!r}; expected the plain name of a file")
        if not self.texts:
            raise InputError("texts is empty; expected at least one")
        for text in self.texts:
            if not 0 < len(text.ids) <= self.max_new_tokens:
                most = self.max_new_tokens
                raise InputError(f"{text.prompt!r} has {len(text.ids)} ids; expected 1 to {most}")
            for scores in text.logits:
                if not 0 <= scores.token < len(text.ids):
                    raise InputError(f"{text.prompt!r}: logits of token {scores.token}: no such")

    def largest_id(self) -> int:
        """Return the largest token id that occurs, and the smallest if that is below 0."""
        ids = [i for text in self.texts for i in (*text.prompt_ids, *text.ids)]
        ids += [s.first_id + n for t in self.texts for s in t.logits for n in range(len(s.values))]
        return min(ids) if min(ids) < 0 else max(ids)
