"""Masks against labelled ones: overlap, boundaries, and maps of classes.

Masks are (H, W) of bool, label maps (H, W) of whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.evaluation.data import Record, Sample, Truth
from kosmoscope.evaluation.matching import Guess, match
from kosmoscope.geometry import XYXY, norm_to_px
from kosmoscope.segment.protocol import BoxPrompt, Segmenter

Mask = NDArray[np.bool_]

TOLERANCE = 0.0075
"""Of the picture's diagonal: how far boundaries may be apart and count as the same."""
LEAST_AREA = 0.02
"""Share of the picture from which a segment is measured."""
_SLACK_PX = 1.0  # boxes in records are rounded


def mask_iou(a: Mask, b: Mask) -> float:
    """Return the intersection over the union; of two empty masks 1.

    Raises:
        ValueError: they are of different shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"masks of {a.shape} and {b.shape}")
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def boundary_f(a: Mask, b: Mask, tolerance: float = TOLERANCE) -> float:
    """Return how well two masks' boundaries agree, 0..1.

    The harmonic mean of the shares of either boundary that lie within `tolerance` times the
    diagonal of the other (D. Martin et al., "Learning to detect natural image boundaries", 2004;
    F. Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object
    Segmentation", 2016, by distance instead of by matching pixels one to one). A boundary is the
    mask's pixels beside one outside the mask; the picture's border is none.

    Raises:
        ValueError: they are of different shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"masks of {a.shape} and {b.shape}")
    edge_a, edge_b = _boundary(a), _boundary(b)
    of_a, of_b = int(np.count_nonzero(edge_a)), int(np.count_nonzero(edge_b))
    if not of_a or not of_b:
        return float(of_a == of_b)
    radius = tolerance * math.hypot(*a.shape)
    precision = int(np.count_nonzero(edge_a & _near(edge_b, radius))) / of_a
    recall = int(np.count_nonzero(edge_b & _near(edge_a, radius))) / of_b
    both = precision + recall
    return 2 * precision * recall / both if both else 0.0


def _boundary(mask: Mask) -> Mask:
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    found: Mask = mask & ~inner
    return found


def _near(mask: Mask, radius: float) -> Mask:
    """Return the pixels whose centre is at most `radius` from that of a pixel of the mask."""
    h, w = mask.shape
    found = np.zeros_like(mask)
    reach = min(int(radius), h + w)
    # A disc is a stack of rows: each shift in y is a dilation in x by another half width. Of the
    # running sums, sums[:, i] are the mask's pixels left of column i - reach.
    sums = np.zeros((h, w + 2 * reach + 1), np.int32)
    np.cumsum(mask, axis=1, out=sums[:, reach + 1 : reach + 1 + w])
    sums[:, reach + 1 + w :] = sums[:, reach + w, None]
    for dy in range(min(reach, h - 1) + 1):
        half = min(int(math.sqrt(radius * radius - dy * dy)), reach)
        row = sums[:, reach + half + 1 :][:, :w] > sums[:, reach - half :][:, :w]
        found[dy:] |= row[: h - dy]
        found[: h - dy] |= row[dy:]
    return found


@dataclass(slots=True)
class ClassOverlap:
    """The mean IoU of label maps: sums over all pictures by class, then the mean over classes.

    As in PASCAL VOC and Cityscapes: pixels that the truth leaves unlabelled count nowhere.
    """

    unlabelled: frozenset[int] = frozenset({0})
    shared: dict[int, int] = field(default_factory=dict)
    union: dict[int, int] = field(default_factory=dict)

    def add(self, found: NDArray[np.integer[Any]], truth: NDArray[np.integer[Any]]) -> None:
        """Count one picture. Raises `ValueError` for maps of different shapes."""
        if found.shape != truth.shape:
            raise ValueError(f"label maps of {found.shape} and {truth.shape}")
        known = ~np.isin(truth, list(self.unlabelled))
        a, b = found[known].astype(np.int64), truth[known].astype(np.int64)
        for index in {*np.unique(a).tolist(), *np.unique(b).tolist()}:
            in_a, in_b = a == index, b == index
            both = int(np.count_nonzero(in_a & in_b))
            self.shared[index] = self.shared.get(index, 0) + both
            either = int(np.count_nonzero(in_a | in_b))
            self.union[index] = self.union.get(index, 0) + either

    def merge(self, other: ClassOverlap) -> None:
        """Add what another one counted."""
        for mine, theirs in ((self.shared, other.shared), (self.union, other.union)):
            for index, count in theirs.items():
                mine[index] = mine.get(index, 0) + count

    def by_class(self, classes: Collection[int] | None = None) -> dict[int, float]:
        """Return the IoU of each class that occurs, or of those given."""
        wanted = sorted(self.union if classes is None else set(classes) & set(self.union))
        return {i: self.shared[i] / self.union[i] for i in wanted if self.union[i]}

    def mean(self, classes: Collection[int] | None = None) -> float | None:
        """Return the mean over classes; None without any."""
        found = self.by_class(classes)
        return sum(found.values()) / len(found) if found else None


