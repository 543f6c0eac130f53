"""Where photographs and WordNet differ: senses that come first in pictures, kinds that it lacks."""

from __future__ import annotations

SENSES = {
    "banana": 2, "bat": 5, "board": 3, "cake": 3, "court": 4, "crane": 5, "glass": 2, "hot dog": 2,
    "hotdog": 2, "jersey": 3, "kite": 3, "light": 2, "microwave": 2, "monitor": 4, "mouse": 4,
    "park": 2, "path": 2, "pitcher": 2, "plant": 2, "ring": 3, "screen": 3, "sign": 2, "slide": 4,
    "television": 3, "toaster": 2, "toilet": 2, "track": 3, "tv": 2,
}  # fmt: skip
"""Noun -> which of its senses a picture's text means, where it is not the first."""

EXTRA = (
    ("boy", "child"), ("broccoli", "vegetable"), ("bus", "vehicle"), ("carrot", "vegetable"),
    ("cell phone", "phone"), ("frisbee", "toy"), ("girl", "child"), ("kite", "toy"),
    ("lily", "flower"), ("potted plant", "plant"), ("rose", "flower"), ("sports ball", "ball"), ("stop sign", "sign"),
    ("teddy bear", "toy"), ("train", "vehicle"), ("wine glass", "glass"),
)  # fmt: skip
"""Kinds that WordNet has no name for, and what they are."""

CUT = frozenset((("wheeled vehicle", "container"),))
"""Kinds that WordNet has and nobody means: the word below, and the word above."""

_TEXT = (
    "entity object whole unit thing matter substance part piece relation attribute abstraction "
    "group grouping measure state event act action activity artifact instrumentality"
)
TOO_GENERAL = frozenset(_TEXT.split())
"""What nobody asks for, or what everything would be."""
