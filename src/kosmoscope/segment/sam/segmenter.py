"""Segment Anything behind the segmenters' protocol: encode a picture once, ask it many times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kosmoscope.engine.sessions import open_session, thread_count
from kosmoscope.model.quantization import Float
from kosmoscope.segment.protocol import BoxPrompt, Proposal, check_picture
from kosmoscope.segment.sam.converted import ConvertedSam
from kosmoscope.segment.sam.decoder import LOWER_RIGHT, NEGATIVE, NONE, POSITIVE, UPPER_LEFT
from kosmoscope.segment.sam.kind import SAM
from kosmoscope.segment.sam.names import DECODER, ENCODER
from kosmoscope.segment.sam.pictures import full_size, square
from kosmoscope.store.convert import load_model
from kosmoscope.store.kind import Step

SamPrecision = Literal["fp32", "int8"]

_TOGETHER = 8
"""Prompts in one pass of the decoder; each takes some 40 MB of working memory."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPicture:
    """A picture that the model has looked at. A value: keep it, share it between threads."""

    image_wh: tuple[int, int]
    """Width and height of the picture in pixels."""
    embeddings: Float = field(repr=False)
    """(1, C, g, g) float32."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the decoder says to one prompt, before anything is chosen."""

    logits: Float
    """(M, 4g, 4g) float32 over the padded square; the single mask first, then the several."""
    ious: Float
    """(M,) float32: the model's estimates of the masks' IoU, as they come: not clipped."""


def load_sam(
    name_or_folder: str | Path,
    threads: int | None = None,
    progress: Step | None = None,
    *,
    precision: SamPrecision | None = None,
    multimask: bool = True,
) -> SamSegmenter:
    """Load a Segment Anything model. It is converted on first use into the cache, then mapped.

    Args:
        name_or_folder: a name of `SAM.aliases`, "org/name" as in the hub's cache, a folder with
            config.json, preprocessor_config.json and model.safetensors as transformers'
            `SamModel` writes them, or a converted folder.
        threads: for arithmetic; None for one per processor.
        progress: called with the name of each step of a conversion.
        precision: of the encoder's weights: fp32 (the default) or int8; a converted folder has
            its own.
        multimask: see `SamSegmenter`.

    Raises:
        ModelNotFoundError: no such name or folder, or not downloaded yet.
        OfflineError: not in the hub's cache, and offline mode is on.
        CheckpointError: a file of the model is wrong; the message names it.
        OptionError: an unknown precision, or threads out of range.
        ModelError: the cache cannot be written.
    """
    count = thread_count(threads)
    converted = load_model(SAM, name_or_folder, precision, progress)
    return SamSegmenter(converted, threads=count, multimask=multimask)


