"""Tagged text of other Kosmos-2 runs to a `Description`, without a model or its tokenizer.

Only the tags are tokens here; each run of text between them is one. The reading itself is
`kosmoscope.reading`'s, so what is mended and what is warned about is the same as for a model's own
output.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import cast

from kosmoscope.errors import BoxError, InputError, OptionError, PromptError
from kosmoscope.export.tagged import ESCAPES, HEADING
from kosmoscope.reading import ReadEntity, marked, read, tagged
from kosmoscope.results import Description
from kosmoscope.tokens import SPECIALS, TAGS, Tokenizer, TokenSet, cells_to_xyxy, location_token
from kosmoscope.types import Box, Entity, ImageInfo

_OFF_GRID = "<patch_index>"
_NAMES = (*SPECIALS, *TAGS, _OFF_GRID)
_ID = {name: i for i, name in enumerate(_NAMES)}
_MARKUP = re.compile("|".join([*map(re.escape, _NAMES[:-1]), r"<patch_index_(\d{1,9})>"]))
_MAX_RUNS = 65_536
"""Runs of text in one output: a model's longest one has 2,048 tokens."""
_MAX_SIDE = 256
_UNESCAPES = {escape[1]: character for character, escape in ESCAPES.items()}


@lru_cache(maxsize=4)
def _tokens(side: int) -> TokenSet:
    """Return made-up ids: the tags, one for corners off the grid, the cells, the runs of text."""
    return TokenSet(
        bos=_ID["<s>"],
        pad=_ID["<pad>"],
        eos=_ID["</s>"],
        unk=_ID["<unk>"],
        image_open=_ID["<image>"],
        image_close=_ID["</image>"],
        phrase_open=_ID["<phrase>"],
        phrase_close=_ID["</phrase>"],
        object_open=_ID["<object>"],
        object_close=_ID["</object>"],
        delimiter=_ID["</delimiter_of_multi_objects/>"],
        grounding=_ID["<grounding>"],
        first_location=len(_NAMES),
        location_count=side * side,
        vocab_size=len(_NAMES) + side * side + _MAX_RUNS,
        markup=frozenset(_ID.values()),
    )


class _Lexer:
    """What `kosmoscope.reading` asks of a tokenizer: `tokens`, `piece` and `decode`."""

    def __init__(self, side: int) -> None:
        self.tokens = _tokens(side)
        self._first_run = len(_NAMES) + side * side
        self._runs: list[str] = []
        self.warnings: list[str] = []

    def lex(self, text: str) -> list[int]:
        """Return the ids of tagged text."""
        ids: list[int] = []
        at = 0
        for match in _MARKUP.finditer(text):
            ids += self.run(text[at : match.start()])
            ids.append(self._tag(match))
            at = match.end()
        return ids + self.run(text[at:])

    def run(self, text: str) -> list[int]:
        """Return the id of a run of text, if there is any."""
        if not text:
            return []
        if len(self._runs) == _MAX_RUNS:
            raise InputError(f"the text has more than {_MAX_RUNS} pieces between tags")
        self._runs.append(text)
        return [self._first_run + len(self._runs) - 1]

    def _tag(self, match: re.Match[str]) -> int:
        if match[1] is None:
            return _ID[match[0]]
        cell, count = int(match[1]), self.tokens.location_count
        if cell < count:
            return self.tokens.location_id(cell)
        self.warnings.append(f"{match[0]} is not on the grid (0..{count - 1}) and was left out")
        return _ID[_OFF_GRID]

    def piece(self, token_id: int) -> str:
        return self._runs[token_id - self._first_run] if token_id >= self._first_run else ""

    def decode(self, ids: Iterable[int], *, keep_tags: bool = False) -> str:
        parts: list[str] = []
        for i in ids:
            if i >= self._first_run:
                parts.append(self.piece(i))
            elif keep_tags and self.tokens.is_location(i):
                parts.append(location_token(self.tokens.cell(i)))
            elif keep_tags and len(SPECIALS) <= i < _ID[_OFF_GRID]:
                parts.append(_NAMES[i])
        return "".join(parts)


