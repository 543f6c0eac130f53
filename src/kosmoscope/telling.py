"""One text under way, as its readers see it: tokens go in, events come out, then the result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kosmoscope.engine.batch import Clock
from kosmoscope.engine.branch import Token
from kosmoscope.outcome import Context, describe_tokens, entity_of
from kosmoscope.reading import ReadEntity, StreamReader
from kosmoscope.reading import TextDelta as TextDelta
from kosmoscope.results import Description
from kosmoscope.types import Entity, Timing


@dataclass(frozen=True, slots=True)
class EntityFound:
    """Streaming: an entity is complete, with all its boxes."""

    entity: Entity


@dataclass(frozen=True, slots=True)
class Finished:
    """Streaming: the end, with the whole result."""

    description: Description


Event = TextDelta | EntityFound | Finished


@dataclass(slots=True, eq=False)
class Telling:
    """A text under way. Call `begin`, `feed` with each token and `end`, or `description` alone."""

    context: Context
    seen: Timing
    """Of encoding the picture that the boxes refer to."""
    tokens: list[Token] = field(default_factory=list)
    """What was generated so far; whoever wants no events adds to it."""
    _reader: StreamReader = field(init=False)

    def __post_init__(self) -> None:
        self._reader = StreamReader(self.context.tokenizer)

    def begin(self) -> Iterator[Event]:
        """Yield what of the prompt belongs into the caption."""
        for token_id in self.context.leading_ids:
            yield from self._events(self._reader.feed(token_id))

    def feed(self, token: Token) -> Iterator[Event]:
        """Take in a token; yield what it brings."""
        self.tokens.append(token)
        yield from self._events(self._reader.feed(token.id))

    def end(self, clock: Clock, spent: float) -> Iterator[Event]:
        """Yield what was cut off, then the result; see `description`."""
        yield from self._events(self._reader.finish())
        yield Finished(self.description(clock, spent))

    def description(self, clock: Clock, spent: float) -> Description:
        """Return the result of a text that is over.

        Args:
            clock: what generating it cost.
            spent: seconds from the request to the last token, without the picture's.
        """
        seen = self.seen
        timing = Timing(
            preprocess=seen.preprocess,
            encode=seen.encode,
            prefill=clock.prefill,
            decode=clock.decode,
            total=seen.total + spent,
            new_tokens=len(self.tokens),
            passes=clock.passes,
            forced_tokens=sum(t.logprob is None for t in self.tokens),
        )
        return describe_tokens(self.tokens, self.context, timing)

    def _events(self, items: Sequence[TextDelta | ReadEntity]) -> Iterator[Event]:
        for item in items:
            if isinstance(item, TextDelta):
                yield item
            else:
                yield EntityFound(entity_of(item, self.context, self.tokens))
