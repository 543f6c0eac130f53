"""Is a phrase stuff (a region without a shape of its own) or a thing?"""

from __future__ import annotations

import re
from typing import Final

STUFF: Final = frozenset(
    re.findall(
        r"\w+",
        """
    air asphalt background backdrop bank beach brick bricks bush bushes cabinet carpet ceiling
    cement cliff cliffs cloud clouds cloth concrete corn countryside court crop crops curtain
    curtains darkness desert dirt dunes earth fabric fence field fields floor flooring fog foliage
    food forest forests foreground glacier grass grassland gravel greenery ground hay hedge hill
    hills hillside horizon ice jungle lake land landscape lawn leaves lava marsh meadow mist moss
    mountain mountains mud ocean pasture path pavement pitch plain plains plants pond prairie
    railroad railing rain rainforest ridge river road roads rock rocks runway sand savanna sea
    seabed shade shadow shadows shelf shore shoreline shrubs sidewalk skies sky slope slopes smoke
    snow soil stairs steam stone stones straw stream street sunset surf swamp tarmac terrain tiles
    track tracks tree trees treetops underbrush valley vegetation wall wallpaper walls water
    waterfall waves weeds wilderness wood woods woodland
    """,
    )
)
"""Heads of phrases; a single `tree` too, because crowns fill a box like woods do."""

_BREAK = re.compile(r"\b(?:of|in|on|with|at|by|near|behind|under|over|from|that|which|and)\b|,")
_QUANTITY: Final = frozenset(
    re.findall(
        r"\w+",
        """piece part patch row line group bit area expanse lot body bunch pile stretch strip
        range side top view covering layer sheet""",
    )
)


def is_stuff(phrase: str) -> bool:
    """Tell by the head of a phrase: the last word before a preposition ("the sky above a dog").

    >>> is_stuff("a snowy field"), is_stuff("a dog in a field"), is_stuff("a body of water")
    (True, False, True)
    """
    parts = [re.findall(r"[^\W\d_]+", part.lower()) for part in _BREAK.split(phrase)]
    heads = [words[-1] for words in parts if words]
    if len(heads) > 1 and heads[0] in _QUANTITY:
        heads = heads[1:]
    return bool(heads) and heads[0] in STUFF
