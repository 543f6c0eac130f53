"""One automaton for grounded text, over token ids: what may come next, and what came.

Well-formed text is the Kosmos-2 paper's (arXiv 2306.14824, section 2), where a box is a pair of
location tokens, upper left then lower right::

    text    : (piece | <phrase> piece+ </phrase> object)* </s>
    object  : <object> box (</delimiter_of_multi_objects/> box)* </object>

`Grammar` keeps to it, for constrained decoding. `Parser` reads any ids: it walks the same table
(`_NEXT`), and where the table has no way on it mends the text and says so with `Malformed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import PromptError
from kosmoscope.tokens import TokenSet

Mask = NDArray[np.bool_]
_HALF = "half a box (one corner only) was left out"


class Place(IntEnum):
    """Where in grounded text one is."""

    TEXT = 0
    PHRASE_START = 1  # just opened: an empty phrase may not be closed
    PHRASE = 2
    AFTER_PHRASE = 3
    UPPER_LEFT = 4  # the next token is a box's upper left corner
    LOWER_RIGHT = 5
    AFTER_BOX = 6
    END = 7


_Kind = IntEnum(
    "_Kind",
    "MARKUP PIECE PHRASE_OPEN PHRASE_CLOSE OBJECT_OPEN OBJECT_CLOSE DELIMITER LOCATION EOS",
)

_NEXT: Final[dict[tuple[Place, _Kind], Place]] = {
    (Place.TEXT, _Kind.PIECE): Place.TEXT,
    (Place.TEXT, _Kind.PHRASE_OPEN): Place.PHRASE_START,
    (Place.TEXT, _Kind.EOS): Place.END,
    (Place.PHRASE_START, _Kind.PIECE): Place.PHRASE,
    (Place.PHRASE, _Kind.PIECE): Place.PHRASE,
    (Place.PHRASE, _Kind.PHRASE_CLOSE): Place.AFTER_PHRASE,
    (Place.AFTER_PHRASE, _Kind.OBJECT_OPEN): Place.UPPER_LEFT,
    (Place.UPPER_LEFT, _Kind.LOCATION): Place.LOWER_RIGHT,
    (Place.LOWER_RIGHT, _Kind.LOCATION): Place.AFTER_BOX,
    (Place.AFTER_BOX, _Kind.DELIMITER): Place.UPPER_LEFT,
    (Place.AFTER_BOX, _Kind.OBJECT_CLOSE): Place.TEXT,
}


@lru_cache(maxsize=8)
def _kinds(tokens: TokenSet) -> bytes:
    """Return the kind of every id: one byte each."""
    kinds = np.full(tokens.vocab_size, _Kind.PIECE, np.uint8)
    kinds[list(tokens.markup)] = _Kind.MARKUP
    kinds[tokens.first_location :][: tokens.location_count] = _Kind.LOCATION
    for kind in set(_Kind) - {_Kind.MARKUP, _Kind.PIECE, _Kind.LOCATION}:
        kinds[getattr(tokens, kind.name.lower())] = kind
    return kinds.tobytes()


def _kind(kinds: bytes, token_id: int) -> _Kind:
    return _Kind(kinds[token_id]) if 0 <= token_id < len(kinds) else _Kind.MARKUP


def _is_box(upper_left: int, lower_right: int, side: int) -> bool:
    (top, left), (bottom, right) = divmod(upper_left, side), divmod(lower_right, side)
    return bottom >= top and right >= left


@dataclass(frozen=True, slots=True)
class State:
    """A point in a well-formed text. A small value: beams share and copy it freely."""

    place: Place
    upper_left: int = -1
    """The cell of the upper left corner, in `Place.LOWER_RIGHT` only."""


class Grammar:
    """The automaton for constrained decoding. Not `grounded`: it never opens a phrase."""

    def __init__(self, tokens: TokenSet, *, grounded: bool = True) -> None:
        self.tokens = tokens
        self._table = dict(_NEXT)
        if not grounded:
            del self._table[Place.TEXT, _Kind.PHRASE_OPEN]
        self._kinds = _kinds(tokens)
        kinds = np.frombuffer(self._kinds, np.uint8)
        self._masks: dict[Place, Mask] = {}
        for place in Place:
            fitting = [kind for at, kind in self._table if at is place]
            self._masks[place] = np.isin(kinds, np.array(fitting, np.uint8))
            self._masks[place].setflags(write=False)
        self._cells: dict[State, Mask] = {}

    def start(self) -> State:
        """Return the state before the first token."""
        return State(Place.TEXT)

    def advance(self, state: State, token_id: int) -> State | None:
        """Return the state after this token, or None where it is not well-formed here."""
        return self._step(state, token_id, _kind(self._kinds, token_id), self._table)

    def _step(
        self, state: State, token_id: int, kind: _Kind, table: Mapping[tuple[Place, _Kind], Place]
    ) -> State | None:
        place = table.get((state.place, kind))
        if place is Place.LOWER_RIGHT:
            return State(place, self.tokens.cell(token_id))
        if state.place is Place.LOWER_RIGHT and place is not None:
            cell = self.tokens.cell(token_id)
            place = place if _is_box(state.upper_left, cell, self.tokens.side) else None
        return None if place is None else State(place)

    def allowed_cells(self, state: State) -> Mask:
        """Return which cells the next location token may name: bool, (location_count,).

        For the lower right corner: the upper left one's cell and those right of and below it.
        Shared and read-only; all False where no location token may come.
        """
        if state not in self._cells:
            side = self.tokens.side
            cells = np.zeros((side, side), np.bool_)
            if state.place in (Place.UPPER_LEFT, Place.LOWER_RIGHT):
                top, left = divmod(max(state.upper_left, 0), side)
                cells[top:, left:] = True
            cells.setflags(write=False)
            self._cells[state] = cells.reshape(-1)
        return self._cells[state]

    def allowed_mask(self, state: State) -> Mask:
        """Return which ids may come next: bool, (vocab_size,). Do not write to it: it is shared."""
        if state.place is not Place.LOWER_RIGHT:
            return self._masks[state.place]
        mask = np.zeros(self.tokens.vocab_size, np.bool_)
        mask[self.tokens.first_location :][: self.tokens.location_count] = self.allowed_cells(state)
        return mask

    def forced(self, state: State) -> int | None:
        """Return the next id where the form leaves no choice: ``<object>`` after a phrase.

        Never a location token, not even the last cell of the grid after itself: the model is asked
        for those, as a box's score is read from what it says there.
        """
        return self.tokens.object_open if state.place is Place.AFTER_PHRASE else None

    def state_after(self, ids: Iterable[int]) -> State:
        """Walk through a prompt, so that generation can go on from inside a phrase or an object.

        Takes more than generation gives: ``<grounding>``, ``<s>``, ``</s>`` and pads are skipped,
        as is all between ``<image>`` and ``</image>``; boxes may come without a phrase, a phrase
        without boxes, and unknown characters (``<unk>``) count as text.

        Args:
            ids: the prompt's tokens from its beginning, with or without the picture's slots.

        Raises:
            PromptError: the prompt is not well-formed grounded text.
        """
        state = self.start()
        in_picture = False
        for index, i in enumerate(ids):
            if in_picture or i == self.tokens.image_open:
                in_picture = i != self.tokens.image_close
                continue
            kind = _Kind.PIECE if i == self.tokens.unk else _kind(self._kinds, i)
            if kind is _Kind.MARKUP:
                continue
            if state.place in (Place.TEXT, Place.AFTER_PHRASE):
                state = State(Place.AFTER_PHRASE if kind is _Kind.OBJECT_OPEN else Place.TEXT)
                if kind is _Kind.EOS:
                    continue
            following = self._step(state, i, kind, _NEXT)
            if following is None:
                at = f"{_words(kind)} at {_words(state.place)}"
                raise PromptError(f"token {index} of the prompt (id {i}) is out of place: {at}")
            state = following
        return state


def _words(name: IntEnum) -> str:
    return name.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class CellBox:
    """A box as it was written: two cells, whose tokens are at `index` and `index + 1`."""

    upper_left: int
    lower_right: int
    index: int


@dataclass(frozen=True, slots=True)
class TextToken:
    """An ordinary piece, inside a phrase or outside."""

    index: int
    token_id: int


@dataclass(frozen=True, slots=True)
class EntityTokens:
    """A phrase and its boxes, or one box without a phrase.

    `start` and `stop` are the phrase's range of token indices; both are the index of ``<object>``
    where there is no phrase. `complete` is False where the ids ended inside this entity.
    """

    start: int
    stop: int
    boxes: tuple[CellBox, ...]
    complete: bool


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something that grounded text does not have; the parser went on regardless."""

    index: int
    reason: str


