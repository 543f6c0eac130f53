"""How far a rounded model drifts from its fp32 self, on anybody's checkpoint and pictures.

The fp32 model describes each picture; every other precision is then asked, token by token, what
it would have said after the same words (teacher forcing). Free-running texts part ways for good
after one different word, so that comparing them says little about the rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kosmoscope.engine.arena import Float
from kosmoscope.engine.boxes import Corner, box_score, refined_xyxy
from kosmoscope.engine.choice import Scores, corner, log_softmax, pick, score_rows
from kosmoscope.engine.core import PromptIds
from kosmoscope.engine.options import GenerationOptions
from kosmoscope.errors import BoxError, ModelError, OptionError
from kosmoscope.geometry import iou
from kosmoscope.grammar import Grammar, State
from kosmoscope.images import ImageSource
from kosmoscope.model.quantization import Precision
from kosmoscope.prompts import Prompt, describe_prompt
from kosmoscope.scope import Scope, load

TASKS = ("brief", "detailed")


@dataclass(frozen=True, slots=True)
class Drift:
    """One precision against fp32; None where nothing of the kind occurred."""

    precision: str
    choices: int
    """Tokens that were a choice: not those that the grammar forces."""
    agreement: float
    """Share of choices that are the same."""
    text_agreement: float | None
    """The same, over words and tags only."""
    location_agreement: float | None
    """The same, over location tokens: the very same of the grid's cells."""
    location_within_one: float | None
    """Share of location tokens at most one cell away, diagonals included."""
    corner_drift_cells: float | None
    """Mean distance of refined corners, in cells of the grid."""
    corner_drift_p95_cells: float | None
    """95th percentile of the same."""
    box_iou: float | None
    """Mean IoU of the chosen boxes with fp32's."""
    score_drift: float | None
    """Mean absolute difference of the boxes' scores."""
    logit_error: float
    """Root mean square difference of log probabilities of fp32's choices, in nats."""
    same_texts: float
    """Share of free-running descriptions that are the same, token for token."""


