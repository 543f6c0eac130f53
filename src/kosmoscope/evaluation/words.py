"""Names of things, stuff and scenes: COCO's classes, and other words for them.

`SYNONYMS` are words that are written instead of a name, in texts to learn from too; `ALSO` are
words that are understood as that name when a model wrote them.
"""

from __future__ import annotations

from kosmoscope.export.nouns import article, plural

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

PLURAL_NAMES = frozenset({
    "skis", "scissors", "headphones", "binoculars", "trees", "buildings", "rocks", "jeans",
    "pajamas", "mittens", "socks", "sandals", "clogs", "sunglasses", "swimming trunks",
    "standing stones", "paper towels", "rose hips",
})  # fmt: skip
# Said without an article: plural words and names of stuff.
_BARE = PLURAL_NAMES | {
    "broccoli", "make-up", "hay", "soup", "coral", "corn", "yarn", "dough", "bread", "armor",
    "pottery", "guacamole", "carbonara", "mashed potato", "chocolate sauce", "toilet paper",
}  # fmt: skip

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

ALSO = {
    "person": ("baby", "kid", "toddler", "lady", "guy", "gentleman", "adult", "player", "skier",
               "snowboarder", "surfer", "skateboarder", "rider", "cyclist", "biker", "pedestrian",
               "worker", "batter", "pitcher", "catcher", "umpire", "bride", "groom", "crowd",
               "teenager", "human", "people", "face", "cowboy", "chef", "officer", "policeman",
               "motorcyclist", "bicyclist", "passenger", "spectator"),
    "pedestrian": ("person", "man", "woman", "boy", "girl", "child"),
    "bicycle": ("cycle",), "motorcycle": ("bike", "scooter", "moped"),
    "car": ("suv", "taxi", "sedan", "automobile", "van", "jeep", "cab"),
    "airplane": ("jet", "airliner", "jetliner", "aeroplane"),
    "bus": ("coach", "minibus"), "train": ("locomotive", "tram"), "truck": ("van", "pickup"),
    "boat": ("sailboat", "canoe", "kayak", "yacht", "ferry", "vessel", "rowboat"),
    "traffic light": ("stoplight", "traffic signal"), "fire hydrant": ("hydrant",),
    "bird": ("duck", "seagull", "gull", "pigeon", "parrot", "owl", "goose", "swan", "eagle"),
    "cat": ("kitty",), "dog": ("pup",), "horse": ("pony", "foal", "mare"),
    "sheep": ("lamb", "ram", "ewe"), "cow": ("cattle", "calf", "ox"),
    "backpack": ("rucksack", "knapsack"), "umbrella": ("parasol",), "handbag": ("purse", "bag"),
    "tie": ("necktie", "bowtie"), "suitcase": ("luggage", "bag"), "skis": ("ski",),
    "sports ball": ("soccer ball", "tennis ball", "football", "basketball", "baseball"),
    "baseball bat": ("bat",), "baseball glove": ("glove", "mitt"), "surfboard": ("board",),
    "snowboard": ("board",), "skateboard": ("board",), "tennis racket": ("racket", "racquet"),
    "wine glass": ("glass",), "cup": ("mug", "glass"), "sandwich": ("burger", "hamburger"),
    "hot dog": ("hotdog",), "cake": ("cupcake",), "chair": ("armchair", "stool", "seat"),
    "couch": ("loveseat", "settee"), "potted plant": ("houseplant", "flowerpot"),
    "dining table": ("desk",), "tv": ("tvs", "monitor", "tv screen", "television set"),
    "laptop": ("computer", "notebook"), "mouse": ("computer mouse",),
    "remote": ("remote control", "controller"), "keyboard": ("computer keyboard",),
    "cell phone": ("cellphone", "smartphone"), "oven": ("stove",), "sink": ("washbasin",),
    "microwave": ("microwave oven",), "clock": ("watch",),
    "teddy bear": ("teddy", "stuffed animal"), "hair drier": ("hair dryer", "hairdryer"),
    "trees": ("wood", "bush"), "tree": ("forest", "wood", "bush"), "snow": ("slope",),
    "mountain": ("peak", "mountain range"), "sea": ("ocean", "water", "wave"),
    "river": ("stream", "water"), "sidewalk": ("pavement", "footpath"), "pavement": ("path",),
    "railroad": ("track", "train track", "railway"), "sky": ("cloud",), "house": ("building",),
    "rocks": ("rock", "stone", "boulder"), "playing field": ("field", "court"), "rug": ("carpet",),
    "wooden floor": ("floor",), "wooden wall": ("wall",), "brick wall": ("wall",),
    "stone wall": ("wall",), "tiled wall": ("wall",), "counter": ("countertop",),
    "grass": ("meadow", "pasture"), "sand": ("shore",), "fence": ("railing",),
}  # fmt: skip

SCENES = {
    "mountain": ("mountain", "hill", "peak"),
    "forest": ("forest", "wood", "woodland", "tree", "jungle"),
    "sea": ("sea", "ocean", "beach", "coast", "shore", "seashore"),
    "glacier": ("glacier", "ice", "iceberg", "snow"),
    "street": ("street", "road", "alley", "avenue"),
    "buildings": ("building", "house", "tower", "skyscraper"),
}
"""Words that name a scene; a scene that is not here is named by its own name."""

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
