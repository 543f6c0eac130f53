"""The one generator at the core: prompts in, tokens out as they come.

All requests advance together, one pass of the decoder at a time (see `kosmoscope.engine.arena`).
A token that the grammar forces is not asked for: it rides along in the next pass.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from kosmoscope.engine import beam
from kosmoscope.engine.arena import Float, Slots
from kosmoscope.engine.boxes import Corner
from kosmoscope.engine.choice import (
    corner,
    forbid,
    forbidden_repeats,
    log_softmax,
    pick,
    score_rows,
)
from kosmoscope.engine.core import Engine, PictureState, PromptIds
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.engine.pack import Feed, Pack
from kosmoscope.grammar import Grammar, State
from kosmoscope.types import FinishReason


@dataclass(frozen=True, slots=True)
class Request:
    """One text to generate."""

    prompt: PromptIds
    options: GenerationOptions = field(default_factory=GenerationOptions)
    grammar: Grammar | None = None
    """Used where `options.constrained`; begins in the state that the prompt ends in."""


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token."""

    request: int
    """Index into the requests."""
    id: int
    logprob: float | None
    """Natural logarithm of its probability among what was scored; None where it was forced."""
    corner: Corner | None
    """For a location token."""
    finish: FinishReason | None
    """Set on a request's last token."""


@dataclass(slots=True)
class Clock:
    """What a generation cost; filled while it runs."""

    prefill: float = 0.0
    decode: float = 0.0
    passes: int = 0
    forced: int = 0


@dataclass(slots=True)
class _Branch:
    """One request under way."""

    index: int
    options: GenerationOptions
    grammar: Grammar | None
    slots: Slots
    pending: Float
    state: State | None
    history: list[int]
    rng: np.random.Generator
    start: int
    generated: list[int] = field(default_factory=list)
    entities: int = 0


def generate(
    engine: Engine, requests: Sequence[Request], clock: Clock | None = None
) -> Generator[Token, None, None]:
    """Generate all requests together; tokens of different requests interleave.

    Closing the generator stops the work after the pass under way.

    Args:
        engine: the model.
        requests: of any pictures, prompts and options; beam searches run after the others.
        clock: filled with what it cost.

    Raises:
        PromptError: a prompt is too long or its picture was encoded by another model.
    """
    clock = clock or Clock()
    numbered = list(enumerate(requests))
    del requests  # see _open
    together = [(i, r) for i, r in numbered if r.options.num_beams == 1]
    searches = [(i, r) for i, r in numbered if r.options.num_beams > 1]
    del numbered
    yield from _together(engine, together, clock)
    for i, request in searches:
        yield from _beams(engine, i, request, clock)


def _together(engine: Engine, requests: list[tuple[int, Request]], clock: Clock) -> Iterator[Token]:
    if not requests:
        return
    began = time.perf_counter()
    pack, branches = _open(engine, requests)
    first = True
    while branches:
        hidden, slots = pack.forward([Feed(b.slots, b.pending) for b in branches])
        for branch, seen in zip(branches, slots, strict=True):
            branch.slots = seen
        produced: list[Token] = []
        grammars = [(b.grammar, b.state) if b.grammar and b.state else None for b in branches]
        for branch, scores in zip(branches, score_rows(engine, hidden, grammars), strict=True):
            options = branch.options
            words = branch.state is not None
            banned = forbidden_repeats(engine, options, branch.history, words_only=words)
            if len(branch.generated) < options.min_new_tokens:
                banned = [*banned, *engine.stops]
            allowed = forbid(scores, banned)
            index = pick(allowed, options, branch.rng)
            token = scores.token(index)
            logprob = float(log_softmax(scores.logits)[index])
            produced += _advance(engine, branch, token, logprob, corner(engine, scores, token))
        now = time.perf_counter()
        if first:
            clock.prefill += now - began
        else:
            clock.decode += now - began
        began, first = now, False
        clock.passes += 1
        clock.forced += sum(t.logprob is None for t in produced)
        finished = {t.request for t in produced if t.finish}
        branches = [b for b in branches if b.index not in finished]
        yield from produced
        began = time.perf_counter()  # the consumer's time is not the engine's
        _tidy(pack, branches)


