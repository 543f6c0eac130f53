"""Phrase -> colour: by hash, so that a dog is the same colour in every picture and every run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

RGB = tuple[int, int, int]

PALETTE: tuple[RGB, ...] = (
    (255, 0, 30),
    (60, 255, 255),
    (150, 90, 225),
    (255, 225, 0),
    (255, 135, 180),
    (135, 195, 255),
    (180, 90, 150),
    (180, 195, 0),
    (165, 135, 255),
    (0, 180, 120),
    (75, 135, 45),
    (180, 240, 165),
    (195, 120, 195),
    (255, 180, 120),
    (180, 165, 45),
    (210, 75, 105),
    (0, 225, 225),
    (150, 165, 240),
    (255, 120, 120),
    (165, 105, 255),
    (150, 225, 180),
    (225, 240, 120),
    (165, 90, 195),
    (210, 210, 45),
)
"""Found by a search that maximises the smallest distance (in Oklab) between two colours as seen
with normal vision and with protanopia, deuteranopia and tritanopia (Machado, Oliveira and
Fernandes 2009, severity 1). Among the first twelve it is 0.097; among the six bright colours of
Okabe and Ito it is 0.076. The other twelve (0.05) step in when a picture has more than twelve
phrases. All are light enough for black digits on them and for being read on a black strip; none
is near white."""

BASE = 12
"""How many of them `phrase_colour` uses."""


def _digest(phrase: str) -> bytes:
    key = " ".join(phrase.casefold().split())
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _preferences(digest: bytes) -> list[int]:
    """The phrase's own order of the palette: a shuffle of the first twelve, then of the rest."""
    value = int.from_bytes(digest, "big")
    order: list[int] = []
    for pool in (list(range(BASE)), list(range(BASE, len(PALETTE)))):
        while pool:
            value, at = divmod(value, len(pool))
            order.append(pool.pop(at))
    return order


def phrase_colour(phrase: str) -> RGB:
    """Return the colour of a phrase on its own: sRGB, 0..255.

    It depends on the phrase alone (letter case and runs of spaces are ignored), never on order,
    picture or run.
    """
    return PALETTE[_preferences(_digest(phrase))[0]]


def picture_colours(phrases: Iterable[str]) -> dict[str, RGB]:
    """Return the colours of all phrases of one picture, different as long as there are colours.

    Where two phrases want the same colour, the one whose hash is smaller keeps it and the other
    takes its next choice; so it is the set of phrases that decides, not their order. Beyond
    `len(PALETTE)` phrases colours repeat, as evenly as possible.
    """
    by_digest: dict[bytes, list[str]] = {}
    for phrase in dict.fromkeys(phrases):
        by_digest.setdefault(_digest(phrase), []).append(phrase)
    chosen: dict[str, RGB] = {}
    used = [0] * len(PALETTE)
    # First all who can have their first choice: a collision must not push others aside.
    wanting: list[bytes] = []
    for digest in sorted(by_digest):
        first = _preferences(digest)[0]
        if used[first]:
            wanting.append(digest)
            continue
        used[first] = 1
        chosen.update(dict.fromkeys(by_digest[digest], PALETTE[first]))
    for digest in wanting:
        at = min(_preferences(digest), key=used.__getitem__)
        used[at] += 1
        chosen.update(dict.fromkeys(by_digest[digest], PALETTE[at]))
    return chosen
