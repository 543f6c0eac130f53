"""From pictures' records to columns and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosmoscope.questions.evaluate.columns import BY_BITS, COLOUR_NAMES, Columns, Phrases
from kosmoscope.questions.evaluate.record import MAX_NUMBER, SCALE, ColouredBy, PictureRecord, Seen


@dataclass(frozen=True, slots=True)
class Packed:
    """Things as integers; the fields are those of `Columns`."""

    phrase: NDArray[np.int32]
    box: NDArray[np.uint16]
    probability: NDArray[np.uint16]
    colours: NDArray[np.uint16]
    number: NDArray[np.uint8]


def pack(things: Sequence[Seen], phrase_id: Callable[[Seen], int]) -> Packed:
    """Return things as integers, in their order."""
    boxes = [[_whole(v) for v in seen.box or (0, 0, 0, 0)] for seen in things]
    return Packed(
        np.array([phrase_id(seen) for seen in things], np.int32),
        np.array(boxes, np.uint16).reshape(-1, 4),
        np.array([_whole(seen.probability) for seen in things], np.uint16),
        np.array([colour_bits(s.colours) | BY_BITS[s.coloured_by] for s in things], np.uint16),
        np.array([min(max(seen.number, 1), MAX_NUMBER) for seen in things], np.uint8),
    )


def _whole(value: float) -> int:
    return min(max(round(value * SCALE), 0), SCALE)


def colour_bits(names: Iterable[str]) -> int:
    """Return colours as bits."""
    return sum(1 << COLOUR_NAMES.index(name) for name in set(names))


def colours_of(bits: int) -> tuple[str, ...]:
    """Return the colours of bits, in the order of `COLOUR_NAMES`."""
    return tuple(name for i, name in enumerate(COLOUR_NAMES) if bits >> i & 1)


def coloured_by(bits: int) -> ColouredBy:
    """Return whose pixels the colours of bits are of."""
    return "mask" if bits & BY_BITS["mask"] else "box" if bits & BY_BITS["box"] else ""


def columns_of(records: Sequence[PictureRecord]) -> Columns:
    """Return records as columns, all in memory."""
    phrases: dict[tuple[str, str, tuple[str, ...]], int] = {}

    def phrase_id(seen: Seen) -> int:
        return phrases.setdefault((seen.phrase, seen.noun, seen.words), len(phrases))

    things = pack([seen for r in records for seen in r.things], phrase_id)
    folders = {r.folder: 0 for r in records}
    numbers = {name: i for i, name in enumerate(folders)}
    having: dict[str, list[int]] = defaultdict(list)
    for i, record in enumerate(records):
        for word in record.words:
            having[word].append(i)
    return Columns(
        len(records),
        np.repeat(np.arange(len(records), dtype=np.int32), [len(r.things) for r in records]),
        things.phrase,
        things.box,
        things.probability,
        things.colours,
        things.number,
        Phrases([noun for _, noun, _ in phrases], [words for _, _, words in phrases]),
        np.array([numbers[r.folder] for r in records], np.int32),
        list(folders),
        np.array([day_number(r.taken) for r in records], np.uint32),
        lambda word: np.array(having.get(word, []), np.intp),
    )


def day_number(iso: str | None) -> int:
    """Return a day as year * 10,000 + month * 100 + day; 0 for none."""
    return 0 if iso is None else int(iso.replace("-", ""))
