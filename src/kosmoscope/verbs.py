"""What can be asked of a picture: one method for each verb, over `complete` alone.

`kosmoscope.scope.Scope` is these and the machine below them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from kosmoscope.calibration import DetailCalibration
from kosmoscope.detail import (
    Closer,
    Count,
    Detail,
    Looked,
    Said,
    Subject,
    counted,
    described,
    look_closer,
)
from kosmoscope.engine.core import PictureState
from kosmoscope.engine.detections import Detections
from kosmoscope.engine.options import GenerationKeywords, GenerationOptions
from kosmoscope.errors import OptionError, PromptError
from kosmoscope.images import ImageSource, Limits, read_image
from kosmoscope.prompts import Prompt, ask_prompt, describe_prompt, ground_prompt, refer_prompt
from kosmoscope.results import Description
from kosmoscope.segment import Segmentation, Segmenter
from kosmoscope.segment.run import CLASSICAL, segment_description
from kosmoscope.types import ImageInfo, Timing


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """A picture that the model has looked at: ask it anything, as often as you like.

    A value: keep it, share it between threads, pass it wherever a picture is taken. At Kosmos-2's
    size it holds 26 MB.
    """

    info: ImageInfo
    state: PictureState = field(repr=False)
    timing: Timing = field(default_factory=Timing)


DetailLevel = int | Literal["auto"] | Detail
"""Tiles along the longer side, as many as the picture's size is worth, or all of it in words."""


