"""FiftyOne's model: pictures in, detections out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import fiftyone.core.labels as fol
import fiftyone.core.models as fom

from kosmoscope.plugins.finding import Finder, Found
from kosmoscope.types import ImageInfo


@dataclass
class Config:
    """What FiftyOne may set while a model is applied, under its own names."""

    classes: list[str]
    masks: bool = False
    confidence_thresh: float | None = None


class KosmoscopeModel(fom.Model):  # type: ignore[misc] # its library has no types
    """Finds the classes of a list in pictures.

    Args:
        finder: with the model.
        config: how to look.
    """

    def __init__(self, finder: Finder, config: Config) -> None:
        self._finder = finder
        self.config = config
        self._preprocess = False

    @property
    def media_type(self) -> str:
        """What it is applied to."""
        return "image"

    @property
    def ragged_batches(self) -> bool:
        """Pictures of a batch may differ in size."""
        return True

    @property
    def transforms(self) -> None:
        """Nothing is done to pictures beforehand."""
        return

    @property
    def preprocess(self) -> bool:
        """As nothing is done beforehand, this changes nothing."""
        return self._preprocess

    @preprocess.setter
    def preprocess(self, value: bool) -> None:
        self._preprocess = value

    def predict(self, arg: Any) -> fol.Detections:
        """Return what is found in a picture.

        Args:
            arg: an (H, W, 3) array, a Pillow image, a path, or a mapping with the ``filepath``.
        """
        source = arg["filepath"] if isinstance(arg, Mapping) else arg
        least = self.config.confidence_thresh
        info, found = self._finder.find(source, least, masks=self.config.masks)
        return fol.Detections(detections=[_detection(one, info) for one in found])

    def predict_all(self, args: Iterable[Any]) -> list[fol.Detections]:
        """Return what is found in each of several pictures."""
        return [self.predict(arg) for arg in args]


def _detection(found: Found, info: ImageInfo) -> fol.Detection:
    x1, y1, x2, y2 = found.box.xyxy
    crop = None
    if found.mask is not None and (tight := found.mask.xyxy_px) is not None:
        left, top, right, bottom = tight
        crop = found.mask.bits[top:bottom, left:right].copy()
        x1, x2 = left / info.width, right / info.width
        y1, y2 = top / info.height, bottom / info.height
    return fol.Detection(
        label=found.label, bounding_box=[x1, y1, x2 - x1, y2 - y1],
        confidence=found.box.shown_score, mask=crop,
    )  # fmt: skip
