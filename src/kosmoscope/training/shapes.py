"""Rendered shapes: pictures whose every box is known, and the text of each task they answer.

A `Scene` is a description; `render` draws it and `examples` words it. Both are functions of the
scene alone (and of the generator handed in), so a run that resumes sees the same pictures.

Frame of reference: boxes are (x1, y1, x2, y2) in 0..1 of the picture's width and height.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from kosmoscope.training.tokenizer import location_token

BoxNorm = tuple[float, float, float, float]
Rgb = tuple[int, int, int]

GRID = 32  # location cells per side
_OVERSAMPLE = 2  # drawn larger and averaged down: edges are soft, as in a resized photograph

COLOURS: dict[str, Rgb] = {
    "red": (214, 38, 38),
    "green": (30, 140, 56),
    "blue": (40, 72, 208),
    "yellow": (244, 214, 40),
    "orange": (244, 132, 24),
    "purple": (126, 48, 156),
    "black": (20, 20, 22),
    "white": (248, 248, 248),
}
SHAPES = ("circle", "square", "triangle", "star", "cross")
GROUNDS: dict[str, Rgb] = {
    "grass": (92, 168, 76),
    "sand": (222, 198, 148),
    "water": (52, 118, 168),
}
_SKY: Rgb = (150, 200, 240)
_NUMBERS = ("zero", "one", "two", "three")
_MAX_SHAPES = 3

BackgroundKind = Literal["plain", "gradient", "noisy", "landscape"]
_KINDS: tuple[BackgroundKind, ...] = ("plain", "gradient", "noisy", "landscape")


@dataclass(frozen=True)
class Background:
    """What lies behind the shapes. `ground` and `horizon` (0..1) are for landscapes."""

    kind: BackgroundKind
    first: Rgb
    second: Rgb
    noise_seed: int
    ground: str = ""
    horizon: float = 1.0


@dataclass(frozen=True)
class Shape:
    """One drawn shape; `xyxy_norm` bounds its pixels."""

    name: str
    colour: str
    rgb: Rgb
    xyxy_norm: BoxNorm


@dataclass(frozen=True)
class Scene:
    """A picture to draw."""

    background: Background
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class Entity:
    """A phrase (with its article or number) and its boxes, left to right."""

    phrase: str
    boxes: tuple[BoxNorm, ...]


@dataclass(frozen=True)
class Example:
    """One task on one picture: the model is given `prompt` and learns `target` (</s> follows)."""

    task: str
    prompt: str
    target: str


# --- scenes ---------------------------------------------------------------------------------


def random_scene(rng: np.random.Generator, most: int = _MAX_SHAPES) -> Scene:
    """A scene of 0 to `most` shapes (3 at most) that do not touch one another."""
    background = _random_background(rng)
    wanted = min(most, int(rng.choice(_MAX_SHAPES + 1, p=[0.08, 0.37, 0.33, 0.22])))
    shapes: list[Shape] = []
    for _ in range(wanted):
        box = _free_box(rng, [shape.xyxy_norm for shape in shapes])
        if box is None:
            break
        # Twins are drawn on purpose: "two blue squares" has several boxes for one phrase.
        if shapes and rng.random() < 0.3:
            shapes.append(Shape(shapes[-1].name, shapes[-1].colour, shapes[-1].rgb, box))
            continue
        name = SHAPES[int(rng.integers(len(SHAPES)))]
        colour, rgb = _contrasting_colour(rng, background)
        shapes.append(Shape(name, colour, rgb, box))
    return Scene(background, tuple(sorted(shapes, key=lambda shape: shape.xyxy_norm[0])))


def _random_background(rng: np.random.Generator) -> Background:
    kind = _KINDS[int(rng.integers(len(_KINDS)))]
    seed = int(rng.integers(2**31))
    if kind == "landscape":
        ground = tuple(GROUNDS)[int(rng.integers(len(GROUNDS)))]
        horizon = float(rng.uniform(0.35, 0.7))
        return Background(
            kind, _jitter(rng, _SKY, 16), _jitter(rng, GROUNDS[ground], 16), seed, ground, horizon
        )
    # Mostly greys and pastels: what is saturated is a shape.
    level = float(rng.choice([rng.uniform(190, 255), rng.uniform(90, 180), rng.uniform(10, 60)]))
    first = _jitter(rng, (int(level), int(level), int(level)), 22)
    return Background(kind, first, _jitter(rng, first, 45), seed)


def _jitter(rng: np.random.Generator, rgb: Rgb, amount: int) -> Rgb:
    red, green, blue = (
        int(np.clip(channel + rng.integers(-amount, amount + 1), 0, 255)) for channel in rgb
    )
    return red, green, blue


def _contrasting_colour(rng: np.random.Generator, background: Background) -> tuple[str, Rgb]:
    behind = (background.first, background.second)
    visible = [
        name
        for name, rgb in COLOURS.items()
        if all(math.dist(rgb, other) > 110 for other in behind)
    ]
    name = visible[int(rng.integers(len(visible)))]
    return name, _jitter(rng, COLOURS[name], 12)


def _free_box(rng: np.random.Generator, taken: Sequence[BoxNorm]) -> BoxNorm | None:
    for _ in range(30):
        # The aspect varies because photographs of any format are squashed to a square.
        side = float(rng.uniform(0.14, 0.5))
        stretch = float(rng.uniform(0.8, 1.25))
        width, height = side * stretch, side / stretch
        x1, y1 = float(rng.uniform(0.01, 0.99 - width)), float(rng.uniform(0.01, 0.99 - height))
        box = (x1, y1, x1 + width, y1 + height)
        if all(_apart(box, other, 0.02) for other in taken):
            return box
    return None


def _apart(a: BoxNorm, b: BoxNorm, gap: float) -> bool:
    return a[2] + gap <= b[0] or b[2] + gap <= a[0] or a[3] + gap <= b[1] or b[3] + gap <= a[1]


# --- pixels ---------------------------------------------------------------------------------


def render(scene: Scene, size: int) -> Image.Image:
    """The scene as an upright RGB picture of `size` x `size`."""
    large = size * _OVERSAMPLE
    picture = _draw_background(scene.background, size).resize((large, large), Image.Resampling.BOX)
    draw = ImageDraw.Draw(picture)
    for shape in scene.shapes:
        _draw_shape(draw, shape, large)
    return picture.reduce(_OVERSAMPLE)


def _draw_background(background: Background, size: int) -> Image.Image:
    first, second = np.array(background.first, float), np.array(background.second, float)
    rng = np.random.default_rng(background.noise_seed)
    down = (np.arange(size) + 0.5)[:, None, None] / size  # (H, 1, 1)
    across = (np.arange(size) + 0.5)[None, :, None] / size  # (1, W, 1)
    pixels = np.broadcast_to(first, (size, size, 3))
    if background.kind == "gradient":
        share = across if rng.random() < 0.5 else down
        pixels = first + (second - first) * share + np.zeros((size, size, 3))
    elif background.kind == "noisy":
        pixels = first + rng.normal(0.0, 14.0, (size, size, 1))
    elif background.kind == "landscape":
        sky = first + 30.0 * down  # paler towards the horizon
        ground = second + rng.normal(0.0, 8.0, (size, size, 1))
        pixels = np.where(down < background.horizon, sky, ground)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGB")


def _draw_shape(draw: ImageDraw.ImageDraw, shape: Shape, size: int) -> None:
    x1, y1, x2, y2 = (edge * size for edge in shape.xyxy_norm)
    # Pillow includes the last pixel.
    width, height = x2 - x1 - 1, y2 - y1 - 1
    if shape.name == "circle":
        draw.ellipse((x1, y1, x1 + width, y1 + height), fill=shape.rgb)
        return
    outline = [(x1 + x * width, y1 + y * height) for x, y in _OUTLINES[shape.name]]
    draw.polygon(outline, fill=shape.rgb)


def _fill_unit(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Stretch an outline over the whole unit square, so that its box is the box asked for."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return [
        ((x - min(xs)) / (max(xs) - min(xs)), (y - min(ys)) / (max(ys) - min(ys)))
        for x, y in points
    ]


_STAR = [
    (radius * math.sin(corner * math.pi / 5), -radius * math.cos(corner * math.pi / 5))
    for corner, radius in enumerate([1.0, 0.42] * 5)
]
_T = 1 / 3
_OUTLINES: dict[str, list[tuple[float, float]]] = {
    "square": [(0, 0), (1, 0), (1, 1), (0, 1)],
    "triangle": [(0.5, 0), (1, 1), (0, 1)],
    "star": _fill_unit(_STAR),
    "cross": [
        *[(_T, 0), (2 * _T, 0), (2 * _T, _T), (1, _T), (1, 2 * _T), (2 * _T, 2 * _T)],
        *[(2 * _T, 1), (_T, 1), (_T, 2 * _T), (0, 2 * _T), (0, _T), (_T, _T)],
    ],
}


def patch_hints(scene: Scene, side: int) -> NDArray[np.float32]:
    """(side * side, 6): what covers most of each patch, as 1 + shape, colour, x1, y1, x2, y2.

    A patch of which no shape's box covers a sixth has zeros.
    """
    hints = np.zeros((side, side, 6), np.float32)
    best = np.full((side, side), 1 / 6)
    start = np.arange(side) / side
    names, colours = list(SHAPES), list(COLOURS)
    for shape in scene.shapes:
        x1, y1, x2, y2 = shape.xyxy_norm
        across = np.clip(np.minimum(x2, start + 1 / side) - np.maximum(x1, start), 0, None) * side
        down = np.clip(np.minimum(y2, start + 1 / side) - np.maximum(y1, start), 0, None) * side
        cover = down[:, None] * across[None, :]
        won = cover > best
        best[won] = cover[won]
        hints[won] = [1 + names.index(shape.name), colours.index(shape.colour), x1, y1, x2, y2]
    return hints.reshape(side * side, 6)


def to_pixels(picture: Image.Image) -> NDArray[np.float32]:
    """HWC uint8 -> CHW float32 with CLIP's mean and deviation; the size is left as it is."""
    scaled = np.asarray(picture, dtype=np.float32) / 255.0
    normal = (scaled - np.array(CLIP_MEAN, np.float32)) / np.array(CLIP_STD, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1))


CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


# --- words ----------------------------------------------------------------------------------


def entities(scene: Scene) -> list[Entity]:
    """What a caption names: groups of like shapes from left to right, then sky and ground."""
    groups: dict[tuple[str, str], list[BoxNorm]] = {}
    for shape in scene.shapes:
        groups.setdefault((shape.colour, shape.name), []).append(shape.xyxy_norm)
    found = [
        Entity(_count_phrase(colour, name, len(boxes)), tuple(boxes))
        for (colour, name), boxes in groups.items()
    ]
    background = scene.background
    if background.kind == "landscape":
        found.append(Entity("the sky", ((0.0, 0.0, 1.0, background.horizon),)))
        found.append(Entity(f"the {background.ground}", ((0.0, background.horizon, 1.0, 1.0),)))
    return found


def _plural(name: str) -> str:
    return name + ("es" if name.endswith("s") else "s")


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _count_phrase(colour: str, name: str, count: int) -> str:
    if count == 1:
        return f"{_article(colour)} {colour} {name}"
    return f"{_NUMBERS[count]} {colour} {_plural(name)}"


def quantise(xyxy_norm: BoxNorm) -> tuple[int, int]:
    """Cells of the upper left and lower right corner, clamped to the 32x32 grid."""
    x1, y1, x2, y2 = xyxy_norm
    left, top = (min(max(math.floor(edge * GRID), 0), GRID - 1) for edge in (x1, y1))
    right, bottom = (min(max(math.ceil(edge * GRID) - 1, 0), GRID - 1) for edge in (x2, y2))
    return top * GRID + left, bottom * GRID + right


