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
from kosmoscope.engine.arena import Slots
from kosmoscope.engine.branch import Branch, Token
from kosmoscope.engine.choice import score_rows
from kosmoscope.engine.core import Engine, PromptIds
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.engine.pack import Feed, Pack
from kosmoscope.grammar import Grammar


@dataclass(frozen=True, slots=True)
class Request:
    """One text to generate."""

    prompt: PromptIds
    options: GenerationOptions = field(default_factory=GenerationOptions)
    grammar: Grammar | None = None
    """Used where `options.constrained`; begins in the state that the prompt ends in."""


@dataclass(slots=True)
class Clock:
    """What a generation cost; filled while it runs."""

    prefill: float = 0.0
    decode: float = 0.0
    passes: int = 0
    forced: int = 0


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
    alone = len(requests) == 1
    pack, branches = _open(engine, requests, clock)
    first = True
    while branches:
        if alone and branches[0].hidden is None:
            _guess(engine, branches[0])
        reading = [b for b in branches if b.hidden is None]
        states = [b.hidden for b in branches if b.hidden is not None]
        if reading:
            hidden, slots = pack.forward([b.feed(engine) for b in reading])
            for branch, seen in zip(reading, slots, strict=True):
                branch.slots = seen
            states.insert(0, hidden)
            clock.passes += 1
        ordered = [*reading, *(b for b in branches if b.hidden is not None)]
        grammars = [(b.grammar, s) if b.grammar and s else None for b in ordered for s in b.states]
        scored = score_rows(engine, np.concatenate(states), grammars)
        produced: list[Token] = []
        finished: list[Branch] = []
        for branch in ordered:
            mine, scored = scored[: len(branch.states)], scored[len(branch.states) :]
            produced += branch.take(engine, mine)
            if produced[-1].finish:
                finished.append(branch)
        now = time.perf_counter()
        if first:
            clock.prefill += now - began
        else:
            clock.decode += now - began
        began, first = now, False
        clock.forced += sum(t.logprob is None for t in produced)
        branches = [b for b in branches if b not in finished]
        yield from sorted(produced, key=lambda t: t.request)
        for branch in finished:
            engine.drafts.learn(branch.history[branch.start :])
        began = time.perf_counter()  # the consumer's time is not the engine's
        _tidy(pack, branches)


def _guess(engine: Engine, branch: Branch) -> None:
    """Let tokens ride along where the pass has room for them.

    For one text alone: of several, each has rows enough, and where a row's keys lie would depend
    on what was guessed.
    """
    if engine.budget is not None:
        room = engine.budget.rows - len(branch.pending)
        branch.guess(engine.drafts, room, engine.budget.least)


def _open(
    engine: Engine, requests: list[tuple[int, Request]], clock: Clock
) -> tuple[Pack, list[Branch]]:
    """Lay out the arena: each picture's prefix once, then the prompts' own rows to come.

    A prompt of which nothing is known yet is read alone, where its rows attend to no other
    prompt's slots; of several, the first tokens then come from what these passes left.

    Takes the requests out of the list one by one. A picture's keys and values are copied; where
    nobody else holds the picture, they are free before the next one's are copied.
    """
    pack = engine.pack(sum(len(r.prompt.ids) + 32 for _, r in requests))
    alone = engine.pack(1) if len(requests) > 1 else None
    placed: dict[int, Slots] = {}
    branches = []
    requests.reverse()
    while requests:
        index, request = requests.pop()
        prefix, rows = engine.prompt_rows(request.prompt)
        slots, hidden = np.arange(0), None
        if prefix is not None:
            if id(prefix) not in placed:
                placed[id(prefix)] = pack.arena.place(prefix.keys, prefix.values)
            slots = placed[id(prefix)]
        elif alone is not None:
            hidden, (read,) = alone.forward([Feed(slots, rows)])
            slots = pack.arena.place(*alone.arena.views(len(read)))
            alone.arena.used = 0
            clock.passes += 1
        ids = request.prompt.ids
        state = None
        if request.options.constrained and request.grammar is not None:
            state = request.grammar.state_after(ids)
        branches.append(
            Branch(
                index=index,
                options=request.options,
                grammar=request.grammar,
                slots=slots,
                pending=rows,
                state=state,
                history=list(ids),
                rng=np.random.default_rng(request.options.seed),
                start=len(ids),
                hidden=hidden,
                states=[state],
            )
        )
    return pack, branches


def _tidy(pack: Pack, branches: Sequence[Branch]) -> None:
    """Drop what no branch sees any more, once that is most of the arena."""
    arena = pack.arena
    if not branches:
        return
    # What lies behind everybody's last slot, wrong guesses for instance, is free at no cost.
    arena.used = 1 + max(int(b.slots.max(initial=-1)) for b in branches)
    if arena.used < 256:
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