def _open(engine: Engine, requests: list[tuple[int, Request]]) -> tuple[Pack, list[_Branch]]:
    """Lay out the arena: each picture's prefix once, then the prompts' own rows to come.

    Takes the requests out of the list one by one. A picture's keys and values are copied; where
    nobody else holds the picture, they are free before the next one's are copied.
    """
    pack = engine.pack(sum(len(r.prompt.ids) + 32 for _, r in requests))
    placed: dict[int, Slots] = {}
    branches = []
    requests.reverse()
    while requests:
        index, request = requests.pop()
        picture, known, rows = engine.prompt_rows(request.prompt)
        slots = np.arange(0)
        if picture is not None:
            if id(picture) not in placed:
                placed[id(picture)] = _place(pack, picture)
            slots = placed[id(picture)]
        ids = request.prompt.ids
        state = None
        if request.options.constrained and request.grammar is not None:
            state = request.grammar.state_after(ids)
        branches.append(
            _Branch(
                index=index,
                options=request.options,
                grammar=request.grammar,
                slots=slots[:known],
                pending=rows,
                state=state,
                history=list(ids),
                rng=np.random.default_rng(request.options.seed),
                start=len(ids),
            )
        )
    return pack, branches


def _place(pack: Pack, picture: PictureState) -> Slots:
    return pack.arena.place(picture.keys, picture.values)


def _advance(
    engine: Engine, branch: _Branch, token: int, logprob: float, place: Corner | None
) -> list[Token]:
    """Take a chosen token and those that it forces; leave their rows pending."""
    produced: list[Token] = []
    next_id: int | None = token
    chosen: float | None = logprob
    grammar, tokens = branch.grammar, engine.tokens
    fed: list[int] = []
    while next_id is not None:
        branch.generated.append(next_id)
        branch.history.append(next_id)
        fed.append(next_id)
        if next_id == tokens.object_close:
            branch.entities += 1
        finish = _finish(engine, branch, next_id)
        produced.append(Token(branch.index, next_id, chosen, place, finish))
        if finish:
            return produced
        next_id = None
        if branch.state is not None and grammar is not None:
            branch.state = grammar.advance(branch.state, fed[-1])
            assert branch.state is not None, "a token outside the grammar was chosen"
            next_id = grammar.forced(branch.state)
        chosen = place = None
    start = branch.start + len(branch.generated) - len(fed)
    branch.pending = engine.embed(tuple(fed), start)
    return produced


def _finish(engine: Engine, branch: _Branch, token: int) -> FinishReason | None:
    options = branch.options
    generated = branch.generated
    if token in engine.stops:
        return "stop"
    for sequence in options.stop_sequences:
        if tuple(generated[-len(sequence) :]) == sequence:
            return "stop"
    if options.stop_after_entities and branch.entities >= options.stop_after_entities:
        return "complete"
    full = branch.start + len(generated) >= engine.config.text.max_positions
    if full or len(generated) >= options.max_new_tokens:
        return "length"
    return None


def _tidy(pack: Pack, branches: Sequence[_Branch]) -> None:
    """Drop what no branch sees any more, once that is most of the arena."""
    arena = pack.arena
    if arena.used < 256 or not branches:
        return
    live = np.zeros(arena.used, bool)
    for branch in branches:
        live[branch.slots] = True
    if 2 * int(live.sum()) > arena.used:
        return
    renumbered = arena.keep(live)
    for branch in branches:
        branch.slots = renumbered[branch.slots]


def _beams(engine: Engine, index: int, request: Request, clock: Clock) -> Iterator[Token]:
    """Search, then hand out the best text's tokens."""
    began = time.perf_counter()
    found = beam.search(engine, request.prompt, request.options, request.grammar)
    clock.decode += time.perf_counter() - began
    clock.passes += found.passes
    for n, (token, logprob, place) in enumerate(found.tokens):
        last = n == len(found.tokens) - 1
        yield Token(index, token, logprob, place, found.finish if last else None)
