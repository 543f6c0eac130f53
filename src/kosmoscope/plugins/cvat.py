"""CVAT's auto-annotation function.

    cvat-cli task auto-annotate TASK --function-module kosmoscope.plugins.cvat \
        -p labels=str:"dog; traffic_light = a traffic light" -p model=str:pocket

CVAT wants to know the labels beforehand: those of the task that shall be looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import cvat_sdk.auto_annotation as cvataa
import PIL.Image
from cvat_sdk.masks import encode_mask

from kosmoscope.choosing import check_share
from kosmoscope.errors import OptionError
from kosmoscope.export.parts import outlines
from kosmoscope.labels import labels_of
from kosmoscope.plugins.finding import Finder, Found
from kosmoscope.scope import load
from kosmoscope.segment.run import CLASSICAL

Shape = Literal["rectangle", "mask", "polygon"]
_SHAPES: dict[str, Shape] = {"rectangle": "rectangle", "mask": "mask", "polygon": "polygon"}


class Function:
    """Finds the labels of a list in CVAT's frames.

    Args:
        finder: with the model.
        shape: what is returned.
        min_score: where CVAT says no threshold; None: see `kosmoscope.labels`.
    """

    def __init__(self, finder: Finder, shape: Shape, min_score: float | None) -> None:
        self._finder, self._shape, self._min_score = finder, shape, min_score
        self._ids = {label.name: id for id, label in enumerate(finder.labels)}
        self.spec = cvataa.DetectionFunctionSpec(
            labels=[cvataa.label_spec(name, id, type=shape) for name, id in self._ids.items()]
        )

    def detect(
        self, context: cvataa.DetectionFunctionContext, image: PIL.Image.Image
    ) -> Sequence[cvataa.DetectionAnnotation]:
        """Return the shapes of a frame."""
        threshold = context.conf_threshold
        least = self._min_score if threshold is None else threshold
        _, found = self._finder.find(image, least, masks=self._shape != "rectangle")
        as_polygons = self._shape == "polygon" or context.conv_mask_to_poly
        return [shape for one in found for shape in self._shapes(one, as_polygons)]

    def _shapes(self, found: Found, as_polygons: bool) -> Iterator[cvataa.DetectionAnnotation]:
        id = self._ids[found.label]
        if found.mask is None:
            yield cvataa.rectangle(id, list(found.box.xyxy_px))
        elif as_polygons:
            for ring in outlines(found.mask):
                yield cvataa.polygon(id, ring.ravel().tolist())
        else:
            yield cvataa.mask(id, encode_mask(found.mask.bits))


def create(
    labels: str,
    model: str | None = None,
    shape: str = "rectangle",
    min_score: float | None = None,
    segmenter: str = CLASSICAL,
    threads: int | None = None,
) -> Function:
    """Return the function; CVAT calls this with the parameters of its command line.

    Args:
        labels: those of the task, with semicolons between them; ``NAME = PHRASE, PHRASE`` for
            one whose name does not say what to look for.
        model: as `kosmoscope.load` takes it.
        shape: "rectangle", "mask" or "polygon".
        min_score: keep what the model is as sure of, unless CVAT says how sure it must be; None:
            see `kosmoscope.labels`.
        segmenter: of masks and polygons.
        threads: for arithmetic; None for one per processor.

    Raises:
        OptionError: a parameter is none of these.
        ModelError: there is no such model.
    """
    if shape not in _SHAPES:
        raise OptionError(f"shape is {shape!r}; expected one of {', '.join(_SHAPES)}")
    check_share("min_score", min_score)
    asked = labels_of(labels)
    finder = Finder(load(model, threads=threads), asked, segmenter)
    return Function(finder, _SHAPES[shape], min_score)
