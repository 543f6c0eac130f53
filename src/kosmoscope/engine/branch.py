"""One text under way: which token comes next, and what of a pass's rows it uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kosmoscope.engine.arena import Float, Slots
from kosmoscope.engine.boxes import Corner
from kosmoscope.engine.choice import (
    Scores,
    corner,
    forbid,
    forbidden_repeats,
    log_softmax,
    pick,
)
from kosmoscope.engine.core import Engine
from kosmoscope.engine.drafts import Drafts
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.engine.pack import Feed
from kosmoscope.grammar import Grammar, Place, State
from kosmoscope.types import FinishReason


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


@dataclass(slots=True, eq=False)
class Branch:
    """One request under way."""

    index: int
    options: GenerationOptions
    grammar: Grammar | None
    slots: Slots
    pending: Float
    """Rows of tokens that are decided but not read yet, float32 (R, D)."""
    state: State | None
    history: list[int]
    """Ids of the prompt and of what was generated."""
    rng: np.random.Generator
    start: int
    """Tokens of the prompt."""
    hidden: Float | None = None
    """What comes next is told by this state, float32 (1, D), where no row is pending."""
    entities: int = 0
    guesses: list[int] = field(default_factory=list)
    """Ids that ride along behind the pending rows, to be kept if they turn out to be right."""
    states: list[State | None] = field(default_factory=list)
    """The grammar's state before each guess, and after the last."""

    @property
    def generated(self) -> int:
        """How many tokens were generated."""
        return len(self.history) - self.start

    def guess(self, drafts: Drafts, room: int, least: float) -> None:
        """Think of up to `room` tokens that may follow what is pending."""
        history, state = list(self.history), self.state
        guesses: list[int] = []
        states = [state]
        # The last token may end the text, but nothing can follow it.
        room = min(room, self.options.max_new_tokens - self.generated - 1)
        sure = 1.0
        while len(guesses) < room:
            if state is not None and state.place in (Place.UPPER_LEFT, Place.LOWER_RIGHT):
                break
            forced = None
            if state is not None and self.grammar is not None:
                forced = self.grammar.forced(state)
            if forced is not None:
                token = forced
            else:
                found = drafts.likely(history[self.start :])
                if found is None or (sure := sure * found[1]) < least:
                    break
                token = found[0]
            if state is not None and self.grammar is not None:
                state = self.grammar.advance(state, token)
                if state is None:
                    break
            guesses.append(token)
            history.append(token)
            states.append(state)
        self.guesses, self.states = guesses, states

    def feed(self, engine: Engine) -> Feed:
        """Return the rows of the next pass."""
        if not self.guesses:
            self.states = [self.state]
            return Feed(self.slots, self.pending)
        guessed = engine.embed(tuple(self.guesses), len(self.history))
        rows = np.concatenate([self.pending, guessed])
        return Feed(self.slots, rows, 1 + len(self.guesses))

    def take(self, engine: Engine, scored: Sequence[Scores]) -> list[Token]:
        """Choose tokens as far as the pass tells them; leave what follows pending.

        Args:
            engine: the model.
            scored: of the last pending row and of each guess.

        Returns:
            the tokens: at least one, one more for each guess that was right, and those that the
            form forces.
        """
        produced: list[Token] = []
        kept = 0
        while True:
            tokens = self._advance(engine, *self._choose(engine, scored[kept]))
            produced += tokens
            ids = [token.id for token in tokens]
            guessed = self.guesses[kept : kept + len(ids)]
            right = next(
                (n for n, (a, b) in enumerate(zip(ids, guessed, strict=False)) if a != b),
                len(guessed),
            )
            kept += right
            if right < len(ids) or tokens[-1].finish:
                break
        # A wrong guess was read, but nobody sees it again.
        self.slots = self.slots[: len(self.slots) - (len(self.guesses) - kept)]
        self.guesses = []
        rest = ids[right:]
        self.hidden = None
        if rest:
            self.pending = engine.embed(tuple(rest), len(self.history) - len(rest))
        return produced

    def _choose(self, engine: Engine, scores: Scores) -> tuple[int, float, Corner | None]:
        options = self.options
        words = self.state is not None
        banned = forbidden_repeats(engine, options, self.history, words_only=words)
        if self.generated < options.min_new_tokens:
            banned = [*banned, *engine.stops]
        index = self._listed(engine, scores)
        if index is None:
            index = pick(forbid(scores, banned), options, self.rng)
        token = scores.token(index)
        return token, float(log_softmax(scores.logits)[index]), corner(engine, scores, token)

    def _listed(self, engine: Engine, scores: Scores) -> int | None:
        """Return the index of the delimiter or of the list's end, where options decide on it."""
        options = self.options
        if self.state is None or self.state.place is not Place.AFTER_BOX or scores.ids is None:
            return None
        if options.another == 0.5 and not options.max_boxes:
            return None
        ids = scores.ids.tolist()
        end, more = ids.index(engine.tokens.object_close), ids.index(engine.tokens.delimiter)
        full = options.max_boxes and self._boxes(engine) >= options.max_boxes
        chance = float(np.exp(log_softmax(scores.logits)[more]))
        return int(end if full or chance <= options.another else more)

    def _boxes(self, engine: Engine) -> int:
        """Return how many boxes the list has that is being written."""
        count = 1
        for token in reversed(self.history):
            if token == engine.tokens.object_open:
                break
            count += token == engine.tokens.delimiter
        return count

    def _advance(
        self, engine: Engine, token: int, logprob: float, place: Corner | None
    ) -> list[Token]:
        """Take a chosen token and those that it forces."""
        produced: list[Token] = []
        next_id: int | None = token
        chosen: float | None = logprob
        while next_id is not None:
            self.history.append(next_id)
            if next_id == engine.tokens.object_close:
                self.entities += 1
            finish = self._finish(engine, next_id)
            produced.append(Token(self.index, next_id, chosen, place, finish))
            if finish:
                break
            following = None
            if self.state is not None and self.grammar is not None:
                self.state = self.grammar.advance(self.state, next_id)
                assert self.state is not None, "a token outside the grammar was chosen"
                following = self.grammar.forced(self.state)
            next_id, chosen, place = following, None, None
        return produced

    def _finish(self, engine: Engine, token: int) -> FinishReason | None:
        options = self.options
        if token in engine.stops:
            return "stop"
        for sequence in options.stop_sequences:
            if self.generated >= len(sequence) and (
                tuple(self.history[-len(sequence) :]) == sequence
            ):
                return "stop"
        if options.stop_after_entities and self.entities >= options.stop_after_entities:
            return "complete"
        full = len(self.history) >= engine.config.text.max_positions
        if full or self.generated >= options.max_new_tokens:
            return "length"
        return None