class SamSegmenter:
    """A loaded model; implements `kosmoscope.segment.Segmenter`. Safe to use from several threads.

    Args:
        converted: the model.
        threads: for arithmetic; None for one per processor.
        multimask: True: of the several masks (usually 3: a part, the thing, more than the thing)
            the one with the best estimated IoU; False: the single mask, meant for prompts that
            leave no doubt.
    """

    def __init__(
        self, converted: ConvertedSam, *, threads: int | None = None, multimask: bool = True
    ) -> None:
        count = thread_count(threads)
        self.config, self.square = converted.config, converted.square
        self.multimask = multimask
        self._name = converted.manifest.name
        # An int8 graph is written as it should run; see `open_session`.
        optimize = converted.manifest.precision == "fp32"
        self._encoder: Any = open_session(converted.folder / ENCODER, count, optimize=optimize)
        self._decoder: Any = open_session(converted.folder / DECODER, count, optimize=True)

    def __repr__(self) -> str:
        return f"SamSegmenter({self._name!r})"

    @property
    def name(self) -> str:
        """What results call this segmenter: "sam:" and the model's name."""
        return f"sam:{self._name}"

    def encode(self, picture: NDArray[np.uint8]) -> EncodedPicture:
        """Look at a picture once, to ask about it many times.

        Args:
            picture: (H, W, 3) uint8 RGB, upright.

        Raises:
            InputError: it is not such an array.
        """
        wh = check_picture(picture)
        (embeddings,) = self._encoder.run(None, {"pixels": square(picture, self.square)})
        return EncodedPicture(wh, embeddings)

    def answers(self, encoded: EncodedPicture, prompts: Sequence[BoxPrompt]) -> list[Answer]:
        """Return the decoder's raw answers, one a prompt, in order.

        Prompts never influence one another: those with equally many tokens share a pass.

        Raises:
            BoxError: a box or click lies outside the picture.
        """
        tokens = [self._tokens(encoded.image_wh, prompt) for prompt in prompts]
        alike: dict[int, list[int]] = {}
        for i, (kinds, _) in enumerate(tokens):
            alike.setdefault(len(kinds), []).append(i)
        found: dict[int, Answer] = {}
        for group in alike.values():
            for start in range(0, len(group), _TOGETHER):
                some = group[start : start + _TOGETHER]
                feeds = {
                    "embeddings": encoded.embeddings,
                    "kinds": np.stack([tokens[i][0] for i in some]),
                    "places": np.stack([tokens[i][1] for i in some]),
                }
                masks, ious = self._decoder.run(None, feeds)
                found.update((i, Answer(m, s)) for i, m, s in zip(some, masks, ious, strict=True))
        return [found[i] for i in range(len(prompts))]

    def ask(self, encoded: EncodedPicture, prompts: Sequence[BoxPrompt]) -> list[Proposal]:
        """Return one proposal a prompt, in order, about a picture that was encoded before.

        Raises:
            BoxError: a box or click lies outside the picture.
        """
        proposals: list[Proposal] = []
        for start in range(0, len(prompts), _TOGETHER):
            answers = self.answers(encoded, prompts[start : start + _TOGETHER])
            chosen = [1 + int(a.ious[1:].argmax()) if self.multimask else 0 for a in answers]
            logits = np.stack([a.logits[c] for a, c in zip(answers, chosen, strict=True)])
            masks = full_size(logits, self.square, encoded.image_wh)
            for mask, answer, c in zip(masks, answers, chosen, strict=True):
                score = float(answer.ious[c])
                # The estimate is a plain number that no activation bounds.
                score = min(max(score, 0.0), 1.0) if math.isfinite(score) else 0.0
                proposals.append(Proposal(mask, score))
        return proposals

    def segment(self, picture: NDArray[np.uint8], prompts: Sequence[BoxPrompt]) -> list[Proposal]:
        """Return one proposal a prompt, in order.

        The phrase and `stuff` of a prompt are not used: the model knows no words.

        Args:
            picture: (H, W, 3) uint8 RGB, upright.
            prompts: a box that is the whole picture and comes with clicks is left out, so that
                the clicks speak alone; none gives an empty list.

        Raises:
            BoxError: a box or click lies outside the picture.
            InputError: the picture is not an (H, W, 3) array of bytes.
        """
        wh = check_picture(picture)
        for prompt in prompts:
            prompt.within(wh)  # before the encoder's seconds
        return self.ask(self.encode(picture), prompts) if prompts else []

    def _tokens(
        self, image_wh: tuple[int, int], prompt: BoxPrompt
    ) -> tuple[NDArray[np.int32], Float]:
        """Return kinds (N,) and places (N, 2) in the square, clicks before corners."""
        box = prompt.within(image_wh)
        places = [(x, y) for x, y, _ in prompt.points]
        kinds = [POSITIVE if positive else NEGATIVE for _, _, positive in prompt.points]
        if places and box == (0.0, 0.0, float(image_wh[0]), float(image_wh[1])):
            places.append((0.0, 0.0))
            kinds.append(NONE)
        else:
            places += [box[:2], box[2:]]
            kinds += [UPPER_LEFT, LOWER_RIGHT]
        inner = np.array(self.square.scaled(image_wh))
        scaled = np.array(places, np.float64) * (inner / np.array(image_wh))
        return np.array(kinds, np.int32), scaled.astype(np.float32)