@dataclass(frozen=True, slots=True)
class MaskFact:
    """One labelled segment and what a segmenter made of it."""

    set_name: str
    file: str
    label: str
    stuff: bool
    filled_box: float
    """IoU of the filled true box: what no segmenter at all would reach."""
    iou: float
    """From the true box."""
    boundary: float
    predicted_iou: float | None
    """From the model's own box; None where it gave no right one."""
    predicted_boundary: float | None


def true_masks(
    record: Record, labels: NDArray[np.uint8], class_names: Mapping[int, str]
) -> list[tuple[Truth, Mask]]:
    """Return the labelled boxes whose mask is certain, of `LEAST_AREA` or more, with it.

    The map has classes, not instances. A region of stuff is all of its class inside its box; a
    thing is, where it is the only one of its class and the labels are complete.
    """
    indices = {name: index for index, name in class_names.items()}
    h, w = labels.shape
    found = []
    for truth in record.boxes:
        same = sum(b.label == truth.label for b in record.boxes)
        certain = truth.stuff or (same == 1 and record.labels_complete)
        if not certain or truth.label not in indices:
            continue
        inside = fill_box(norm_to_px(truth.xyxy, (w, h)), (w, h), _SLACK_PX)
        mask = (labels == indices[truth.label]) & inside
        if np.count_nonzero(mask) >= LEAST_AREA * h * w:
            found.append((truth, mask))
    return found


def fill_box(xyxy_px: XYXY, wh: tuple[int, int], slack: float = 0.0) -> Mask:
    """Return the mask of all pixels whose centre lies in a box, `slack` pixels wider all round."""
    x1, y1, x2, y2 = xyxy_px
    x, y = np.arange(wh[0]) + 0.5, np.arange(wh[1]) + 0.5
    across = (x >= x1 - slack) & (x <= x2 + slack)
    down = (y >= y1 - slack) & (y <= y2 + slack)
    return np.outer(down, across)


def measure_masks(
    sample: Sample, guesses: Sequence[Guess], class_names: Mapping[int, str], segmenter: Segmenter
) -> list[MaskFact]:
    """Run a segmenter on the true boxes of a picture, and on the model's boxes that are right.

    Args:
        sample: the picture with its map of classes; without one nothing is measured.
        guesses: the model's boxes.
        class_names: index in the map -> name.
        segmenter: asked once for all true boxes, once for all predicted ones.
    """
    if sample.mask is None:
        return []
    record, (h, w) = sample.record, sample.mask.shape
    truths = true_masks(record, sample.mask, class_names)
    if not truths:
        return []
    prompts = [BoxPrompt(norm_to_px(t.xyxy, (w, h)), t.label, stuff=t.stuff) for t, _ in truths]
    given = segmenter.segment(sample.rgb, prompts)
    predicted: dict[int, BoxPrompt] = {}
    for guess, index in zip(guesses, match(guesses, [t for t, _ in truths]), strict=True):
        if index is not None:
            predicted[index] = BoxPrompt(norm_to_px(guess.xyxy, (w, h)), guess.phrase)
    order = sorted(predicted)
    answers = segmenter.segment(sample.rgb, [predicted[i] for i in order]) if order else []
    own = {i: answer.mask for i, answer in zip(order, answers, strict=True)}
    return [
        MaskFact(
            record.set_name, record.file, truth.label, truth.stuff,
            mask_iou(fill_box(prompt.xyxy_px, (w, h)), mask),
            mask_iou(answer.mask, mask), boundary_f(answer.mask, mask),
            mask_iou(own[i], mask) if i in own else None,
            boundary_f(own[i], mask) if i in own else None,
        )
        for i, ((truth, mask), prompt, answer) in enumerate(
            zip(truths, prompts, given, strict=True)
        )
    ]  # fmt: skip


def mask_figures(facts: Sequence[MaskFact]) -> dict[str, Any]:
    """Return means over segments: of things, of stuff, of all."""
    groups = {
        "things": [f for f in facts if not f.stuff],
        "stuff": [f for f in facts if f.stuff],
        "all": list(facts),
    }
    return {name: _means(group) for name, group in groups.items()}


def _means(facts: Sequence[MaskFact]) -> dict[str, Any]:
    own = [f for f in facts if f.predicted_iou is not None]
    return {
        "segments": len(facts),
        "filled_box_iou": _mean([f.filled_box for f in facts]),
        "true_box_iou": _mean([f.iou for f in facts]),
        "true_box_boundary_f": _mean([f.boundary for f in facts]),
        "predicted_boxes": len(own),
        "predicted_box_iou": _mean([f.predicted_iou for f in own]),
        "predicted_box_boundary_f": _mean([f.predicted_boundary for f in own]),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return round(sum(known) / len(known), 4) if known else None