def parse_tagged(
    text: str,
    image_wh: tuple[int, int],
    *,
    path: str = "<tagged>",
    prompt: str = "",
    echo: bool = True,
    model: str = "unknown",
    precision: str = "unknown",
    side: int = 32,
) -> Description:
    """Read the tagged text of a Kosmos-2 run.

    Args:
        text: what transformers' ``batch_decode`` or ``post_process_generation(...,
            cleanup_and_extract=False)`` returned; all up to the last ``</image>`` is passed over.
        image_wh: width and height of the upright picture in pixels.
        path: the picture's path.
        prompt: what the model was asked, as it begins the text: plain or with tags. Without it the
            whole text counts as the model's.
        echo: False: the prompt was an instruction or a question and is no part of the caption.
        model: which model wrote it.
        precision: of the model.
        side: cells along each side of the model's grid.

    Returns:
        A description without token ids, scores, refined boxes and timings. `finish_reason` is
        "length" where the text ends inside an entity, else "stop": the text does not tell more.
        `warnings` has what was not well-formed.

    Raises:
        PromptError: the text does not begin with the prompt.
        OptionError: the size of the picture or of the grid is not positive.
        InputError: the text has more pieces than any model writes.
    """
    width, height = image_wh
    if width < 1 or height < 1:
        raise OptionError(f"a picture of {width} x {height} pixels; expected at least 1 x 1")
    if not 1 <= side <= _MAX_SIDE:
        raise OptionError(f"a grid of {side} cells a side; expected 1..{_MAX_SIDE}")
    lexer = _Lexer(side)
    # It has all that `reading` uses of one; what needs a real vocabulary is not called.
    tokenizer = cast(Tokenizer, lexer)
    ids = lexer.lex(text.rpartition("</image>")[2])
    tail, ids = _split(ids, lexer, tokenizer, prompt)
    reading = read([*tail, *ids] if echo else ids, tokenizer)
    image = ImageInfo(path, width, height)
    entities = tuple(_entity(e, (width, height), side) for e in reading.entities)
    return Description(
        image=image,
        model=model,
        precision=precision,
        prompt=read(tail, tokenizer).text,
        caption=reading.text,
        text=read(ids, tokenizer).text,
        tagged=tagged([*tail, *ids], tokenizer),
        marked=marked([*tail, *ids], tokenizer),
        raw=text,
        entities=entities,
        token_ids=(),
        finish_reason="stop" if all(e.complete for e in entities) else "length",
        warnings=(*lexer.warnings, *reading.warnings),
    )


def _entity(found: ReadEntity, image_wh: tuple[int, int], side: int) -> Entity:
    boxes: list[Box] = []
    for box in found.boxes:
        try:
            xyxy = cells_to_xyxy(box.upper_left, box.lower_right, side)
        except BoxError as e:  # the parser left inverted ones out
            raise AssertionError(f"the parser let through {box}") from e
        boxes.append(Box.of(xyxy, image_wh))
    return Entity(found.phrase, found.span, tuple(boxes), None, found.complete)


def _split(
    ids: list[int], lexer: _Lexer, tokenizer: Tokenizer, prompt: str
) -> tuple[list[int], list[int]]:
    """Return the prompt's ids and the model's own."""
    wanted = read(lexer.lex(prompt), tokenizer).text
    if not wanted:
        return [], ids
    if not read(ids, tokenizer).text.startswith(wanted):
        raise PromptError(f"the text does not begin with the prompt {wanted!r}")
    joined = "".join(map(lexer.piece, ids))
    left = len(joined) - len(joined.lstrip()) + len(wanted)
    for index, i in enumerate(ids):
        piece = lexer.piece(i)
        if len(piece) < left:
            left -= len(piece)
            continue
        before, after = ids[:index], ids[index + 1 :]
        if left < len(piece):
            return [*before, *lexer.run(piece[:left])], [*lexer.run(piece[left:]), *after]
        return [*before, i], after
    raise AssertionError("the prompt ends after the text")


def read_tagged(text: str, *, model: str = "unknown", side: int = 32) -> Iterator[Description]:
    """Yield the descriptions of a file that `to_tagged` wrote, parsed with `parse_tagged`.

    Raises:
        InputError: the heading is missing, or a line is of another shape; the message has its
            number.
    """
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[0].rstrip("\r") != HEADING:
        raise InputError(f"line 1: expected the heading {HEADING!r}")
    for number, line in enumerate(lines[1:], 2):
        fields = line.rstrip("\r").split("\t")
        if fields == [""]:
            continue
        try:
            path, width, height, tagged = map(_unescaped, fields)
            image_wh = int(width), int(height)
        except ValueError as e:
            raise InputError(f"line {number}: expected picture, width, height and text") from e
        try:
            description = parse_tagged(tagged, image_wh, path=path, model=model, side=side)
        except InputError as e:
            raise InputError(f"line {number}: {e}") from e
        yield description


def _unescaped(field: str) -> str:
    def undo(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return _UNESCAPES.get(match[2], match[0])

    return re.sub(r"\\(?:u([0-9a-f]{4})|(.))", undo, field)
