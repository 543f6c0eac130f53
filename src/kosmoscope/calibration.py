"""From a model's scores to how often it is right.

A box has two scores: how sure the model was of the phrase's words, and how much of the location
tokens' probability lies at the corners. Neither is how often such a box is right. A model folder
may have `calibration.json`, which says that, fitted on labelled pictures that the model was not
trained on: a logistic regression on both scores (Platt, "Probabilistic Outputs for Support Vector
Machines", 1999, with two inputs).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kosmoscope.errors import CheckpointError, InputError
from kosmoscope.files.checked import checked, read_object

CALIBRATION = "calibration.json"
DETAIL = "detail.json"
_LEAST_SUPPORT = 0.1
"""What a detector does not report counts as if it had this score."""
_EDGE = 0.001
"""Scores are taken to lie this far from 0 and 1, where the logit has no end."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Right with probability 1 / (1 + exp(-(bias + phrase logit(p) + box logit(b) + support s)));
    s as `supporting` has it."""

    bias: float
    phrase: float
    """Weight of the logit of the phrase's score."""
    box: float
    """Weight of the logit of the box's score."""
    support: float = 0.0
    """Weight of the logit of what a detector inside the model says of the box."""
    boxes: int = 0
    """On how many boxes it was fitted."""
    pictures: str = ""
    """On which pictures, in words."""

    def confidence(
        self, phrase_score: float | None, box_score: float | None, support: float | None = None
    ) -> float | None:
        """Return the probability that a box is right, 0..1; None without both scores.

        Args:
            phrase_score: of the phrase.
            box_score: of the box.
            support: of the candidate that a detector inside the model has for it
                (`kosmoscope.engine.detections.Detections.paired`), 0 if there is none.
        """
        if phrase_score is None or box_score is None:
            return None
        z = self.bias + self.phrase * logit(phrase_score) + self.box * logit(box_score)
        z += self.support * supporting(support)
        return 1 / (1 + math.exp(-max(-700.0, z)))

    @classmethod
    def from_file(cls, path: Path) -> Calibration:
        """Read `calibration.json`.

        Raises:
            CheckpointError: it is not one, or a number is not finite; the message names it.
        """
        try:
            found = checked(read_object(path), cls)
        except InputError as e:
            raise CheckpointError(f"{path}: not a calibration: {e}") from e
        if not all(map(math.isfinite, (found.bias, found.phrase, found.box, found.support))):
            raise CheckpointError(f"{path}: a weight is not finite")
        return found


@dataclass(frozen=True, slots=True)
class DetailCalibration:
    """Of the detail pass: an object is there with probability 1 / (1 + exp(-(bias + weights x))).

    `detail.json` of a model's folder, fitted as the other on labelled pictures; x are
    `kosmoscope.detail.merging.features`.
    """

    bias: float
    weights: Mapping[str, float] = field(default_factory=dict)
    """By the features' names; one that is not there counts for nothing."""
    unseen: float = 0.0
    """How many objects of a kind there are, on average, beside each one that is expected."""
    things: int = 0
    """On how many objects it was fitted; 0: on none, and what it says is no measured share."""
    pictures: str = ""
    """On which pictures, in words."""

    def probability(self, features: Mapping[str, float]) -> float:
        """Return the probability that an object is there, 0..1."""
        z = self.bias + math.fsum(self.weights.get(n, 0.0) * x for n, x in features.items())
        return 1 / (1 + math.exp(-min(max(z, -700.0), 700.0)))

    @classmethod
    def from_file(cls, path: Path) -> DetailCalibration:
        """Read `detail.json`.

        Raises:
            CheckpointError: it is not one, or a number is not finite; the message names it.
        """
        try:
            found = checked(read_object(path), cls)
        except InputError as e:
            raise CheckpointError(f"{path}: not a calibration of the detail pass: {e}") from e
        numbers = (found.bias, found.unseen, *found.weights.values())
        if not all(map(math.isfinite, numbers)) or found.unseen < 0:
            raise CheckpointError(f"{path}: a weight is not finite, or 'unseen' below 0")
        return found


_TOLD = {
    "whole": 0.4, "tile": 0.2, "said": 0.3, "was_said": 0.5, "listed": 0.2, "ways": 0.5,
    "named": 0.3, "again": 0.5,
}  # fmt: skip
UNMEASURED = DetailCalibration(
    bias=-0.6,
    weights=_TOLD
    | {f"known_{name}": weight for name, weight in _TOLD.items()}
    | {"known_seen": 0.5, "known_seen_on_tile": 0.2},
)
"""For models that nobody has measured: an order of objects, not a share of right ones."""


def supporting(support: float | None) -> float:
    """Return the logit of what a detector says, kept off 0; 0 where it has no say."""
    return 0.0 if support is None else logit(max(support, _LEAST_SUPPORT))


def logit(score: float) -> float:
    """Return log(p / (1 - p)) of a score, kept off 0 and 1."""
    p = min(max(score, _EDGE), 1 - _EDGE)
    return math.log(p / (1 - p))
