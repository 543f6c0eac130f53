"""The closed words of the grammar: what counts, places, colours, sizes and relations are called.

Phrases are tuples of folded words; where several begin alike, the longest is meant.
"""

from __future__ import annotations

from typing import Final

Phrase = tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(" "))


def _phrases(text: str) -> tuple[Phrase, ...]:
    return tuple(tuple(line.split()) for line in text.split(","))


def _table(groups: dict[str, str]) -> dict[Phrase, str]:
    return {phrase: name for name, text in groups.items() for phrase in _phrases(text)}


ARTICLES: Final = frozenset(
    _words("a an the this that these those some any my your his her its our their")
)

NUMBERS: Final = {
    word: number
    for number, word in enumerate(
        _words(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
            "fifteen sixteen seventeen eighteen nineteen twenty"
        )
    )
} | {"dozen": 12}

AMOUNTS: Final[dict[Phrase, tuple[int, int | None]]] = {
    ("a", "dozen"): (12, 12),
    ("a", "couple", "of"): (2, 2),
    ("a", "couple"): (2, 2),
    ("a", "pair", "of"): (2, 2),
    ("both",): (2, 2),
    ("a", "single"): (1, 1),
    ("a", "few"): (3, None),
    ("few",): (3, None),
    ("several",): (3, None),
    ("many",): (5, None),
    ("a", "lot", "of"): (5, None),
    ("lots", "of"): (5, None),
}
"""Words for how many, with the least and the greatest number that they stand for."""

AT_LEAST: Final = _phrases("at least,no less than,no fewer than,minimum")
AT_MOST: Final = _phrases("at most,up to,no more than,maximum")
MORE_THAN: Final = _phrases("more than,over,above")
FEWER_THAN: Final = _phrases("fewer than,less than,under,below")
EXACTLY: Final = _phrases("exactly,only,just")
OR_MORE: Final = _phrases("or more,or over")
OR_FEWER: Final = _phrases("or fewer,or less")

RELATIONS: Final = _table(
    {
        "left": "left of,to the left of,on the left of,at the left of,on the left side of,"
        "on the left hand side of",
        "right": "right of,to the right of,on the right of,at the right of,on the right side of,"
        "on the right hand side of",
        "above": "above,over,higher than,on top of",
        "below": "below,under,underneath,beneath,lower than",
        "inside": "inside,inside of,within",
        "overlapping": "overlapping,overlapping with,covering,partly covered by",
        "near": "near,near to,next to,beside,by,close to,alongside,nearby",
        "larger": "larger than,bigger than",
        "smaller": "smaller than",
        "touching": "on,in,at,holding,wearing,riding,carrying,touching,sitting on,sitting in,"
        "standing on,standing in,lying on,lying in,walking on,upon,aboard,onto,into,at the top of,"
        "at the bottom of,in the middle of,in the centre of,in the center of",
    }
)
"""Words for what boxes can tell, or nearly: see `kosmoscope.questions.evaluate.space`."""

UNTOLD: Final = _phrases(
    "behind,in front of,between,around,through,across,among,against,looking at,facing,towards,"
    "toward,along,following,chasing"
)
"""Relations that boxes cannot tell: both things are looked for."""

TOUCHING_IS_A_GUESS: Final = frozenset(
    _words("holding wearing riding carrying sitting standing lying walking")
)

POSTURES: Final = frozenset(_words("sitting standing lying walking running parked placed"))
"""Words after a thing that say what it does, where boxes can tell only where it is."""
GROUPS: Final = frozenset(_words("group crowd herd flock bunch pile row stack line team school"))
"""'A group of people' is at least `SEVERAL` of them."""
SEVERAL: Final = 3
ANYTHING: Final = frozenset(_words("thing something anything object item"))

COLOURS: Final = {
    name: name for name in _words("black white grey red orange yellow green blue purple pink brown")
} | {"gray": "grey", "violet": "purple", "silver": "grey", "golden": "yellow", "beige": "brown"}
"""The eleven basic colour terms of English (Berlin and Kay, 1969), and some other words."""

SIZES: Final = {
    word: name
    for name, text in {
        "large": "large big huge giant enormous",
        "small": "small little tiny",
    }.items()
    for word in text.split()
}

SIDES: Final = {
    word: name
    for name, text in {
        "left": "left",
        "right": "right",
        "top": "top upper",
        "bottom": "bottom lower",
        "middle": "middle centre center",
        "background": "background distance",
        "foreground": "foreground front",
        "edge": "edge border",
    }.items()
    for word in text.split()
}
"""Words for a part of the picture; all but background, foreground and edge go together."""

PLACED_BY: Final = frozenset(_words("in on at to touching along near"))
PLACE_NOUNS: Final = frozenset(_words("side corner half part hand area edge"))
PICTURE_NOUNS: Final = frozenset(_words("picture image photo photograph frame scene shot"))

NOTHING: Final = frozenset(_words("no without not never zero"))
AND: Final = frozenset(_words("and with plus also but having has have containing contains &"))
OR: Final = frozenset(_words("or |"))
FILLERS: Final = frozenset(
    _words("is are was were be being that which who there it it's where whose located placed")
)
"""Words that join and say nothing of a picture."""

OPENINGS: Final = tuple(
    sorted(
        (
            (*verb, *what)
            for verb in _phrases("show,show me,find,find me,search,search for,give me,i want,")
            for what in _phrases(
                "pictures of,pictures with,pictures where,pictures that show,a picture of,"
                "a picture with,photos of,photos with,photos where,photos that show,a photo of,"
                "a photo with,images of,images with,images where,an image of,an image with,"
                "all pictures of,all pictures with,all photos of,all photos with,"
            )
        ),
        key=len,
        reverse=True,
    )
)
"""How people begin a request; it is left out."""

MONTHS: Final = {
    name[:length]: number
    for number, name in enumerate(
        _words(
            "january february march april may june july august september october november december"
        ),
        1,
    )
    for length in (3, len(name))
} | {"sept": 9}

RESERVED: Final = frozenset(
    word
    for table in (
        AMOUNTS, AT_LEAST, AT_MOST, MORE_THAN, FEWER_THAN, EXACTLY, OR_MORE, OR_FEWER, RELATIONS,
        UNTOLD,
    )
    for phrase in table
    for word in phrase
).union(
    ARTICLES, NUMBERS, POSTURES, GROUPS, COLOURS, SIZES, SIDES, PLACED_BY, NOTHING, AND, OR,
    FILLERS, MONTHS,
    _words("show find search give pictures picture photos photo images image all i score"),
    _words("confidence date taken folder from of since before until during to"),
)  # fmt: skip
"""Words that the grammar has a use for; as the name of a thing they stand in braces: {right}."""
