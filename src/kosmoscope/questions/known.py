"""From what was said about a picture to the record in which questions are asked of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from kosmoscope.choosing import chosen, known_score
from kosmoscope.export.nouns import head_noun, singular
from kosmoscope.export.things import kind_of
from kosmoscope.geometry import XYXY
from kosmoscope.questions.colours import colours_in, colours_of
from kosmoscope.questions.evaluate.record import (
    MAX_NUMBER,
    SCALE,
    ColouredBy,
    PictureRecord,
    Seen,
    rounded,
)
from kosmoscope.questions.evaluate.rules import ANYTHING
from kosmoscope.questions.language.lexicon import COLOURS, NUMBERS, RESERVED, SEVERAL
from kosmoscope.questions.language.tokens import fold, words_of
from kosmoscope.questions.looking import Looked
from kosmoscope.questions.shapes import mask_of, plain
from kosmoscope.questions.words import is_known
from kosmoscope.types import Box, Entity, GroundedCaption

SAME_IOU = 0.5
"""From which overlap on boxes of one kind, of two texts about a picture, are one thing."""
UNSCORED = 0.8
"""Of a box that has no score: it was given, or read from text that has none."""
SAID = 0.5
"""Of what a text names without a box, and without a score."""
RULES = 2
"""Goes up with every change of what is made of the same results: an index is then made anew."""


def record_of(
    descriptions: Sequence[GroundedCaption], path: str, looked: Looked | None = None
) -> PictureRecord:
    """Return what is known of a picture.

    Args:
        descriptions: of the picture, one for each thing that was asked of the model.
        path: of the picture, as its results name it.
        looked: what its file says besides; None: it was not read.
    """
    kept = list(chosen(descriptions, merge_iou=SAME_IOU, label=kind_of))
    things: list[Seen] = []
    words: set[str] = set()
    for description in kept:
        for entity in description.entities:
            things += _of_entity(entity, description.caption, looked)
        things += _of_words(description)
        words.update(_singulars(description.text))
        words.update(word for e in description.entities for word in _singulars(e.phrase))
    once = tuple(dict.fromkeys(things))
    return PictureRecord(
        once, frozenset(words), folder_of(path), None if looked is None else looked.taken
    )


def folder_of(path: str) -> str:
    """Return the folder of a picture, folded, with slashes, without those at its ends."""
    return fold(path.replace("\\", "/").rpartition("/")[0]).strip("/")


@lru_cache(maxsize=65_536)
def named(phrase: str) -> tuple[str, tuple[str, ...], tuple[str, ...], int]:
    """Return a phrase's noun, its words in the singular, its colours, and how many it says.

    Of a plural without a number it is `SEVERAL`, else 1.
    """
    folded = fold(phrase)
    said = words_of(phrase)
    noun = head_noun(folded) if said else ANYTHING
    words = tuple(map(singular, said))
    last = noun.rpartition(" ")[2]
    before = said[: words.index(last)] if last in words else []  # "a man in a red hat"
    colours = tuple(dict.fromkeys(COLOURS[w] for w in before if w in COLOURS))
    number = next((NUMBERS[w] for w in before if w in NUMBERS), 0)
    several = any(one == last and word != one for word, one in zip(said, words, strict=True))
    return noun, words, colours, number or (SEVERAL if several else 1)


def _singulars(text: str) -> Iterator[str]:
    return map(singular, words_of(text))


def _of_entity(entity: Entity, caption: str, looked: Looked | None) -> Iterator[Seen]:
    phrase = plain(entity.phrase)
    noun, words, colours, number = named(phrase)
    if not entity.boxes:
        score = known_score(entity.score)
        yield Seen(phrase, noun, rounded(SAID if score is None else score), None, words, colours)
        return
    many = len(entity.boxes)
    if entity.count is not None and (entity.count_confidence or 0.0) >= 0.5:
        number = entity.count
    elif number == SEVERAL and many > 1:
        number = many  # several, and here they are
    for i, box in enumerate(entity.boxes):
        corners = corners_of(box)
        pixels, by = _looked_at(looked, caption, phrase, corners)
        # Those that nobody located are where the last one is.
        here = min(max(number - many + 1, 1), MAX_NUMBER) if i == many - 1 else 1
        score = known_score(box.shown_score)
        yield Seen(
            phrase, noun, rounded(UNSCORED if score is None else score), corners, words,
            tuple(dict.fromkeys((*colours, *pixels))), here, by,
        )  # fmt: skip


def _looked_at(
    looked: Looked | None, caption: str, phrase: str, box: XYXY
) -> tuple[tuple[str, ...], ColouredBy]:
    """Return the colours that a thing's pixels have, and which pixels those are."""
    if looked is None:
        return (), ""
    mask = mask_of(looked.shapes, caption, phrase, box)
    if mask is not None:
        return colours_of(looked.colours, mask), "mask"
    return colours_in(looked.colours, box), "box"


def corners_of(box: Box) -> XYXY:
    """Return a box as records have it: the finer corners where there are any, as they are kept."""
    x1, y1, x2, y2 = map(rounded, box.refined or box.xyxy)
    # A box of no extent is still a box: its far corner is beyond 0.
    return x1, y1, max(x2, x1, 1 / SCALE), max(y2, y1, 1 / SCALE)


def _of_words(description: GroundedCaption) -> Iterator[Seen]:
    """Yield the nouns that the text has outside of its phrases."""
    start = len(description.caption) - len(description.text)
    at = 0
    for piece, entity in description.pieces():
        if entity is None:
            for word in words_of(piece[max(start - at, 0) :]):
                noun = singular(word)
                if is_known(noun) and word not in RESERVED:
                    yield Seen(noun, noun, SAID, None, (noun,))
        at += len(piece)
