"""The caption under the picture: words broken into lines, phrases in their boxes' colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kosmoscope.draw.palette import RGB
from kosmoscope.draw.text import CAP_HEIGHT, clean, measure
from kosmoscope.types import Entity

BACKGROUND: RGB = (8, 9, 11)
INK: RGB = (232, 234, 238)
_MIN_EMS = 8
"""A picture narrower than this many em has no room for a caption."""
_MAX_LINES = 24


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of a line in one colour."""

    x: float
    baseline: float
    text: str
    width: float
    colour: RGB
    entity: int | None = None
    """Index of the entity that it belongs to."""
    chip: bool = False
    """The text is the entity's number, in black on a field of the colour."""


@dataclass(frozen=True, slots=True)
class Strip:
    """The strip; y counts from its own upper edge."""

    height: int
    text_px: int
    runs: tuple[Run, ...]

    def chip_rect(self, run: Run) -> tuple[int, int, int, int]:
        """The field of a chip, with room around its number: x1, y1, x2, y2."""
        pad = 0.3 * self.text_px
        top = run.baseline - (CAP_HEIGHT + 0.22) * self.text_px
        bottom = run.baseline + 0.22 * self.text_px
        return (round(run.x - pad), round(top), round(run.x + run.width + pad), round(bottom))


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    entity: int | None
    chip: bool = False
    glued: bool = False
    """No space between it and the phrase before it: a comma."""


def make_strip(
    caption: str,
    entities: Sequence[Entity],
    colours: Mapping[str, RGB],
    width: int,
    text_px: int,
) -> Strip | None:
    """Break a caption into lines for a picture `width` pixels wide.

    Returns:
        None if there is nothing to say or the picture is too narrow to say it. A caption of
        more than 24 lines ends in an ellipsis.
    """
    pad = round(0.8 * text_px)
    room = width - 2 * pad
    words = _words(caption, entities)
    if not words or room < _MIN_EMS * text_px:
        return None
    lines = _lines(words, text_px, room)
    if len(lines) > _MAX_LINES:
        lines = lines[:_MAX_LINES]
        lines[-1].append(_Word("…", None))
    pitch = 1.55 * text_px
    runs: list[Run] = []
    for row, line in enumerate(lines):
        baseline = round(pad + row * pitch + (pitch + CAP_HEIGHT * text_px) / 2)
        runs += _runs(line, pad, baseline, text_px, entities, colours)
    return Strip(round(len(lines) * pitch) + 2 * pad, text_px, tuple(runs))


def _words(caption: str, entities: Sequence[Entity]) -> list[_Word]:
    """The caption's words, and a chip before each phrase; of overlapping spans the first counts."""
    words: list[_Word] = []
    at = 0
    for i in sorted(range(len(entities)), key=lambda i: entities[i].span):
        start, end = entities[i].span
        if not at <= start < end <= len(caption):
            continue
        words += _plain(caption, at, start, after=words)
        phrase = clean(caption[start:end]).split()
        if phrase:
            words += [_Word(str(i + 1), i, chip=True), *(_Word(w, i) for w in phrase)]
        at = end
    return words + _plain(caption, at, len(caption), after=words)


def _plain(caption: str, start: int, end: int, *, after: Sequence[_Word]) -> list[_Word]:
    words = [_Word(w, None) for w in clean(caption[start:end]).split()]
    if words and after and after[-1].entity is not None and not caption[start].isspace():
        words[0] = _Word(words[0].text, None, glued=True)
    return words


def _lines(words: Sequence[_Word], text_px: int, room: float) -> list[list[_Word]]:
    space = measure(" ", text_px)
    lines: list[list[_Word]] = [[]]
    used = 0.0
    for word in words:
        for piece in _pieces(word, text_px, room):
            wide = _advance(piece, text_px)
            if piece.glued and lines[-1]:
                used -= space
            # A chip at the end of a line would lose its phrase, a line must not begin with a
            # comma (there is room for one in the margin).
            needs = wide + 3 * text_px if piece.chip else wide
            stays = piece.glued and wide <= 0.8 * text_px
            if lines[-1] and used + needs > room and not stays:
                lines.append([])
                used = 0.0
            lines[-1].append(piece)
            used += wide + space
    return lines


def _pieces(word: _Word, text_px: int, room: float) -> list[_Word]:
    """A word longer than the line, cut into pieces that fit."""
    if _advance(word, text_px) <= room:
        return [word]
    pieces, piece = [], ""
    for c in word.text:
        if piece and measure(piece + c, text_px) > room:
            pieces.append(_Word(piece, word.entity))
            piece = ""
        piece += c
    return [*pieces, _Word(piece, word.entity)]


def _advance(word: _Word, text_px: int) -> float:
    return measure(word.text, text_px) + (0.6 * text_px if word.chip else 0.0)


def _runs(
    line: Sequence[_Word],
    left: int,
    baseline: float,
    text_px: int,
    entities: Sequence[Entity],
    colours: Mapping[str, RGB],
) -> list[Run]:
    space = measure(" ", text_px)
    runs: list[Run] = []
    x = float(left)
    at = 0
    while at < len(line):
        word = line[at]
        if word.glued and at:
            x -= space
        colour = INK if word.entity is None else colours[entities[word.entity].phrase]
        if word.chip:
            wide = measure(word.text, text_px)
            pad = 0.3 * text_px
            runs.append(Run(x + pad, baseline, word.text, wide, colour, word.entity, chip=True))
            x += wide + 2 * pad + space
            at += 1
            continue
        end = at
        while end < len(line) and line[end].entity == word.entity and not line[end].chip:
            end += 1
        # In one piece, so that words from right to left come out in their own order.
        text = " ".join(w.text for w in line[at:end])
        wide = measure(text, text_px)
        runs.append(Run(x, baseline, text, wide, colour, word.entity))
        x += wide + space
        at = end
    return runs
