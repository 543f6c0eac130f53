"""The detail pass: look at the whole and its tiles, ask again, merge, look once more.

Several pictures go together: their looks one after the other, as the engine has it, and the texts
of a step in generations of many rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kosmoscope.calibration import DetailCalibration
from kosmoscope.detail.merging import Thing, gathered, scored
from kosmoscope.detail.settings import (
    ANOTHER,
    ASKED_DETECTION,
    DOUBTFUL,
    MAX_BOXES,
    Detail,
)
from kosmoscope.detail.sightings import Sighting, detected, sightings_of
from kosmoscope.detail.views import WHOLE, View, crop_around, grid, tiles_of
from kosmoscope.engine.detections import Detections
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.export.things import asked, kind_of, one_of
from kosmoscope.geometry import SAME_IOU, containment, iou
from kosmoscope.prompts import Prompt, describe_prompt, ground_prompt
from kosmoscope.results import Description
from kosmoscope.types import ImageInfo, Timing

TOGETHER = 48
"""So many texts are generated together at most."""


class Model(Protocol):
    """What looks and answers: a `Scope`."""

    @property
    def seen_px(self) -> int:
        """The longer side of what the model sees, in pixels."""
        ...

    @property
    def detail_calibration(self) -> DetailCalibration:
        """What objects are scored by."""
        ...

    def look(self, rgb: NDArray[np.uint8], info: ImageInfo) -> Any:
        """Return a picture (H, W, 3) encoded, to be asked about more than once."""
        ...

    def detections(self, seen: Any) -> Detections | None:
        """Return what a detector inside the model saw in an encoded picture; None without one."""
        ...

    def complete(
        self, prompts: Sequence[Prompt], options: GenerationOptions | None = None
    ) -> list[Description]:
        """Go on from prompts, together."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A picture, and what is asked about the whole of it."""

    rgb: NDArray[np.uint8]
    """(H, W, 3), upright."""
    info: ImageInfo
    ask: Callable[[Any], Prompt]
    """Makes the prompt for the encoded whole."""
    whole: Any = None
    """The whole, if it is encoded already."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Progress: a picture was looked at once more."""

    picture: int
    """Index of the subject."""
    looks: int
    planned: int


@dataclass(frozen=True, slots=True)
class Said:
    """The caption of the whole is there."""

    picture: int
    description: Description


@dataclass(frozen=True, slots=True)
class Closer:
    """The end: what was found in a picture."""

    picture: int
    description: Description
    """Of the whole."""
    things: tuple[Thing, ...]
    """With their scores, the surest first; none is left out yet, not even parts of others."""
    looks: int
    timing: Timing
    """All of it; seconds are those of all pictures that went together."""


Step = Looked | Said | Closer


@dataclass(slots=True, eq=False)
class _Work:
    """One picture under way."""

    index: int
    subject: Subject
    views: list[View]
    states: list[Any] = field(default_factory=list)
    description: Description | None = None
    sightings: list[Sighting] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)
    named: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    """Kinds that a detector inside the model knows."""
    crops: int = 0


def look_closer(
    model: Model,
    subjects: Sequence[Subject],
    detail: Detail,
    options: GenerationOptions | None = None,
) -> Iterator[Step]:
    """Look closely at pictures. Closing the iterator stops after the look or text under way.

    Args:
        model: that looks.
        subjects: the pictures.
        detail: how closely.
        options: of the text about the whole.

    Yields:
        `Looked` after each look; `Said` for each picture with a caption; then a `Closer` each.
    """
    return _Run(model, detail, options or GenerationOptions()).steps(subjects)


