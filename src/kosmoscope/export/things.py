"""Which phrases mean one kind of thing: by head noun, and by a few words for the same."""

from __future__ import annotations

from functools import lru_cache

from kosmoscope.export.nouns import article, head_noun, plural


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SAME = (
    "person man woman boy girl child baby kid lady guy player rider skier surfer pedestrian",
    "car taxi sedan suv automobile",
    "truck lorry pickup",
    "bicycle bike",
    "motorcycle motorbike scooter moped",
    "airplane plane aircraft jet airliner",
    "boat ship sailboat ferry",
    "couch sofa",
    "tv television",
    "house building",
    "tree trees forest wood",
    "mountain hill peak",
    "street road",
    "sea ocean",
    "grass lawn meadow",
    "dog puppy",
    "cat kitten",
    "cow bull cattle",
    "cell_phone phone cellphone smartphone mobile_phone",
)
"""Words for one kind of thing, as far as a box is concerned; the first one stands for all."""
_KINDS = {
    word.replace("_", " "): line.split()[0].replace("_", " ")
    for line in _SAME
    for word in line.split()
}
_UNCOUNTED = _words(
    "sky grass snow sand water sea ocean ground pavement traffic food furniture ice fog rain "
    "scenery vegetation foliage road street floor ceiling wall"
)


@lru_cache(maxsize=4096)
def kind_of(phrase: str) -> str:
    """Return the kind of thing that a phrase names, a noun in the singular; "" for none."""
    noun = head_noun(phrase)
    return _KINDS.get(noun, noun)


def is_countable(noun: str) -> bool:
    """Say whether there can be several: houses, but not skies."""
    return noun not in _UNCOUNTED


def one_of(noun: str) -> str:
    """Return "a house", "an airplane"; "grass" stays as it is."""
    if not is_countable(noun):
        return noun
    return f"{article(noun)} {noun}"


def asked(noun: str) -> tuple[str, ...]:
    """Return the phrases by which a kind is looked for: all of it, and one."""
    return (plural(noun), one_of(noun)) if is_countable(noun) else (noun,)
