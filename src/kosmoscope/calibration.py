"""From a model's scores to how often it is right.

A box has two scores: how sure the model was of the phrase's words, and how much of the location
tokens' probability lies at the corners. Neither is how often such a box is right. A model folder
may have `calibration.json`, which says that, fitted on labelled pictures that the model was not
trained on: a logistic regression on both scores (Platt, "Probabilistic Outputs for Support Vector
Machines", 1999, with two inputs).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from kosmoscope.errors import CheckpointError, InputError
from kosmoscope.files.checked import checked, read_object

CALIBRATION = "calibration.json"
_EDGE = 0.001
"""Scores are taken to lie this far from 0 and 1, where the logit has no end."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Right with probability 1 / (1 + exp(-(bias + phrase logit(p) + box logit(b))))."""

    bias: float
    phrase: float
    """Weight of the logit of the phrase's score."""
    box: float
    """Weight of the logit of the box's score."""
    boxes: int = 0
    """On how many boxes it was fitted."""
    pictures: str = ""
    """On which pictures, in words."""

    def confidence(self, phrase_score: float | None, box_score: float | None) -> float | None:
        """Return the probability that a box is right, 0..1; None without both scores."""
        if phrase_score is None or box_score is None:
            return None
        z = self.bias + self.phrase * logit(phrase_score) + self.box * logit(box_score)
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
        if not all(map(math.isfinite, (found.bias, found.phrase, found.box))):
            raise CheckpointError(f"{path}: a weight is not finite")
        return found


def logit(score: float) -> float:
    """Return log(p / (1 - p)) of a score, kept off 0 and 1."""
    p = min(max(score, _EDGE), 1 - _EDGE)
    return math.log(p / (1 - p))