def box_text(boxes: Sequence[BoxNorm]) -> str:
    """`<object>...</object>` with the location tokens of the boxes."""
    pairs = ["".join(location_token(cell) for cell in quantise(box)) for box in boxes]
    return f"<object>{'</delimiter_of_multi_objects/>'.join(pairs)}</object>"


def _grounded(entity: Entity) -> str:
    return f"<phrase> {entity.phrase}</phrase>{box_text(entity.boxes)}"


def _place(box: BoxNorm) -> str:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    across = "left" if x < 0.4 else "right" if x > 0.6 else ""
    down = "top" if y < 0.4 else "bottom" if y > 0.6 else ""
    if across and down:
        return f" at the {down} {across}"
    if across or down:
        return f" on the {across}" if across else f" at the {down}"
    return " in the middle"


def brief_target(scene: Scene, *, grounded: bool) -> str:
    """The continuation of 'An image of'; never empty."""
    found = entities(scene)
    if not found:
        return " a scene"
    word = _grounded if grounded else lambda entity: f" {entity.phrase}"
    return " and".join(word(entity) for entity in found)


def _detail_target(scene: Scene, *, grounded: bool) -> str:
    parts = []
    for entity in entities(scene):
        text = _grounded(entity) if grounded else f" {entity.phrase}"
        stuff = entity.phrase.startswith("the ")
        parts.append(text if stuff or len(entity.boxes) > 1 else text + _place(entity.boxes[0]))
    kind = scene.background.kind
    if kind != "landscape":
        parts.append(f" {_article(kind)} {kind} background")
    return " The image features" + " and".join(parts)


