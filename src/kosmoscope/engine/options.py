"""How to generate."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, TypedDict

from kosmoscope.errors import OptionError

MAX_NEW_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """Options of one generation; greedy by default.

    Raises:
        OptionError: a value out of its range, or two that exclude each other.
    """

    max_new_tokens: int = 128
    """Stop after so many tokens, tags and location tokens included (finish reason "length")."""
    min_new_tokens: int = 0
    """Do not end the text before so many tokens."""
    num_beams: int = 1
    """Beams of a beam search; 1 is greedy (or sampling)."""
    length_penalty: float = 1.0
    """Beam search: a finished text's score is divided by its length to this power."""
    early_stopping: bool = False
    """Beam search: stop as soon as `num_beams` texts are finished."""
    temperature: float = 0.0
    """0 takes the likeliest token; above 0 draws from the distribution, flatter the higher."""
    top_p: float = 1.0
    """Sampling: draw from the smallest set of tokens whose probabilities add up to this."""
    seed: int = 0
    """Sampling: the same seed, request and model give the same tokens."""
    no_repeat_ngram_size: int | None = None
    """Forbid any run of so many tokens to occur twice, prompt included. None is what the model's
    own files say (kosmos-2: 3, as in Microsoft's published figures); 0 is off, which is what
    transformers 5 makes of the same files. Constrained, of words only: tags, boxes and a picture's
    slots are passed over, so that two phrases may have the same box. Unconstrained, of all tokens,
    as transformers' option of this name."""
    stop_sequences: tuple[tuple[int, ...], ...] = ()
    """End (finish reason "stop") when the generated tokens end with one of these."""
    stop_after_entities: int = 0
    """End (finish reason "complete") after so many closed ``</object>``; 0 is off."""
    another: float = 0.5
    """After a box, go on to another one of its phrase where the model gives that more than this
    probability; 0.5 is what it finds likelier, 1 never goes on, 0 almost always. Greedy and
    constrained only."""
    max_boxes: int = 0
    """No more boxes of one phrase than so many; 0 is off. Greedy and constrained only."""
    constrained: bool = True
    """Keep to well-formed grounded text. False gives the model's raw freedom, token for token
    what transformers generates."""

    def __post_init__(self) -> None:
        self._integer("max_new_tokens", 1, MAX_NEW_TOKENS)
        self._integer("min_new_tokens", 0, self.max_new_tokens)
        self._integer("num_beams", 1, 64)
        self._integer("seed", 0, 2**63 - 1)
        if self.no_repeat_ngram_size is not None:
            self._integer("no_repeat_ngram_size", 0, 1024)
        self._integer("stop_after_entities", 0, MAX_NEW_TOKENS)
        self._integer("max_boxes", 0, 1024)
        self._number("another", 0.0, 1.0)
        self._number("temperature", 0.0, 100.0)
        self._number("top_p", 1e-6, 1.0)
        self._number("length_penalty", -10.0, 10.0)
        if self.num_beams > 1 and self.temperature > 0:
            raise OptionError("num_beams and temperature exclude each other: beams are not drawn")
        if self.top_p < 1 and self.temperature == 0:
            raise OptionError("top_p needs a temperature above 0: without one nothing is drawn")
        listing = self.another != 0.5 or self.max_boxes
        if listing and (self.num_beams > 1 or self.temperature > 0 or not self.constrained):
            raise OptionError("another and max_boxes need greedy, constrained decoding")
        for name in ("early_stopping", "constrained"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name} is {getattr(self, name)!r}; expected True or False")
        object.__setattr__(self, "stop_sequences", self._sequences())

    @classmethod
    def of(cls, **values: Any) -> GenerationOptions:
        """Build from keywords. Raises `OptionError` for an unknown one, naming those known."""
        known = [f.name for f in fields(cls)]
        for name in values:
            if name not in known:
                raise OptionError(f"unknown option {name!r}; known are {', '.join(known)}")
        return cls(**values)

    def _sequences(self) -> tuple[tuple[int, ...], ...]:
        """Return the stop sequences as tuples, whatever sequences they came as."""
        given: Any = self.stop_sequences
        if isinstance(given, (list, tuple)) and all(
            isinstance(s, (list, tuple)) and s and all(type(i) is int for i in s) for s in given
        ):
            return tuple(tuple(s) for s in given)
        raise OptionError(f"stop_sequences is {given!r}; expected non-empty lists of token ids")

    def _integer(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise OptionError(f"{name} is {value!r}; expected a whole number, {low} to {high}")

    def _number(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        fine = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not fine or not math.isfinite(value) or not low <= value <= high:
            raise OptionError(f"{name} is {value!r}; expected a number, {low:g} to {high:g}")


class GenerationKeywords(TypedDict, total=False):
    """The fields of `GenerationOptions` as keywords, for type checkers: a class cannot be asked
    for them. A test keeps the two the same."""

    max_new_tokens: int
    min_new_tokens: int
    num_beams: int
    length_penalty: float
    early_stopping: bool
    temperature: float
    top_p: float
    seed: int
    no_repeat_ngram_size: int | None
    stop_sequences: tuple[tuple[int, ...], ...]
    stop_after_entities: int
    another: float
    max_boxes: int
    constrained: bool
