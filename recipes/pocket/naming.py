"""What the classifier's classes are called by people.

`imagenet.txt` has a name for each of ImageNet's 1,000 classes in their order, one name for all that
people call the same: 118 breeds are "dog". "-" has none. `EXTRA` are names that ImageNet lacks,
learned from the photo sets; one class more is scenery, which is no object at all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosmoscope.evaluation.words import plain

_FILE = Path(__file__).with_name("imagenet.txt")

# name: its labels in the sets
EXTRA: dict[str, tuple[str, ...]] = {
    "dandelion": ("dandelion",), "rose": ("rose",), "sunflower": ("sunflower",),
    "tulip": ("tulip",), "anchor": ("anchor",), "bonsai tree": ("bonsai",),
    "statue": ("buddha",), "chandelier": ("chandelier",), "helicopter": ("helicopter",),
    "hedgehog": ("hedgehog",), "dolphin": ("dolphin",), "emu": ("emu",),
    "gramophone": ("gramophone",), "headphones": ("headphones",), "roller skate": ("inline skate",),
    "mandolin": ("mandolin",), "menorah": ("menorah",), "metronome": ("metronome",),
    "minaret": ("minaret",), "octopus": ("octopus",), "pagoda": ("pagoda",),
    "pyramid": ("pyramid",), "rhinoceros": ("rhino",), "seahorse": ("seahorse",),
    "stapler": ("stapler",), "water lily": ("lotus", "water lily"), "wheelchair": ("wheelchair",),
    "wrench": ("wrench",), "scissors": ("scissors",), "okapi": ("okapi",),
    "Joshua tree": ("Joshua tree",), "euphonium": ("euphonium",), "stop sign": ("stop sign",),
    "giraffe": ("giraffe",), "house": ("house",), "person": ("person", "human face"),
}  # fmt: skip
# Labels of the sets under names of `imagenet.txt`, where neither they nor `plain` say it.
_SAME = {
    "Windsor chair": "chair", "bass": "fish", "ceiling fan": "fan", "crocodile head": "crocodile",
    "cougar face": "cougar", "ewer": "jug", "ferry": "ship", "gerenuk": "antelope",
    "hawksbill turtle": "turtle", "ibis": "bird", "ketch": "sailboat", "mayfly": "insect",
    "mobile phone": "cell phone", "nautilus": "shell", "pigeon": "bird",
    "schooner": "sailing ship", "soccer ball": "sports ball", "flamingo head": "flamingo",
    "wild cat": "cat", "Dalmatian dog": "dog", "African elephant": "elephant",
    "American alligator": "crocodile", "American lobster": "lobster", "spiny lobster": "lobster",
    "Arabian camel": "camel", "academic gown": "gown", "bannister": "staircase",
    "beacon": "lighthouse", "bighorn": "sheep", "black stork": "stork", "black widow": "spider",
    "tarantula": "spider", "boa constrictor": "snake", "brain coral": "coral", "brass": "plaque",
    "brown bear": "bear", "bullfrog": "frog", "tailed frog": "frog", "butcher shop": "shop",
    "confectionery": "shop", "cardigan": "sweater", "gasmask": "gas mask", "gazelle": "antelope",
    "iPod": "music player", "jinrikisha": "rickshaw", "king penguin": "penguin",
    "lakeside": "lake", "lampshade": "lamp", "lesser panda": "red panda",
    "magnetic compass": "compass", "military uniform": "uniform", "miniskirt": "skirt",
    "monarch": "butterfly", "sulphur butterfly": "butterfly", "pay-phone": "telephone",
    "picket fence": "fence", "plate": "plate of food", "potpie": "pie",
    "potter's wheel": "pottery", "projectile": "missile", "reel": "fishing reel",
    "rugby ball": "sports ball", "volleyball": "sports ball", "basketball": "sports ball",
    "sandal": "sandals", "sock": "socks", "Christmas stocking": "socks", "sombrero": "hat",
    "space heater": "heater", "thatch": "thatched roof", "triumphal arch": "arch",
    "vestment": "robe", "walking stick": "insect", "water jug": "jug", "wooden spoon": "spoon",
    "espresso": "cup", "flagpole": "flag", "hog": "pig", "fur coat": "coat",
    "European fire salamander": "salamander", "albatross": "bird", "seashore": "beach",
    "alp": "mountain", "gondola": "boat", "lifeboat": "boat", "steel arch bridge": "bridge",
    "comic book": "comic", "police van": "van", "trolleybus": "bus", "moving van": "truck",
    "baboon": "monkey",
}  # fmt: skip


def _imagenet() -> list[str | None]:
    found: list[str | None] = []
    for item in _FILE.read_text(encoding="utf-8").replace("\n", " ").split(","):
        name, _, count = item.strip().partition(" x")
        if count and not count.isdigit():
            name, count = item.strip(), ""
        found += [None if name == "-" else name] * int(count or 1)
    return found


IMAGENET = _imagenet()
LABELS = [*IMAGENET, *EXTRA, None]
"""The name of each class of the last layer; the last one is scenery."""
NAMES = sorted({name for name in LABELS if name is not None})
GROUP: NDArray[np.int64] = np.array([-1 if n is None else NAMES.index(n) for n in LABELS])
"""Index of a class's name, -1 without one."""
_BY_LABEL = {label: name for name, labels in EXTRA.items() for label in labels}


def name_of(label: str) -> str | None:
    """What a label of the photo sets is called here, None if it has no name of `NAMES`."""
    for name in (_SAME.get(label), _BY_LABEL.get(label), label, plain(label)):
        if name in NAMES:
            return name
    return None