Event = TextToken | EntityTokens | Malformed


class Parser:
    """Reads any ids, one at a time, and never fails. Indices count from the first id fed.

    Tags without text or box (``<grounding>``, ``</doc>``, ``<s>``, pads ...) are passed over, as
    is a picture's section ``<image> ... </image>`` if it comes first. `</s>` ends whatever is
    open; tokens after it are read as new text.
    """

    def __init__(self, tokens: TokenSet) -> None:
        self._tokens = tokens
        self._kinds = _kinds(tokens)
        self._unseen = frozenset((tokens.bos, tokens.pad, tokens.unk))
        self._index = self._object = 0
        self._begun = self._in_picture = False
        self._place = Place.TEXT
        self._phrase: tuple[int, int] | None = None
        self._upper_left = (0, 0)
        self._boxes: list[CellBox] = []
        self._events: list[Event] = []

    def feed(self, token_id: int) -> tuple[Event, ...]:
        """Read one token; return what became certain with it."""
        index = self._index
        self._index += 1
        self._events = []
        if self._in_picture:
            self._in_picture = token_id != self._tokens.image_close
        elif token_id not in self._unseen or self._place is Place.LOWER_RIGHT:
            self._in_picture = token_id == self._tokens.image_open and not self._begun
            self._begun = True
            if not self._in_picture:
                self._read(index, token_id, _kind(self._kinds, token_id))
        return tuple(self._events)

    def finish(self) -> tuple[Event, ...]:
        """Say that no more tokens come; return what was still open, as cut off."""
        self._events = []
        if self._in_picture:
            self._say(self._index, "the picture's section is never closed")
            self._in_picture = False
        self._cut(self._index)
        return tuple(self._events)

    def _say(self, index: int, reason: str) -> None:
        self._events.append(Malformed(index, reason))

    def _read(self, index: int, token_id: int, kind: _Kind) -> None:
        if self._place is Place.AFTER_PHRASE and kind is not _Kind.OBJECT_OPEN:
            self._emit(complete=True)  # a phrase without boxes
        place = self._place
        if place is Place.TEXT and kind is _Kind.MARKUP:
            return
        if (place, kind) not in _NEXT and not self._mend(index, kind):
            return
        place, self._place = self._place, _NEXT[self._place, kind]
        match kind:
            case _Kind.PIECE:
                if place is Place.PHRASE_START:
                    self._phrase = (index, index)
                self._events.append(TextToken(index, token_id))
            case _Kind.PHRASE_CLOSE:
                self._phrase = self._phrase and (self._phrase[0], index)
            case _Kind.OBJECT_OPEN:
                self._object = index
            case _Kind.OBJECT_CLOSE:
                self._emit(complete=True)
            case _Kind.EOS:
                self._place = Place.TEXT
            case _Kind.LOCATION:
                cell = self._tokens.cell(token_id)
                if place is Place.UPPER_LEFT:
                    self._upper_left = (cell, index)
                elif _is_box(self._upper_left[0], cell, self._tokens.side):
                    self._boxes.append(CellBox(self._upper_left[0], cell, self._upper_left[1]))
                else:
                    first, at = self._upper_left
                    self._say(at, f"an inverted box (cells {first}, {cell}) was left out")

    def _mend(self, index: int, kind: _Kind) -> bool:
        """Go to a place where this kind of token fits. False: pass over the token."""
        place = self._place
        if kind is _Kind.EOS:
            self._say(index, f"the text ended at {_words(place)}")
            self._cut(index)
        elif place is Place.TEXT and kind is _Kind.OBJECT_OPEN:
            self._place = Place.AFTER_PHRASE  # boxes without a phrase: no fault
        elif place is Place.PHRASE_START and kind is _Kind.PHRASE_CLOSE:
            self._say(index, "an empty phrase")
            self._place = Place.PHRASE
        elif kind is _Kind.PHRASE_OPEN and place in (Place.PHRASE_START, Place.PHRASE):
            self._say(index, "a phrase was opened inside a phrase; the inner one counts")
            self._phrase, self._place = None, Place.TEXT
        elif kind is _Kind.OBJECT_OPEN and place in (Place.PHRASE_START, Place.PHRASE):
            self._say(index, "a phrase was not closed before its boxes")
            self._phrase = self._phrase and (self._phrase[0], index)
            self._place = Place.AFTER_PHRASE
        elif place in (Place.UPPER_LEFT, Place.LOWER_RIGHT, Place.AFTER_BOX):
            return self._mend_object(index, kind)
        else:
            self._say(index, f"{_words(kind)} out of place (at {_words(place)}) was passed over")
            return False
        return True

    def _mend_object(self, index: int, kind: _Kind) -> bool:
        if self._place is Place.LOWER_RIGHT:
            self._say(self._upper_left[1], _HALF)
            self._place = Place.AFTER_BOX
            if kind in (_Kind.DELIMITER, _Kind.OBJECT_CLOSE):
                return True
        match kind:
            case _Kind.PIECE | _Kind.PHRASE_OPEN:
                self._say(index, "the list of boxes was not closed")
                self._emit(complete=True)
            case _Kind.LOCATION:
                self._say(index, "two boxes without a delimiter between them")
                self._place = Place.UPPER_LEFT
            case _Kind.OBJECT_CLOSE:
                self._say(index, "a list of boxes ended where a box was due")
                self._place = Place.AFTER_BOX
            case _:
                self._say(index, f"{_words(kind)} among boxes was passed over")
                return False
        return True

    def _cut(self, index: int) -> None:
        """End what is open, as incomplete."""
        if self._place is Place.LOWER_RIGHT:
            self._say(self._upper_left[1], _HALF)
        if self._place is Place.PHRASE and self._phrase:
            self._phrase = (self._phrase[0], index)
        if self._place is not Place.TEXT:
            self._emit(complete=False)

    def _emit(self, *, complete: bool) -> None:
        boxes = tuple(self._boxes)
        at = self._object
        if self._phrase:
            self._events.append(EntityTokens(*self._phrase, boxes, complete))
        else:
            self._events += [EntityTokens(at, at, (box,), complete) for box in boxes]
        self._place, self._phrase = Place.TEXT, None
        self._boxes.clear()
