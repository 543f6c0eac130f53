"""A list of labels, and where in a picture each of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kosmoscope.images import ImageSource, read_image
from kosmoscope.labels import Label, phrases_of, sorted_out
from kosmoscope.masks import Mask
from kosmoscope.prompts import describe_prompt, ground_prompt
from kosmoscope.scope import Scope
from kosmoscope.segment.run import CLASSICAL, segment_description
from kosmoscope.types import Box, ImageInfo


@dataclass(frozen=True, slots=True)
class Found:
    """A thing in a picture."""

    label: str
    box: Box
    mask: Mask | None = None
    """Of the whole picture's size; None unless asked for."""


@dataclass(frozen=True, slots=True)
class Finder:
    """Asks a model for each label of a list.

    Args:
        scope: the model.
        labels: what to look for; a picture is asked about all of them at once.
        segmenter: turns boxes into masks; see `kosmoscope.segment.load_segmenter`.
    """

    scope: Scope
    labels: Sequence[Label]
    segmenter: str = CLASSICAL

    def find(
        self, image: ImageSource, min_score: float | None = None, *, masks: bool = False
    ) -> tuple[ImageInfo, list[Found]]:
        """Look at a picture.

        Args:
            image: as `Scope.describe` takes it.
            min_score: keep what the model is as sure of; None: see `kosmoscope.labels`.
            masks: find the pixels, too; what has none is left out.

        Returns:
            The picture's size, and what is in it, label by label.

        Raises:
            ImageError: the picture cannot be read.
            OptionError: `min_score` is out of its range.
            KosmoscopeError: the segmenter's library is not installed.
        """
        picture = read_image(image, limits=self.scope.limits)
        info = picture.rgb_info
        seen = self.scope.look(picture.rgb, info)
        phrases = phrases_of(self.labels)
        asks = [ground_prompt(seen, phrase) for phrase in phrases]
        if min_score is None:
            asks.append(describe_prompt(seen, "detailed"))
        said = self.scope.complete(asks)
        answers = dict(zip(phrases, said, strict=False))
        found_of = sorted_out(self.labels, answers, said[-1], min_score)
        kept = [(x.name, d) for x, own in zip(self.labels, found_of, strict=True) for d in own]
        boxes = [(name, box) for name, d in kept for e in d.entities for box in e.boxes]
        if not masks or not boxes:
            return info, [Found(name, box) for name, box in boxes]
        parts = segment_description(
            [d for _, d in kept], picture.rgb, info, self.segmenter, threads=self.scope.threads
        )
        found = [
            Found(name, box, parts.mask(segment.id))
            for (name, box), segment in zip(boxes, parts.segments, strict=True)
        ]
        return info, [one for one in found if one.mask is not None and one.mask.area_px]
