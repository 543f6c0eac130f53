"""How closely to look, and every number that the pass goes by, in one place."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from kosmoscope.errors import OptionError

MAX_TILES = 6
MAX_LOOKS = 64
LOOKS = 6

OVERLAP = 0.2
"""Of a tile's side, shared with the next: what is smaller than that lies whole in one of them."""
SPARED = 0.2
"""So much of a tile along the shorter side is done without, and the tiles are higher instead."""
LEAST_TILE = 0.3
"""A tile with fewer pixels a side than so much of what the model sees shows nothing more."""
ENLARGED = 1.5
"""By its size: tiles so many times as wide as the model sees are not divided further."""
ANOTHER = 0.03
"""Ask for a further instance from this probability that there is one: lists are cut afterwards,
by what each box is worth."""
MAX_BOXES = 12
"""Of one phrase on one view."""
EDGE = 0.02
"""A box that comes so near to an inner edge of its tile (share of the tile) is cut by it."""
LEAST_DETECTION = 0.1
"""What a detector inside the model holds for less likely is not looked at."""
ASKED_DETECTION = 0.3
"""What it holds for at least so likely is looked for by name on every view."""
INSIDE = 0.85
"""The share of a box that lies in another of its class, from which it is a part of it."""
PART_SCORE = 0.5
"""A part goes where its score is at most so much of the other's: surer ones are things of their
own, such as people in front of others."""
TWIN_IOU = 0.7
"""Two boxes of different classes that overlap so much are one object under two names."""
MOST_OF_A_TILE = 0.6
"""What fills more of a tile's area is left to the whole picture."""
DOUBTFUL = (0.1, 0.7)
"""Objects with a score between these are worth another look."""
CROP = 2.5
"""The side of the crop that an object is looked for on again, in sides of its box."""
LEAST_CROP = 0.12
"""The least side of such a crop, as a share of the picture's."""


@dataclass(frozen=True, slots=True)
class Detail:
    """How closely to look for every object.

    Raises:
        OptionError: a value out of its range.
    """

    tiles: int | None = None
    """Look at so many overlapping tiles along the longer side as well, 1 to 6: 1 is the whole
    alone, 2 is four tiles (two, if the picture is wide), 3 nine. None: by the picture's size."""
    looks: int = LOOKS
    """The budget: how many times a picture may go through the vision tower, the whole included, 1
    to 64. If the tiles are too many, they become fewer and larger."""
    seconds: float | None = None
    """Start nothing more for a picture's window after so many seconds. Results then depend on the
    machine."""
    phrases: tuple[str, ...] = ()
    """Look for these too, beside what the model names."""
    reground: bool = True
    """Look for everything that was named, in the whole and in every tile."""
    detections: bool = True
    """Count what a detector inside the model sees, if it has one, beside what the model says."""
    further: bool = True
    """Ask for further instances of a phrase as long as the model thinks it likely that there are
    any; otherwise as many as it lists by itself."""
    verify: bool = False
    """Spend looks that are left on a crop around doubtful objects: what is not found again there
    loses."""
    fuse: bool = True
    """An object's box is the mean of those that it was found by; otherwise the surest one."""
    whole_first: bool = True
    """Large things only from the whole, and what a tile's edge cuts from no tile."""
    parts: bool = True
    """Drop boxes that are a part of another of their class, those around several, and of one object
    under two names the less sure one."""
    least: float = 0.3
    """Leave out objects with a lower score, 0 to 1. What the caption locates always stays."""

    def __post_init__(self) -> None:
        if self.tiles is not None:
            self._integer("detail", self.tiles, MAX_TILES)
        self._integer("looks", self.looks, MAX_LOOKS)
        if self.seconds is not None and not _number(self.seconds, 0.0, 86_400.0):
            raise OptionError(f"seconds is {self.seconds!r}; expected a number, 0 to 86400")
        if not _number(self.least, 0.0, 1.0):
            raise OptionError(f"least is {self.least!r}; expected a number, 0 to 1")
        for name in ("reground", "detections", "further", "verify", "fuse", "whole_first", "parts"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name} is {getattr(self, name)!r}; expected True or False")
        phrases: Any = self.phrases
        fine = isinstance(phrases, (tuple, list)) and all(
            isinstance(p, str) and p.strip() for p in phrases
        )
        if not fine:
            raise OptionError(f"phrases is {phrases!r}; expected phrases with words in them")
        object.__setattr__(self, "phrases", tuple(phrases))

    @classmethod
    def of(cls, value: object) -> Detail:
        """Return what is meant by ``detail=``: a number of tiles, "auto", or a `Detail` itself.

        Raises:
            OptionError: it is none of them, or out of its range.
        """
        if isinstance(value, Detail):
            return value
        if value == "auto":
            return cls()
        if isinstance(value, bool) or not isinstance(value, int):
            raise OptionError(f'detail is {value!r}; expected 1 to {MAX_TILES}, "auto" or a Detail')
        cls._integer("detail", value, MAX_TILES)
        # As many looks as that takes: whoever asks for nine tiles means them.
        return cls(tiles=value, looks=max(LOOKS, value**2 + 1))

    @staticmethod
    def _integer(name: str, value: object, most: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise OptionError(f"{name} is {value!r}; expected a whole number, 1 to {most}")

    @property
    def key(self) -> str:
        """What tells it from others, in names of tasks: "detail-2", "detail-auto"; with 8 digits
        of a hash where more is said than the tiles."""
        level: int | str = "auto" if self.tiles is None else self.tiles
        if self == Detail.of(level):
            return f"detail-{level}"
        said = json.dumps(asdict(self), sort_keys=True)
        return f"detail-{level}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def _number(value: object, low: float, high: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and low <= value <= high