class _Run:
    def __init__(self, model: Model, detail: Detail, options: GenerationOptions) -> None:
        self.model, self.detail, self.options = model, detail, options
        self.began = time.perf_counter()
        self.looking = 0.0
        self.passes = 0

    def steps(self, subjects: Sequence[Subject]) -> Iterator[Step]:
        works = [_Work(i, s, self.planned(s)) for i, s in enumerate(subjects)]
        for work in works:
            yield self.see(work, WHOLE)
        # The plan is complete before the first tile, so that time cuts off the last tiles of all.
        for number in range(1, max((len(w.views) for w in works), default=0)):
            for work in works:
                if number < len(work.views) and not self.late():
                    yield self.see(work, work.views[number])
        yield from self.describe(works)
        for work in works:
            if not self.late():
                self.reground(work)
            self.merge(work)
            if self.detail.verify:
                yield from self.verify(work)
            assert work.description is not None, "every picture was described"
            said = work.description
            looks = len(work.states) + work.crops
            timing = replace(
                said.timing,
                encode=self.looking,
                total=time.perf_counter() - self.began,
                passes=self.passes,
            )
            yield Closer(work.index, said, tuple(work.things), looks, timing)
            work.states.clear()

    def late(self) -> bool:
        seconds = self.detail.seconds
        return seconds is not None and time.perf_counter() - self.began >= seconds

    def planned(self, subject: Subject) -> list[View]:
        size = subject.rgb.shape[1], subject.rgb.shape[0]
        cells = grid(size, self.detail.tiles, self.model.seen_px, self.detail.looks - 1)
        return [WHOLE, *tiles_of(size, *cells)]

    def see(self, work: _Work, view: View) -> Looked:
        state = self.look(work.subject, view)
        found = self.model.detections(state) if self.detail.detections else None
        if found is not None:
            work.known = found.kinds
            work.sightings += detected(found, state.info, view, len(work.states))
        work.states.append(state)
        return Looked(work.index, len(work.states), len(work.views))

    def look(self, subject: Subject, view: View) -> Any:
        began = time.perf_counter()
        if view.is_whole and subject.whole is not None:
            state = subject.whole
        elif view.is_whole:
            state = self.model.look(subject.rgb, subject.info)
        else:
            rgb = np.ascontiguousarray(view.pixels(subject.rgb))
            info = replace(subject.info, width=rgb.shape[1], height=rgb.shape[0])
            state = self.model.look(rgb, info)
        self.looking += time.perf_counter() - began
        return state

    def complete(self, prompts: Sequence[Prompt], options: GenerationOptions) -> list[Description]:
        found: list[Description] = []
        for i in range(0, len(prompts), TOGETHER):
            answers = self.model.complete(prompts[i : i + TOGETHER], options)
            self.passes += answers[0].timing.passes
            found += answers
        return found

    def describe(self, works: Sequence[_Work]) -> Iterator[Step]:
        """Ask about the whole what is asked, and let the tiles be described."""
        prompts = [work.subject.ask(work.states[0]) for work in works]
        for work, said in zip(works, self.complete(prompts, self.options), strict=True):
            work.description = said
            work.named = frozenset(kind_of(e.phrase) for e in said.entities if e.phrase)
            work.sightings += sightings_of(said, WHOLE, 0, "said")
            yield Said(work.index, said)
        tiles = [(work, n) for work in works for n in range(1, len(work.states))]
        found = self.complete([describe_prompt(w.states[n]) for w, n in tiles], GenerationOptions())
        for (work, n), said in zip(tiles, found, strict=True):
            work.sightings += sightings_of(said, work.views[n], n, "said")

    def reground(self, work: _Work) -> None:
        """Ask every view for all that was named on any."""
        named: list[str] = []
        if self.detail.reground:
            seen = dict.fromkeys(
                s.kind
                for s in work.sightings
                if s.kind and (not s.detected or s.score >= ASKED_DETECTION)
            )
            named += seen | dict.fromkeys(sorted(work.named))
        phrases = [(kind, phrase) for kind in named for phrase in asked(kind)]
        for wanted in self.detail.phrases:
            kind = kind_of(wanted)
            phrases += [(kind, phrase) for phrase in (wanted, *asked(kind))]
        asking = [(n, k, p) for k, p in dict.fromkeys(phrases) for n in range(len(work.states))]
        prompts = [ground_prompt(work.states[n], phrase) for n, _, phrase in asking]
        for (n, kind, _), found in zip(asking, self.complete(prompts, self.listing()), strict=True):
            work.sightings += sightings_of(found, work.views[n], n, "asked", kind)

    def listing(self) -> GenerationOptions:
        if not self.detail.further:
            return GenerationOptions()
        return GenerationOptions(another=ANOTHER, max_boxes=MAX_BOXES)

    def merge(self, work: _Work) -> None:
        self.score(work, gathered(work.sightings, self.detail, work.known))

    def score(self, work: _Work, things: Sequence[Thing]) -> None:
        work.things = scored(things, work.named, self.model.detail_calibration)
        work.things.sort(key=lambda t: (-t.score, t.xyxy))

    def verify(self, work: _Work) -> Iterator[Step]:
        """Look at crops around the most doubtful things, as far as the budget goes."""
        subject = work.subject
        size = subject.rgb.shape[1], subject.rgb.shape[0]
        left = self.detail.looks - len(work.states)
        low, high = DOUBTFUL
        doubtful = [i for i, t in enumerate(work.things) if low <= t.score <= high]
        while doubtful and left > 0 and not self.late():
            crop = crop_around(work.things[doubtful[0]].xyxy, size)
            inside = [
                i for i in doubtful if containment(work.things[i].xyxy, crop.frame) > 1 - 1e-9
            ] or doubtful[:1]
            state = self.look(subject, crop)
            work.crops, left = work.crops + 1, left - 1
            kinds = list(dict.fromkeys(work.things[i].kind for i in inside))
            answers = self.complete(
                [ground_prompt(state, one_of(kind)) for kind in kinds], self.listing()
            )
            for kind, answer in zip(kinds, answers, strict=True):
                boxes = [s.xyxy for s in sightings_of(answer, crop, -1, "asked", kind)]
                for i in inside:
                    if work.things[i].kind == kind:
                        again = any(iou(work.things[i].xyxy, b) >= SAME_IOU for b in boxes)
                        work.things[i] = replace(work.things[i], found_again=again)
            doubtful = [i for i in doubtful if i not in inside]
            yield Looked(work.index, len(work.states) + work.crops, self.detail.looks)
        self.score(work, work.things)
