"""The classical segmenter: boxes of one picture to masks, without a large model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kosmoscope.geometry import XYXY, area
from kosmoscope.optional import optional
from kosmoscope.segment.classical.clicks import pull, spread_box
from kosmoscope.segment.classical.cues import as_xyxy, pixel_box, scene
from kosmoscope.segment.classical.prior import Prior, load_prior, score_cues, weigh
from kosmoscope.segment.classical.refine import Guide, colour_bins, enlarge, level, per_pixel
from kosmoscope.segment.classical.regions import LONG_SIDE, Floats, Regions, divide
from kosmoscope.segment.classical.words import is_stuff
from kosmoscope.segment.protocol import BoxPrompt, Proposal, check_picture

_MARGIN: Final = 0.35
"""How much of its surroundings, as a share of the box's size, tells what a thing is not."""


class ClassicalSegmenter:
    """Segments boxes by colour, texture, borders and place; deterministic; needs OpenCV.

    All boxes of a picture are solved together: each is evidence against its neighbours. A mask
    never leaves its box.

    Args:
        prior: another one than the package's.

    Raises:
        KosmoscopeError: OpenCV is not installed.
    """

    name = "classical"

    def __init__(self, prior: Prior | None = None) -> None:
        self._cv2 = optional("cv2", "segment")
        self._prior = prior or load_prior()

    def segment(self, picture: NDArray[np.uint8], prompts: Sequence[BoxPrompt]) -> list[Proposal]:
        """Return one proposal a prompt; see `Segmenter.segment`."""
        weights, constant = self._prior.score[:-1], self._prior.score[-1]
        return [
            Proposal(mask, float(np.clip(cues @ weights + constant, 0, 1)) if mask.any() else 0.0)
            for mask, cues in self.answers(picture, prompts)
        ]

    def answers(
        self, picture: NDArray[np.uint8], prompts: Sequence[BoxPrompt]
    ) -> list[tuple[NDArray[np.bool_], Floats]]:
        """Return the mask of each prompt, with the `score_cues` that its score is made from."""
        size_wh = check_picture(picture)
        boxes = [prompt.within(size_wh) for prompt in prompts]
        if not prompts:
            return []
        work = _shrunk(self._cv2, picture)
        regions = divide(self._cv2, work)
        scale = np.array([work.shape[1] / size_wh[0], work.shape[0] / size_wh[1]], np.float32)
        small = np.array(boxes, np.float32) * np.tile(scale, 2)
        stuff = [is_stuff(p.phrase) if p.stuff is None else p.stuff for p in prompts]
        guess = _guess(self._prior, regions, small, prompts, scale, stuff)
        finish = _Finish(self._cv2, picture, work, regions)
        return [finish.answer(guess[b], small[b], boxes[b], stuff[b]) for b in range(len(prompts))]


def _shrunk(cv2: Any, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    h, w = picture.shape[:2]
    factor = LONG_SIDE / max(h, w)
    if factor >= 1:
        return np.ascontiguousarray(picture)
    size = (max(round(w * factor), 1), max(round(h * factor), 1))
    small: NDArray[np.uint8] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return small


def _guess(
    prior: Prior,
    regions: Regions,
    small: Floats,
    prompts: Sequence[BoxPrompt],
    scale: Floats,
    stuff: Sequence[bool],
) -> Floats:
    """Return (B, N) likelihoods; `small` and `scale` are in and to working pixels."""
    h, w = regions.labels.shape

    def region(x: float, y: float) -> int:
        return int(regions.labels[min(int(y * scale[1]), h - 1), min(int(x * scale[0]), w - 1)])

    clicks = [[(region(x, y), positive) for x, y, positive in p.points] for p in prompts]
    kinds = np.array(stuff, np.float32)
    searched = small.copy()
    whole = scene(regions, small, kinds)
    for b, box in enumerate(small):
        if clicks[b] and area(as_xyxy(box)) > 0.98 * w * h:
            searched[b] = spread_box(whole, b, clicks[b])
    s = whole if np.array_equal(searched, small) else scene(regions, searched, kinds)
    guess = weigh(s, prior)
    for b, marks in enumerate(clicks):
        if marks:
            guess[b] = pull(whole, b, guess[b], marks)
    return guess


class _Finish:
    """From likelihoods of regions to masks of the full picture."""

    def __init__(
        self, cv2: Any, picture: NDArray[np.uint8], work: NDArray[np.uint8], regions: Regions
    ) -> None:
        self._cv2, self._picture, self._regions = cv2, picture, regions
        self._lab: Floats = cv2.cvtColor(work.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
        self._bins = colour_bins(self._lab)
        self._guide = Guide(cv2, self._lab)

    def answer(
        self, guess: Floats, small: Floats, box: XYXY, stuff: bool
    ) -> tuple[NDArray[np.bool_], Floats]:
        h, w = self._regions.labels.shape
        x1, y1, x2, y2 = pixel_box(small, (w, h))
        mx, my = int(_MARGIN * (x2 - x1)) + 1, int(_MARGIN * (y2 - y1)) + 1
        window = (slice(max(y1 - my, 0), y2 + my), slice(max(x1 - mx, 0), x2 + mx))
        inside = np.zeros((h, w), np.float32)
        inside[y1:y2, x1:x2] = 1
        rough = guess[self._regions.labels] * inside
        rough[window] = per_pixel(self._bins[window], rough[window]) * inside[window]
        if self._picture.shape[:2] == (h, w):
            likely = self._guide.smooth(rough)
            likely += 0.5 - level(likely[y1:y2, x1:x2])
            mask = (likely > 0.5) & (inside > 0)
        else:
            slope, offset = self._guide.fit(rough)
            likely = (slope * self._lab).sum(axis=2) + offset
            moved = 0.5 - level(likely[y1:y2, x1:x2])
            likely, offset = likely + moved, offset + moved
            mask = enlarge(self._cv2, self._picture, likely, slope, offset, box)
        chosen = ((likely > 0.5) & (inside > 0))[y1:y2, x1:x2].astype(np.float32)
        cues = score_cues(
            rough[y1:y2, x1:x2], chosen, (x2 - x1) * (y2 - y1) / (w * h), chosen.mean(), stuff
        )
        return mask, cues
