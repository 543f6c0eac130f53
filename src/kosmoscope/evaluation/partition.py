"""The complete partition of a picture against a labelled map of classes: semantic mean IoU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosmoscope.evaluation.data import Sample
from kosmoscope.evaluation.masks import ClassOverlap
from kosmoscope.evaluation.phrases import Classes
from kosmoscope.geometry import norm_to_px
from kosmoscope.results import Description
from kosmoscope.segment.protocol import BoxPrompt, Segmenter
from kosmoscope.segment.run import Wanted, description_prompts, segment_picture
from kosmoscope.types import ImageInfo

NOBODY = -1
"""The class of pixels that nothing named covers."""
_UNLABELLED = ("unlabelled", "unlabeled", "void", "background")


@dataclass(slots=True)
class PartitionOverlaps:
    """Of one set: partitions from the labelled boxes, and from the model's own."""

    class_names: Mapping[int, str]
    """Index in the maps -> name."""
    pictures: int = 0
    of_true_boxes: ClassOverlap = field(init=False)
    of_predicted: ClassOverlap = field(init=False)

    def __post_init__(self) -> None:
        unlabelled = frozenset(range(256)) - self._labelled()
        self.of_true_boxes = ClassOverlap(unlabelled)
        self.of_predicted = ClassOverlap(unlabelled)

    def _labelled(self) -> frozenset[int]:
        return frozenset(i for i, n in self.class_names.items() if n not in _UNLABELLED)

    def add(
        self, sample: Sample, said: Description, classes: Classes, segmenter: Segmenter
    ) -> None:
        """Segment a picture twice and count; one without a map is left out.

        Args:
            sample: the picture.
            said: the model's description of it.
            classes: what phrases may mean.
            segmenter: asked once for the labelled boxes, once for the described ones.
        """
        truth = sample.mask
        if truth is None:
            return
        h, w = truth.shape
        given = [
            Wanted(BoxPrompt(norm_to_px(b.xyxy, (w, h)), b.label, stuff=b.stuff))
            for b in sample.record.boxes
        ]
        labels = [frozenset({b.label}) for b in sample.record.boxes]
        self.of_true_boxes.add(self._map(sample.rgb, truth, given, labels, segmenter), truth)
        own = description_prompts(said, (w, h))
        meant = [classes.of(one.prompt.phrase or "") for one in own]
        self.of_predicted.add(self._map(sample.rgb, truth, own, meant, segmenter), truth)
        self.pictures += 1

    def merge(self, other: PartitionOverlaps) -> None:
        """Add what another one counted, of the same classes."""
        self.of_true_boxes.merge(other.of_true_boxes)
        self.of_predicted.merge(other.of_predicted)
        self.pictures += other.pictures

    def _map(
        self,
        rgb: NDArray[np.uint8],
        truth: NDArray[np.uint8],
        wanted: Sequence[Wanted],
        meant: Sequence[frozenset[str]],
        segmenter: Segmenter,
    ) -> NDArray[np.int64]:
        """Return (H, W) class indices of a partition; `NOBODY` elsewhere."""
        h, w = truth.shape
        info = ImageInfo("", w, h)
        found = segment_picture(rgb, info, wanted, segmenter).labels
        indices = {name: i for i, name in self.class_names.items()}
        result = np.full((h, w), NOBODY, np.int64)
        for number, names in enumerate(meant, 1):
            mine = found == number
            possible = sorted(indices[n] for n in names if n in indices)
            if possible:
                # A phrase that may mean several classes means the one that most of its pixels
                # have, as a box is right for any class that its phrase may mean.
                result[mine] = max(possible, key=lambda i: np.count_nonzero(truth[mine] == i))
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return both means over the classes that the truth has, and the IoU of each class."""
        labelled = self._labelled()
        return {
            "pictures": self.pictures,
            "classes": len(self.of_true_boxes.by_class(labelled)),
            "true_boxes_miou": _rounded(self.of_true_boxes.mean(labelled)),
            "predicted_boxes_miou": _rounded(self.of_predicted.mean(labelled)),
            "true_boxes_iou": self._named(self.of_true_boxes),
            "predicted_boxes_iou": self._named(self.of_predicted),
        }

    def _named(self, overlap: ClassOverlap) -> dict[str, float]:
        found = overlap.by_class(self._labelled())
        return {self.class_names[i]: round(v, 4) for i, v in found.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
