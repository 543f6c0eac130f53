"""From a volume and marks to a segmentation, by the name of a segmenter or with one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from kosmoscope.errors import InputError
from kosmoscope.segment.protocol import Segmenter
from kosmoscope.segment.run import shared_segmenter
from kosmoscope.stacks.seeds import Box, Label, Marked, Seeds
from kosmoscope.stacks.segmented import REST, Segmented
from kosmoscope.stacks.segmenters.boxes import with_boxes
from kosmoscope.stacks.segmenters.pictures import grey_window, slice_picture
from kosmoscope.stacks.segmenters.protocol import CorrectingSegmenter, StackSegmenter
from kosmoscope.stacks.segmenters.registry import STACK_SEGMENTERS
from kosmoscope.stacks.segmenters.slices import Slices
from kosmoscope.stacks.segmenters.threshold import Threshold
from kosmoscope.stacks.volume import Volume


class Grounder(Protocol):
    """Whoever finds a phrase in a picture: `kosmoscope.Scope` does."""

    def ground(self, image: Any, phrase: str) -> Any:
        """Return a description whose entities have boxes."""
        ...


def segment_stack(
    volume: Volume,
    seeds: Seeds | Marked | None = None,
    segmenter: StackSegmenter | str = "walker",
    *,
    of_pictures: Callable[[], Segmenter] = shared_segmenter,
) -> Segmented:
    """Give every voxel of a volume exactly one name.

    Args:
        volume: as `read_stack` returns it.
        seeds: names and their marks; a threshold goes without.
        segmenter: one of `STACK_SEGMENTERS`, or made by hand.
        of_pictures: loads the segmenter of pictures that turns boxes into marks.

    Raises:
        InputError: the marks lie outside the volume, or are not enough.
        OptionError: there is no segmenter of that name.
    """
    tool = STACK_SEGMENTERS.get(segmenter).make() if isinstance(segmenter, str) else segmenter
    marked = seeds.on(volume) if isinstance(seeds, Seeds) else seeds
    if marked is None:
        if isinstance(tool, Threshold):
            return tool.segment(volume)
        raise InputError(f"{tool.name} needs seeds: names, and where they are")
    if not isinstance(tool, Slices):  # which takes boxes as they are
        marked = with_boxes(volume, marked, of_pictures)
    return tool.segment(volume, marked)


def correct(
    before: Segmented, seeds: Seeds | Marked, segmenter: StackSegmenter | None = None
) -> Segmented:
    """Return a segmentation with marks added; only what they change is computed again.

    Args:
        before: by the walker, or what `read_segmented` returned.
        seeds: more marks, of names that are there; where they contradict earlier ones they count.
        segmenter: that made it, if it is none of `STACK_SEGMENTERS`.

    Raises:
        InputError: it is of a segmenter that cannot correct, or a name is new.
    """
    tool = segmenter or STACK_SEGMENTERS.get(before.segmenter).make()
    if not isinstance(tool, CorrectingSegmenter):
        raise InputError(f"a segmentation by {before.segmenter} cannot be corrected")
    marked = seeds.on(before.volume) if isinstance(seeds, Seeds) else seeds
    return tool.correct(before, with_boxes(before.volume, marked, shared_segmenter))


def phrase_seeds(scope: Grounder, volume: Volume, phrase: str, k: int) -> Seeds:
    """Return seeds of what a model finds for a phrase on one slice: a box for each thing.

    For stacks of ordinary pictures; of CT and MR the model knows nothing.

    Args:
        scope: of a model, `kosmoscope.load`.
        volume: whose slices are shown to it.
        phrase: what is looked for; each thing is a label, "a cell", "a cell 2" and so on.
        k: the slice.

    Raises:
        InputError: there is no such slice, or nothing is found on it.
    """
    if not 0 <= k < volume.shape[0]:
        raise InputError(f"slice {k}; expected 0 to {volume.shape[0] - 1}")
    picture = slice_picture(volume, k, grey_window(volume))
    said = scope.ground(picture, phrase)
    height, width = picture.shape[:2]
    labels: list[Label] = []
    for entity in said.entities:
        for found in entity.boxes:
            x1, y1, x2, y2 = found.refined or found.xyxy
            left, top = min(int(x1 * width), width - 1), min(int(y1 * height), height - 1)
            box = Box(k, (
                left, top, max(min(round(x2 * width), width) - 1, left),
                max(min(round(y2 * height), height) - 1, top),
            ))  # fmt: skip
            name = phrase if not labels else f"{phrase} {len(labels) + 1}"
            labels.append(Label(name, boxes=(box,)))
    if not labels:
        raise InputError(f"{phrase!r} is not found on slice {k}")
    if phrase == REST:
        labels = [replace(one, name=f"{one.name} (found)") for one in labels]
    return Seeds(tuple(labels))