@dataclass(frozen=True, slots=True)
class Report:
    """The table that `kosmoscope parity` prints."""

    model: str
    images: int
    texts: int
    drifts: tuple[Drift, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts, lists, strings and numbers."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a model would say at one token of a given text."""

    token: int
    logprob_of_reference: float
    """Natural logarithm of the probability of the token that the text has."""
    corner: Corner | None
    """Where it would say a location."""


def compare(
    name_or_path: str | Path,
    images: Sequence[ImageSource],
    *,
    precisions: Sequence[Precision] = ("int8", "int4"),
    max_new_tokens: int = 64,
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Compare precisions of one checkpoint with its fp32 form.

    Args:
        name_or_path: a model in the hub's format; conversions come from the cache or go there.
        images: at least one picture.
        precisions: what to compare.
        max_new_tokens: per description; each picture gets a brief and a detailed one.
        threads: for arithmetic.
        progress: called with the name of each step.

    Raises:
        OptionError: no picture, or fp32 among the precisions.
        ModelError: fp32 says nothing that could be compared.
        ImageError, CheckpointError: see `kosmoscope.errors`.
    """
    if not images:
        raise OptionError("at least one picture is needed to compare on")
    if "fp32" in precisions:
        raise OptionError("fp32 is what the others are compared with; name int8 or int4")
    say = progress or (lambda _text: None)
    options = GenerationOptions(max_new_tokens=max_new_tokens)

    say("fp32: load and describe")
    scope = load(name_or_path, "fp32", threads=threads, progress=progress)
    texts = [d.token_ids for d in _describe(scope, images, options)]
    truth = [
        taught(scope, describe_prompt(image, task), ids)
        for (image, task), ids in zip(_cases(images), texts, strict=True)
    ]
    if not any(truth):
        raise ModelError(f"{scope.model}: fp32 ends every text at once; nothing to compare")
    model = scope.model
    del scope  # full-size models need not lie side by side

    drifts = []
    for precision in precisions:
        say(f"{precision}: load and compare")
        other = load(name_or_path, precision, threads=threads, progress=progress)
        found = [
            taught(other, describe_prompt(image, task), ids)
            for (image, task), ids in zip(_cases(images), texts, strict=True)
        ]
        free = [d.token_ids for d in _describe(other, images, options)]
        same = float(np.mean([a == b for a, b in zip(free, texts, strict=True)]))
        side = other.tokenizer.tokens.side
        drifts.append(drift(precision, truth, found, same, side))
        del other
    return Report(model, len(images), len(texts), tuple(drifts))


def _cases(images: Sequence[ImageSource]) -> Iterator[tuple[ImageSource, str]]:
    for image in images:
        for task in TASKS:
            yield image, task


def _describe(scope: Scope, images: Sequence[ImageSource], options: GenerationOptions) -> Any:
    for image in images:
        encoded = scope.encode(image)
        prompts = [describe_prompt(encoded, task) for task in TASKS]
        yield from scope.complete(prompts, options)


def hidden_states(scope: Scope, prompt: Prompt, ids: Sequence[int]) -> tuple[PromptIds, Float]:
    """Return a prompt's ids, and the states from which each token of a given text is predicted.

    Args:
        scope: the model.
        prompt: about one picture, encoded or not.
        ids: the text after it.

    Returns:
        the prompt as the engine takes it, and float32 (len(ids), D).
    """
    compiled = prompt.compile(scope.tokenizer, scope.engine.slot_ids)
    pictures = tuple((start, scope.encode(image).state) for start, image in compiled.pictures)
    asked = PromptIds(compiled.ids, pictures)
    return asked, scope.engine.teach(asked, ids)


def taught(scope: Scope, prompt: Prompt, ids: Sequence[int]) -> list[Choice]:
    """Return what the model chooses at each token of a given text that is a choice.

    Args:
        scope: the model.
        prompt: about a picture.
        ids: the text after it, well-formed.
    """
    asked, hidden = hidden_states(scope, prompt, ids)
    grammar = Grammar(scope.tokenizer.tokens)
    state: State | None = grammar.state_after(asked.ids)
    states: list[tuple[Grammar, State] | None] = []
    rows = []
    for row, token in enumerate(ids):
        assert state is not None
        if grammar.forced(state) is None:
            states.append((grammar, state))
            rows.append(row)
        state = grammar.advance(state, token)
    if not rows:
        return []
    scored = score_rows(scope.engine, hidden[rows], states)
    return [_choice(scope, s, ids[row]) for s, row in zip(scored, rows, strict=True)]


def _choice(scope: Scope, scores: Scores, reference: int) -> Choice:
    token = scores.token(pick(scores, GenerationOptions(), np.random.default_rng(0)))
    logprobs = log_softmax(scores.masked())
    index = (
        int(np.flatnonzero(scores.ids == reference)[0])
        if scores.ids is not None
        else reference - scores.first
    )
    return Choice(token, float(logprobs[index]), corner(scope.engine, scores, token))


def drift(
    precision: str,
    truth: Sequence[Sequence[Choice]],
    found: Sequence[Sequence[Choice]],
    same_texts: float,
    side: int,
) -> Drift:
    """Return how far one precision's choices, text by text, are from fp32's in `truth`.

    Args:
        precision: that of `found`.
        truth: at least one choice in all.
        found: of the same texts.
        same_texts: share of free-running texts that are the same.
        side: cells along each side of the grid.
    """
    pairs = [p for a, b in zip(truth, found, strict=True) for p in zip(a, b, strict=True)]
    same = np.array([a.token == b.token for a, b in pairs])
    located = np.array([a.corner is not None for a, _ in pairs])
    corners = [(a.corner, b.corner) for a, b in pairs if a.corner and b.corner]
    steps = np.array([_steps(a, b, side) for a, b in corners])
    moved = np.array([np.hypot(a.x - b.x, a.y - b.y) * side for a, b in corners])
    errors = np.array([a.logprob_of_reference - b.logprob_of_reference for a, b in pairs])
    boxes = list(_boxes(truth, found))
    ious = [_overlap(a, b, side) for a, b in boxes]
    scores = [abs(box_score(*a) - box_score(*b)) for a, b in boxes]
    return Drift(
        precision=precision,
        choices=len(pairs),
        agreement=float(same.mean()),
        text_agreement=_mean(same[~located]),
        location_agreement=_mean(same[located]),
        location_within_one=_mean(steps <= 1),
        corner_drift_cells=_mean(moved),
        corner_drift_p95_cells=float(np.percentile(moved, 95)) if len(moved) else None,
        box_iou=_mean(np.array(ious)),
        score_drift=_mean(np.array(scores)),
        logit_error=float(np.sqrt(np.mean(errors**2))),
        same_texts=same_texts,
    )


def _mean(values: np.ndarray[Any, Any]) -> float | None:
    return float(values.mean()) if len(values) else None


def _steps(a: Corner, b: Corner, side: int) -> int:
    (ra, ca), (rb, cb) = divmod(a.cell, side), divmod(b.cell, side)
    return max(abs(ra - rb), abs(ca - cb))


def _boxes(
    truth: Sequence[Sequence[Choice]], found: Sequence[Sequence[Choice]]
) -> Iterator[tuple[tuple[Corner, Corner], tuple[Corner, Corner]]]:
    """Yield both models' corner pairs of each box, in the order in which they came."""
    for a, b in zip(truth, found, strict=True):
        both = [(x.corner, y.corner) for x, y in zip(a, b, strict=True) if x.corner and y.corner]
        for (ul, their_ul), (lr, their_lr) in zip(both[0::2], both[1::2], strict=False):
            if ul and lr and their_ul and their_lr:
                yield (ul, lr), (their_ul, their_lr)


def _overlap(a: tuple[Corner, Corner], b: tuple[Corner, Corner], side: int) -> float:
    """Return the IoU of two boxes. Each corner was chosen after the given text's, not after the
    model's own, so that two may make an inverted box: it covers nothing."""
    try:
        return iou(refined_xyxy(*a, side), refined_xyxy(*b, side))
    except BoxError:
        return 0.0
