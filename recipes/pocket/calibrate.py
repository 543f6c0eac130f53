"""Fit how often pocket's boxes are right: details of an evaluation -> `calibration.json`.

    kosmoscope evaluate DATA --model pocket --refined --held-out --set coco --details d.jsonl
    python -m recipes.pocket.calibrate d.jsonl src/kosmoscope/pocket/calibration.json

What counts are both scores and what the detector in the tower says. Boxes of things on pictures
with complete labels count: of others nobody can say whether they are right. The fit is a logistic
regression with a ridge towards "the scores say nothing", since the pictures are few; the figures
that are printed are of a leave-one-picture-out fit.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosmoscope.calibration import Calibration, logit, supporting
from kosmoscope.evaluation.statistics import calibration as reliability
from kosmoscope.evaluation.statistics import logistic
from kosmoscope.files.writing import write_text

RIDGE = 1.0
"""Weight of the squared weights of the scores against the sum over boxes."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Of a box: what its confidence is made of."""

    phrase: float
    box: float
    support: float | None


def read_boxes(files: Sequence[Path]) -> tuple[list[Scores], Floats, list[str]]:
    """Return the scores of N boxes, whether each is right (N,), and its picture."""
    scores, right, pictures = [], [], []
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            picture = json.loads(line)
            for box in picture["boxes"] if picture["judged"] else ():
                if box["thing"] and None not in (box["score"], box["phrase_score"]):
                    scores.append(Scores(box["phrase_score"], box["score"], box["support"]))
                    right.append(float(box["found"] is not None))
                    pictures.append(f"{picture['set_name']}/{picture['file']}")
    return scores, np.array(right), pictures


def fit(scores: Sequence[Scores], right: Floats) -> Floats:
    """Return bias and the weights of the three logits."""
    x = [(logit(s.phrase), logit(s.box), supporting(s.support)) for s in scores]
    return logistic(np.array(x).reshape(-1, 3), right, RIDGE)


def made_of(weights: Floats) -> Calibration:
    """Return the calibration of these weights."""
    bias, phrase, box, support = weights.tolist()
    return Calibration(bias, phrase, box, support)


def confidences(weights: Floats, scores: Sequence[Scores]) -> list[float]:
    """Return what a calibration of these weights says of each box."""
    found = made_of(weights)
    return [found.confidence(s.phrase, s.box, s.support) or 0.0 for s in scores]


def main() -> None:
    """Fit, print the figures, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("details", type=Path, nargs="+", help="of kosmoscope evaluate --details")
    parser.add_argument("out", type=Path, help="calibration.json of the model's folder")
    args = parser.parse_args()
    scores, right, pictures = read_boxes(args.details)
    held: list[float] = [0.0] * len(right)
    for picture in sorted(set(pictures)):
        mine = [i for i, p in enumerate(pictures) if p == picture]
        others = [i for i, p in enumerate(pictures) if p != picture]
        weights = fit([scores[i] for i in others], right[others])
        values = confidences(weights, [scores[i] for i in mine])
        for i, value in zip(mine, values, strict=True):
            held[i] = value
    print(f"{len(right)} boxes on {len(set(pictures))} pictures, {right.mean():.3f} right")
    rows = {
        "phrase score": [s.phrase for s in scores],
        "box score": [s.box for s in scores],
        "support": [s.support or 0.0 for s in scores],
        "confidence": held,
    }
    for name, values in rows.items():
        found = reliability([(float(v), bool(r)) for v, r in zip(values, right, strict=True)])
        brier = float(np.mean((np.array(values) - right) ** 2))
        error = found["expected_calibration_error"]
        print(f"{name:13} calibration error {error:.3f}, Brier {brier:.3f}")
    weights = fit(scores, right)
    sets = ", ".join(sorted({p.partition("/")[0] for p in pictures}))
    made = replace(
        made_of(weights.round(4)),
        boxes=len(right),
        pictures=f"{sets}, things, pictures kept from training",
    )
    write_text(args.out, json.dumps(asdict(made), indent=2) + "\n")
    print(f"{args.out}: {made}")


if __name__ == "__main__":
    main()
