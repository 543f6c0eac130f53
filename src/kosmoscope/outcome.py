"""From generated tokens to a `Description`: text, spans, boxes, scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kosmoscope.calibration import Calibration
from kosmoscope.engine.boxes import box_score, refined_xyxy
from kosmoscope.engine.branch import Token
from kosmoscope.engine.detections import Detections
from kosmoscope.grammar import CellBox
from kosmoscope.reading import ReadEntity, marked, read, tagged
from kosmoscope.results import Description
from kosmoscope.tokens import Tokenizer, cells_to_xyxy
from kosmoscope.types import Box, Entity, ImageInfo, Timing


@dataclass(frozen=True, slots=True)
class Context:
    """What must be known beside the tokens themselves."""

    tokenizer: Tokenizer
    image: ImageInfo
    model: str
    precision: str
    prompt_ids: tuple[int, ...]
    tail: int
    """Index into `prompt_ids` of the first token after the last picture."""
    echo: bool
    """The prompt's text belongs into the caption."""
    calibration: Calibration | None = None
    """Of the model, where somebody has measured it."""
    detections: Detections | None = None
    """What a detector inside the model saw in the picture."""

    @property
    def leading_ids(self) -> tuple[int, ...]:
        """The prompt's tokens that are read as part of the caption.

        Where the prompt itself does not belong into it, a phrase that it leaves open still does.
        """
        tail = self.prompt_ids[self.tail :]
        if self.echo:
            return tail
        tokens = self.tokenizer.tokens
        for index in range(len(tail) - 1, -1, -1):
            if tail[index] == tokens.phrase_open:
                return tail[index:]
            if tail[index] == tokens.phrase_close:
                break
        return ()


def describe_tokens(tokens: Sequence[Token], context: Context, timing: Timing) -> Description:
    """Build the result from all generated tokens, in order."""
    tokenizer = context.tokenizer
    ids = [t.id for t in tokens]
    tail = list(context.prompt_ids[context.tail :])
    reading = read([*context.leading_ids, *ids], tokenizer)
    finish = tokens[-1].finish
    assert finish is not None, "the tokens of a whole result end with the one that ended it"
    warnings = reading.warnings
    if tokenizer.tokens.unk in tail:
        warnings = (*warnings, "the prompt has characters that the model's vocabulary lacks")
    return Description(
        image=context.image,
        model=context.model,
        precision=context.precision,
        prompt=read(tail, tokenizer).text,
        caption=reading.text,
        text=read(ids, tokenizer).text,
        tagged=tagged([*tail, *ids], tokenizer),
        marked=marked([*tail, *ids], tokenizer),
        raw=tokenizer.decode([*context.prompt_ids, *ids], keep_tags=True),
        entities=tuple(entity_of(e, context, tokens) for e in reading.entities),
        token_ids=tuple(ids),
        finish_reason=finish,
        timing=timing,
        warnings=warnings,
    )


def entity_of(found: ReadEntity, context: Context, tokens: Sequence[Token]) -> Entity:
    """Give an entity its boxes and scores.

    Args:
        found: with indices into the caption's tokens (leading ones, then generated ones).
        context: of the request.
        tokens: the generated ones, at least up to the entity's end.
    """
    offset = len(context.leading_ids)
    start, stop = found.tokens
    logprobs = [
        tokens[i].logprob for i in range(start - offset, stop - offset) if i >= 0
    ]  # fmt: skip
    known = [p for p in logprobs if p is not None]
    score = math.exp(math.fsum(known) / len(known)) if known else None
    boxes = [_box(box, context, tokens, box.index - offset) for box in found.boxes]
    if context.detections is not None:
        boxes = _seen(boxes, found.phrase, context.detections)
    if context.calibration is not None:
        sure = context.calibration.confidence
        boxes = [replace(b, confidence=sure(score, b.score, b.support)) for b in boxes]
    return Entity(found.phrase, found.span, tuple(boxes), score, found.complete)


def _seen(boxes: list[Box], phrase: str, detections: Detections) -> list[Box]:
    """Give generated boxes what a detector says of them, and its own finer corners.

    Those are not bound to the grid, and overlap objects better.
    """
    corners = [(i, b.refined) for i, b in enumerate(boxes) if b.refined is not None]
    pairs = detections.paired(phrase, [xyxy for _, xyxy in corners])
    if pairs is None:
        return boxes
    found = list(boxes)
    for (i, _), seen in zip(corners, pairs, strict=True):
        support, refined = (0.0, boxes[i].refined) if seen is None else (seen.score, seen.xyxy)
        found[i] = replace(boxes[i], support=support, refined=refined)
    return found


def _box(box: CellBox, context: Context, tokens: Sequence[Token], index: int) -> Box:
    side = context.tokenizer.tokens.side
    xyxy = cells_to_xyxy(box.upper_left, box.lower_right, side)
    image_wh = (context.image.width, context.image.height)
    if index < 0:
        return Box.of(xyxy, image_wh)
    upper_left, lower_right = tokens[index].corner, tokens[index + 1].corner
    assert upper_left is not None
    assert lower_right is not None
    score = box_score(upper_left, lower_right)
    refined = refined_xyxy(upper_left, lower_right, side)
    return Box.of(xyxy, image_wh, score, refined, listed=_listed(context, tokens, index))


def _listed(context: Context, tokens: Sequence[Token], index: int) -> float | None:
    """Return the probability with which a box was gone on to; None for a list's first."""
    before = tokens[index - 1] if index else None
    if before is None or before.id != context.tokenizer.tokens.delimiter:
        return None
    return None if before.logprob is None else math.exp(before.logprob)
