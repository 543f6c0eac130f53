"""Generated ids to a caption with its phrases, spans and boxes (as cells).

The clean text is what transformers' `clean_text_and_extract_entities_with_bboxes`
(``models/kosmos2/processing_kosmos2.py``) makes of well-formed output. Here it is made from token
ids, not with regular expressions on text, so that '<' and '>' in a text survive, and phrases
without boxes, several boxes, cut off and inverted ones are kept or reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kosmoscope.grammar import CellBox, EntityTokens, Event, Malformed, Parser, TextToken
from kosmoscope.tokens import Tokenizer


@dataclass(frozen=True, slots=True)
class ReadEntity:
    """A phrase of the text, and its boxes as cells of the grid."""

    phrase: str
    """Without surrounding space; empty where a box came without a phrase."""
    span: tuple[int, int]
    """``text[start:end] == phrase``, in code points."""
    boxes: tuple[CellBox, ...]
    tokens: tuple[int, int]
    """Range of the phrase's tokens in the ids read; empty where there is no phrase."""
    complete: bool
    """False: the ids ended inside this entity."""


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Streaming: the caption grew by this text."""

    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What ids say."""

    text: str
    """Clean text: no tags, no surrounding space."""
    entities: tuple[ReadEntity, ...]
    """In the order in which they ended."""
    warnings: tuple[str, ...]
    """What was not well-formed, and what was made of it."""


class StreamReader:
    """Reads ids as they come. The deltas, joined, are `read(ids).text`.

    Space is held back until something follows it, so that the text never has to be taken back.
    Feed the ``</s>`` too if there was one: it is how a finished text is told from a cut one.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._parser = Parser(tokenizer.tokens)
        self._text = ""
        self._space = ""
        self._starts: list[int] = []
        """For each token fed: where in the text it begins, held-back space included."""
        self._warnings: list[str] = []

    @property
    def text(self) -> str:
        """The clean text so far."""
        return self._text

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was not well-formed so far."""
        return tuple(self._warnings)

    def feed(self, token_id: int) -> list[TextDelta | ReadEntity]:
        """Read one token; return the new text and the entities that it ended."""
        self._starts.append(len(self._text) + len(self._space))
        return self._take(self._parser.feed(token_id))

    def finish(self) -> list[TextDelta | ReadEntity]:
        """Say that no more tokens come; return entities that were cut off."""
        return self._take(self._parser.finish())

    def _take(self, events: Sequence[Event]) -> list[TextDelta | ReadEntity]:
        found: list[TextDelta | ReadEntity] = []
        for event in events:
            match event:
                case TextToken(_, token_id):
                    delta = self._write(self._tokenizer.piece(token_id))
                    if delta:
                        found.append(TextDelta(delta))
                case EntityTokens():
                    found.append(self._entity(event))
                case Malformed(index, reason):
                    self._warnings.append(f"token {index}: {reason}")
        return found

    def _write(self, piece: str) -> str:
        piece = self._space + piece
        if not self._text:
            piece = piece.lstrip()
        visible = piece.rstrip()
        self._space = piece[len(visible) :]
        self._text += visible
        return visible

    def _entity(self, event: EntityTokens) -> ReadEntity:
        start, end = self._offset(event.start), self._offset(event.stop)
        raw = self._text[start:end]
        phrase = raw.strip()
        if phrase:
            start += len(raw) - len(raw.lstrip())
        span = (start, start + len(phrase))
        return ReadEntity(phrase, span, event.boxes, (event.start, event.stop), event.complete)

    def _offset(self, index: int) -> int:
        """Return where a token begins in the text; the text's end if in held-back space."""
        start = self._starts[index] if index < len(self._starts) else len(self._text)
        return min(start, len(self._text))


def read(ids: Sequence[int], tokenizer: Tokenizer) -> Reading:
    """Read a whole output (or a prompt and its output) at once. Never fails.

    Args:
        ids: token ids. A picture's section at the beginning is passed over.
        tokenizer: the model's.
    """
    reader = StreamReader(tokenizer)
    items = [item for i in ids for item in reader.feed(i)] + reader.finish()
    entities = tuple(item for item in items if isinstance(item, ReadEntity))
    return Reading(reader.text, entities, reader.warnings)


def tagged(ids: Sequence[int], tokenizer: Tokenizer) -> str:
    """Return the text with all tags and location tokens, without a picture's section in front."""
    return tokenizer.decode(_after_picture(ids, tokenizer), keep_tags=True)


def marked(ids: Sequence[int], tokenizer: Tokenizer) -> str:
    """Return the text like `tagged`, without location tokens and the tags around them."""
    tokens = tokenizer.tokens
    boxes = {tokens.object_open, tokens.object_close, tokens.delimiter}
    kept = _after_picture(ids, tokenizer)
    return tokenizer.decode(
        [i for i in kept if i not in boxes and not tokens.is_location(i)], keep_tags=True
    )


def _after_picture(ids: Sequence[int], tokenizer: Tokenizer) -> Sequence[int]:
    tokens = tokenizer.tokens
    for index, i in enumerate(ids):
        if i == tokens.image_open:
            rest = list(ids[index:])
            return rest[rest.index(tokens.image_close) + 1 :] if tokens.image_close in rest else ()
        if i not in (tokens.bos, tokens.pad, tokens.unk):
            break
    return ids
