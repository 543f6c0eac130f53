"""From boxes to a `Segmentation`: ask a segmenter, let each pixel have one name."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosmoscope.errors import OptionError
from kosmoscope.geometry import norm_to_px
from kosmoscope.masks import Candidate, Segment, partition
from kosmoscope.masks.partition import rest_regions
from kosmoscope.segment.classical.words import is_stuff
from kosmoscope.segment.protocol import BoxPrompt, Segmenter, check_picture
from kosmoscope.segment.registry import SEGMENTERS
from kosmoscope.segment.segmentation import Segmentation
from kosmoscope.store.installed import resolve
from kosmoscope.store.kind import kind_of
from kosmoscope.types import GroundedCaption, ImageInfo

CLASSICAL = "classical"
CELL = 1 / 32
NAMELESS = "object"
"""What a segment is called whose prompt has no phrase: one class for all of them."""
_KEPT = 2
"""Segmenters that stay loaded because somebody asked for them by their names."""


def load_segmenter(name: str | Path = CLASSICAL, *, threads: int | None = None) -> Segmenter:
    """Return a segmenter by its name.

    Args:
        name: "classical" (needs OpenCV, the extra ``segment``), or "sam"
            (sam-vit-base), or another of `kosmoscope.segment.registry`; or a model that one of
            them runs: a name such as "slimsam-77", "org/name" as pulled, or a folder.
        threads: for the arithmetic of those that run a model; None for one per processor.

    Raises:
        KosmoscopeError: OpenCV is not installed.
        ModelError: there is none of that name, or its checkpoint is not there or damaged.
    """
    if isinstance(name, str) and name in SEGMENTERS:
        return SEGMENTERS.get(name).load(name, threads)
    models = {kind.model.name: kind for kind in SEGMENTERS if kind.model is not None}
    kinds = [kind.model for kind in models.values() if kind.model is not None]
    folder = resolve(name, kinds, SEGMENTERS.names()).folder
    return models[kind_of(folder, kinds).name].load(name, threads)


_loaded: OrderedDict[tuple[object, ...], tuple[object, Segmenter]] = OrderedDict()
_loading = threading.Lock()


def shared_segmenter(name: str | Path = CLASSICAL, *, threads: int | None = None) -> Segmenter:
    """Return a segmenter by its name, the same one each time.

    So that who segments picture by picture does not load a model for each. The last few stay
    loaded. Arguments and errors are those of `load_segmenter`.
    """
    # A name can be registered anew, and the working folder can change.
    record = SEGMENTERS.get(name) if isinstance(name, str) and name in SEGMENTERS else None
    key = (name, type(name), Path.cwd(), threads)
    with _loading:  # two threads that come first at the same time need one
        if key in _loaded and _loaded[key][0] is not record:
            del _loaded[key]
        if key not in _loaded:
            _loaded[key] = record, load_segmenter(name, threads=threads)
        _loaded.move_to_end(key)
        while len(_loaded) > _KEPT:
            _loaded.popitem(last=False)
        return _loaded[key][1]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A prompt, and whose box it is."""

    prompt: BoxPrompt
    entity: int | None = None


def description_prompts(
    description: GroundedCaption, image_wh: tuple[int, int] | None = None
) -> list[Wanted]:
    """Return a prompt for each box of each entity, finer than the grid where that is known.

    Args:
        description: of the picture.
        image_wh: its size in pixels, if it is read at another one.
    """
    image_wh = image_wh or (description.image.width, description.image.height)
    found = []
    for index, entity in enumerate(description.entities):
        for box in entity.boxes:
            x1, y1, x2, y2 = box.refined or box.xyxy
            if x2 <= x1 or y2 <= y1:
                x1, y1, x2, y2 = box.xyxy
            stuff = is_stuff(entity.phrase)
            if stuff:
                # A location token is the centre of its cell, so no box can touch the picture's
                # edge; a sky does.
                x1, y1 = (0.0 if v < CELL else v for v in (x1, y1))
                x2, y2 = (1.0 if v > 1 - CELL else v for v in (x2, y2))
            prompt = BoxPrompt(norm_to_px((x1, y1, x2, y2), image_wh), entity.phrase, stuff=stuff)
            found.append(Wanted(prompt, index))
    return found


def segment_description(
    said: GroundedCaption | Sequence[GroundedCaption],
    rgb: NDArray[np.uint8],
    info: ImageInfo,
    segmenter: Segmenter | str | Path = CLASSICAL,
    *,
    regions: bool = False,
    threads: int | None = None,
) -> Segmentation:
    """Segment what was said about a picture; see `segment_picture` and `load_segmenter`.

    Args:
        said: a description, or several answers (one for each phrase that was looked for), whose
            captions are joined and whose entities are counted on.
        rgb: as for `segment_picture`.
        info: as for `segment_picture`.
        segmenter: what `load_segmenter` takes (it stays loaded), or what it returned.
        regions: as for `segment_picture`.
        threads: as for `load_segmenter`.
    """
    if isinstance(segmenter, str | Path):
        segmenter = shared_segmenter(segmenter, threads=threads)
    answers = [said] if isinstance(said, GroundedCaption) else said
    wanted: list[Wanted] = []
    entities = 0
    for answer in answers:
        prompts = description_prompts(answer, (info.width, info.height))
        wanted += [replace(one, entity=entities + (one.entity or 0)) for one in prompts]
        entities += len(answer.entities)
    caption = ", ".join(answer.caption for answer in answers)
    return segment_picture(rgb, info, wanted, segmenter, regions=regions, caption=caption)


def segment_picture(
    rgb: NDArray[np.uint8],
    info: ImageInfo,
    wanted: Sequence[Wanted],
    segmenter: Segmenter,
    *,
    regions: bool = False,
    caption: str = "",
) -> Segmentation:
    """Segment a picture: a mask for each prompt, then one name for each pixel.

    Args:
        rgb: (H, W, 3) uint8, upright; the size that `info` says.
        info: of the result: `Picture.rgb_info`.
        wanted: the prompts; several boxes of an entity are segments of their own.
        segmenter: see `load_segmenter`.
        regions: divide what nobody named into unnamed coherent regions.
        caption: of the description that the prompts come from.

    Raises:
        BoxError: a box or point lies outside the picture.
        OptionError: the picture has another size than `info` says.
    """
    began = time.perf_counter()
    image_wh = check_picture(rgb)
    if image_wh != (info.width, info.height):
        raise OptionError(f"a picture of {image_wh} pixels; expected {(info.width, info.height)}")
    prompts = [w.prompt for w in wanted]
    proposals = segmenter.segment(rgb, prompts)
    stuff = [is_stuff(p.phrase) if p.stuff is None else p.stuff for p in prompts]
    labels = partition(
        [Candidate(p.mask, p.score, s) for p, s in zip(proposals, stuff, strict=True)], image_wh
    )
    segments = [
        Segment(
            i, w.prompt.phrase or NAMELESS, "stuff" if s else "thing", w.entity,
            w.prompt.xyxy_px, round(p.score, 4),
        )
        for i, (w, p, s) in enumerate(zip(wanted, proposals, stuff, strict=True), 1)
    ]  # fmt: skip
    if regions:
        for number, bits in enumerate(rest_regions(rgb, labels == 0), 1):
            segments.append(Segment(len(segments) + 1, f"region {number}", "region"))
            labels[bits] = len(segments)
    seconds = time.perf_counter() - began
    return Segmentation(info, segmenter.name, labels, tuple(segments), caption, round(seconds, 4))
