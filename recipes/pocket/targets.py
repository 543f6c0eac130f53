"""What is known of a picture, as the texts of every task that it answers.

Wording and form of the prompts are Kosmos-2's (see `kosmoscope.prompts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kosmoscope.evaluation.words import CLASS_NAMES, NUMBERS, PLURAL_NAMES, SYNONYMS, counted
from kosmoscope.export.nouns import article, plural
from kosmoscope.export.tagged import DELIMITER
from kosmoscope.geometry import WHOLE_NORM
from kosmoscope.tokens import covering_cells, location_token
from recipes.pocket.knowledge import Found, Knowledge
from recipes.pocket.regions import REGIONS
from recipes.pocket.tokenizer import GRID

_MOST_GROUPS, _MOST_BOXES = 5, 8
_MOST_STUFF = 3

SCENE_PHRASES = {
    "mountain": "a mountain", "glacier": "a glacier", "sea": "the sea", "forest": "a forest",
    "street": "a street", "buildings": "buildings",
}  # fmt: skip
_SCENE_REGIONS = {
    "mountain": ("mountain",), "glacier": ("snow", "mountain"), "sea": ("water",),
    "forest": ("trees",), "street": ("road",), "buildings": ("building",),
}  # fmt: skip
_STUFF_PHRASES = {
    "sky": "the sky", "trees": "trees", "grass": "grass", "mountain": "a mountain",
    "water": "water", "road": "a road", "building": "a building", "snow": "snow", "sand": "sand",
    "pavement": "the pavement", "wall": "a wall", "floor": "the floor", "ground": "the ground",
    "fence": "a fence", "ceiling": "the ceiling", "rocks": "rocks",
}  # fmt: skip


@dataclass(frozen=True)
class Entity:
    """A phrase and its boxes; none: it is said without markup."""

    phrase: str
    boxes: tuple[Found, ...] = ()


@dataclass(frozen=True)
class Example:
    """One task: the model is given `prompt` and learns `target` (</s> follows).

    `boxes` are those behind the location tokens of the target, in order.
    """

    task: str
    prompt: str
    target: str
    boxes: tuple[Found, ...] = ()


def box_text(boxes: Sequence[Found]) -> str:
    """`<object>...</object>` with the location tokens of the boxes."""
    cells = [covering_cells(b.xyxy_norm, GRID) for b in boxes]
    pairs = [location_token(a) + location_token(b) for a, b in cells]
    return f"<object>{DELIMITER.join(pairs)}</object>"


class _Text:
    """Grows a target and the boxes behind it."""

    def __init__(self, grounded: bool) -> None:
        self.grounded, self.text, self.boxes = grounded, "", list[Found]()

    def say(self, words: str) -> None:
        self.text += words

    def entity(self, entity: Entity) -> None:
        if not self.grounded or not entity.boxes:
            self.text += f" {entity.phrase}"
            return
        self.text += f"<phrase> {entity.phrase}</phrase>{box_text(entity.boxes)}"
        self.boxes += entity.boxes

    def series(self, entities: Sequence[Entity]) -> None:
        for i, entity in enumerate(entities):
            if i:
                self.say(" and" if i == len(entities) - 1 else ",")
            self.entity(entity)

    def example(self, task: str, prompt: str) -> Example:
        start = "<grounding>" if self.grounded else ""
        prompt = start + (prompt if prompt.startswith("<") or not start else " " + prompt)
        return Example(task, prompt, self.text, tuple(self.boxes))


def order(boxes: Sequence[Found]) -> tuple[Found, ...]:
    """The largest eight, from left to right."""
    largest = sorted(boxes, key=lambda b: -b.area)[:_MOST_BOXES]
    return tuple(sorted(largest, key=lambda b: (b.xyxy_norm[0], b.xyxy_norm[1])))


def thing_entities(known: Knowledge) -> list[Entity]:
    """Groups of like things, the one with the largest member first."""
    groups = sorted(known.things.items(), key=lambda item: -max(b.area for b in item[1]))
    return [Entity(counted(name, len(boxes)), order(boxes)) for name, boxes in groups]


def stuff_entities(known: Knowledge, without: Sequence[str] = ()) -> list[Entity]:
    """Stuff, the largest first."""
    found = sorted(known.stuff.items(), key=lambda item: -item[1].area)
    return [Entity(_STUFF_PHRASES[n], (b,)) for n, b in found if n not in without]


def scene_entity(known: Knowledge) -> tuple[Entity, tuple[str, ...]] | None:
    """The scene with its box, and the regions that it stands for."""
    if known.scene not in SCENE_PHRASES:
        return None
    regions = _SCENE_REGIONS[known.scene]
    box = next((known.stuff[r] for r in regions if r in known.stuff), Found(WHOLE_NORM, 0.5))
    return Entity(SCENE_PHRASES[known.scene], (box,)), regions


def _dominant(known: Knowledge) -> bool:
    return any(b.area > 0.2 for boxes in known.things.values() for b in boxes)


def brief_entities(known: Knowledge) -> tuple[Entity | None, list[Entity]]:
    """The scene, if it is what the picture is of, and the other things worth naming."""
    things = thing_entities(known)[:_MOST_GROUPS]
    scene = None if _dominant(known) else scene_entity(known)
    if scene is not None:
        return scene[0], [*stuff_entities(known, scene[1])[:_MOST_STUFF], *things[:3]]
    if not things and known.label is not None:
        return None, [Entity(counted(known.label, 1))]
    return None, things or stuff_entities(known)[: _MOST_STUFF + 1]


def brief(known: Knowledge, *, grounded: bool) -> Example:
    """The continuation of "An image of"."""
    text = _Text(grounded)
    scene, others = brief_entities(known)
    if scene is not None:
        text.entity(scene)
        if others:
            text.say(" with")
    text.series(others)
    if not text.text:
        text.say(" a scene")
    return text.example("brief" if grounded else "plain", "An image of")


def _place(box: Found) -> str:
    x = (box.xyxy_norm[0] + box.xyxy_norm[2]) / 2
    if box.area > 0.4:
        return ""
    return " on the left" if x < 0.36 else " on the right" if x > 0.64 else " in the middle"


def detailed(known: Knowledge) -> Example:
    """Everything that is known, in two sentences."""
    text = _Text(grounded=True)
    scene = None if _dominant(known) else scene_entity(known)
    things = thing_entities(known)[: _MOST_GROUPS + 1]
    stuff = stuff_entities(known, scene[1] if scene else ())[: _MOST_STUFF + 1]
    if not things and known.label is not None and scene is None:
        things = [Entity(counted(known.label, 1))]
    if scene is not None:
        text.say(" The image shows")
        text.entity(scene[0])
        text.say(".")
    if things:
        text.say(" The image features" if scene is None else f" There {verb(things[0].phrase)}")
        for i, entity in enumerate(things):
            if i:
                text.say(" and" if i == len(things) - 1 else ",")
            text.entity(entity)
            if len(entity.boxes) == 1:
                text.say(_place(entity.boxes[0]))
        text.say(".")
    if stuff:
        text.say(f"{' In the background there' if things else ' There'} {verb(stuff[0].phrase)}")
        text.series(stuff)
        text.say(".")
    if not text.text:
        text.say(" The image shows a scene.")
    return text.example("detailed", "Describe this image in detail:")


def verb(phrase: str) -> str:
    """ "is" or "are", as what follows is one or several."""
    first = phrase.split()[0]
    several = first == "many" or first in NUMBERS[2:]
    return "are" if several or phrase in PLURAL_NAMES else "is"


def _nouns(name: str, rng: np.random.Generator) -> str:
    """The name or, at times, another word for it."""
    others = SYNONYMS.get(name, ())
    return str(rng.choice(others)) if others and rng.random() < 0.3 else name


def ground(known: Knowledge, rng: np.random.Generator) -> Example | None:
    """Find a phrase: one name for the largest of its kind, a plural for all of them."""
    named = {**known.faint, **known.things}
    for name in set(known.faint) & set(known.things):
        named[name] = known.things[name]
    choices = [*named, *known.stuff]
    if known.scene in SCENE_PHRASES and rng.random() < 0.3:
        choices = [known.scene]
    if not choices:
        return None
    # Large things are asked for most.
    largest = [max((b.area for b in named.get(n, ())), default=0.25) + 0.05 for n in choices]
    name = str(rng.choice(choices, p=np.array(largest) / sum(largest)))
    if name in SCENE_PHRASES and name not in named:
        found = scene_entity(known)
        boxes: Sequence[Found] = found[0].boxes if found else (known.stuff[name],)
        word = _nouns(name, rng)
    elif name in named:
        boxes = order(named[name])
        word = _nouns(name, rng)
        if len(boxes) > 1 and name in known.things and rng.random() < 0.4:
            forms = [plural(word), f"the {plural(word)}", counted(word, len(named[name]))]
            return _grounding(str(rng.choice(forms)), boxes)
        boxes = [max(boxes, key=lambda b: b.area)]
    else:
        word = _nouns(name, rng)
        forms = [word, f"the {word}", _STUFF_PHRASES[name]]
        return _grounding(str(rng.choice(forms)), [known.stuff[name]])
    forms = [word, f"{article(word)} {word}", f"the {word}"]
    return _grounding(str(rng.choice(forms)), boxes)


def _grounding(phrase: str, boxes: Sequence[Found]) -> Example:
    return Example("ground", f"<grounding><phrase> {phrase}</phrase>", box_text(boxes),
                   tuple(boxes))  # fmt: skip


def region(known: Knowledge, rng: np.random.Generator) -> Example | None:
    """Say what is in a box."""
    named = [(counted(n, 1), b) for n, boxes in known.things.items() for b in boxes]
    named += [(_STUFF_PHRASES[n], b) for n, b in known.stuff.items() if rng.random() < 0.3]
    named = [entry for entry in named if entry[1].area > 0.002]
    if not named:
        return None
    phrase, box = named[int(rng.integers(len(named)))]
    shake = rng.normal(0, 0.012, 4)
    x1, y1, x2, y2 = (float(min(max(e + s, 0), 1)) for e, s in zip(box.xyxy_norm, shake,
                                                                  strict=True))  # fmt: skip
    moved = Found((x1, y1, max(x2, x1 + 0.02), max(y2, y1 + 0.02)), 1.0)
    prompt = f"<grounding><phrase> It</phrase>{box_text([moved])} is"
    return Example("region", prompt, f" {phrase}.")


def question(known: Knowledge, rng: np.random.Generator) -> Example | None:
    """What is this, is there a ..., how many ..."""
    grounded = bool(rng.random() < 0.6)
    text = _Text(grounded)
    kind = rng.random()
    scene, others = brief_entities(known)
    if kind < 0.3:
        asked = rng.choice(["What is this?", "What is in the image?", "What is in this picture?",
                            "What can you see?", "What does the image show?"])  # fmt: skip
        if scene is not None:
            text.entity(scene)
        elif others:
            text.series(others[:3])
        else:
            text.say(" a scene")
    elif kind < 0.75:
        there = [n for n, boxes in known.things.items() if max(b.right for b in boxes) > 0.6]
        there += [n for n in known.stuff if known.stuff[n].area > 0.1]
        if there and rng.random() < 0.5:
            name = str(rng.choice(there))
            text.say(" Yes")
        else:
            absent = [n for n in (*CLASS_NAMES, *REGIONS) if _surely_absent(known, n)]
            name = str(rng.choice(absent))
            text.say(" No")
        word = _nouns(name, rng)
        bare = name in REGIONS
        asked = f"Is there {'' if bare else article(word) + ' '}{word} in the image?"
        if rng.random() < 0.3:
            asked = asked.replace(" in the image", "")
    else:
        names = list(known.things)
        if not names:
            return None
        name = str(rng.choice(names))
        asked = rng.choice([f"How many {plural(name)} are there?",
                            f"How many {plural(name)} are in the image?"])  # fmt: skip
        count = len(known.things[name])
        text.say(f" {NUMBERS[count] if count < 9 else 'many'}")
    return text.example("question", f"Question: {asked} Answer:")


def _surely_absent(known: Knowledge, name: str) -> bool:
    if name in REGIONS:
        return name not in known.stuff and bool(known.stuff)
    return name not in known.seen and name not in known.things and name != known.label


def examples(known: Knowledge, rng: np.random.Generator) -> Iterator[Example]:
    """The brief caption, always, and some of the other tasks."""
    yield brief(known, grounded=True)
    if rng.random() < 0.12:
        yield brief(known, grounded=False)
    if rng.random() < 0.15:
        yield detailed(known)
    for task, share in ((ground, 0.8), (region, 0.25), (question, 0.3)):
        if rng.random() < share and (made := task(known, rng)) is not None:
            yield made
