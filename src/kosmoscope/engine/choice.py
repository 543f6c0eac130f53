"""From hidden states to the next token: which rows of the head, which tokens, which one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.engine.arena import Float
from kosmoscope.engine.boxes import Corner, read_corner
from kosmoscope.engine.core import Engine
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.grammar import Grammar, Place, State
from kosmoscope.tokens import TokenSet

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scores:
    """The next token's distribution over a part of the vocabulary."""

    first: int
    """The token id of index 0."""
    logits: Float
    """(n,); not yet masked."""
    allowed: Mask | None
    """(n,), or None where everything is."""
    ids: NDArray[np.int64] | None = None
    """The token ids, where they are not consecutive from `first`."""

    def token(self, index: int) -> int:
        """Return the token id at an index."""
        return int(self.ids[index]) if self.ids is not None else self.first + index

    def masked(self) -> Float:
        """Return the logits with what is not allowed at -inf."""
        if self.allowed is None:
            return self.logits
        return np.where(self.allowed, self.logits, -np.inf).astype(np.float32)


def log_softmax(logits: Float) -> Float:
    """Return log probabilities over the last axis, float32."""
    shifted = logits - logits.max(-1, keepdims=True)
    result: Float = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def score_rows(
    engine: Engine, hidden: Float, grammars: Sequence[tuple[Grammar, State] | None]
) -> list[Scores]:
    """Score each row's next token, with as few of the head's rows as its state allows.

    Args:
        hidden: float32 (R, D).
        grammars: for each row its automaton and state; None where anything may come.
    """
    inside = [g is not None and g[1].place in _INSIDE_OBJECT for g in grammars]
    results: list[Scores | None] = [None] * len(grammars)
    tokens = engine.tokens
    if any(inside):
        rows = [i for i, small in enumerate(inside) if small]
        structure = engine.structure_logits(hidden[rows])
        for i, logits in zip(rows, structure, strict=True):
            at = grammars[i]
            assert at is not None
            grammar, state = at
            if state.place == Place.AFTER_BOX:
                ids = np.array([tokens.object_close, tokens.delimiter])
                results[i] = Scores(0, logits[tokens.location_count :], None, ids)
            else:
                cells = grammar.allowed_cells(state)
                found = logits[: tokens.location_count]
                results[i] = Scores(tokens.first_location, found, cells)
    if not all(inside):
        rows = [i for i, small in enumerate(inside) if not small]
        for i, logits in zip(rows, engine.logits(hidden[rows]), strict=True):
            at = grammars[i]
            results[i] = Scores(0, logits, None if at is None else at[0].allowed_mask(at[1]))
    return [r for r in results if r is not None]


_INSIDE_OBJECT = (Place.UPPER_LEFT, Place.LOWER_RIGHT, Place.AFTER_BOX)


def forbid(scores: Scores, banned: Sequence[int]) -> Scores:
    """Take tokens out; where nothing would be left, the text's form goes before the ban."""
    if not banned:
        return scores
    allowed = np.ones(len(scores.logits), bool) if scores.allowed is None else scores.allowed.copy()
    if scores.ids is not None:
        allowed &= ~np.isin(scores.ids, banned)
    else:
        places = np.asarray(banned) - scores.first
        allowed[places[(places >= 0) & (places < len(allowed))]] = False
    if not allowed.any():
        return scores
    return Scores(scores.first, scores.logits, allowed, scores.ids)


def forbidden_repeats(
    engine: Engine, options: GenerationOptions, history: Sequence[int], *, words_only: bool
) -> list[int]:
    """Return the tokens that `no_repeat_ngram_size` forbids after a history, prompt included.

    Args:
        engine: whose own value holds where the options have none.
        options: of the text.
        history: all ids so far; a picture's slots hold placeholder words.
        words_only: the text is constrained: a run is one of ordinary pieces as the caption has
            them, and only those are ever forbidden. Tags and boxes between two words do not part
            a run, or a list in which the same phrase comes again and again would have none; nor
            are they in it, or a second phrase with the box of the first could not be written (or
            not be gone on from). False: any tokens, as transformers' NoRepeatNGramLogitsProcessor.
    """
    size = options.no_repeat_ngram_size
    size = engine.no_repeat_ngram_size if size is None else size
    if size == 0:
        return []
    return repeated(_words(engine.tokens, history) if words_only else history, size)


def _words(tokens: TokenSet, history: Sequence[int]) -> list[int]:
    found = []
    in_picture = False
    for i in history:
        if i in (tokens.image_open, tokens.image_close):
            in_picture = i == tokens.image_open
        elif not in_picture and tokens.is_text(i):
            found.append(i)
    return found


def repeated(history: Sequence[int], size: int) -> list[int]:
    """Return the tokens that would complete an n-gram which the history already holds."""
    if size == 0 or len(history) + 1 < size:
        return []
    if size == 1:
        return sorted(set(history))
    tail = tuple(history[len(history) - size + 1 :])
    return [
        history[i + size - 1]
        for i in range(len(history) - size + 1)
        if tuple(history[i : i + size - 1]) == tail
    ]


def pick(scores: Scores, options: GenerationOptions, rng: np.random.Generator) -> int:
    """Return the index of the chosen token."""
    logits = scores.masked()
    if options.temperature == 0:
        return int(logits.argmax())
    # In float64 and from the maximum down: a temperature may be as small as numbers get.
    with np.errstate(over="ignore"):
        scaled = (logits.astype(np.float64) - logits.max()) / options.temperature
    probabilities = np.exp(scaled)
    probabilities /= probabilities.sum()
    if options.top_p < 1:
        order = np.argsort(-probabilities, kind="stable")
        cumulative = np.cumsum(probabilities[order])
        cut = int(np.searchsorted(cumulative, options.top_p)) + 1
        kept = np.zeros_like(probabilities)
        kept[order[:cut]] = probabilities[order[:cut]]
        probabilities = kept
    return int(rng.choice(len(probabilities), p=probabilities / probabilities.sum()))


def corner(engine: Engine, scores: Scores, token: int) -> Corner | None:
    """Read the corner that a location token stands for, None for any other token."""
    tokens = engine.tokens
    if not tokens.is_location(token):
        return None
    logits = scores.masked()
    if len(logits) > tokens.location_count:
        stop = tokens.first_location + tokens.location_count
        logits = logits[tokens.first_location : stop]
    return read_corner(np.exp(log_softmax(logits)), tokens.cell(token), tokens.side)
