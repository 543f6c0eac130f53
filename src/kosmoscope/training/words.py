"""Names of things and stuff: COCO's classes, plurals, articles, numbers, other words for them."""

from __future__ import annotations

CLASS_NAMES = tuple(
    """person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,
    stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,
    umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,
    baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,
    banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,
    bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,
    refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush""".replace(
        "\n    ", ""
    ).split(",")
)

_PLURALS = {
    "person": "people", "sheep": "sheep", "bus": "buses", "bench": "benches", "couch": "couches",
    "skis": "skis", "scissors": "scissors", "knife": "knives", "broccoli": "broccoli",
    "mouse": "mice", "toothbrush": "toothbrushes", "wine glass": "wine glasses",
    "sandwich": "sandwiches", "headphones": "headphones", "binoculars": "binoculars",
}  # fmt: skip
# Said without an article: plural words and names of stuff.
_BARE = {"skis", "scissors", "headphones", "binoculars", "trees", "broccoli", "buildings", "rocks"}

SYNONYMS = {
    "person": ("man", "woman", "boy", "girl", "child", "someone"),
    "airplane": ("plane", "aircraft"), "motorcycle": ("motorbike",), "bicycle": ("bike",),
    "couch": ("sofa",), "tv": ("television", "screen"), "cell phone": ("phone", "mobile phone"),
    "dining table": ("table",), "refrigerator": ("fridge",), "potted plant": ("plant",),
    "sports ball": ("ball",), "cow": ("bull",), "dog": ("puppy",), "cat": ("kitten",),
    "boat": ("ship",), "donut": ("doughnut",), "truck": ("lorry",), "building": ("house",),
    "mountain": ("mountains", "hill"), "water": ("sea", "lake", "river", "ocean"),
    "trees": ("tree", "forest"), "grass": ("lawn", "field"), "snow": ("ice", "glacier"),
    "road": ("street",), "sand": ("beach",), "pavement": ("sidewalk",), "ground": ("dirt",),
}  # fmt: skip

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

# Finely named classes under the word that a person would use first. Others keep their name.
PLAIN = {
    "Chihuahua": "dog", "Yorkshire terrier": "dog", "golden retriever": "dog",
    "Labrador retriever": "dog", "German shepherd": "dog", "standard poodle": "dog",
    "Dalmatian dog": "dog", "tabby": "cat", "Persian cat": "cat", "Egyptian cat": "cat",
    "wild cat": "wildcat", "cougar face": "cougar", "brown bear": "bear",
    "African elephant": "elephant", "ox": "cow", "electric guitar": "guitar",
    "human face": "person", "motorbike": "motorcycle", "mobile phone": "cell phone",
    "sports car": "car", "convertible": "car", "limousine": "car", "beach wagon": "car",
    "police van": "van", "moving van": "truck", "school bus": "bus", "trolleybus": "bus",
    "bullet train": "train", "freight car": "train", "king penguin": "penguin",
    "black stork": "bird", "albatross": "bird", "goose": "bird", "pigeon": "bird",
    "American alligator": "alligator", "crocodile head": "crocodile", "bullfrog": "frog",
    "tailed frog": "frog", "monarch": "butterfly", "sulphur butterfly": "butterfly",
    "Windsor chair": "chair", "rocking chair": "chair", "teddy": "teddy bear",
    "beer bottle": "bottle", "pop bottle": "bottle", "pill bottle": "bottle",
    "flamingo head": "flamingo", "American lobster": "lobster", "spiny lobster": "lobster",
    "tarantula": "spider", "black widow": "spider", "Arabian camel": "camel", "barn": "house",
    "ferry": "boat", "ketch": "boat", "schooner": "boat", "lifeboat": "boat", "gondola": "boat",
    "computer keyboard": "keyboard", "remote control": "remote", "soccer ball": "sports ball",
    "hawksbill turtle": "turtle", "lesser panda": "red panda", "boa constrictor": "snake",
    "viaduct": "bridge", "steel arch bridge": "bridge", "suspension bridge": "bridge",
    "grand piano": "piano", "hog": "pig", "European fire salamander": "salamander",
    "alp": "mountain", "lakeside": "lake", "seashore": "sea", "rooster": "rooster",
}  # fmt: skip


def article(word: str) -> str:
    """ "a" or "an"."""
    return "an" if word[0].lower() in "aeiou" and not word.startswith(("uni", "eu")) else "a"


def plural(name: str) -> str:
    """More than one of them."""
    if name in _PLURALS:
        return _PLURALS[name]
    if name.endswith(("s", "ch", "sh", "x")):
        return name + "es"
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + "s"


def counted(name: str, count: int) -> str:
    """ "a dog", "two dogs", "many people"."""
    if name in _BARE:
        return name
    if count == 1:
        return f"{article(name)} {name}"
    word = NUMBERS[count] if count < 9 else "many"
    return f"{word} {plural(name)}"


def plain(label: str) -> str:
    """The word for a class of a whole picture."""
    name = PLAIN.get(label, label)
    return name if name[0].isupper() and " " in name else name.lower()