def examples(scene: Scene, rng: np.random.Generator) -> Iterator[Example]:
    """The brief caption, always, and two other tasks that the scene can answer."""
    yield Example("brief", "<grounding> An image of", brief_target(scene, grounded=True))
    if scene.shapes or scene.background.kind == "landscape":
        yield _ground_example(scene, rng)
    yield _other_example(scene, rng)


def _ground_example(scene: Scene, rng: np.random.Generator) -> Example:
    found = entities(scene)
    entity = found[int(rng.integers(len(found)))]
    phrase = entity.phrase
    names = [shape.name for shape in scene.shapes]
    words = phrase.split()
    # A lone shape of its kind also answers to "the circle" and "a circle".
    if len(entity.boxes) == 1 and len(words) == 3:
        forms = [phrase, f"the {words[1]} {words[2]}"]
        if names.count(words[2]) == 1:
            forms += [f"{_article(words[2])} {words[2]}", f"the {words[2]}"]
        phrase = forms[int(rng.integers(len(forms)))]
    return Example("ground", f"<grounding><phrase> {phrase}</phrase>", box_text(entity.boxes))


def _question(grounded: bool, question: str, answer: str) -> Example:
    start = "<grounding> " if grounded else ""
    return Example("vqa", f"{start}Question: {question} Answer:", f" {answer}")


def _other_example(scene: Scene, rng: np.random.Generator) -> Example:
    draw = float(rng.random())
    grounded = bool(rng.random() < 0.7)
    if draw < 0.25:
        prompt = ("<grounding> " if grounded else "") + "Describe this image in detail:"
        return Example("detailed", prompt, _detail_target(scene, grounded=grounded))
    if draw < 0.38:
        return Example("plain", "An image of", brief_target(scene, grounded=False))
    if draw < 0.6 and scene.shapes:
        return _region_example(scene, rng)
    if draw < 0.75:
        found = entities(scene)
        prompt = f"{'<grounding> ' if grounded else ''}Question: What is special about this image?"
        things = brief_target(scene, grounded=grounded) if found else " nothing"
        return Example("vqa", f"{prompt} Answer:", f" It has{things}")
    if draw < 0.87:
        name = SHAPES[int(rng.integers(len(SHAPES)))]
        if scene.shapes and rng.random() < 0.6:
            name = scene.shapes[int(rng.integers(len(scene.shapes)))].name
        count = sum(shape.name == name for shape in scene.shapes)
        return _question(grounded, f"How many {_plural(name)} are there?", _NUMBERS[count])
    colour = tuple(COLOURS)[int(rng.integers(len(COLOURS)))]
    name = SHAPES[int(rng.integers(len(SHAPES)))]
    if scene.shapes and rng.random() < 0.5:
        shape = scene.shapes[int(rng.integers(len(scene.shapes)))]
        colour, name = shape.colour, shape.name
    there = any((shape.colour, shape.name) == (colour, name) for shape in scene.shapes)
    question = f"Is there {_article(colour)} {colour} {name}?"
    return _question(grounded, question, "yes" if there else "no")


def _region_example(scene: Scene, rng: np.random.Generator) -> Example:
    shape = scene.shapes[int(rng.integers(len(scene.shapes)))]
    box = box_text([shape.xyxy_norm])
    if rng.random() < 0.7:
        target = f" {_count_phrase(shape.colour, shape.name, 1)}"
        return Example("region", f"<grounding><phrase> It</phrase>{box} is", target)
    question = f"What color is<phrase> the {shape.name}</phrase>{box}?"
    return _question(True, question, shape.colour)


def corpus(repeats: int) -> Iterator[str]:
    """Sentences of every task without tags, for the tokenizer: its words must be whole pieces."""
    rng = np.random.default_rng(0)
    for _ in range(repeats):
        scene = random_scene(rng)
        yield "An image of" + brief_target(scene, grounded=False)
        yield "Describe this image in detail:" + _detail_target(scene, grounded=False)
        yield "Question: What is special about this image? Answer: It has nothing"
        yield "How many circles are there? Is there a cross? What color is it? yes no zero"
        yield "a plain background a gradient background a noisy background a scene"
