"""Beam search over one arena: a beam is a list of slots, so that forking copies no tensor.

The rules (2 candidates a beam and stop token, length penalty at the end, the early-stopping
heuristic) are those of transformers 5.23, `GenerationMixin._beam_search`, so that an
unconstrained search gives the same tokens.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.engine.arena import Float, Slots
from kosmoscope.engine.boxes import Corner
from kosmoscope.engine.choice import Scores, corner, forbid, forbidden_repeats, log_softmax
from kosmoscope.engine.core import Engine, PromptIds
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.engine.pack import Feed, Pack
from kosmoscope.grammar import Grammar, State
from kosmoscope.types import FinishReason

_DEAD = np.float32(-np.inf)
Chosen = tuple[int, float, Corner | None]


@dataclass(frozen=True, slots=True)
class Found:
    """The best text."""

    tokens: tuple[Chosen, ...]
    """Token id, its log probability, and the corner where it is a location token."""
    finish: FinishReason


@dataclass(frozen=True, slots=True)
class _Beam:
    tokens: tuple[Chosen, ...]
    slots: Slots
    state: State | None
    score: np.float32
    finish: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    parent: int
    token: int
    score: np.float32
    finish: FinishReason | None


def search_steps(
    engine: Engine, prompt: PromptIds, options: GenerationOptions, grammar: Grammar | None
) -> Generator[None, None, Found]:
    """Return a search `options.num_beams` wide from a prompt, pass by pass; it returns the text.

    Raises:
        PromptError: at once; the prompt is too long or its picture was encoded by another model.
    """
    return _Search(engine, prompt, options, grammar if options.constrained else None).steps()


class _Search:
    def __init__(
        self,
        engine: Engine,
        prompt: PromptIds,
        options: GenerationOptions,
        grammar: Grammar | None,
    ) -> None:
        self.engine, self.prompt, self.options, self.grammar = engine, prompt, options, grammar
        self.width = options.num_beams
        room = engine.config.text.max_positions - len(prompt.ids)
        self.limit = min(options.max_new_tokens, room)
        self.prefix, self.rows = engine.prompt_rows(prompt)

    def steps(self) -> Generator[None, None, Found]:
        engine, width = self.engine, self.width
        prefix, rows = self.prefix, self.rows
        pack = engine.pack(len(self.prompt.ids) + width * min(self.limit, 64))
        slots = pack.arena.place(prefix.keys, prefix.values) if prefix else np.arange(0)
        state = self.grammar.state_after(self.prompt.ids) if self.grammar else None
        beams = [_Beam((), slots, state, np.float32(0))]
        feeds = [Feed(slots, rows)]
        done: list[tuple[np.float32, _Beam | None]] = [(_DEAD, None)] * width
        improvable = True
        length = 0
        while True:
            hidden, seen = pack.forward(feeds)
            scored = [
                self.score(b, row) for b, row in zip(beams, engine.logits(hidden), strict=True)
            ]
            candidates = self.candidates(beams, scored, length + 1)
            grown = [self.grow(beams[c.parent], scored[c.parent], seen[c.parent], c)
                     for c in candidates]  # fmt: skip
            done = self.finished(done, grown, length + 1, improvable)
            length += 1
            going = [_DEAD if c.finish else c.score for c in candidates]
            order = sorted(range(len(going)), key=lambda i: -going[i])[:width]
            beams = [grown[i] for i in order]
            improvable = improvable and self.can_improve(going[order[0]], done, length)
            full = all(b is not None for _, b in done)
            if not improvable or (full and self.options.early_stopping):
                break
            if all(c.finish for c in candidates):
                break
            beams = [b for b in beams if b.finish is None]
            self.tidy(pack, beams)
            start = len(self.prompt.ids) + length - 1
            feeds = [Feed(b.slots, engine.embed((b.tokens[-1][0],), start)) for b in beams]
            yield
        best = done[0][1]
        assert best is not None, "a search ends with a finished text"
        return Found(best.tokens, best.finish or "length")

    def score(self, beam: _Beam, logits: Float) -> Scores:
        """Return log probabilities over the whole vocabulary, what may not come at -inf."""
        options = self.options
        history = [*self.prompt.ids, *(t[0] for t in beam.tokens)]
        words = self.grammar is not None
        banned = forbidden_repeats(self.engine, options, history, words_only=words)
        if len(beam.tokens) < options.min_new_tokens:
            banned = [*banned, *self.engine.stops]
        allowed: NDArray[np.bool_] | None = None
        if self.grammar is not None and beam.state is not None:
            allowed = self.grammar.allowed_mask(beam.state)
            # Over what may come: a token that the form forces costs its beam nothing.
            logits = Scores(0, logits, allowed).masked()
        return forbid(Scores(0, log_softmax(logits), allowed), banned)

    def candidates(self, beams: list[_Beam], scored: list[Scores], length: int) -> list[_Candidate]:
        """Return the best continuations of all beams, best first."""
        total = np.stack([s.masked() + b.score for b, s in zip(beams, scored, strict=True)])
        count = min(max(2, 1 + len(self.engine.stops)) * self.width, int(np.isfinite(total).sum()))
        flat = total.ravel()
        top = np.argpartition(-flat, count - 1)[:count]
        top = top[np.lexsort((top, -flat[top]))]
        found = []
        for place in top:
            parent, token = divmod(int(place), total.shape[1])
            finish = self.finish(beams[parent], token, length)
            found.append(_Candidate(parent, token, np.float32(flat[place]), finish))
        return found

    def finish(self, beam: _Beam, token: int, length: int) -> FinishReason | None:
        options = self.options
        if token in self.engine.stops:
            return "stop"
        ids = (*(t[0] for t in beam.tokens), token)
        if any(ids[-len(s) :] == s for s in options.stop_sequences):
            return "stop"
        closed = ids.count(self.engine.tokens.object_close)
        if options.stop_after_entities and closed >= options.stop_after_entities:
            return "complete"
        return "length" if length >= self.limit else None

    def grow(self, beam: _Beam, scores: Scores, slots: Slots, chosen: _Candidate) -> _Beam:
        logprob = float(scores.logits[chosen.token])
        place = corner(self.engine, scores, chosen.token)
        state = beam.state
        if self.grammar is not None and state is not None:
            state = self.grammar.advance(state, chosen.token)
        tokens = (*beam.tokens, (chosen.token, logprob, place))
        return _Beam(tokens, slots, state, chosen.score, chosen.finish)

    def finished(
        self,
        done: list[tuple[np.float32, _Beam | None]],
        grown: list[_Beam],
        length: int,
        improvable: bool,
    ) -> list[tuple[np.float32, _Beam | None]]:
        """Merge newly finished texts into the best `width` ones.

        Only the best `width` candidates may finish; the rest are there to go on with.
        """
        full = all(b is not None for _, b in done)
        penalty = np.float32(length**self.options.length_penalty)
        new: list[tuple[np.float32, _Beam | None]] = []
        if improvable and not (full and self.options.early_stopping):
            new = [(np.float32(b.score / penalty), b) for b in grown[: self.width] if b.finish]
        merged = sorted([*done, *new], key=lambda pair: -pair[0])
        return merged[: self.width]

    def can_improve(
        self, running: np.float32, done: list[tuple[np.float32, _Beam | None]], length: int
    ) -> bool:
        """Tell whether the best open beam, at its present length, beats the worst finished text."""
        best = running / np.float32(length**self.options.length_penalty)
        worst = min(score for score, _ in done)
        return any(best > (worst if b is not None else _DEAD) for _, b in done)

    def tidy(self, pack: Pack, beams: list[_Beam]) -> None:
        """Drop the slots of beams that died, once they are most of the arena."""
        arena = pack.arena
        live = np.zeros(arena.used, bool)
        for beam in beams:
            live[beam.slots] = True
        if arena.used < 256 or 2 * int(live.sum()) > arena.used:
            return
        renumbered = arena.keep(live)
        beams[:] = [_Beam(b.tokens, renumbered[b.slots], b.state, b.score, b.finish) for b in beams]
