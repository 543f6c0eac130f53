"""Texts under way together: they join between any two passes, and leave when they are done.

All advance one pass of the decoder at a time (see `kosmoscope.engine.arena`). A token that the
grammar forces is not asked for: it rides along in the next pass.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import numpy as np

from kosmoscope.engine import beam
from kosmoscope.engine.arena import Float, Slots
from kosmoscope.engine.branch import Branch, Token
from kosmoscope.engine.choice import score_rows
from kosmoscope.engine.core import Engine, Prefix, PromptIds
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
    """Seconds of inserting, and of passes in which a text was still without its first token."""
    decode: float = 0.0
    passes: int = 0
    forced: int = 0


class Batch:
    """Texts under way. For one thread at a time; without texts it holds no memory.

    What a text says does not depend on its company (docs/engine.md), nor on who joins or leaves.

    Args:
        engine: the model.
        capacity: slots of keys and values to allocate at first; more come as they are needed.
        clock: filled with what it costs.
    """

    def __init__(self, engine: Engine, capacity: int = 256, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._engine = engine
        self._capacity = capacity
        self._next = 0
        self._pack: Pack | None = None
        self._scratch: Pack | None = None
        self._branches: list[Branch] = []
        self._unread: set[int] = set()
        """Texts of whose prompts nothing is known yet."""
        self._keep: dict[int, Callable[[Prefix], object]] = {}
        """Who wants what those will know of their pictures."""
        self._placed: weakref.WeakKeyDictionary[Prefix, Slots] = weakref.WeakKeyDictionary()
        """Where pictures' prefixes lie that some text under way begins with."""
        self._searches: list[tuple[int, Generator[None, None, beam.Found]]] = []
        self._turn = False
        self._alone = True
        """There is no more than one text, and it was alone since it began."""

    def __len__(self) -> int:
        """How many texts are under way."""
        return len(self._branches) + len(self._searches)

    def insert(self, request: Request, keep: Callable[[Prefix], object] | None = None) -> int:
        """Let a text join; it is part of the next pass.

        A picture's keys and values are copied: once this returns, the batch holds no picture.
        (A beam search holds its own until it has begun.)

        Args:
            request: the text.
            keep: called with what the decoder keeps of a picture that was only looked at, once
                the prompt that begins with it is read: another prompt need not read it again. Not
                called by a beam search, nor where the text leaves before.

        Returns:
            the number that its tokens carry as `Token.request`: 0, 1 and so on.

        Raises:
            PromptError: the prompt is too long or its picture was encoded by another model.
        """
        began = time.perf_counter()
        index = self._next
        if request.options.num_beams > 1:
            grammar = request.grammar
            steps = beam.search_steps(self._engine, request.prompt, request.options, grammar)
            self._searches.append((index, steps))
        else:
            self._branches.append(self._branch(index, request))
            if keep and index in self._unread and self._engine.begins_with_picture(request.prompt):
                self._keep[index] = keep
            self._alone = len(self._branches) == 1
        self._next += 1
        self.clock.prefill += time.perf_counter() - began
        return index

    def remove(self, index: int) -> None:
        """Let a text leave before its end; one that is over already is passed over."""
        self._branches = [b for b in self._branches if b.index != index]
        for number, steps in self._searches:
            if number == index:
                steps.close()
        self._searches = [(number, s) for number, s in self._searches if number != index]
        self._keep.pop(index, None)
        self._left()

    def step(self) -> list[Token]:
        """Run one pass; return its tokens in the order of the texts.

        A prompt of which nothing is known yet is read in a pass of its own, where its rows attend
        to no other text's slots, unless it is alone anyway. Beam searches have passes of their
        own too, in turn with the others'; a search's tokens come all at once, with its last pass.
        """
        if not self:
            return []
        began = time.perf_counter()
        first = any(b.generated == 0 for b in self._branches)
        self._turn = bool(self._searches) and not (self._turn and self._branches)
        produced = self._search() if self._turn else self._pass()
        self.clock.passes += 1
        self.clock.forced += sum(t.logprob is None for t in produced)
        spent = time.perf_counter() - began
        if first and not self._turn:
            self.clock.prefill += spent
        else:
            self.clock.decode += spent
        return produced

    def _branch(self, index: int, request: Request) -> Branch:
        prefix, rows = self._engine.prompt_rows(request.prompt)
        slots = np.arange(0)
        if prefix is None:
            self._unread.add(index)
        else:
            found = self._placed.get(prefix)
            if found is None:
                found = self._opened().arena.place(prefix.keys, prefix.values)
                self._placed[prefix] = found
            slots = found
        ids = request.prompt.ids
        state = None
        if request.options.constrained and request.grammar is not None:
            state = request.grammar.state_after(ids)
        return Branch(
            index=index,
            options=request.options,
            grammar=request.grammar,
            slots=slots,
            pending=rows,
            state=state,
            history=list(ids),
            rng=np.random.default_rng(request.options.seed),
            start=len(ids),
            states=[state],
        )

    def _opened(self) -> Pack:
        if self._pack is None:
            self._pack = self._engine.pack(self._capacity)
        return self._pack

    def _pass(self) -> list[Token]:
        branches = self._branches
        unread = [b for b in branches if b.index in self._unread]
        if unread and len(branches) > 1:
            branches = unread[:1]
            hidden = self._read(branches[0])
        else:
            if self._alone:
                self._guess(branches[0])
            hidden, slots = self._opened().forward([b.feed(self._engine) for b in branches])
            for branch, seen in zip(branches, slots, strict=True):
                branch.slots = seen
        self._unread -= {b.index for b in branches}
        for branch in branches:
            if keep := self._keep.pop(branch.index, None):
                keep(self._prefix(branch))
        grammars = [(b.grammar, s) if b.grammar and s else None for b in branches for s in b.states]
        scored = score_rows(self._engine, hidden, grammars)
        produced: list[Token] = []
        finished: list[Branch] = []
        for branch in branches:
            mine, scored = scored[: len(branch.states)], scored[len(branch.states) :]
            produced += branch.take(self._engine, mine)
            if produced[-1].finish:
                finished.append(branch)
        for branch in finished:
            self._engine.drafts.learn(branch.history[branch.start :])
        self._branches = [b for b in self._branches if b not in finished]
        self._left()
        return produced

    def _read(self, branch: Branch) -> Float:
        """Read a prompt by itself, then move what was read in; return its last hidden state."""
        if self._scratch is None:
            self._scratch = self._engine.pack(1)
        hidden, (read,) = self._scratch.forward([Feed(branch.slots, branch.pending)])
        branch.slots = self._opened().arena.place(*self._scratch.arena.views(len(read)))
        self._scratch.arena.used = 0
        if len(self._unread) == 1:
            self._scratch = None
        return hidden

    def _prefix(self, branch: Branch) -> Prefix:
        """Return what is known of the picture that a text begins with; others may share it."""
        slots = branch.slots[: len(self._engine.prefix_ids)]
        prefix = Prefix(*self._opened().arena.copies(slots))
        self._placed[prefix] = slots
        return prefix

    def _guess(self, branch: Branch) -> None:
        """Let tokens ride along where the pass has room for them.

        For a text that was alone all along: of several, each has rows enough, and where a row's
        keys lie would depend on what was guessed.
        """
        engine = self._engine
        if engine.budget is not None:
            room = engine.budget.rows - len(branch.pending)
            branch.guess(engine.drafts, room, engine.budget.least)

    def _search(self) -> list[Token]:
        """Run one pass of the first beam search; hand out the best text when it is found."""
        index, steps = self._searches[0]
        try:
            next(steps)
        except StopIteration as e:
            found: beam.Found = e.value
        else:
            return []
        del self._searches[0]
        last = len(found.tokens) - 1
        return [
            Token(index, token, logprob, place, found.finish if n == last else None)
            for n, (token, logprob, place) in enumerate(found.tokens)
        ]

    def _left(self) -> None:
        """Let go of what only texts that have left needed."""
        if not self._branches:
            self._pack = self._scratch = None
            self._placed.clear()
            self._unread.clear()
            self._alone = True
            return
        self._unread &= {b.index for b in self._branches}
        # A prefix lies in one piece, and every text that sees it begins with it.
        begins = {int(b.slots[0]) for b in self._branches if len(b.slots)}
        for prefix, slots in list(self._placed.items()):
            if int(slots[0]) not in begins:
                del self._placed[prefix]
        if self._pack is not None:
            self._tidy(self._pack)

    def _tidy(self, pack: Pack) -> None:
        """Drop what no text sees any more, once that is most of the arena."""
        arena = pack.arena
        # What lies behind everybody's last slot, wrong guesses for instance, is free at no cost.
        arena.used = 1 + max(int(b.slots.max(initial=-1)) for b in self._branches)
        if arena.used < 256:
            return
        live = np.zeros(arena.used, bool)
        for branch in self._branches:
            live[branch.slots] = True
        if 2 * int(live.sum()) > arena.used:
            return
        renumbered = arena.keep(live)
        for branch in self._branches:
            branch.slots = renumbered[branch.slots]
        for prefix, slots in list(self._placed.items()):
            self._placed[prefix] = renumbered[slots]