class Verbs(ABC):
    """The verbs. Wherever an image is taken: see `kosmoscope.scope.Scope`."""

    model: str
    precision: str
    limits: Limits
    threads: int
    detail_calibration: DetailCalibration
    """What the objects of a detail pass are scored by; `things` is 0 where nobody has measured."""

    @abstractmethod
    def complete(
        self,
        prompts: Sequence[Prompt],
        options: GenerationOptions | None = None,
        **overrides: Unpack[GenerationKeywords],
    ) -> list[Description]:
        """Go on from any prompts, together."""

    @abstractmethod
    def look(self, rgb: NDArray[np.uint8], info: ImageInfo) -> EncodedImage:
        """Look at pixels that are upright already, (H, W, 3)."""

    def detections(self, seen: EncodedImage) -> Detections | None:
        """Return what a detector inside the model saw by itself; None if it has none."""
        return seen.state.detections

    @abstractmethod
    def check(self, prompt: Prompt) -> None:
        """Raise what asking this would raise, before a picture is looked at."""

    @property
    @abstractmethod
    def seen_px(self) -> int:
        """The longer side of what the model sees, in pixels."""

    def describe(
        self,
        image: ImageSource | EncodedImage,
        prompt: str | None = None,
        *,
        grounded: bool = True,
        tagged: bool = False,
        detail: DetailLevel | None = None,
        **options: Unpack[GenerationKeywords],
    ) -> Description:
        """Describe a picture, with boxes for the phrases.

        Args:
            image: the picture.
            prompt: "brief" (the default), "detailed", or how the text should begin; transformers'
                ``<grounding>`` may stand in front.
            grounded: ask for boxes.
            tagged: the prompt has tags, as for transformers; never with a stranger's text in it.
            detail: look for every object, in so many overlapping tiles along the longer side as
                well (1 to 6; "auto": by size; a `Detail`: any way you like). The caption is that of
                the whole; entities get more boxes, and there are more of them.
            options: of the generation; with `detail`, of the text about the whole.

        Raises:
            ImageError, PromptError, OptionError: see `kosmoscope.errors`.
        """
        if detail is not None:
            if not grounded:
                raise OptionError("detail is about boxes, and none are wanted")
            ask = partial(describe_prompt, prompt=prompt, tagged=tagged)
            chosen = GenerationOptions.of(**options)
            subject = self.subject(image, ask)
            (found,) = self.describe_closely([subject], Detail.of(detail), chosen)
            return found
        asked = describe_prompt(image, prompt, grounded=grounded, tagged=tagged)
        return self.complete([asked], **options)[0]

    def ground(
        self, image: ImageSource | EncodedImage, phrase: str, **options: Unpack[GenerationKeywords]
    ) -> Description:
        """Find a phrase in a picture: the result's first entity is the phrase with its boxes."""
        return self.complete([ground_prompt(image, phrase)], **options)[0]

    def refer(
        self,
        image: ImageSource | EncodedImage,
        box: Sequence[float],
        **options: Unpack[GenerationKeywords],
    ) -> Description:
        """Say what is in a box (normalised xyxy). Raises `BoxError` for an unusable box."""
        return self.complete([refer_prompt(image, box)], **options)[0]

    def ask(
        self,
        image: ImageSource | EncodedImage,
        question: str,
        box: Sequence[float] | None = None,
        *,
        grounded: bool = True,
        **options: Unpack[GenerationKeywords],
    ) -> Description:
        """Answer a question; the caption is the answer alone.

        Args:
            image: the picture.
            question: in plain words; with a box, square brackets mark the phrase that it belongs
                to: "Where is [the fire] next to?".
            box: normalised xyxy of what the question is about.
            grounded: ask for boxes in the answer.
            options: of the generation.
        """
        return self.complete([ask_prompt(image, question, box, grounded=grounded)], **options)[0]

    def count(
        self,
        image: ImageSource,
        phrase: str,
        *,
        detail: DetailLevel = "auto",
        name: str | None = None,
    ) -> Count:
        """Count what a phrase names: a number, how sure it is, and the boxes that are seen.

        Args:
            image: the picture itself, not an encoded one.
            phrase: "houses", "a red car".
            detail: how closely to look, as for `describe`.
            name: what the result calls the picture, where it has no path.

        Raises:
            ImageError, PromptError, OptionError: see `kosmoscope.errors`.
        """
        return self.count_all(image, [phrase], detail=detail, name=name)[0]

    def count_all(
        self,
        image: ImageSource,
        phrases: Sequence[str],
        *,
        detail: DetailLevel = "auto",
        name: str | None = None,
    ) -> list[Count]:
        """Count several things in a picture that is looked at once; see `count`."""
        for phrase in phrases:
            if not isinstance(phrase, str) or not phrase.strip():
                raise PromptError(f"what is to be counted is {phrase!r}; expected words")
            self.check(ground_prompt(b"", phrase))
        wanted = replace(Detail.of(detail), phrases=tuple(phrases), reground=False)
        subject = self.subject(image, describe_prompt, name)
        steps = look_closer(self, [subject], wanted)
        closer = next(step for step in steps if isinstance(step, Closer))
        return [
            counted(
                phrase,
                closer.things,
                subject.info,
                self.model,
                self.precision,
                self.detail_calibration,
            )
            for phrase in phrases
        ]

    def subject(
        self,
        image: ImageSource | EncodedImage,
        ask: Callable[[Any], Prompt],
        name: str | None = None,
    ) -> Subject:
        """Read a picture for a detail pass.

        Raises:
            ImageError: it cannot be read.
            OptionError: it is encoded: of that there are no tiles.
        """
        if isinstance(image, EncodedImage):
            raise OptionError(
                "a detail pass looks at parts of the picture: expected the picture itself, "
                "got an encoded one"
            )
        picture = read_image(image, name=name, limits=self.limits)
        return Subject(picture.rgb, picture.info, ask)

    def describe_closely(
        self,
        subjects: Sequence[Subject],
        detail: Detail,
        options: GenerationOptions | None = None,
        progress: Callable[[Looked], object] | None = None,
    ) -> list[Description]:
        """Describe pictures with every object in them: the lower layer under `describe(detail=)`.

        Args:
            subjects: the pictures, which share generations.
            detail: how closely to look.
            options: of the text about the whole.
            progress: called after every look.
        """
        found: dict[int, Description] = {}
        for step in look_closer(self, subjects, detail, options):
            if isinstance(step, Looked) and progress is not None:
                progress(step)
            if isinstance(step, Closer):
                found[step.picture] = self._described(step, detail)
        return [found[i] for i in range(len(subjects))]

    def stream_closely(
        self,
        image: ImageSource,
        prompt: str | None = None,
        *,
        detail: DetailLevel = "auto",
        options: GenerationOptions | None = None,
    ) -> Iterator[Looked | Description]:
        """Yield `Looked` after every look, what the caption says, and at last the whole result.

        Closing the iterator stops the model after the look or the text under way.
        """
        subject = self.subject(image, partial(describe_prompt, prompt=prompt))
        chosen = Detail.of(detail)
        for step in look_closer(self, [subject], chosen, options):
            match step:
                case Looked():
                    yield step
                case Said(_, description):
                    yield description
                case Closer():
                    yield self._described(step, chosen)

    def _described(self, step: Closer, detail: Detail) -> Description:
        found = described(step.description, step.things, detail, self.detail_calibration)
        return replace(found, timing=step.timing)

    def segment(
        self,
        image: ImageSource,
        prompt: str | None = None,
        *,
        phrase: str | None = None,
        segmenter: Segmenter | str | Path = CLASSICAL,
        regions: bool = False,
        **options: Unpack[GenerationKeywords],
    ) -> Segmentation:
        """Describe a picture, or find a phrase in it, and turn the boxes into pixels.

        Args:
            image: the picture.
            prompt: as for `describe`.
            phrase: find this instead.
            segmenter: what `load_segmenter` takes (it stays loaded), or what it returned.
            regions: divide what nobody named into unnamed coherent regions.
            options: of the generation.

        Raises:
            ImageError, PromptError, OptionError: see `kosmoscope.errors`.
            KosmoscopeError: the segmenter's library is not installed.
        """
        if phrase is not None and prompt is not None:
            raise OptionError("a picture is segmented by a prompt or by a phrase, not by both")
        picture = read_image(image, limits=self.limits)
        if phrase is None:
            said = self.describe(picture.rgb, prompt, **options)
        else:
            said = self.ground(picture.rgb, phrase, **options)
        return segment_description(
            said,
            picture.rgb,
            picture.rgb_info,
            segmenter,
            regions=regions,
            threads=self.threads,
        )
